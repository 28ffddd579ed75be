//! Export: whether a path is sent to a peer, and with which attributes.

use crate::config::{Drain, NextHopMode, OwnNextHop};
use crate::id::{Asn, RouterId};
use crate::policy::source::{DEFAULT_LOCAL_PREFERENCE, SourceKind};
use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::rule::{RouteOrigin, Rule, Rules, Subject};
use crate::view::Refusal;
use crate::wire::as_path::AsPath;
use crate::wire::attribute::{NextHops, PathAttributes};
use crate::wire::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity};
use crate::wire::pack::Longest;
use crate::wire::role::Role;

/// Octets that a header, an MP_REACH_NLRI with both next hops and a prefix take, and more.
const AROUND_ATTRIBUTES: usize = 128;

/// No fewer octets than the attributes take on the wire, to a peer of either
/// AS width (RFC 6793 §4.2.2: AS4_PATH goes beside AS_PATH).
fn most_octets(attributes: &PathAttributes) -> usize {
    let segment = |asns: usize| 2 * 2 + asns * (2 + 4);
    let path: usize = attributes.as_path.segments.iter().map(|s| segment(s.asns.len() + 1)).sum();
    let unknown: usize = attributes.unknown.iter().map(|unknown| 4 + unknown.value.len()).sum();
    path + unknown
        + 4 * attributes.communities.len()
        + 8 * attributes.extended_communities.len()
        + 20 * attributes.ipv6_extended_communities.len()
        + 12 * attributes.large_communities.len()
        + 4 * attributes.cluster_list.len()
        // Headers of all known attributes, and the values of those of fixed length.
        + 128
}

/// Leaves the values that hold.
fn retain<T: Copy>(values: &mut Box<[T]>, holds: impl Fn(T) -> bool) {
    if !values.iter().copied().all(&holds) {
        *values = values.iter().copied().filter(|value| holds(*value)).collect();
    }
}

/// Asks for every other path to be preferred, whatever rules have set (RFC 8326 §4).
fn shun(sent: &mut PathAttributes) {
    if !sent.communities.contains(&Community::GRACEFUL_SHUTDOWN) {
        let communities = sent.communities.iter().copied().chain([Community::GRACEFUL_SHUTDOWN]);
        sent.communities = communities.collect();
    }
    // RFC 8326 §4.1: inside the AS the lowest LOCAL_PREF says the same.
    sent.local_preference = Some(0);
}

/// A path that may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Its prefix.
    pub prefix: Prefix,
    /// The kind of its source.
    pub kind: SourceKind,
    /// Where it comes from, as rules tell.
    pub origin: RouteOrigin,
    /// Whether a client of this route reflector sent it (RFC 4456 §5).
    pub client: bool,
    /// The BGP Identifier of the peer that sent it, or the own one.
    pub router_id: RouterId,
    /// Its attributes, as import left them.
    pub attributes: &'a PathAttributes,
}

impl<'a> Outgoing<'a> {
    const fn family(&self) -> Family {
        self.prefix.family()
    }

    const fn subject(&self) -> Subject<'a> {
        Subject { prefix: self.prefix, origin: self.origin, attributes: self.attributes }
    }
}

/// All that export asks of a peer: peers with equal rules get equal attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The AS that the peer knows the speaker by.
    pub asn: Asn,
    /// The speaker's own AS where the peer knows it by another one and is shown both (RFC 7705 §3.2).
    pub behind: Option<Asn>,
    /// Whether the peer is external.
    pub external: bool,
    /// Whether learned paths are sent on.
    pub transit: bool,
    /// Whether the peer is a client of this route reflector (RFC 4456 §5).
    pub client: bool,
    /// What stands for this speaker in a CLUSTER_LIST (RFC 4456 §7).
    pub cluster: RouterId,
    /// Our role towards the peer, which is external (RFC 9234 §4).
    pub role: Option<Role>,
    /// How the next hop is chosen.
    pub next_hop: NextHopMode,
    /// The own addresses to name.
    pub own_next_hop: OwnNextHop,
    /// Whether the peer takes IPv6 next hops of IPv4 prefixes (RFC 8950 §4).
    pub extended_next_hop: bool,
    /// Whether the peer is, or may be, one of equals rather than a customer or a provider (RFC 3765 §2).
    pub bilateral: bool,
    /// The peer's AS where ours goes in its place.
    pub override_peer: Option<Asn>,
    /// The peer's AS where ASes for private use are left out, this one excepted: it
    /// shows the peer a loop.
    pub remove_private: Option<Asn>,
    /// Whether the peer takes paths that are kept for long (RFC 9494 §4.3).
    pub takes_long_lived: bool,
    /// How long the messages may be.
    pub longest: Longest,
    /// The export rules.
    pub rules: Rules,
    /// How far the speaker is taken out of service.
    pub drain: Drain,
}

impl Export {
    /// The place of the export rule that the path meets, `None` where no rule
    /// speaks of it.
    ///
    /// # Errors
    /// Why the path is not sent.
    pub fn judge(&self, path: &Outgoing<'_>) -> Result<Option<usize>, Reason> {
        let Outgoing { kind, attributes, .. } = *path;
        if !self.reflects(path) {
            if kind != SourceKind::Local && !self.transit {
                return Err(Reason::NotTransit);
            }
            // RFC 4271 §9.2: what an internal peer sent is not sent to another one.
            if kind == SourceKind::Internal && !self.external {
                return Err(Reason::IbgpSplitHorizon);
            }
        }
        if let Some(reason) = self.judge_communities(kind, &attributes.communities) {
            return Err(reason);
        }
        // RFC 9234 §5, out 2: to customers and clients of a route server alone.
        if attributes.only_to_customers.is_some() && self.role.is_some_and(|role| !role.is_above()) {
            return Err(Reason::OnlyToCustomers);
        }
        if self.drain.withholds(path.origin) {
            return Err(Reason::Drained);
        }
        let met = if self.rules.is_empty() { None } else { self.rules.first(&path.subject()) };
        if met.is_some_and(|(_, rule)| rule.reject) {
            return Err(Reason::ExportRule);
        }
        if self.choose_next_hop(path).is_none() {
            return Err(Reason::NoNextHop);
        }
        let drained = if self.drain == Drain::No { 0 } else { size_of::<Community>() };
        let added = drained + met.map_or(0, |(_, rule)| rule.set.most_octets());
        if most_octets(attributes) + added + AROUND_ATTRIBUTES > self.longest.octets() {
            return Err(Reason::TooLong);
        }
        Ok(met.map(|(at, _)| at))
    }

    /// Whether the path goes to the peer by reflection (RFC 4456 §6): what a client
    /// sent goes to every internal peer, what another internal peer sent to clients.
    /// Its next hop stays, so that the peer's packets need not come here, and the own
    /// kernel need not hold the route first.
    #[must_use]
    pub const fn reflects(&self, path: &Outgoing<'_>) -> bool {
        matches!(path.kind, SourceKind::Internal) && !self.external && (path.client || self.client)
    }

    /// What the well-known communities of a path that was received forbid. On an own
    /// path they speak to those who receive it.
    fn judge_communities(&self, kind: SourceKind, communities: &[Community]) -> Option<Reason> {
        if kind == SourceKind::Local || communities.is_empty() {
            return None;
        }
        let carries = |community| communities.contains(&community);
        if carries(Community::NO_ADVERTISE) {
            return Some(Reason::NoAdvertise);
        }
        // RFC 9494 §4.3. Of the way out of §4.6, with NO_EXPORT and LOCAL_PREF 0, no use is made.
        if carries(Community::LLGR_STALE) && !self.takes_long_lived {
            return Some(Reason::LongLivedNotOffered);
        }
        if !self.external {
            return None;
        }
        // RFC 1997: outside of confederations the first two say the same.
        [
            (Community::NO_EXPORT, Reason::NoExport),
            (Community::NO_EXPORT_SUBCONFED, Reason::NoExportSubconfed),
            // RFC 7999 §3.2: not beyond the AS that was asked to discard.
            (Community::BLACKHOLE, Reason::Blackhole),
            // RFC 3765 §3.
            (Community::NO_PEER, Reason::NoPeer),
        ]
        .into_iter()
        .find(|&(community, reason)| carries(community) && (self.bilateral || reason != Reason::NoPeer))
        .map(|(_, reason)| reason)
    }

    /// The AS_PATH that an external peer is sent.
    fn external_path(&self, mut path: AsPath) -> AsPath {
        if let Some(peer) = self.remove_private {
            path = path.without_private(peer);
        }
        if let Some(peer) = self.override_peer {
            path = path.replaced(peer, self.asn);
        }
        if let Some(own) = self.behind {
            path = path.with(own, 1);
        }
        // RFC 4271 §5.1.2 b.
        path.with(self.asn, 1)
    }

    /// The attributes as they are sent (RFC 4271 §5.1).
    ///
    /// # Errors
    /// The reason why the path is not sent, as [`Export::judge`] says.
    pub fn apply(&self, path: &Outgoing<'_>) -> Result<PathAttributes, Reason> {
        let rule = self.judge(path)?;
        let Outgoing { kind, attributes, .. } = *path;
        let mut sent = attributes.clone();
        sent.next_hop = self.choose_next_hop(path).ok_or(Reason::NoNextHop)?;
        if self.external {
            sent.as_path = self.external_path(sent.as_path);
            // RFC 4271 §5.1.4: a MED that was received is not sent to other ASes.
            if kind != SourceKind::Local {
                sent.med = None;
            }
            // RFC 4360 §6, RFC 5701 §2.
            if kind != SourceKind::Local {
                retain(&mut sent.extended_communities, ExtendedCommunity::is_transitive);
                retain(&mut sent.ipv6_extended_communities, Ipv6ExtendedCommunity::is_transitive);
            }
            // RFC 9234 §5, out 1: from here on it goes down.
            if matches!(self.role, Some(Role::Provider | Role::Peer | Role::RouteServer)) {
                sent.only_to_customers = sent.only_to_customers.or(Some(self.asn));
            }
            // RFC 4456 §8: both are non-transitive.
            sent.originator = None;
            sent.cluster_list = Box::default();
        } else {
            sent.local_preference = sent.local_preference.or(Some(DEFAULT_LOCAL_PREFERENCE));
            if self.reflects(path) {
                self.mark_reflected(&mut sent, path.router_id);
            }
        }
        if let Some(Rule { set, .. }) = rule.and_then(|at| self.rules.get(at)) {
            // Inside the AS the own one would make the path a loop.
            set.apply(&mut sent, self.external.then_some(self.asn));
        }
        if self.drain != Drain::No {
            shun(&mut sent);
        }
        if self.external {
            // RFC 4271 §5.1.5: LOCAL_PREF stays inside the AS.
            sent.local_preference = None;
        }
        Ok(sent)
    }

    /// RFC 4456 §8: ORIGINATOR_ID names who brought the path into the AS, once;
    /// each reflector puts its CLUSTER_ID before CLUSTER_LIST.
    fn mark_reflected(&self, sent: &mut PathAttributes, from: RouterId) {
        sent.originator = sent.originator.or(Some(from));
        let clusters = core::iter::once(self.cluster.0).chain(sent.cluster_list.iter().copied());
        sent.cluster_list = clusters.collect();
    }

    /// Whether the next hop that came with the path stays.
    #[must_use]
    pub fn keeps_next_hop(&self, path: &Outgoing<'_>) -> bool {
        let keeps = match self.next_hop {
            // One that would say nothing to the peer is not kept where another one may go in its place.
            NextHopMode::Auto => !self.external && (self.reflects(path) || self.passed_on(path).is_some()),
            // RFC 4456 §10: another NEXT_HOP than the one received may make loops.
            NextHopMode::Own => self.reflects(path),
            NextHopMode::Unchanged => true,
        };
        keeps && path.kind != SourceKind::Local
    }

    /// The next hop to name: ours, or the one that came with the path.
    fn choose_next_hop(&self, path: &Outgoing<'_>) -> Option<NextHops> {
        if self.keeps_next_hop(path) {
            return self.passed_on(path);
        }
        let OwnNextHop { ipv4, ipv6 } = self.own_next_hop;
        let ipv4 = ipv4.map(NextHops::V4).filter(|_| path.family() == Family::Ipv4);
        let ipv6 = ipv6.map(|global| NextHops::V6 { global, link_local: None });
        ipv4.or(ipv6).filter(|own| self.is_taken(path.family(), *own))
    }

    /// The next hop that came with the path as far as the peer takes it: a link-local
    /// address names a router on a link that the peer need not share (RFC 2545 §3).
    fn passed_on(&self, path: &Outgoing<'_>) -> Option<NextHops> {
        path.attributes.next_hop.off_link().filter(|kept| self.is_taken(path.family(), *kept))
    }

    /// RFC 8950 §4: IPv6 next hops of IPv4 prefixes go to those who said that they take them.
    const fn is_taken(&self, family: Family, next_hop: NextHops) -> bool {
        matches!(next_hop, NextHops::V4(_)) || matches!(family, Family::Ipv6) || self.extended_next_hop
    }

    /// Which next hop is missing.
    fn no_next_hop(&self, path: &Outgoing<'_>) -> String {
        let family = path.family();
        match path.attributes.next_hop {
            kept @ NextHops::V6 { .. } if self.keeps_next_hop(path) && kept.off_link().is_none() => {
                "the next hop is link-local, which says nothing on another link".to_owned()
            }
            NextHops::V6 { .. } if self.keeps_next_hop(path) && family == Family::Ipv4 => {
                "the peer does not take IPv6 next hops of IPv4 prefixes (RFC 8950)".to_owned()
            }
            _ if family == Family::Ipv4 && self.own_next_hop.ipv6.is_some() => {
                format!("no own {family} address to name as next hop, and RFC 8950 is not negotiated")
            }
            _ => format!("no own {family} address to name as next hop"),
        }
    }

    /// A refusal with its particulars.
    #[must_use]
    pub fn refusal(&self, reason: Reason, path: &Outgoing<'_>) -> Refusal {
        let detail = match reason {
            Reason::NoNextHop => self.no_next_hop(path),
            Reason::Drained if path.origin == RouteOrigin::PodCidr => {
                "the node is drained of its pods".to_owned()
            }
            Reason::Drained => "the node is drained, and has waited for peers to go elsewhere".to_owned(),
            Reason::ExportRule => match self.rules.first(&path.subject()) {
                Some((at, rule)) => {
                    format!("export rule {}: {}", at + 1, rule.when.describe(&path.subject()))
                }
                None => reason.says().to_owned(),
            },
            _ => reason.says().to_owned(),
        };
        Refusal { reason, detail: reason.cited(detail) }
    }
}
