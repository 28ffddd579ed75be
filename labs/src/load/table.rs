//! A table out of a seed: prefixes of realistic lengths, each with one of many attribute sets.
//!
//! Lengths follow the Internet's table (RIPE RIS, 2026: six of ten IPv4 prefixes are a /24, nearly half of the IPv6
//! ones a /48), so do the lengths of AS paths and the numbers of communities; sizes of attribute sets are uneven, as
//! a few origins announce much and most little. Equal seeds give equal tables.

use std::net::{Ipv4Addr, Ipv6Addr};

use bgp::id::Asn;
use bgp::prefix::{Family, Prefix, Prefix4, Prefix6};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, Origin, PathAttributes};
use bgp::wire::community::{Community, LargeCommunity};

/// Lengths of prefixes and how many of a hundred have them.
const LENGTHS4: [(u8, u32); 8] = [(24, 60), (23, 9), (22, 11), (21, 5), (20, 5), (19, 4), (18, 3), (16, 3)];
const LENGTHS6: [(u8, u32); 6] = [(48, 47), (32, 13), (44, 12), (40, 11), (36, 9), (47, 8)];
/// Numbers of ASes in a path and how many of a hundred paths have them.
const PATHS: [(u8, u32); 6] = [(1, 5), (2, 20), (3, 35), (4, 25), (5, 10), (7, 5)];
/// IPv4 blocks that no table of public routes holds: the cursor leaps over them.
const RESERVED: [(u32, u8); 7] = [
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 16),
    (0xc0a8_0000, 16),
    (0xc612_0000, 15),
];

/// Prefixes by attribute set.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) family: Family,
    pub(super) sets: Vec<Set>,
}

/// Prefixes that share their attributes.
#[derive(Debug)]
pub(super) struct Set {
    /// Attributes but for what depends on the sender: the next hop and the first AS.
    pub(super) attributes: PathAttributes,
    pub(super) prefixes: Vec<Prefix>,
}

impl Set {
    /// The attributes as the sender with AS `asn` and next hop `next_hop` announces them.
    pub(super) fn attributes(&self, asn: Asn, next_hop: NextHops) -> PathAttributes {
        let as_path = self.attributes.as_path.prepended(asn, 1);
        PathAttributes { as_path, next_hop, ..self.attributes.clone() }
    }
}

impl Table {
    /// A table of `count` prefixes in `sets` attribute sets, or as many as there are prefixes.
    pub(super) fn new(family: Family, count: usize, sets: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let sets = sets.clamp(1, count.max(1));
        let mut table: Vec<Set> =
            (0..sets).map(|_| Set { attributes: seeded(&mut random), prefixes: Vec::new() }).collect();
        let mut addresses = Addresses::new(family);
        for index in 0..count {
            let prefix = addresses.next(&mut random);
            // Each set has one prefix at least; the rest go more often to the first ones.
            let chosen = if index < sets { index } else { random.skewed(sets) };
            table[chosen].prefixes.push(prefix);
        }
        Self { family, sets: table }
    }

    /// How many prefixes there are.
    pub(super) fn len(&self) -> usize {
        self.sets.iter().map(|set| set.prefixes.len()).sum()
    }

    /// The table in parts, one a sender: half of it for the first one, the rest in equal parts.
    pub(super) fn split(&self, senders: usize) -> Vec<Self> {
        let empty = || Self {
            family: self.family,
            sets: self
                .sets
                .iter()
                .map(|set| Set { attributes: set.attributes.clone(), prefixes: Vec::new() })
                .collect(),
        };
        let mut parts: Vec<Self> = (0..senders).map(|_| empty()).collect();
        let mut others = (1..senders).cycle();
        let each = self
            .sets
            .iter()
            .enumerate()
            .flat_map(|(at, set)| set.prefixes.iter().map(move |prefix| (at, *prefix)));
        for (number, (set, prefix)) in each.enumerate() {
            let sender = if number % 2 == 0 { 0 } else { others.next().unwrap_or(0) };
            parts[sender].sets[set].prefixes.push(prefix);
        }
        parts.iter_mut().for_each(|part| part.sets.retain(|set| !set.prefixes.is_empty()));
        parts
    }

    /// Each prefix once.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        self.sets.iter().flat_map(|set| set.prefixes.iter().copied())
    }
}

/// Attributes out of a draw.
fn seeded(random: &mut Random) -> PathAttributes {
    let asn = |random: &mut Random| match random.below(4) {
        // ASes of four octets and the older ones of two; none of them private.
        0 => Asn(131_072 + random.below(200_000)),
        _ => Asn(1_000 + random.below(60_000)),
    };
    let path = (0..random.weighted(&PATHS)).map(|_| asn(random)).collect::<Vec<_>>();
    let first = path.first().map_or(1, |asn| asn.0) & 0xffff;
    let communities = (0..random.below(9)).map(|_| Community(first << 16 | random.below(10_000)));
    let communities = communities.collect();
    let large = if random.below(4) == 0 { random.below(4) } else { 0 };
    let large_communities = (0..large)
        .map(|_| LargeCommunity { global: first, local1: random.below(1_000), local2: random.below(1_000) })
        .collect();
    PathAttributes {
        origin: if random.below(10) == 0 { Origin::Incomplete } else { Origin::Igp },
        as_path: AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns: path }] },
        med: (random.below(5) == 0).then(|| random.below(200)),
        communities,
        large_communities,
        ..PathAttributes::originated(NextHops::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// A cursor a length through a family's addresses; each prefix is given once. Some cover others, as in a real table.
struct Addresses {
    family: Family,
    next: [u128; 129],
}

impl Addresses {
    fn new(family: Family) -> Self {
        let start = match family {
            Family::Ipv4 => u128::from(u32::from(Ipv4Addr::new(11, 0, 0, 0))),
            Family::Ipv6 => u128::from(Ipv6Addr::new(0x2400, 0, 0, 0, 0, 0, 0, 0)),
        };
        Self { family, next: [start; 129] }
    }

    fn next(&mut self, random: &mut Random) -> Prefix {
        loop {
            let len = match self.family {
                Family::Ipv4 => random.weighted(&LENGTHS4),
                Family::Ipv6 => random.weighted(&LENGTHS6),
            };
            let size = 1_u128 << (self.family.max_len() - len);
            let next = &mut self.next[usize::from(len)];
            let first = next.div_ceil(size) * size;
            *next = first + size;
            let prefix = match self.family {
                Family::Ipv4 => {
                    let bits = u32::try_from(first).unwrap_or_default();
                    let reserved = |&(base, len): &(u32, u8)| bits >> (32 - len) == base >> (32 - len);
                    if let Some((base, len)) = RESERVED.iter().copied().find(reserved) {
                        *next = u128::from(base) + (1 << (32 - len));
                        continue;
                    }
                    Prefix4::new(bits, len).map(Prefix::V4)
                }
                Family::Ipv6 => Prefix6::new(first, len).map(Prefix::V6),
            };
            if let Some(prefix) = prefix {
                return prefix;
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `limit`.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let product = u128::from(self.next()) * u128::from(limit);
        u32::try_from(product >> 64).unwrap_or_default()
    }

    /// An index below `limit`, the first ones more often: the square of an even draw.
    fn skewed(&mut self, limit: usize) -> usize {
        let draw = u128::from(self.next() >> 32);
        let square = draw * draw;
        usize::try_from((square * limit as u128) >> 64).unwrap_or_default().min(limit - 1)
    }

    fn weighted(&mut self, choices: &[(u8, u32)]) -> u8 {
        let total = choices.iter().map(|(_, weight)| weight).sum();
        let mut draw = self.below(total);
        for &(value, weight) in choices {
            if draw < weight {
                return value;
            }
            draw -= weight;
        }
        choices.first().map_or(0, |(value, _)| *value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Prefix, Table};
    use bgp::prefix::Family;

    #[test]
    fn a_million_prefixes_are_all_unicast() {
        let table = Table::new(Family::Ipv4, 1_000_000, 4_000, 7);
        let is_unicast = |prefix: Prefix| matches!(prefix, Prefix::V4(prefix) if prefix.bits() < 0xe000_0000);
        assert!(table.prefixes().all(is_unicast));
    }

    #[test]
    fn parts_of_a_table_are_all_of_it() {
        let table = Table::new(Family::Ipv4, 5_000, 100, 7);
        let parts = table.split(501);
        assert_eq!(parts.iter().map(Table::len).collect::<BTreeSet<_>>(), [2_500, 5].into());
        let whole: BTreeSet<Prefix> = parts.iter().flat_map(Table::prefixes).collect();
        assert_eq!(whole, table.prefixes().collect());
    }

    #[test]
    fn a_table_has_each_prefix_once_in_sets_that_are_not_empty() {
        for family in [Family::Ipv4, Family::Ipv6] {
            let table = Table::new(family, 20_000, 4_000, 7);
            let distinct: BTreeSet<Prefix> = table.prefixes().collect();
            assert_eq!((table.len(), distinct.len(), table.sets.len()), (20_000, 20_000, 4_000));
            assert!(table.sets.iter().all(|set| !set.prefixes.is_empty()));
            let again = Table::new(family, 20_000, 4_000, 7);
            assert!(again.prefixes().eq(table.prefixes()), "equal seeds, equal tables");
            assert!(!Table::new(family, 20_000, 4_000, 8).prefixes().eq(table.prefixes()));
        }
    }
}
