//! Which own address faces a peer, and which prefixes and addresses of this
//! node nobody may take over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::config::{OwnNextHop, PeerConfig, Protected};
use bgp::prefix::{Family, Prefix};
use bgp::zone::{self, Zone};

use super::site::Site;
use crate::kernel::LocalAddress;

/// The own address on the subnet that a peer is on; the longest subnet wins.
/// Whether the link has a carrier plays no part: a cable that is pulled does
/// not change who the neighbours are.
pub(super) fn facing<'a>(site: &Site<'a>, peer: IpAddr) -> Option<&'a LocalAddress> {
    let on_link = site.addresses.iter().filter(|own| own.address != peer && shares_subnet(own, peer));
    on_link.max_by_key(|own| (own.prefix_len, std::cmp::Reverse(own.address)))
}

fn shares_subnet(own: &LocalAddress, peer: IpAddr) -> bool {
    subnet(own).is_some_and(|subnet| subnet.covers(peer))
}

/// The subnet of an address; none for a host address, loopback and link-local.
pub(super) fn subnet(own: &LocalAddress) -> Option<Prefix> {
    let local = match own.address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    Prefix::new(own.address, own.prefix_len).filter(|subnet| !local && !subnet.is_host())
}

/// Whether the address is one of the node's own.
pub(super) fn is_own(site: &Site<'_>, address: IpAddr) -> bool {
    site.facts.internal.contains(&address)
        || site.passing.contains(&address)
        || site.addresses.iter().any(|own| own.address == address)
}

/// The addresses to name as next hop towards a peer: on the interface that
/// faces it, else the InternalIP. One that is neither is none: a family without
/// a next hop is not sent.
pub(super) fn own_next_hop(site: &Site<'_>, facing: Option<&LocalAddress>) -> OwnNextHop {
    let pick = |family| match facing {
        Some(own) if Family::of(own.address) == family => Some(own.address),
        Some(own) => on_interface(site, own.ifindex, family),
        None => site.facts.internal(family),
    };
    OwnNextHop { ipv4: pick(Family::Ipv4).and_then(v4), ipv6: pick(Family::Ipv6).and_then(v6) }
}

/// The first address of a family on an interface that a neighbour can use as
/// next hop; the InternalIP if it is there.
fn on_interface(site: &Site<'_>, ifindex: u32, family: Family) -> Option<IpAddr> {
    let mut usable = site
        .addresses
        .iter()
        .filter(|own| own.ifindex == ifindex && Family::of(own.address) == family && subnet(own).is_some())
        .map(|own| own.address);
    let internal = site.facts.internal(family);
    let first = usable.clone().next();
    usable.find(|address| Some(*address) == internal).or(first).or(internal)
}

/// The first address of a family on an interface by its name that others can reach; the InternalIP if it is there.
pub(super) fn of_interface(site: &Site<'_>, name: &str, family: Family) -> Option<IpAddr> {
    let reachable = |address: IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    let of_interface = site.addresses.iter().filter(|own| own.name == name).map(|own| own.address);
    let mut usable = of_interface.filter(|address| Family::of(*address) == family && reachable(*address));
    let first = usable.clone().next();
    usable.find(|address| Some(*address) == site.facts.internal(family)).or(first)
}

/// The own link-local address on an interface, with its zone.
pub(super) fn link_local(site: &Site<'_>, ifindex: u32) -> Option<Ipv6Addr> {
    let zone = Zone::new(ifindex)?;
    let own = site.addresses.iter().filter(|own| own.ifindex == ifindex);
    own.filter_map(|own| v6(own.address)).find_map(|own| zone::within(own, zone))
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// What a learned route must never touch, in order and each once.
pub(super) fn protected(site: &Site<'_>, peers: &[PeerConfig], links: &BTreeMap<u32, String>) -> Protected {
    let own: BTreeSet<Prefix> = site.facts.pod_cidrs.iter().copied().collect();
    let connected: BTreeSet<Prefix> = site.addresses.iter().filter_map(subnet).collect();
    let mut addresses: BTreeSet<IpAddr> = site.addresses.iter().map(|own| own.address).collect();
    addresses.extend(&site.facts.internal);
    // As next hops they come with their link.
    addresses.extend(links.keys().filter_map(|ifindex| link_local(site, *ifindex)).map(IpAddr::V6));
    addresses.extend(site.passing);
    let hosts: BTreeSet<IpAddr> =
        peers.iter().map(|peer| peer.address).filter(|address| facing(site, *address).is_some()).collect();
    Protected {
        own: own.into_iter().collect(),
        connected: connected.into_iter().collect(),
        addresses: addresses.into_iter().collect(),
        hosts: hosts.into_iter().collect(),
    }
}
