//! Objects that contradict each other, or of which no node can be made.

use controller::desired::{Surroundings, compute};

use super::cluster::{desired, fabric, names, node, peer, refused};
use super::{lines, read};

#[test]
fn fabrics_add_up_and_contradictions_name_both() {
    let two = |one: &str, other: &str| fabric("f", one) + &fabric("g", other) + &node(1, "1");
    let both = desired(&two(
        "asn: {value: 65001}, podPrefixes: [10.244.0.0/16]",
        "asn: {fromLabel: asn}, transit: true",
    ));
    assert!(both.speaker.transit);
    for (one, other, field) in [
        ("asn: {value: 1}", "asn: {value: 2}", "spec.asn"),
        ("asn: {value: 1}, transit: true", "transit: false", "spec.transit"),
        ("asn: {value: 1}, fib: {table: 100}", "fib: {table: main}", "spec.fib.table"),
        ("asn: {value: 1}, timers: {hold: 9s}", "timers: {hold: 30s}", "spec.timers.hold"),
        (
            "asn: {value: 1}, advertise: {prefixes: [{prefix: 192.0.2.0/24, med: 1}]}",
            "advertise: {prefixes: [{prefix: 192.0.2.0/24, med: 2}]}",
            "spec.advertise.prefixes",
        ),
    ] {
        let problems = refused(&two(one, other));
        assert_eq!(problems.len(), 1, "{problems:?}");
        let expected =
            format!("Fabric \"g\" and Fabric \"f\" contradict each other in field `{field}` for node \"n1\"");
        assert!(problems[0].contains(&expected), "{problems:?}");
    }
    let peers = fabric("f", "asn: {value: 1}")
        + &node(1, "1")
        + &peer("a", "address: 10.0.1.1, asn: 2")
        + &peer("b", "address: 10.0.1.1, asn: 3");
    assert!(
        refused(&peers)[0]
            .contains("FabricPeer \"b\" and FabricPeer \"a\" contradict each other about peer 10.0.1.1")
    );
    let alike = peers.replace("asn: 3", "asn: 2");
    assert_eq!(names(&desired(&alike).speaker.peers), [("a", "10.0.1.1".into())]);
}

#[test]
fn what_stands_in_the_way_is_named() {
    for (text, expected) in [
        (fabric("f", "asn: {value: 1}"), "there is no Node \"n1\""),
        (node(1, "1"), "no Fabric selects node \"n1\""),
        (
            fabric("f", "") + &node(1, "1"),
            "node \"n1\" has no AS: field `spec.asn` of Fabric \"f\" is missing",
        ),
        (
            fabric("f", "asn: {fromLabel: nope}") + &node(1, "1"),
            "a.yaml:2 (document 1): Fabric \"f\": field `spec.asn`: node \"n1\" has no label `nope`",
        ),
        (
            fabric("f", "asn: {fromLabel: name}") + &node(1, "1").replace("labels: {", "labels: {name: x, "),
            "a.yaml:2 (document 1): Fabric \"f\": field `spec.asn`: label `name` of node \"n1\" is `x`, not an AS number",
        ),
        (
            fabric("f", "asn: {value: 1}") + "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n",
            "node \"n1\" has no IPv4 InternalIP to be its router id; set `spec.routerID`",
        ),
    ] {
        let problems = refused(&text);
        assert!(problems[0].starts_with(expected), "{expected}: {problems:?}");
    }
}

#[test]
fn a_pod_cidr_that_overlaps_another_nodes_is_refused_at_both_and_nowhere_else() {
    let text = r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: all}
spec: {asn: {value: 64512}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
spec: {podCIDRs: [10.244.0.0/23]}
status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}
---
apiVersion: v1
kind: Node
metadata: {name: n3}
spec: {podCIDRs: [10.244.2.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.0.3}]}
"#;
    let objects = read(text).unwrap();
    let refused = |node| lines(&compute(&objects, node, Surroundings::default()).unwrap_err());
    assert_eq!(
        refused("n1"),
        [
            "a.yaml:12 (document 3): podCIDR 10.244.1.0/24 of Node \"n1\" overlaps podCIDR 10.244.0.0/23 of Node \"n2\""
        ]
    );
    assert_eq!(
        refused("n2"),
        [
            "a.yaml:6 (document 2): podCIDR 10.244.0.0/23 of Node \"n2\" overlaps podCIDR 10.244.1.0/24 of Node \"n1\""
        ]
    );
    assert!(compute(&objects, "n3", Surroundings::default()).is_ok());
}
