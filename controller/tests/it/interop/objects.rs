//! Routes with and without next-hop objects behind a real router: a link that flaps, an agent that is killed.

use std::collections::BTreeSet;

use labs::Netns;
use labs::bird::Bird;

use super::bird::{FAR_V4, FAR_V6, config, rack};
use super::node::Node;

/// The rack's node, whose session outlives a moment without a carrier.
fn manifest(fib: &str) -> String {
    super::bird::manifest("10.0.1.1", fib).replace("hold: 3s, keepalive: 1s", "hold: 30s, keepalive: 10s")
}

/// The rack's router, which keeps the node's routes over a restart, and its own session over such a moment.
fn router() -> String {
    let kept = "hold time 30; keepalive time 10; graceful restart on; graceful restart time 120; multihop;";
    config("10.0.1.2", true).replace("hold time 3; keepalive time 1;", kept)
}

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
        let _bird = Bird::start(sandbox, &router, "bird", &self::router());
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
        let _bird = Bird::start(sandbox, &router, "bird", &self::router());
        let mut node = Node::start(sandbox, node, "node", &manifest("fib: {nextHopGroups: Always}"));
        let before = until_learned(&node, true);
        let said = |words: &str, part: &str| node.until(part, || node.ask(words).contains(part));
        said(&format!("explain {FAR_V4}"), "installed via 10.0.1.1, nhid ");
        said("status -o wide", "2 groups of 2 hops");

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
