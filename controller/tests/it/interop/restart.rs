//! The agent dies and comes back: the kernel's routes stay, packets go on, and
//! only what End-of-RIB shows to be stale goes.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use labs::bird::Bird;
use labs::daemon::Daemon;
use labs::{Netns, Sandbox, wait};

use super::bird::rack;
use super::node::{LIMIT, Node};

const KEPT: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];
const WITHDRAWN: [&str; 2] = ["10.244.8.0/24", "fd00:10:244:8::/64"];

fn manifest(pod_cidrs: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: 65001}}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{address: 10.0.1.1, asn: 65100}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [{pod_cidrs}]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}, {{type: InternalIP, address: "fd00:1::2"}}]}}
"#
    )
}

/// BIRD's configuration with these prefixes of both families.
fn config(prefixes: &[&str]) -> String {
    let statics = |v6: bool| {
        let of_family = prefixes.iter().filter(|prefix| prefix.contains(':') == v6);
        of_family.map(|prefix| format!("route {prefix} blackhole;")).collect::<String>()
    };
    format!(
        r#"log stderr all;
router id 10.0.1.1;
protocol device {{}}
protocol static far4 {{ ipv4; {} }}
protocol static far6 {{ ipv6; {} }}
protocol bgp node {{
    local 10.0.1.1 as 65100;
    neighbor 10.0.1.2 as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    error wait time 1, 2; error forget time 1;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop address 10.0.1.1; }};
    ipv6 {{ import all; export where source = RTS_STATIC; next hop address fd00:1::1; }};
}}
"#,
        statics(false),
        statics(true)
    )
}

/// `ip monitor` of a namespace: every change of a route that carries our protocol number.
pub(super) struct Monitor {
    daemon: Daemon,
    netns: Netns,
}

impl Monitor {
    #[track_caller]
    pub(super) fn start(sandbox: &Sandbox, netns: &Netns) -> Self {
        let daemon = sandbox.daemon("monitor", netns.exec("ip", ["-o", "monitor", "route"]));
        let monitor = Self { daemon, netns: netns.clone() };
        monitor.catch_up();
        monitor
    }

    /// Waits until the monitor has shown all that has happened so far: a route of another owner is seen in its turn.
    #[track_caller]
    fn catch_up(&self) {
        let seen = self.daemon.log().matches("192.0.2.1 ").count();
        wait::until("the monitor", LIMIT, || {
            self.netns.ip("route replace 192.0.2.1/32 dev lo proto 99");
            self.netns.ip("route del 192.0.2.1/32 dev lo proto 99");
            self.daemon.log().matches("192.0.2.1 ").count() > seen
        });
    }

    /// What has happened to our routes.
    #[track_caller]
    pub(super) fn changes(&self) -> Vec<String> {
        self.catch_up();
        let log = self.daemon.log();
        log.lines().filter(|line| line.contains("proto 171")).map(str::to_owned).collect()
    }
}

pub(super) fn is_settled(node: &Node, times: usize) -> Result<(), String> {
    let log = node.agent.log();
    let settled = log.lines().filter(|line| line.contains("\"settled\"") && line.contains("all-peers-heard"));
    if settled.count() >= times { Ok(()) } else { Err(log) }
}

/// A node with all routes, settled, whose agent is then gone by `end`; meanwhile BIRD has withdrawn a prefix of each
/// family and takes no session.
fn left_behind(sandbox: &Sandbox, end: impl FnOnce(&mut Node)) -> (Node, Bird, Monitor) {
    let (node, router) = rack(sandbox);
    let bird = Bird::start(sandbox, &router, "bird", &config(&[KEPT, WITHDRAWN].concat()));
    let mut node = Node::start(sandbox, node, "node", &manifest("10.244.1.0/24, \"fd00:10:244:1::/64\""));
    for prefix in [KEPT, WITHDRAWN].concat() {
        node.until_route(&format!("{prefix} via"), true);
    }
    node.until("the first run has settled", || is_settled(&node, 1));
    let monitor = Monitor::start(sandbox, &node.netns);
    end(&mut node);
    bird.birdc("disable node");
    bird.configure(&config(&KEPT));
    bird.birdc("disable node");
    (node, bird, monitor)
}

#[test]
fn nothing_changes_from_a_kill_to_end_of_rib_and_then_only_what_is_stale_goes() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (mut node, bird, monitor) = left_behind(sandbox, |node| node.agent.kill());
        node.kill_and_restart(sandbox, "node");
        // The agent runs, tries, and knows of no route.
        node.until("an attempt", || {
            let peers = node.ask("peers");
            if peers.contains("retry in") { Ok(()) } else { Err(peers) }
        });
        assert_eq!(monitor.changes(), Vec::<String>::new(), "{}", node.agent.log());
        is_settled(&node, 2).unwrap_err();
        for prefix in [KEPT, WITHDRAWN].concat() {
            assert!(node.routes().contains(&format!("{prefix} via")), "{}", node.routes());
        }

        bird.birdc("enable node");
        for prefix in WITHDRAWN {
            node.until_route(prefix, false);
        }
        node.until("settled", || is_settled(&node, 2));
        let changes = monitor.changes();
        let stale = |line: &String| {
            line.starts_with("Deleted ") && WITHDRAWN.iter().any(|prefix| line.contains(prefix))
        };
        assert!(changes.len() == 2 && changes.iter().all(stale), "{changes:#?}");
        println!("changes of protocol 171 from kill -9 to after End-of-RIB:\n{}", changes.join("\n"));
    });
}

#[test]
fn routes_of_an_earlier_configuration_go_too() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (mut node, bird, monitor) = left_behind(sandbox, |node| {
            let status = node.agent.terminate();
            assert!(status.success(), "{status}: {}", node.agent.log());
        });
        assert_eq!(monitor.changes(), Vec::<String>::new(), "SIGTERM leaves all routes");
        node.apply(&manifest("10.244.2.0/24, \"fd00:10:244:1::/64\""));
        node.kill_and_restart(sandbox, "node");
        node.until_route("unreachable 10.244.2.0/24", true);
        assert!(node.routes().contains("unreachable 10.244.1.0/24"), "{}", node.routes());
        bird.birdc("enable node");
        node.until_route("unreachable 10.244.1.0/24", false);
        for prefix in WITHDRAWN {
            node.until_route(prefix, false);
        }
        let deleted: Vec<String> =
            monitor.changes().into_iter().filter(|line| line.starts_with("Deleted ")).collect();
        assert_eq!(deleted.len(), 3, "the old PodCIDR and what was withdrawn: {deleted:#?}");
        for prefix in KEPT {
            assert!(node.routes().contains(&format!("{prefix} via")), "{}", node.routes());
        }
    });
}

/// Tells the streams to stop, also where the test fails before it says so: nobody waits for them forever.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends numbered datagrams to `target` until told to stop, one each tick of the kernel's clock; counts in `sent`.
pub(super) fn send(from: &str, target: &str, sent: &AtomicU64, stop: &AtomicBool) {
    let socket = UdpSocket::bind(from).unwrap();
    // Reading what never comes is a wait that the kernel keeps.
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    while !stop.load(Ordering::Relaxed) {
        socket.send_to(&sent.load(Ordering::Relaxed).to_be_bytes(), target).unwrap();
        sent.fetch_add(1, Ordering::Relaxed);
        let _ = socket.recv(&mut [0]);
    }
}

/// The numbers that arrive, until nothing has come for a second after `stop`.
pub(super) fn receive(socket: &UdpSocket, stop: &AtomicBool) -> Vec<u64> {
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut numbers, mut octets) = (Vec::new(), [0; 8]);
    loop {
        match socket.recv(&mut octets) {
            Ok(_) => numbers.push(u64::from_be_bytes(octets)),
            Err(_) if stop.load(Ordering::Relaxed) => return numbers,
            Err(_) => {}
        }
    }
}

#[test]
fn no_packet_is_lost_across_a_kill_and_a_restart() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        // The far ends: a host behind the router, and one on the node's other side with a route of its own.
        let (host, far) = (sandbox.netns("host"), sandbox.netns("far"));
        sandbox.link(&host, "eth0", &node, "eth1");
        sandbox.link(&far, "eth0", &router, "eth1");
        host.ip("addr add 10.0.5.2/24 dev eth0");
        node.ip("addr add 10.0.5.1/24 dev eth1");
        host.ip("route add default via 10.0.5.1");
        far.ip("addr add 10.244.9.2/24 dev eth0");
        router.ip("addr add 10.244.9.1/24 dev eth1");
        far.ip("route add default via 10.244.9.1");
        // The way back is the router's own, as its session with the node goes down in between.
        router.ip("route add 10.0.5.0/24 via 10.0.1.2");
        host.ip("addr add fd00:5::2/64 dev eth0 nodad");
        node.ip("addr add fd00:5::1/64 dev eth1 nodad");
        host.ip("-6 route add default via fd00:5::1");
        far.ip("addr add fd00:10:244:9::2/64 dev eth0 nodad");
        router.ip("addr add fd00:10:244:9::1/64 dev eth1 nodad");
        far.ip("-6 route add default via fd00:10:244:9::1");

        let _bird = Bird::start(sandbox, &router, "bird", &config(&KEPT));
        let mut node = Node::start(sandbox, node, "node", &manifest("10.244.1.0/24, \"fd00:10:244:1::/64\""));
        for prefix in KEPT {
            node.until_route(&format!("{prefix} via"), true);
        }
        node.until("the first run has settled", || is_settled(&node, 1));
        let stop = AtomicBool::new(false);
        let ends = [("10.0.5.2:0", "10.244.9.2:7000"), ("[fd00:5::2]:0", "[fd00:10:244:9::2]:7000")];
        let sockets = ends.map(|(_, target)| far.enter(|| UdpSocket::bind(target).unwrap()));
        for ((from, target), socket) in ends.iter().zip(&sockets) {
            // The neighbours on the way are resolved before the count begins.
            wait::until("a first datagram", LIMIT, || {
                host.enter(|| {
                    UdpSocket::bind(from).unwrap().send_to(&u64::MAX.to_be_bytes(), target).unwrap()
                });
                socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                socket.recv(&mut [0; 8]).is_ok()
            });
        }
        let sent = [AtomicU64::new(0), AtomicU64::new(0)];
        let before = |count: u64| {
            let counts = sent.each_ref().map(|sent| sent.load(Ordering::Relaxed));
            if counts.iter().all(|sent| *sent >= count) { Ok(()) } else { Err(format!("{counts:?}")) }
        };
        std::thread::scope(|scope| {
            let streams = Stop(&stop);
            let receivers = [0, 1].map(|index| {
                let (from, target) = ends[index];
                let (host, socket, sent, stop) = (&host, &sockets[index], &sent[index], &stop);
                scope.spawn(move || host.enter(|| send(from, target, sent, stop)));
                scope.spawn(move || receive(socket, stop))
            });
            node.until("datagrams before the kill", || before(50));
            node.kill_and_restart(sandbox, "node");
            node.until("settled again", || is_settled(&node, 2));
            drop(streams);
            for (receiver, sent) in receivers.into_iter().zip(&sent) {
                let numbers = receiver.join().unwrap();
                let sent = sent.load(Ordering::Relaxed);
                let lost: Vec<u64> = (0..sent).filter(|number| !numbers.contains(number)).collect();
                println!("sent {sent}, lost {}", lost.len());
                assert!(lost.is_empty(), "lost {lost:?} of {sent}");
            }
        });
    });
}

#[test]
fn the_checkpoint_stands_in_for_manifests_that_are_gone() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let _bird = Bird::start(sandbox, &router, "bird", &config(&KEPT));
        let text = manifest("10.244.1.0/24, \"fd00:10:244:1::/64\"");
        let mut node = Node::start(sandbox, node, "node", &text);
        for prefix in KEPT {
            node.until_route(&format!("{prefix} via"), true);
        }
        let monitor = Monitor::start(sandbox, &node.netns);
        let away = sandbox.folder().join("away");
        std::fs::rename(sandbox.folder().join("node/manifests"), &away).unwrap();
        node.kill_and_restart(sandbox, "node");
        node.until("a session from the checkpoint", || {
            let (peers, status) = (node.ask("peers"), node.ask("status"));
            let there = peers.contains("Established") && status.contains("running from checkpoint");
            if there { Ok(()) } else { Err(format!("{peers}{status}")) }
        });
        std::fs::rename(&away, sandbox.folder().join("node/manifests")).unwrap();
        node.until("the source again", || {
            let status = node.ask("status");
            if status.contains("checkpoint") { Err(status) } else { Ok(()) }
        });
        assert_eq!(monitor.changes(), Vec::<String>::new());

        // A damaged one is no reason to fail.
        let checkpoint = sandbox.folder().join("node/checkpoint.json");
        std::fs::write(&checkpoint, "{\"version\": 1, ").unwrap();
        std::fs::rename(sandbox.folder().join("node/manifests"), &away).unwrap();
        node.kill_and_restart(sandbox, "node");
        node.until("what is wrong", || {
            let status = node.ask("status -o json");
            let said = status.contains("is damaged") && status.contains("manifests");
            if said { Ok(()) } else { Err(status) }
        });
        std::fs::rename(&away, sandbox.folder().join("node/manifests")).unwrap();
        node.until("up", || node.ask("peers").contains("Established"));
        assert_eq!(monitor.changes(), Vec::<String>::new());
    });
}
