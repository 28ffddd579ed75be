//! What a route costs in the routing information base: octets of heap, and
//! nanoseconds of processor time to take it in, decide it, hand it out and take it out again.
//!
//! `cargo bench -p bgp --bench rib`; 4 000 attribute sets a peer of four ASes
//! and two communities each, nothing installed.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgp::id::{Asn, PeerId, RouterId};
use bgp::io::{Effects, NextHop, Tracking};
use bgp::prefix::{Family, Prefix};
use bgp::rib::{AttrId, EntryId, Rib, RibConfig, Source, SourceId, SourceKind, Spots};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::community::Community;

/// Counts what the system's allocator hands out.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is passed on as it came to the system's allocator; the
// counters touch no memory but their own.
#[allow(unsafe_code, reason = "the trait is unsafe, and only an allocator sees what a table holds")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
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

const SETS: u32 = 4_000;
/// Prefixes a turn: what a chunk of 64 KiB holds.
const TURN: usize = 8_000;

/// A small generator of its own: the same prefixes in every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Distinct prefixes with the lengths of a real table: six in ten are /24.
fn prefixes(count: usize) -> Vec<Prefix> {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut prefixes = Vec::with_capacity(count + count / 8);
    while prefixes.len() < count {
        while prefixes.len() < count + count / 16 {
            let bits = random.next();
            let len = match bits >> 32 & 0xf {
                0..=9 => 24,
                10 | 11 => 22,
                12 => 23,
                13 => 20,
                14 => 19,
                _ => 16,
            };
            prefixes.extend(Prefix::new(Ipv4Addr::from_bits(bits as u32).into(), len));
        }
        prefixes.sort_unstable();
        prefixes.dedup();
    }
    prefixes.truncate(count);
    // Out of order, as they come from a peer.
    for at in (1..count).rev() {
        prefixes.swap(at, random.next() as usize % (at + 1));
    }
    prefixes
}

fn attributes(peer: u32, set: u32) -> PathAttributes {
    let mut attributes = PathAttributes::originated(NextHops::V4(Ipv4Addr::from_bits(0x0a00_0001 + peer)));
    let asns = [65_000 + peer, 100 + set % 7, 1_000 + set % 300, 10_000 + set].map(Asn).to_vec();
    attributes.as_path = AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns }] };
    attributes.communities = [Community(set), Community(set % 50)].into();
    attributes
}

fn source(peer: u32) -> Source {
    let address = Ipv4Addr::from_bits(0x0a00_0001 + peer);
    Source {
        kind: SourceKind::External,
        origin: bgp::rule::RouteOrigin::Learned,
        peer: Some(PeerId(peer)),
        address: Some(address.into()),
        router_id: RouterId::from(address),
        asn: Asn(65_000 + peer),
        via_default: false,
        client: false,
    }
}

struct Run {
    rib: Rib,
    changed: Vec<EntryId>,
    effects: Effects,
    decided: usize,
}

impl Run {
    /// One turn to its end; answers for next hops at once.
    fn turn(&mut self) {
        loop {
            let more = self.rib.work(TURN, &mut |_, _, _| Ok(None));
            self.changed.clear();
            self.rib.changed(&mut self.changed);
            for &id in &self.changed {
                self.decided += usize::from(self.rib.entry(id).is_some());
            }
            self.rib.drain(&mut self.effects);
            let tracked: Vec<NextHop> = self.effects.tracking.drain(..).filter_map(started).collect();
            self.effects = Effects::default();
            for &next_hop in &tracked {
                self.rib.set_next_hop(next_hop, Some(0));
            }
            if !more && tracked.is_empty() {
                return;
            }
        }
    }
}

const fn started(tracking: Tracking) -> Option<NextHop> {
    match tracking {
        Tracking::Start(next_hop) => Some(next_hop),
        Tracking::Stop(_) => None,
    }
}

/// Nanoseconds of processor time of this thread: what else runs does not count.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn measure(prefixes: &[Prefix], peers: u32) {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let config = RibConfig { seed: 1, max_paths: 8, relax_as_path: true, install: false };
    let mut run = Run { rib: Rib::new(config), changed: Vec::new(), effects: Effects::default(), decided: 0 };
    let sources: Vec<SourceId> = (0..peers).filter_map(|peer| run.rib.add_source(source(peer))).collect();
    let sets: Vec<AttrId> = sources
        .iter()
        .zip(0..)
        .flat_map(|(_, peer)| (0..SETS).map(move |set| (peer, set)))
        .map(|(peer, set)| {
            let id = run.rib.attributes_mut().intern(attributes(peer, set));
            run.rib.attributes_mut().retain(id);
            id
        })
        .collect();
    let interned = HELD.load(Ordering::Relaxed) - before;

    let start = cpu_nanos();
    for (peer, &source) in sources.iter().enumerate() {
        for turn in prefixes.chunks(TURN).enumerate() {
            for (at, &prefix) in turn.1.iter().enumerate() {
                if at % 16 == 0 {
                    run.rib
                        .look_up(turn.1[at..(at + 16).min(turn.1.len())].iter().copied(), &mut Spots::new());
                }
                // Prefixes of one set stand together, as in UPDATEs.
                let set = (turn.0 * TURN + at) / 16 % SETS as usize;
                let attrs = sets[peer * SETS as usize + set];
                run.rib.announce(source, prefix, attrs, None, u32::MAX);
            }
            run.turn();
        }
    }
    let paths = prefixes.len() * sources.len();
    let announce = (cpu_nanos() - start) / paths as u64;
    run.changed = Vec::new();
    run.effects = Effects::default();
    let held = HELD.load(Ordering::Relaxed) - before;
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert_eq!(run.rib.size(Family::Ipv4), (prefixes.len(), paths));
    let decided = run.decided;

    let start = cpu_nanos();
    for &source in &sources {
        for turn in prefixes.chunks(TURN) {
            for update in turn.chunks(200) {
                run.rib.look_up(update.iter().copied(), &mut Spots::new());
                for &prefix in update {
                    run.rib.withdraw(source, prefix);
                }
            }
            run.turn();
        }
    }
    let withdraw = (cpu_nanos() - start) / paths as u64;
    assert_eq!(run.rib.size(Family::Ipv4), (0, 0));
    println!(
        "{:>9} {peers:>5} {:>11.1} {:>10.1} {:>10.1} {:>8.2} {:>12} {:>12} {:>8.2}",
        prefixes.len(),
        held as f64 / prefixes.len() as f64,
        (held - interned) as f64 / prefixes.len() as f64,
        (held - interned) as f64 / paths as f64,
        peak as f64 / 1e6,
        announce,
        withdraw,
        decided as f64 / paths as f64,
    );
}

fn main() {
    println!(
        "{:>9} {:>5} {:>11} {:>10} {:>10} {:>8} {:>12} {:>12} {:>8}",
        "prefixes",
        "peers",
        "B/route all",
        "B/route",
        "B/path",
        "peak MB",
        "ns/announce",
        "ns/withdraw",
        "changes"
    );
    for count in [100_000, 1_000_000] {
        let prefixes = prefixes(count);
        for peers in [1, 4, 30] {
            measure(&prefixes, peers);
        }
    }
}
