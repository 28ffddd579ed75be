//! What a peer is sent.

use bgp::config::{Drain, NextHopMode, SpeakerConfig};
use bgp::id::Asn;
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, RouteOrigin};
use bgp::wire::as_path::{AsPath, Segment};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::codec::Codec;
use bgp::wire::community::Community;
use bgp::wire::encode;
use bgp::wire::role::Role;

use super::decision::{decide, in_order};
use super::import::used;
use super::path::{Kernel, Neighbor, Route};
use super::reading::{carries, change, meets, prepend, session_as};

/// ASes have four octets, and prefixes stand alone.
const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: true,
    zone: None,
};

/// What is sent of a prefix to a peer: the best route, or, where so many were
/// negotiated, the best ones (RFC 7911); or why nothing is.
pub(crate) fn sent(
    own: &SpeakerConfig,
    to: Neighbor<'_>,
    prefix: Prefix,
    routes: &[Route<'_>],
    several: Option<u8>,
    kernel: Kernel,
) -> Result<Vec<PathAttributes>, Reason> {
    let verdicts = decide(own, prefix, routes);
    let best = verdicts.iter().position(|verdict| *verdict == Reason::Best).map(|best| &routes[best]);
    let alone = export(own, to, prefix, best);
    // The house's rules: what passes by this node is told of once the kernel has it, and a
    // limit of zero leaves no room.
    let awaits = best.is_some_and(|best| best.from.is_some() && !reflects(own, to, best));
    let waits_for = match kernel {
        Kernel::IsSilent if awaits => Some(Reason::AwaitingKernel),
        Kernel::Refuses if awaits => Some(Reason::KernelRejected),
        _ => (to.config.send_limit == Some(0)).then_some(Reason::SendLimit),
    };
    if let Some(reason) = waits_for {
        return Err(alone.err().unwrap_or(reason));
    }
    let Some(most) = several else { return alone.map(|sent| vec![sent]) };
    let is_own = |route: &Route<'_>| route.from.is_some_and(|from| from.config.address == to.config.address);
    let mut sent = Vec::new();
    let usable = in_order(own, prefix, routes, &verdicts).into_iter().filter(|&at| {
        // The house's rule: a route that is not used is not told of with an own next hop.
        let is_used = matches!(verdicts[at], Reason::Best | Reason::Multipath);
        let is_kept = match to.config.next_hop {
            NextHopMode::Auto => {
                let stays = elsewhere(to, prefix, routes[at].received.next_hop).is_some();
                to.asn == session_as(own, to.config) && (stays || reflects(own, to, &routes[at]))
            }
            NextHopMode::Own => reflects(own, to, &routes[at]),
            NextHopMode::Unchanged => true,
        };
        (is_used || (is_kept && routes[at].from.is_some())) && exported(own, to, prefix, &routes[at]).is_ok()
    });
    for at in usable.take(most.into()).filter(|&at| !is_own(&routes[at])) {
        sent.push(exported(own, to, prefix, &routes[at])?);
    }
    if sent.is_empty() { alone.map(|_| Vec::new()) } else { Ok(sent) }
}

/// What is sent of the best route to a peer, or why nothing is.
fn export(
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

/// RFC 8950 §4: an IPv6 next hop of IPv4 goes to a peer only after "ascertain[ing] via BGP Capabilities
/// Advertisement" that it supports it.
fn understood(to: Neighbor<'_>, prefix: Prefix, next_hop: NextHops) -> bool {
    prefix.family() == Family::Ipv6 || next_hop.address().is_ipv4() || to.extended_next_hop
}

/// The next hop as it may stay: RFC 2545 §3 has a link-local address only on "the subnet" that the peers share.
fn elsewhere(to: Neighbor<'_>, prefix: Prefix, next_hop: NextHops) -> Option<NextHops> {
    let stays = match next_hop {
        NextHops::V6 { global, .. } if global.segments()[0] & 0xffc0 == 0xfe80 => None,
        NextHops::V6 { global, .. } => Some(NextHops::V6 { global, link_local: None }),
        v4 @ NextHops::V4(_) => Some(v4),
    };
    stays.filter(|stays| understood(to, prefix, *stays))
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
    let mut sent = used(own, prefix, route)?;
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
    // RFC 9494 §4.3: "The route SHOULD NOT be advertised to any neighbor from which the Long-Lived
    // Graceful Restart Capability has not been received."
    if tagged(Community::LLGR_STALE) && !to.takes_long_lived {
        return Err(Reason::LongLivedNotOffered);
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
    // The house's rule: a node that is drained of its pods, or of its Services, does not send their prefixes.
    if matches!(
        (own.drain, route.origin),
        (Drain::Shunned { pods: true, .. }, RouteOrigin::PodCidr)
            | (Drain::Shunned { services: true, .. }, RouteOrigin::Service)
    ) {
        return Err(Reason::Drained);
    }
    let met = to.config.export.iter().find(|rule| meets(&rule.when, prefix, route.origin, &sent));
    if met.is_some_and(|rule| rule.reject) {
        return Err(Reason::ExportRule);
    }
    let elsewhere = elsewhere(to, prefix, sent.next_hop);
    // §5.1.3: an own address towards an external peer and for what is originated; as received
    // towards an internal one, "unless it has been explicitly configured".
    let unchanged = match to.config.next_hop {
        NextHopMode::Auto => !external && (reflected || elsewhere.is_some()),
        // RFC 4456 §10: a reflected route's NEXT_HOP is not to be modified.
        NextHopMode::Own => reflected,
        NextHopMode::Unchanged => true,
    };
    sent.next_hop = if learned && unchanged {
        elsewhere.ok_or(Reason::NoNextHop)?
    } else {
        let of = to.config.own_next_hop;
        let ipv6 = of.ipv6.map(|global| NextHops::V6 { global, link_local: None });
        let is_v4 = prefix.family() == Family::Ipv4;
        let address = if is_v4 { of.ipv4.map(NextHops::V4).or(ipv6) } else { ipv6 };
        address.filter(|own| understood(to, prefix, *own)).ok_or(Reason::NoNextHop)?
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
    // RFC 4271 §4.1: "The maximum message size is 4096 octets." The prefix, the lengths and the
    // header have to go with them. What is nearly as long is not drawn: the speaker reckons by
    // the most that its rules add.
    let mut octets = Vec::new();
    encode::attributes(&sent, &CODEC, prefix.family(), &mut octets);
    if octets.len() + 19 + 4 + 17 > 4_096 { Err(Reason::TooLong) } else { Ok(sent) }
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
