//! Objects that contradict each other for some node, told of the objects and not of the node: every agent comes to the
//! same, whichever node it is on.
//!
//! Of two objects one node is enough, the first by name. Peers that are found on a node are left to that node, which
//! alone knows them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::merge;
use super::site::{Site, Surroundings};
use crate::cluster::object::{NodeFacts, Objects, Sourced};

/// The objects that contradict another, by kind and name, with what is said of it.
pub type Contradictions = BTreeMap<(&'static str, String), String>;

/// Looks at every two objects that select a node in common.
#[must_use]
pub fn contradictions(objects: &Objects) -> Contradictions {
    let mut found = Contradictions::new();
    let fabrics: Vec<(&String, _)> = objects.fabrics.iter().map(|(name, it)| (name, &it.value)).collect();
    for (at, (one, first)) in fabrics.iter().enumerate() {
        for (other, second) in &fabrics[at + 1..] {
            let both = |facts: &NodeFacts| {
                first.node_selector.matches(&facts.labels) && second.node_selector.matches(&facts.labels)
            };
            let mut common = objects.nodes.iter().filter(|(_, node)| both(&node.value));
            let text = common.find_map(|node| of_fabrics(objects, node, [one, other]));
            note(&mut found, "Fabric", [one, other], text);
        }
    }
    let mut addressed: BTreeMap<IpAddr, Vec<_>> = BTreeMap::new();
    for (name, peer) in &objects.peers {
        if let Some(address) = peer.value.address {
            addressed.entry(address).or_default().push((name, &peer.value));
        }
    }
    for peers in addressed.values() {
        for (at, (one, first)) in peers.iter().enumerate() {
            for (other, second) in &peers[at + 1..] {
                let both = |facts: &NodeFacts| {
                    first.node_selector.matches(&facts.labels) && second.node_selector.matches(&facts.labels)
                };
                let common = objects.nodes.iter().find(|(_, node)| both(&node.value));
                let text = common.and_then(|(name, _)| {
                    let problems = super::compute(objects, name, Surroundings::default()).err()?;
                    about("FabricPeer", [one, other], problems.into_iter().map(|problem| problem.text))
                });
                note(&mut found, "FabricPeer", [one, other], text);
            }
        }
    }
    found
}

/// What two Fabrics say differently of a node.
fn of_fabrics(
    objects: &Objects,
    (name, node): (&String, &Sourced<std::sync::Arc<NodeFacts>>),
    pair: [&String; 2],
) -> Option<String> {
    let Surroundings { addresses, gateways, passing, hosts } = Surroundings::default();
    let site = Site { objects, name, facts: &node.value, addresses, gateways, passing, hosts };
    let problems = merge::merge(&site).err()?;
    about("Fabric", pair, problems.into_iter().map(|problem| problem.text))
}

/// The first text that names both objects as contradicting each other.
fn about(kind: &str, [one, other]: [&String; 2], mut texts: impl Iterator<Item = String>) -> Option<String> {
    let names = [format!("{kind} \"{one}\""), format!("{kind} \"{other}\"")];
    texts
        .find(|text| text.contains(" contradict each other ") && names.iter().all(|name| text.contains(name)))
}

fn note(found: &mut Contradictions, kind: &'static str, pair: [&String; 2], text: Option<String>) {
    let Some(text) = text else { return };
    for name in pair {
        found.entry((kind, name.clone())).or_insert_with(|| text.clone());
    }
}
