//! How far away a peer may be, and from which address it is connected to.

use bgp::config::{Obstacle, PeerConfig};
use bgp::time::Duration;
use controller::bfd::Distance;
use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;
use controller::transport::Hops;

use super::{lines, read};

/// Node n1 with a FabricPeer: a subnet of each family, two links of two addresses, and addresses on its loopback.
#[track_caller]
fn desired(peer: &str) -> Desired {
    let text = format!(
        r#"
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: f}}
spec: {{asn: {{value: 65001}}, podPrefixes: [10.244.0.0/16]}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{{peer}}}
---
apiVersion: v1
kind: Node
metadata: {{name: n1, annotations: {{bgp: "fd00::1, 192.0.2.2", none: "x"}}}}
spec: {{podCIDRs: [10.244.1.0/24]}}
status: {{addresses: [{{type: InternalIP, address: 192.0.2.1}}]}}
"#
    );
    let local = |ifindex, name: &str, text: &str, prefix_len| LocalAddress {
        ifindex,
        name: name.into(),
        address: text.parse().unwrap(),
        prefix_len,
        up: true,
    };
    let addresses = [
        local(1, "lo", "127.0.0.1", 8),
        local(1, "lo", "192.0.2.1", 32),
        local(1, "lo", "192.0.2.2", 32),
        local(1, "lo", "fd00::1", 128),
        local(2, "eth0", "10.0.1.5", 24),
        local(3, "eth1", "10.0.2.6", 31),
        local(3, "eth1", "fd00:2::6", 127),
        local(4, "eth2", "fd00:3::7", 127),
    ];
    let around = Surroundings { addresses: &addresses, ..Surroundings::default() };
    compute(&read(&text).unwrap(), "n1", around).unwrap_or_else(|problems| panic!("{:?}", lines(&problems)))
}

/// The one peer, how far away it may be, and what people are told.
#[track_caller]
fn one(peer: &str) -> (PeerConfig, Hops, Vec<String>) {
    let Desired { speaker, neighbours, warnings, .. } = desired(peer);
    let [config] = &speaker.peers[..] else { panic!("{peer}: {:?}", speaker.peers) };
    assert_eq!(neighbours.len(), 1, "{neighbours:?}");
    let terms = &neighbours[&bgp::prefix::Prefix::host(config.address)];
    (config.clone(), terms.hops, lines(&warnings))
}

#[test]
fn an_external_peer_is_on_link_unless_it_may_be_further_away() {
    let off = |address: &str| {
        let why = format!(
            "{address} is not on a subnet of this node; an external peer further away needs `multihop`"
        );
        Some(Obstacle::NotOnLink(why))
    };
    // What is said, the hops, whether the default route leads there, and what is in the way.
    let table = [
        ("address: 10.0.1.1, asn: 65100", Hops::AtMost(1), false, None),
        ("address: 10.0.1.1, asn: Any", Hops::AtMost(1), false, None),
        ("address: 10.0.1.1, asn: 65001", Hops::Any, false, None),
        ("address: 10.0.1.1, asn: Internal, multihop: 3", Hops::AtMost(3), false, None),
        ("address: 10.0.1.1, asn: External, ttlSecurity: {hops: 1}", Hops::Proven(1), false, None),
        ("address: 10.0.9.1, asn: 65100", Hops::AtMost(1), false, off("10.0.9.1")),
        ("address: 10.0.9.1, asn: 65100, ttlSecurity: {hops: 1}", Hops::Proven(1), false, off("10.0.9.1")),
        ("address: 10.0.9.1, asn: Internal", Hops::Any, false, None),
        ("address: 10.0.9.1, asn: Internal, multihop: 9", Hops::AtMost(9), true, None),
        ("address: 10.0.9.1, asn: External, multihop: 2", Hops::AtMost(2), true, None),
        ("address: 10.0.9.1, asn: External, ttlSecurity: {hops: 2}", Hops::Proven(2), true, None),
    ];
    for (spec, hops, via_default, obstacle) in table {
        let (peer, found, warnings) = one(spec);
        assert_eq!((found, peer.via_default, &peer.obstacle), (hops, via_default, &obstacle), "{spec}");
        assert_eq!(warnings.len(), usize::from(obstacle.is_some()), "{spec}: {warnings:?}");
    }
}

#[test]
fn a_peer_is_connected_to_from_the_address_that_is_asked_for() {
    let from = |address: &str, source: &str| {
        let spec = format!("address: \"{address}\", asn: 65100, multihop: 4, sourceAddressFrom: {source}");
        let (peer, _, warnings) = one(&spec);
        (peer.source.map(|source| source.to_string()), peer.obstacle, warnings)
    };
    let is = |address: &str| (Some(address.to_owned()), None, vec![]);
    let lacks = |why: &str| {
        let told = format!("FabricPeer \"tor\": {why}, and its session stays down");
        (None, Some(Obstacle::NoSource(why.to_owned())), told)
    };
    assert_eq!(from("10.0.9.1", "InternalIP"), is("192.0.2.1"));
    assert_eq!(
        from("10.0.9.1", "{interface: lo}"),
        is("192.0.2.1"),
        "no loopback address, and the InternalIP first"
    );
    assert_eq!(from("fd00:9::1", "{interface: lo}"), is("fd00::1"));
    assert_eq!(from("10.0.9.1", "{nodeAnnotation: bgp}"), is("192.0.2.2"));
    assert_eq!(from("fd00:9::1", "{nodeAnnotation: bgp}"), is("fd00::1"));
    // On-link too: the peer may know this node by another address than that of the subnet.
    assert_eq!(from("10.0.1.1", "InternalIP"), is("192.0.2.1"));
    for (address, source, why) in [
        ("fd00:9::1", "InternalIP", "node \"n1\" has no InternalIP of family IPv6 to connect from"),
        (
            "10.0.9.1",
            "{interface: eth2}",
            "interface eth2 of node \"n1\" has no IPv4 address to connect from",
        ),
        ("10.0.9.1", "{nodeAnnotation: none}", "annotation `none` of node \"n1\" holds no IPv4 address: `x`"),
        ("10.0.9.1", "{nodeAnnotation: gone}", "node \"n1\" has no annotation `gone`"),
    ] {
        let (source, obstacle, warnings) = from(address, source);
        let (no_source, no_way, told) = lacks(why);
        assert_eq!((source, obstacle), (no_source, no_way));
        assert!(warnings[0].ends_with(&told), "{warnings:?}");
    }
}

#[test]
fn the_other_end_of_a_link_of_two_addresses() {
    let found = |spec: &str| {
        let Desired { speaker, warnings, .. } = desired(spec);
        let peers: Vec<String> = speaker.peers.iter().map(|peer| peer.address.to_string()).collect();
        (peers, lines(&warnings))
    };
    let both = "addressFrom: {otherEnd: [eth1, eth2]}, asn: External";
    assert_eq!(found(both), (vec!["10.0.2.7".into(), "fd00:3::6".into()], vec![]));
    let six = format!("{both}, families: [IPv6]");
    assert_eq!(found(&six), (vec!["fd00:2::7".into(), "fd00:3::6".into()], vec![]));
    let (peers, warnings) = found("addressFrom: {otherEnd: [eth0, eth9]}, asn: External");
    assert!(peers.is_empty());
    for (warning, name) in warnings.iter().zip(["eth0", "eth9"]) {
        assert!(
            warning.ends_with(&format!("interface {name} of node \"n1\" has no /31 or /127")),
            "{warning}"
        );
    }
    assert_eq!(warnings.len(), 2);
}

#[test]
fn bfd_looks_after_neighbours_and_after_who_is_further_away() {
    let watch = |peer: &str| {
        let desired = desired(&format!("asn: 65002, {peer}"));
        let all: Vec<_> = desired.watch.iter().map(|(peer, watched)| (peer.to_string(), *watched)).collect();
        all
    };
    assert!(watch("address: 10.0.1.9").is_empty());
    let [(peer, near)] = &watch("address: 10.0.1.9, bfd: {}")[..] else { panic!("one is watched") };
    assert_eq!(
        (peer.as_str(), near.distance, near.source),
        ("10.0.1.9", Distance::OneHop, "10.0.1.5".parse().ok())
    );
    assert_eq!((near.config.interval, near.config.multiplier), (Duration::from_millis(300), 3));
    let far = watch("address: 198.51.100.1, multihop: 3, bfd: {interval: 50ms, multiplier: 5}");
    let [(_, far)] = &far[..] else { panic!("one is watched") };
    assert_eq!((far.distance, far.source), (Distance::Several, None));
    assert_eq!((far.config.interval, far.config.multiplier), (Duration::from_millis(50), 5));
    assert!(watch("address: 10.0.1.9, disabled: true, bfd: {}").is_empty(), "nobody relies on it");
}
