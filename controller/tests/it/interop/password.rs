//! TCP MD5 (RFC 2385) towards BIRD, with right, wrong, missing and new keys.

use labs::bird::Bird;
use labs::{Sandbox, wait};

use super::bird::{FAR_V4, FAR_V6, POD_V4, config, manifest, rack, until_bird};
use super::node::{LIMIT, Node};

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
fn until_said(node: &Node, word: &str) {
    node.until(&format!("peers to say {word}"), || {
        let shown = node.ask("peers");
        if shown.contains(word) { Ok(()) } else { Err(shown) }
    });
}

/// Segments that the kernel of the node's namespace dropped for their signature.
fn dropped(node: &Node) -> u64 {
    let read = || std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let shown = node.netns.enter(read);
    let mut lines = shown.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let pairs = names.split_whitespace().zip(values.split_whitespace());
    let signed = pairs.filter(|(name, _)| name.starts_with("TCPMD5"));
    signed.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
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
    node.until("segments with a wrong signature", || {
        let count = dropped(&node);
        if count > 0 { Ok(()) } else { Err(count.to_string()) }
    });
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
