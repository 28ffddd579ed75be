//! Peers that are the neighbour on an interface.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use bgp::config::{OwnNextHop, PeerConfig};
use bgp::zone::{self, Zone};
use controller::desired::{Desired, Surroundings, compute};
use controller::kernel::LocalAddress;
use controller::transport::Hops;

use super::{lines, read};

fn on(link: u32, text: &str) -> Ipv6Addr {
    zone::within(text.parse().unwrap(), Zone::new(link).unwrap()).unwrap()
}

fn local(ifindex: u32, text: &str, up: bool) -> LocalAddress {
    let name = format!("eth{ifindex}");
    LocalAddress { ifindex, name, address: text.parse().unwrap(), prefix_len: 64, up }
}

/// Node n1 with these FabricPeers, by name and what they say.
fn desired(peers: &[(&str, &str)], around: Surroundings<'_>) -> Result<Desired, Vec<String>> {
    let mut text = r#"
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: f}
spec: {asn: {value: 65001}, podPrefixes: [10.244.0.0/16]}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDRs: [10.244.1.0/24]}
status: {addresses: [{type: InternalIP, address: 10.0.1.5}, {type: InternalIP, address: "fd00:1::5"}]}
"#
    .to_owned();
    for (name, more) in peers {
        text += &format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: {name}}}\nspec: {{{more}}}\n"
        );
    }
    compute(&read(&text).unwrap(), "n1", around).map_err(|problems| lines(&problems))
}

const EACH: [(&str, &str); 2] =
    [("one", "interface: eth1, asn: External"), ("two", "interface: eth2, asn: External")];

fn shown(peers: &[PeerConfig]) -> Vec<String> {
    let obstacle = |peer: &PeerConfig| match &peer.obstacle {
        Some(obstacle) => format!("{}: {}", obstacle.reason(), obstacle.text()),
        None => "-".to_owned(),
    };
    let one = |peer: &PeerConfig| {
        format!("{} {} {}", peer.name, zone::shown(peer.address, |_| None), obstacle(peer))
    };
    peers.iter().map(one).collect()
}

#[test]
fn a_neighbour_is_found_on_its_link_and_nowhere_else() {
    let addresses = [local(1, "fe80::5", true), local(2, "fe80::6", true), local(2, "10.0.2.5", true)];
    let around = Surroundings { addresses: &addresses, ..Surroundings::default() };
    let nobody = desired(&EACH, around).unwrap();
    assert_eq!(
        shown(&nobody.speaker.peers),
        [
            "one fe80::%1 no-neighbor: no router advertisement was heard on eth1",
            "two fe80::%2 no-neighbor: no router advertisement was heard on eth2",
        ]
    );
    assert_eq!(nobody.links, BTreeMap::from([(1, "eth1".to_owned()), (2, "eth2".to_owned())]));
    assert_eq!(nobody.warnings.len(), 2, "{:?}", nobody.warnings);

    // The same address on both links, and one of our own that came back to us.
    let heard: Vec<IpAddr> = vec![on(1, "fe80::5").into(), on(1, "fe80::1").into(), on(2, "fe80::1").into()];
    let found = desired(&EACH, Surroundings { neighbours: &heard, ..around }).unwrap();
    assert_eq!(shown(&found.speaker.peers), ["one fe80::1%1 -", "two fe80::1%2 -"]);
    let [one, two] = &found.speaker.peers[..] else { panic!("two peers") };
    for (peer, own) in [(one, on(1, "fe80::5")), (two, on(2, "fe80::6"))] {
        // No IPv4 address, though eth2 has one, and the InternalIP is another: RFC 8950.
        assert_eq!(peer.own_next_hop, OwnNextHop { ipv4: None, ipv6: Some(own) });
        assert!(peer.extended_next_hop && peer.source.is_none() && !peer.via_default);
        assert!(found.speaker.protected.addresses.contains(&own.into()));
        let terms = &found.neighbours[&bgp::prefix::Prefix::host(peer.address)];
        assert_eq!(terms.hops, Hops::AtMost(1));
    }
}

#[test]
fn a_link_that_is_down_keeps_its_neighbour() {
    let heard: Vec<IpAddr> = vec![on(1, "fe80::1").into()];
    let (links, one) = (BTreeMap::from([(1, "eth1".to_owned())]), &EACH[..1]);
    let around = Surroundings { neighbours: &heard, links: Some(&links), ..Surroundings::default() };
    let peers = |addresses: &[LocalAddress]| {
        shown(&desired(one, Surroundings { addresses, ..around }).unwrap().speaker.peers)
    };
    let down = ["one fe80::1%1 link-down: interface eth1 is down"];
    // Without a carrier it has its address, set down it has none.
    assert_eq!(peers(&[local(1, "fe80::5", false)]), down);
    assert_eq!(peers(&[]), down);
    let bare = "one fe80::1%1 link-down: interface eth1 has no IPv6 link-local address";
    assert_eq!(peers(&[local(1, "10.0.1.5", true)]), [bare]);
    // A node that never had it.
    let unknown = desired(one, Surroundings::default()).unwrap();
    assert!(unknown.speaker.peers.is_empty() && unknown.links.is_empty());
    let text = unknown.warnings.iter().map(ToString::to_string).collect::<String>();
    assert!(text.contains("FabricPeer \"one\": node \"n1\" has no interface eth1"), "{text}");
}

#[test]
fn two_objects_about_one_link_contradict_each_other() {
    let addresses = [local(1, "fe80::5", true)];
    let heard: Vec<IpAddr> = vec![on(1, "fe80::1").into()];
    let around = Surroundings { addresses: &addresses, neighbours: &heard, ..Surroundings::default() };
    let both = [("one", "interface: eth1, asn: External"), ("two", "interface: eth1, asn: 65100")];
    let problems = desired(&both, around).unwrap_err().concat();
    let text = "FabricPeer \"two\" and FabricPeer \"one\" contradict each other about peer fe80::1%eth1 of node \"n1\"";
    assert!(problems.contains(text), "{problems}");
}
