//! A node whose `FORWARD` drops what nobody accepts: a pair of rules there lets pods through.
//!
//! It is the one place where another owner's table is touched, because an accepting rule in a
//! table of ours does not save a packet from another table's policy. The pair stands behind all
//! rules of the chain's owner, so what he drops on purpose stays dropped; it is told by its
//! comment, written as `iptables` writes such rules, and goes with our last pod.

use api::nft::{Batch, Family as Packets, Question, Rule, SeenRule, Verdict, dump};

use crate::attachment::LINK_PREFIX;
use crate::error::Result;
use crate::nftables::{Nftables, wrong};

/// The table and the chain that `iptables` makes.
const CHAIN: (&str, &str) = ("filter", "FORWARD");

/// What the comment of each rule of ours starts with.
const TAG: &str = "underlay-cni:";

/// Families of tables that have such a chain.
const FAMILIES: [Packets; 2] = [Packets::Ip, Packets::Ip6];

fn pair() -> [Rule; 2] {
    [
        Rule::new("underlay-cni: from pods").from_interfaces(LINK_PREFIX),
        Rule::new("underlay-cni: to pods").to_interfaces(LINK_PREFIX),
    ]
    .map(|rule| rule.counter().verdict(Verdict::Accept))
}

/// Families whose chain drops what nobody accepts and lacks the pair.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn missing(nft: &mut Nftables) -> Result<Vec<Packets>> {
    let mut missing = Vec::new();
    for family in FAMILIES {
        let question = Question::Chain(family, CHAIN.0, CHAIN.1);
        let replies = nft.ask(question).map_err(|failure| wrong("look for chain FORWARD", &failure))?;
        let drops = replies
            .iter()
            .filter_map(|reply| dump::chain(reply))
            .any(|chain| chain.hook.is_some() && chain.drops);
        if drops && !stands(&rules(nft, family)?) {
            missing.push(family);
        }
    }
    Ok(missing)
}

/// Adds the pair to each of `families`.
pub fn add(batch: &mut Batch, families: &[Packets]) {
    for family in families {
        for rule in pair() {
            batch.rule(*family, CHAIN.0, CHAIN.1, &rule);
        }
    }
}

/// Takes away whatever of ours stands there.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn remove(nft: &mut Nftables, batch: &mut Batch) -> Result<()> {
    for family in FAMILIES {
        for rule in rules(nft, family)?.iter().filter(|rule| rule.comment.starts_with(TAG)) {
            batch.delete_rule(family, CHAIN.0, CHAIN.1, rule.handle);
        }
    }
    Ok(())
}

fn rules(nft: &mut Nftables, family: Packets) -> Result<Vec<SeenRule>> {
    let replies = nft
        .ask(Question::RulesOf(family, CHAIN.0, CHAIN.1))
        .map_err(|failure| wrong("list rules of chain FORWARD", &failure))?;
    let seen = replies.iter().filter_map(|reply| dump::rule(reply));
    // A kernel without this filter sends those of other chains too.
    Ok(seen.filter(|rule| (rule.table.as_str(), rule.chain.as_str()) == CHAIN).collect())
}

fn stands(rules: &[SeenRule]) -> bool {
    pair().iter().all(|wanted| rules.iter().any(|rule| rule.comment == wanted.comment()))
}
