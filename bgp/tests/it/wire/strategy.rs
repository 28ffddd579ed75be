//! Arbitrary values that a codec must bring back unchanged.

use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, Prefix, Prefix4, Prefix6};
use bgp::wire::add_path::AddPath;
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{Aggregator, NextHops, Origin, Partial, PathAttributes, UnknownAttribute};
use bgp::wire::capability::Capability;
use bgp::wire::code;
use bgp::wire::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use bgp::wire::extended_next_hop::ExtendedNextHop;
use bgp::wire::long_lived::{LongLivedFamily, LongLivedRestart, MOST_SECONDS};
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;
use bgp::zone;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(super) fn prefix(family: Family) -> BoxedStrategy<Prefix> {
    match family {
        Family::Ipv4 => (any::<u32>(), 0..=32_u8)
            .prop_map(|(bits, len)| Prefix::V4(Prefix4::new(bits, len).unwrap()))
            .boxed(),
        Family::Ipv6 => (any::<u128>(), 0..=128_u8)
            .prop_map(|(bits, len)| Prefix::V6(Prefix6::new(bits, len).unwrap()))
            .boxed(),
    }
}

pub(super) fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)]
}

/// Around the limits of two octets, and anywhere; never 0.
fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1..=70_000_u32, Just(23456), Just(65535), Just(65536), 1..=u32::MAX].prop_map(Asn)
}

fn as_path() -> impl Strategy<Value = AsPath> {
    let kind = prop_oneof![Just(SegmentKind::Sequence), Just(SegmentKind::Set)];
    let segment = (kind, vec(asn(), 1..8)).prop_map(|(kind, asns)| Segment { kind, asns });
    vec(segment, 0..4).prop_map(|segments| AsPath { segments })
}

pub(super) fn next_hops(family: Family) -> BoxedStrategy<NextHops> {
    match family {
        Family::Ipv4 => any::<u32>().prop_map(|bits| NextHops::V4(bits.into())).boxed(),
        Family::Ipv6 => (any::<u128>(), option::of(any::<u128>()))
            .prop_map(|(global, link_local)| NextHops::V6 {
                global: zone::split6(global.into()).0,
                link_local: link_local.map(|address| zone::split6(address.into()).0),
            })
            .boxed(),
    }
}

fn unknown() -> impl Strategy<Value = Box<[UnknownAttribute]>> {
    let codes = any::<u8>().prop_filter("not a known one", |code| code::category(*code).is_none());
    let flags = code::OPTIONAL | code::TRANSITIVE | code::PARTIAL;
    btree_map(codes, vec(any::<u8>(), 0..300), 0..3).prop_map(move |unknown| {
        let attribute = |(code, value): (u8, Vec<u8>)| UnknownAttribute { flags, code, value: value.into() };
        unknown.into_iter().map(attribute).collect()
    })
}

fn large_communities() -> impl Strategy<Value = Box<[LargeCommunity]>> {
    btree_set(any::<(u32, u32, u32)>(), 0..30).prop_map(|values| {
        values.into_iter().map(|(global, local1, local2)| LargeCommunity { global, local1, local2 }).collect()
    })
}

/// Attributes of an internal peer: everything can be there. A Partial bit only
/// where there is an attribute that can have it.
pub(super) fn attributes(family: Family) -> impl Strategy<Value = PathAttributes> {
    let origin = prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)];
    let aggregator =
        (asn(), any::<u32>()).prop_map(|(asn, router)| Aggregator { asn, router: router.into() });
    (
        (origin, as_path(), next_hops(family), option::of(any::<u32>()), option::of(any::<u32>())),
        (any::<bool>(), option::of(aggregator), vec(any::<u32>().prop_map(Community), 0..80)),
        (vec(any::<[u8; 8]>().prop_map(ExtendedCommunity), 0..10), large_communities()),
        (option::of(any::<u32>().prop_map(RouterId)), vec(any::<u32>(), 0..5), unknown()),
        (
            any::<[bool; 6]>(),
            vec(any::<[u8; 20]>().prop_map(Ipv6ExtendedCommunity), 0..5),
            option::of(any::<u32>().prop_map(Asn)),
        ),
    )
        .prop_map(|(first, second, third, fourth, fifth)| {
            let (origin, as_path, next_hop, med, local_preference) = first;
            let (atomic_aggregate, aggregator, communities) = second;
            let (extended_communities, large_communities) = third;
            let (originator, cluster_list, unknown) = fourth;
            let (partial, ipv6_extended_communities, only_to_customers) = fifth;
            let partial = Partial {
                aggregator: partial[0] && aggregator.is_some(),
                communities: partial[1] && !communities.is_empty(),
                extended_communities: partial[2] && !extended_communities.is_empty(),
                ipv6_extended_communities: partial[4] && !ipv6_extended_communities.is_empty(),
                large_communities: partial[3] && !large_communities.is_empty(),
                only_to_customers: partial[5] && only_to_customers.is_some(),
            };
            PathAttributes {
                origin,
                as_path,
                next_hop,
                med,
                local_preference,
                atomic_aggregate,
                aggregator,
                communities: communities.into(),
                extended_communities: extended_communities.into(),
                ipv6_extended_communities: ipv6_extended_communities.into(),
                large_communities,
                only_to_customers,
                originator,
                cluster_list: cluster_list.into(),
                unknown,
                partial,
            }
        })
}

fn graceful_restart() -> impl Strategy<Value = Capability> {
    let families = vec(any::<(u16, u8, bool)>(), 0..=4);
    (any::<bool>(), any::<bool>(), 0..4096_u16, families).prop_map(
        |(restarting, notification, seconds, families)| {
            let restart = GracefulRestart { restarting, notification, seconds, families };
            Capability::GracefulRestart(restart)
        },
    )
}

fn long_lived_restart() -> impl Strategy<Value = Capability> {
    let family = any::<(u16, u8, bool)>();
    let family = (family, 0..=MOST_SECONDS).prop_map(|((afi, safi, forwarding), seconds)| LongLivedFamily {
        afi,
        safi,
        forwarding,
        seconds,
    });
    vec(family, 0..=4).prop_map(|families| Capability::LongLivedRestart(LongLivedRestart { families }))
}

pub(super) fn open() -> impl Strategy<Value = Open> {
    let known = [1, 2, 5, 6, 9, 64, 65, 69, 70, 71];
    let other = (any::<u8>(), vec(any::<u8>(), 0..=255))
        .prop_filter("not a known one", move |(code, _)| !known.contains(code))
        .prop_map(|(code, value)| Capability::Unknown { code, value: value.into() });
    let capability = prop_oneof![
        any::<(u16, u8)>().prop_map(|(afi, safi)| Capability::Multiprotocol { afi, safi }),
        Just(Capability::RouteRefresh),
        Just(Capability::ExtendedMessage),
        Just(Capability::EnhancedRefresh),
        any::<u8>().prop_map(Capability::Role),
        graceful_restart(),
        vec(any::<(u16, u16, u16)>(), 0..4)
            .prop_map(|triples| Capability::ExtendedNextHop(ExtendedNextHop { triples })),
        long_lived_restart(),
        vec(any::<(u16, u8, u8)>(), 0..4).prop_map(|families| Capability::AddPath(AddPath { families })),
        other,
    ];
    let hold = prop_oneof![Just(0_u16), 3..=u16::MAX];
    (asn(), any::<bool>(), hold, 1..=u32::MAX, vec(capability, 0..6)).prop_map(
        |(asn, four_octet, hold_seconds, router_id, offered)| {
            // Each capability once, and the 4-octet one wherever two octets do not do.
            let mut capabilities = Vec::new();
            for capability in offered {
                if !capabilities.contains(&capability) {
                    capabilities.push(capability);
                }
            }
            if four_octet || !asn.is_two_octet() {
                capabilities.push(Capability::FourOctetAs(asn));
            }
            Open { asn, hold_seconds, router_id: RouterId(router_id), capabilities }
        },
    )
}
