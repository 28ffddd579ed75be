//! Import and export as functions: properties over random rules and paths.

use std::net::{IpAddr, Ipv4Addr};

use bgp::config::{Drain, LimitAction, NextHopMode, OwnNextHop, PeerConfig, ReceiveLimit, SpeakerConfig};
use bgp::id::{Asn, RouterId};
use bgp::policy::{Export, Import, Outgoing, SourceKind};
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, Changes, Condition, PrefixRange, RouteOrigin, Rule, Rules, Subject};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity};
use bgp::wire::pack::Longest;
use proptest::prelude::*;

/// Few values of each kind, so that rules and paths meet often.
const PREFIXES: [&str; 7] = [
    "0.0.0.0/0",
    "10.244.0.0/16",
    "10.244.1.0/24",
    "10.244.1.7/32",
    "10.9.0.0/16",
    "127.0.0.0/8",
    "fd00::/48",
];
const PATTERNS: [&str; 6] = ["", "*", "65001 *", "* 65002", "* 65003 *", "65001..65002"];

fn any_prefix() -> impl Strategy<Value = Prefix> {
    proptest::sample::select(&PREFIXES[..]).prop_map(|text| text.parse().expect("a prefix"))
}

fn any_community() -> impl Strategy<Value = AnyCommunity> {
    (1_u32..4).prop_map(|number| AnyCommunity::Standard(Community(number)))
}

prop_compose! {
    fn any_range()(prefix in any_prefix(), ge in proptest::option::of(0_u8..=24), le in proptest::option::of(16_u8..=32))
        -> PrefixRange {
        PrefixRange::new(prefix, ge, le)
    }
}

prop_compose! {
    fn any_rule()(
        prefixes in proptest::collection::vec(any_range(), 0..3),
        communities in proptest::collection::vec(any_community(), 0..2),
        as_path in proptest::option::of(proptest::sample::select(&PATTERNS[..])),
        origin in proptest::option::weighted(0.2, proptest::sample::select(&[RouteOrigin::PodCidr, RouteOrigin::Learned][..])),
        reject in any::<bool>(),
        local_preference in proptest::option::of(1_u32..3),
        med in proptest::option::of(0_u32..3),
        prepend in 0_u8..3,
        add in proptest::collection::vec(any_community(), 0..2),
        remove in proptest::collection::vec(any_community(), 0..2),
    ) -> Rule {
        let as_path = as_path.map(|text| text.parse().expect("a pattern"));
        Rule {
            when: Condition { prefixes, communities, as_path, origin },
            reject,
            set: Changes { local_preference, med, prepend, add, remove },
        }
    }
}

prop_compose! {
    fn any_attributes()(
        asns in proptest::collection::vec(65_000_u32..65_005, 0..4),
        communities in proptest::collection::vec((1_u32..4).prop_map(Community), 0..3),
        med in proptest::option::of(0_u32..3),
    ) -> PathAttributes {
        let asns: Vec<Asn> = asns.into_iter().map(Asn).collect();
        let segments = if asns.is_empty() { vec![] } else { vec![Segment { kind: SegmentKind::Sequence, asns }] };
        PathAttributes {
            as_path: AsPath { segments },
            med,
            communities: communities.into(),
            ..PathAttributes::originated(NextHops::V4(Ipv4Addr::new(10, 0, 0, 2)))
        }
    }
}

fn speaker() -> SpeakerConfig {
    SpeakerConfig { transit: true, max_paths: 1, ..SpeakerConfig::new(Asn(65_000), RouterId(1)) }
}

fn peer(import: Rules) -> PeerConfig {
    PeerConfig {
        name: "r".into(),
        accept: Some(vec!["10.0.0.0/8".parse().expect("a prefix")]),
        import,
        receive: ReceiveLimit { most: 10, warn_at: None, action: LimitAction::Reject },
        ..PeerConfig::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)))
    }
}

fn export(rules: Rules, external: bool) -> Export {
    Export {
        asn: Asn(65_000),
        behind: None,
        external,
        transit: true,
        role: None,
        client: false,
        cluster: RouterId(1),
        next_hop: NextHopMode::Auto,
        own_next_hop: OwnNextHop {
            ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)),
            ipv6: Some("fd00::1".parse().expect("an address")),
        },
        extended_next_hop: false,
        bilateral: external,
        override_peer: None,
        remove_private: None,
        takes_long_lived: false,
        longest: Longest::Plain,
        rules,
        drain: Drain::No,
    }
}

const fn outgoing(
    prefix: Prefix,
    kind: SourceKind,
    origin: RouteOrigin,
    attributes: &PathAttributes,
) -> Outgoing<'_> {
    Outgoing { prefix, kind, origin, client: false, router_id: RouterId(2), attributes }
}

#[test]
fn a_path_of_an_external_peer_begins_with_its_as() {
    let path = |asns: &[u32], kind| {
        let asns: Vec<Asn> = asns.iter().copied().map(Asn).collect();
        let segments = if asns.is_empty() { vec![] } else { vec![Segment { kind, asns }] };
        let next_hop = NextHops::V4(Ipv4Addr::new(10, 0, 0, 2));
        PathAttributes { as_path: AsPath { segments }, ..PathAttributes::originated(next_hop) }
    };
    let speaker = speaker();
    let (strict, lax) = (peer(Rules::default()), {
        let mut peer = peer(Rules::default());
        peer.as_path.any_first = true;
        peer
    });
    let (sequence, set) = (SegmentKind::Sequence, SegmentKind::Set);
    let cases = [
        (path(&[65_001], sequence), None, ""),
        (path(&[65_001, 65_002], sequence), None, ""),
        (
            path(&[65_002, 65_001], sequence),
            Some(Reason::FirstAs),
            "path begins with AS 65002, the peer is AS 65001 (RFC 4271 6.3)",
        ),
        (
            path(&[], sequence),
            Some(Reason::FirstAs),
            "path does not begin with the peer's AS 65001 (RFC 4271 6.3)",
        ),
        // A set has no first AS.
        (
            path(&[65_001], set),
            Some(Reason::FirstAs),
            "path does not begin with the peer's AS 65001 (RFC 4271 6.3)",
        ),
    ];
    let prefix: Prefix = "10.244.1.0/24".parse().expect("a prefix");
    for (attributes, refusal, detail) in cases {
        for (peer, external) in [(&strict, true), (&strict, false), (&lax, true)] {
            let import = Import { speaker: &speaker, peer, asn: Asn(65_001), external };
            let refusal = refusal.filter(|_| external && !peer.as_path.any_first);
            assert_eq!(import.judge(prefix, &attributes).err(), refusal, "{}", attributes.as_path);
            if let Some(reason) = refusal {
                assert_eq!(import.detail(reason, prefix, &attributes), detail);
            }
        }
    }
}

#[test]
fn non_transitive_communities_end_at_the_border() {
    let next_hop = NextHops::V4(Ipv4Addr::new(10, 0, 0, 2));
    let standard = [0x00, 0x40, 0x43, 0x80].map(|kind| ExtendedCommunity([kind, 2, 0, 0, 0, 0, 0, 1]));
    let long = [0x00, 0x40].map(|kind| {
        let mut octets = [0; 20];
        octets[0] = kind;
        Ipv6ExtendedCommunity(octets)
    });
    let attributes = PathAttributes {
        extended_communities: standard.into(),
        ipv6_extended_communities: long.into(),
        ..PathAttributes::originated(next_hop)
    };
    let prefix: Prefix = "10.244.1.0/24".parse().expect("a prefix");
    for (kind, external, left) in [
        // RFC 4360 §6 and RFC 5701 §2: bit 0x40 of the first octet.
        (SourceKind::External, true, (vec![standard[0], standard[3]], vec![long[0]])),
        (SourceKind::External, false, (standard.to_vec(), long.to_vec())),
        // On an own path they are for the neighbour.
        (SourceKind::Local, true, (standard.to_vec(), long.to_vec())),
    ] {
        let path = outgoing(prefix, kind, RouteOrigin::Learned, &attributes);
        let sent = export(Rules::default(), external).apply(&path).expect("sent");
        let sent = (sent.extended_communities.to_vec(), sent.ipv6_extended_communities.to_vec());
        assert_eq!(sent, left, "{kind:?} to an external peer: {external}");
    }
}

proptest! {
    #[test]
    fn a_drained_speaker_asks_for_other_paths_whatever_the_rules_say(
        rules in proptest::collection::vec(any_rule(), 0..6),
        prefix in any_prefix(),
        attributes in any_attributes(),
        external in any::<bool>(),
        origin in proptest::sample::select(&[RouteOrigin::PodCidr, RouteOrigin::Service, RouteOrigin::Static]),
        (pods, services) in any::<(bool, bool)>(),
    ) {
        let path = outgoing(prefix, SourceKind::Local, origin, &attributes);
        let plain = export(Rules::new(rules), external);
        let shunned = Export { drain: Drain::SHUNNED, ..plain.clone() };
        let withheld = Export { drain: Drain::Shunned { pods, services }, ..plain.clone() };
        if pods && origin == RouteOrigin::PodCidr || services && origin == RouteOrigin::Service {
            let reason = withheld.apply(&path).expect_err("not sent");
            prop_assert!(reason == Reason::Drained);
        } else {
            prop_assert_eq!(withheld.apply(&path), shunned.apply(&path));
        }
        // RFC 8326 §4: nothing but the community and the preference inside the AS is changed.
        match (plain.apply(&path), shunned.apply(&path)) {
            (Ok(mut plain), Ok(sent)) => {
                prop_assert_eq!(sent.local_preference, (!external).then_some(0));
                let marks = sent.communities.iter().filter(|c| **c == Community::GRACEFUL_SHUTDOWN).count();
                prop_assert_eq!(marks, 1);
                plain.local_preference = sent.local_preference;
                let others = |list: &[Community]| {
                    list.iter().copied().filter(|c| *c != Community::GRACEFUL_SHUTDOWN).collect::<Vec<_>>()
                };
                prop_assert_eq!(others(&plain.communities), others(&sent.communities));
                plain.communities = sent.communities.clone();
                prop_assert_eq!(plain, sent);
            }
            (Err(reason), sent) => prop_assert_eq!(sent, Err(reason)),
            // The community may be what a message has no room for.
            (Ok(_), Err(reason)) => prop_assert_eq!(reason, Reason::TooLong),
        }
    }

    #[test]
    fn the_first_rule_that_a_path_meets_decides(
        rules in proptest::collection::vec(any_rule(), 0..6),
        prefix in any_prefix(),
        attributes in any_attributes(),
    ) {
        let subject = Subject { prefix, origin: RouteOrigin::Learned, attributes: &attributes };
        let expected = rules.iter().position(|rule| rule.when.meets(&subject));
        let list = Rules::new(rules.clone());
        prop_assert_eq!(list.first(&subject).map(|(at, _)| at), expected);
        // What stands behind it makes no difference.
        if let Some(at) = expected {
            let shorter = Rules::new(rules[..=at].to_vec());
            prop_assert_eq!(shorter.first(&subject), list.first(&subject));
        }
    }

    #[test]
    fn import_rules_can_only_refuse_more(
        rules in proptest::collection::vec(any_rule(), 0..6),
        prefix in any_prefix(),
        attributes in any_attributes(),
    ) {
        let speaker = speaker();
        let (with, without) = (peer(Rules::new(rules)), peer(Rules::default()));
        let (asn, external) = (Asn(65_001), false);
        let ruled = Import { speaker: &speaker, peer: &with, asn, external };
        let plain = Import { speaker: &speaker, peer: &without, asn, external };
        match (plain.judge(prefix, &attributes), ruled.judge(prefix, &attributes)) {
            // A refusal by a safe rule keeps its word.
            (Err(reason), verdict) => prop_assert_eq!(verdict, Err(reason)),
            (Ok(_), Err(reason)) => prop_assert_eq!(reason, Reason::ImportRule),
            (Ok(_), Ok(rule)) => {
                let changed = ruled.changed(rule, &attributes);
                prop_assert_eq!(changed.is_some(), ruled.change_detail(prefix, &attributes).is_some());
                if let Some(changed) = changed {
                    prop_assert_eq!(changed.next_hop, attributes.next_hop);
                    prop_assert_ne!(changed, attributes);
                }
            }
        }
    }

    #[test]
    fn export_rules_can_only_refuse_more_and_never_send_a_loop(
        rules in proptest::collection::vec(any_rule(), 0..6),
        prefix in any_prefix(),
        attributes in any_attributes(),
        external in any::<bool>(),
    ) {
        let path = outgoing(prefix, SourceKind::External, RouteOrigin::Learned, &attributes);
        let (ruled, plain) = (export(Rules::new(rules), external), export(Rules::default(), external));
        match (plain.apply(&path), ruled.apply(&path)) {
            (Err(reason), sent) => prop_assert_eq!(sent, Err(reason)),
            (Ok(_), Err(reason)) => {
                prop_assert_eq!(reason, Reason::ExportRule);
                prop_assert!(ruled.refusal(reason, &path).detail.starts_with("export rule "));
            }
            (Ok(plain), Ok(sent)) => {
                prop_assert_eq!(sent.next_hop, plain.next_hop);
                if external {
                    prop_assert_eq!(sent.local_preference, None);
                    prop_assert!(sent.as_path.hops() >= plain.as_path.hops());
                } else {
                    prop_assert_eq!(sent.as_path, plain.as_path);
                }
            }
        }
    }
}
