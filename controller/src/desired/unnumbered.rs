//! Peers that are the neighbour on a link, without addresses on either side.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use bgp::config::Obstacle;
use bgp::zone::{self, Zone};

use super::address;
use super::site::Site;

/// Stands for a neighbour that nobody has heard: the link's subnet, which is no host's address.
const NOBODY: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// The neighbour on a link.
pub(super) struct Neighbour {
    /// Its link-local address, with its zone.
    pub(super) address: IpAddr,
    /// This node's own.
    pub(super) own: Option<Ipv6Addr>,
    /// What is in the way.
    pub(super) obstacle: Option<Obstacle>,
}

/// The neighbour on an interface; `None` while the node has no such interface.
pub(super) fn neighbour(site: &Site<'_>, interface: &str) -> Option<Neighbour> {
    let with_address = site.addresses.iter().find(|own| own.name == interface).map(|own| own.ifindex);
    let before = || site.links?.iter().find(|(_, name)| *name == interface).map(|(ifindex, _)| *ifindex);
    let ifindex = with_address.or_else(before)?;
    let zone = Zone::new(ifindex)?;
    let own = address::link_local(site, ifindex);
    let up = site.addresses.iter().any(|own| own.ifindex == ifindex && own.up);
    let own_address = own.map(IpAddr::V6);
    let of_link = |heard: &&IpAddr| zone::of(**heard) == Some(zone) && Some(**heard) != own_address;
    let heard = site.neighbours.iter().find(of_link).copied();
    let obstacle = if !up {
        Some(Obstacle::LinkDown(format!("interface {interface} is down")))
    } else if own.is_none() {
        Some(Obstacle::LinkDown(format!("interface {interface} has no IPv6 link-local address")))
    } else if heard.is_none() {
        Some(Obstacle::NoNeighbor(format!("no router advertisement was heard on {interface}")))
    } else {
        None
    };
    let nobody = zone::within(NOBODY, zone).map(IpAddr::V6);
    Some(Neighbour { address: heard.or(nobody)?, own, obstacle })
}

/// The links of these peers, by index.
pub(super) fn links<'a>(site: &Site<'_>, peers: impl Iterator<Item = &'a IpAddr>) -> BTreeMap<u32, String> {
    let zones = peers.filter_map(|address| zone::of(*address));
    zones.filter_map(|zone| Some((zone.0.get(), name(site, zone)?.to_owned()))).collect()
}

fn name<'a>(site: &Site<'a>, zone: Zone) -> Option<&'a str> {
    let ifindex = zone.0.get();
    let with_address = site.addresses.iter().find(|own| own.ifindex == ifindex).map(|own| own.name.as_str());
    with_address.or_else(|| site.links?.get(&ifindex).map(String::as_str))
}

/// An address with the name of its link.
pub(super) fn shown(site: &Site<'_>, address: IpAddr) -> String {
    zone::shown(address, |zone| name(site, zone).map(str::to_owned))
}
