//! What the other Nodes are to this one, Node by Node, so that one that changes is looked at alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use bgp::config::PeerConfig;
use bgp::prefix::Prefix;

use super::merge::Merged;
use super::peer::{self, Target};
use super::site::Site;
use crate::cluster::object::{NodeFacts, Objects, Problem, SourcedNode};

/// What the other Nodes are to this one. What is looked at does not hang on how many there are.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// PodCIDRs that overlap this node's, by Node.
    overlaps: BTreeMap<Arc<str>, Vec<Problem>>,
    /// What a FabricPeer that names Nodes makes of one, by FabricPeer and Node.
    targets: BTreeMap<(Arc<str>, Arc<str>), Result<Target, Problem>>,
    /// What the mesh makes of a Node.
    mesh: BTreeMap<Arc<str>, Result<PeerConfig, Problem>>,
    /// All Nodes that have a UID, by InternalIP and name.
    uids: BTreeMap<(IpAddr, Arc<str>), Arc<NodeFacts>>,
    /// The PodCIDRs and InternalIPs of all Nodes, and how often each is there.
    known: BTreeMap<Prefix, u32>,
    /// The PodCIDRs of all Nodes, and how often each is there.
    pods: BTreeMap<Prefix, u32>,
}

/// What has become of the other Nodes by a change of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effect {
    /// Who is a peer, or what stands in the way.
    pub(super) peers: bool,
    /// Whose addresses are known.
    pub(super) known: bool,
    /// Which PodCIDRs there are.
    pub(super) pods: bool,
}

impl Others {
    /// What all Nodes of the site's objects are.
    pub(super) fn of(site: &Site<'_>, merged: &Merged) -> Self {
        let mut others = Self::default();
        for (name, node) in &site.objects.nodes {
            others.change(site, merged, &Arc::from(name), None, Some(node));
        }
        others
    }

    /// Takes in what has become of one Node.
    pub(super) fn change(
        &mut self,
        site: &Site<'_>,
        merged: &Merged,
        name: &Arc<str>,
        before: Option<&SourcedNode>,
        after: Option<&SourcedNode>,
    ) -> Effect {
        let facts = |entry: Option<&SourcedNode>| entry.map(|entry| Arc::clone(&entry.value));
        let (old, new) = (facts(before), facts(after));
        let mut effect = Effect::default();
        let known =
            |facts: &Option<Arc<NodeFacts>>| facts.iter().flat_map(|it| known(it)).collect::<Vec<_>>();
        effect.known = count(&mut self.known, known(&old), known(&new));
        let pods = |facts: &Option<Arc<NodeFacts>>| {
            facts.iter().flat_map(|it| it.pod_cidrs.clone()).collect::<Vec<_>>()
        };
        effect.pods = count(&mut self.pods, pods(&old), pods(&new));
        let stands = |facts: &Option<Arc<NodeFacts>>| {
            facts.as_ref().map(|facts| (facts.uid.clone(), facts.internal.clone()))
        };
        effect.peers |= stands(&old) != stands(&new);
        for at in old.iter().flat_map(|facts| &facts.internal) {
            self.uids.remove(&(*at, Arc::clone(name)));
        }
        for facts in new.iter().filter(|facts| !facts.uid.is_empty()) {
            let at = facts.internal.iter().map(|at| ((*at, Arc::clone(name)), Arc::clone(facts)));
            self.uids.extend(at);
        }
        if **name == *site.name {
            return effect;
        }
        let overlaps = after.map(|node| overlaps(site, name, node)).filter(|overlaps| !overlaps.is_empty());
        effect.peers |= set(&mut self.overlaps, Arc::clone(name), overlaps);
        let selecting = site.objects.peers.iter().filter(|(_, peer)| {
            peer.value.peers.is_some() && peer.value.node_selector.matches(&site.facts.labels)
        });
        for (object, it) in selecting {
            let target = new.as_ref().and_then(|facts| peer::target(site, merged, &it.value, name, facts));
            effect.peers |= set(&mut self.targets, (Arc::from(object.as_str()), Arc::clone(name)), target);
        }
        let mesh = new.as_ref().and_then(|facts| peer::mesh_peer(site, merged, name, facts));
        effect.peers |= set(&mut self.mesh, Arc::clone(name), mesh);
        effect
    }

    /// The PodCIDRs that overlap this node's: which of the two is right cannot be told, so both nodes keep what
    /// they had, and the one that is new gets nothing. Other nodes are not concerned.
    pub(super) fn overlaps(&self) -> Vec<Problem> {
        self.overlaps.values().flatten().cloned().collect()
    }

    /// What a FabricPeer makes of Nodes, in the order of their names.
    pub(super) fn targets(&self, object: &str) -> impl Iterator<Item = &Result<Target, Problem>> {
        let object: Arc<str> = Arc::from(object);
        let first = (Arc::clone(&object), Arc::from(""));
        let from = self.targets.range((Bound::Included(first), Bound::Unbounded));
        from.take_while(move |((of, _), _)| *of == object).map(|(_, target)| target)
    }

    /// What the mesh makes of Nodes, in the order of their names.
    pub(super) fn mesh(&self) -> impl Iterator<Item = &Result<PeerConfig, Problem>> {
        self.mesh.values()
    }

    /// The UID of the first Node that has the InternalIP.
    pub(super) fn uid(&self, at: IpAddr) -> Option<&String> {
        let from = self.uids.range((Bound::Included((at, Arc::from(""))), Bound::Unbounded));
        from.take_while(|((of, _), _)| *of == at).map(|(_, facts)| &facts.uid).next()
    }

    /// The PodCIDRs of all Nodes.
    pub(super) fn pods(&self) -> Vec<Prefix> {
        self.pods.keys().copied().collect()
    }

    /// What peers that are Nodes may be heard with, where it is nothing of their own.
    pub(super) fn accept(&mut self, objects: &Objects, accept: &[Prefix]) {
        let own = |object: &str| objects.peers.get(object).is_some_and(|peer| peer.value.accept.is_some());
        for ((object, _), target) in &mut self.targets {
            if let (Ok(target), false) = (target, own(object)) {
                target.config.accept = Some(accept.to_vec());
            }
        }
        for peer in self.mesh.values_mut().flatten() {
            peer.accept = Some(accept.to_vec());
        }
    }

    /// The PodCIDRs and InternalIPs of all Nodes.
    pub(super) fn known(&self) -> BTreeSet<Prefix> {
        self.known.keys().copied().collect()
    }
}

/// Takes prefixes out and puts others in; whether some are there now that were not, or the other way round.
fn count(counts: &mut BTreeMap<Prefix, u32>, old: Vec<Prefix>, new: Vec<Prefix>) -> bool {
    let mut news = false;
    for prefix in new {
        let count = counts.entry(prefix).or_default();
        *count += 1;
        news |= *count == 1;
    }
    for prefix in old {
        let count = counts.entry(prefix).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&prefix);
            news = true;
        }
    }
    news
}

/// Puts a value in, or takes it out; whether that is news.
fn set<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> bool {
    match value {
        Some(value) if map.get(&key) == Some(&value) => false,
        Some(value) => {
            map.insert(key, value);
            true
        }
        None => map.remove(&key).is_some(),
    }
}

fn known(facts: &NodeFacts) -> impl Iterator<Item = Prefix> {
    facts.pod_cidrs.iter().copied().chain(facts.internal.iter().map(|address| Prefix::host(*address)))
}

fn overlaps(site: &Site<'_>, name: &str, node: &SourcedNode) -> Vec<Problem> {
    let mut problems = Vec::new();
    for own in &site.facts.pod_cidrs {
        let overlaps = |other: &&Prefix| own.contains(**other) || other.contains(*own);
        if let Some(other) = node.value.pod_cidrs.iter().find(overlaps) {
            let text = format!(
                "podCIDR {own} of Node \"{}\" overlaps podCIDR {other} of Node \"{name}\"",
                site.name
            );
            problems.push(Problem { place: node.place.clone(), text });
        }
    }
    problems
}
