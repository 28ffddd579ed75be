//! Peers that connect from a prefix, part by part.

use bgp::prefix::Prefix;
use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;
use controller::transport::Hops;

use super::{lines, read};

/// Node n1 with a subnet of each family, and FabricPeers.
fn desired(peers: &[&str]) -> Result<Desired, Vec<String>> {
    let peer = |(number, spec): (usize, &&str)| {
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: p{number}}}\nspec: {{{spec}}}\n"
        )
    };
    let peers: String = peers.iter().enumerate().map(peer).collect();
    let text = format!(
        "apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: f}}\n\
         spec: {{mesh: None, asn: {{value: 65001}}, podPrefixes: [10.244.0.0/16]}}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nspec: {{podCIDRs: [10.244.1.0/24]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 192.0.2.1}}]}}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: hunter2}}\n{peers}"
    );
    let local = |ifindex, text: &str, prefix_len| LocalAddress {
        ifindex,
        name: format!("eth{ifindex}"),
        address: text.parse().unwrap(),
        prefix_len,
        up: true,
    };
    let addresses = [
        local(1, "192.0.2.1", 32),
        local(2, "10.0.1.5", 24),
        local(3, "10.0.2.5", 24),
        local(2, "fd00:1::5", 64),
        local(3, "fe80::5", 64),
    ];
    let around = Surroundings { addresses: &addresses, ..Surroundings::default() };
    compute(&read(&text).unwrap(), "n1", around).map_err(|problems| lines(&problems))
}

/// Prefix, own IPv4 next hop, most and hops of a part.
type Part = (String, String, u32, Hops);

/// Each part, and the warnings.
#[track_caller]
fn parts(spec: &str) -> (Vec<Part>, Vec<String>) {
    let Desired { speaker, neighbours, warnings, .. } = desired(&[spec]).unwrap();
    assert!(speaker.peers.is_empty());
    let parts = speaker.dynamic.iter().map(|range| {
        assert!(range.peer.passive && range.peer.obstacle.is_none(), "{range:?}");
        let next_hop = range.peer.own_next_hop.ipv4.expect("one").to_string();
        (range.prefix.to_string(), next_hop, range.most, neighbours[&range.prefix].hops)
    });
    (parts.collect(), lines(&warnings))
}

#[test]
fn a_prefix_is_taken_apart_by_subnets() {
    let part = |prefix: &str, next_hop: &str, hops| (prefix.to_owned(), next_hop.to_owned(), 100, hops);
    let near = |prefix, next_hop| part(prefix, next_hop, Hops::AtMost(1));
    let none: Vec<String> = Vec::new();
    let found = parts("listen: {prefix: 10.0.1.0/24}, asn: External");
    assert_eq!(found, (vec![near("10.0.1.0/24", "10.0.1.5")], none.clone()));
    let found = parts("listen: {prefix: 10.0.1.64/26}, asn: External");
    assert_eq!(found, (vec![near("10.0.1.64/26", "10.0.1.5")], none.clone()), "a part of a subnet");
    let found = parts("listen: {prefix: 10.0.0.0/16}, asn: External");
    let both = vec![near("10.0.1.0/24", "10.0.1.5"), near("10.0.2.0/24", "10.0.2.5")];
    assert_eq!(found, (both, none.clone()), "and nobody of beyond");
    let found = parts("listen: {prefix: 10.0.0.0/16, max: 7}, asn: External, multihop: 3");
    let far = |prefix: &str, next_hop: &str| (prefix.to_owned(), next_hop.to_owned(), 7, Hops::AtMost(3));
    let all =
        vec![far("10.0.0.0/16", "192.0.2.1"), far("10.0.1.0/24", "10.0.1.5"), far("10.0.2.0/24", "10.0.2.5")];
    assert_eq!(found, (all, none.clone()));
    let found = parts("listen: {prefix: 172.16.0.0/12}, asn: Internal");
    assert_eq!(found, (vec![part("172.16.0.0/12", "192.0.2.1", Hops::Any)], none));
    let (found, warnings) = parts("listen: {prefix: 172.16.0.0/12}, asn: External");
    assert!(found.is_empty() && warnings[0].contains("holds no subnet of this node"), "{warnings:?}");
}

#[test]
fn a_key_is_that_of_the_prefix() {
    let keyed = "listen: {prefix: 10.0.1.0/24}, asn: External, passwordSecretRef: {name: s, key: key}";
    let Desired { neighbours, speaker, warnings, .. } =
        desired(&[keyed, "address: 10.0.1.9, asn: External", "address: 10.0.2.9, asn: External"]).unwrap();
    let password = |prefix: &str| neighbours[&prefix.parse::<Prefix>().unwrap()].password.is_some();
    assert!(password("10.0.1.0/24") && !password("10.0.1.9/32") && !password("10.0.2.9/32"));
    assert!(speaker.dynamic[0].peer.authenticated);
    // The kernel asks everybody in the prefix for the key.
    let warned =
        "peer 10.0.1.9 has no password, but the peers in 10.0.1.0/24 have: it cannot connect to this node";
    assert!(warnings.len() == 1 && lines(&warnings)[0].ends_with(warned), "{:?}", lines(&warnings));
    // A key that is missing lets nobody in.
    let missing = desired(&[&keyed.replace("key: key", "key: gone")]).unwrap();
    assert!(missing.speaker.dynamic[0].peer.obstacle.is_some());
    let twice = desired(&[keyed, "listen: {prefix: 10.0.1.0/24}, asn: Internal"]).unwrap_err();
    assert!(twice[0].contains("contradict each other about peer 10.0.1.0/24"), "{twice:?}");
}
