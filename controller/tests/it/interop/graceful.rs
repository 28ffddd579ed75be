//! Graceful restart (RFC 4724) with BIRD, FRR and GoBGP as the other side: the agent or
//! the ToR's daemon is killed and comes back, and no packet is lost either way.

use labs::Sandbox;
use labs::bird::Bird;
use labs::frr::Frr;
use labs::gobgp::Gobgp;

use super::bird;
use super::node::Node;
use super::restart::{Monitor, is_settled};
use super::scene::{HOST, HOST_PREFIX, POD, POD_PREFIX, Scene, losses, lossless, pods, until_wired, wire};

fn manifest() -> String {
    bird::manifest("10.0.1.1", "gracefulRestart: {restartTime: 30s}")
}

pub(super) const BIRD: &str = r#"log stderr all;
router id 10.0.1.1;
graceful restart wait 20;
protocol device {}
protocol direct { ipv4; ipv6; interface "eth1"; }
protocol kernel { ipv4 { export where source = RTS_BGP; }; persist; graceful restart on; }
protocol kernel { ipv6 { export where source = RTS_BGP; }; persist; graceful restart on; }
protocol bgp node {
    local 10.0.1.1 as 65100;
    neighbor 10.0.1.2 as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    graceful restart on; graceful restart time 30;
    ipv4 { import all; export where source = RTS_DEVICE; next hop address 10.0.1.1; };
    ipv6 { import all; export where source = RTS_DEVICE; next hop address fd00:1::1; };
}
"#;

/// The route-maps stand first: bgpd sends nothing but End-of-RIB while it has not read those that it needs.
pub(super) const FRR: &str = "route-map node4 permit 10
 set ip next-hop 10.0.1.1
route-map node6 permit 10
 set ipv6 next-hop global fd00:1::1
router bgp 65100
 bgp router-id 10.0.1.1
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor 10.0.1.2 remote-as 65001
 neighbor 10.0.1.2 passive
 neighbor 10.0.1.2 timers 1 3
 neighbor 10.0.1.2 timers connect 1
 neighbor 10.0.1.2 advertisement-interval 0
 address-family ipv4 unicast
  neighbor 10.0.1.2 activate
  neighbor 10.0.1.2 route-map node4 out
  network 10.244.9.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.1.2 activate
  neighbor 10.0.1.2 route-map node6 out
  network fd00:10:244:9::/64
 exit-address-family
";

const GOBGP: &str = r#"[global.config]
  as = 65100
  router-id = "10.0.1.1"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "10.0.1.2"
    peer-as = 65001
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 30
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 3
    keepalive-interval = 1
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"#;

/// The agent is killed and comes back, twice within one restart time, the second time after its routes were sent again.
fn kill_the_agent_twice(sandbox: &Sandbox, scene: &Scene, mut node: Node) {
    until_wired(&node, &scene.router);
    node.until("settled", || is_settled(&node, 1));
    let monitor = Monitor::start(sandbox, &node.netns);
    let before = pods(&scene.router);
    lossless(scene, || {
        for times in 2..=3 {
            node.kill_and_restart(sandbox, "node");
            node.until("settled again", || is_settled(&node, times));
        }
    });
    assert_eq!(monitor.changes(), Vec::<String>::new(), "{}", node.agent.log());
    assert_eq!(pods(&scene.router), before);
    let log = node.agent.log();
    assert!(log.contains("after a restart, with 2 IPv4 and 2 IPv6 routes"), "{log}");
}

#[test]
fn the_agent_is_killed_twice_below_bird() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        node.until("BIRD's word on it", || {
            let shown = bird.birdc("show protocols all node");
            if shown.matches("Restart time: 30").count() == 2 { Ok(()) } else { Err(shown) }
        });
        kill_the_agent_twice(sandbox, &scene, node);
    });
}

#[test]
fn the_agent_is_killed_twice_below_frr() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let _frr = Frr::start(sandbox, &scene.router, "frr", FRR);
        let node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        kill_the_agent_twice(sandbox, &scene, node);
    });
}

#[test]
fn a_planned_restart_loses_nothing_and_bird_is_not_told() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let mut bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let mut node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        until_wired(&node, &scene.router);
        node.until("settled", || is_settled(&node, 1));
        lossless(&scene, || {
            let status = node.agent.terminate();
            assert!(status.success(), "{status}: {}", node.agent.log());
            let shown = bird.birdc("show protocols all node");
            assert!(shown.contains("Neighbor graceful restart active"), "{shown}");
            node.restart(sandbox, "node");
            node.until("settled again", || is_settled(&node, 2));
        });
        let log = bird.daemon().log();
        assert!(!log.contains("Cease"), "{log}");
    });
}

/// Waits until the other side has sent everything again.
#[track_caller]
fn until_fresh(node: &Node) {
    node.until("End-of-RIB of both families", || {
        let log = node.agent.log();
        let ended = |family: &str| log.contains(&format!("{family}: End-of-RIB, what was stale goes"));
        if ended("IPv4") && ended("IPv6") { Ok(()) } else { Err(log) }
    });
}

#[test]
fn bird_is_killed_and_recovers() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let mut bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        until_wired(&node, &scene.router);
        node.until("settled", || is_settled(&node, 1));
        let monitor = Monitor::start(sandbox, &node.netns);
        lossless(&scene, || {
            bird.daemon().kill();
            node.until("stale routes", || {
                let log = node.agent.log();
                if log.contains("stale routes are kept for 30s") { Ok(()) } else { Err(log) }
            });
            bird.recover(sandbox, &scene.router);
            until_fresh(&node);
        });
        assert_eq!(monitor.changes(), Vec::<String>::new());
    });
}

/// The host's prefixes as GoBGP's own routes.
fn originate(gobgp: &Gobgp) {
    for (family, prefix, hop) in [("ipv4", HOST_PREFIX[0], "10.0.1.1"), ("ipv6", HOST_PREFIX[1], "fd00:1::1")]
    {
        gobgp.gobgp(&format!("global rib -a {family} add {prefix} nexthop {hop}"));
    }
}

/// GoBGP, which writes nothing into the kernel: the router's routes to the pods are there by hand, and what it
/// believes is asked of itself.
fn above_gobgp(sandbox: &Sandbox, scene: &Scene) -> (Node, Gobgp) {
    for (prefix, hop) in POD_PREFIX.into_iter().zip(["10.0.1.2", "fd00:1::2"]) {
        scene.router.ip(&format!("route add {prefix} via {hop}"));
    }
    let gobgp = Gobgp::start(sandbox, &scene.router, "gobgp", GOBGP);
    originate(&gobgp);
    let node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
    node.until("GoBGP's routes to the pods", || has_pods(&gobgp));
    (node, gobgp)
}

fn has_pods(gobgp: &Gobgp) -> Result<(), String> {
    let shown = ["ipv4", "ipv6"].map(|family| gobgp.gobgp(&format!("global rib -a {family}"))).concat();
    if POD_PREFIX.iter().all(|prefix| shown.contains(prefix)) { Ok(()) } else { Err(shown) }
}

#[test]
fn the_agent_is_killed_twice_below_gobgp() {
    labs::require!("root", "gobgp");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let (node, gobgp) = above_gobgp(sandbox, &scene);
        kill_the_agent_twice(sandbox, &scene, node);
        has_pods(&gobgp).unwrap();
        // Each loss was taken for a restart, and no route went.
        let log = gobgp.log();
        let downs: Vec<&str> = log.lines().filter(|line| line.contains("Peer Down")).collect();
        let restarts = downs.iter().filter(|line| line.contains("Reason=graceful-restart")).count();
        assert!(restarts >= 2 && restarts == downs.len(), "{log}");
        assert!(!log.contains("restart flag is not set"), "{log}");
    });
}

#[test]
fn gobgp_is_killed_and_recovers() {
    labs::require!("root", "gobgp");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let (node, mut gobgp) = above_gobgp(sandbox, &scene);
        until_wired(&node, &scene.router);
        node.until("settled", || is_settled(&node, 1));
        let monitor = Monitor::start(sandbox, &node.netns);
        lossless(&scene, || {
            gobgp.recover(sandbox, &["10.0.1.2"], originate);
            until_fresh(&node);
        });
        assert_eq!(monitor.changes(), Vec::<String>::new());
        node.until("GoBGP's routes to the pods", || has_pods(&gobgp));
    });
}

#[test]
fn the_bgpd_of_frr_is_killed_and_comes_back() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let mut frr = Frr::start(sandbox, &scene.router, "frr", FRR);
        let node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        until_wired(&node, &scene.router);
        node.until("settled", || is_settled(&node, 1));
        let monitor = Monitor::start(sandbox, &node.netns);
        let before = pods(&scene.router);
        let of_router = sandbox.daemon("router-monitor", scene.router.exec("ip", ["-o", "monitor", "route"]));
        let lost = losses(&scene, || {
            frr.restart_bgpd(sandbox, &scene.router);
            until_fresh(&node);
            for (family, prefix) in ["ipv4", "ipv6"].into_iter().zip(POD_PREFIX) {
                node.until("FRR's route to the pods", || {
                    let shown = frr.vtysh(&format!("show bgp {family} unicast {prefix} json"));
                    if shown.contains("\"paths\"") { Ok(()) } else { Err(shown) }
                });
            }
        });
        assert_eq!(monitor.changes(), Vec::<String>::new());
        // zebra has kept the routes that the killed bgpd had given to it. FRR 8.4 may replace one by deleting it first,
        // IPv6 routes always: what is lost by that is lost on the router, on the way to the pod.
        assert_eq!(pods(&scene.router), before);
        let log = of_router.log();
        for (way, numbers) in lost {
            let family = usize::from(way[0].contains(':'));
            let replaced = log.contains(&format!("Deleted {}", POD_PREFIX[family]));
            assert!(way == [HOST[family], POD[family]] && replaced, "{way:?}: lost {numbers:?}\n{log}");
        }
    });
}

#[test]
fn a_peer_that_never_comes_back_holds_up_nobody() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let gone = sandbox.router("gone");
        sandbox.link(&scene.node, "eth2", &gone, "eth0");
        sandbox.link(&gone, "eth1", &sandbox.netns("behind"), "eth0");
        for (netns, own) in [(&scene.node, 2), (&gone, 1)] {
            let end = if own == 2 { "eth2" } else { "eth0" };
            netns.ip(&format!("addr add 10.0.2.{own}/24 dev {end}"));
            netns.ip(&format!("addr add fd00:2::{own}/64 dev {end} nodad"));
        }
        gone.ip("addr add 10.244.8.1/24 dev eth1");
        let bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let other =
            BIRD.replace("10.0.1.", "10.0.2.").replace("fd00:1::", "fd00:2::").replace("65100", "65200");
        let mut lost = Bird::start(sandbox, &gone, "lost", &other);
        let manifest = manifest().replace("restartTime: 30s", "restartTime: 6s");
        let peer = "kind: FabricPeer\nmetadata: {name: tor}";
        let second = format!(
            "{}\nspec: {{address: 10.0.2.1, asn: 65200}}\n---\napiVersion: underlay.dev/v1alpha1\n{peer}",
            peer.replace("tor", "lost")
        );
        let mut node = Node::start(sandbox, scene.node.clone(), "node", &manifest.replace(peer, &second));
        until_wired(&node, &scene.router);
        let of_lost = "10.244.8.0/24 via 10.0.2.1";
        node.until_route(of_lost, true);
        node.until("settled", || is_settled(&node, 1));

        // Both go; one comes back, and BIRD has another prefix by then.
        lost.daemon().kill();
        node.agent.kill();
        let active = "Neighbor graceful restart active";
        node.until("BIRD to wait", || bird.birdc("show protocols all node").contains(active));
        scene.router.ip("addr add 10.244.7.1/24 dev eth1");
        node.restart(sandbox, "node");
        node.until("BIRD to wait no longer", || {
            let shown = bird.birdc("show protocols all node");
            let fresh = shown.contains("Established") && !shown.contains(active);
            if fresh { Ok(()) } else { Err(shown) }
        });
        let shown = bird.birdc("show route all protocol node");
        assert!(POD_PREFIX.iter().all(|prefix| shown.contains(prefix)), "{shown}");
        node.until_route("10.244.7.0/24 via 10.0.1.1", true);
        // The one that is lost is waited for all the same.
        is_settled(&node, 2).unwrap_err();
        assert!(node.routes().contains(of_lost), "{}", node.routes());
    });
}

#[test]
fn a_cold_start_claims_no_restart() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let mut node = Node::start(sandbox, scene.node.clone(), "node", &manifest());
        let preserved = |node: &Node, there: bool| {
            node.until(&format!("BIRD to be told of kept routes: {there}"), || {
                let shown = bird.birdc("show protocols all node");
                let told =
                    shown.contains("Established") && shown.contains("AF preserved: ipv4 ipv6") == there;
                if told { Ok(()) } else { Err(shown) }
            });
        };
        until_wired(&node, &scene.router);
        node.until("settled", || is_settled(&node, 1));
        preserved(&node, false);
        node.kill_and_restart(sandbox, "node");
        preserved(&node, true);
        node.until("settled again", || is_settled(&node, 2));

        // The marker went, as with another boot of the machine.
        node.agent.kill();
        std::fs::remove_file(sandbox.folder().join("node/restart.json")).unwrap();
        node.restart(sandbox, "node");
        preserved(&node, false);
        until_wired(&node, &scene.router);
        let log = node.agent.log();
        assert_eq!(log.matches("after a restart, with").count(), 1, "{log}");
    });
}

#[test]
fn a_peer_that_was_away_before_delays_no_selection() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = bird::rack(sandbox);
        let daemon = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let gone = "apiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {name: gone}\n\
                    spec: {address: 10.0.1.99, asn: 65100}\n---\n";
        let mut node =
            Node::start(sandbox, node, "node", &format!("{gone}{}", bird::manifest("10.0.1.1", "")));
        node.until_route(bird::FAR_V4, true);
        let marker = sandbox.folder().join("node/restart.json");
        node.until("the marker to name the peer", || {
            let text = std::fs::read_to_string(&marker).unwrap();
            if text.contains("\"10.0.1.1\"") && !text.contains("10.0.1.99") { Ok(()) } else { Err(text) }
        });
        // What BIRD takes back meanwhile goes as soon as BIRD has spoken: the timer alone would take a minute.
        node.agent.kill();
        daemon.configure(&bird::config("10.0.1.2", false));
        node.restart(sandbox, "node");
        node.until_route(bird::FAR_V4, false);
        node.until_route(bird::FAR_V6, false);
        assert_eq!(node.transitions("Established"), 2, "{}", node.agent.log());
    });
}
