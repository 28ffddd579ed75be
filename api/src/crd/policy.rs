//! Import and export rules of a peer, as people write them.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fabric::is_community;
use super::rule::{self, Check};

/// The most rules of a list.
const MOST_RULES: usize = 256;
/// The most entries of a list inside a rule, and parts of a path pattern.
const MOST_ENTRIES: usize = 64;
/// The most parts of a path pattern.
const MOST_PARTS: usize = 32;

/// One rule: the first one that a path meets decides.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::REJECT_SETS.cel).message(rule::REJECT_SETS.text))]
pub struct RouteRule {
    /// Which paths meet the rule; any if unset.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<RouteMatch>,
    /// What becomes of them.
    pub action: RouteAction,
    /// What is changed of those that are accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<RouteChanges>,
}

/// What becomes of a path.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteAction {
    /// It passes, and no further rule is asked.
    Accept,
    /// It does not.
    Reject,
}

/// Which paths meet a rule: those that meet all fields that are set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteMatch {
    /// The prefix is one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::ENTRY_COUNT.cel).message(rule::ENTRY_COUNT.text))]
    pub prefixes: Vec<PrefixMatch>,
    /// The path carries one of these: `A:B`, `A:B:C`, or a well-known name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::ENTRY_COUNT.cel).message(rule::ENTRY_COUNT.text))]
    pub communities: Vec<String>,
    /// The form of the AS_PATH: AS numbers, ranges such as `64512..65534`, `?` for one AS, `*` for any number;
    /// `* 65001 *` goes through 65001, `65001 *` starts with it, `* 65001` ends with it, an empty text is an empty path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_path: Option<String>,
    /// Where the path comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<RouteOrigin>,
}

/// Prefixes inside a prefix: without bounds that one alone, with ge alone up to host routes.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrefixMatch {
    /// The prefix; host bits are cleared.
    pub cidr: IpNet,
    /// The least length; that of the prefix if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ge: Option<u8>,
    /// The greatest length; with ge that of a host route if unset, else that of the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub le: Option<u8>,
}

/// Where a path comes from.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteOrigin {
    /// A PodCIDR of the node.
    PodCIDR,
    /// An address of a Service.
    Service,
    /// Learned from a peer.
    Learned,
}

/// What is changed of a path. Communities are first removed, then added.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteChanges {
    /// LOCAL_PREF; on export it reaches internal peers alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// How often more an AS stands before the path: on export to external peers the node's own, on import the
    /// nearest of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::PREPEND.cel).message(rule::PREPEND.text))]
    pub prepend: Option<u8>,
    /// Communities to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::ENTRY_COUNT.cel).message(rule::ENTRY_COUNT.text))]
    pub add_communities: Vec<String>,
    /// Communities to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::ENTRY_COUNT.cel).message(rule::ENTRY_COUNT.text))]
    pub remove_communities: Vec<String>,
}

/// Which of the two lists a rule is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Import,
    Export,
}

/// Checks a list of rules.
pub(super) fn check(rules: &[RouteRule], direction: Direction, check: &mut Check) {
    let list = if direction == Direction::Import { "spec.import" } else { "spec.export" };
    check.that(rules.len() <= MOST_RULES, list, rule::RULE_COUNT);
    for (at, rule) in rules.iter().enumerate() {
        rule.check(&format!("{list}[{at}]"), direction, check);
    }
}

impl RouteRule {
    fn check(&self, field: &str, direction: Direction, check: &mut Check) {
        let sets = self.set.as_ref().is_some_and(|set| *set != RouteChanges::default());
        check.that(self.action == RouteAction::Accept || !sets, &format!("{field}.set"), rule::REJECT_SETS);
        if let Some(when) = &self.when {
            when.check(&format!("{field}.match"), direction, check);
        }
        if let Some(set) = &self.set {
            let field = format!("{field}.set");
            check.that(
                set.prepend.is_none_or(|times| times <= 16),
                &format!("{field}.prepend"),
                rule::PREPEND,
            );
            communities(&set.add_communities, &format!("{field}.addCommunities"), check);
            communities(&set.remove_communities, &format!("{field}.removeCommunities"), check);
        }
    }
}

impl RouteMatch {
    fn check(&self, field: &str, direction: Direction, check: &mut Check) {
        check.that(self.prefixes.len() <= MOST_ENTRIES, &format!("{field}.prefixes"), rule::ENTRY_COUNT);
        for (at, prefix) in self.prefixes.iter().enumerate() {
            let (len, most) = (prefix.cidr.prefix_len(), prefix.cidr.max_prefix_len());
            let least = prefix.ge.unwrap_or(len);
            let fits =
                len <= least && least <= prefix.le.unwrap_or(most) && prefix.le.unwrap_or(most) <= most;
            check.that(fits, &format!("{field}.prefixes[{at}]"), rule::PREFIX_BOUNDS);
        }
        communities(&self.communities, &format!("{field}.communities"), check);
        let path = self.as_path.as_deref().is_none_or(is_path_pattern);
        check.that(path, &format!("{field}.asPath"), rule::PATH_PATTERN);
        let met = direction == Direction::Export
            || !matches!(self.origin, Some(RouteOrigin::PodCIDR | RouteOrigin::Service));
        check.that(met, &format!("{field}.origin"), rule::IMPORT_ORIGIN);
    }
}

fn communities(communities: &[String], field: &str, check: &mut Check) {
    check.that(communities.len() <= MOST_ENTRIES, field, rule::ENTRY_COUNT);
    check.that(communities.iter().all(|text| is_community(text)), field, rule::COMMUNITY);
}

fn is_path_pattern(text: &str) -> bool {
    let number = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten()
    };
    let part = |part: &str| match part.split_once("..") {
        _ if matches!(part, "*" | "?") => true,
        Some((least, most)) => number(least).zip(number(most)).is_some_and(|(least, most)| least <= most),
        None => number(part).is_some(),
    };
    text.split_whitespace().count() <= MOST_PARTS && text.split_whitespace().all(part)
}
