//! What is drawn: configurations, callers, paths.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use bgp::config::{
    AddPath, AsPathPolicy, Drain, LimitAction, LocalAs, NextHopMode, Origination, OwnNextHop, PeerConfig,
    Protected, ReceiveLimit, Restart, SpeakerConfig,
};
use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::rule::{AnyCommunity, Changes, Condition, PrefixRange, RouteOrigin, Rule, Rules};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, Origin, PathAttributes};
use bgp::wire::community::{Community, ExtendedCommunity, LargeCommunity};

use super::book::{Kernel, Sender};
use super::desk::{Caller, address};
use crate::sim::chance::Chance;

pub(super) const OWN: Asn = Asn(65_001);

/// A prefix of pods.
pub(super) const PODS: &str = "10.244.0.0/16";

/// An address of a Service, as its aggregate.
pub(super) const SERVICE: &str = "192.0.2.0/24";

/// A prefix that is originated with more communities than a message holds.
const LONG: &str = "198.51.100.0/24";

/// Prefixes on which each rule about prefixes has something to say.
pub(super) const PREFIXES: [&str; 13] = [
    "0.0.0.0/0",
    "10.244.1.0/24",
    "10.244.1.128/25",
    "10.244.0.0/16",
    "10.0.0.1/32",
    "10.0.0.101/32",
    "10.0.0.0/25",
    "127.0.0.0/24",
    "192.0.2.0/24",
    "192.0.2.77/32",
    LONG,
    "2001:db8::/32",
    "fe80:1::/32",
];

const COMMUNITIES: [Community; 10] = [
    Community(65_000 << 16 | 1),
    Community(65_000 << 16 | 2),
    Community::NO_EXPORT,
    Community::NO_ADVERTISE,
    Community::NO_EXPORT_SUBCONFED,
    Community::NO_PEER,
    Community::BLACKHOLE,
    Community::GRACEFUL_SHUTDOWN,
    Community::LLGR_STALE,
    Community::NO_LLGR,
];

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn asn(chance: &mut Chance) -> Asn {
    Asn(chance.pick(&[OWN.0, OWN.0, OWN.0, OWN.0, 65_002, 65_003, 64_512, 3_356, 4_200_000_001]))
}

fn as_path(chance: &mut Chance, caller: Caller) -> AsPath {
    let mut segments = Vec::new();
    if caller.asn == OWN && chance.one_in(2) {
        return AsPath { segments };
    }
    if caller.asn != OWN && !chance.one_in(8) {
        segments.push(Segment { kind: SegmentKind::Sequence, asns: vec![caller.asn] });
    }
    for _ in 0..chance.below(3) {
        let kind = if chance.one_in(3) { SegmentKind::Set } else { SegmentKind::Sequence };
        let asns = (0..=chance.below(2)).map(|_| if chance.one_in(3) { asn(chance) } else { Asn(65_003) });
        segments.push(Segment { kind, asns: asns.collect() });
    }
    // Two sequences side by side are one on the wire of many; here they are one from the start.
    segments.dedup_by(|next, before| {
        let joined = next.kind == SegmentKind::Sequence && before.kind == SegmentKind::Sequence;
        if joined {
            before.asns.append(&mut next.asns);
        }
        joined
    });
    AsPath { segments }
}

fn some<T: Copy>(chance: &mut Chance, all: &[T], once_in: u64) -> Vec<T> {
    all.iter().copied().filter(|_| chance.one_in(once_in)).collect()
}

pub(super) fn attributes(
    chance: &mut Chance,
    caller: Caller,
    family: Family,
    extended: bool,
) -> PathAttributes {
    let host = chance.pick(&[1, 7, 8, 9, 100, 101]);
    let next_hop = match family {
        Family::Ipv4 if chance.one_in(12) => NextHops::V4(Ipv4Addr::new(127, 0, 0, 1)),
        Family::Ipv4 if !extended || chance.one_in(2) => NextHops::V4(Ipv4Addr::new(10, 0, 0, host)),
        _ => {
            let global = format!("fd00::{host:x}").parse().expect("an address");
            NextHops::V6 { global, link_local: None }
        }
    };
    let internal = caller.asn == OWN;
    PathAttributes {
        origin: chance.pick(&[Origin::Igp, Origin::Igp, Origin::Egp, Origin::Incomplete]),
        as_path: as_path(chance, caller),
        med: chance.one_in(2).then(|| chance.below(3) as u32),
        // An external peer's is not considered (RFC 4271 §5.1.5).
        local_preference: internal.then(|| chance.pick(&[100, 100, 100, 101])),
        communities: some(chance, &COMMUNITIES, 12).into(),
        extended_communities: some(
            chance,
            &[ExtendedCommunity([0, 2, 0, 0, 0, 0, 0, 1]), ExtendedCommunity([0x40, 2, 0, 0, 0, 0, 0, 1])],
            6,
        )
        .into(),
        large_communities: some(chance, &[LargeCommunity { global: 65_000, local1: 1, local2: 2 }], 4).into(),
        only_to_customers: chance.one_in(4).then(|| asn(chance)),
        originator: (internal && chance.one_in(4)).then(|| RouterId(chance.pick(&[1, 20, 21]))),
        cluster_list: (0..if internal { chance.below(3) } else { 0 }).map(|n| n as u32 + 1).collect(),
        ..PathAttributes::originated(next_hop)
    }
}

fn rules(chance: &mut Chance) -> Rules {
    let ranges = [
        PrefixRange::new(prefix("10.0.0.0/8"), Some(8), Some(24)),
        PrefixRange::new(prefix("192.0.2.0/24"), None, None),
        PrefixRange::new(prefix("2001:db8::/32"), Some(32), None),
    ];
    let tags = [AnyCommunity::Standard(COMMUNITIES[0]), AnyCommunity::Standard(COMMUNITIES[1])];
    let mut rule = || Rule {
        when: Condition {
            prefixes: some(chance, &ranges, 3),
            communities: some(chance, &tags, 6),
            as_path: chance.one_in(4).then(|| "* 65003".parse().expect("a pattern")),
            origin: chance.one_in(5).then(|| chance.pick(&[RouteOrigin::Learned, RouteOrigin::Static])),
        },
        reject: chance.one_in(5),
        set: Changes {
            local_preference: chance.one_in(4).then_some(101),
            med: chance.one_in(4).then_some(2),
            prepend: chance.pick(&[0, 0, 1, 3]),
            add: some(chance, &tags, 4),
            remove: some(chance, &tags, 4),
        },
    };
    let first = rule();
    let second = rule();
    Rules::new(match chance.below(4) {
        0 => vec![first],
        1 => vec![first, second],
        _ => Vec::new(),
    })
}

fn peer(chance: &mut Chance, n: usize) -> PeerConfig {
    let odd = chance.one_in(4);
    PeerConfig {
        families: PerFamily { ipv4: true, ipv6: !chance.one_in(6) },
        via_default: chance.one_in(4),
        extended_next_hop: chance.one_in(2),
        own_next_hop: OwnNextHop {
            ipv4: (!chance.one_in(8)).then_some(Ipv4Addr::new(10, 0, 0, 1)),
            ipv6: (!chance.one_in(4)).then(|| "fd00::1".parse().expect("an address")),
        },
        local_as: chance.one_in(6).then(|| LocalAs {
            asn: Asn(65_099),
            no_prepend: chance.one_in(2),
            replace: chance.one_in(2),
        }),
        role: chance.one_in(3).then(|| {
            use bgp::wire::role::Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
            chance.pick(&[Customer, Peer, Provider, RouteServer, RouteServerClient])
        }),
        reflector_client: chance.one_in(4),
        next_hop: chance.pick(&[
            NextHopMode::Auto,
            NextHopMode::Auto,
            NextHopMode::Own,
            NextHopMode::Unchanged,
        ]),
        as_path: AsPathPolicy {
            any_first: chance.one_in(4),
            allow_own: u8::from(odd && chance.one_in(2)),
            override_peer: odd && chance.one_in(2),
            remove_private: odd && chance.one_in(2),
        },
        add_path: AddPath { receive: chance.one_in(2), send: chance.pick(&[0, 1, 2, 16]) },
        accept: chance.one_in(4).then(|| vec![prefix("10.0.0.0/8"), prefix("2001:db8::/32")]),
        accept_default: chance.one_in(2),
        import: rules(chance),
        export: rules(chance),
        receive: ReceiveLimit {
            most: if chance.one_in(6) { 3 } else { 1_000 },
            warn_at: None,
            action: LimitAction::Reject,
        },
        send_limit: chance.one_in(12).then_some(0),
        restart: Restart { long_lived: 60, ..Restart::default() },
        ..PeerConfig::new(address(n).into())
    }
}

/// A speaker, who calls it, what resolves, and what the kernel says.
pub(super) struct Scene {
    pub(super) config: SpeakerConfig,
    pub(super) callers: Vec<Caller>,
    pub(super) metrics: BTreeMap<IpAddr, u32>,
    /// What the kernel says of each prefix.
    pub(super) kernel: BTreeMap<Prefix, Kernel>,
}

pub(super) fn scene(chance: &mut Chance) -> Scene {
    let callers: Vec<Caller> = (0..2 + chance.index(4))
        .map(|_| Caller {
            asn: asn(chance),
            router_id: RouterId(20 + chance.below(3) as u32),
            several: chance.one_in(2),
            extended: chance.one_in(2),
            takes_long_lived: chance.one_in(2),
            sender: chance.pick(&[
                Sender::Here,
                Sender::Here,
                Sender::Here,
                Sender::Restarts,
                Sender::LongAway,
            ]),
        })
        .map(|caller| Caller {
            takes_long_lived: caller.takes_long_lived || caller.sender == Sender::LongAway,
            ..caller
        })
        .collect();
    let origin = |text: &str| Origination { med: Some(4), ..Origination::new(prefix(text)) };
    let pods = Origination { origin: RouteOrigin::PodCidr, ..origin(PODS) };
    let service = Origination { origin: RouteOrigin::Service, ..origin(SERVICE) };
    let many = (0..1_100).map(|value| Community((65_000 << 16) | (1_000 + value))).collect();
    let long = Origination { communities: many, ..origin(LONG) };
    let config = SpeakerConfig {
        transit: !chance.one_in(3),
        cluster_id: chance.one_in(4).then_some(RouterId(2)),
        drain: chance.pick(&[
            Drain::No,
            Drain::No,
            Drain::No,
            Drain::SHUNNED,
            Drain::Shunned { pods: true, services: false },
            Drain::Shunned { pods: false, services: true },
        ]),
        max_paths: chance.pick(&[1, 2, 16]),
        relax_as_path: chance.one_in(2),
        origins: [pods, service, long].into_iter().filter(|_| chance.one_in(3)).collect(),
        protected: Protected {
            own: vec![prefix("10.244.1.0/24")],
            connected: vec![prefix("10.0.0.0/24")],
            addresses: vec![IpAddr::from([10, 0, 0, 1]), "fd00::1".parse().expect("an address")],
            hosts: vec![address(1).into()],
        },
        // One more than there are callers: its session is down.
        peers: (0..=callers.len()).map(|n| peer(chance, n)).collect(),
        ..SpeakerConfig::new(OWN, RouterId(1))
    };
    let mut metrics = BTreeMap::new();
    for host in [1_u8, 7, 8, 100, 101] {
        let metric = chance.below(2) as u32;
        metrics.insert(IpAddr::from([10, 0, 0, host]), metric);
        metrics.insert(format!("fd00::{host:x}").parse().expect("an address"), metric);
    }
    let said = [Kernel::Installs, Kernel::Installs, Kernel::Installs, Kernel::IsSilent, Kernel::Refuses];
    let kernel = PREFIXES.map(|text| (prefix(text), chance.pick(&said)));
    Scene { config, callers, metrics, kernel: BTreeMap::from(kernel) }
}
