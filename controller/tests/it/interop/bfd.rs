//! The thread that carries BFD beside BIRD's and FRR's, over one hop and over several, in both families: what they
//! show, what silence and purpose lead to.

use std::net::{IpAddr, UdpSocket};

use bgp::bfd::{Config, Forwarding, Packet, Session, State, View};
use bgp::time::{Duration, Instant};
use controller::bfd::{Distance, Handle, News, Watch, Watched, spawn};
use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Netns, Sandbox, wait};
use tokio::sync::mpsc;

use super::bird;
use super::node::Node;
use crate::kernel::LIMIT;

const NODE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const ROUTER: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const CONFIG: Config = Config { interval: Duration::from_millis(50), multiplier: 3 };
const LOST: Forwarding = Forwarding::Lost { independent: false };

/// The thread in a namespace, and what it told of each peer.
struct Ours {
    handle: Handle,
    news: mpsc::Receiver<News>,
    told: Vec<(IpAddr, Forwarding)>,
    last: std::collections::BTreeMap<IpAddr, Option<View>>,
}

impl Ours {
    fn start(netns: &Netns) -> Self {
        let (handle, news) = netns.enter(|| spawn(std::time::Instant::now(), 7)).expect("a thread");
        Self { handle, news, told: Vec::new(), last: Default::default() }
    }

    fn watch(&self, peers: &[&str], distance: Distance) {
        let watched = Watched { config: CONFIG, distance, source: None };
        let watch: Watch = peers.iter().map(|peer| (peer.parse().expect("an address"), watched)).collect();
        self.handle.watch(watch);
    }

    fn hear(&mut self) {
        while let Ok(news) = self.news.try_recv() {
            match news {
                News::Changed { peer, view } => {
                    let before = self.last.insert(peer, view).flatten();
                    let means = |view: Option<View>| view.map_or(Forwarding::Unknown, |view| view.forwarding);
                    if means(before) != means(view) {
                        self.told.push((peer, means(view)));
                    }
                }
                News::Trouble(text) => panic!("{text}"),
            }
        }
    }

    #[track_caller]
    fn until(&mut self, peer: &str, wanted: &[Forwarding]) {
        let peer: IpAddr = peer.parse().expect("an address");
        wait::until("the word on packets", LIMIT, || {
            self.hear();
            let told: Vec<_> =
                self.told.iter().filter(|(of, _)| *of == peer).map(|(_, told)| *told).collect();
            if told == wanted { Ok(()) } else { Err(format!("{told:?}, {:?}", self.last.get(&peer))) }
        });
    }

    fn view(&mut self, peer: &str) -> View {
        self.hear();
        self.last[&peer.parse::<IpAddr>().expect("an address")].expect("a session")
    }
}

/// The first packet of a session.
fn hello() -> Packet {
    let mut out = Vec::new();
    Session::new(CONFIG, 9, 9, Instant(0)).expire(&mut out, Instant(0));
    out[0]
}

fn wired(sandbox: &Sandbox) -> [Netns; 2] {
    let [node, router] = ["node", "router"].map(|name| sandbox.router(name));
    sandbox.link(&node, "eth0", &router, "eth0");
    for (netns, addresses) in [(&node, NODE), (&router, ROUTER)] {
        netns.ip(&format!("addr add {}/24 dev eth0", addresses[0]));
        netns.ip(&format!("addr add {}/64 dev eth0 nodad", addresses[1]));
    }
    [node, router]
}

fn bird_config() -> String {
    let [first, second] = NODE;
    format!(
        "router id 192.0.2.2;\nprotocol device {{ }}\nprotocol bfd bfd1 {{\n\
         interface \"*\" {{ interval 50 ms; multiplier 3; }};\n\
         neighbor {first} dev \"eth0\";\nneighbor {second} dev \"eth0\";\n}}\n"
    )
}

/// The line of `show bfd sessions` of a peer.
fn session(bird: &Bird, peer: &str) -> String {
    let shown = bird.birdc("show bfd sessions");
    shown.lines().find(|line| line.starts_with(&format!("{peer} "))).unwrap_or_default().to_owned()
}

#[track_caller]
fn until_bird(bird: &Bird, peer: &str, wanted: &[&str]) {
    wait::until("BIRD's session", LIMIT, || {
        let line = session(bird, peer);
        if wanted.iter().all(|word| line.contains(word)) { Ok(()) } else { Err(line) }
    });
}

#[test]
fn with_bird_over_one_hop() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| {
        let [node, router] = wired(sandbox);
        let mut ours = Ours::start(&node);
        ours.watch(&ROUTER, Distance::OneHop);
        let bird = Bird::start(sandbox, &router, "bird", &bird_config());
        for (own, peer) in NODE.iter().zip(ROUTER) {
            ours.until(peer, &[Forwarding::Alive]);
            // Interval and timeout are those that both agreed on.
            until_bird(&bird, own, &["eth0", "Up", "0.050", "0.150"]);
            let view = ours.view(peer);
            assert_eq!((view.transmit, view.detection), (Some(CONFIG.interval), Some(3 * CONFIG.interval)));
        }
        // Nothing gets through to the router: it tells us, and we it, until packets pass.
        let nft = |words: &str| {
            let output = router.exec("nft", words.split(' ')).output().expect("nft runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        nft("add table inet cut");
        nft("add chain inet cut in { type filter hook input priority 0 ; }");
        nft("add rule inet cut in udp dport 3784 drop");
        for (own, peer) in NODE.iter().zip(ROUTER) {
            ours.until(peer, &[Forwarding::Alive, LOST]);
            until_bird(&bird, own, &["Down"]);
        }
        nft("delete table inet cut");
        for (own, peer) in NODE.iter().zip(ROUTER) {
            ours.until(peer, &[Forwarding::Alive, LOST, Forwarding::Alive]);
            until_bird(&bird, own, &["Up"]);
        }
        // On purpose: the router is told, and does not find out.
        ours.watch(&ROUTER[1..], Distance::OneHop);
        until_bird(&bird, NODE[0], &["Down"]);
        until_bird(&bird, NODE[1], &["Up"]);
        let log = bird.log();
        ours.until(ROUTER[0], &[Forwarding::Alive, LOST, Forwarding::Alive, Forwarding::Unknown]);
        assert_eq!(ours.view(ROUTER[1]).state, State::Up, "{log}");
        ours.handle.join();
    });
}

/// What was forwarded is nobody's over one hop (RFC 5881 §5), and fine over several.
#[test]
fn with_bird_over_several_hops() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let [node, middle, router] = ["node", "middle", "router"].map(|name| sandbox.router(name));
        middle.forward();
        sandbox.link(&node, "eth0", &middle, "eth0");
        sandbox.link(&middle, "eth1", &router, "eth0");
        node.ip(&format!("addr add {}/24 dev eth0", NODE[0]));
        middle.ip("addr add 192.0.2.254/24 dev eth0");
        middle.ip("addr add 198.51.100.254/24 dev eth1");
        router.ip("addr add 198.51.100.2/24 dev eth0");
        node.ip("route add default via 192.0.2.254");
        router.ip("route add default via 198.51.100.254");
        let far = "198.51.100.2";
        let mut ours = Ours::start(&node);
        ours.watch(&[far], Distance::Several);
        let config = format!(
            "router id 192.0.2.2;\nprotocol device {{ }}\nprotocol bfd {{ multihop {{ interval 50 ms; multiplier 3; }};\n\
             neighbor {} local {far} multihop yes; }}\n",
            NODE[0]
        );
        let bird = Bird::start(sandbox, &router, "bird", &config);
        ours.until(far, &[Forwarding::Alive]);
        until_bird(&bird, NODE[0], &["Up", "0.050", "0.150"]);
        // The same peer as a neighbour: its packets to the port of neighbours were forwarded.
        ours.watch(&[far], Distance::OneHop);
        ours.until(far, &[Forwarding::Alive, Forwarding::Unknown]);
        let socket = router.enter(|| UdpSocket::bind((far, 50_000))).expect("a socket");
        socket.set_ttl(255).expect("a TTL");
        router.enter(|| socket.send_to(&hello().encode(), (NODE[0], 3784))).expect("it is sent");
        // Behind it one that is read at the distance that is watched.
        ours.watch(&[far], Distance::Several);
        ours.until(far, &[Forwarding::Alive, Forwarding::Unknown, Forwarding::Alive]);
        ours.handle.join();
    });
}

/// A peer that changes its mind with each packet makes nobody listen more often than he does.
#[test]
fn a_peer_that_flaps_fills_no_memory() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let [node, router] = wired(sandbox);
        let mut ours = Ours::start(&node);
        ours.watch(&ROUTER[..1], Distance::OneHop);
        let [hears, socket] =
            [3784, 50_000].map(|port| router.enter(|| UdpSocket::bind((ROUTER[0], port))).expect("a socket"));
        socket.set_ttl(255).expect("a TTL");
        socket.connect((NODE[0], 3784)).expect("a way");
        let mut octets = [0; 64];
        let len = hears.recv(&mut octets).expect("a packet");
        let your = Packet::decode(&octets[..len]).expect("a packet of BFD").my;
        let say = |state| {
            let peer = Packet { state, your, ..hello() };
            // What finds no socket yet is answered by an error of the next one.
            let _ = socket.send(&peer.encode());
        };
        wait::until("the session to hear", LIMIT, || {
            say(State::Down);
            ours.hear();
            let heard = ours.last.values().flatten().any(|view| view.state == State::Init);
            if heard { Ok(()) } else { Err(format!("{:?}", ours.last)) }
        });
        // Init, Up, Down with every three, and nobody listens.
        for _ in 0..20_000 {
            [State::Init, State::Down].into_iter().for_each(say);
        }
        let waiting = ours.news.len();
        assert!((1..=64).contains(&waiting), "{waiting}");
        wait::until("the last word", LIMIT, || {
            say(State::AdminDown);
            ours.hear();
            let heard = ours.last.values().flatten().any(|view| view.remote_state == State::AdminDown);
            if heard { Ok(()) } else { Err(format!("{:?}", ours.last)) }
        });
        ours.handle.join();
    });
}

#[test]
fn with_frr_over_one_hop() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let [node, router] = wired(sandbox);
        let mut ours = Ours::start(&node);
        ours.watch(&ROUTER, Distance::OneHop);
        let mut frr = Frr::start(sandbox, &router, "frr", "");
        let mut lines = vec!["bfd".to_owned()];
        for (own, local) in NODE.iter().zip(ROUTER) {
            lines.extend([
                format!("peer {own} local-address {local} interface eth0"),
                "transmit-interval 50".into(),
                "receive-interval 50".into(),
                "detect-multiplier 3".into(),
            ]);
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        frr.start_bfdd(sandbox, &router, &lines);
        let peers = |frr: &Frr| -> Vec<serde_json::Value> {
            serde_json::from_str(&frr.vtysh("show bfd peers json")).expect("JSON")
        };
        for (own, peer) in NODE.iter().zip(ROUTER) {
            ours.until(peer, &[Forwarding::Alive]);
            wait::until("FRR's session", LIMIT, || {
                let all = peers(&frr);
                let found = all.iter().find(|found| found["peer"] == **own);
                let up = found.is_some_and(|found| {
                    found["status"] == "up"
                        && found["remote-transmit-interval"] == 50
                        && found["remote-detect-multiplier"] == 3
                });
                if up { Ok(()) } else { Err(format!("{all:?}")) }
            });
        }
        // Taken down by its operator, and dead: the one is on purpose.
        frr.configure(&[
            "bfd",
            &format!("peer {} local-address {} interface eth0", NODE[0], ROUTER[0]),
            "shutdown",
        ]);
        ours.until(ROUTER[0], &[Forwarding::Alive, Forwarding::Unknown]);
        drop(frr);
        ours.until(ROUTER[1], &[Forwarding::Alive, LOST]);
        assert_eq!(ours.view(ROUTER[1]).state, State::Down);
        ours.handle.join();
    });
}

/// The agent beside BIRD, with BFD of 50 ms × 3 and without a hold timer; `bfd` is what BIRD does with it.
fn beside_bird(sandbox: &Sandbox, over_v6: bool, bfd: &str) -> (Node, Bird, Netns) {
    let (node, router) = bird::rack(sandbox);
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("10.0.1.2", "10.0.1.1") };
    let config =
        bird::config(own, true).replace("protocol bgp node {", &format!("protocol bgp node {{ bfd {bfd};"));
    let detecting = "protocol bfd { interface \"*\" { interval 50 ms; multiplier 3; }; }";
    let daemon = Bird::start(sandbox, &router, "bird", &format!("{config}\n{detecting}\n"));
    let manifest = bird::manifest(peer, "")
        .replace("hold: 3s, keepalive: 1s", "hold: 0s")
        .replace("asn: 65100}", "asn: 65100, bfd: {interval: 50ms, multiplier: 3}}");
    let node = Node::start(sandbox, node, "node", &manifest);
    until_said(&node, peer, &["Established", "a packet in 50ms, silence of 150ms is the end"]);
    until_routed(&node, true);
    (node, daemon, router)
}

#[track_caller]
fn until_said(node: &Node, peer: &str, words: &[&str]) {
    node.until(&format!("{words:?}"), || {
        let text = node.ask(&format!("explain {peer}"));
        if words.iter().all(|word| text.contains(word)) { Ok(()) } else { Err(text) }
    });
}

/// Waits until the node's kernel has the router's route, or has it no more.
#[track_caller]
fn until_routed(node: &Node, there: bool) {
    node.until(&format!("the route: {there}"), || {
        let routes = node.routes();
        if routes.contains(bird::FAR_V4) == there { Ok(()) } else { Err(routes) }
    });
}

/// Packets that stop passing end the session, which has no hold timer, and no route is left; both come back with them.
fn the_session_goes_with_the_packets(sandbox: &Sandbox, over_v6: bool) {
    let (node, _bird, router) = beside_bird(sandbox, over_v6, "on");
    let peer = if over_v6 { "fd00:1::1" } else { "10.0.1.1" };
    let nft = |words: &str| {
        let output = router.exec("nft", words.split(' ')).output().expect("nft runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    nft("add table inet cut");
    nft("add chain inet cut in { type filter hook input priority 0 ; policy drop ; }");
    until_said(&node, peer, &["bfd-down", "neighbor signaled session down"]);
    until_routed(&node, false);
    nft("delete table inet cut");
    until_said(&node, peer, &["Established", "BFD"]);
    until_routed(&node, true);
}

#[test]
fn the_session_goes_with_the_packets_v4() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| the_session_goes_with_the_packets(sandbox, false));
}

#[test]
fn the_session_goes_with_the_packets_v6() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| the_session_goes_with_the_packets(sandbox, true));
}

/// BIRD's `bfd graceful`: a session that BFD ends is one that may come back.
#[test]
fn an_end_of_the_agent_keeps_its_routes_at_a_peer_that_is_graceful() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (mut node, daemon, _router) = beside_bird(sandbox, false, "graceful");
        bird::until_bird(&node, &daemon, bird::POD_V4, Some("unicast"));
        for killed in [false, true] {
            if killed {
                node.agent.kill();
            } else {
                node.agent.terminate();
            }
            wait::until("BIRD to wait for the agent", LIMIT, || {
                let shown = daemon.birdc("show protocols all node");
                // BFD has had its say too.
                let knows =
                    shown.contains("graceful restart active") && !session(&daemon, "10.0.1.2").contains("Up");
                if knows { Ok(()) } else { Err(shown) }
            });
            let kept = daemon.birdc("show route");
            assert!(kept.contains(bird::POD_V4) && kept.contains(bird::POD_V6), "{kept}");
            node.restart(sandbox, "node");
            until_said(&node, "10.0.1.1", &["Established", "silence of 150ms is the end"]);
            until_routed(&node, true);
            let kept = daemon.birdc("show route");
            assert!(kept.contains(bird::POD_V4) && kept.contains(bird::POD_V6), "{kept}");
        }
    });
}
