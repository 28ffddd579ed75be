//! What of the pods' packets is hidden behind the node, by what Fabrics, Nodes and addresses say.

use std::collections::BTreeSet;

use bgp::prefix::Prefix;
use controller::cluster::Problem;
use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;
use controller::kernel::masquerade::Masquerade;

use super::cluster::{fabric, node, peer};
use super::{lines, read};

/// Two nodes, and a Fabric that says this.
fn cluster(spec: &str) -> String {
    fabric("all", &format!("asn: {{value: 1}}{spec}")) + &node(1, "1") + &node(2, "1")
}

fn addresses() -> Vec<LocalAddress> {
    let all = [
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("lo", "10.0.0.1"),
        ("eth0", "192.0.2.1"),
        ("eth0", "fe80::1"),
        ("eth1", "2001:db8::1"),
        ("eth2", "169.254.7.7"),
    ];
    let address = |(name, address): &(&str, &str)| LocalAddress {
        ifindex: 1,
        name: (*name).into(),
        address: address.parse().unwrap(),
        prefix_len: 24,
        up: true,
    };
    all.iter().map(address).collect()
}

fn outcome(text: &str) -> Result<Desired, Vec<Problem>> {
    let around = Surroundings { addresses: &addresses(), ..Surroundings::default() };
    compute(&read(text).unwrap(), "n1", around)
}

#[track_caller]
fn wanted(text: &str) -> Option<(Masquerade, bool)> {
    outcome(text).unwrap().masquerade
}

fn prefixes(all: &[&str]) -> BTreeSet<Prefix> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

const KNOWN: [&str; 8] = [
    "10.0.0.1/32",
    "10.0.0.2/32",
    "fd00::1/128",
    "fd00::2/128",
    "10.244.1.0/24",
    "10.244.2.0/24",
    "fd00:10:244:1::/64",
    "fd00:10:244:2::/64",
];

#[test]
fn it_is_on_where_nobody_says_anything() {
    let (wanted, except_learned) = wanted(&cluster("")).unwrap();
    assert_eq!(wanted.pods, prefixes(&["10.244.1.0/24", "fd00:10:244:1::/64"]));
    assert_eq!(wanted.keep, prefixes(&KNOWN));
    assert!(wanted.learned.is_empty() && !except_learned);
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(wanted.addressed.ipv4, names(&["eth0", "lo"]));
    assert_eq!(wanted.addressed.ipv6, names(&["eth1"]));
    // The node has the one InternalIP and not the other.
    assert_eq!((wanted.source.ipv4, wanted.source.ipv6), ("10.0.0.1".parse().ok(), None));
}

#[test]
fn who_knows_of_pods_is_who_is_said_to_and_no_default_route() {
    let said = ", podPrefixes: [10.244.0.0/16], accept: [172.16.0.0/12, 0.0.0.0/0, \"::/0\"], \
                masquerade: {except: [10.0.0.0/8, \"::/0\"], exceptLearned: true}";
    let (wanted, except_learned) = wanted(&cluster(said)).unwrap();
    let mut known = prefixes(&KNOWN);
    known.extend(prefixes(&["10.244.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "::/0"]));
    assert_eq!(wanted.keep, known);
    assert!(except_learned);
}

#[test]
fn what_is_accepted_of_one_peer_knows_of_pods_too() {
    let with = |nodes: &str| {
        let spec = format!("address: 192.0.2.2, asn: 2, accept: [172.20.0.0/16, 0.0.0.0/0], {nodes}");
        let (wanted, _) = wanted(&(cluster("") + &peer("tor", &spec))).unwrap();
        wanted.keep
    };
    let mut known = prefixes(&KNOWN);
    assert_eq!(with("nodeSelector: {matchLabels: {rack: b}}"), known, "it is a peer of other nodes");
    known.extend(prefixes(&["172.20.0.0/16"]));
    assert_eq!(with("disabled: false"), known);
}

#[test]
fn it_is_off_where_it_is_off_and_where_there_are_no_pods() {
    assert_eq!(wanted(&cluster(", masquerade: {enabled: false, except: [10.0.0.0/8]}")), None);
    let router = cluster(", transit: true")
        .replace("podCIDRs: [10.244.1.0/24, \"fd00:10:244:1::/64\"]", "podCIDRs: []");
    assert_eq!(wanted(&router), None);
}

#[test]
fn what_fabrics_say_adds_up_and_must_not_contradict() {
    let first = cluster(", masquerade: {enabled: true, except: [10.1.0.0/16]}");
    let second = |spec: &str| first.clone() + &fabric("b", &format!("masquerade: {{{spec}}}"));
    let (wanted, _) = wanted(&second("except: [10.2.0.0/16]")).unwrap();
    assert!(wanted.keep.is_superset(&prefixes(&["10.1.0.0/16", "10.2.0.0/16"])));
    let problems = outcome(&second("enabled: false")).unwrap_err();
    assert_eq!(
        lines(&problems),
        [
            "a.yaml:19 (document 4): Fabric \"b\" and Fabric \"all\" contradict each other in field `spec.masquerade.enabled` for node \"n1\""
        ]
    );
}
