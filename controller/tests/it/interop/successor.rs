//! Nodes of a mesh that are renamed, registered anew and replaced: what is kept of one is not its successor's.

use labs::bird::Bird;

use super::bird::{FAR_V4, FAR_V6, rack};
use super::node::Node;

/// A mesh of the node and another one at the router's address.
fn manifest(name: &str, uid: &str, other: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: 65001}}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}
---
apiVersion: v1
kind: Node
metadata: {{name: node, uid: own}}
spec: {{podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}, {{type: InternalIP, address: "fd00:1::2"}}]}}
---
apiVersion: v1
kind: Node
metadata: {{name: {name}, uid: {uid}}}
spec: {{podCIDRs: [{FAR_V4}, "{FAR_V6}"]}}
status: {{addresses: [{{type: InternalIP, address: {other}}}]}}
"#
    )
}

/// The other node: BIRD, which asks for its routes to be kept for longer than any test takes.
const OTHER: &str = r#"log stderr all;
router id 10.0.1.1;
protocol device {}
protocol static far4 { ipv4; route 10.244.9.0/24 blackhole; }
protocol static far6 { ipv6; route fd00:10:244:9::/64 blackhole; }
protocol bgp node {
    local 10.0.1.1 as 65001;
    neighbor 10.0.1.2 as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    graceful restart on; graceful restart time 600;
    ipv4 { import all; export where source = RTS_STATIC; next hop address 10.0.1.1; };
    ipv6 { import all; export where source = RTS_STATIC; next hop address fd00:1::1; };
}
"#;

#[track_caller]
fn until_routes(node: &Node, there: bool) {
    node.until_route(&format!("{FAR_V4} via 10.0.1.1"), there);
    node.until_route(&format!("{FAR_V6} via fd00:1::1"), there);
}

#[track_caller]
fn until_peers(node: &Node, word: &str, there: bool) {
    node.until(&format!("{word} among peers: {there}"), || {
        let said = node.ask("peers");
        if said.contains(word) == there { Ok(()) } else { Err(said) }
    });
}

#[test]
fn a_node_that_is_away_leaves_nothing_to_its_successor() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let mut bird = Bird::start(sandbox, &router, "bird", OTHER);
        let node = Node::start(sandbox, node, "node", &manifest("other", "a", "10.0.1.1"));
        until_routes(&node, true);

        // Renamed, and then registered anew under the new name, while its machine runs: the session is with the
        // machine, and stays.
        let configured = || node.agent.log().matches("\"event\":\"configured\"").count();
        for (name, uid) in [("renamed", "b"), ("renamed", "c")] {
            let before = configured();
            node.apply(&manifest(name, uid, "10.0.1.1"));
            node.until(&format!("{name} with UID {uid} to be read"), || {
                if configured() > before { Ok(()) } else { Err(node.agent.log()) }
            });
            until_peers(&node, &format!(" {name} "), true);
        }
        assert_eq!(node.transitions("Established"), 1, "{}", node.agent.log());

        // It dies, and its routes stay for as long as it has asked for; the same Node says nothing new.
        bird.daemon().kill();
        until_peers(&node, "Established", false);
        node.apply(&(manifest("renamed", "c", "10.0.1.1") + "# the same\n"));
        until_routes(&node, true);

        // Another machine at its address does not get them.
        node.apply(&manifest("replacement", "d", "10.0.1.1"));
        until_routes(&node, false);
        drop(bird);
        let _bird = Bird::start(sandbox, &router, "bird-again", OTHER);
        until_routes(&node, true);

        // The same Node at another address is another peer.
        router.ip("addr add 10.0.1.7/24 dev eth0");
        node.apply(&manifest("replacement", "d", "10.0.1.7"));
        until_routes(&node, false);
        until_peers(&node, "10.0.1.7", true);
    });
}
