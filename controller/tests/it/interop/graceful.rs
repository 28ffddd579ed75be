//! Graceful restart (RFC 4724) with BIRD and FRR as the other side: the agent or
//! the ToR's daemon is killed and comes back, and no packet is lost either way.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox, wait};

use super::node::{LIMIT, Node};
use super::restart::{Monitor, Stop, is_settled, receive, send};

/// A pod behind the node, and a host behind the router, whose prefixes are known by BGP alone.
const POD: [&str; 2] = ["10.244.1.2", "fd00:10:244:1::2"];
const HOST: [&str; 2] = ["10.244.9.2", "fd00:10:244:9::2"];
const POD_PREFIX: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];
const HOST_PREFIX: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];

struct Scene {
    pod: Netns,
    node: Netns,
    router: Netns,
    host: Netns,
}

fn wire(sandbox: &Sandbox) -> Scene {
    let (node, router) = (sandbox.router("node"), sandbox.router("router"));
    let (pod, host) = (sandbox.netns("pod"), sandbox.netns("host"));
    sandbox.link(&node, "eth0", &router, "eth0");
    sandbox.link(&pod, "eth0", &node, "eth1");
    sandbox.link(&host, "eth0", &router, "eth1");
    for (netns, own) in [(&node, 2), (&router, 1)] {
        netns.ip(&format!("addr add 10.0.1.{own}/24 dev eth0"));
        netns.ip(&format!("addr add fd00:1::{own}/64 dev eth0 nodad"));
    }
    // As the plugin does: the pod has one address, and the node a route to it.
    node.ip("addr add 169.254.1.1/32 dev eth1");
    node.ip("addr add fe80::1/64 dev eth1 nodad");
    for (address, length) in [(POD[0], 32), (POD[1], 128)] {
        pod.ip(&format!("addr add {address}/{length} dev eth0 nodad"));
        node.ip(&format!("route add {address}/{length} dev eth1"));
    }
    pod.ip("route add default via 169.254.1.1 dev eth0 onlink");
    pod.ip("-6 route add default via fe80::1 dev eth0");
    host.ip(&format!("addr add {}/24 dev eth0", HOST[0]));
    host.ip(&format!("addr add {}/64 dev eth0 nodad", HOST[1]));
    router.ip("addr add 10.244.9.1/24 dev eth1");
    router.ip("addr add fd00:10:244:9::1/64 dev eth1 nodad");
    host.ip("route add default via 10.244.9.1");
    host.ip("-6 route add default via fd00:10:244:9::1");
    Scene { pod, node, router, host }
}

const MANIFEST: &str = r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: rack}
spec:
  asn: {value: 65001}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {hold: 3s, keepalive: 1s, connectRetry: 1s}
  gracefulRestart: {restartTime: 30s}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: tor}
spec: {address: 10.0.1.1, asn: 65100}
---
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
status: {addresses: [{type: InternalIP, address: 10.0.1.2}, {type: InternalIP, address: "fd00:1::2"}]}
"#;

const BIRD: &str = r#"log stderr all;
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

const FRR: &str = "router bgp 65100
 bgp router-id 10.0.1.1
 bgp graceful-restart
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
route-map node4 permit 10
 set ip next-hop 10.0.1.1
route-map node6 permit 10
 set ipv6 next-hop global fd00:1::1
";

/// Waits until both sides have the other's routes in their kernels.
#[track_caller]
fn until_wired(node: &Node, router: &Netns) {
    for prefix in HOST_PREFIX {
        node.until_route(&format!("{prefix} via"), true);
    }
    for prefix in POD_PREFIX {
        node.until(&format!("the router's route to {prefix}"), || {
            let routes = format!("{}{}", router.ip("route"), router.ip("-6 route"));
            if routes.contains(&format!("{prefix} ")) { Ok(()) } else { Err(routes) }
        });
    }
}

/// A network namespace, the address there, and the one that datagrams go to.
type Stream<'a> = (&'a Netns, &'a str, &'a Netns, &'a str);

/// Runs `during` while numbered datagrams go both ways in both families; none may be lost.
fn lossless(scene: &Scene, during: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let streams: Vec<Stream<'_>> = [0, 1]
        .into_iter()
        .flat_map(|v| {
            [(&scene.pod, POD[v], &scene.host, HOST[v]), (&scene.host, HOST[v], &scene.pod, POD[v])]
        })
        .collect();
    let socket = |address: &str, port: u16| {
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    };
    let sockets: Vec<UdpSocket> = streams
        .iter()
        .map(|(_, _, to, target)| to.enter(|| UdpSocket::bind(socket(target, 7000)).unwrap()))
        .collect();
    for ((from, own, _, target), receiver) in streams.iter().zip(&sockets) {
        // The neighbours on the way are resolved before the count begins.
        wait::until("a first datagram", LIMIT, || {
            from.enter(|| {
                let sender = UdpSocket::bind(socket(own, 0)).unwrap();
                sender.send_to(&u64::MAX.to_be_bytes(), socket(target, 7000)).unwrap()
            });
            receiver.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            receiver.recv(&mut [0; 8]).is_ok()
        });
    }
    let sent: Vec<AtomicU64> = streams.iter().map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        let streaming = Stop(&stop);
        let receivers: Vec<_> = (0..streams.len())
            .map(|at| {
                let (from, own, _, target) = streams[at];
                let (own, target) = (socket(own, 0), socket(target, 7000));
                let (receiver, sent, stop) = (&sockets[at], &sent[at], &stop);
                scope.spawn(move || from.enter(|| send(&own, &target, sent, stop)));
                scope.spawn(move || receive(receiver, stop))
            })
            .collect();
        wait::until("datagrams before", LIMIT, || sent.iter().all(|sent| sent.load(Ordering::Relaxed) > 50));
        during();
        drop(streaming);
        for ((receiver, sent), (_, own, _, target)) in receivers.into_iter().zip(&sent).zip(&streams) {
            let numbers = receiver.join().unwrap();
            let sent = sent.load(Ordering::Relaxed);
            let lost: Vec<u64> = (0..sent).filter(|number| !numbers.contains(number)).collect();
            eprintln!("{own} to {target}: sent {sent}, lost {}", lost.len());
            assert!(lost.is_empty(), "{own} to {target}: lost {lost:?} of {sent}");
        }
    });
}

/// What the router's routes to the pods are: nothing of them may change.
fn pods(router: &Netns) -> String {
    let routes = format!("{}{}", router.ip("route"), router.ip("-6 route"));
    routes.lines().filter(|line| POD_PREFIX.iter().any(|prefix| line.contains(prefix))).collect()
}

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
        let node = Node::start(sandbox, scene.node.clone(), "node", MANIFEST);
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
        let node = Node::start(sandbox, scene.node.clone(), "node", MANIFEST);
        kill_the_agent_twice(sandbox, &scene, node);
    });
}

#[test]
fn a_planned_restart_loses_nothing_and_bird_is_not_told() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let mut bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let mut node = Node::start(sandbox, scene.node.clone(), "node", MANIFEST);
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

#[test]
fn bird_is_killed_and_recovers() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let mut bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        let node = Node::start(sandbox, scene.node.clone(), "node", MANIFEST);
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
            node.until("End-of-RIB of both families", || {
                let log = node.agent.log();
                let ended =
                    |family: &str| log.contains(&format!("{family}: End-of-RIB, what was stale goes"));
                if ended("IPv4") && ended("IPv6") { Ok(()) } else { Err(log) }
            });
        });
        assert_eq!(monitor.changes(), Vec::<String>::new());
    });
}
