//! The addresses of peers that are found on a node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::crd::peer::is_peer_address;
use api::crd::target::{AddressFrom, Family as PeerFamily, SubnetHost};
use bgp::prefix::Family;

use super::address::subnet;
use super::site::Site;
use crate::kernel::LocalAddress;

/// The most peers of one FabricPeer on one node: an annotation by mistake must not become hundreds of sessions.
const MOST: usize = 16;

/// The addresses, ordered and each once, and why others are left out.
pub(super) fn addresses(
    site: &Site<'_>,
    from: &AddressFrom,
    families: Option<&[PeerFamily]>,
) -> (Vec<IpAddr>, Vec<String>) {
    let AddressFrom { default_gateway, node_label, node_annotation, subnet_host, other_end } = from;
    let mut wrong = Vec::new();
    let mut found: Vec<IpAddr> = if let Some(family) = default_gateway {
        gateways(site, self::family(*family), &mut wrong)
    } else if let Some(key) = node_label {
        texts(site, "label", key, site.facts.labels.get(key), &mut wrong)
    } else if let Some(key) = node_annotation {
        texts(site, "annotation", key, site.facts.annotations.get(key), &mut wrong)
    } else if let Some(host) = subnet_host {
        hosts(site, host, &mut wrong)
    } else if let Some(interfaces) = other_end {
        let carried = |family: &PeerFamily| families.is_none_or(|families| families.contains(family));
        let families: Vec<Family> =
            [PeerFamily::IPv4, PeerFamily::IPv6].into_iter().filter(carried).map(self::family).collect();
        other_ends(site, interfaces, &families, &mut wrong)
    } else {
        Vec::new()
    };
    found.sort();
    found.dedup();
    if found.len() > MOST {
        wrong.push(format!("{} addresses are more than {MOST}, and the rest is left out", found.len()));
        found.truncate(MOST);
    }
    (found, wrong)
}

fn family(family: PeerFamily) -> Family {
    match family {
        PeerFamily::IPv4 => Family::Ipv4,
        PeerFamily::IPv6 => Family::Ipv6,
    }
}

fn gateways(site: &Site<'_>, family: Family, wrong: &mut Vec<String>) -> Vec<IpAddr> {
    let of_family = site.gateways.iter().copied().filter(|gateway| Family::of(*gateway) == family);
    let (usable, unusable): (Vec<_>, Vec<_>) = of_family.partition(|gateway| is_peer_address(*gateway));
    for gateway in unusable {
        wrong.push(format!(
            "default gateway {gateway} of node \"{}\" is link-local, and is no peer",
            site.name
        ));
    }
    if usable.is_empty() && wrong.is_empty() {
        wrong.push(format!("node \"{}\" has no default gateway of family {family}", site.name));
    }
    usable
}

fn texts(
    site: &Site<'_>,
    what: &str,
    key: &str,
    value: Option<&String>,
    wrong: &mut Vec<String>,
) -> Vec<IpAddr> {
    let Some(value) = value else {
        wrong.push(format!("node \"{}\" has no {what} `{key}`", site.name));
        return Vec::new();
    };
    let mut found = Vec::new();
    for text in value.split(',').map(str::trim) {
        match text.parse() {
            Ok(address) if is_peer_address(address) => found.push(address),
            _ => {
                let name = site.name;
                wrong.push(format!(
                    "{what} `{key}` of node \"{name}\": `{text}` is not the address of a peer"
                ));
            }
        }
    }
    found
}

/// The neighbours on links of two addresses (RFC 3021, RFC 6164), one a link.
fn other_ends(
    site: &Site<'_>,
    interfaces: &[String],
    families: &[Family],
    wrong: &mut Vec<String>,
) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for name in interfaces {
        let ends = site.addresses.iter().filter(|own| own.name == *name).filter_map(other_end);
        let ends: Vec<IpAddr> = ends.collect();
        let first = families.iter().find_map(|family| ends.iter().find(|end| Family::of(**end) == *family));
        match first {
            Some(end) => found.push(*end),
            None => wrong.push(format!("interface {name} of node \"{}\" has no /31 or /127", site.name)),
        }
    }
    found
}

fn other_end(own: &LocalAddress) -> Option<IpAddr> {
    match own.address {
        IpAddr::V4(address) if own.prefix_len == 31 => {
            Some(Ipv4Addr::from_bits(address.to_bits() ^ 1).into())
        }
        IpAddr::V6(address) if own.prefix_len == 127 => {
            Some(Ipv6Addr::from_bits(address.to_bits() ^ 1).into())
        }
        _ => None,
    }
}

fn hosts(site: &Site<'_>, host: &SubnetHost, wrong: &mut Vec<String>) -> Vec<IpAddr> {
    let family = family(host.family);
    let internal = site.facts.internal(family);
    let own = internal.and_then(|internal| site.addresses.iter().find(|own| own.address == internal));
    let Some(subnet) = own.and_then(subnet) else {
        wrong.push(format!("node \"{}\" has no InternalIP of family {family} on a subnet", site.name));
        return Vec::new();
    };
    let mut found = Vec::new();
    for number in &host.hosts {
        let bits = if family == Family::Ipv4 { 32 } else { 128 } - u32::from(subnet.len());
        let fits = bits >= 32 || u64::from(*number) < 1_u64 << bits;
        let address = match subnet.address() {
            IpAddr::V4(base) => IpAddr::from(Ipv4Addr::from_bits(base.to_bits().wrapping_add(*number))),
            IpAddr::V6(base) => {
                IpAddr::from(Ipv6Addr::from_bits(base.to_bits().wrapping_add(u128::from(*number))))
            }
        };
        // RFC 3021 §2.1: only subnets shorter than /31 have a broadcast address.
        let broadcast =
            family == Family::Ipv4 && bits >= 2 && u64::from(*number) + 1 == 1_u64 << bits.min(32);
        if fits && !broadcast {
            found.push(address);
        } else {
            wrong.push(format!("subnet {subnet} of node \"{}\" has no host {number}", site.name));
        }
    }
    found
}
