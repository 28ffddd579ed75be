//! Where the first inputs of the corpora come from: `FUZZ_WRITE=1` writes them.
//! Others in the folders were found and are kept by what they found.

use std::fs;
use std::net::Ipv4Addr;

use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{Aggregator, NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::community::{Community, LargeCommunity};
use bgp::wire::notification::{Cease, Notification};
use bgp::wire::open::Open;
use bgp::wire::refresh::Refresh;
use bgp::wire::{encode, frame, pack};

fn open() -> Vec<u8> {
    let asn = Asn(65002);
    let families = Family::ALL.map(Capability::multiprotocol);
    let more = [Capability::RouteRefresh, Capability::FourOctetAs(asn)];
    let mut bytes = Vec::new();
    let open = Open {
        asn,
        hold_seconds: 9,
        router_id: RouterId(0x0a00_0002),
        capabilities: families.into_iter().chain(more).collect(),
    };
    open.encode(&mut bytes);
    bytes
}

fn keepalive() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_keepalive(&mut bytes);
    bytes
}

fn notification() -> Vec<u8> {
    let mut bytes = Vec::new();
    Notification::administrative_shutdown("maintenance").encode(&mut bytes);
    Notification::cease(Cease::ConnectionCollision).encode(&mut bytes);
    bytes
}

fn refresh() -> Vec<u8> {
    let mut bytes = Vec::new();
    Family::ALL.iter().for_each(|family| Refresh::request(*family).encode(&mut bytes));
    bytes
}

/// A path with all that the codec knows, announced and withdrawn.
fn updates(family: Family) -> Vec<u8> {
    let (next_hop, prefixes): (NextHops, [Prefix; 2]) = match family {
        Family::Ipv4 => (
            NextHops::V4(Ipv4Addr::new(10, 0, 0, 3)),
            ["10.244.20.0/24", "10.244.21.128/25"].map(|text| text.parse().expect("a prefix")),
        ),
        Family::Ipv6 => (
            NextHops::V6 { global: "fd00::3".parse().expect("an address"), link_local: None },
            ["fd00:10:244::/48", "fd00:10:244:1::/64"].map(|text| text.parse().expect("a prefix")),
        ),
    };
    let path = Segment { kind: SegmentKind::Sequence, asns: vec![Asn(65003), Asn(4_200_000_000)] };
    let set = Segment { kind: SegmentKind::Set, asns: vec![Asn(64999), Asn(65010)] };
    let attributes = PathAttributes {
        as_path: AsPath { segments: vec![path, set] },
        med: Some(5),
        atomic_aggregate: true,
        aggregator: Some(Aggregator { asn: Asn(65003), router: Ipv4Addr::new(10, 0, 0, 3) }),
        communities: [Community(65003 << 16 | 7)].into(),
        large_communities: [LargeCommunity { global: 65003, local1: 1, local2: 2 }].into(),
        ..PathAttributes::originated(next_hop)
    };
    let codec = Codec {
        four_octet: true,
        external: true,
        families: PerFamily { ipv4: true, ipv6: true },
        add_path: Codec::NO_PATH_IDS,
        extended_next_hop: false,
        zone: None,
    };
    let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
    encode::attributes(&attributes, &codec, family, &mut encoded);
    pack::announce(&encoded, next_hop, family, prefixes, pack::Longest::Plain, &mut bytes)
        .expect("two prefixes fit");
    pack::withdraw(family, [prefixes[0]], &mut bytes);
    pack::end_of_rib(family, &mut bytes);
    bytes
}

/// A step of the session's body that feeds bytes to its newest connection.
fn fed(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a seed is short");
    [&[17][..], &len.to_be_bytes(), bytes].concat()
}

fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (v4, v6) = (updates(Family::Ipv4), updates(Family::Ipv6));
    let up = [fed(&open()), fed(&keepalive())].concat();
    vec![
        ("message", "open", [vec![0, 4], open()].concat()),
        ("message", "keepalive", [vec![0, 0], keepalive()].concat()),
        ("message", "notification", [vec![0, 7], notification()].concat()),
        ("message", "refresh", [vec![0, 1], refresh()].concat()),
        ("message", "update-ipv4", [vec![0, 18], v4.clone()].concat()),
        ("message", "update-ipv6", [vec![0, 200], v6.clone()].concat()),
        ("message", "update-internal", [vec![2, 63], v4.clone()].concat()),
        ("message", "update-two-octet", [vec![1, 63], v4.clone()].concat()),
        ("session", "inbound", [vec![2], up.clone(), fed(&v4), vec![15, 15]].concat()),
        ("session", "outbound", [vec![0], up.clone(), fed(&refresh()), vec![4, 12, 0]].concat()),
        ("session", "collision", [vec![0, 2], up.clone(), fed(&open()), vec![13]].concat()),
        ("session", "stopped", [vec![2], up.clone(), vec![5, 6, 0], up.clone()].concat()),
        ("session", "reconfigured", [vec![2], up.clone(), vec![7, 8, 7, 64, 14]].concat()),
        ("session", "told", [vec![2], up, fed(&notification()), vec![14, 1, 15]].concat()),
        ("speaker", "ipv4", [vec![16], v4.clone()].concat()),
        ("speaker", "ipv6", [vec![100], v6.clone()].concat()),
        ("speaker", "both", [vec![30], v4.clone(), v6, refresh(), keepalive()].concat()),
        ("speaker", "refresh", [vec![2], refresh()].concat()),
        ("speaker", "told", [vec![9], v4, notification()].concat()),
    ]
}

#[test]
fn seeds_are_committed() {
    for (target, name, data) in seeds() {
        let file = super::folder(target).join(name);
        if std::env::var_os("FUZZ_WRITE").is_some() {
            fs::create_dir_all(super::folder(target)).expect("a folder");
            fs::write(&file, &data).expect("a file");
        }
        let written = fs::read(&file).unwrap_or_default();
        assert!(written == data, "{}: FUZZ_WRITE=1 writes the seeds anew", file.display());
    }
}
