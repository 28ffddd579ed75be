//! One sender's UPDATEs, made before the clock starts.

use std::ops::Range;

use bgp::id::Asn;
use bgp::prefix::Prefix;
use bgp::wire::attribute::NextHops;
use bgp::wire::pack::Longest;
use bgp::wire::{encode, pack};

use super::counter::CODEC;
use super::table::Table;

/// Octets that are written in one go at most: some messages, never a part of one.
const PIECE: usize = 256 * 1024;

/// Messages one behind the other.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    pieces: Vec<Range<usize>>,
}

impl Stream {
    /// The whole table, or of each attribute set the share `part` of a hundred.
    pub(super) fn announce(table: &Table, part: usize, asn: Asn, next_hop: NextHops) -> anyhow::Result<Self> {
        let mut stream = Self::default();
        let mut raw = Vec::new();
        for set in &table.sets {
            raw.clear();
            encode::attributes(&set.attributes(asn, next_hop), &CODEC, table.family, &mut raw);
            let prefixes = share(&set.prefixes, part);
            pack::announce(
                &raw,
                next_hop,
                table.family,
                prefixes.iter().copied(),
                Longest::Plain,
                &mut stream.bytes,
            )?;
        }
        Ok(stream.cut())
    }

    /// What takes back what [`Stream::announce`] announced.
    pub(super) fn withdraw(table: &Table, part: usize) -> Self {
        let mut stream = Self::default();
        let prefixes = table.sets.iter().flat_map(|set| share(&set.prefixes, part).iter().copied());
        pack::withdraw(table.family, prefixes, &mut stream.bytes);
        stream.cut()
    }

    /// End-of-RIB (RFC 4724 §2).
    pub(super) fn end_of_rib(table: &Table) -> Self {
        let mut stream = Self::default();
        pack::end_of_rib(table.family, &mut stream.bytes);
        stream.cut()
    }

    /// The octets in pieces that end where a message ends.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().filter_map(|piece| self.bytes.get(piece.clone()))
    }

    /// How many octets there are.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn cut(mut self) -> Self {
        let (mut start, mut end) = (0, 0);
        // A header holds the message's length in its 17th and 18th octet.
        while let Some(&[high, low]) = self.bytes.get(end + 16..end + 18) {
            let next = end + usize::from(u16::from_be_bytes([high, low]));
            if next - start > PIECE {
                self.pieces.push(start..end);
                start = end;
            }
            end = next;
        }
        if end > start {
            self.pieces.push(start..end);
        }
        self
    }
}

/// The first `part` of a hundred prefixes, one at least of those that are there.
fn share(prefixes: &[Prefix], part: usize) -> &[Prefix] {
    let count = (prefixes.len() * part).div_ceil(100);
    prefixes.get(..count).unwrap_or(prefixes)
}
