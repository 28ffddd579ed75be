//! Random configurations, random paths: the speaker's words are the book's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use bgp::config::{
    AddPath, AsPathPolicy, Drain, LimitAction, LocalAs, NextHopMode, Origination, OwnNextHop, PeerConfig,
    Protected, ReceiveLimit, Restart, SpeakerConfig,
};
use bgp::id::{Asn, PathId, RouterId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, Changes, Condition, PrefixRange, RouteOrigin, Rule, Rules};
use bgp::view::{PathSource, SentPath};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, Origin, PathAttributes};
use bgp::wire::community::{Community, ExtendedCommunity, LargeCommunity};
use bgp::wire::nlri;
use proptest::prelude::*;

use super::book::{self, Kernel, Neighbor, Route, Sender};
use super::desk::{Caller, Desk, address};
use crate::sim::chance::Chance;

const OWN: Asn = Asn(65_001);

/// A prefix of pods.
const PODS: &str = "10.244.0.0/16";

/// An address of a Service, as its aggregate.
const SERVICE: &str = "192.0.2.0/24";

/// A prefix that is originated with more communities than a message holds.
const LONG: &str = "198.51.100.0/24";

/// Prefixes on which each rule about prefixes has something to say.
const PREFIXES: [&str; 13] = [
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

fn prefix(text: &str) -> Prefix {
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

fn attributes(chance: &mut Chance, caller: Caller, family: Family, extended: bool) -> PathAttributes {
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

/// A speaker, who calls it, and what resolves.
struct Scene {
    config: SpeakerConfig,
    callers: Vec<Caller>,
    metrics: BTreeMap<IpAddr, u32>,
}

fn scene(chance: &mut Chance) -> Scene {
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
    Scene { config, callers, metrics }
}

/// Whether a path that has come is there: beyond the limit it is counted, and not kept.
fn is_kept(desk: &Desk, prefix: Prefix, from: IpAddr, id: Option<PathId>) -> bool {
    let paths = desk.speaker.explain(prefix).route.map_or_else(Vec::new, |route| route.paths);
    paths.iter().any(|path| {
        matches!(path.source, PathSource::Peer { address, .. } if address == from) && path.path_id == id
    })
}

/// Looks at every prefix; gives the words that were met.
fn agrees(seed: u64) -> Result<BTreeSet<Reason>, String> {
    let mut chance = Chance::new(seed);
    let Scene { config, callers, metrics } = scene(&mut chance);
    let kernel = PREFIXES.map(|text| {
        let said = [Kernel::Installs, Kernel::Installs, Kernel::Installs, Kernel::IsSilent, Kernel::Refuses];
        (prefix(text), chance.pick(&said))
    });
    let kernel = BTreeMap::from(kernel);
    let mut desk = Desk::new(&config, &callers, metrics.clone(), kernel.clone());
    let mut malformed = BTreeSet::new();
    let caller = |at: IpAddr| (0..callers.len()).find(|n| at == address(*n));
    let neighbor = |at: IpAddr| {
        let (config, caller) = caller(at).map(|n| (&config.peers[n], callers[n]))?;
        let Caller { asn, router_id, takes_long_lived, extended, .. } = caller;
        let extended_next_hop = extended && config.extended_next_hop;
        Some(Neighbor { config, asn, router_id, extended_next_hop, takes_long_lived })
    };
    let mut words = BTreeSet::new();
    // How many prefixes of a family each caller has said, and how many had no room.
    let mut said = vec![PerFamily::<(u64, u64)>::default(); callers.len()];
    for text in PREFIXES {
        for (n, caller) in callers.iter().enumerate().filter(|_| !chance.one_in(4)).collect::<Vec<_>>() {
            if !config.peers[n].families[prefix(text).family()] {
                continue;
            }
            let several = caller.several && config.peers[n].add_path.receive;
            for id in 0..if several { 1 + chance.below(3) as u32 } else { 1 } {
                let attributes = attributes(
                    &mut chance,
                    *caller,
                    prefix(text).family(),
                    config.peers[n].extended_next_hop,
                );
                // Neighbours on the wire, and out of order.
                let id = several.then_some(PathId(id ^ 2));
                let route = nlri::Route { id, prefix: prefix(text) };
                if chance.one_in(12) {
                    desk.announce_badly(n, *caller, route, &attributes);
                    malformed.insert((prefix(text), address(n).into()));
                    // Treated as a withdrawal; of what is not kept, that is taken to be of one beyond the limit.
                    let beyond = &mut said[n][prefix(text).family()].1;
                    *beyond = beyond.saturating_sub(1);
                    continue;
                }
                desk.announce(n, *caller, route, &attributes);
                let (kept, beyond) = &mut said[n][prefix(text).family()];
                let has_room = *kept < config.peers[n].receive.most.into();
                if has_room {
                    *kept += 1;
                } else {
                    *beyond += 1;
                }
                if is_kept(&desk, prefix(text), address(n).into(), id) != has_room {
                    return Err(format!("{text} from {}: kept, and room: {has_room}", address(n)));
                }
                words.extend((!has_room).then_some(Reason::PrefixLimit));
            }
        }
    }
    desk.settle();
    for (view, said) in desk.speaker.peers().iter().zip(&said) {
        for family in Family::ALL {
            let limited = view.counts[family].rejected.iter().find(|(word, _)| *word == Reason::PrefixLimit);
            let limited = limited.map_or(0, |(_, count)| *count);
            if limited != said[family].1 {
                return Err(format!("{}: {limited} beyond the limit, and said were {said:?}", view.name));
            }
        }
    }
    for (n, _) in callers.iter().enumerate().filter(|(_, caller)| caller.sender != Sender::Here) {
        desk.hang_up(n);
        malformed.retain(|(_, of)| *of != address(n));
    }
    desk.settle();
    for text in PREFIXES {
        let story = desk.speaker.explain(prefix(text));
        // RFC 7606 §2: as if the route had been withdrawn.
        let withdrawn: Vec<IpAddr> = story.withdrawn.iter().map(|withdrawn| withdrawn.address).collect();
        let of_prefix = malformed.iter().filter(|(of, _)| *of == prefix(text)).map(|(_, from)| *from);
        if withdrawn != of_prefix.collect::<Vec<IpAddr>>() {
            return Err(format!("{text}: malformed from {malformed:?}, withdrawn {withdrawn:?}"));
        }
        words.extend((!withdrawn.is_empty()).then_some(Reason::TreatAsWithdraw));
        let paths = story.route.map_or_else(Vec::new, |route| route.paths);
        let routes: Vec<Route<'_>> = paths
            .iter()
            .map(|path| {
                let from = match path.source {
                    PathSource::Local => None,
                    PathSource::Peer { address, .. } => neighbor(address),
                };
                let next_hop = path.attributes.next_hop.address();
                let metric = if from.is_none() { Some(0) } else { metrics.get(&next_hop).copied() };
                let origin = match from {
                    Some(_) => RouteOrigin::Learned,
                    None if text == PODS => RouteOrigin::PodCidr,
                    None if text == SERVICE => RouteOrigin::Service,
                    None => RouteOrigin::Static,
                };
                let sender = match path.source {
                    PathSource::Peer { address, .. } => caller(address).map(|n| callers[n].sender),
                    PathSource::Local => None,
                };
                Route {
                    from,
                    origin,
                    received: path.attributes.clone(),
                    metric,
                    id: path.path_id,
                    sender: sender.unwrap_or_default(),
                }
            })
            .collect();
        // RFC 9494 §4.2: "any routes with the NO_LLGR community … MUST NOT be retained".
        if let Some(kept) = routes.iter().find(|route| {
            let used = book::used(&config, prefix(text), route).unwrap_or_else(|_| route.received.clone());
            route.sender == Sender::LongAway && used.communities.contains(&Community::NO_LLGR)
        }) {
            return Err(format!("{text}: kept for long is {kept:#?}"));
        }
        let verdicts = book::decide(&config, prefix(text), &routes);
        for (path, expected) in paths.iter().zip(&verdicts) {
            words.insert(*expected);
            if !path.verdict.rfc().is_none_or(|rfc| path.detail.contains(&format!("({rfc})"))) {
                return Err(format!("{text}: no section in {path:#?}"));
            }
            if path.verdict != *expected {
                return Err(format!("{text}: {expected} by the book, and {path:#?}"));
            }
        }
        for sent in story.sent {
            let is_here = |n: usize| callers[n].sender == Sender::Here;
            let here = neighbor(sent.address).filter(|_| caller(sent.address).is_some_and(is_here));
            let Some(to) = here.filter(|to| to.config.families[prefix(text).family()]) else {
                // RFC 4271 §9.2 sends to peers; RFC 4760 §8 what both speakers of a session offered.
                let is_up = here.is_some();
                let word = if is_up { Reason::FamilyNotNegotiated } else { Reason::SessionDown };
                words.insert(word);
                match sent.sent {
                    Err(refusal) if refusal.reason == word => continue,
                    said => return Err(format!("{text} to {}: {word} by the book, and {said:?}", sent.name)),
                }
            };
            let several = callers.iter().zip(&config.peers).find(|(_, peer)| peer.address == sent.address);
            let several = several.filter(|(caller, peer)| caller.several && peer.add_path.send > 0);
            let several = several.map(|(_, peer)| peer.add_path.send);
            let sort = |mut paths: Vec<PathAttributes>| {
                paths.sort();
                paths
            };
            let expected =
                book::sent(&config, to, prefix(text), &routes, several, kernel[&prefix(text)]).map(sort);
            words.extend(expected.as_ref().err());
            let ids = sent.sent.iter().flatten().map(|path| path.path_id);
            let ids: BTreeSet<_> = ids.clone().filter(|id| id.is_some() == several.is_some()).collect();
            if sent.sent.as_ref().is_ok_and(|sent| sent.len() != ids.len()) {
                return Err(format!("{text} to {}: Path Identifiers {ids:?}", sent.name));
            }
            let paths = |sent: Vec<SentPath>| sort(sent.into_iter().map(|path| path.attributes).collect());
            if let Err(refusal) = &sent.sent
                && !refusal.reason.rfc().is_none_or(|rfc| refusal.detail.contains(&format!("({rfc})")))
            {
                return Err(format!("{text} to {}: no section in {refusal:?}", sent.name));
            }
            let said = sent.sent.map(paths).map_err(|refusal| refusal.reason);
            if said != expected {
                return Err(format!("{text} to {}: {expected:#?} by the book, and {said:#?}", sent.name));
            }
        }
    }
    Ok(words)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_is_what_the_book_says(seed in any::<u64>()) {
        prop_assert_eq!(agrees(seed).map(|_| ()), Ok(()));
    }
}

/// Every word that the tables and the policy have is met by what is drawn.
#[test]
fn what_is_drawn_meets_every_word() {
    let mut met = BTreeSet::new();
    for seed in 0..1_500 {
        met.extend(agrees(seed).unwrap_or_else(|problem| panic!("seed {seed}: {problem}")));
    }
    let elsewhere = |reason: &Reason| {
        // What the book cannot tell from the paths of one prefix, and where it is looked at.
        // Pending: from the arrival to the turn, and whoever asks is told by the ladder as of then.
        // PathLimit: more paths of a prefix than are drawn here, counted and not kept (`rib::several`).
        [Reason::Pending, Reason::PathLimit].contains(reason)
    };
    let sessions =
        Reason::ALL.iter().position(|reason| *reason == Reason::Disabled).expect("a session's word");
    let missed: Vec<_> =
        Reason::ALL[..sessions].iter().filter(|reason| !met.contains(reason) && !elsewhere(reason)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
