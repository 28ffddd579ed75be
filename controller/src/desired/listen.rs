//! Peers that connect from a prefix. How far away they are, and which own address
//! faces them, differs from subnet to subnet: so the prefix is taken apart.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::prefix::Prefix;

use super::address;
use super::site::Site;

/// The most peers at a time where nothing is said.
pub(super) const MOST: u32 = 100;

/// The parts of a prefix with an address in each: those on subnets of the node, and, last and if there is any, what
/// lies beyond them.
pub(super) fn parts(site: &Site<'_>, prefix: Prefix) -> Vec<(Prefix, IpAddr)> {
    let mut parts: Vec<(Prefix, IpAddr)> = Vec::new();
    let mut beyond = vec![prefix.address(), last(prefix)];
    for subnet in site.addresses.iter().filter_map(address::subnet) {
        let part = if prefix.contains(subnet) {
            subnet
        } else if subnet.contains(prefix) {
            prefix
        } else {
            continue;
        };
        if parts.iter().all(|(known, _)| *known != part)
            && let Some(sample) =
                [part.address(), last(part)].into_iter().find(|it| !address::is_own(site, *it))
        {
            parts.push((part, sample));
        }
        beyond.extend(after(last(subnet)));
    }
    let off_link = |it: &IpAddr| prefix.covers(*it) && address::facing(site, *it).is_none();
    let whole = parts.iter().any(|(part, _)| *part == prefix);
    if let Some(sample) = beyond.into_iter().find(off_link).filter(|_| !whole) {
        parts.push((prefix, sample));
    }
    parts
}

/// The last address of a prefix.
fn last(prefix: Prefix) -> IpAddr {
    match prefix.address() {
        IpAddr::V4(first) => {
            let host = u32::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv4Addr::from_bits(first.to_bits() | host).into()
        }
        IpAddr::V6(first) => {
            let host = u128::MAX.checked_shr(prefix.len().into()).unwrap_or(0);
            Ipv6Addr::from_bits(first.to_bits() | host).into()
        }
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => Some(Ipv4Addr::from_bits(address.to_bits().checked_add(1)?).into()),
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits().checked_add(1)?).into()),
    }
}
