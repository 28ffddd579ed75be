//! Large networks in one process with a virtual clock: how long they take to converge from a cold start, how many messages
//! a node writes, and what it holds in memory then.
//!
//! `cargo run --release -p bgp --example scale [NETWORK [NODES]]`; a network is `racks` (each node on both routers of its
//! rack, 25 nodes a router, four spines), `mesh` (iBGP, each with each) or `reflectors` (iBGP, two of four reflectors a
//! node; every fiftieth keeps what it hears: 5 000 whole tables are more than a machine holds). Each node originates one
//! IPv4 prefix; links take a millisecond; processes start within a second.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use bgp::config::{
    LimitAction, Origination, OwnNextHop, PeerAs, PeerConfig, ReceiveLimit, SpeakerConfig, Timers,
};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{ConnectFailure, Effects, Event, RouteAck, Tracking, Transport};
use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::RouteFilter;
use bytes::Bytes;

/// Counts what the system's allocator hands out.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it came to the system's allocator; the counter touches no memory but its own.
#[allow(unsafe_code, reason = "the trait is unsafe, and only an allocator sees what a speaker holds")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LATENCY: Duration = Duration::from_millis(1);
/// Nothing new for this long: the network is at rest.
const REST: Duration = Duration::from_secs(10);
/// What one read gives at most; in octets.
const CHUNK: usize = 64 << 10;
const UPDATE: u8 = 2;
const NOTHING: ReceiveLimit = ReceiveLimit { most: 0, warn_at: None, action: LimitAction::Reject };
/// As agents have them.
const TIMERS: Timers = Timers {
    hold: Duration::from_secs(9),
    keepalive: Duration::from_secs(3),
    connect_retry: Duration::from_secs(5),
};

fn address(router: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a80_0001 + router as u32)
}

fn prefix(node: usize) -> Prefix {
    Prefix::new(Ipv4Addr::from_bits(0x0a00_0000 + (node as u32) * 256).into(), 24)
        .expect("a prefix of 24 bits")
}

/// What is going to happen, to which router or at which end of a connection.
enum What {
    Start(usize),
    Turn(usize),
    Timer(usize),
    Connected(usize),
    Accepted(usize),
    Bytes(usize, Bytes),
    Closed(usize),
}

struct Due {
    at: Instant,
    order: u64,
    what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

struct Router {
    speaker: Speaker,
    config: Option<SpeakerConfig>,
    conns: HashMap<ConnId, usize>,
    accepted: u64,
    turn_due: bool,
    timer_at: Option<Instant>,
}

/// One end of a connection; the other is `index ^ 1`.
struct End {
    router: usize,
    conn: ConnId,
    open: bool,
}

struct Network {
    routers: Vec<Router>,
    ends: Vec<End>,
    queue: BinaryHeap<Reverse<Due>>,
    entered: u64,
    now: Instant,
    messages: u64,
    octets: u64,
    /// When the last route of any kernel changed, and the last UPDATE was written.
    converged_at: Instant,
    active_at: Instant,
}

impl Network {
    fn new(configs: Vec<SpeakerConfig>) -> Self {
        let mut network = Self {
            routers: Vec::new(),
            ends: Vec::new(),
            queue: BinaryHeap::new(),
            entered: 0,
            now: Instant(0),
            messages: 0,
            octets: 0,
            converged_at: Instant(0),
            active_at: Instant(0),
        };
        let count = configs.len() as u64;
        for (router, config) in configs.into_iter().enumerate() {
            // Spread over a second, neighbours apart.
            let start = (router as u64).wrapping_mul(7919) % count * 1_000_000_000 / count;
            network.enter(Duration::from_nanos(start), What::Start(router));
            network.routers.push(Router {
                speaker: Speaker::new(&config, router as u64),
                config: Some(config),
                conns: HashMap::new(),
                accepted: 0,
                turn_due: false,
                timer_at: None,
            });
        }
        network
    }

    fn enter(&mut self, after: Duration, what: What) {
        self.entered += 1;
        self.queue.push(Reverse(Due { at: self.now + after, order: self.entered, what }));
    }

    /// Runs until nothing new has come for a while.
    fn run(&mut self) {
        while let Some(Reverse(due)) = self.queue.pop() {
            if due.at > self.active_at + REST {
                break;
            }
            self.now = due.at;
            self.happen(due.what);
        }
        self.queue.clear();
        self.queue.shrink_to_fit();
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Start(router) => {
                let config = self.routers[router].config.take().expect("a router starts once");
                let now = self.now;
                let mut effects = Effects::default();
                self.routers[router].speaker.reconcile(config, &mut effects, now);
                self.carry_out(router, effects);
            }
            What::Turn(router) => {
                self.routers[router].turn_due = false;
                let mut effects = Effects::default();
                let now = self.now;
                let more = self.routers[router].speaker.work(&mut effects, now);
                if more || !effects.is_empty() {
                    self.carry_out(router, effects);
                } else {
                    self.arm(router);
                }
            }
            What::Timer(router) => {
                if self.routers[router].timer_at == Some(self.now) {
                    self.routers[router].timer_at = None;
                    self.feed(router, Event::Timer);
                }
            }
            What::Connected(end) if self.ends[end].open => {
                let End { router, conn, .. } = self.ends[end];
                let local = SocketAddr::new(address(router).into(), 40_000);
                self.feed(router, Event::Connected { conn, local });
            }
            What::Accepted(end) if self.ends[end].open => {
                let End { router, conn, .. } = self.ends[end];
                let local = SocketAddr::new(address(router).into(), 179);
                let remote = SocketAddr::new(address(self.ends[end ^ 1].router).into(), 40_000);
                self.feed(router, Event::Accepted { conn, local, remote });
            }
            What::Bytes(end, bytes) if self.ends[end].open => {
                let End { router, conn, .. } = self.ends[end];
                self.feed(router, Event::Bytes { conn, bytes: &bytes });
            }
            What::Closed(end) if self.ends[end].open => {
                let End { router, conn, .. } = self.ends[end];
                self.ends[end].open = false;
                self.routers[router].conns.remove(&conn);
                self.feed(router, Event::Closed { conn, error: None });
            }
            What::Connected(_) | What::Accepted(_) | What::Bytes(..) | What::Closed(_) => {}
        }
    }

    fn feed(&mut self, router: usize, event: Event<'_>) {
        let mut effects = Effects::default();
        self.routers[router].speaker.handle(event, &mut effects, self.now);
        self.carry_out(router, effects);
    }

    fn arm(&mut self, router: usize) {
        let Some(deadline) = self.routers[router].speaker.deadline() else { return };
        let at = deadline.max(self.now);
        let armed = self.routers[router].timer_at;
        if armed.is_none_or(|armed| at < armed) {
            self.routers[router].timer_at = Some(at);
            self.enter(at - self.now, What::Timer(router));
        }
    }

    fn carry_out(&mut self, router: usize, effects: Effects) {
        for effect in effects.transport {
            self.transport(router, effect);
        }
        for tracking in effects.tracking {
            if let Tracking::Start(next_hop) = tracking {
                let mut more = Effects::default();
                let now = self.now;
                let event = Event::NextHop { next_hop, metric: Some(0) };
                self.routers[router].speaker.handle(event, &mut more, now);
                self.carry_out(router, more);
            }
        }
        if !effects.routes.is_empty() {
            (self.converged_at, self.active_at) = (self.now, self.now);
            let acks = effects.routes.iter();
            let acks: Vec<RouteAck> =
                acks.map(|route| RouteAck { prefix: route.prefix, set: route.set, errno: 0 }).collect();
            self.feed(router, Event::Acks(&acks));
        }
        if !std::mem::replace(&mut self.routers[router].turn_due, true) {
            self.enter(Duration::ZERO, What::Turn(router));
        }
    }

    fn transport(&mut self, router: usize, effect: Transport) {
        match effect {
            Transport::Connect { conn, remote, .. } => {
                let IpAddr::V4(to) = remote.ip() else { return };
                let to_router = (to.to_bits() - 0x0a80_0001) as usize;
                if self.routers[to_router].config.is_some() {
                    self.feed(
                        router,
                        Event::ConnectFailed {
                            conn,
                            failure: ConnectFailure::Answered,
                            error: "connection refused",
                        },
                    );
                    return;
                }
                let accepted = ConnId::Inbound(self.routers[to_router].accepted);
                self.routers[to_router].accepted += 1;
                let end = self.ends.len();
                for (router, conn) in [(router, conn), (to_router, accepted)] {
                    self.routers[router].conns.insert(conn, self.ends.len());
                    self.ends.push(End { router, conn, open: true });
                }
                self.enter(LATENCY, What::Accepted(end ^ 1));
                self.enter(LATENCY * 2, What::Connected(end));
            }
            Transport::Write { conn, bytes } => {
                self.count(&bytes);
                let length = bytes.len();
                if let Some(end) = self.routers[router].conns.get(&conn).copied() {
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        let chunk = rest.split_to(rest.len().min(CHUNK));
                        self.enter(LATENCY, What::Bytes(end ^ 1, chunk));
                    }
                }
                self.feed(router, Event::Written { conn, bytes: length });
            }
            Transport::Close { conn } => {
                if let Some(end) = self.routers[router].conns.remove(&conn) {
                    self.ends[end].open = false;
                    self.enter(LATENCY, What::Closed(end ^ 1));
                }
            }
        }
    }

    /// Counts whole messages.
    fn count(&mut self, bytes: &[u8]) {
        self.octets += bytes.len() as u64;
        let mut rest = bytes;
        while let [.., high, low, kind] = rest.get(..19).unwrap_or_default() {
            self.messages += 1;
            if *kind == UPDATE {
                self.active_at = self.now;
            }
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// How many prefixes a router has.
    fn prefixes(&self, router: usize) -> usize {
        let (mut count, mut cursor) = (0, None);
        loop {
            let page = self.routers[router].speaker.routes(RouteFilter::All, cursor, 1_000);
            count += page.routes.len();
            cursor = page.next;
            if cursor.is_none() {
                return count;
            }
        }
    }
}

/// A network's links: one end, the other, and whether the first reflects to the second.
type Links = Vec<(usize, usize, bool)>;

/// `full`: every which node keeps what it hears; the others count it (a receive limit of none), so that 5 000 whole tables
/// need not fit into one machine.
fn configs(asns: &[u32], nodes: usize, full: usize, links: &Links) -> Vec<SpeakerConfig> {
    let mut configs: Vec<SpeakerConfig> = asns
        .iter()
        .enumerate()
        .map(|(router, asn)| SpeakerConfig {
            transit: router >= nodes,
            origins: (router < nodes).then(|| Origination::new(prefix(router))).into_iter().collect(),
            ..SpeakerConfig::new(Asn(*asn), RouterId::from(address(router)))
        })
        .collect();
    for (one, other, reflects) in links {
        for (own, peer) in [(*one, *other), (*other, *one)] {
            let plain = PeerConfig::new(address(peer).into());
            let counts_alone = own < nodes && !own.is_multiple_of(full);
            configs[own].peers.push(PeerConfig {
                asn: PeerAs::Exactly(Asn(asns[peer])),
                timers: TIMERS,
                reflector_client: *reflects && own == *one,
                receive: if counts_alone { NOTHING } else { plain.receive },
                own_next_hop: OwnNextHop { ipv4: Some(address(own)), ipv6: None },
                ..plain
            });
        }
    }
    configs
}

/// Racks of 50 nodes with two routers each, below four spines.
fn racks(nodes: usize) -> (Vec<u32>, Links) {
    let tors = nodes.div_ceil(50) * 2;
    let asns = (0..nodes)
        .map(|node| 4_200_000_000 + node as u32)
        .chain((0..tors).map(|tor| 65_101 + tor as u32))
        .chain([65_000; 4]);
    let asns = asns.collect();
    let mut links = Links::new();
    for node in 0..nodes {
        let tor = nodes + node / 50 * 2;
        links.extend([(node, tor, false), (node, tor + 1, false)]);
    }
    for tor in nodes..nodes + tors {
        links.extend((0..4).map(|spine| (tor, nodes + tors + spine, false)));
    }
    (asns, links)
}

fn mesh(nodes: usize) -> (Vec<u32>, Links) {
    (vec![64_512; nodes], (0..nodes).flat_map(|b| (0..b).map(move |a| (a, b, false))).collect())
}

/// Four reflectors, each with each, and two of them a node.
fn reflectors(nodes: usize) -> (Vec<u32>, Links) {
    let mut links: Links = (0..4).flat_map(|b| (0..b).map(move |a| (nodes + a, nodes + b, false))).collect();
    for node in 0..nodes {
        let first = node % 2 * 2;
        links.extend([(nodes + first, node, true), (nodes + first + 1, node, true)]);
    }
    (vec![64_512; nodes + 4], links)
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn measure(name: &str, nodes: usize, full: usize, (asns, links): (Vec<u32>, Links)) {
    let sessions = links.len();
    let before = HELD.load(Ordering::Relaxed);
    let mut network = Network::new(configs(&asns, nodes, full, &links));
    drop((asns, links));
    network.run();
    let held = HELD.load(Ordering::Relaxed) - before;
    let routers = network.routers.len();
    let keeps = |router: &usize| *router >= nodes || router.is_multiple_of(full);
    let keepers = (0..routers).filter(keeps).count();
    let complete = (0..routers).filter(keeps).filter(|router| network.prefixes(*router) == nodes).count();
    assert_eq!(complete, keepers, "routers with all {nodes} prefixes");
    // Where few keep a table, what the others hold is not theirs.
    let each = if full == 1 { (held / routers / 1_000).to_string() } else { "-".to_owned() };
    println!(
        "| {name} | {routers} | {sessions} | {:.2} | {} | {} | {each} |",
        network.converged_at.since(Instant(0)).as_secs_f64(),
        network.messages / routers as u64,
        network.octets / routers as u64 / 1_000,
    );
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() {
    let mut words = std::env::args().skip(1);
    let (name, nodes) = (words.next(), words.next());
    let nodes = |otherwise| nodes.as_deref().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    println!("| network | speakers | sessions | seconds | messages a speaker | kB written | kB held |");
    println!("|---|---|---|---|---|---|---|");
    let wanted = |word: &str| name.as_deref().is_none_or(|name| name == word);
    if wanted("racks") {
        let nodes: usize = nodes(1_000);
        measure(&format!("{nodes} nodes behind {} ToRs", nodes.div_ceil(50) * 2), nodes, 1, racks(nodes));
    }
    if wanted("mesh") {
        let nodes = nodes(500);
        measure(&format!("full mesh of {nodes}"), nodes, 1, mesh(nodes));
    }
    if wanted("reflectors") {
        let nodes = nodes(5_000);
        measure(&format!("{nodes} nodes by four reflectors"), nodes, 50, reflectors(nodes));
    }
}
