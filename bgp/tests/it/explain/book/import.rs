//! What is made of a path that is received.

use std::net::IpAddr;

use bgp::config::SpeakerConfig;
use bgp::id::Asn;
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, RouteOrigin, Rule};
use bgp::wire::attribute::PathAttributes;
use bgp::wire::community::Community;
use bgp::wire::role::Role;

use super::path::{Neighbor, Route, Sender};
use super::reading::{carries, change, leftmost, meets, never_routed, prepend, session_as};

/// The attributes in use of a path, or why it is not let in; an own one's are its own.
pub(crate) fn used(own: &SpeakerConfig, prefix: Prefix, route: &Route<'_>) -> Result<PathAttributes, Reason> {
    let Some(from) = route.from else { return Ok(route.received.clone()) };
    let mut used = import(own, from, prefix, &route.received)?;
    // RFC 9494 §4.2: "The helper router MUST attach the LLGR_STALE community to the stale routes being retained."
    if route.sender == Sender::LongAway && !carries(&used, AnyCommunity::Standard(Community::LLGR_STALE)) {
        used.communities = used.communities.iter().copied().chain([Community::LLGR_STALE]).collect();
    }
    Ok(used)
}

/// The attributes in use of a path that is let in, or why it is not.
fn import(
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
    // RFC 8950 §4: an IPv6 next hop of IPv4 is another matter than an IPv4 one of IPv6.
    if (next_hop.is_ipv4() && !is_v4)
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
