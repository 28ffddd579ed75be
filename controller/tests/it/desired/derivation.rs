//! What a node is to be, derived from what has changed, beside the same computed anew; and how much is looked at.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use controller::cluster::Objects;
use controller::cluster::few::Few;
use controller::cluster::object::{NodeFacts, Sourced};
use controller::desired::contradiction::Judge;
use controller::desired::derivation::Derivation;
use controller::desired::{Surroundings, compute};
use proptest::prelude::*;

use super::cluster::{addresses, fabric, peer};
use super::{lines, read};

/// A Node whose facts hang on these few numbers, so that Nodes often overlap, share and resemble.
fn facts(uid: u8, rack: u8, at: u8, pods: u8) -> NodeFacts {
    let labels = [("rack", rack.to_string()), ("asn", format!("6500{rack}"))];
    let mut internal: Vec<IpAddr> = vec![IpAddr::from([10, 0, 0, at])];
    if at.is_multiple_of(5) {
        internal = vec![format!("fd00::{at}").parse().unwrap()];
    } else if at.is_multiple_of(3) {
        internal.push(format!("fd00::{at}").parse().unwrap());
    }
    NodeFacts {
        unschedulable: false,
        uid: if uid == 0 { String::new() } else { format!("uid-{uid}") },
        labels: BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value))).into(),
        annotations: Few::default(),
        internal,
        pod_cidrs: vec![format!("10.244.{pods}.0/24").parse().unwrap()],
    }
}

fn sourced(facts: NodeFacts) -> Sourced<Arc<NodeFacts>> {
    Sourced { uid: facts.uid.clone(), value: Arc::new(facts), place: None, generation: 0 }
}

/// Fabrics and FabricPeers of which each set says something else of the Nodes.
fn sets() -> Vec<Objects> {
    let nodes = "peers: {nodeSelector: {matchLabels: {rack: \"1\"}}}, asn: Internal";
    let mesh = "asn: {value: 65001}, podPrefixes: [10.244.0.0/16]";
    [
        fabric("f", mesh),
        fabric("f", "asn: {fromLabel: asn}"),
        fabric("f", "asn: {value: 65001}, masquerade: {enabled: false}, transit: true") + &peer("p", nodes),
        fabric("f", &format!("{mesh}, routeReflectors: {{nodeSelector: {{matchLabels: {{rack: \"2\"}}}}}}")),
        fabric("f", "mesh: None, asn: {value: 65001}, accept: [10.0.0.0/8]")
            + &peer("p", nodes)
            + &peer("q", "address: 10.0.0.3, asn: Internal")
            + &peer(
                "r",
                "address: 10.0.0.3, asn: 1, multihop: 3, nodeSelector: {matchLabels: {rack: \"2\"}}",
            ),
        fabric("f", mesh) + &fabric("g", "asn: {value: 65002}, nodeSelector: {matchLabels: {rack: \"2\"}}"),
        fabric("f", "nodeSelector: {matchLabels: {rack: \"9\"}}, asn: {value: 1}"),
        fabric("f", "asn: {value: 65001}, masquerade: {enabled: false}")
            + &peer("p", nodes)
            + &peer(
                "q",
                "peers: {nodeSelector: {matchLabels: {rack: \"2\"}}}, asn: Internal, accept: [10.9.0.0/16]",
            ),
    ]
    .iter()
    .map(|text| read(text).unwrap())
    .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Node(u8, Option<(u8, u8, u8, u8)>),
    Set(usize),
    Address(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let node = (0..3_u8, 1..4_u8, 1..12_u8, 1..12_u8);
    prop_oneof![
        12 => (1..10_u8, prop::option::weighted(0.85, node)).prop_map(|(name, facts)| Step::Node(name, facts)),
        1 => (0..8_usize).prop_map(Step::Set),
        1 => any::<bool>().prop_map(Step::Address),
    ]
}

proptest! {
    #[test]
    fn what_is_derived_is_what_is_computed(first in 0..8_usize, steps in prop::collection::vec(step(), 1..60)) {
        let (sets, own) = (sets(), addresses());
        let mut objects = sets[first].clone();
        objects.nodes.insert("n1", sourced(facts(1, 1, 1, 1)));
        let mut around = &own[..];
        let (mut derivation, mut before) = (Derivation::default(), None);
        let (mut judge, mut held) = (Judge::default(), 0);
        for step in steps {
            match step {
                Step::Node(name, Some((uid, rack, at, pods))) => {
                    objects.nodes.insert(&format!("n{name}"), sourced(facts(uid, rack, at, pods)));
                }
                Step::Node(name, None) => drop(objects.nodes.remove(&format!("n{name}"))),
                Step::Set(number) => {
                    let nodes = objects.nodes.clone();
                    objects = Objects { nodes, ..sets[number].clone() };
                }
                Step::Address(all) => around = if all { &own } else { &own[..3] },
            }
            let (objects, around) = (Arc::new(objects.clone()), Surroundings { addresses: around, ..Surroundings::default() });
            let computed = compute(&objects, "n1", around);
            match derivation.compute(&objects, "n1", around) {
                Some(derived) => prop_assert_eq!(&derived, &computed),
                None => {
                    held += 1;
                    prop_assert_eq!(before.as_ref(), Some(&computed), "nothing is told, and yet it has changed");
                }
            }
            before = Some(computed);
            prop_assert_eq!(judge.look(&objects), Judge::default().look(&objects));
        }
        // The same once more is no news.
        let (objects, around) = (Arc::new(objects), Surroundings { addresses: around, ..Surroundings::default() });
        if objects.nodes.contains_key("n1") {
            prop_assert!(derivation.compute(&objects, "n1", around).is_none(), "{}", held);
        }
    }
}

/// How many Nodes are looked at, by the derivation and for contradictions, for each of these changes of one Node
/// among so many: its address, its rack, a label that nobody asks for, its end, and nothing at all.
/// Where no `pod_prefixes` are named, its PodCIDR is what is changed in the place of its rack.
fn looks(nodes: u16, pod_prefixes: &str) -> Vec<(u64, u64)> {
    let mut objects = read(
        &(fabric("f", &format!("asn: {{fromLabel: asn}}{pod_prefixes}"))
            + &fabric("g", "fib: {metric: 7}")
            + &peer("p", "peers: {nodeSelector: {matchLabels: {spine: \"1\"}}}, asn: Internal")),
    )
    .unwrap();
    let name = |number: u16| format!("n{number}");
    let of = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let mut facts = facts(1, u8::try_from(number % 250 + 1).unwrap(), 1, 1);
        facts.internal = vec![IpAddr::from([10, 0, high, low])];
        facts.pod_cidrs = vec![format!("10.{}.{low}.0/24", 100 + high).parse().unwrap()];
        facts
    };
    (1..=nodes).for_each(|number| objects.nodes.insert(&name(number), sourced(of(number))));
    let own = addresses();
    let around = Surroundings { addresses: &own, ..Surroundings::default() };
    let (mut derivation, mut judge) = (Derivation::default(), Judge::default());
    let mut look = |objects: &Objects| {
        let objects = Arc::new(objects.clone());
        let before = (derivation.looked_at(), judge.looked_at());
        let told =
            derivation.compute(&objects, "n1", around).map(|outcome| outcome.map_err(|p| lines(&p)).unwrap());
        judge.look(&objects);
        (told, (derivation.looked_at() - before.0, judge.looked_at() - before.1))
    };
    let (told, first) = look(&objects);
    assert_eq!(told.unwrap().speaker.peers.len(), usize::from((nodes - 1) / 250));
    assert_eq!(first, (u64::from(nodes), u64::from(nodes)));

    let mut found = Vec::new();
    // A peer, of the same rack.
    let mut changed = of(251);
    changed.internal = vec!["10.0.200.1".parse().unwrap()];
    objects.nodes.insert(&name(251), sourced(changed.clone()));
    let (told, count) = look(&objects);
    assert!(told.unwrap().speaker.peers.iter().any(|peer| peer.address == changed.internal[0]));
    found.push(count);
    if pod_prefixes.is_empty() {
        changed.pod_cidrs = vec!["10.99.1.0/24".parse().unwrap()];
        objects.nodes.insert(&name(251), sourced(changed.clone()));
        let (told, count) = look(&objects);
        let peers = told.unwrap().speaker.peers;
        assert!(peers.iter().all(|peer| peer.accept.as_ref().unwrap().contains(&changed.pod_cidrs[0])));
        found.push(count);
    } else {
        changed.labels = labelled(&changed, "asn", "65009");
        objects.nodes.insert(&name(251), sourced(changed.clone()));
        let (told, count) = look(&objects);
        assert!(!told.unwrap().speaker.peers.iter().any(|peer| peer.address == changed.internal[0]));
        found.push(count);
    }
    changed.labels = labelled(&changed, "example.org/mood", "good");
    objects.nodes.insert(&name(251), sourced(changed));
    let (told, count) = look(&objects);
    assert!(told.is_none(), "nobody asks for the label");
    found.push(count);
    objects.nodes.remove(&name(251));
    let (told, count) = look(&objects);
    assert!(told.is_some(), "its prefixes are nobody's");
    found.push(count);
    let (told, count) = look(&objects);
    assert!(told.is_none());
    found.push(count);
    found
}

#[test]
fn a_node_that_changes_is_looked_at_alone_however_many_there_are() {
    for (nodes, pod_prefixes) in [(1_000, ", podPrefixes: [10.0.0.0/8]"), (500, "")] {
        let few = looks(nodes, pod_prefixes);
        assert_eq!(few, [(2, 1), (2, 1), (2, 1), (1, 0), (0, 0)]);
        assert_eq!(looks(4 * nodes, pod_prefixes), few);
    }
}

/// The labels of a Node, with one more or another value of one.
fn labelled(node: &NodeFacts, key: &str, value: &str) -> Few<String> {
    let mut labels: BTreeMap<String, String> =
        node.labels.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
    labels.insert(key.to_owned(), value.to_owned());
    labels.into()
}
