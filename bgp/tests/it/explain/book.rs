//! What becomes of a path, written as the RFCs and the house's rules read: slow,
//! plain, and sharing nothing with the tables and the policy of the speaker.

use std::net::IpAddr;

use bgp::config::{Drain, NextHopMode, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, PathId, RouterId};
use bgp::prefix::{Family, Prefix};
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, Changes, Condition, RouteOrigin, Rule};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::community::Community;
use bgp::wire::role::Role;

/// A peer with which the session is Established.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbor<'a> {
    pub(crate) config: &'a PeerConfig,
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
}

/// A path of one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Route<'a> {
    /// Who sent it; `None` for an own origination.
    pub(crate) from: Option<Neighbor<'a>>,
    /// Where it comes from, as rules call it.
    pub(crate) origin: RouteOrigin,
    /// As it was received.
    pub(crate) received: PathAttributes,
    /// The metric of its next hop; `None` where that does not resolve.
    pub(crate) metric: Option<u32>,
    /// What its sender calls it (RFC 7911).
    pub(crate) id: Option<PathId>,
}

fn inside(outer: &str, prefix: Prefix) -> bool {
    outer.parse::<Prefix>().expect("a prefix").contains(prefix)
}

/// RFC 6890: "Forwardable" and "Destination" are false; RFC 4291 §2.4 for IPv6.
fn never_routed(prefix: Prefix) -> bool {
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"]
        .into_iter()
        .chain(["::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"])
        .any(|outer| inside(outer, prefix))
}

fn carries(attributes: &PathAttributes, community: AnyCommunity) -> bool {
    match community {
        AnyCommunity::Standard(one) => attributes.communities.contains(&one),
        AnyCommunity::Large(one) => attributes.large_communities.contains(&one),
    }
}

/// A rule speaks of a path if each of its fields is unset or met.
fn meets(when: &Condition, prefix: Prefix, origin: RouteOrigin, attributes: &PathAttributes) -> bool {
    let ranges = &when.prefixes;
    let in_range = ranges.iter().any(|range| {
        range.prefix.contains(prefix) && prefix.len() >= range.least && prefix.len() <= range.most
    });
    let tagged = when.communities.iter().any(|community| carries(attributes, *community));
    (ranges.is_empty() || in_range)
        && (when.communities.is_empty() || tagged)
        && (when.origin.is_none() || when.origin == Some(origin))
        && when.as_path.as_ref().is_none_or(|pattern| pattern.matches(&attributes.as_path))
}

fn prepend(path: &AsPath, asn: Asn, times: u8) -> AsPath {
    let mut segments = path.segments.clone();
    for _ in 0..times {
        // RFC 4271 §5.1.2 b 1 and 2: to the leftmost AS_SEQUENCE, or to a new one.
        match segments.first_mut() {
            Some(first) if first.kind == SegmentKind::Sequence => first.asns.insert(0, asn),
            _ => segments.insert(0, Segment { kind: SegmentKind::Sequence, asns: vec![asn] }),
        }
    }
    AsPath { segments }
}

fn change(set: &Changes, attributes: &mut PathAttributes, prepended: Option<Asn>) {
    if set.local_preference.is_some() {
        attributes.local_preference = set.local_preference;
    }
    if set.med.is_some() {
        attributes.med = set.med;
    }
    if let Some(asn) = prepended {
        attributes.as_path = prepend(&attributes.as_path, asn, set.prepend);
    }
    let mut communities = attributes.communities.to_vec();
    let mut large = attributes.large_communities.to_vec();
    communities.retain(|held| !set.remove.contains(&AnyCommunity::Standard(*held)));
    large.retain(|held| !set.remove.contains(&AnyCommunity::Large(*held)));
    for community in &set.add {
        match community {
            AnyCommunity::Standard(new) if !communities.contains(new) => communities.push(*new),
            AnyCommunity::Large(new) if !large.contains(new) => large.push(*new),
            _ => {}
        }
    }
    attributes.communities = communities.into();
    attributes.large_communities = large.into();
}

/// The first AS of a path that begins with a sequence.
fn leftmost(path: &AsPath) -> Option<Asn> {
    let first = path.segments.first()?;
    (first.kind == SegmentKind::Sequence).then(|| first.asns[0])
}

/// RFC 7705 §3.1: the AS of "My Autonomous System" in the OPEN of one session.
fn session_as(own: &SpeakerConfig, peer: &PeerConfig) -> Asn {
    peer.local_as.map_or(own.asn, |local| local.asn)
}

/// The attributes in use of a path that is let in, or why it is not.
pub(crate) fn import(
    own: &SpeakerConfig,
    from: Neighbor<'_>,
    prefix: Prefix,
    received: &PathAttributes,
) -> Result<PathAttributes, Reason> {
    let (peer, local) = (from.config, session_as(own, from.config));
    let external = from.asn != local;
    // RFC 4271 §9.1.2: "If the AS_PATH attribute of a BGP route contains an AS loop, the BGP
    // route should be excluded": "checking that the autonomous system number of the local
    // system does not appear in the AS path", or not more often than it may.
    let path: Vec<Asn> = received.as_path.segments.iter().flat_map(|segment| segment.asns.clone()).collect();
    // The AS that the peer knows this system by is its AS, too (RFC 7705 §3.1).
    let often = |own: Asn| path.iter().filter(|asn| **asn == own).count();
    if often(own.asn).max(often(local)) > usize::from(peer.as_path.allow_own) {
        return Err(Reason::AsLoop);
    }
    // §6.3: "whether the leftmost … AS in the AS_PATH attribute is equal to the autonomous
    // system number of the peer that sent the message".
    if external && !peer.as_path.any_first && leftmost(&received.as_path) != Some(from.asn) {
        return Err(Reason::FirstAs);
    }
    // RFC 4456 §8: "A router that recognizes the ORIGINATOR_ID attribute SHOULD ignore a route
    // received with its BGP Identifier as the ORIGINATOR_ID."
    if received.originator == Some(own.router_id) {
        return Err(Reason::OriginatorLoop);
    }
    // "If the local CLUSTER_ID is found in the CLUSTER_LIST, the advertisement received SHOULD
    // be ignored."; §7: it "MUST … be the same as the BGP Identifier" unless configured, and
    // belongs to route reflectors alone.
    let reflects = own.cluster_id.is_some() || own.peers.iter().any(|peer| peer.reflector_client);
    let cluster = own.cluster_id.unwrap_or(own.router_id);
    if reflects && received.cluster_list.contains(&cluster.0) {
        return Err(Reason::ClusterLoop);
    }
    // RFC 9234 §5: "1. If a route with the OTC Attribute is received from a Customer or an
    // RS-Client, then it is a route leak and MUST be considered ineligible. 2. If a route with
    // the OTC Attribute is received from a Peer (i.e., remote AS with a Peer Role) and the
    // Attribute has a value that is not equal to the remote (i.e., Peer's) AS number, then it
    // is a route leak and MUST be considered ineligible."
    let role = peer.role.filter(|_| external);
    if let (Some(role), Some(value)) = (role, received.only_to_customers)
        && (matches!(role, Role::Provider | Role::RouteServer) || (role == Role::Peer && value != from.asn))
    {
        return Err(Reason::RouteLeak);
    }
    // RFC 4271 §6.3: "syntactically correct … represents a valid IP host address", "MUST NOT be
    // the IP address of the receiving speaker".
    let next_hop = received.next_hop.address();
    let is_v4 = matches!(prefix, Prefix::V4(_));
    if next_hop.is_ipv4() != is_v4
        || never_routed(Prefix::host(next_hop))
        || own.protected.addresses.contains(&next_hop)
    {
        return Err(Reason::InvalidNextHop);
    }
    // The safe rules.
    if prefix.len() == 0 {
        if !peer.accept_default {
            return Err(Reason::DefaultRoute);
        }
    } else {
        if never_routed(prefix) {
            return Err(Reason::Martian);
        }
        if !own.transit {
            if own.protected.own.iter().any(|mine| mine.contains(prefix)) {
                return Err(Reason::OwnPrefix);
            }
            let host = Some(prefix.address()).filter(|_| prefix.len() == if is_v4 { 32 } else { 128 });
            let kept = |held: &IpAddr| Some(*held) == host;
            if own.protected.addresses.iter().any(kept) || own.protected.hosts.iter().any(kept) {
                return Err(Reason::ProtectedAddress);
            }
            if own.protected.connected.iter().any(|subnet| subnet.contains(prefix)) {
                return Err(Reason::ConnectedPrefix);
            }
        }
        if let Some(accept) = &peer.accept
            && !accept.iter().any(|outer| outer.contains(prefix))
        {
            return Err(Reason::NotAccepted);
        }
    }
    // First match wins.
    let met = peer.import.iter().find(|rule| meets(&rule.when, prefix, RouteOrigin::Learned, received));
    let mut used = received.clone();
    match met {
        Some(Rule { reject: true, .. }) => return Err(Reason::ImportRule),
        Some(Rule { set, .. }) => change(set, &mut used, path.first().copied()),
        None => {}
    }
    // RFC 7705 §3.1: the locally configured AS goes before what the peer sent, unless No Prepend Inbound.
    if peer.local_as.is_some_and(|local| !local.no_prepend) {
        used.as_path = prepend(&used.as_path, local, 1);
    }
    // RFC 8326 §4.1: "set LOCAL_PREF … to a low value", "The LOCAL_PREF value SHOULD be lower
    // than any of the alternative paths. … 0 being the lowest value".
    if external && carries(received, AnyCommunity::Standard(Community::GRACEFUL_SHUTDOWN)) {
        used.local_preference = Some(0);
    }
    // "3. If a route is received from a Provider, a Peer, or an RS and the OTC Attribute is not
    // present, then it MUST be added with a value equal to the AS number of the remote AS."
    if matches!(role, Some(Role::Customer | Role::Peer | Role::RouteServerClient)) {
        used.only_to_customers.get_or_insert(from.asn);
    }
    Ok(used)
}

/// A route that takes part in the decision.
#[derive(Clone, Debug)]
struct Considered<'a> {
    at: usize,
    from: Option<Neighbor<'a>>,
    internal: bool,
    attributes: PathAttributes,
    metric: Option<u32>,
    id: Option<PathId>,
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
        let attributes = match route.from {
            Some(from) => import(own, from, prefix, &route.received),
            None => Ok(route.received.clone()),
        };
        match attributes {
            Err(reason) => verdicts[at] = reason,
            Ok(attributes) => {
                let internal = route.from.is_some_and(|from| from.asn == session_as(own, from.config));
                let Route { from, metric, id, .. } = *route;
                left.push(Considered { at, from, internal, attributes, metric, id });
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

/// A path as a peer outside is to see it: without private ASes, with our AS in the place of its own.
fn outward(path: &AsPath, own: Asn, to: Neighbor<'_>) -> AsPath {
    let policy = to.config.as_path;
    let mut segments = Vec::new();
    for segment in &path.segments {
        let mut asns = segment.asns.clone();
        if policy.remove_private {
            // RFC 6996 §5; the peer's own shows it a loop.
            let private = |asn: Asn| {
                (64_512..=65_534).contains(&asn.0) || (4_200_000_000..4_294_967_295).contains(&asn.0)
            };
            asns.retain(|asn| *asn == to.asn || !private(*asn));
        }
        if policy.override_peer {
            asns.iter_mut().filter(|asn| **asn == to.asn).for_each(|asn| *asn = own);
        }
        if !asns.is_empty() {
            segments.push(Segment { kind: segment.kind, asns });
        }
    }
    AsPath { segments }
}

/// The routes that are used or come after them, in the order in which they would be
/// used: the later a route is removed, the better it is.
fn in_order(own: &SpeakerConfig, prefix: Prefix, routes: &[Route<'_>], verdicts: &[Reason]) -> Vec<usize> {
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
        let Route { from, metric, id, .. } = routes[at];
        let attributes = match from {
            Some(from) => import(own, from, prefix, &routes[at].received).ok()?,
            None => routes[at].received.clone(),
        };
        let internal = from.is_some_and(|from| from.asn == session_as(own, from.config));
        let route = Considered { at, from, internal, attributes, metric, id };
        let before = (rung, from.is_some(), u32::MAX - route.preference(), route.path_length());
        let medium = (route.attributes.origin, route.attributes.med.unwrap_or(0), internal, metric);
        let clusters = route.attributes.cluster_list.len();
        Some((before, medium, (route.identifier(own.router_id), clusters, route.address(), id), at))
    };
    let mut order: Vec<_> = (0..routes.len()).filter_map(key).collect();
    order.sort();
    order.into_iter().map(|(.., at)| at).collect()
}

/// What is sent of a prefix to a peer: the best route, or, where so many were
/// negotiated, the best ones (RFC 7911); or why nothing is.
pub(crate) fn sent(
    own: &SpeakerConfig,
    to: Neighbor<'_>,
    prefix: Prefix,
    routes: &[Route<'_>],
    several: Option<u8>,
) -> Result<Vec<PathAttributes>, Reason> {
    let verdicts = decide(own, prefix, routes);
    let best = verdicts.iter().position(|verdict| *verdict == Reason::Best).map(|best| &routes[best]);
    let Some(most) = several else { return export(own, to, prefix, best).map(|sent| vec![sent]) };
    let is_own = |route: &Route<'_>| route.from.is_some_and(|from| from.config.address == to.config.address);
    let mut sent = Vec::new();
    let usable = in_order(own, prefix, routes, &verdicts).into_iter().filter(|&at| {
        // The house's rule: a route that is not used is not told of with an own next hop.
        let is_used = matches!(verdicts[at], Reason::Best | Reason::Multipath);
        let is_kept = match to.config.next_hop {
            NextHopMode::Auto => to.asn == session_as(own, to.config),
            NextHopMode::Own => reflects(own, to, &routes[at]),
            NextHopMode::Unchanged => true,
        };
        (is_used || (is_kept && routes[at].from.is_some())) && exported(own, to, prefix, &routes[at]).is_ok()
    });
    for at in usable.take(most.into()).filter(|&at| !is_own(&routes[at])) {
        sent.push(exported(own, to, prefix, &routes[at])?);
    }
    if sent.is_empty() { export(own, to, prefix, best).map(|_| Vec::new()) } else { Ok(sent) }
}

/// What is sent of the best route to a peer, or why nothing is.
pub(crate) fn export(
    own: &SpeakerConfig,
    to: Neighbor<'_>,
    prefix: Prefix,
    best: Option<&Route<'_>>,
) -> Result<PathAttributes, Reason> {
    let route = best.ok_or(Reason::NothingSelected)?;
    if route.from.is_some_and(|from| from.config.address == to.config.address) {
        return Err(Reason::LearnedFromPeer);
    }
    exported(own, to, prefix, route)
}

/// RFC 4456 §6: "A route from a Non-Client IBGP peer: Reflect to all the Clients. A route from a
/// Client peer: Reflect to all the Non-Client peers and also to the Client peers."
fn reflects(own: &SpeakerConfig, to: Neighbor<'_>, route: &Route<'_>) -> bool {
    let internal = |with: Neighbor<'_>| with.asn == session_as(own, with.config);
    let Some(from) = route.from.filter(|from| internal(*from) && internal(to)) else { return false };
    from.config.reflector_client || to.config.reflector_client
}

/// What a route looks like to a peer that did not send it, or why it is not sent.
fn exported(
    own: &SpeakerConfig,
    to: Neighbor<'_>,
    prefix: Prefix,
    route: &Route<'_>,
) -> Result<PathAttributes, Reason> {
    let learned = route.from.is_some();
    let local = session_as(own, to.config);
    let is_internal = |from: Neighbor<'_>| from.asn == session_as(own, from.config);
    let (external, internal) = (to.asn != local, route.from.is_some_and(is_internal));
    let mut sent = match route.from {
        Some(from) => import(own, from, prefix, &route.received)?,
        None => route.received.clone(),
    };
    let reflected = reflects(own, to, route);
    if learned && !own.transit && !reflected {
        return Err(Reason::NotTransit);
    }
    // RFC 4271 §9.2: "When a BGP speaker receives an UPDATE message from an internal peer, the receiving
    // BGP speaker SHALL NOT re-distribute the routing information … to other internal peers".
    if internal && !external && !reflected {
        return Err(Reason::IbgpSplitHorizon);
    }
    let tagged = |community| learned && carries(&sent, AnyCommunity::Standard(community));
    // RFC 1997: "MUST NOT be advertised to other BGP peers"; "… outside a BGP confederation
    // boundary"; "… to external BGP peers (this includes peers in other members autonomous
    // systems inside a BGP confederation)".
    if tagged(Community::NO_ADVERTISE) {
        return Err(Reason::NoAdvertise);
    }
    // RFC 7999 §3.2: "SHOULD add the NO_ADVERTISE or NO_EXPORT community", done for the sender.
    // RFC 3765 §3: "not to be re-advertised … across bilateral peer connections".
    if external {
        for (community, reason) in [
            (Community::NO_EXPORT, Reason::NoExport),
            (Community::NO_EXPORT_SUBCONFED, Reason::NoExportSubconfed),
            (Community::BLACKHOLE, Reason::Blackhole),
            (Community::NO_PEER, Reason::NoPeer),
        ] {
            if tagged(community) {
                return Err(reason);
            }
        }
    }
    // RFC 9234 §5: "2. If a route already contains the OTC Attribute, it MUST NOT be propagated to
    // Providers, Peers, or RSes."
    let role = to.config.role.filter(|_| external);
    let upwards = matches!(role, Some(Role::Customer | Role::Peer | Role::RouteServerClient));
    if upwards && sent.only_to_customers.is_some() {
        return Err(Reason::OnlyToCustomers);
    }
    // The house's rule: a node that is drained of its pods does not send their prefixes.
    if own.drain == Drain::Withheld && route.origin == RouteOrigin::PodCidr {
        return Err(Reason::Drained);
    }
    let met = to.config.export.iter().find(|rule| meets(&rule.when, prefix, route.origin, &sent));
    if met.is_some_and(|rule| rule.reject) {
        return Err(Reason::ExportRule);
    }
    // §5.1.3: an own address towards an external peer and for what is originated; as received
    // towards an internal one, "unless it has been explicitly configured".
    let unchanged = match to.config.next_hop {
        NextHopMode::Auto => !external,
        // RFC 4456 §10: a reflected route's NEXT_HOP is not to be modified.
        NextHopMode::Own => reflected,
        NextHopMode::Unchanged => true,
    };
    sent.next_hop = if learned && unchanged {
        match sent.next_hop {
            NextHops::V6 { global, .. } => NextHops::V6 { global, link_local: None },
            v4 @ NextHops::V4(_) => v4,
        }
    } else {
        let of = to.config.own_next_hop;
        let address = match prefix.family() {
            Family::Ipv4 => of.ipv4.map(NextHops::V4),
            Family::Ipv6 => of.ipv6.map(|global| NextHops::V6 { global, link_local: None }),
        };
        address.ok_or(Reason::NoNextHop)?
    };
    if external {
        // §5.1.2 b: "the local system … prepends its own AS number"; §5.1.4: "The MULTI_EXIT_DISC
        // attribute received from a neighboring AS MUST NOT be propagated to other neighboring
        // ASes"; RFC 4456 §8: both attributes are non-transitive.
        // RFC 7705 §3.2: the globally configured AS stays behind the local one, unless Replace Old AS.
        sent.as_path = outward(&sent.as_path, local, to);
        if to.config.local_as.is_some_and(|local| !local.replace) {
            sent.as_path = prepend(&sent.as_path, own.asn, 1);
        }
        sent.as_path = prepend(&sent.as_path, local, 1);
        sent.med = sent.med.filter(|_| !learned);
        sent.originator = None;
        sent.cluster_list = Box::default();
        // RFC 9234 §5: "1. If a route is to be advertised to a Customer, a Peer, or an RS-Client (when
        // the sender is an RS), and the OTC Attribute is not present, then when advertising the
        // route, an OTC Attribute MUST be added with a value equal to the AS number of the local AS."
        if matches!(role, Some(Role::Provider | Role::Peer | Role::RouteServer)) {
            sent.only_to_customers.get_or_insert(local);
        }
        // RFC 4360 §6, RFC 5701 §2: the T bit: "the community is non-transitive across ASes".
        if learned {
            let held = sent.extended_communities.iter().copied();
            sent.extended_communities = held.filter(|held| held.0[0] & 0x40 == 0).collect();
            let held = sent.ipv6_extended_communities.iter().copied();
            sent.ipv6_extended_communities = held.filter(|held| held.0[0] & 0x40 == 0).collect();
        }
    } else {
        // §5.1.5: LOCAL_PREF "SHALL be included in all UPDATE messages … to other internal peers".
        sent.local_preference = Some(sent.local_preference.unwrap_or(100));
    }
    // RFC 4456 §8: "This attribute is 4 bytes long and it will be created by an RR in reflecting a
    // route. This attribute will carry the BGP Identifier of the originator of the route in the
    // local AS. A BGP speaker SHOULD NOT create an ORIGINATOR_ID attribute if one already exists."
    // "When an RR reflects a route, it MUST prepend the local CLUSTER_ID to the CLUSTER_LIST."
    if reflected && let Some(from) = route.from {
        sent.originator.get_or_insert(from.router_id);
        let cluster = own.cluster_id.unwrap_or(own.router_id).0;
        sent.cluster_list = [&[cluster], &*sent.cluster_list].concat().into();
    }
    if let Some(rule) = met {
        change(&rule.set, &mut sent, Some(local).filter(|_| external));
    }
    // RFC 8326 §4: "GRACEFUL_SHUTDOWN … on the paths being advertised", "LOCAL_PREF … 0".
    if own.drain != Drain::No {
        if !carries(&sent, AnyCommunity::Standard(Community::GRACEFUL_SHUTDOWN)) {
            let held = sent.communities.iter().copied();
            sent.communities = held.chain([Community::GRACEFUL_SHUTDOWN]).collect();
        }
        sent.local_preference = Some(0);
    }
    if external {
        // §5.1.5: "MUST NOT include this attribute in UPDATE messages … to external peers".
        sent.local_preference = None;
    }
    Ok(sent)
}
