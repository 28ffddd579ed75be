//! TCP MD5 (RFC 2385) towards BIRD and FRR, with right, wrong, missing and new keys.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox, wait};

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, config, manifest, rack, until_bird};
use super::frr::{self, ends, until_frr};
use super::node::{LIMIT, Node};

/// The reason of a session whose ends have different keys: TCP is never answered.
const UNANSWERED: &str = "no answer to TCP within 5s: the peer is away, or its password is another";

/// The node's manifest with a key for the router, and its Secret if there is one.
fn keyed(peer: &str, secret: Option<&str>) -> String {
    let manifest = manifest(peer, "")
        .replace("asn: 65100}", "asn: 65100, passwordSecretRef: {name: tor, key: password}}");
    let secret = secret.map(|key| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tor}}\nstringData: {{password: {key}}}\n"
        )
    });
    manifest + &secret.unwrap_or_default()
}

fn bird(own: &str, key: Option<&str>, passive: bool) -> String {
    let key = key.map(|key| format!("password \"{key}\";")).unwrap_or_default();
    let passive = if passive { "passive on;" } else { "" };
    config(own, true).replace("local as 65100;", &format!("local as 65100; {key} {passive}"))
}

/// Waits until the node says of its peer what `word` says.
#[track_caller]
pub(super) fn until_said(node: &Node, word: &str) {
    node.until(&format!("peers to say {word}"), || {
        let shown = node.ask("peers");
        if shown.contains(word) { Ok(()) } else { Err(shown) }
    });
}

/// Segments that the kernel of a namespace dropped for their signature.
pub(super) fn dropped(netns: &Netns) -> u64 {
    counted(netns, "TCPMD5")
}

/// The sum of the kernel's counters of TCP in a namespace whose name begins so.
pub(super) fn counted(netns: &Netns, prefix: &str) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let shown = netns.enter(read);
    let mut lines = shown.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    let wanted = pairs.filter(|(name, _)| name.starts_with(prefix));
    wanted.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

/// Waits until the node's kernel has dropped segments for their signature.
#[track_caller]
fn until_dropped(node: &Node) {
    node.until("segments with a wrong signature", || {
        let count = dropped(&node.netns);
        if count > 0 { Ok(()) } else { Err(count.to_string()) }
    });
}

fn with_key(sandbox: &Sandbox, over_v6: bool) {
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") };
    let (node, router) = rack(sandbox);
    let bird_daemon = Bird::start(sandbox, &router, "bird", &bird(own, Some("hunter2"), false));

    // Without the Secret the session stays down, also for BIRD's own attempts.
    let node = Node::start(sandbox, node, "node", &keyed(peer, None));
    until_said(&node, "Secret \"tor\" is missing");
    let status = node.ask("status");
    assert!(status.contains("Secret \"tor\" is missing, and its sessions stay down"), "{status}");

    // With a wrong key neither side hears the other.
    node.apply(&keyed(peer, Some("wrong")));
    until_dropped(&node);
    until_said(&node, UNANSWERED);
    assert_eq!(node.transitions("Established"), 0, "{}", node.agent.log());

    // With the right one, by either side's attempt.
    node.apply(&keyed(peer, Some("hunter2")));
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);
    until_bird(&node, &bird_daemon, POD_V4, Some("BGP.next_hop: 10.0.1.2"));

    // The Secret goes: so does the session.
    node.apply(&keyed(peer, None));
    node.until_route(FAR_V4, false);
    until_said(&node, "Secret \"tor\" is missing");
    node.apply(&keyed(peer, Some("hunter2")));
    node.until_route(FAR_V4, true);

    // No key on the other side, and ours stays: down.
    bird_daemon.configure(&bird(own, None, false));
    node.until_route(FAR_V4, false);
    let log = node.agent.log();
    assert!(!log.contains("hunter2"), "the log shows no key:\n{log}");
    assert!(
        !node.ask("status -o json").contains("hunter2") && !node.ask("peers -o json").contains("hunter2")
    );
}

#[test]
fn up_with_the_right_key_alone_over_ipv4() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| with_key(sandbox, false));
}

#[test]
fn up_with_the_right_key_alone_over_ipv6() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| with_key(sandbox, true));
}

#[test]
fn connections_that_only_we_open_are_signed() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let bird_daemon = Bird::start(sandbox, &router, "bird", &bird("10.0.1.2", Some("hunter2"), true));
        let node = Node::start(sandbox, node, "node", &keyed("10.0.1.1", Some("hunter2")));
        until_bird(&node, &bird_daemon, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        wait::until("a route from BIRD", LIMIT, || {
            let routes = node.routes();
            if routes.contains(FAR_V4) { Ok(()) } else { Err(routes) }
        });
    });
}

fn frr_config(own: &str, key: Option<&str>) -> String {
    let line = format!(" neighbor {own} remote-as 65001\n");
    let key = key.map(|key| format!(" neighbor {own} password {key}\n")).unwrap_or_default();
    frr::config(own).replace(&line, &format!("{line}{key}"))
}

fn with_frr(sandbox: &Sandbox, over_v6: bool) {
    let (own, peer) = ends(over_v6);
    let (node, router) = rack(sandbox);
    let daemon = Frr::start(sandbox, &router, "frr", &frr_config(own, Some("hunter2")));

    // With a wrong key neither side hears the other, and the reason says where to look.
    let node = Node::start(sandbox, node, "node", &keyed(peer, Some("wrong")));
    until_dropped(&node);
    until_said(&node, UNANSWERED);
    assert_eq!(node.transitions("Established"), 0, "{}", node.agent.log());

    node.apply(&keyed(peer, Some("hunter2")));
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);
    until_frr(&node, &daemon, POD_V4, Some("\"ip\":\"10.0.1.2\""));
    until_frr(&node, &daemon, POD_V6, Some("\"ip\":\"fd00:1::2\""));

    // FRR loses its key: the session goes, and comes back with it.
    daemon.configure(&["router bgp 65100", &format!("no neighbor {own} password")]);
    node.until_route(FAR_V4, false);
    until_said(&node, UNANSWERED);
    daemon.configure(&["router bgp 65100", &format!("neighbor {own} password hunter2")]);
    node.until_route(FAR_V4, true);
    let log = node.agent.log();
    assert!(!log.contains("hunter2"), "the log shows no key:\n{log}");
}

#[test]
fn up_with_frr_with_the_right_key_alone_over_ipv4() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| with_frr(sandbox, false));
}

#[test]
fn up_with_frr_with_the_right_key_alone_over_ipv6() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| with_frr(sandbox, true));
}
