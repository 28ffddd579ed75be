//! The ground moves under a node: its routes are there again, or lead the new way.

use labs::Sandbox;
use labs::bird::Bird;

use super::bird::manifest;
use super::node::Node;

const FAR_V4: &str = "10.244.9.0/24";
const FAR_V6: &str = "fd00:10:244:9::/64";

/// BIRD announces the far prefixes with next hops of its own loopback interface.
const CONFIG: &str = r#"log stderr all;
router id 10.0.1.1;
protocol device {}
protocol static far4 { ipv4; route 10.244.9.0/24 blackhole; }
protocol static far6 { ipv6; route fd00:10:244:9::/64 blackhole; }
protocol bgp node {
    local 10.0.1.1 as 65100;
    neighbor 10.0.1.2 as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    ipv4 { import all; export where source = RTS_STATIC; next hop address 10.0.7.1; };
    ipv6 { import all; export where source = RTS_STATIC; next hop address fd00:7::1; };
}
"#;

/// A node with two links to its router. The next hops lie behind the first.
fn start(sandbox: &Sandbox) -> (Node, Bird) {
    let (node, router) = (sandbox.router("node"), sandbox.router("router"));
    for (end, net) in [("eth0", 1), ("eth1", 2)] {
        sandbox.link(&node, end, &router, end);
        for (netns, host) in [(&node, 2), (&router, 1)] {
            netns.ip(&format!("addr add 10.0.{net}.{host}/24 dev {end}"));
            netns.ip(&format!("addr add fd00:{net}::{host}/64 dev {end} nodad"));
        }
    }
    router.ip("addr add 10.0.7.1/32 dev lo");
    router.ip("addr add fd00:7::1/128 dev lo");
    node.ip("route add 10.0.7.1/32 via 10.0.1.1");
    node.ip("-6 route add fd00:7::1/128 via fd00:1::1");
    let bird = Bird::start(sandbox, &router, "bird", CONFIG);
    let node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
    leads(&node, 1, "eth0");
    (node, bird)
}

/// Waits until both prefixes lead over a network of the node's.
#[track_caller]
fn leads(node: &Node, net: u8, end: &str) {
    node.until_route(&format!("{FAR_V4} via 10.0.{net}.1 dev {end}"), true);
    node.until_route(&format!("{FAR_V6} via fd00:{net}::1 dev {end}"), true);
}

#[test]
fn a_flush_is_repaired_while_the_session_stays() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, _bird) = start(sandbox);
        for _ in 0..3 {
            node.netns.ip("-4 route flush proto 171");
            node.netns.ip("-6 route flush proto 171");
            leads(&node, 1, "eth0");
            node.until_route("unreachable 10.244.1.0/24", true);
            node.until_route("unreachable fd00:10:244:1::/64", true);
        }
        assert_eq!(node.transitions("Established"), 1, "{}", node.agent.log());
    });
}

#[test]
fn a_next_hop_that_moves_takes_its_routes_along() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, _bird) = start(sandbox);
        for (net, end) in [(2, "eth1"), (1, "eth0")] {
            node.netns.ip(&format!("route replace 10.0.7.1/32 via 10.0.{net}.1"));
            node.netns.ip(&format!("-6 route replace fd00:7::1/128 via fd00:{net}::1"));
            leads(&node, net, end);
        }
        // Nothing leads there any more: the routes go, and return with the way.
        node.netns.ip("route del 10.0.7.1/32");
        node.netns.ip("-6 route del fd00:7::1/128");
        node.until_route(FAR_V4, false);
        node.until_route(FAR_V6, false);
        node.netns.ip("route add 10.0.7.1/32 via 10.0.2.1");
        node.netns.ip("-6 route add fd00:7::1/128 via fd00:2::1");
        leads(&node, 2, "eth1");
        assert_eq!(node.transitions("Established"), 1, "{}", node.agent.log());
    });
}

#[test]
fn an_address_that_is_taken_and_given_back() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, _bird) = start(sandbox);
        // The kernel drops everything that led over the address's subnet, without a word on the routes.
        node.netns.ip("addr del 10.0.1.2/24 dev eth0");
        node.until_route(FAR_V4, false);
        node.netns.ip("addr add 10.0.1.2/24 dev eth0");
        node.netns.ip("route add 10.0.7.1/32 via 10.0.1.1");
        leads(&node, 1, "eth0");
    });
}

#[test]
fn a_link_that_goes_down_and_comes_back() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, _bird) = start(sandbox);
        node.netns.ip("link set eth0 down");
        node.until_route(FAR_V4, false);
        node.netns.ip("link set eth0 up");
        // The kernel gives the link no IPv6 address back, and no way to the next hops.
        node.netns.ip("addr replace fd00:1::2/64 dev eth0 nodad");
        node.netns.ip("route replace 10.0.7.1/32 via 10.0.1.1");
        node.netns.ip("-6 route replace fd00:7::1/128 via fd00:1::1");
        leads(&node, 1, "eth0");
    });
}

#[test]
fn a_carrier_that_is_lost_and_returns() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, _bird) = start(sandbox);
        let router = labs::Netns::open("router").unwrap();
        router.ip("link set eth0 down");
        node.until_route(FAR_V4, false);
        router.ip("link set eth0 up");
        router.ip("addr replace fd00:1::1/64 dev eth0 nodad");
        leads(&node, 1, "eth0");
    });
}
