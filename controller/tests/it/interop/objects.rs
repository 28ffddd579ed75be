//! Routes with and without next-hop objects behind a real router: a link that flaps, an agent that is killed.

use std::collections::BTreeSet;

use labs::Netns;
use labs::bird::Bird;

use super::bird::{FAR_V4, FAR_V6, rack};
use super::node::Node;

/// A node of AS 65001 with the router as its peer.
fn manifest(fib: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: 65001}}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: 30s, keepalive: 10s, connectRetry: 1s}}
  {fib}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{address: 10.0.1.1, asn: 65101}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}, {{type: InternalIP, address: "fd00:1::2"}}]}}
"#
    )
}

/// It keeps the node's routes over a restart, and its own session over a moment without a carrier.
const ROUTER: &str = r#"log stderr all;
router id 10.0.1.1;
protocol device {}
protocol static far4 { ipv4; route 10.244.9.0/24 blackhole; }
protocol static far6 { ipv6; route fd00:10:244:9::/64 blackhole; }
protocol bgp node {
    local 10.0.1.1 as 65101;
    neighbor 10.0.1.2 as 65001;
    hold time 30; keepalive time 10; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    graceful restart on; graceful restart time 120; multihop;
    ipv4 { import all; export where source = RTS_STATIC; next hop address 10.0.1.1; };
    ipv6 { import all; export where source = RTS_STATIC; next hop address fd00:1::1; };
}
"#;

/// The learned routes, with the objects that they name.
#[track_caller]
fn until_learned(node: &Node, named: bool) -> BTreeSet<String> {
    node.until("both routes", || {
        let routes = node.routes();
        let learned: BTreeSet<_> =
            routes.lines().filter(|line| line.starts_with(FAR_V4) || line.starts_with(FAR_V6)).collect();
        let right = learned.iter().all(|line| line.contains(" nhid ") == named);
        if learned.len() == 2 && right {
            Ok(learned.into_iter().map(|line| line.trim().to_owned()).collect())
        } else {
            Err(routes)
        }
    })
}

fn flap(node: &Node, router: &Netns) {
    router.ip("link set eth0 down");
    node.until("the carrier to go", || node.netns.ip("link show eth0").contains("NO-CARRIER"));
    router.ip("link set eth0 up");
    router.ip("addr replace fd00:1::1/64 dev eth0 nodad");
    node.until("the carrier to return", || !node.netns.ip("link show eth0").contains("NO-CARRIER"));
}

#[test]
fn under_auto_a_small_table_outlives_a_flap_while_the_agent_is_dead() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let _bird = Bird::start(sandbox, &router, "bird", ROUTER);
        let mut node = Node::start(sandbox, node, "node", &manifest("fib: {nextHopGroups: Auto}"));
        let before = until_learned(&node, false);
        node.agent.kill();
        flap(&node, &router);
        assert_eq!(until_learned(&node, false), before);
        node.restart(sandbox, "node");
        node.until("the session", || node.ask("peers").contains("Established"));
        assert_eq!(until_learned(&node, false), before);
    });
}

#[test]
fn objects_outlive_a_kill_and_come_back_after_a_flap() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let _bird = Bird::start(sandbox, &router, "bird", ROUTER);
        let mut node = Node::start(sandbox, node, "node", &manifest("fib: {nextHopGroups: Always}"));
        let before = until_learned(&node, true);
        let said = node.ask(&format!("explain {FAR_V4}"));
        assert!(said.contains("installed via 10.0.1.1, nhid "), "{said}");
        let said = node.ask("status -o wide");
        assert!(said.contains("2 groups of 2 hops"), "{said}");

        // The next agent takes them over, numbers and all.
        node.kill_and_restart(sandbox, "node");
        node.until("the session", || node.ask("peers").contains("Established"));
        node.until("the numbers", || node.ask("status -o wide").contains("2 groups of 2 hops"));
        assert_eq!(until_learned(&node, true), before);

        // A flap takes them away, and the agent writes them anew.
        flap(&node, &router);
        let after = until_learned(&node, true);
        assert_ne!(after, before, "other numbers");

        // While it is dead nobody does that; the next agent has them back.
        node.agent.kill();
        flap(&node, &router);
        node.until_route(FAR_V4, false);
        node.restart(sandbox, "node");
        until_learned(&node, true);
    });
}
