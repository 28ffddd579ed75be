//! Small clusters in words, and what a node of them is to be.

use bgp::config::PeerConfig;
use bgp::prefix::Prefix;
use controller::cluster::Problem;
use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;

use super::{lines, read};

const HEAD: &str = "apiVersion: underlay.dev/v1alpha1\n";

pub(super) fn fabric(name: &str, spec: &str) -> String {
    format!("---\n{HEAD}kind: Fabric\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

pub(super) fn peer(name: &str, spec: &str) -> String {
    format!("---\n{HEAD}kind: FabricPeer\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
}

/// Node `nN` of rack `rack`: 10.0.0.N, fd00::N, and its PodCIDRs.
pub(super) fn node(n: u8, rack: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: n{n}, labels: {{rack: \"{rack}\", asn: \"6500{rack}\"}}}}\n\
         spec: {{podCIDRs: [10.244.{n}.0/24, \"fd00:10:244:{n}::/64\"]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 10.0.0.{n}}}, {{type: InternalIP, address: \"fd00::{n}\"}}]}}\n"
    )
}

pub(super) fn address(ifindex: u32, text: &str) -> LocalAddress {
    let (address, len) = text.split_once('/').unwrap();
    LocalAddress {
        ifindex,
        name: format!("eth{ifindex}"),
        address: address.parse().unwrap(),
        prefix_len: len.parse().unwrap(),
        up: true,
    }
}

/// The addresses of node 1: loopback, an uplink with both families, a second one with IPv4 alone.
pub(super) fn addresses() -> Vec<LocalAddress> {
    vec![
        address(1, "127.0.0.1/8"),
        address(1, "10.0.0.1/32"),
        address(1, "fd00::1/128"),
        address(2, "10.0.1.2/24"),
        address(2, "fd00:1::2/64"),
        address(2, "fe80::2/64"),
        address(3, "10.0.2.2/31"),
    ]
}

fn outcome(text: &str) -> Result<Desired, Vec<Problem>> {
    let around = Surroundings { addresses: &addresses(), ..Surroundings::default() };
    compute(&read(text).unwrap(), "n1", around)
}

#[track_caller]
pub(super) fn desired(text: &str) -> Desired {
    outcome(text).unwrap_or_else(|problems| panic!("{:?}", lines(&problems)))
}

#[track_caller]
pub(super) fn refused(text: &str) -> Vec<String> {
    lines(&outcome(text).unwrap_err())
}

pub(super) fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(super) fn names(peers: &[PeerConfig]) -> Vec<(&str, String)> {
    peers.iter().map(|peer| (peer.name.as_str(), peer.address.to_string())).collect()
}
