//! Prepared status values: two racks as the design pages show them, at a fixed moment.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bgp::config::{PeerAs, PeerConfig, Timers};
use bgp::id::{Asn, PeerId, RouterId};
use bgp::io::{Downfall, NextHop, Notifications, State};
use bgp::prefix::{PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::time::Instant;
use bgp::view::{
    Counts, Explanation, KernelCounts, KernelView, PathSource, PathView, PeerView, Refusal, RouteView,
    SentPath, SentView,
};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::community::{Community, LargeCommunity};
use controller::status::clock::{Clock, Moment};
use controller::status::snapshot::{Condition, ConditionKind, Identity, Snapshot, SourceStatus};

/// 2026-11-22 03:00 UTC.
const STARTED: u64 = 1_795_316_400;

/// Four hours and some after the start.
pub(crate) fn moment() -> Moment {
    Moment { started_at: started_at(), now: at(4 * 3600) }
}

pub(crate) fn started_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(STARTED)
}

/// Seconds after the start.
pub(crate) fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000_000)
}

/// Seconds before the moment.
pub(crate) fn ago(seconds: u64) -> Instant {
    at(4 * 3600 - seconds)
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// A peer that is up.
pub(crate) fn established(id: u32, name: &str, peer: &str, asn: u32, counts: PerFamily<Counts>) -> PeerView {
    PeerView {
        id: PeerId(id),
        name: name.to_owned(),
        address: address(peer),
        asn: Some(Asn(asn)),
        router_id: Some(RouterId(0x0a00_0001)),
        local: Some(SocketAddr::new(address("10.0.2.2"), 45_000)),
        state: State::Established,
        since: ago(3 * 3600 + 12 * 60),
        down: None,
        retry_at: None,
        failures: 0,
        hold: Some(Duration::from_secs(9)),
        families: PerFamily { ipv4: true, ipv6: counts.ipv6 != Counts::default() },
        end_of_rib: PerFamily { ipv4: true, ipv6: counts.ipv6 != Counts::default() },
        add_path: PerFamily::default(),
        restart: None,
        kept_until: None,
        bfd: None,
        long_lived_until: PerFamily::default(),
        stale: PerFamily::default(),
        counts,
        established_count: 1,
        malformed: (0, None),
        notifications: Notifications::default(),
        limits: Vec::new(),
        updates: (12, 4),
    }
}

/// What every peer was asked to be.
pub(crate) fn config(peer: PeerId) -> PeerConfig {
    PeerConfig {
        name: format!("peer {}", peer.0),
        asn: PeerAs::External,
        timers: Timers {
            hold: Duration::from_secs(90),
            keepalive: Duration::from_secs(3),
            connect_retry: Duration::from_secs(5),
        },
        accept: Some(vec![prefix("10.244.0.0/16"), prefix("fd00:10:244::/48")]),
        ..PeerConfig::new(address("10.0.2.1"))
    }
}

/// A peer that is down.
pub(crate) fn down(name: &str, peer: &str, state: State, reason: Reason, text: &str) -> PeerView {
    PeerView {
        router_id: None,
        local: None,
        state,
        down: Some(Downfall { reason, text: text.to_owned() }),
        hold: None,
        families: PerFamily::default(),
        end_of_rib: PerFamily::default(),
        established_count: 0,
        malformed: (0, None),
        limits: Vec::new(),
        updates: (0, 0),
        ..established(9, name, peer, 65_000, PerFamily::default())
    }
}

/// Counts of one family.
pub(crate) fn counts(received: u64, sent: u64, rejected: &[(Reason, u64)]) -> Counts {
    let refused: u64 = rejected.iter().map(|(_, count)| count).sum();
    Counts { received, accepted: received - refused, rejected: rejected.to_vec(), sent, kept_back: 0 }
}

/// A node with these peers, healthy.
pub(crate) fn snapshot(node: &str, peers: Vec<PeerView>) -> Snapshot {
    let condition =
        |kind, reason| Condition { kind, holds: Some(true), reason, message: String::new(), since: at(3) };
    Snapshot {
        revision: 7,
        node: node.to_owned(),
        version: "0.1.0".to_owned(),
        clock: Clock::start(),
        identity: Some(Identity { asn: Asn(65_001), router_id: RouterId(0x0a00_0202) }),
        conditions: vec![
            condition(ConditionKind::Ready, "converged"),
            condition(ConditionKind::Converged, "converged"),
        ],
        peers,
        kernel: PerFamily {
            ipv4: KernelCounts { installed: 12, pending: 0, failed: 0 },
            ipv6: KernelCounts { installed: 5, pending: 1, failed: 2 },
        },
        fib: None,
        withheld: Default::default(),
        pods: Vec::new(),
        pod_mtu: None,
        source: SourceStatus {
            description: "manifests /etc/underlay".to_owned(),
            loaded_at: Some(at(1)),
            errors: Vec::new(),
        },
        drain: None,
        impairments: Vec::new(),
        counters: Arc::default(),
        events: Arc::default(),
        prefixes: Arc::default(),
    }
}

/// The three nodes of the sample in the design pages.
pub(crate) fn three_nodes() -> Vec<Snapshot> {
    let v4 = |counts| PerFamily { ipv4: counts, ipv6: Counts::default() };
    let up = established(1, "tor1", "10.0.2.1", 65_000, v4(counts(14, 3, &[(Reason::AsLoop, 2)])));
    let mut connect = down("tor1", "10.0.3.1", State::Connect, Reason::ConnectFailed, "connection refused");
    connect.since = ago(48);
    connect.retry_at = Some(Instant(at(4 * 3600 + 11).0 + 1));
    let mut idle =
        down("tor1", "10.0.4.1", State::Idle, Reason::BadPeerAs, "peer AS is 65010, expected 65000");
    idle.since = ago(302);
    vec![
        snapshot("worker-1", vec![up]),
        snapshot("worker-2", vec![connect]),
        snapshot("worker-3", vec![idle]),
    ]
}

/// Attributes with an AS_PATH of one sequence.
pub(crate) fn attributes(asns: &[u32], next_hop: &str) -> PathAttributes {
    let next_hop = match address(next_hop) {
        IpAddr::V4(address) => NextHops::V4(address),
        IpAddr::V6(global) => NextHops::V6 { global, link_local: None },
    };
    let asns: Vec<Asn> = asns.iter().copied().map(Asn).collect();
    let segments = if asns.is_empty() { vec![] } else { vec![Segment { kind: SegmentKind::Sequence, asns }] };
    PathAttributes { as_path: AsPath { segments }, ..PathAttributes::originated(next_hop) }
}

/// A path of a peer.
pub(crate) fn path(
    peer: (u32, &str, &str),
    attributes: PathAttributes,
    verdict: Reason,
    accepted: bool,
    detail: &str,
) -> PathView {
    let (id, name, peer) = peer;
    let source = PathSource::Peer { id: PeerId(id), name: name.to_owned(), address: address(peer) };
    PathView {
        source,
        path_id: None,
        attributes,
        changed: None,
        verdict,
        accepted,
        stale: None,
        detail: detail.to_owned(),
    }
}

pub(crate) const TOR1: (u32, &str, &str) = (1, "tor1", "10.0.2.1");
pub(crate) const TOR2: (u32, &str, &str) = (2, "tor2", "10.0.3.1");

/// The story of the sample in the design pages: nothing usable.
pub(crate) fn unreachable_story() -> Explanation {
    let prefix = prefix("10.244.3.0/24");
    let first = path(
        TOR1,
        attributes(&[65_000, 65_013], "10.0.9.1"),
        Reason::NextHopUnreachable,
        true,
        "next hop 10.0.9.1 unreachable",
    );
    let second = path(
        TOR2,
        attributes(&[65_000, 65_001, 65_013], "10.0.3.1"),
        Reason::AsLoop,
        false,
        "own AS 65001 in path (RFC 4271 9.1.2)",
    );
    let refusal = || Refusal { reason: Reason::NothingSelected, detail: String::new() };
    let sent = |(id, name, peer): (u32, &str, &str)| SentView {
        id: PeerId(id),
        name: name.to_owned(),
        address: address(peer),
        sent: Err(refusal()),
    };
    Explanation {
        prefix,
        route: Some(RouteView {
            prefix,
            paths: vec![first, second],
            kernel: KernelView::NotRequested,
            next_hops: Vec::new(),
        }),
        next_hops: vec![(NextHop { address: address("10.0.9.1"), via_default: false }, None)],
        withdrawn: Vec::new(),
        sent: vec![sent(TOR1), sent(TOR2)],
    }
}

/// A story with an ECMP set in the kernel, sent to one peer.
pub(crate) fn installed_story() -> Explanation {
    let prefix = prefix("10.244.4.0/24");
    let mut best = attributes(&[65_000, 65_014], "10.0.2.1");
    best.med = Some(0);
    best.local_preference = Some(100);
    best.communities = [Community(65_000 << 16 | 1), Community::GRACEFUL_SHUTDOWN].into();
    best.large_communities = [LargeCommunity { global: 4_200_000_000, local1: 1, local2: 2 }].into();
    let second = attributes(&[65_000, 65_014], "10.0.3.1");
    let third = attributes(&[65_000, 65_100, 65_014], "10.0.5.1");
    let hop = |text| NextHop { address: address(text), via_default: false };
    let to = |id, name: &str, peer, sent| SentView {
        id: PeerId(id),
        name: name.to_owned(),
        address: address(peer),
        sent,
    };
    Explanation {
        prefix,
        route: Some(RouteView {
            prefix,
            paths: vec![
                path(TOR1, best, Reason::Best, true, ""),
                path(TOR2, second, Reason::Multipath, true, "used beside the best path"),
                path((3, "tor3", "10.0.5.1"), third, Reason::LongerAsPath, true, "3 ASes, the best has 2"),
            ],
            kernel: KernelView::Installed,
            next_hops: vec![hop("10.0.2.1"), hop("10.0.3.1")],
        }),
        next_hops: vec![(hop("10.0.2.1"), Some(0)), (hop("10.0.3.1"), Some(0)), (hop("10.0.5.1"), Some(20))],
        withdrawn: Vec::new(),
        sent: vec![
            to(
                1,
                "tor1",
                "10.0.2.1",
                Err(Refusal {
                    reason: Reason::LearnedFromPeer,
                    detail: "the path was learned from this peer".to_owned(),
                }),
            ),
            to(
                4,
                "leaf4",
                "10.0.8.1",
                Ok(vec![SentPath {
                    path_id: None,
                    attributes: attributes(&[65_001, 65_000, 65_014], "10.0.8.2"),
                }]),
            ),
        ],
    }
}

/// The route that this node originates.
pub(crate) fn local_route() -> RouteView {
    RouteView {
        prefix: prefix("10.244.1.0/24"),
        paths: vec![PathView {
            source: PathSource::Local,
            path_id: None,
            attributes: attributes(&[], "0.0.0.0"),
            changed: None,
            verdict: Reason::Best,
            accepted: true,
            stale: None,
            detail: String::new(),
        }],
        kernel: KernelView::NotRequested,
        next_hops: Vec::new(),
    }
}
