//! Peers that connect from a prefix: BIRD and FRR, which the node does not know
//! by name, with one key for all of them.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox};

use super::bird::{FAR_V4, FAR_V6, POD_V4, POD_V6, config, manifest, until_bird};
use super::frr::{self, until_frr};
use super::node::Node;
use super::password::until_said;

/// A node between two routers on one subnet, and a third on another.
fn rack(sandbox: &Sandbox) -> [Netns; 4] {
    let node = sandbox.router("node");
    node.ip("link add br0 type bridge");
    node.ip("link set br0 up");
    node.ip("addr add 10.0.1.2/24 dev br0");
    node.ip("addr add fd00:1::2/64 dev br0 nodad");
    let routers = [(1, "router"), (3, "second")].map(|(host, name)| {
        let router = sandbox.router(name);
        sandbox.link(&node, &format!("veth{host}"), &router, "eth0");
        node.ip(&format!("link set veth{host} master br0"));
        router.ip(&format!("addr add 10.0.1.{host}/24 dev eth0"));
        router.ip(&format!("addr add fd00:1::{host}/64 dev eth0 nodad"));
        router
    });
    let stranger = sandbox.router("stranger");
    sandbox.link(&node, "eth9", &stranger, "eth0");
    node.ip("addr add 10.0.9.2/24 dev eth9");
    stranger.ip("addr add 10.0.9.1/24 dev eth0");
    let [router, second] = routers;
    [node, router, second, stranger]
}

fn listening(prefix: &str, more: &str, key: &str) -> String {
    let manifest = manifest("X", "").replace(
        "address: \"X\", asn: 65100}",
        &format!(
            "listen: {{prefix: \"{prefix}\"{more}}}, asn: External, passwordSecretRef: {{name: tor, key: password}}}}"
        ),
    );
    manifest
        + &format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tor}}\nstringData: {{password: {key}}}\n"
        )
}

fn keyed(config: &str, key: &str) -> String {
    config.replace("local as 65100;", &format!("local as 65100; password \"{key}\";"))
}

fn by_prefix(sandbox: &Sandbox, over_v6: bool) {
    let (own, prefix, first, second) = if over_v6 {
        ("fd00:1::2", "fd00:1::/64", "fd00:1::1", "fd00:1::3")
    } else {
        ("10.0.1.2", "10.0.1.0/24", "10.0.1.1", "10.0.1.3")
    };
    let [node, router, other, stranger] = rack(sandbox);
    let mut bird = Bird::start(sandbox, &router, "bird", &keyed(&config(own, true), "hunter2"));
    let node = Node::start(sandbox, node, "node", &listening(prefix, "", "hunter2"));
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
    until_bird(&node, &bird, POD_V6, Some("BGP.next_hop: fd00:1::2"));
    node.until("the first peer", || {
        let shown = node.ask("peers");
        if shown.contains(&format!("tor   {first}")) { Ok(()) } else { Err(shown) }
    });
    let told = node.ask(&format!("explain {first}"));
    assert!(told.contains("the peer connects"), "{told}");

    // A second one, with the same key; one with another key is not heard.
    let line = format!(" neighbor {own} remote-as 65001\n");
    let with = |key: &str| {
        let config = frr::config(own).replace("router bgp 65100", "router bgp 65103");
        config.replace(&line, &format!("{line} neighbor {own} password {key}\n"))
    };
    let daemon = Frr::start(sandbox, &other, "frr", &with("other"));
    // Beyond the prefix nobody is let in, and is told so.
    let far = config("10.0.9.2", true).replace("router id 10.0.1.1", "router id 10.0.9.1");
    let strange = Bird::start(sandbox, &stranger, "strange", &far);
    node.until("the stranger to be refused", || {
        let shown = strange.birdc("show protocols all node");
        if shown.contains("Received: Connection rejected") { Ok(()) } else { Err(shown) }
    });
    assert!(!node.ask("peers").contains(second), "{}", node.ask("peers"));
    daemon.configure(&["router bgp 65103", &format!("neighbor {own} password hunter2")]);
    until_frr(&node, &daemon, POD_V4, Some("\"valid\":true"));
    node.until("the peer", || {
        let shown = node.ask("peers");
        if shown.contains(second) { Ok(()) } else { Err(shown) }
    });

    // One that ends its session is no peer any more; the other one stays.
    bird.daemon().terminate();
    node.until("the peer to be gone", || {
        let shown = node.ask("peers");
        if shown.contains(first) { Err(shown) } else { Ok(()) }
    });
    assert!(node.ask("peers").contains(second), "{}", node.ask("peers"));
    // With room for one alone, it has to wait for the other.
    node.apply(&listening(prefix, ", max: 1", "hunter2"));
    let bird = Bird::start(sandbox, &router, "again", &keyed(&config(own, true), "hunter2"));
    node.until("BIRD to be refused", || {
        let shown = bird.birdc("show protocols all node");
        if shown.contains("Received: Connection rejected") { Ok(()) } else { Err(shown) }
    });
    daemon.configure(&["router bgp 65103", &format!("no neighbor {own}")]);
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));

    // A key of one address goes before that of its prefix.
    let named = format!(
        "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: named}}\n\
         spec: {{address: \"{first}\", asn: 65100, passwordSecretRef: {{name: tor, key: own}}}}\n"
    );
    let both =
        listening(prefix, "", "hunter2").replace("password: hunter2", "password: hunter2, own: hunter3");
    node.apply(&format!("{both}{named}"));
    until_said(&node, "its password is another");
    bird.configure(&keyed(&config(own, true), "hunter3"));
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
    let log = node.agent.log();
    assert!(!log.contains("hunter"), "the log shows no key:\n{log}");
}

#[test]
fn who_connects_from_a_prefix_is_a_peer_over_ipv4() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| by_prefix(sandbox, false));
}

#[test]
fn who_connects_from_a_prefix_is_a_peer_over_ipv6() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| by_prefix(sandbox, true));
}

#[test]
fn a_new_key_of_a_prefix_keeps_the_sessions() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let [node, router, ..] = rack(sandbox);
        let of_router = |key: &str| {
            listening("X", "", key)
                .replace("listen: {prefix: \"X\"}", "address: 10.0.1.2")
                .replace("value: 65001", "value: 65100")
                .replace("name: node", "name: router")
                .replace("10.0.1.2}", "10.0.1.1}")
                .replace("fd00:1::2", "fd00:1::1")
                .replace(POD_V4, FAR_V4)
                .replace(POD_V6, FAR_V6)
        };
        let node = Node::start(sandbox, node, "node", &listening("10.0.1.0/24", "", "first"));
        let router = Node::start(sandbox, router, "router", &of_router("first"));
        node.until_route(FAR_V4, true);
        for (round, key) in ["second", "third"].into_iter().enumerate() {
            node.apply(&listening("10.0.1.0/24", "", key));
            let more = format!("advertise: {{prefixes: [{{prefix: 10.244.200.{round}/32}}]}}\n  timers: ");
            router.apply(&of_router(key).replace("timers: ", &more));
            node.until_route(&format!("10.244.200.{round} "), true);
        }
        assert_eq!((node.transitions("Established"), router.transitions("Established")), (1, 1));
    });
}
