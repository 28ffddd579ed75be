//! Pods with an address outside of the node's PodCIDRs are announced one by one.

use labs::bird::Bird;

use super::bird::{self, POD_V4, manifest, rack, until_bird};
use super::node::Node;

const POD: &str = "203.0.113.7/32";
const POD_6: &str = "2001:db8:9::7/128";

#[test]
fn a_pod_is_announced_while_its_route_is_there() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let pod = sandbox.netns("pod");
        sandbox.link(&node, "ul0123456789abc", &pod, "eth0");
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let mut node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
        until_bird(&node, &bird, POD, None);
        // As the plugin writes them; one inside of the PodCIDR is nothing new to anybody.
        for route in [POD, "10.244.1.7/32"] {
            node.netns.ip(&format!("route add {route} dev ul0123456789abc proto 172"));
        }
        node.netns.ip(&format!("-6 route add {POD_6} dev ul0123456789abc proto 172"));
        until_bird(&node, &bird, POD, Some("BGP.next_hop"));
        until_bird(&node, &bird, POD_6, Some("BGP.next_hop"));
        until_bird(&node, &bird, "10.244.1.7/32", None);
        // An agent that restarts announces it before BIRD would let go of it: BIRD's route stands as it did.
        let since = |bird: &Bird| {
            let shown = bird.birdc(&format!("show route for {POD} all"));
            assert!(shown.contains("BGP.next_hop"), "{shown}");
        };
        node.kill_and_restart(sandbox, "node");
        node.until("the session", || {
            since(&bird);
            node.ask("peers").contains("Established")
        });
        node.until("the end of the restart", || {
            since(&bird);
            let shown = node.ask("events");
            if shown.contains("settled") { Ok(()) } else { Err(shown) }
        });
        // The pod goes, and its link with it.
        node.netns.ip("link del ul0123456789abc");
        until_bird(&node, &bird, POD, None);
        until_bird(&node, &bird, POD_6, None);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
    });
}
