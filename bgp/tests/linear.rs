//! Work grows as its input does: four times the prefixes cost about four times as many allocations, octets of heap,
//! turns, and messages, in each thing that a peer can have the speaker do. Counted, not timed: equal in each run.
//!
//! A turn is one call of [`Speaker::work`], which looks at 8 192 entries at most in each of its stages: a search through
//! the whole table for each prefix would show in the turns, a copy of it in the octets.

#![allow(clippy::print_stderr, reason = "the counts are of interest where a ratio is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bgp::config::{OwnNextHop, PeerAs, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, ConnId, PeerId, RouterId};
use bgp::io::{Effects, Event, RouteAck, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::view::{RouteFilter, RouteView};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::frame::{self, Framer, Kind};
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::wire::restart::GracefulRestart;
use bgp::wire::update::Update;
use bgp::wire::{decode, encode, pack};

/// Prefixes of the smaller run: both fill a table, which doubles as it grows, to the same part.
const N: u32 = 12_000;
/// Prefixes that share an attribute set: how many of several would share an UPDATE depends on which of them a turn meets.
const SHARED: u32 = 1;
/// The most that four times the input may cost, in tenths.
const RATIO: u64 = 43;

const FEEDER: u8 = 2;
const READER: u8 = 3;

/// What a stretch of work cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Blocks of heap that were asked for, or asked to grow.
    allocations: u64,
    /// Their octets: what growing copies is among them.
    octets: u64,
    /// Calls of [`Speaker::work`].
    turns: u64,
    /// Octets of messages for peers.
    written: u64,
    /// Changes for the kernel.
    routes: u64,
}

thread_local! {
    static HEAP: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(octets: usize) {
    // While a thread ends, nobody counts.
    let _ = HEAP.try_with(|heap| heap.set((heap.get().0 + 1, heap.get().1 + octets as u64)));
}

// SAFETY: every call is passed on as it came to the system's allocator; the counters touch no memory but their own.
#[allow(
    unsafe_code,
    reason = "the trait is unsafe, and only an allocator sees what is copied as something grows"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

const fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, host))
}

fn prefix(number: u32) -> Prefix {
    Prefix::new(Ipv4Addr::from(0x0a00_0000 | number << 8).into(), 24).expect("a prefix")
}

/// The UPDATEs that announce so many prefixes.
fn announced(count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for first in (0..count).step_by(SHARED as usize) {
        let path = Segment { kind: SegmentKind::Sequence, asns: vec![Asn(65002), Asn(100_000 + first)] };
        let attributes = PathAttributes {
            as_path: AsPath { segments: vec![path] },
            ..PathAttributes::originated(NextHops::V4(Ipv4Addr::new(192, 0, 2, FEEDER)))
        };
        let mut encoded = Vec::new();
        encode::attributes(&attributes, &CODEC, Family::Ipv4, &mut encoded);
        let prefixes: Vec<Prefix> = (first..first + SHARED).map(prefix).collect();
        pack::announce(
            &encoded,
            attributes.next_hop,
            Family::Ipv4,
            prefixes,
            pack::Longest::Plain,
            &mut bytes,
        )
        .expect("they fit");
    }
    bytes
}

fn peer(host: u8) -> PeerConfig {
    PeerConfig {
        passive: true,
        asn: PeerAs::External,
        own_next_hop: OwnNextHop { ipv4: Some(Ipv4Addr::new(192, 0, 2, 1)), ipv6: None },
        ..PeerConfig::new(address(host))
    }
}

/// A speaker with a peer that feeds it and one that reads.
struct World {
    speaker: Speaker,
    cost: Cost,
    conns: u64,
}

impl World {
    fn new() -> Self {
        let config = SpeakerConfig {
            transit: true,
            peers: vec![peer(FEEDER), peer(READER)],
            ..SpeakerConfig::new(Asn(65001), RouterId(1))
        };
        let mut speaker = Speaker::new(&config, 7);
        speaker.reconcile(config, &mut Effects::default(), Instant(0));
        let mut world = Self { speaker, cost: Cost::default(), conns: 0 };
        world.connect(READER, false);
        world
    }

    /// A session with the peer, which may come back from a restart.
    fn connect(&mut self, host: u8, restarted: bool) -> ConnId {
        self.conns += 1;
        let conn = ConnId::Inbound(self.conns);
        let (local, remote) = (SocketAddr::new(address(1), 179), SocketAddr::new(address(host), 50_000));
        self.tell(Event::Accepted { conn, local, remote });
        let families = Family::ALL.map(|family| (family.afi(), 1, true)).to_vec();
        let restart = GracefulRestart { restarting: restarted, notification: false, seconds: 120, families };
        let asn = Asn(65000 + u32::from(host));
        let open = Open {
            asn,
            hold_seconds: 0,
            router_id: RouterId(host.into()),
            capabilities: vec![
                Capability::multiprotocol(Family::Ipv4),
                Capability::RouteRefresh,
                Capability::FourOctetAs(asn),
                Capability::GracefulRestart(restart),
            ],
        };
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        frame::encode_keepalive(&mut bytes);
        self.tell(Event::Bytes { conn, bytes: &bytes });
        self.settle();
        conn
    }

    fn tell(&mut self, event: Event<'_>) {
        let mut effects = Effects::default();
        self.speaker.handle(event, &mut effects, Instant(0));
        self.carry_out(effects);
    }

    fn settle(&mut self) {
        loop {
            let mut effects = Effects::default();
            let more = self.speaker.work(&mut effects, Instant(0));
            self.cost.turns += 1;
            if effects.is_empty() && !more {
                return;
            }
            self.carry_out(effects);
        }
    }

    fn carry_out(&mut self, effects: Effects) {
        for effect in effects.transport {
            if let Transport::Write { conn, bytes } = effect {
                self.cost.written += bytes.len() as u64;
                self.tell(Event::Written { conn, bytes: bytes.len() });
            }
        }
        for tracking in effects.tracking {
            if let Tracking::Start(next_hop) = tracking {
                self.tell(Event::NextHop { next_hop, metric: Some(0) });
            }
        }
        self.cost.routes += effects.routes.len() as u64;
        let ack =
            |change: bgp::io::RouteChange| RouteAck { prefix: change.prefix, set: change.set, errno: 0 };
        let acks: Vec<RouteAck> = effects.routes.into_iter().map(ack).collect();
        if !acks.is_empty() {
            self.tell(Event::Acks(&acks));
        }
    }

    fn peer(&self, host: u8) -> PeerId {
        self.speaker.peer_at(address(host)).expect("a peer")
    }

    /// How many prefixes the feeder is counted with, and how many the reader was sent.
    fn counts(&self) -> (u64, u64) {
        let counts = |host| self.speaker.peer(self.peer(host)).expect("a peer").counts.ipv4;
        (counts(FEEDER).received, counts(READER).sent)
    }

    /// What a piece of work costs.
    fn costs(&mut self, work: impl FnOnce(&mut Self)) -> Cost {
        self.cost = Cost::default();
        let before = HEAP.get();
        work(self);
        let after = HEAP.get();
        Cost { allocations: after.0 - before.0, octets: after.1 - before.1, ..self.cost }
    }
}

/// Everything that a peer has the speaker do with so many prefixes, by name.
fn lives(count: u32) -> Vec<(&'static str, Cost)> {
    let updates = announced(count);
    let mut withdrawal = Vec::new();
    pack::withdraw(Family::Ipv4, (0..count).map(prefix), &mut withdrawal);
    let mut request = Vec::new();
    Refresh::request(Family::Ipv4).encode(&mut request);
    let mut end = Vec::new();
    pack::end_of_rib(Family::Ipv4, &mut end);

    let mut world = World::new();
    let mut found = vec![("decoding", world.costs(|_| assert_eq!(decoded(&updates), count)))];
    let feeder = world.connect(FEEDER, false);
    let reader = ConnId::Inbound(1);
    let feed = |world: &mut World, conn, bytes: &[u8]| {
        for bytes in bytes.chunks(65_536) {
            world.tell(Event::Bytes { conn, bytes });
        }
    };
    let both = (u64::from(count), u64::from(count));
    found.push(("insertion", world.costs(|world| feed(world, feeder, &updates))));
    found.push(("decision and export", world.costs(World::settle)));
    assert_eq!(world.counts(), both);
    found.push((
        "the same again",
        world.costs(|world| {
            feed(world, feeder, &updates);
            world.settle();
        }),
    ));
    found.push((
        "route refresh",
        world.costs(|world| {
            feed(world, reader, &request);
            world.settle();
        }),
    ));
    found.push(("pages of all routes", world.costs(|world| assert_eq!(pages(world).len(), count as usize))));
    found.push((
        "a next hop that is lost",
        world.costs(|world| {
            let next_hop = bgp::io::NextHop { address: address(FEEDER), via_default: false };
            world.tell(Event::NextHop { next_hop, metric: None });
            world.settle();
            world.tell(Event::NextHop { next_hop, metric: Some(0) });
            world.settle();
        }),
    ));
    found.push((
        "withdrawal",
        world.costs(|world| {
            feed(world, feeder, &withdrawal);
            world.settle();
        }),
    ));
    assert_eq!(world.counts(), (0, 0));

    // The peer restarts, and has nothing to send any more.
    feed(&mut world, feeder, &updates);
    world.settle();
    assert_eq!(world.counts(), both);
    found.push((
        "a peer that restarts",
        world.costs(|world| {
            world.tell(Event::Closed { conn: feeder, error: None });
            world.settle();
        }),
    ));
    let feeder = world.connect(FEEDER, true);
    assert_eq!(world.counts().1, both.1, "kept");
    found.push((
        "End-of-RIB",
        world.costs(|world| {
            feed(world, feeder, &end);
            world.settle();
        }),
    ));
    assert_eq!(world.counts(), (0, 0), "swept");

    feed(&mut world, feeder, &updates);
    world.settle();
    found.push((
        "a peer that comes late",
        world.costs(|world| {
            world.tell(Event::Closed { conn: reader, error: None });
            world.settle();
            world.connect(READER, false);
        }),
    ));
    assert_eq!(world.counts(), both);
    assert!(world.speaker.peers().iter().all(|peer| peer.state == State::Established));
    found
}

/// How many prefixes the messages hold, each attribute of which is decoded.
fn decoded(bytes: &[u8]) -> u32 {
    let (mut framer, mut rest, mut count) = (Framer::new(), bytes, 0);
    while let Some(message) = framer.next(&mut rest).expect("framed") {
        assert_eq!(message.kind, Kind::Update);
        let update = Update::parse(message.body, &CODEC).expect("formed");
        for announced in update.announced() {
            let mut scratch = Vec::new();
            let graded = decode::attributes(update.key(&mut scratch), announced.next_hop, &CODEC);
            assert!(graded.expect("attributes").attributes.is_some());
            count += announced.nlri.iter().count();
        }
    }
    u32::try_from(count).expect("a count")
}

fn pages(world: &World) -> Vec<RouteView> {
    let (mut routes, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.speaker.routes(RouteFilter::All, cursor, 1_000);
        routes.extend(page.routes);
        cursor = page.next;
        if cursor.is_none() {
            return routes;
        }
    }
}

#[test]
fn four_times_the_prefixes_cost_four_times_as_much() {
    let (small, large) = (lives(N), lives(4 * N));
    let mut wrong = Vec::new();
    for ((name, small), (_, large)) in small.into_iter().zip(large) {
        eprintln!("{name}: {small:?}\n{}  {large:?}", " ".repeat(name.len()));
        // Beside that, what is less than an allocation for 32 prefixes, and 16 octets a prefix: where something begins
        // small and doubles.
        let pairs = [
            ("allocations", small.allocations, large.allocations, u64::from(N / 8)),
            ("octets", small.octets, large.octets, u64::from(64 * N)),
            ("turns", small.turns, large.turns, 4),
            ("written", small.written, large.written, 1 << 10),
            ("routes", small.routes, large.routes, 0),
        ];
        for (what, small, large, few) in pairs {
            if large * 10 > small * RATIO + few * 10 {
                wrong.push(format!("{name}: {what} {small} and {large}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
