//! The codec beside that of rustbgpd (`rustbgpd-wire`), which was written by others from
//! the same RFCs: what one writes the other reads alike, and both grade alike
//! what is nearly an UPDATE.

use std::net::IpAddr;

use bgp::prefix::{Family, Prefix};
use bgp::wire::as_path::{Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, Origin, PathAttributes};
use bgp::wire::codec::Codec;
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::grade::Grade;
use bgp::wire::update::Update;
use bgp::wire::{decode, encode, nlri, pack};
use proptest::collection::vec;
use proptest::prelude::*;
use rustbgpd_wire::{self as oracle, AsPathSegment, ErrorDisposition, PathAttribute, UpdateMessage};

use super::{EXTERNAL, INTERNAL, strategy, update};

fn entry(prefix: oracle::Prefix) -> Prefix {
    let (address, len) = match prefix {
        oracle::Prefix::V4(prefix) => (IpAddr::V4(prefix.addr), prefix.len),
        oracle::Prefix::V6(prefix) => (IpAddr::V6(prefix.addr), prefix.len),
    };
    Prefix::new(address, len).unwrap()
}

fn entry4(entry: &oracle::Ipv4NlriEntry) -> Prefix {
    Prefix::new(IpAddr::V4(entry.prefix.addr), entry.prefix.len).unwrap()
}

/// What the oracle read, as our attributes; and the prefixes of MP_REACH_NLRI.
fn ours(read: Vec<PathAttribute>) -> (PathAttributes, Vec<Prefix>) {
    let mut all = PathAttributes::originated(NextHops::V4([0, 0, 0, 0].into()));
    let mut prefixes = Vec::new();
    let mut unknown = Vec::new();
    for attribute in read {
        let partial = attribute.flags() & 0x20 != 0;
        match attribute {
            PathAttribute::Origin(origin) => {
                all.origin = match origin {
                    oracle::Origin::Igp => Origin::Igp,
                    oracle::Origin::Egp => Origin::Egp,
                    oracle::Origin::Incomplete => Origin::Incomplete,
                };
            }
            PathAttribute::AsPath(path) => {
                let segment = |segment: AsPathSegment| {
                    let (kind, asns) = match segment {
                        AsPathSegment::AsSet(asns) => (SegmentKind::Set, asns),
                        AsPathSegment::AsSequence(asns) => (SegmentKind::Sequence, asns),
                    };
                    Segment { kind, asns: asns.into_iter().map(bgp::id::Asn).collect() }
                };
                all.as_path.segments = path.segments.into_iter().map(segment).collect();
            }
            PathAttribute::NextHop(address) => all.next_hop = NextHops::V4(address),
            PathAttribute::Med(med) => all.med = Some(med),
            PathAttribute::LocalPref(preference) => all.local_preference = Some(preference),
            PathAttribute::AtomicAggregate => all.atomic_aggregate = true,
            PathAttribute::Aggregator(aggregator) => {
                all.partial.aggregator = partial;
                all.aggregator = Some(bgp::wire::attribute::Aggregator {
                    asn: bgp::id::Asn(aggregator.asn),
                    router: aggregator.router_id,
                });
            }
            PathAttribute::Communities(values) | PathAttribute::CommunitiesPartial(values) => {
                all.partial.communities = partial;
                all.communities = values.into_iter().map(bgp::wire::community::Community).collect();
            }
            PathAttribute::ExtendedCommunities(values)
            | PathAttribute::ExtendedCommunitiesPartial(values) => {
                all.partial.extended_communities = partial;
                let value = |value: oracle::ExtendedCommunity| value.as_u64().to_be_bytes();
                all.extended_communities =
                    values.into_iter().map(value).map(bgp::wire::community::ExtendedCommunity).collect();
            }
            PathAttribute::LargeCommunities(values) | PathAttribute::LargeCommunitiesPartial(values) => {
                all.partial.large_communities = partial;
                let value = |value: oracle::LargeCommunity| bgp::wire::community::LargeCommunity {
                    global: value.global_admin,
                    local1: value.local_data1,
                    local2: value.local_data2,
                };
                all.large_communities = values.into_iter().map(value).collect();
            }
            PathAttribute::OnlyToCustomer(asn) | PathAttribute::OnlyToCustomerPartial(asn) => {
                all.partial.only_to_customers = partial;
                all.only_to_customers = Some(bgp::id::Asn(asn));
            }
            PathAttribute::OriginatorId(id) => all.originator = Some(id.into()),
            PathAttribute::ClusterList(ids) => all.cluster_list = ids.into_iter().map(u32::from).collect(),
            PathAttribute::MpReachNlri(reach) => {
                let IpAddr::V6(global) = reach.next_hop else { panic!("an IPv6 next hop") };
                all.next_hop = NextHops::V6 { global, link_local: reach.link_local_next_hop };
                prefixes.extend(reach.announced.iter().map(|announced| entry(announced.prefix)));
            }
            PathAttribute::Unknown(raw) => unknown.push(bgp::wire::attribute::UnknownAttribute {
                flags: raw.flags & 0xe0,
                code: raw.type_code,
                value: raw.data[..].into(),
            }),
            other => panic!("not written: {other:?}"),
        }
    }
    all.unknown = unknown.into();
    (all, prefixes)
}

/// Attributes that both codecs hold in the same form.
fn shared(family: Family) -> impl Strategy<Value = PathAttributes> {
    // RFC 8950 §3: one in two IPv4 routes has an IPv6 next hop.
    let next_hop = prop_oneof![strategy::next_hops(family), strategy::next_hops(Family::Ipv6)];
    (strategy::attributes(family), next_hop).prop_map(|(mut attributes, next_hop)| {
        attributes.next_hop = next_hop;
        // RFC 9774 §3: the oracle withdraws a path with a set.
        attributes.as_path.segments.retain(|segment| segment.kind == SegmentKind::Sequence);
        // The oracle knows more attributes than these.
        attributes.ipv6_extended_communities = Box::default();
        attributes.partial.ipv6_extended_communities = false;
        attributes.unknown =
            attributes.unknown.iter().filter(|unknown| unknown.code > 200).cloned().collect();
        attributes
    })
}

fn strength(grade: Option<Grade>) -> u8 {
    match grade {
        None => 0,
        Some(Grade::AttributeDiscard) => 1,
        Some(Grade::TreatAsWithdraw) => 2,
        Some(Grade::SessionReset) => 3,
    }
}

/// The strongest grade of a body by our codec, and the prefixes found.
fn graded(body: &[u8], codec: &Codec) -> (u8, Vec<Prefix>, Vec<Prefix>) {
    let reset = (3, Vec::new(), Vec::new());
    let Ok(update) = Update::parse(body, codec) else { return reset };
    let mut grade = None;
    let mut announced = Vec::new();
    for part in update.announced() {
        let Ok(graded) = decode::attributes(update.key(&mut Vec::new()), part.next_hop, codec) else {
            return reset;
        };
        grade = grade.max(graded.problems.iter().map(|problem| problem.grade).max());
        announced.extend(part.nlri.iter());
    }
    (strength(grade), announced, update.withdrawn().flat_map(nlri::Nlri::iter).collect())
}

/// The same by the oracle.
fn graded_by_oracle(body: &[u8], codec: &Codec) -> (u8, Vec<Prefix>, Vec<Prefix>) {
    let reset = (3, Vec::new(), Vec::new());
    let Ok(message) = UpdateMessage::decode(&mut &*body, body.len()) else { return reset };
    let Ok(parsed) = message.parse_revised(codec.four_octet, !codec.external, false, &[]) else {
        return reset;
    };
    let strength = |disposition| match disposition {
        ErrorDisposition::AttributeDiscard => 1,
        ErrorDisposition::TreatAsWithdraw => 2,
        ErrorDisposition::SessionReset => 3,
    };
    let grade = parsed.malformed.iter().map(|malformed| strength(malformed.disposition)).max().unwrap_or(0);
    let announced = parsed.update.announced.iter().map(entry4).collect();
    let withdrawn = parsed.update.withdrawn.iter().map(entry4).collect();
    (grade, announced, withdrawn)
}

/// Disagreements that the strategies below leave out, by the RFC that decides:
///
/// - a set in AS_PATH, even in the second of two: the oracle follows RFC 9774 §3
///   and withdraws; it is kept here (RFC 4271 §4.3), since tables of other networks still hold some;
/// - an empty segment of AS_PATH: the oracle's decoder lets it pass and leaves it
///   to its caller; treat-as-withdraw here (RFC 7606 §7.2);
/// - what attributes there must be (RFC 7606 §3 d), UPDATEs without prefixes
///   (§5.2), an unknown well-known attribute (RFC 4271 §6.3) and a good attribute
///   that an external peer must not send (§7.5, §7.9, §7.10): the oracle leaves them
///   to its caller, so the test adds them to its answer.
///
/// An attribute of a known type whose flags, length and value are mostly right.
fn attribute() -> impl Strategy<Value = Vec<u8>> {
    let lens: [(u8, &[usize]); 13] = [
        (1, &[0, 1, 2]),
        (2, &[0, 2, 6, 7, 10]),
        (3, &[3, 4, 16]),
        (4, &[0, 4, 5]),
        (5, &[3, 4]),
        (6, &[0, 1]),
        (7, &[0, 6, 8]),
        (8, &[0, 4, 7, 8]),
        (9, &[4, 5]),
        (10, &[0, 4, 6, 8]),
        (16, &[0, 8, 12]),
        (32, &[0, 12, 13, 24]),
        (222, &[0, 3]),
    ];
    let kind = prop::sample::select(lens.to_vec());
    let flags = prop_oneof![4 => Just(None), 1 => prop::sample::select(vec![0x40_u8, 0x80, 0xc0, 0xe0]).prop_map(Some)];
    (kind, any::<prop::sample::Index>(), flags, vec(1..5_u8, 32)).prop_map(
        |((code, lens), len, flags, value)| {
            let right = bgp::wire::code::category(code).unwrap_or(0xc0);
            let len = *len.get(lens);
            let mut octets = vec![flags.unwrap_or(right), code, len as u8];
            octets.extend(&value[..len]);
            // No set, as said above: segment type 5 is as good.
            if let [_, 2, _, kind @ (1 | 4), ..] = octets.as_mut_slice() {
                *kind = 5;
            }
            octets
        },
    )
}

/// The mandatory attributes, now and then a bad one or none, and others.
fn attributes() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let mandatory = |good: &[u8]| prop_oneof![9 => Just(good.to_vec()).prop_map(Some), 1 => prop::option::of(attribute())];
    let first = (
        mandatory(&[0x40, 1, 1, 0]),
        mandatory(&[0x40, 2, 10, 2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0, 7]),
        mandatory(&[0x40, 3, 4, 10, 0, 0, 1]),
    );
    (first, vec(attribute(), 0..4)).prop_flat_map(|((origin, path, next_hop), mut all)| {
        all.extend([origin, path, next_hop].into_iter().flatten());
        Just(all).prop_shuffle()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_we_write_the_oracle_reads(
        (family, attributes, prefixes) in strategy::family().prop_flat_map(|family| {
            (Just(family), shared(family), vec(strategy::prefix(family), 1..40))
        }),
    ) {
        let mut raw = Vec::new();
        encode::attributes(&attributes, &INTERNAL, family, &mut raw);
        let mut out = Vec::new();
        pack::announce(&raw, attributes.next_hop, family, prefixes.iter().copied(), pack::Longest::Plain, &mut out).unwrap();
        let mut framer = Framer::new();
        let mut rest = out.as_slice();
        let frame = framer.next(&mut rest).unwrap().unwrap();
        prop_assert_eq!(frame.kind, Kind::Update);
        let message = UpdateMessage::decode(&mut &*frame.body, frame.body.len()).unwrap();
        let parsed = message.parse_revised(true, true, false, &[]).unwrap();
        prop_assert_eq!(parsed.malformed, vec![]);
        let mut found: Vec<Prefix> = parsed.update.announced.iter().map(entry4).collect();
        let (read, reached) = ours(parsed.update.attributes);
        found.extend(reached);
        prop_assert_eq!(read, attributes);
        prop_assert_eq!(found, prefixes);
    }

    #[test]
    fn both_grade_alike(
        attributes in attributes(),
        tail in prop_oneof![9 => Just(vec![]), 1 => vec(0xf0_u8.., 1..4)],
        nlri in prop_oneof![9 => Just(vec![24, 192, 0, 2]), 1 => vec(0..40_u8, 0..6)],
        withdrawn in prop_oneof![3 => Just(vec![]), 1 => vec(0..40_u8, 0..6)],
        codec in prop_oneof![Just(EXTERNAL), Just(INTERNAL)],
    ) {
        let codes: Vec<u8> = attributes.iter().map(|attribute| attribute[1]).collect();
        let mut all = attributes.concat();
        all.extend(tail);
        let body = update(&withdrawn, &all, &nlri);
        let (mut grade, announced, withdrawn) = graded_by_oracle(&body, &codec);
        let unknown = attributes.iter().find(|attribute| attribute[1] == 222);
        grade = match (grade, announced.is_empty()) {
            _ if unknown.is_some_and(|attribute| attribute[0] & 0x80 == 0) => 3,
            (0 | 1, false) if ![1, 2, 3].iter().all(|code| codes.contains(code)) => 2,
            (2, true) => 3,
            (1, true) => 0,
            (0, false) if codec.external && codes.iter().any(|code| [5, 9, 10].contains(code)) => 1,
            (grade, _) => grade,
        };
        let expected = if grade == 3 { (3, vec![], vec![]) } else { (grade, announced, withdrawn) };
        prop_assert_eq!(graded(&body, &codec), expected, "{:02x?}", body);
    }
}
