//! Roles (RFC 9234) and another AS towards one peer (RFC 7705), as BIRD sees them.

use labs::bird::Bird;
use labs::{Netns, Sandbox};

use super::bird::{FAR_V4, POD_V4, POD_V6, config, manifest, rack, until_bird};
use super::node::Node;

/// The node with more fields of its FabricPeer.
fn peer(more: &str) -> String {
    let plain = manifest("10.0.1.1", "");
    plain.replace("asn: 65100}", &format!("asn: 65100, {more}}}"))
}

/// BIRD with more options of its session.
fn options(more: &str) -> String {
    config("10.0.1.2", true).replace("hold time 3;", &format!("{more} hold time 3;"))
}

fn start(sandbox: &Sandbox, bird: &str, node: &str) -> (Node, Bird) {
    let (netns, router): (Netns, Netns) = rack(sandbox);
    let bird = Bird::start(sandbox, &router, "bird", bird);
    (Node::start(sandbox, netns, "node", node), bird)
}

#[test]
fn roles_that_go_together_and_roles_that_do_not() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, bird) =
            start(sandbox, &options("local role peer; require roles yes;"), &peer("role: Peer"));
        until_bird(&node, &bird, POD_V4, Some("BGP.otc: 65001"));
        until_bird(&node, &bird, POD_V6, Some("BGP.otc: 65001"));
        node.until_route(FAR_V4, true);

        // BIRD is one of equals, and the node says that it is a customer.
        node.apply(&peer("role: Customer"));
        node.until("the refusal", || {
            let peers = node.ask("peers -o wide");
            if peers.contains("Role Mismatch") || peers.contains("role-mismatch") {
                Ok(())
            } else {
                Err(peers)
            }
        });
        until_bird(&node, &bird, POD_V4, None);
        bird.configure(&options("local role provider; require roles yes;"));
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        node.until_route(FAR_V4, true);
        let to_a_provider = bird.birdc("show route all");
        assert!(!to_a_provider.contains("BGP.otc"), "an own prefix goes up unmarked: {to_a_provider}");
    });
}

#[test]
fn the_node_by_another_as() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let other =
            config("10.0.1.2", true).replace("neighbor 10.0.1.2 as 65001", "neighbor 10.0.1.2 as 65099");
        let (node, bird) = start(sandbox, &other, &peer("localAS: {asn: 65099}"));
        until_bird(&node, &bird, POD_V4, Some("BGP.as_path: 65099 65001"));
        node.until_route(FAR_V4, true);
        let path = node.ask(&format!("explain {FAR_V4}"));
        assert!(path.contains("local AS 65099 prepended (RFC 7705 3.1)"), "{path}");
        node.apply(&peer("localAS: {asn: 65099, replaceAS: true}"));
        node.until("the own AS to go", || {
            let shown = bird.birdc("show route all");
            if shown.contains("BGP.as_path: 65099\n") && !shown.contains("65099 65001") {
                Ok(())
            } else {
                Err(shown)
            }
        });
        assert_eq!(node.transitions("Established"), 1, "{}", node.agent.log());
    });
}
