//! What a prefix costs in the codec at 1, 200 and 900 prefixes an UPDATE:
//! `cargo bench -p bgp --bench codec`. The items are prefixes.
//!
//! - `walk` frames a message, takes it apart, finds the octets that identify
//!   its attributes and walks its prefixes: all that an UPDATE with a known
//!   attribute set costs.
//! - `walk_and_decode` decodes the attributes as well: an UPDATE with a new set.
//! - `announce` and `withdraw` fill a buffer that is used again.

use bgp::id::Asn;
use bgp::prefix::{Family, PerFamily, Prefix, Prefix4, Prefix6};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::codec::Codec;
use bgp::wire::community::Community;
use bgp::wire::frame::Framer;
use bgp::wire::update::{Announced, Update};
use bgp::wire::{decode, encode, pack};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const PREFIXES: [usize; 3] = [1, 200, 900];

const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

/// Four ASes and two communities, as a path through a fabric has them.
fn attributes(family: Family) -> PathAttributes {
    let next_hop = match family {
        Family::Ipv4 => NextHops::V4([10, 0, 0, 1].into()),
        Family::Ipv6 => NextHops::V6 { global: [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), link_local: None },
    };
    let asns = [65101, 65200, 65102, 4_200_000_001].map(Asn).to_vec();
    PathAttributes {
        as_path: AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns }] },
        communities: [Community(0xfde9_0001), Community(0xfde9_0002)].into(),
        ..PathAttributes::originated(next_hop)
    }
}

/// /24 and /48 prefixes, the sizes of pod networks.
fn prefixes(family: Family, count: usize) -> Vec<Prefix> {
    let prefix = |index: usize| match family {
        Family::Ipv4 => Prefix4::new(0x0a00_0000 | (index as u32) << 8, 24).map(Prefix::V4),
        Family::Ipv6 => Prefix6::new(0x2001_0db8 << 96 | (index as u128) << 80, 48).map(Prefix::V6),
    };
    (0..count).filter_map(prefix).collect()
}

fn encoded(family: Family) -> (NextHops, Vec<u8>) {
    let attributes = attributes(family);
    let mut raw = Vec::new();
    encode::attributes(&attributes, &CODEC, family, &mut raw);
    (attributes.next_hop, raw)
}

/// The messages that announce the prefixes.
fn stream(family: Family, count: usize) -> Vec<u8> {
    let (next_hop, raw) = encoded(family);
    let mut out = Vec::new();
    let messages =
        pack::announce(&raw, next_hop, family, prefixes(family, count), pack::Longest::Plain, &mut out);
    assert!(messages.is_ok(), "the attributes leave room");
    out
}

/// Reads a stream and gives each field of announced prefixes with its UPDATE away.
fn read(stream: &[u8], mut each: impl FnMut(&Update<'_>, Announced<'_>)) {
    let mut framer = Framer::new();
    let mut rest = stream;
    while let Ok(Some(frame)) = framer.next(&mut rest) {
        let Ok(update) = Update::parse(frame.body, &CODEC) else { continue };
        for announced in update.announced() {
            each(&update, announced);
        }
    }
}

fn walk_prefixes(announced: Announced<'_>) -> usize {
    let ipv4 = announced.nlri.ipv4().map(|prefix| black_box(prefix).len());
    let ipv6 = announced.nlri.ipv6().map(|prefix| black_box(prefix).len());
    ipv4.chain(ipv6).map(usize::from).sum()
}

fn walk(bencher: Bencher<'_, '_>, family: Family, count: usize) {
    let stream = stream(family, count);
    let mut scratch = Vec::new();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut sum = 0;
        read(black_box(&stream), |update, announced| {
            sum += update.key(&mut scratch).len() + walk_prefixes(announced);
        });
        sum
    });
}

fn walk_and_decode(bencher: Bencher<'_, '_>, family: Family, count: usize) {
    let stream = stream(family, count);
    let mut scratch = Vec::new();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        let mut sum = 0;
        read(black_box(&stream), |update, announced| {
            let graded = decode::attributes(update.key(&mut scratch), announced.next_hop, &CODEC);
            sum += usize::from(black_box(graded).is_ok()) + walk_prefixes(announced);
        });
        sum
    });
}

fn announce(bencher: Bencher<'_, '_>, family: Family, count: usize) {
    let prefixes = prefixes(family, count);
    let attributes = attributes(family);
    let mut raw = Vec::new();
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        raw.clear();
        out.clear();
        encode::attributes(black_box(&attributes), &CODEC, family, &mut raw);
        let prefixes = black_box(&prefixes).iter().copied();
        pack::announce(&raw, attributes.next_hop, family, prefixes, pack::Longest::Plain, &mut out)
            .map(|_| out.len())
    });
}

fn withdraw(bencher: Bencher<'_, '_>, family: Family, count: usize) {
    let prefixes = prefixes(family, count);
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        out.clear();
        pack::withdraw(family, black_box(&prefixes).iter().copied(), &mut out)
    });
}

macro_rules! family {
    ($module:ident, $family:expr) => {
        mod $module {
            use bgp::prefix::Family;
            use divan::Bencher;

            #[divan::bench(args = super::PREFIXES)]
            fn walk(bencher: Bencher<'_, '_>, count: usize) {
                super::walk(bencher, $family, count);
            }

            #[divan::bench(args = super::PREFIXES)]
            fn walk_and_decode(bencher: Bencher<'_, '_>, count: usize) {
                super::walk_and_decode(bencher, $family, count);
            }

            #[divan::bench(args = super::PREFIXES)]
            fn announce(bencher: Bencher<'_, '_>, count: usize) {
                super::announce(bencher, $family, count);
            }

            #[divan::bench(args = super::PREFIXES)]
            fn withdraw(bencher: Bencher<'_, '_>, count: usize) {
                super::withdraw(bencher, $family, count);
            }
        }
    };
}

family!(ipv4, Family::Ipv4);
family!(ipv6, Family::Ipv6);
