//! BIRD 2 as the router of a rack.

use labs::bird::Bird;
use labs::{Netns, Sandbox};
use nix::sys::signal::Signal;

use super::node::{LIMIT, Node};

pub(super) const POD_V4: &str = "10.244.1.0/24";
pub(super) const POD_V6: &str = "fd00:10:244:1::/64";
pub(super) const FAR_V4: &str = "10.244.9.0/24";
pub(super) const FAR_V6: &str = "fd00:10:244:9::/64";

/// A node and a router on one link, of which the node has the second address.
pub(crate) fn rack(sandbox: &Sandbox) -> (Netns, Netns) {
    let (node, router) = (sandbox.router("node"), sandbox.router("router"));
    sandbox.link(&node, "eth0", &router, "eth0");
    for (netns, host) in [(&node, 2), (&router, 1)] {
        netns.ip(&format!("addr add 10.0.1.{host}/24 dev eth0"));
        netns.ip(&format!("addr add fd00:1::{host}/64 dev eth0 nodad"));
    }
    (node, router)
}

/// The node's manifest; `peer` is the router's address, `more` further lines of
/// the Fabric.
pub(super) fn manifest(peer: &str, more: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: 65001}}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}
  {more}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{address: "{peer}", asn: 65100}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [{POD_V4}, "{POD_V6}"]}}
status:
  addresses:
  - {{type: InternalIP, address: 10.0.1.2}}
  - {{type: InternalIP, address: "fd00:1::2"}}
"#
    )
}

/// BIRD's configuration: both families over one session with `neighbor`, and
/// the far prefixes if they are `there`.
pub(crate) fn config(neighbor: &str, there: bool) -> String {
    let (v4, v6) = if there {
        (format!("route {FAR_V4} blackhole;"), format!("route {FAR_V6} blackhole;"))
    } else {
        (String::new(), String::new())
    };
    format!(
        r#"log stderr all;
router id 10.0.1.1;
protocol device {{}}
protocol direct {{ ipv4; ipv6; interface "eth0"; }}
protocol static far4 {{ ipv4; {v4} }}
protocol static far6 {{ ipv6; {v6} }}
protocol bgp node {{
    debug {{ states }};
    local as 65100;
    neighbor {neighbor} as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop address 10.0.1.1; }};
    ipv6 {{ import all; export where source = RTS_STATIC; next hop address fd00:1::1; }};
}}
"#
    )
}

pub(super) fn start(sandbox: &Sandbox, over_v6: bool) -> (Node, Bird) {
    let (node, router) = rack(sandbox);
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") };
    let bird = Bird::start(sandbox, &router, "bird", &config(own, true));
    let node = Node::start(sandbox, node, "node", &manifest(peer, ""));
    (node, bird)
}

/// What BIRD says of the routes to a prefix, empty where it has none; and of all.
pub(super) fn routes_to(bird: &Bird, prefix: &str) -> (String, String) {
    // A prefix that is not there is a refusal to birdc.
    let shown = bird.birdc("show route all");
    let mut blocks = shown.split('\n').skip_while(|line| !line.starts_with(prefix));
    let first = blocks.next();
    let block: Vec<&str> =
        first.into_iter().chain(blocks.take_while(|line| line.starts_with([' ', '\t']))).collect();
    (block.join("\n"), shown)
}

/// Waits until BIRD has a route whose description holds `word`, or has none.
#[track_caller]
pub(super) fn until_bird(node: &Node, bird: &Bird, prefix: &str, word: Option<&str>) {
    node.until(&format!("BIRD's route to {prefix}: {word:?}"), || {
        let (routes, shown) = routes_to(bird, prefix);
        match word {
            Some(word) if routes.contains(word) => Ok(()),
            None if routes.is_empty() => Ok(()),
            _ => Err(shown),
        }
    });
}

fn both_ways(sandbox: &Sandbox, over_v6: bool) {
    let (node, bird) = start(sandbox, over_v6);
    node.until_route(&format!("{FAR_V4} via 10.0.1.1 dev eth0"), true);
    node.until_route(&format!("{FAR_V6} via fd00:1::1 dev eth0"), true);
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
    until_bird(&node, &bird, POD_V6, Some("BGP.next_hop: fd00:1::2"));
    until_bird(&node, &bird, POD_V4, Some("BGP.as_path: 65001"));

    // Withdrawn by BIRD, and announced again, in one session.
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") };
    bird.configure(&config(own, false));
    node.until_route(FAR_V4, false);
    node.until_route(FAR_V6, false);
    bird.configure(&config(own, true));
    node.until_route(FAR_V4, true);
    node.until_route(FAR_V6, true);

    // Announced and withdrawn by us, by manifests alone.
    let more = r#"advertise: {prefixes: [{prefix: 10.244.200.1/32, communities: ["65001:7"], med: 5}, {prefix: "fd00:10:244:200::1/128"}]}"#;
    node.apply(&manifest(peer, more));
    until_bird(&node, &bird, "10.244.200.1/32", Some("(65001,7)"));
    until_bird(&node, &bird, "10.244.200.1/32", Some("BGP.med: 5"));
    until_bird(&node, &bird, "fd00:10:244:200::1/128", Some("BGP.next_hop: fd00:1::2"));
    node.apply(&manifest(peer, ""));
    until_bird(&node, &bird, "10.244.200.1/32", None);
    until_bird(&node, &bird, "fd00:10:244:200::1/128", None);
    until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
    assert_eq!(node.transitions("Established"), 1, "no reset in between:\n{}", node.agent.log());
}

#[test]
fn both_families_both_ways_over_ipv4() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| both_ways(sandbox, false));
}

#[test]
fn both_families_both_ways_over_ipv6() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| both_ways(sandbox, true));
}

#[test]
fn a_silent_peer_expires_and_comes_back() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (mut node, mut bird) = start(sandbox, false);
        node.until_route(FAR_V4, true);

        bird.daemon().signal(Signal::SIGSTOP);
        node.until_route(FAR_V4, false);
        let log = node.agent.log();
        assert!(log.contains("hold-timer-expired"), "{log}");
        bird.daemon().signal(Signal::SIGCONT);
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);

        // The other way round: BIRD hears nothing and lets go; our kernel routes stay.
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        node.agent.signal(Signal::SIGSTOP);
        labs::wait::until("BIRD's hold timer", LIMIT, || {
            let shown = bird.birdc("show route all");
            if shown.contains(POD_V4) { Err(shown) } else { Ok(()) }
        });
        assert!(bird.daemon().log().contains("Hold timer expired"), "{}", bird.daemon().log());
        assert!(node.routes().contains(FAR_V4), "{}", node.routes());
        node.agent.signal(Signal::SIGCONT);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        node.until_route(FAR_V4, true);
    });
}

#[test]
fn sigterm_says_goodbye_without_graceful_restart_and_leaves_the_routes() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let mut bird = Bird::start(sandbox, &router, "bird", &config("10.0.1.2", true));
        let without = manifest("10.0.1.1", "gracefulRestart: {restartTime: 0s}");
        let mut node = Node::start(sandbox, node, "node", &without);
        node.until_route(FAR_V4, true);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));

        let status = node.agent.terminate();
        assert!(status.success(), "{status}: {}", node.agent.log());
        labs::wait::until("BIRD to hear the Cease", LIMIT, || {
            let log = bird.daemon().log();
            if log.contains("Administrative shutdown") { Ok(()) } else { Err(log) }
        });
        assert!(node.routes().contains(FAR_V4), "{}", node.routes());
        assert!(node.routes().contains(&format!("unreachable {POD_V4}")), "{}", node.routes());
    });
}

#[test]
fn a_router_whose_address_comes_late_is_reached_soon() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        router.ip("addr del 10.0.1.1/24 dev eth0");
        let passive = config("10.0.1.2", true).replace("local as 65100;", "local as 65100; passive on;");
        let bird = Bird::start(sandbox, &router, "bird", &passive);
        // The plain interval is longer than anybody waits here.
        let slow = manifest("10.0.1.1", "").replace("connectRetry: 1s", "connectRetry: 1h");
        let node = Node::start(sandbox, node, "node", &slow);
        node.until("the first attempt to end", || {
            let shown = node.ask("peers -o wide");
            if shown.contains("no route to host") { Ok(()) } else { Err(shown) }
        });
        router.ip("addr add 10.0.1.1/24 dev eth0");
        node.until_route(FAR_V4, true);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
    });
}

#[test]
fn a_wrong_as_is_refused_by_name() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let wrong = config("10.0.1.2", true).replace("local as 65100", "local as 65999");
        let mut bird = Bird::start(sandbox, &router, "bird", &wrong);
        let node = Node::start(sandbox, node, "node", &manifest("10.0.1.1", ""));
        node.until("the refusal", || {
            let peers = node.ask("peers");
            if peers.contains("peer AS is 65999, expected 65100") { Ok(()) } else { Err(peers) }
        });
        assert!(!node.routes().contains(FAR_V4));
        // Said once, and not with each attempt: BIRD counts its own.
        node.until("three refusals", || bird.daemon().log().matches("Received: Bad peer AS").count() >= 3);
        let log = node.agent.log();
        assert_eq!(log.matches("bad-peer-as").count(), 1, "{log}");
    });
}

#[test]
fn a_killed_agent_takes_its_routes_over_again() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (mut node, bird) = start(sandbox, false);
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));

        let monitor = sandbox.daemon("monitor", node.netns.exec("ip", ["monitor", "route"]));
        // The monitor hears once it has told of a route that is not ours.
        let mut marks = 0;
        node.until("the monitor to hear", || {
            marks += 1;
            node.netns.ip(&format!("route add blackhole 198.51.100.{marks}/32"));
            if monitor.log().contains("198.51.100.") { Ok(()) } else { Err(monitor.log()) }
        });
        node.kill_and_restart(sandbox, "node");
        node.until("the second session", || {
            let log = node.agent.log();
            if node.transitions("Established") == 2 { Ok(()) } else { Err(log) }
        });
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop: 10.0.1.2"));
        node.until("the route as installed", || {
            let routes = node.ask("routes --installed");
            if routes.contains(FAR_V4) && routes.contains(FAR_V6) { Ok(()) } else { Err(routes) }
        });
        let heard = monitor.log();
        assert!(!heard.contains("Deleted"), "{heard}");

        // And what goes is heard to go.
        bird.configure(&config("10.0.1.2", false));
        node.until("the deletion", || {
            let heard = monitor.log();
            let deleted = |line: &str| line.contains("Deleted") && line.contains(FAR_V4);
            if heard.lines().any(deleted) { Ok(()) } else { Err(heard) }
        });
    });
}
