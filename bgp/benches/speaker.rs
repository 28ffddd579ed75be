//! What a whole speaker costs: nanoseconds of processor time a prefix from octets in to octets out, what one change
//! costs beside a table of some size, how long the longest of 1 000 explanations takes, and how often a receiver is
//! announced a prefix.
//!
//! `cargo bench -p bgp --bench speaker [PREFIXES SENDERS [SETS]]`; 4 000 attribute sets, nothing installed; each sender's
//! octets come in chunks of 64 KiB, two a turn.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bgp::config::{OwnNextHop, PeerAs, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, Tracking, Transport};
use bgp::prefix::{Family, Prefix};
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::community::Community;
use bgp::wire::encode;
use bgp::wire::frame::{Framer, Kind, encode_keepalive};
use bgp::wire::open::Open;
use bgp::wire::pack::{self, Longest};
use bgp::wire::update::Update;
use bytes::Bytes;

const NOW: Instant = Instant(0);
const CHUNK: usize = 64 << 10;
const SETS: usize = 4_000;
/// Chunks a turn: what the agent's loop takes in its time.
const CHUNKS: usize = 2;
const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: bgp::prefix::PerFamily { ipv4: true, ipv6: false },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};
/// Changes of one prefix: many, as the processor's time is told in steps of some milliseconds.
const CHANGES: u64 = 100_000;
const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// Nanoseconds of processor time of this thread: what else runs does not count.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a09_0101 + peer)
}

const fn asn(peer: u32) -> Asn {
    Asn(64_000 + peer)
}

/// Distinct prefixes, out of order: two of three are a /24.
fn prefixes(count: usize) -> Vec<Prefix> {
    let prefix = |number: u32| {
        let (bits, len) = match number % 3 {
            0 => (0x0b00_0000 + number / 3 * 0x400, 22),
            1 => (0x0b00_0000 + number / 3 * 0x400, 24),
            _ => (0x0b00_0100 + number / 3 * 0x400, 24),
        };
        Prefix::new(Ipv4Addr::from_bits(bits).into(), len)
    };
    let mut prefixes: Vec<Prefix> = (0..count as u32).filter_map(prefix).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..prefixes.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        prefixes.swap(at, random as usize % (at + 1));
    }
    prefixes
}

/// The octets by which a peer announces prefixes, of each attribute set a share.
fn announcement(peer: u32, prefixes: &[Prefix], sets: usize) -> Vec<u8> {
    let (mut out, mut raw) = (Vec::new(), Vec::new());
    for (set, run) in (0_u32..).zip(prefixes.chunks(prefixes.len().div_ceil(sets))) {
        let mut attributes = PathAttributes::originated(NextHops::V4(address(peer)));
        let asns = [asn(peer), Asn(100 + set % 7), Asn(1_000 + set % 300), Asn(100_000 + set)].to_vec();
        attributes.as_path = AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns }] };
        attributes.med = (set % 5 == 0).then_some(set % 200);
        attributes.communities = [Community(set), Community(set % 50)].into();
        raw.clear();
        encode::attributes(&attributes, &CODEC, Family::Ipv4, &mut raw);
        let packed = pack::announce(
            &raw,
            attributes.next_hop,
            Family::Ipv4,
            run.iter().copied(),
            Longest::Plain,
            &mut out,
        );
        packed.expect("the attributes are short");
    }
    out
}

fn withdrawal(prefixes: &[Prefix]) -> Vec<u8> {
    let mut out = Vec::new();
    pack::withdraw(Family::Ipv4, prefixes.iter().copied(), &mut out);
    out
}

/// A speaker with Established peers, the last of which sends nothing.
struct Run {
    speaker: Speaker,
    effects: Effects,
    /// What each connection was written.
    written: BTreeMap<u32, Vec<Bytes>>,
}

impl Run {
    fn new(peers: u32) -> Self {
        let mut config = SpeakerConfig::new(Asn(65_000), RouterId::from(OWN));
        config.install = false;
        config.transit = true;
        config.peers = (0..peers)
            .map(|peer| PeerConfig {
                own_next_hop: OwnNextHop { ipv4: Some(OWN), ipv6: None },
                asn: PeerAs::Exactly(asn(peer)),
                ..PeerConfig::new(address(peer).into())
            })
            .collect();
        let mut run =
            Self { speaker: Speaker::new(&config, 7), effects: Effects::default(), written: BTreeMap::new() };
        run.speaker.reconcile(config, &mut run.effects, NOW);
        for peer in 0..peers {
            let [local, remote] = [OWN, address(peer)].map(|address| SocketAddr::new(address.into(), 179));
            run.handle(Event::Accepted { conn: ConnId::Inbound(peer.into()), local, remote });
            let mut hello = Vec::new();
            let open = Open {
                asn: asn(peer),
                hold_seconds: 0,
                router_id: RouterId::from(address(peer)),
                capabilities: vec![
                    Capability::multiprotocol(Family::Ipv4),
                    Capability::FourOctetAs(asn(peer)),
                ],
            };
            open.encode(&mut hello);
            encode_keepalive(&mut hello);
            run.receive(peer, &hello);
        }
        run.settle();
        run
    }

    fn handle(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, NOW);
    }

    fn receive(&mut self, peer: u32, bytes: &[u8]) {
        self.handle(Event::Bytes { conn: ConnId::Inbound(peer.into()), bytes });
    }

    /// One call of `work`, and what it asks for; whether there is more to do.
    fn turn(&mut self) -> bool {
        let mut more = self.speaker.work(&mut self.effects, NOW);
        let Effects { transport, tracking, .. } = std::mem::take(&mut self.effects);
        for effect in transport {
            let Transport::Write { conn, bytes } = effect else { continue };
            if let ConnId::Inbound(peer) = conn {
                self.written.entry(peer as u32).or_default().push(bytes.clone());
            }
            self.handle(Event::Written { conn, bytes: bytes.len() });
        }
        for effect in tracking {
            let Tracking::Start(next_hop) = effect else { continue };
            self.handle(Event::NextHop { next_hop, metric: Some(0) });
            more = true;
        }
        more
    }

    fn settle(&mut self) {
        while self.turn() {}
    }

    /// How many prefixes a peer was announced since this was last asked.
    fn announced(&mut self, peer: u32) -> usize {
        let (mut framer, mut count) = (Framer::new(), 0);
        for bytes in self.written.remove(&peer).into_iter().flatten() {
            let mut chunk = &*bytes;
            while let Some(frame) = framer.next(&mut chunk).expect("whole messages") {
                if frame.kind == Kind::Update {
                    let update = Update::parse(frame.body, &CODEC).expect("an UPDATE");
                    count += update.announced().map(|part| part.nlri.iter().count()).sum::<usize>();
                }
            }
        }
        count
    }

    /// Takes in what each sender writes, a chunk of each after the other, some a turn; nanoseconds of processor time.
    fn feed(&mut self, streams: &[Vec<u8>]) -> u64 {
        let start = cpu_nanos();
        let most = streams.iter().map(Vec::len).max().unwrap_or(0);
        let mut taken = 0;
        for at in (0..most).step_by(CHUNK) {
            for (peer, stream) in (0..).zip(streams) {
                let end = stream.len().min(at + CHUNK);
                if let Some(chunk) = stream.get(at..end).filter(|chunk| !chunk.is_empty()) {
                    self.receive(peer, chunk);
                    taken += 1;
                    if taken % CHUNKS == 0 {
                        self.turn();
                    }
                }
            }
        }
        self.settle();
        cpu_nanos() - start
    }
}

fn measure(count: usize, senders: u32, sets: usize) {
    let prefixes = prefixes(count);
    let streams: Vec<Vec<u8>> = (0..senders).map(|peer| announcement(peer, &prefixes, sets)).collect();
    let mut run = Run::new(senders + 1);
    let paths = count as u64 * u64::from(senders);
    let announce = run.feed(&streams) / paths;
    let sent = run.announced(senders);
    assert!(sent >= count, "the receiver was announced {sent} prefixes");
    let sent = sent as f64 / count as f64;

    // One prefix goes and comes back.
    let (gone, back) = (withdrawal(&prefixes[..1]), announcement(0, &prefixes[..1], 1));
    let start = cpu_nanos();
    for _ in 0..CHANGES / 2 {
        for message in [&gone, &back] {
            run.receive(0, message);
            run.settle();
        }
    }
    let change = (cpu_nanos() - start) / CHANGES;

    let longest = prefixes.iter().step_by((count / 1_000).max(1)).map(|&prefix| {
        let explained = |_| {
            let start = std::time::Instant::now();
            let explanation = run.speaker.explain(prefix);
            assert!(explanation.route.is_some(), "{prefix} is in the table");
            start.elapsed()
        };
        // The least of three: another process may have had the processor.
        (0..3).map(explained).min().unwrap_or_default()
    });
    let explain = longest.max().unwrap_or_default().as_micros();

    let gone = withdrawal(&prefixes);
    let streams: Vec<Vec<u8>> = (0..senders).map(|_| gone.clone()).collect();
    let withdraw = run.feed(&streams) / paths;
    println!("{count:>9} {senders:>7} {announce:>12} {withdraw:>12} {change:>9} {explain:>10} {sent:>9.2}");
}

fn main() {
    println!(
        "{:>9} {:>7} {:>12} {:>12} {:>9} {:>10} {:>9}",
        "prefixes", "senders", "ns/announce", "ns/withdraw", "ns/change", "us/explain", "announced"
    );
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if let &[count, senders, ref sets @ ..] = &*given {
        return measure(count, senders as u32, sets.first().map_or(SETS, |&sets| sets.max(1)));
    }
    for count in [10_000, 100_000, 1_000_000] {
        measure(count, 1, SETS);
    }
    measure(100_000, 4, SETS);
    measure(100_000, 30, SETS);
}
