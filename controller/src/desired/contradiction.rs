//! Objects that contradict each other for some node, told of the objects and not of the node: every agent comes to the
//! same, whichever node it is on.
//!
//! Of two objects one node is enough, the first by name. Peers that are found on a node are left to that node, which
//! alone knows them. A Node that changes is looked at alone.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::crd::FabricPeerSpec;

use super::merge;
use super::site::{Site, Surroundings};
use crate::cluster::named::Named;
use crate::cluster::object::{Objects, Sourced, SourcedNode};

/// The objects that contradict another, by kind and name, with what is said of it.
pub type Contradictions = BTreeMap<(&'static str, String), String>;

/// Two objects of a kind that contradict each other for one node, and how.
type Pairs = BTreeMap<(&'static str, String, String), String>;

/// What was found so far, and among which objects.
#[derive(Debug, Default)]
pub struct Judge {
    objects: Option<Arc<Objects>>,
    /// By Node; those for which all is well are not in it.
    found: BTreeMap<Arc<str>, Pairs>,
    looked_at: u64,
}

impl Judge {
    /// Looks at the objects of every node, or of those that have changed if nothing else has.
    pub fn look(&mut self, objects: &Arc<Objects>) -> Contradictions {
        let same = |before: &&Arc<Objects>| {
            before.fabrics == objects.fabrics
                && before.peers == objects.peers
                && before.secrets == objects.secrets
        };
        let shared = shared(objects);
        match self.objects.as_ref().filter(same) {
            Some(before) => {
                for change in before.nodes.differences(&objects.nodes) {
                    self.found.remove(&change.name);
                    if let Some(node) = &change.after {
                        self.looked_at += 1;
                        let pairs = of_node(objects, &shared, &change.name, node);
                        if !pairs.is_empty() {
                            self.found.insert(change.name, pairs);
                        }
                    }
                }
            }
            None => {
                self.looked_at += objects.nodes.len() as u64;
                let all = objects.nodes.iter();
                let found = all.map(|(name, node)| (Arc::from(name), of_node(objects, &shared, name, node)));
                self.found = found.filter(|(_, pairs)| !pairs.is_empty()).collect();
            }
        }
        self.objects = Some(Arc::clone(objects));
        let mut first = Pairs::new();
        for (pair, text) in self.found.values().flatten() {
            first.entry(pair.clone()).or_insert_with(|| text.clone());
        }
        let mut told = Contradictions::new();
        for ((kind, one, other), text) in first {
            told.entry((kind, one)).or_insert_with(|| text.clone());
            told.entry((kind, other)).or_insert(text);
        }
        told
    }

    /// How often a Node was looked at so far.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }
}

/// The FabricPeers that name an address which another one names too.
fn shared(objects: &Objects) -> Vec<(&String, &Sourced<FabricPeerSpec>)> {
    let addressed = || objects.peers.iter().filter_map(|it| Some((it.1.value.address?, it)));
    let mut count: BTreeMap<IpAddr, usize> = BTreeMap::new();
    addressed().for_each(|(address, _)| *count.entry(address).or_default() += 1);
    addressed().filter(|(address, _)| count[address] > 1).map(|(_, peer)| peer).collect()
}

/// The objects that contradict each other for one node.
fn of_node(
    objects: &Objects,
    shared: &[(&String, &Sourced<FabricPeerSpec>)],
    name: &str,
    node: &SourcedNode,
) -> Pairs {
    let mut found = Pairs::new();
    let labels = &node.value.labels;
    let fabrics = objects.fabrics.iter().filter(|(_, fabric)| fabric.value.node_selector.matches(labels));
    let fabrics: Vec<&String> = fabrics.map(|(name, _)| name).collect();
    if fabrics.len() > 1 {
        let site = Site::new(objects, name, &node.value, Surroundings::default());
        let problems = merge::merge(&site).err().unwrap_or_default();
        note("Fabric", &fabrics, problems.into_iter().map(|problem| problem.text), &mut found);
    }
    let peers = shared.iter().filter(|(_, peer)| peer.value.node_selector.matches(labels));
    let peers: BTreeMap<String, Sourced<FabricPeerSpec>> =
        peers.map(|(name, peer)| ((*name).clone(), (*peer).clone())).collect();
    if peers.len() > 1 {
        let mut nodes = Named::default();
        nodes.insert(name, node.clone());
        let these = Objects {
            fabrics: objects.fabrics.clone(),
            secrets: objects.secrets.clone(),
            peers,
            nodes,
            ..Objects::default()
        };
        let problems = super::compute(&these, name, Surroundings::default()).err().unwrap_or_default();
        let names: Vec<&String> = these.peers.keys().collect();
        note("FabricPeer", &names, problems.into_iter().map(|problem| problem.text), &mut found);
    }
    found
}

/// Notes the texts that name two of the objects as contradicting each other, the first of each pair.
fn note(kind: &'static str, names: &[&String], texts: impl Iterator<Item = String>, found: &mut Pairs) {
    let quoted: Vec<String> = names.iter().map(|name| format!("{kind} \"{name}\"")).collect();
    for text in texts.filter(|text| text.contains(" contradict each other ")) {
        let mut named = names.iter().zip(&quoted).filter(|(_, quoted)| text.contains(*quoted));
        if let (Some((one, _)), Some((other, _))) = (named.next(), named.next()) {
            found.entry((kind, (*one).clone(), (*other).clone())).or_insert(text);
        }
    }
}
