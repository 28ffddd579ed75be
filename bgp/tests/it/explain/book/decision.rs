//! Which paths of a prefix are used (RFC 4271 §9.1.2.2).

use std::net::IpAddr;

use bgp::config::SpeakerConfig;
use bgp::id::{Asn, PathId, RouterId};
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::rule::AnyCommunity;
use bgp::wire::as_path::{Segment, SegmentKind};
use bgp::wire::attribute::PathAttributes;
use bgp::wire::community::Community;

use super::import::used;
use super::path::{Neighbor, Route, Sender};
use super::reading::{carries, leftmost, session_as};

/// A route that takes part in the decision.
#[derive(Clone, Debug)]
struct Considered<'a> {
    at: usize,
    from: Option<Neighbor<'a>>,
    internal: bool,
    attributes: PathAttributes,
    metric: Option<u32>,
    id: Option<PathId>,
    sender: Sender,
}

impl Considered<'_> {
    fn preference(&self) -> u32 {
        self.attributes.local_preference.unwrap_or(100)
    }

    /// "An AS_SET counts as 1, no matter how many ASes are in the set."
    fn path_length(&self) -> usize {
        let length = |segment: &Segment| match segment.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => segment.asns.len(),
        };
        self.attributes.as_path.segments.iter().map(length).sum()
    }

    /// "neighborAS(n) is a function that returns the neighbor AS from which the route was
    /// received"; `None` where the local AS originated the route.
    fn neighbor_as(&self) -> Option<Asn> {
        leftmost(&self.attributes.as_path)
    }

    fn identifier(&self, own: RouterId) -> RouterId {
        // RFC 4456 §9: "the ORIGINATOR_ID SHOULD be treated as the BGP Identifier".
        self.attributes.originator.or(self.from.map(|from| from.router_id)).unwrap_or(own)
    }

    fn address(&self) -> Option<IpAddr> {
        self.from.map(|from| from.config.address)
    }
}

/// The verdict on each route: an import refusal, the rung of RFC 4271 §9.1.2.2 at
/// which it is removed, or that it is used.
pub(crate) fn decide(own: &SpeakerConfig, prefix: Prefix, routes: &[Route<'_>]) -> Vec<Reason> {
    let mut verdicts = vec![Reason::Pending; routes.len()];
    let mut left = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        match used(own, prefix, route) {
            Err(reason) => verdicts[at] = reason,
            Ok(attributes) => {
                let internal = route.from.is_some_and(|from| from.asn == session_as(own, from.config));
                let Route { from, metric, id, sender, .. } = *route;
                left.push(Considered { at, from, internal, attributes, metric, id, sender });
            }
        }
    }
    let mut remove = |left: &mut Vec<Considered<'_>>,
                      rung: Reason,
                      beaten: &dyn Fn(&Considered<'_>, &Considered<'_>) -> bool| {
        let before = left.clone();
        left.retain(|n| {
            let stays = !before.iter().any(|m| beaten(n, m));
            if !stays {
                verdicts[n.at] = rung;
            }
            stays
        });
    };
    // §9.1.2: "If the NEXT_HOP attribute of a BGP route depicts an address that is not
    // resolvable … the BGP route MUST be excluded from the Phase 2 decision function."
    remove(&mut left, Reason::NextHopUnreachable, &|n, _| n.metric.is_none());
    // RFC 9494 §4.4: "A least preferred route MUST be treated as less preferred than any other
    // route that is not also least preferred"; §4.3: so is one that came with the community.
    let least = |route: &Considered<'_>| {
        route.from.is_some() && carries(&route.attributes, AnyCommunity::Standard(Community::LLGR_STALE))
    };
    remove(&mut left, Reason::LongLivedStale, &|n, m| least(n) && !least(m));
    // The house's rule: who has another way does not rely on a peer that may never come back.
    let stale = |route: &Considered<'_>| route.sender != Sender::Here;
    remove(&mut left, Reason::Stale, &|n, m| stale(n) && !stale(m));
    remove(&mut left, Reason::LocalPreferred, &|n, m| n.from.is_some() && m.from.is_none());
    // §9.1.2: "the one that has the highest degree of preference".
    remove(&mut left, Reason::LowerLocalPreference, &|n, m| m.preference() > n.preference());
    // a) "Remove from consideration all routes that are not tied for having the smallest number
    // of AS numbers present in their AS_PATH attributes."
    remove(&mut left, Reason::LongerAsPath, &|n, m| m.path_length() < n.path_length());
    // b) "… the lowest Origin number in their Origin attribute."
    remove(&mut left, Reason::HigherOrigin, &|n, m| m.attributes.origin < n.attributes.origin);
    // c) "for m = all routes still under consideration, for n = all routes still under
    // consideration: if (neighborAS(m) == neighborAS(n)) and (MED(n) < MED(m)) remove route m".
    let med = |route: &Considered<'_>| route.attributes.med.unwrap_or(0);
    remove(&mut left, Reason::HigherMed, &|n, m| n.neighbor_as() == m.neighbor_as() && med(m) < med(n));
    // d) "If at least one of the candidate routes was received via EBGP, remove from
    // consideration all routes that were received via IBGP."
    remove(&mut left, Reason::ExternalPreferred, &|n, m| n.internal && !m.internal);
    // e) "Remove from consideration any routes with less-preferred interior cost."
    remove(&mut left, Reason::HigherIgpMetric, &|n, m| m.metric < n.metric);
    let tied = left.clone();
    let id = |route: &Considered<'_>| route.identifier(own.router_id);
    let clusters = |route: &Considered<'_>| route.attributes.cluster_list.len();
    // f) "… other than the route that was advertised by the BGP speaker with the lowest BGP
    // Identifier value."
    remove(&mut left, Reason::HigherRouterId, &|n, m| id(m) < id(n));
    // RFC 4456 §9: "a BGP Speaker SHOULD prefer a route with the shorter CLUSTER_LIST length".
    remove(&mut left, Reason::LongerClusterList, &|n, m| clusters(m) < clusters(n));
    // g) "Prefer the route received from the lowest peer address."
    remove(&mut left, Reason::HigherPeerAddress, &|n, m| m.address() < n.address());
    // RFC 7911 names no order among the paths of one peer; the house's rule: the lowest.
    remove(&mut left, Reason::HigherPathId, &|n, m| m.id < n.id);
    let Some(best) = left.first().cloned() else { return verdicts };
    verdicts[best.at] = Reason::Best;
    if own.max_paths > 1 && best.from.is_some() {
        beside(own, &best, tied, &mut verdicts);
    }
    verdicts
}

/// What is used beside the best: equal up to the interior cost, by other next hops
/// as long as there is room, in the order of f) and g).
fn beside(
    own: &SpeakerConfig,
    best: &Considered<'_>,
    mut tied: Vec<Considered<'_>>,
    verdicts: &mut [Reason],
) {
    tied.sort_by_key(|route| {
        let clusters = route.attributes.cluster_list.len();
        (route.identifier(own.router_id), clusters, route.address(), route.id)
    });
    let next_hop = |route: &Considered<'_>| {
        let via_default = route.from.is_some_and(|from| from.config.via_default);
        (route.attributes.next_hop.address(), via_default)
    };
    let mut used = vec![next_hop(best)];
    for route in tied.iter().filter(|route| route.at != best.at) {
        if !own.relax_as_path && route.attributes.as_path != best.attributes.as_path {
            continue;
        }
        if !used.contains(&next_hop(route)) {
            if used.len() >= usize::from(own.max_paths) {
                continue;
            }
            used.push(next_hop(route));
        }
        verdicts[route.at] = Reason::Multipath;
    }
}

/// The routes that are used or come after them, in the order in which they would be
/// used: the later a route is removed, the better it is.
pub(super) fn in_order(
    own: &SpeakerConfig,
    prefix: Prefix,
    routes: &[Route<'_>],
    verdicts: &[Reason],
) -> Vec<usize> {
    let removed_at = [
        Reason::Best,
        Reason::Multipath,
        Reason::HigherPathId,
        Reason::HigherPeerAddress,
        Reason::LongerClusterList,
        Reason::HigherRouterId,
        Reason::HigherIgpMetric,
        Reason::ExternalPreferred,
        Reason::HigherMed,
        Reason::HigherOrigin,
        Reason::LongerAsPath,
        Reason::LowerLocalPreference,
        Reason::LocalPreferred,
    ];
    let key = |at: usize| {
        let rung = removed_at.iter().position(|rung| *rung == verdicts[at])?;
        let Route { from, metric, id, sender, .. } = routes[at];
        let attributes = used(own, prefix, &routes[at]).ok()?;
        let internal = from.is_some_and(|from| from.asn == session_as(own, from.config));
        let route = Considered { at, from, internal, attributes, metric, id, sender };
        let before = (rung, from.is_some(), u32::MAX - route.preference(), route.path_length());
        let medium = (route.attributes.origin, route.attributes.med.unwrap_or(0), internal, metric);
        let clusters = route.attributes.cluster_list.len();
        Some((before, medium, (route.identifier(own.router_id), clusters, route.address(), id), at))
    };
    let mut order: Vec<_> = (0..routes.len()).filter_map(key).collect();
    order.sort();
    order.into_iter().map(|(.., at)| at).collect()
}
