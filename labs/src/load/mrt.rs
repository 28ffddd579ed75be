//! A table of the Internet as a route collector dumped it (MRT, RFC 6396 §4.2: TABLE_DUMP, IPv4), in place of one out
//! of a seed: the prefixes of the collector's peer that has the most.
//!
//! Left out is what a speaker would rightly refuse, which nobody could wait for: attributes that are malformed, ASes
//! for private use (the lab's own are among them), blocks that are never routed, and the default route.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use bgp::id::Asn;
use bgp::prefix::{Family, PerFamily, Prefix, Prefix4};
use bgp::wire::attribute::PathAttributes;
use bgp::wire::codec::Codec;
use bgp::wire::decode;

use super::table::{Set, Table};

/// The fixed part of a record, with view and sequence number.
const HEADER: usize = 16;
/// The fixed part of an entry: prefix, length, status, time, peer, its AS, the attributes' length.
const ENTRY: usize = 18;
/// What collectors wrote in TABLE_DUMP: ASes of two octets.
const CODEC: Codec = Codec {
    four_octet: false,
    external: true,
    families: PerFamily { ipv4: true, ipv6: false },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

/// One prefix of a peer, and its attributes as they stand in the file.
type Entry<'a> = (Prefix, &'a [u8]);

/// The table of a dump, `most` of its prefixes; a file that ends in `.gz` goes through gzip.
pub(super) fn table(file: &Path, most: usize) -> anyhow::Result<Table> {
    let data = if file.extension().is_some_and(|extension| extension == "gz") {
        let output = Command::new("gzip").arg("-dc").arg(file).output().context("gzip")?;
        ensure!(output.status.success(), "gzip: {}", String::from_utf8_lossy(&output.stderr).trim());
        output.stdout
    } else {
        std::fs::read(file)?
    };
    let peers = peers(&data)?;
    let largest = peers.into_values().max_by_key(Vec::len).context("no TABLE_DUMP of IPv4 in it")?;
    let mut seen = HashSet::new();
    let mut places: HashMap<&[u8], Option<usize>> = HashMap::new();
    let mut sets: Vec<Set> = Vec::new();
    for (prefix, raw) in largest {
        let place = *places.entry(raw).or_insert_with(|| {
            attributes(raw).map(|attributes| {
                sets.push(Set { attributes, prefixes: Vec::new() });
                sets.len() - 1
            })
        });
        let Some(set) = place.and_then(|place| sets.get_mut(place)) else { continue };
        if seen.len() < most && seen.insert(prefix) {
            set.prefixes.push(prefix);
        }
    }
    sets.retain(|set| !set.prefixes.is_empty());
    ensure!(!sets.is_empty(), "no prefix in it");
    Ok(Table { family: Family::Ipv4, sets })
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

/// The entries of each peer, by its address and AS.
fn peers(data: &[u8]) -> anyhow::Result<BTreeMap<&[u8], Vec<Entry<'_>>>> {
    let mut peers: BTreeMap<&[u8], Vec<Entry<'_>>> = BTreeMap::new();
    let mut rest = data;
    while let Some((header, tail)) = rest.split_at_checked(HEADER) {
        // A length that leaves out view and sequence number, as old dumps have it.
        let len = number(&header[8..12]);
        let (mut entries, tail) = tail.split_at_checked(len).context("the last record is cut short")?;
        rest = tail;
        if header[4..8] != [0, 12, 0, 1] {
            continue;
        }
        while let Some((entry, after)) = entries.split_at_checked(ENTRY) {
            let (raw, after) =
                after.split_at_checked(number(&entry[16..18])).context("an entry is cut short")?;
            entries = after;
            let bits = u32::try_from(number(&entry[..4]))?;
            let prefix = Prefix4::new(bits, entry[4]).context("a prefix is longer than 32 bits")?;
            if is_routed(prefix) {
                peers.entry(&entry[10..16]).or_default().push((Prefix::V4(prefix), raw));
            }
        }
    }
    Ok(peers)
}

/// Whether anybody may announce it (RFC 6890).
fn is_routed(prefix: Prefix4) -> bool {
    let first = prefix.bits() >> 24;
    prefix.len() > 0 && (1..224).contains(&first) && first != 127 && prefix.bits() >> 16 != 0xa9fe
}

fn attributes(raw: &[u8]) -> Option<PathAttributes> {
    let graded = decode::attributes(raw, None, &CODEC).ok()?;
    let attributes = graded.attributes.filter(|_| graded.problems.is_empty())?;
    let private = |asn: &Asn| (64_000..=65_535).contains(&asn.0) || asn.0 == 0;
    let asns = attributes.as_path.segments.iter().flat_map(|segment| &segment.asns);
    (asns.filter(|asn| private(asn)).count() == 0).then_some(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of one entry of peer 192.0.2.`peer`.
    fn record(peer: u8, prefix: [u8; 5], asn: u8) -> Vec<u8> {
        let attributes =
            [&[0x40, 1, 1, 0][..], &[0x40, 2, 4, 2, 1, 0, asn], &[0x40, 3, 4, 192, 0, 2, 1]].concat();
        let entry =
            [&prefix[..], &[1, 0, 0, 0, 0, 192, 0, 2, peer, 0, 1, 0, attributes.len() as u8], &attributes];
        let entry = entry.concat();
        let header = [0, 0, 0, 0, 0, 12, 0, 1, 0, 0, 0, entry.len() as u8, 0, 0, 0, 0];
        [&header[..], &entry].concat()
    }

    #[test]
    fn the_largest_peer_s_prefixes_are_the_table() {
        let records = [
            record(1, [20, 0, 0, 0, 8], 7),
            record(2, [20, 0, 0, 0, 8], 7),
            record(2, [20, 0, 0, 0, 8], 9),
            record(2, [30, 1, 0, 0, 16], 7),
            record(2, [127, 0, 0, 0, 8], 7),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("dump");
        std::fs::write(&file, records.concat()).expect("written");
        let read = table(&file, 10).expect("a table");
        let prefixes: Vec<String> = read.prefixes().map(|prefix| prefix.to_string()).collect();
        assert_eq!((prefixes.join(" ").as_str(), read.sets.len()), ("20.0.0.0/8 30.1.0.0/16", 1));
        assert_eq!(table(&file, 1).expect("a table").len(), 1);
        std::fs::write(&file, &records.concat()[..40]).expect("written");
        assert!(table(&file, 10).is_err(), "cut short");
    }
}
