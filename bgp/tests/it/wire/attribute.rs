//! Golden octets of each attribute, both ways.

use bgp::id::{Asn, RouterId};
use bgp::prefix::Family;
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{Aggregator, NextHops, Origin, Partial, PathAttributes, UnknownAttribute};
use bgp::wire::codec::Codec;
use bgp::wire::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use bgp::wire::{decode, encode};

use super::{EXTERNAL, INTERNAL, OLD, hex};

fn base() -> PathAttributes {
    PathAttributes::originated(NextHops::V4("10.0.0.1".parse().unwrap()))
}

fn path(segments: &[(SegmentKind, &[u32])]) -> AsPath {
    let segment = |(kind, asns): &(SegmentKind, &[u32])| Segment {
        kind: *kind,
        asns: asns.iter().copied().map(Asn).collect(),
    };
    AsPath { segments: segments.iter().map(segment).collect() }
}

/// The octets are what is written, and what is written is read again.
fn golden(attributes: &PathAttributes, codec: &Codec, octets: &str) {
    let mut out = Vec::new();
    encode::attributes(attributes, codec, Family::Ipv4, &mut out);
    assert_eq!(out, hex(octets), "{attributes:?}");
    let graded = decode::attributes(&out, None, codec).unwrap();
    assert_eq!(graded.problems, []);
    assert_eq!(graded.attributes.as_ref(), Some(attributes));
}

#[test]
fn mandatory() {
    golden(&base(), &EXTERNAL, "40010100 400200 400304 0a000001");
    let other = PathAttributes {
        origin: Origin::Incomplete,
        as_path: path(&[(SegmentKind::Sequence, &[65001, 4_200_000_000]), (SegmentKind::Set, &[1, 2, 3])]),
        ..base()
    };
    golden(
        &other,
        &EXTERNAL,
        "40010102 400218 0202 0000fde9 fa56ea00 0103 00000001 00000002 00000003 400304 0a000001",
    );
    golden(&PathAttributes { origin: Origin::Egp, ..base() }, &EXTERNAL, "40010101 400200 400304 0a000001");
}

#[test]
fn metrics() {
    let attributes = PathAttributes { med: Some(0), local_preference: Some(200), ..base() };
    golden(&attributes, &INTERNAL, "40010100 400200 400304 0a000001 800404 00000000 400504 000000c8");
}

#[test]
fn aggregation() {
    let aggregator = Some(Aggregator { asn: Asn(65001), router: "192.0.2.1".parse().unwrap() });
    let attributes = PathAttributes { atomic_aggregate: true, aggregator, ..base() };
    golden(&attributes, &EXTERNAL, "40010100 400200 400304 0a000001 400600 c00708 0000fde9 c0000201");
    golden(&attributes, &OLD, "40010100 400200 400304 0a000001 400600 c00706 fde9 c0000201");
}

#[test]
fn communities() {
    let attributes = PathAttributes {
        communities: [Community::NO_EXPORT, Community(0xfde9_0001)].into(),
        extended_communities: [ExtendedCommunity([0, 2, 0xfd, 0xe9, 0, 0, 0, 7])].into(),
        ipv6_extended_communities: [Ipv6ExtendedCommunity([2; 20])].into(),
        large_communities: [LargeCommunity { global: 65001, local1: 2, local2: 3 }].into(),
        partial: Partial { communities: true, large_communities: true, ..Partial::default() },
        ..base()
    };
    golden(
        &attributes,
        &EXTERNAL,
        "40010100 400200 400304 0a000001 e00808 ffffff01 fde90001 c01008 0002fde900000007
         c01914 0202020202020202020202020202020202020202 e0200c 0000fde9 00000002 00000003",
    );
}

#[test]
fn reflection() {
    let attributes = PathAttributes {
        originator: Some(RouterId(0x0a00_0009)),
        cluster_list: [1, 0x0a00_0001].into(),
        ..base()
    };
    golden(
        &attributes,
        &INTERNAL,
        "40010100 400200 400304 0a000001 800904 0a000009 800a08 00000001 0a000001",
    );
}

#[test]
fn only_to_customers() {
    let attributes = PathAttributes { only_to_customers: Some(Asn(65001)), ..base() };
    golden(&attributes, &EXTERNAL, "40010100 400200 400304 0a000001 c02304 0000fde9");
    // Passed on as it came (RFC 9234 §5), the Partial bit of somebody who did not know it included.
    let partial = Partial { only_to_customers: true, ..Partial::default() };
    golden(
        &PathAttributes { partial, ..attributes },
        &OLD,
        "40010100 400200 400304 0a000001 e02304 0000fde9",
    );
}

#[test]
fn unknown_attributes_go_between_the_known_ones() {
    let unknown = |code, value: &str| UnknownAttribute { flags: 0xe0, code, value: hex(value).into() };
    let attributes = PathAttributes {
        unknown: [
            unknown(0, "01"),
            unknown(11, ""),
            unknown(31, "aa"),
            unknown(99, "bb"),
            unknown(255, "cc"),
        ]
        .into(),
        extended_communities: [ExtendedCommunity([9; 8])].into(),
        large_communities: [LargeCommunity { global: 1, local1: 2, local2: 3 }].into(),
        ..base()
    };
    golden(
        &attributes,
        &EXTERNAL,
        "e0000101 40010100 400200 400304 0a000001 e00b00 c01008 0909090909090909 e01f01aa
         c0200c 000000010000000200000003 e06301bb e0ff01cc",
    );
}

#[test]
fn partial_is_set_on_what_is_passed_on() {
    let raw = hex("40010100 400200 400304 0a000001 c06301aa 806401bb");
    let graded = decode::attributes(&raw, None, &EXTERNAL).unwrap();
    let attributes = graded.attributes.unwrap();
    let [unknown] = &*attributes.unknown else { panic!("the non-transitive one is dropped") };
    assert_eq!((unknown.flags, unknown.code), (0xc0, 99));
    let mut out = Vec::new();
    encode::attributes(&attributes, &EXTERNAL, Family::Ipv4, &mut out);
    assert_eq!(out, hex("40010100 400200 400304 0a000001 e06301aa"));
}

#[test]
fn a_long_value_has_a_length_of_two_octets() {
    let communities: Vec<Community> = (0..64).map(Community).collect();
    let attributes = PathAttributes { communities: communities.into(), ..base() };
    let mut out = Vec::new();
    encode::attributes(&attributes, &EXTERNAL, Family::Ipv4, &mut out);
    assert_eq!(out[14..22], hex("d0080100 00000000"));
    assert_eq!(out.len(), 14 + 4 + 256);
    assert_eq!(decode::attributes(&out, None, &EXTERNAL).unwrap().attributes, Some(attributes));
    // 63 communities are 252 octets, which one octet counts.
    let attributes = PathAttributes { communities: (0..63).map(Community).collect(), ..base() };
    out.clear();
    encode::attributes(&attributes, &EXTERNAL, Family::Ipv4, &mut out);
    assert_eq!(out[14..17], hex("c008fc"));
    // An extended length that was not needed is read as well.
    let raw = hex("5001000100 500200 00 50030004 0a000001");
    assert!(decode::attributes(&raw, None, &EXTERNAL).unwrap().attributes.is_some());
}

#[test]
fn a_long_segment_is_split() {
    let long: Vec<u32> = (1..=256).collect();
    let attributes = PathAttributes { as_path: path(&[(SegmentKind::Sequence, &long)]), ..base() };
    let mut out = Vec::new();
    encode::attributes(&attributes, &EXTERNAL, Family::Ipv4, &mut out);
    let decoded = decode::attributes(&out, None, &EXTERNAL).unwrap().attributes.unwrap();
    let lens: Vec<usize> = decoded.as_path.segments.iter().map(|segment| segment.asns.len()).collect();
    assert_eq!(lens, [255, 1]);
    assert_eq!(decoded.as_path.hops(), 256);
}

#[test]
fn ipv6_has_no_next_hop_attribute() {
    let next_hop = NextHops::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None };
    let attributes = PathAttributes::originated(next_hop);
    let mut out = Vec::new();
    encode::attributes(&attributes, &EXTERNAL, Family::Ipv6, &mut out);
    assert_eq!(out, hex("40010100 400200"));
    let graded = decode::attributes(&out, Some(next_hop), &EXTERNAL).unwrap();
    assert_eq!(graded.attributes, Some(attributes));
    // RFC 4760 §3: a NEXT_HOP beside MP_REACH_NLRI is ignored.
    let graded = decode::attributes(&hex("40010100 400200 400304 0a000001"), Some(next_hop), &EXTERNAL);
    assert_eq!(graded.unwrap().attributes.unwrap().next_hop, next_hop);
}

#[test]
fn two_octet_peers() {
    let attributes = PathAttributes {
        as_path: path(&[(SegmentKind::Sequence, &[65001, 4_200_000_000]), (SegmentKind::Set, &[70_000, 5])]),
        aggregator: Some(Aggregator { asn: Asn(70_000), router: "192.0.2.1".parse().unwrap() }),
        ..base()
    };
    golden(
        &attributes,
        &OLD,
        "40010100 40020c 0202 fde9 5ba0 0102 5ba0 0005 400304 0a000001 c00706 5ba0 c0000201
         c01114 0202 0000fde9 fa56ea00 0102 00011170 00000005 c01208 00011170 c0000201",
    );
    // Where all ASes fit, nothing goes along.
    let fits = PathAttributes { as_path: path(&[(SegmentKind::Sequence, &[65001])]), ..base() };
    golden(&fits, &OLD, "40010100 400204 0201 fde9 400304 0a000001");
}

/// AS_PATH as a two-octet peer sends it, AS4_PATH beside it, and what both mean.
#[test]
fn as4_path_merges() {
    use SegmentKind::{Sequence, Set};
    let merged =
        |as_path: &[(SegmentKind, &[u32])], as4: &[(SegmentKind, &[u32])]| path(as_path).merged(path(as4));
    // The ASes before the last one of four octets go first.
    assert_eq!(
        merged(&[(Sequence, &[1, 2, 23456])], &[(Sequence, &[70_000])]),
        path(&[(Sequence, &[1, 2, 70_000])])
    );
    assert_eq!(merged(&[(Sequence, &[23456])], &[(Sequence, &[70_000])]), path(&[(Sequence, &[70_000])]));
    // A set counts as one, whatever it holds.
    assert_eq!(
        merged(
            &[(Sequence, &[1]), (Set, &[23456, 3]), (Sequence, &[4])],
            &[(Set, &[70_000, 3]), (Sequence, &[4])]
        ),
        path(&[(Sequence, &[1]), (Set, &[70_000, 3]), (Sequence, &[4])])
    );
    assert_eq!(
        merged(&[(Set, &[1, 2]), (Sequence, &[23456, 4])], &[(Sequence, &[70_000])]),
        path(&[(Set, &[1, 2]), (Sequence, &[23456, 70_000])])
    );
    // RFC 6793 §4.2.3: an AS4_PATH longer than the AS_PATH is ignored.
    assert_eq!(merged(&[(Sequence, &[1])], &[(Sequence, &[70_000, 1])]), path(&[(Sequence, &[1])]));
}

#[test]
fn as4_aggregator_decides_for_both() {
    let read = |aggregators: &str| {
        let raw =
            format!("40010100 400206 0202 0001 5ba0 400304 0a000001 {aggregators} c01106 0201 00011170");
        decode::attributes(&hex(&raw), None, &OLD).unwrap().attributes.unwrap()
    };
    let whole = path(&[(SegmentKind::Sequence, &[1, 70_000])]);
    let cut = path(&[(SegmentKind::Sequence, &[1, 23456])]);
    let router = "192.0.2.1".parse().unwrap();
    let both = read("c00706 5ba0 c0000201 c01208 00011170 c0000201");
    assert_eq!(both.as_path, whole);
    assert_eq!(both.aggregator, Some(Aggregator { asn: Asn(70_000), router }));
    // An AGGREGATOR with an AS that fits is newer than both AS4 attributes.
    let newer = read("c00706 0005 c0000201 c01208 00011170 c0000201");
    assert_eq!(newer.as_path, cut);
    assert_eq!(newer.aggregator, Some(Aggregator { asn: Asn(5), router }));
    // Without AS4_AGGREGATOR, or without AGGREGATOR, the path is merged.
    assert_eq!(read("c00706 0005 c0000201").as_path, whole);
    let alone = read("c01208 00011170 c0000201");
    assert_eq!((alone.as_path, alone.aggregator), (whole, None));
}

#[test]
fn large_communities_are_kept_once() {
    let raw = "40010100 400200 400304 0a000001 c02024 000000010000000200000003
               000000050000000000000000 000000010000000200000003";
    let attributes = decode::attributes(&hex(raw), None, &EXTERNAL).unwrap().attributes.unwrap();
    let kept: Vec<String> = attributes.large_communities.iter().map(LargeCommunity::to_string).collect();
    assert_eq!(kept, ["1:2:3", "5:0:0"]);
}
