//! FRR as the router of a rack.

use labs::frr::Frr;
use labs::{Sandbox, wait};
use nix::sys::signal::Signal;

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, manifest, rack};
use super::node::{LIMIT, Node};
use super::tamper::{Reader, Relay};

/// FRR's configuration: both families over one session with `neighbor`, and the far prefixes.
pub(super) fn config(neighbor: &str) -> String {
    format!(
        "router bgp 65100
 bgp router-id 10.0.1.1
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor {neighbor} remote-as 65001
 neighbor {neighbor} timers 1 3
 neighbor {neighbor} timers connect 1
 neighbor {neighbor} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {neighbor} activate
  network {FAR_V4}
 exit-address-family
 address-family ipv6 unicast
  neighbor {neighbor} activate
  network {FAR_V6}
 exit-address-family
"
    )
}

/// The same, and FRR opens no connection. FRR 8.4 that has ended the other connection of a collision may end the one
/// that was kept too, where our KEEPALIVE comes with our OPEN: where sessions are counted, there is to be no collision.
pub(super) fn passive(neighbor: &str) -> String {
    let timers = format!(" neighbor {neighbor} timers 1 3\n");
    config(neighbor).replace(&timers, &format!(" neighbor {neighbor} passive\n{timers}"))
}

/// The addresses of the two ends of the session: the node's and the router's.
pub(super) fn ends(over_v6: bool) -> (&'static str, &'static str) {
    if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") }
}

fn start(sandbox: &Sandbox, over_v6: bool) -> (Node, Frr) {
    start_with(sandbox, over_v6, config)
}

fn start_with(sandbox: &Sandbox, over_v6: bool, config: impl FnOnce(&str) -> String) -> (Node, Frr) {
    let (node, router) = rack(sandbox);
    let (own, peer) = ends(over_v6);
    let frr = Frr::start(sandbox, &router, "frr", &config(own));
    let node = Node::start(sandbox, node, "node", &manifest(peer, ""));
    (node, frr)
}

fn family(prefix: &str) -> &'static str {
    if prefix.contains(':') { "ipv6" } else { "ipv4" }
}

/// Waits until FRR's description of its route holds `word`, or until it has no route.
#[track_caller]
pub(super) fn until_frr(node: &Node, frr: &Frr, prefix: &str, word: Option<&str>) {
    node.until(&format!("FRR's route to {prefix}: {word:?}"), || {
        // Its layout is of no interest: without white space.
        let shown = frr.vtysh(&format!("show bgp {} unicast {prefix} json", family(prefix)));
        let shown = shown.split_whitespace().collect::<String>();
        let as_wished = match word {
            Some(word) => shown.contains(word),
            None => !shown.contains("\"paths\""),
        };
        if as_wished { Ok(()) } else { Err(shown) }
    });
}

/// Announces or withdraws the far prefixes.
fn announce(frr: &Frr, there: bool) {
    for prefix in [FAR_V4, FAR_V6] {
        let line = format!("{}network {prefix}", if there { "" } else { "no " });
        frr.configure(&["router bgp 65100", &format!("address-family {} unicast", family(prefix)), &line]);
    }
}

/// Waits until bgpd has logged a line.
#[track_caller]
fn until_logged(node: &Node, frr: &mut Frr, line: &str) {
    node.until(&format!("FRR to log {line}"), || {
        let log = frr.bgpd().log();
        if log.contains(line) { Ok(()) } else { Err(log) }
    });
}

fn both_ways(sandbox: &Sandbox, over_v6: bool) {
    let (node, frr) = start_with(sandbox, over_v6, passive);
    node.until_route(&format!("{FAR_V4} via 10.0.1.1 dev eth0"), true);
    node.until_route(&format!("{FAR_V6} via fd00:1::1 dev eth0"), true);
    until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.1.2\""));
    until_frr(&node, &frr, POD_V6, Some("\"ip\":\"fd00:1::2\""));
    until_frr(&node, &frr, POD_V4, Some("\"aspath\":{\"string\":\"65001\""));

    // Withdrawn by FRR, and announced again, in one session.
    announce(&frr, false);
    node.until_route(FAR_V4, false);
    node.until_route(FAR_V6, false);
    announce(&frr, true);
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);

    // Announced and withdrawn by us, by manifests alone.
    let (_, peer) = ends(over_v6);
    let more = r#"advertise: {prefixes: [{prefix: 10.244.200.1/32, communities: ["65001:7", "65001:1:2"], med: 5}, {prefix: "fd00:10:244:200::1/128"}]}"#;
    node.apply(&manifest(peer, more));
    until_frr(&node, &frr, "10.244.200.1/32", Some("\"community\":{\"string\":\"65001:7\""));
    until_frr(&node, &frr, "10.244.200.1/32", Some("\"largeCommunity\":{\"string\":\"65001:1:2\""));
    until_frr(&node, &frr, "10.244.200.1/32", Some("\"metric\":5,"));
    until_frr(&node, &frr, "fd00:10:244:200::1/128", Some("\"ip\":\"fd00:1::2\""));
    node.apply(&manifest(peer, ""));
    until_frr(&node, &frr, "10.244.200.1/32", None);
    until_frr(&node, &frr, "fd00:10:244:200::1/128", None);
    until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.1.2\""));
    assert_eq!(node.transitions("Established"), 1, "no reset in between:\n{}", node.agent.log());
}

#[test]
fn both_families_both_ways_over_ipv4() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| both_ways(sandbox, false));
}

#[test]
fn both_families_both_ways_over_ipv6() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| both_ways(sandbox, true));
}

#[test]
fn what_frr_sends_back_is_a_loop() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, _frr) = start(sandbox, false);
        node.until("the refusal", || {
            let story = node.ask(&format!("explain {POD_V4}"));
            let said = story.contains("rejected  as-loop: own AS 65001 in path");
            if said { Ok(()) } else { Err(story) }
        });
        assert!(node.routes().contains(&format!("unreachable {POD_V4}")), "{}", node.routes());
    });
}

#[test]
fn a_silent_peer_expires_and_comes_back() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (mut node, mut frr) = start(sandbox, false);
        node.until_route(FAR_V4, true);
        frr.bgpd().signal(Signal::SIGSTOP);
        node.until_route(FAR_V4, false);
        let log = node.agent.log();
        assert!(log.contains("hold-timer-expired"), "{log}");
        frr.bgpd().signal(Signal::SIGCONT);
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);

        // The other way round: FRR hears nothing and lets go; our kernel routes stay.
        until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.1.2\""));
        node.agent.signal(Signal::SIGSTOP);
        wait::until("FRR's hold timer", LIMIT, || {
            let shown = frr.vtysh(&format!("show bgp ipv4 unicast {POD_V4} json"));
            if shown.contains("\"paths\"") { Err(shown) } else { Ok(()) }
        });
        assert!(node.routes().contains(FAR_V4), "{}", node.routes());
        node.agent.signal(Signal::SIGCONT);
        until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.1.2\""));
        node.until_route(FAR_V4, true);
    });
}

#[test]
fn sigterm_says_goodbye_without_graceful_restart_and_leaves_the_routes() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let mut frr = Frr::start(sandbox, &router, "frr", &config("10.0.1.2"));
        let without = manifest("10.0.1.1", "gracefulRestart: {restartTime: 0s}");
        let mut node = Node::start(sandbox, node, "node", &without);
        node.until_route(FAR_V4, true);
        until_frr(&node, &frr, POD_V4, Some("\"ip\":\"10.0.1.2\""));
        let status = node.agent.terminate();
        assert!(status.success(), "{status}: {}", node.agent.log());
        until_logged(&node, &mut frr, "received from neighbor 10.0.1.2 6/2 (Cease/Administrative Shutdown)");
        assert!(node.routes().contains(FAR_V4), "{}", node.routes());
        assert!(node.routes().contains(&format!("unreachable {POD_V4}")), "{}", node.routes());
    });
}

#[test]
fn frr_is_told_that_its_as_is_wrong() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let wrong = config("10.0.1.2").replace("router bgp 65100", "router bgp 65999");
        let mut frr = Frr::start(sandbox, &router, "frr", &wrong);
        let node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
        node.until("the refusal", || {
            let peers = node.ask("peers");
            if peers.contains("peer AS is 65999, expected 65100") { Ok(()) } else { Err(peers) }
        });
        until_logged(&node, &mut frr, "received from neighbor 10.0.1.2 2/2 (OPEN Message Error/Bad Peer AS)");
        assert!(!node.routes().contains(FAR_V4));
    });
}

#[test]
fn frr_tells_us_that_our_as_is_wrong() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let other = config("10.0.1.2").replace("remote-as 65001", "remote-as 65002");
        let mut frr = Frr::start(sandbox, &router, "frr", &other);
        let node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
        node.until("what FRR says", || {
            let log = node.agent.log();
            if log.contains("peer sent OPEN Message Error/Bad Peer AS (2/2)") { Ok(()) } else { Err(log) }
        });
        until_logged(&node, &mut frr, "sent to neighbor 10.0.1.2 2/2 (OPEN Message Error/Bad Peer AS)");
        // Put right at FRR, it comes up by itself.
        frr.configure(&["router bgp 65100", "neighbor 10.0.1.2 remote-as 65001"]);
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
    });
}

/// A node and an FRR with a relay between them, and the session up.
fn relayed(sandbox: &Sandbox) -> (Node, Frr, Relay) {
    let (node, between) = rack(sandbox);
    let far = sandbox.router("far");
    sandbox.link(&between, "eth1", &far, "eth0");
    for (netns, interface, host) in [(&between, "eth1", 1), (&far, "eth0", 2)] {
        netns.ip(&format!("addr add 10.0.2.{host}/24 dev {interface}"));
        netns.ip(&format!("addr add fd00:2::{host}/64 dev {interface} nodad"));
    }
    // FRR's next hops lie beyond the relay.
    node.ip("route add 10.0.2.0/24 via 10.0.1.1");
    node.ip("route add fd00:2::/64 via fd00:1::1");
    let frr = Frr::start(sandbox, &far, "frr", &passive("10.0.2.1"));
    let relay = Relay::start(&between, "10.0.1.1:179".parse().unwrap(), "10.0.2.2:179".parse().unwrap());
    let node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
    node.until_route(&format!("{FAR_V4} via 10.0.1.1 dev eth0"), true);
    node.until_route(&format!("{FAR_V6} via fd00:1::1 dev eth0"), true);
    (node, frr, relay)
}

/// The cases of RFC 4271 §6.1: an octet of the header, and what is said of it.
const HEADER: [(usize, u8, &str, &str); 3] = [
    (0, 0x00, "1/1", "Message Header Error/Connection Not Synchronized"),
    (17, 18, "1/2", "Message Header Error/Bad Message Length"),
    (18, 99, "1/3", "Message Header Error/Bad Message Type"),
];

#[test]
fn a_spoiled_header_from_frr_is_answered_and_the_session_comes_back() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, mut frr, relay) = relayed(sandbox);
        for (session, (offset, value, number, words)) in HEADER.into_iter().enumerate() {
            relay.spoil(Reader::Agent, offset, value);
            node.until(&format!("our {number}"), || {
                let log = node.agent.log();
                if log.contains(&format!("sent {words} ({number})")) { Ok(()) } else { Err(log) }
            });
            until_logged(&node, &mut frr, &format!("received from neighbor 10.0.2.1 {number} ({words})"));
            node.until("the next session", || node.transitions("Established") == session + 2);
            node.until_route(FAR_V4, true);
            node.until_route(FAR_V6, true);
        }
    });
}

#[test]
fn a_spoiled_header_from_us_is_answered_and_the_session_comes_back() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, mut frr, relay) = relayed(sandbox);
        for (session, (offset, value, number, words)) in HEADER.into_iter().enumerate() {
            relay.spoil(Reader::Peer, offset, value);
            until_logged(&node, &mut frr, &format!("sent to neighbor 10.0.2.1 {number} ({words})"));
            node.until(&format!("FRR's {number}"), || {
                let log = node.agent.log();
                if log.contains(&format!("peer sent {words} ({number})")) { Ok(()) } else { Err(log) }
            });
            node.until("the next session", || node.transitions("Established") == session + 2);
            node.until_route(FAR_V4, true);
            node.until_route(FAR_V6, true);
        }
    });
}

#[test]
fn a_hold_timer_that_expires_is_said_to_the_other_side() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, mut frr, relay) = relayed(sandbox);
        // FRR talks and is not heard: ours expires, and FRR hears that.
        relay.keep(Reader::Agent);
        until_logged(&node, &mut frr, "received from neighbor 10.0.2.1 4/0 (Hold Timer Expired)");
        node.until_route(FAR_V4, false);
        assert!(node.agent.log().contains("hold-timer-expired"), "{}", node.agent.log());
        relay.pass();
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        // And the other way round.
        relay.keep(Reader::Peer);
        node.until("FRR's hold timer", || {
            let log = node.agent.log();
            if log.contains("peer sent Hold Timer Expired (4/0)") { Ok(()) } else { Err(log) }
        });
        relay.pass();
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
    });
}
