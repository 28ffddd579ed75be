//! One peer, as a FabricPeer or the mesh makes it of an address or of another Node.

use std::net::IpAddr;

use api::crd::FabricPeerSpec;
use api::crd::peer::NextHop;
use api::crd::target::Family as PeerFamily;
use api::crd::timers::Bfd;
use api::crd::value::{PeerAsn, Span};
use bgp::config::{AddPath, AsPathPolicy, LocalAs, NextHopMode, PeerAs, PeerConfig};
use bgp::id::Asn;
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::time::Duration;
use bgp::wire::role::Role;

use super::address;
use super::limits;
use super::merge::{self, Merged};
use super::reach;
use super::scalar;
use super::site::Site;
use crate::bfd::{Distance, Watched};
use crate::cluster::object::{NodeFacts, Problem};
use crate::transport::Hops;

/// The port of BGP (RFC 4271 §8).
const PORT: u16 = 179;

/// What BFD is where a FabricPeer wants it and says no more.
const BFD_INTERVAL: Duration = Duration::from_millis(300);
const BFD_MULTIPLIER: u8 = 3;

/// What a FabricPeer describes: a peer, or, with a prefix, whoever connects from there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) prefix: Option<Prefix>,
    pub(super) config: PeerConfig,
    pub(super) hops: Hops,
    /// How BFD looks after the way to it.
    pub(super) bfd: Option<Watched>,
}

/// A peer as a FabricPeer describes it. `remote` peers may be reached by the
/// default route where they are not on-link.
pub(super) fn described(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    address: IpAddr,
    remote: bool,
    spec: &FabricPeerSpec,
) -> Target {
    let base = base(site, merged, name, address);
    let reach = reach::reach(site, merged.asn, address, remote, spec);
    let has = |family| spec.families.as_ref().is_none_or(|families| families.contains(&family));
    let config = PeerConfig {
        port: spec.port.unwrap_or(PORT),
        source: reach.source,
        obstacle: reach.obstacle,
        disabled: spec.disabled,
        asn: match spec.asn {
            PeerAsn::Number(asn) => PeerAs::Exactly(Asn(asn)),
            PeerAsn::External => PeerAs::External,
            PeerAsn::Internal => PeerAs::Internal,
            PeerAsn::Any => PeerAs::Any,
        },
        families: PerFamily { ipv4: has(PeerFamily::IPv4), ipv6: has(PeerFamily::IPv6) },
        timers: merge::timers(spec.timers.as_ref(), &merged.timers),
        restart: merge::restart(spec.graceful_restart.as_ref(), &merged.restart),
        add_path: spec.add_path.as_ref().map_or_else(AddPath::default, |wanted| AddPath {
            receive: wanted.receive,
            send: wanted.send.unwrap_or(0),
        }),
        via_default: reach.via_default,
        next_hop: match spec.next_hop {
            NextHop::Auto => NextHopMode::Auto,
            NextHop::Own => NextHopMode::Own,
            NextHop::Unchanged => NextHopMode::Unchanged,
        },
        // Where it is the node's own it changes nothing.
        local_as: spec.local_as.as_ref().map(local_as).filter(|local| local.asn != merged.asn),
        role: spec.role.map(role),
        strict_role: spec.strict_role,
        reflector_client: spec.route_reflector_client,
        description: spec.description.clone(),
        as_path: AsPathPolicy {
            any_first: !spec.enforce_first_as,
            allow_own: spec.allow_own_as,
            override_peer: spec.as_override,
            remove_private: spec.remove_private_as,
        },
        accept: match &spec.accept {
            Some(accept) => {
                let mut accept: Vec<_> = accept.iter().copied().map(scalar::prefix).collect();
                accept.sort();
                accept.dedup();
                Some(accept)
            }
            None => base.accept,
        },
        accept_default: spec.accept_default_route.unwrap_or(merged.accept_default),
        ..base
    };
    let bfd = spec.bfd.as_ref().map(|wanted| Watched {
        config: bfd(wanted),
        distance: if reach.distant { Distance::Several } else { Distance::OneHop },
        source: reach.source,
    });
    Target { prefix: None, config, hops: reach.hops, bfd }
}

fn bfd(wanted: &Bfd) -> bgp::bfd::Config {
    bgp::bfd::Config {
        interval: wanted.interval.map_or(BFD_INTERVAL, |Span(interval)| interval),
        multiplier: wanted.multiplier.unwrap_or(BFD_MULTIPLIER),
    }
}

const fn local_as(wanted: &api::crd::peer::LocalAs) -> LocalAs {
    LocalAs { asn: Asn(wanted.asn), no_prepend: wanted.no_prepend, replace: wanted.replace_as }
}

const fn role(wanted: api::crd::peer::Role) -> Role {
    use api::crd::peer::Role as Wanted;
    match wanted {
        Wanted::Provider => Role::Provider,
        Wanted::Customer => Role::Customer,
        Wanted::Peer => Role::Peer,
        Wanted::RouteServer => Role::RouteServer,
        Wanted::RouteServerClient => Role::RouteServerClient,
    }
}

/// What the mesh makes of another Node: those that the same Fabric selects and that have the same AS are peers.
/// Pairs of different AS get no session; their routers carry them. With route reflectors a node peers with those
/// alone, and they with all (RFC 4456 §4).
pub(super) fn mesh_peer(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    facts: &NodeFacts,
) -> Option<Result<PeerConfig, Problem>> {
    let (own_reflects, other_reflects) = (reflects(merged, site.facts), reflects(merged, facts));
    let parted = merged.reflectors.is_some() && !own_reflects && !other_reflects;
    let together = || merged.fabrics.iter().any(|fabric| merge::selects(site.objects, fabric, facts));
    let same_as = || merge::asn_of(site.objects, name, facts) == Some(merged.asn);
    if !merged.mesh || parted || !together() || !same_as() {
        return None;
    }
    let Some((own, address)) = common_address(site.facts, facts) else {
        return Some(Err(no_common_address(site, name)));
    };
    // The Node that this machine was before it was renamed.
    if address::is_own(site, address) {
        return None;
    }
    // The other side knows this node by its InternalIP alone.
    let reflector_client = own_reflects && !other_reflects;
    let base = base(site, merged, name, address);
    Some(Ok(PeerConfig { source: Some(own), via_default: true, reflector_client, ..base }))
}

/// Whether a node reflects the routes of the mesh.
pub(super) fn reflects(merged: &Merged, node: &NodeFacts) -> bool {
    merged.reflectors.as_ref().is_some_and(|reflectors| reflectors.node_selector.matches(&node.labels))
}

/// A peer with what the Fabrics say of all peers.
fn base(site: &Site<'_>, merged: &Merged, name: &str, address: IpAddr) -> PeerConfig {
    let facing = address::facing(site, address);
    PeerConfig {
        name: name.to_owned(),
        source: facing.map(|own| own.address),
        asn: PeerAs::Exactly(merged.asn),
        timers: merge::timers(None, &merged.timers),
        restart: merge::restart(None, &merged.restart),
        own_next_hop: address::own_next_hop(site, facing),
        // RFC 8950: who speaks over IPv6 may have no IPv4 address to name.
        extended_next_hop: address.is_ipv6(),
        accept: merged.accept.clone(),
        accept_default: merged.accept_default,
        receive: limits::RECEIVE,
        ..PeerConfig::new(address)
    }
}

/// Own and other InternalIP of one family, IPv4 before IPv6: one session a
/// pair, which carries both families.
fn common_address(own: &NodeFacts, other: &NodeFacts) -> Option<(IpAddr, IpAddr)> {
    Family::ALL.into_iter().find_map(|family| Some((own.internal(family)?, other.internal(family)?)))
}

fn no_common_address(site: &Site<'_>, other: &str) -> Problem {
    let text =
        format!("nodes \"{}\" and \"{other}\" share no family of InternalIP, so they do not peer", site.name);
    Problem::anywhere(text)
}

/// What a FabricPeer that names Nodes makes of another one, if anything; or why it is no peer though it is named.
pub(super) fn target(
    site: &Site<'_>,
    merged: &Merged,
    spec: &FabricPeerSpec,
    other: &str,
    facts: &NodeFacts,
) -> Option<Result<Target, Problem>> {
    spec.peers.as_ref().filter(|target| target.node_selector.matches(&facts.labels))?;
    match common_address(site.facts, facts) {
        // The Node that this machine was before it was renamed.
        Some((_, address)) if address::is_own(site, address) => None,
        Some((_, address)) => Some(Ok(described(site, merged, other, address, true, spec))),
        None => Some(Err(no_common_address(site, other))),
    }
}
