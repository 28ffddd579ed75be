//! How far away a peer may be: GTSM (RFC 5082), hops, and the address to connect from.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox};

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, config, manifest, rack, until_bird};
use super::frr::{self, until_frr};
use super::node::Node;
use super::password::{counted, until_said};

/// The node's manifest with more of its peer.
fn peering(peer: &str, more: &str) -> String {
    manifest(peer, "").replace("asn: 65100}", &format!("asn: 65100{more}}}"))
}

fn guarded_by_bird(sandbox: &Sandbox, over_v6: bool) {
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") };
    let bird_with =
        |more: &str| config(own, true).replace("local as 65100;", &format!("local as 65100; {more}"));
    let (node, router) = rack(sandbox);
    // A neighbour that does not send with the greatest TTL is not heard.
    let bird = Bird::start(sandbox, &router, "bird", &bird_with("passive on;"));
    let node = Node::start(sandbox, node, "node", &peering(peer, ", ttlSecurity: {hops: 1}"));
    node.until("segments from too far away", || {
        let count = counted(&node.netns, "TCPMinTTLDrop");
        if count > 0 { Ok(()) } else { Err(count.to_string()) }
    });
    assert_eq!(node.transitions("Established"), 0, "{}", node.agent.log());

    bird.configure(&bird_with("ttl security on;"));
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));

    // BIRD does not hear us either once we send with another TTL, on the connection that is open.
    node.apply(&peering(peer, ""));
    until_bird(&node, &bird, POD_V4, None);
    node.apply(&peering(peer, ", ttlSecurity: {hops: 1}"));
    until_bird(&node, &bird, POD_V6, Some("BGP.next_hop: fd00:1::2"));
}

#[test]
fn neighbours_prove_that_they_are_neighbours_over_ipv4() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| guarded_by_bird(sandbox, false));
}

#[test]
fn neighbours_prove_that_they_are_neighbours_over_ipv6() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| guarded_by_bird(sandbox, true));
}

/// A node and a router with another router between them, whose loopback addresses know of each other.
fn far_apart(sandbox: &Sandbox) -> (Netns, Netns) {
    let (node, middle, router) = (sandbox.router("node"), sandbox.router("middle"), sandbox.router("router"));
    for (number, end) in [(1, &node), (2, &router)] {
        sandbox.link(end, "eth0", &middle, &format!("eth{number}"));
        end.ip(&format!("addr add 10.0.{number}.2/24 dev eth0"));
        end.ip(&format!("addr add fd00:{number}::2/64 dev eth0 nodad"));
        middle.ip(&format!("addr add 10.0.{number}.1/24 dev eth{number}"));
        middle.ip(&format!("addr add fd00:{number}::1/64 dev eth{number} nodad"));
        end.ip(&format!("addr add 192.0.2.{number}/32 dev lo"));
        end.ip(&format!("addr add fd00:9::{number}/128 dev lo"));
        end.ip(&format!("route add default via 10.0.{number}.1"));
        end.ip(&format!("-6 route add default via fd00:{number}::1"));
        middle.ip(&format!("route add 192.0.2.{number}/32 via 10.0.{number}.2"));
        middle.ip(&format!("-6 route add fd00:9::{number}/128 via fd00:{number}::2"));
    }
    (node, router)
}

fn far_from_frr(sandbox: &Sandbox, over_v6: bool) {
    let (own, peer) = if over_v6 { ("fd00:9::1", "fd00:9::2") } else { ("192.0.2.1", "192.0.2.2") };
    let (node, router) = far_apart(sandbox);
    let line = format!(" neighbor {own} remote-as 65001\n");
    let more = format!("{line} neighbor {own} ebgp-multihop 2\n neighbor {own} update-source {peer}\n");
    let frr = Frr::start(sandbox, &router, "frr", &frr::passive(own).replace(&line, &more));
    let from_loopback = |more: &str| peering(peer, &format!(", sourceAddressFrom: {{interface: lo}}{more}"));
    let node = Node::start(sandbox, node, "node", &from_loopback(""));
    until_said(&node, "an external peer further away needs `multihop`");
    let shown = node.ask("peers -o json");
    assert!(shown.contains("\"not-on-link\""), "{shown}");

    // One hop is too few: the router between says so.
    node.apply(&from_loopback(", multihop: 1"));
    until_said(&node, "no route to host");

    let (far, via, pod) = if over_v6 {
        (FAR_V6, "via fd00:1::1 dev eth0", POD_V6)
    } else {
        (FAR_V4, "via 10.0.1.1 dev eth0", POD_V4)
    };
    node.apply(&from_loopback(", multihop: 2"));
    node.until_route(&format!("{far} {via}"), true);
    until_frr(&node, &frr, pod, Some(&format!("\"peerId\":\"{own}\"")));

    // The same, proven by both.
    frr.configure(&[
        "router bgp 65100",
        &format!("no neighbor {own} ebgp-multihop"),
        &format!("neighbor {own} ttl-security hops 2"),
    ]);
    until_frr(&node, &frr, pod, None);
    node.apply(&from_loopback(", ttlSecurity: {hops: 2}"));
    until_frr(&node, &frr, pod, Some(&format!("\"peerId\":\"{own}\"")));
    node.until_route(&format!("{far} {via}"), true);
}

#[test]
fn a_peer_two_hops_away_over_ipv4() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| far_from_frr(sandbox, false));
}

#[test]
fn a_peer_two_hops_away_over_ipv6() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| far_from_frr(sandbox, true));
}

#[test]
fn the_other_end_of_a_link_is_the_peer() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = (sandbox.router("node"), sandbox.router("router"));
        sandbox.link(&node, "eth0", &router, "eth0");
        for (netns, host) in [(&node, 0), (&router, 1)] {
            netns.ip(&format!("addr add 10.0.1.{host}/31 dev eth0"));
            netns.ip(&format!("addr add fd00:1::{host}/127 dev eth0 nodad"));
        }
        let found = manifest("X", "").replace("address: \"X\"", "addressFrom: {otherEnd: [eth0]}");
        let found = found.replace("10.0.1.2", "10.0.1.0").replace("fd00:1::2", "fd00:1::");
        let bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.0", true));
        let node = Node::start(sandbox, node, "node", &found);
        node.until_route(&format!("{FAR_V4} via 10.0.1.1 dev eth0"), true);
        node.until_route(&format!("{FAR_V6} via fd00:1::1 dev eth0"), true);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.0"));
        until_bird(&node, &bird, POD_V6, Some("BGP.next_hop: fd00:1::"));
    });
}
