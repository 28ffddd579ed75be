//! Peers that are found on each node.

use std::net::IpAddr;

use controller::desired::{Surroundings, compute};
use controller::kernel::LocalAddress;

use super::{lines, read};

/// The addresses of the peers of node n1, and the warnings.
#[track_caller]
fn found(from: &str, labels: &str, annotations: &str, gateways: &[&str]) -> (Vec<String>, Vec<String>) {
    let text = format!(
        r#"
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: f}}
spec: {{asn: {{fromLabel: asn}}, podPrefixes: [10.244.0.0/16]}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{asn: External, addressFrom: {{{from}}}}}
---
apiVersion: v1
kind: Node
metadata: {{name: n1, labels: {{asn: "65001", {labels}}}, annotations: {{{annotations}}}}}
spec: {{podCIDRs: [10.244.1.0/24]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.5}}, {{type: InternalIP, address: "fd00:1::5"}}]}}
"#
    );
    let local = |text: &str, prefix_len| LocalAddress {
        ifindex: 2,
        name: "eth0".into(),
        address: text.parse().unwrap(),
        prefix_len,
        up: true,
    };
    let addresses = [local("10.0.1.5", 24), local("fd00:1::5", 64)];
    let gateways: Vec<IpAddr> = gateways.iter().map(|text| text.parse().unwrap()).collect();
    let around = Surroundings {
        addresses: &addresses,
        gateways: &gateways,
        passing: &[],
        hosts: &[],
        ..Surroundings::default()
    };
    let desired = compute(&read(&text).unwrap(), "n1", around).unwrap_or_else(|p| panic!("{:?}", lines(&p)));
    assert_eq!(desired.speaker.asn.0, 65001, "the AS of the rack, from a label");
    let peers = desired.speaker.peers.iter().map(|peer| format!("{} {}", peer.name, peer.address));
    (peers.collect(), desired.warnings.iter().map(ToString::to_string).collect())
}

const BEFORE: &str = "FabricPeer \"tor\": field `spec.addressFrom`: ";

#[track_caller]
fn gives(from: &str, labels: &str, annotations: &str, gateways: &[&str], peers: &[&str], wrong: &[&str]) {
    let (found, warnings) = found(from, labels, annotations, gateways);
    let expected: Vec<String> = peers.iter().map(|peer| format!("tor {peer}")).collect();
    assert_eq!(found, expected, "{from}");
    let wrong: Vec<String> = wrong.iter().map(|text| format!("{BEFORE}{text}")).collect();
    assert_eq!(warnings, wrong, "{from}");
}

#[test]
fn default_gateways() {
    let both = ["10.0.1.1", "10.0.1.2", "fd00:1::1"];
    gives("defaultGateway: IPv4", "", "", &both, &["10.0.1.1", "10.0.1.2"], &[]);
    gives("defaultGateway: IPv6", "", "", &both, &["fd00:1::1"], &[]);
    let none = "node \"n1\" has no default gateway of family IPv4";
    gives("defaultGateway: IPv4", "", "", &[], &[], &[none]);
    let local = "default gateway fe80::1 of node \"n1\" is link-local, and is no peer";
    gives("defaultGateway: IPv6", "", "", &["fe80::1"], &[], &[local]);
}

#[test]
fn labels_and_annotations() {
    gives("nodeLabel: tor", "tor: 10.0.1.1", "", &[], &["10.0.1.1"], &[]);
    gives("nodeLabel: tor", "", "", &[], &[], &["node \"n1\" has no label `tor`"]);
    let not = "label `tor` of node \"n1\": `tor-1` is not the address of a peer";
    gives("nodeLabel: tor", "tor: tor-1", "", &[], &[], &[not]);
    let list = "tors: \"10.0.1.2, fd00:1::1,10.0.1.1,10.0.1.2\"";
    gives("nodeAnnotation: tors", "", list, &[], &["10.0.1.1", "10.0.1.2", "fd00:1::1"], &[]);
    let not = "annotation `tors` of node \"n1\": `224.0.0.1` is not the address of a peer";
    gives("nodeAnnotation: tors", "", "tors: \"10.0.1.1,224.0.0.1\"", &[], &["10.0.1.1"], &[not]);
    let many: Vec<String> = (1..=20).map(|number| format!("10.0.1.{}", 100 + number)).collect();
    let (peers, warnings) = found("nodeAnnotation: tors", "", &format!("tors: \"{}\"", many.join(",")), &[]);
    assert_eq!(peers.len(), 16);
    assert_eq!(warnings, [format!("{BEFORE}20 addresses are more than 16, and the rest is left out")]);
    // The node itself is not its own peer.
    gives("nodeLabel: tor", "tor: 10.0.1.5", "", &[], &[], &[]);
}

#[test]
fn hosts_of_the_subnet() {
    gives("subnetHost: {family: IPv4, hosts: [2, 3]}", "", "", &[], &["10.0.1.2", "10.0.1.3"], &[]);
    gives("subnetHost: {family: IPv6, hosts: [1]}", "", "", &[], &["fd00:1::1"], &[]);
    let none = [
        "subnet 10.0.1.0/24 of node \"n1\" has no host 255",
        "subnet 10.0.1.0/24 of node \"n1\" has no host 256",
    ];
    gives("subnetHost: {family: IPv4, hosts: [254, 255, 256]}", "", "", &[], &["10.0.1.254"], &none);
}
