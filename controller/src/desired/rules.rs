//! Import and export rules as people write them, as the speaker has them.

use api::crd::policy::{
    PrefixMatch, RouteAction, RouteChanges, RouteMatch, RouteOrigin as Origin, RouteRule,
};
use bgp::rule::{AnyCommunity, Changes, Condition, PatternError, PrefixRange, RouteOrigin, Rule, Rules};

use super::scalar::{community, prefix};

/// A list of rules.
///
/// # Errors
/// The place of a rule in the list and what is wrong with it.
pub(super) fn rules(list: &[RouteRule]) -> Result<Rules, (usize, String)> {
    let rules = list.iter().enumerate().map(|(at, rule)| one(rule).map_err(|text| (at, text)));
    Ok(Rules::new(rules.collect::<Result<_, _>>()?))
}

fn one(rule: &RouteRule) -> Result<Rule, String> {
    Ok(Rule {
        when: rule.when.as_ref().map(condition).transpose()?.unwrap_or_default(),
        reject: rule.action == RouteAction::Reject,
        set: rule.set.as_ref().map(changes).transpose()?.unwrap_or_default(),
    })
}

fn condition(when: &RouteMatch) -> Result<Condition, String> {
    let range = |range: &PrefixMatch| PrefixRange::new(prefix(range.cidr), range.ge, range.le);
    let pattern = when.as_path.as_ref().map(|text| text.parse()).transpose();
    Ok(Condition {
        prefixes: when.prefixes.iter().map(range).collect(),
        communities: communities(&when.communities)?,
        as_path: pattern.map_err(|error: PatternError| error.to_string())?,
        origin: when.origin.map(|origin| match origin {
            Origin::PodCIDR => RouteOrigin::PodCidr,
            Origin::Service => RouteOrigin::Service,
            Origin::Learned => RouteOrigin::Learned,
        }),
    })
}

fn changes(set: &RouteChanges) -> Result<Changes, String> {
    Ok(Changes {
        local_preference: set.local_preference,
        med: set.med,
        prepend: set.prepend.unwrap_or(0),
        add: communities(&set.add_communities)?,
        remove: communities(&set.remove_communities)?,
    })
}

fn communities(texts: &[String]) -> Result<Vec<AnyCommunity>, String> {
    texts.iter().map(|text| community(text).ok_or_else(|| format!("`{text}` is not a community"))).collect()
}
