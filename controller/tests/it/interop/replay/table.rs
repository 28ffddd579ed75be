//! Tables of routes as octets: read out of MRT files (RFC 6396), made up, and written as UPDATEs. Nothing of the speaker
//! is used, so that what it has done is seen by others' eyes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// A prefix as it stands in an UPDATE, without host bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nlri {
    pub(super) ipv6: bool,
    /// The length in bits, and the octets that it takes.
    pub(super) octets: Vec<u8>,
}

/// Path attributes by type: flags without Extended Length, and the value, with four octets an AS.
pub(super) type Attributes = BTreeMap<u8, (u8, Vec<u8>)>;

pub(super) type Table = BTreeMap<Nlri, Attributes>;

pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MED: u8 = 4;
pub(super) const LOCAL_PREF: u8 = 5;
pub(super) const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
pub(super) const MP_REACH: u8 = 14;
const AS4_PATH: u8 = 17;

pub(super) fn number(octets: &[u8]) -> usize {
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken
}

fn nlri(rest: &mut &[u8], ipv6: bool) -> Nlri {
    let octets = rest[..1 + usize::from(rest[0]).div_ceil(8)].to_vec();
    take(rest, octets.len());
    Nlri { ipv6, octets }
}

fn widened(value: &[u8]) -> Vec<u8> {
    let mut rest = value;
    let mut wide = Vec::new();
    while !rest.is_empty() {
        let head = take(&mut rest, 2);
        wide.extend_from_slice(head);
        let asns = take(&mut rest, 2 * usize::from(head[1])).chunks(2);
        asns.for_each(|asn| wide.extend_from_slice(&[0, 0, asn[0], asn[1]]));
    }
    wide
}

fn attributes(mut rest: &[u8], four_octets: bool) -> Attributes {
    let mut all = Attributes::new();
    while !rest.is_empty() {
        let head = take(&mut rest, 2);
        let length = if head[0] & 0x10 == 0 { 1 } else { 2 };
        let length = number(take(&mut rest, length));
        let mut value = take(&mut rest, length).to_vec();
        if !four_octets && head[1] == AS_PATH {
            value = widened(&value);
        }
        if !four_octets && head[1] == AGGREGATOR {
            value.splice(0..0, [0, 0]);
        }
        all.insert(head[1], (head[0] & !0x10, value));
    }
    all
}

/// What a gzipped file holds.
fn unpacked(file: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The records of a file: type with subtype, and what follows the header.
fn records(data: &[u8]) -> impl Iterator<Item = ([u8; 4], usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let header = data.get(at..at + 12)?;
        let start = at;
        at += 12 + number(&header[8..12]);
        Some(([header[4], header[5], header[6], header[7]], start, data.get(start + 12..at)?))
    })
}

/// The table of the peer with most routes in a dump of 2000: TABLE_DUMP, several entries a record.
pub(super) fn dump_of_2000(file: &Path) -> Table {
    let data = unpacked(file);
    let mut peers: BTreeMap<(Vec<u8>, Vec<u8>), Table> = BTreeMap::new();
    let mut rest = data.as_slice();
    while !rest.is_empty() {
        let header = take(&mut rest, 16);
        assert_eq!(header[4..8], [0, 12, 0, 1]);
        // The length leaves view and sequence number out.
        let mut entries = take(&mut rest, number(&header[8..12]));
        while !entries.is_empty() {
            let entry = take(&mut entries, 18);
            let raw = take(&mut entries, number(&entry[16..18]));
            let bits = entry[4];
            let mut octets = vec![bits];
            octets.extend_from_slice(&entry[..usize::from(bits).div_ceil(8)]);
            let peer = (header[12..14].to_vec(), entry[10..16].to_vec());
            let table = peers.entry(peer).or_default();
            table.insert(Nlri { ipv6: false, octets }, attributes(raw, false));
        }
    }
    peers.into_values().max_by_key(Table::len).unwrap()
}

/// What the peer with most routes has announced last of each prefix, in a file of UPDATEs (BGP4MP).
pub(super) fn updates_of_2010(file: &Path) -> Table {
    let data = unpacked(file);
    let mut peers: BTreeMap<Vec<u8>, Table> = BTreeMap::new();
    for (kind, _, record) in records(&data) {
        let (four_octets, fixed) = match kind {
            [0, 16, 0, 1] => (false, 8),
            [0, 16, 0, 4] => (true, 12),
            _ => continue,
        };
        let addresses = if number(&record[fixed - 2..fixed]) == 1 { 8 } else { 32 };
        let peer = record[..fixed + addresses].to_vec();
        let message = &record[fixed + addresses..];
        if message[18] != 2 {
            continue;
        }
        let mut rest = &message[19..];
        let length = number(take(&mut rest, 2));
        take(&mut rest, length);
        let length = number(take(&mut rest, 2));
        let raw = take(&mut rest, length);
        while !rest.is_empty() {
            let path = attributes(raw, four_octets);
            // What a router of two octets says of longer numbers is merged by who hears it.
            if !path.contains_key(&AS4_PATH) {
                peers.entry(peer.clone()).or_default().insert(nlri(&mut rest, false), path);
            } else {
                nlri(&mut rest, false);
            }
        }
    }
    peers.into_values().max_by_key(Table::len).unwrap()
}

/// What a daemon has dumped of its table from one peer: TABLE_DUMP_V2, RIB_IPV4_UNICAST and RIB_IPV6_UNICAST.
pub(super) fn dumped(data: &[u8], peer: &[u8]) -> Table {
    let mut table = Table::new();
    let mut wanted = Vec::new();
    for (kind, _, record) in records(data) {
        let mut rest = record;
        match kind {
            [0, 13, 0, 1] => {
                take(&mut rest, 4);
                let name = number(take(&mut rest, 2));
                take(&mut rest, name);
                for at in 0..number(take(&mut rest, 2)) {
                    let kind = take(&mut rest, 5)[0];
                    let address = take(&mut rest, if kind & 1 == 0 { 4 } else { 16 });
                    if address == peer {
                        wanted.push(at);
                    }
                    take(&mut rest, if kind & 2 == 0 { 2 } else { 4 });
                }
            }
            [0, 13, 0, subtype @ (2 | 4)] => {
                take(&mut rest, 4);
                let prefix = nlri(&mut rest, subtype == 4);
                for _ in 0..number(take(&mut rest, 2)) {
                    let from = number(&take(&mut rest, 6)[..2]);
                    let length = number(take(&mut rest, 2));
                    let raw = take(&mut rest, length);
                    if wanted.contains(&from) {
                        table.insert(prefix.clone(), attributes(raw, true));
                    }
                }
            }
            _ => {}
        }
    }
    table
}

/// A small generator: the same table in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % u64::from(limit)) as u32
    }

    /// An AS of a quarter that takes four octets.
    fn asn(&mut self) -> u32 {
        if self.below(4) == 0 { 131_072 + self.below(200_000) } else { 1_000 + self.below(60_000) }
    }
}

/// 80 000 IPv4 and 20 000 IPv6 prefixes with 4 000 sets of attributes as they come from a provider: paths of 1 to 9 ASes,
/// some with a set at their end, communities of all kinds, MEDs, aggregates.
pub(super) fn synthetic(first_as: u32) -> Table {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let sets: Vec<Attributes> = (0..4_000).map(|_| made_up(&mut draw, first_as)).collect();
    let mut table = Table::new();
    while table.len() < 80_000 {
        let bits = [16, 19, 20, 21, 22, 23, 24, 24, 24, 24][draw.below(10) as usize];
        let address = (draw.below(190) + 20) << 24 | draw.below(1 << 24);
        // 100.64.0.0/10, 127, 169.254, 172.16, 192.0 and their like lie outside of what is drawn.
        if matches!(address >> 24, 100 | 127 | 169 | 172 | 192 | 198 | 203) {
            continue;
        }
        let masked = address & (u32::MAX << (32 - bits));
        let mut octets = vec![bits];
        octets.extend_from_slice(&masked.to_be_bytes()[..usize::from(bits).div_ceil(8)]);
        table.insert(Nlri { ipv6: false, octets }, sets[draw.below(4_000) as usize].clone());
    }
    while table.len() < 100_000 {
        let bits = [32, 36, 40, 44, 48, 48, 48, 48][draw.below(8) as usize];
        let high = 0x2400_0000_0000_0000
            | u64::from(draw.below(1 << 24)) << 32
            | u64::from(draw.below(1 << 16)) << 16;
        let masked = high & (u64::MAX << (64 - bits));
        let mut octets = vec![bits];
        octets.extend_from_slice(&masked.to_be_bytes()[..usize::from(bits).div_ceil(8)]);
        table.insert(Nlri { ipv6: true, octets }, sets[draw.below(4_000) as usize].clone());
    }
    table
}

fn made_up(draw: &mut Draw, first_as: u32) -> Attributes {
    let octets =
        |numbers: Vec<u32>| numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>();
    let mut asns = vec![first_as];
    asns.extend((0..draw.below(9)).map(|_| draw.asn()));
    let mut path = vec![2, asns.len() as u8];
    path.extend(octets(asns));
    if draw.below(20) == 0 {
        path.extend([1, 2]);
        path.extend(octets(vec![draw.asn(), draw.asn()]));
    }
    let mut all = Attributes::from([(1, (0x40, vec![draw.below(3) as u8])), (AS_PATH, (0x40, path))]);
    if draw.below(3) == 0 {
        all.insert(MED, (0x80, octets(vec![draw.below(1_000)])));
    }
    if draw.below(10) == 0 {
        all.insert(6, (0x40, Vec::new()));
        all.insert(AGGREGATOR, (0xc0, octets(vec![draw.asn(), 0x0a01_0000 | draw.below(1 << 16)])));
    }
    if draw.below(3) > 0 {
        let values = (0..=draw.below(20)).map(|_| (1_000 + draw.below(60_000)) << 16 | draw.below(1 << 16));
        all.insert(COMMUNITIES, (0xc0, octets(values.collect())));
    }
    if draw.below(8) == 0 {
        let values =
            (0..=draw.below(2)).flat_map(|_| [(2 << 16) | (1_000 + draw.below(60_000)), draw.below(1 << 20)]);
        all.insert(16, (0xc0, octets(values.collect())));
    }
    if draw.below(5) == 0 {
        let values = (0..=draw.below(3)).flat_map(|_| [draw.asn(), draw.below(1_000), draw.below(1_000)]);
        all.insert(32, (0xc0, octets(values.collect())));
    }
    all
}

/// The UPDATEs that announce a table with these next hops, as many prefixes a message as share their attributes.
pub(super) fn announced(table: &Table, hop4: &[u8], hop6: &[u8]) -> Vec<u8> {
    let mut groups: BTreeMap<(bool, &Attributes), Vec<&Nlri>> = BTreeMap::new();
    for (prefix, path) in table {
        groups.entry((prefix.ipv6, path)).or_default().push(prefix);
    }
    let mut bytes = Vec::new();
    for ((ipv6, path), prefixes) in groups {
        for some in prefixes.chunks(50) {
            let nlri: Vec<u8> = some.iter().flat_map(|prefix| prefix.octets.iter().copied()).collect();
            let mut path = path.clone();
            path.remove(&LOCAL_PREF);
            if ipv6 {
                path.remove(&NEXT_HOP);
                let reach = [&[0, 2, 1, hop6.len() as u8], hop6, &[0], &nlri].concat();
                path.insert(MP_REACH, (0x80, reach));
            } else {
                path.insert(NEXT_HOP, (0x40, hop4.to_vec()));
            }
            let mut raw = Vec::new();
            for (kind, (flags, value)) in &path {
                raw.extend([flags | 0x10, *kind]);
                raw.extend((value.len() as u16).to_be_bytes());
                raw.extend(value);
            }
            let tail: &[u8] = if ipv6 { &[] } else { &nlri };
            bytes.extend([0xff; 16]);
            bytes.extend((23 + raw.len() as u16 + tail.len() as u16).to_be_bytes());
            bytes.extend([2, 0, 0]);
            bytes.extend((raw.len() as u16).to_be_bytes());
            bytes.extend(raw);
            bytes.extend(tail);
        }
    }
    bytes
}
