//! Real routing data (MRT, RFC 6396) through the codec: what is read is
//! written again octet for octet, but for what an RFC says must not be.
//!
//! The folder is named by `UNDERLAY_MRT_DATA`; the test says that it is skipped
//! where that is unset.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use bgp::prefix::Family;
use bgp::wire::codec::Codec;
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::update::Update;
use bgp::wire::{code, decode, encode};

use super::{EXTERNAL, OLD};

/// The data's folder, or the word that the test is skipped.
fn folder(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("UNDERLAY_MRT_DATA");
    if folder.is_none() {
        let line = format!("skipped: {test}: UNDERLAY_MRT_DATA is not set\n");
        eprint!("{line}");
        if let Some(skips) = std::env::var_os("UNDERLAY_SKIPS") {
            let mut file = OpenOptions::new().create(true).append(true).open(skips).unwrap();
            // One write of one line: tests in other processes append to the same file.
            file.write_all(line.as_bytes()).unwrap();
        }
    }
    folder.map(PathBuf::from)
}

fn unpacked(folder: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(folder.join(name)).output().unwrap();
    assert!(output.status.success(), "gzip -dc {name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

/// What became of the attribute sets.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Written as they were read.
    same: usize,
    /// Without the AGGREGATOR of AS 0 that they had (RFC 7607 §2).
    without_aggregator: usize,
    /// With AS4_PATH in another place or of another length: it is computed from
    /// the AS_PATH that it was merged into (RFC 6793 §4.2.2).
    as4_path: usize,
}

impl Tally {
    fn take(
        &mut self,
        raw: &[u8],
        next_hop: Option<bgp::wire::attribute::NextHops>,
        codec: &Codec,
        family: Family,
    ) {
        let graded = decode::attributes(raw, next_hop, codec).unwrap();
        let attributes = graded.attributes.unwrap();
        let mut written = Vec::new();
        encode::attributes(&attributes, codec, family, &mut written);
        let problems: Vec<String> = graded.problems.iter().map(ToString::to_string).collect();
        match problems.as_slice() {
            [] if written == raw => self.same += 1,
            [] => {
                assert!(attributes.as_path.needs_four_octets(), "{raw:02x?}\n{written:02x?}");
                let again = decode::attributes(&written, next_hop, codec).unwrap();
                assert_eq!(again.attributes, Some(attributes));
                self.as4_path += 1;
            }
            [problem] => {
                assert_eq!(problem, "AGGREGATOR (7): AS 0: attribute-discard (RFC 7607 2)");
                let gone = [0xc0, code::AGGREGATOR, 6, 0, 0];
                let at = raw.windows(5).position(|octets| octets == gone).unwrap();
                assert_eq!([&raw[..at], &raw[at + 9..]].concat(), written);
                self.without_aggregator += 1;
            }
            more => panic!("{more:?}"),
        }
    }
}

#[test]
fn a_dump_of_2000() {
    let Some(folder) = folder("wire::mrt::a_dump_of_2000") else { return };
    let data = unpacked(&folder, "bview.20000111.0032.gz");
    let mut tally = Tally::default();
    let mut rest = data.as_slice();
    // Time, type 12, subtype 1, a length that leaves out view and sequence
    // number, those two, then entries up to the end.
    while let Some((header, tail)) = rest.split_at_checked(16) {
        assert_eq!(header[4..8], [0, 12, 0, 1]);
        let (mut entries, tail) = tail.split_at(number(&header[8..12]));
        rest = tail;
        while !entries.is_empty() {
            let (entry, after) = entries.split_at(18);
            let (raw, after) = after.split_at(number(&entry[16..18]));
            tally.take(raw, None, &OLD, Family::Ipv4);
            entries = after;
        }
    }
    assert!(rest.is_empty());
    // The 452 018 entries of the dump.
    assert_eq!(tally, Tally { same: 451_881, without_aggregator: 137, as4_path: 0 });
}

#[test]
fn updates_of_2010() {
    let Some(folder) = folder("wire::mrt::updates_of_2010") else { return };
    let data = unpacked(&folder, "updates.20100227.1600.gz");
    let mut tally = Tally::default();
    let mut rest = data.as_slice();
    while let Some((header, tail)) = rest.split_at_checked(12) {
        let (record, tail) = tail.split_at(number(&header[8..12]));
        rest = tail;
        // BGP4MP_MESSAGE and BGP4MP_MESSAGE_AS4: peers, interface, family, addresses.
        let (codec, fixed) = match header[4..8] {
            [0, 16, 0, 1] => (OLD, 8),
            [0, 16, 0, 4] => (EXTERNAL, 12),
            _ => continue,
        };
        let addresses = if number(&record[fixed - 2..fixed]) == 1 { 8 } else { 32 };
        let mut message = &record[fixed + addresses..];
        let mut framer = Framer::new();
        while let Some(frame) = framer.next(&mut message).unwrap() {
            if frame.kind != Kind::Update {
                continue;
            }
            let update = Update::parse(frame.body, &codec).unwrap();
            for announced in update.announced() {
                let mut scratch = Vec::new();
                let raw = update.key(&mut scratch);
                tally.take(raw, announced.next_hop, &codec, announced.nlri.family());
            }
        }
    }
    assert!(rest.is_empty());
    assert_eq!(tally, Tally { same: 6450, without_aggregator: 0, as4_path: 3 });
}
