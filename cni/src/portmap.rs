//! Port mappings: what a runtime may ask for, when two of them collide, and the elements of
//! the maps that send packets to a pod. Pure.
//!
//! One mapping is one element a family, so the cost of a packet does not depend on how many
//! there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::nft::{Element, Kind, Set};
use serde::{Deserialize, Serialize};

use crate::attribute;
use crate::error::{Code, Error, Result};
use crate::ipam::Family;

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Its number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// Port of the node.
    pub host_port: u16,
    /// Port of the pod.
    pub container_port: u16,
    /// Protocol of both.
    pub protocol: Protocol,
    /// The node's address; none for all of both families, an unspecified one for all of its family.
    #[serde(rename = "hostIP", default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
}

/// A mapping as runtimes write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    #[serde(default)]
    host_port: i64,
    #[serde(default)]
    container_port: i64,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(rename = "hostIP", default)]
    host_ip: Option<String>,
}

/// Which of the maps an element belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Map {
    /// Family of packets.
    pub family: Family,
    /// The key begins with the node's address.
    pub one_address: bool,
}

impl Map {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self { family: Family::V4, one_address: true },
        Self { family: Family::V4, one_address: false },
        Self { family: Family::V6, one_address: true },
        Self { family: Family::V6, one_address: false },
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match (self.family, self.one_address) {
            (Family::V4, true) => "address-port4",
            (Family::V4, false) => "port4",
            (Family::V6, true) => "address-port6",
            (Family::V6, false) => "port6",
        }
    }

    /// The map as the kernel is to have it.
    pub fn set(self) -> Set {
        let address = if self.family == Family::V4 { Kind::Address4 } else { Kind::Address6 };
        let mut key = vec![Kind::Protocol, Kind::Port];
        if self.one_address {
            key.insert(0, address);
        }
        Set { name: self.name().into(), key, value: vec![address, Kind::Port], intervals: false }
    }
}

/// Name of the set of pods that may reach themselves by their node: source and destination.
pub fn hairpins(family: Family) -> Set {
    let (name, address) = match family {
        Family::V4 => ("itself4", Kind::Address4),
        Family::V6 => ("itself6", Kind::Address6),
    };
    Set { name: name.into(), key: vec![address, address], value: Vec::new(), intervals: false }
}

/// The mappings of a configuration, each once.
///
/// # Errors
/// Code 7 with the first that is invalid or collides with another of the list.
pub fn parse(list: &[Asked]) -> Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::with_capacity(list.len());
    for (at, asked) in list.iter().enumerate() {
        let mapping = mapping(asked).map_err(|(key, why)| {
            let text = format!("network configuration: runtimeConfig.portMappings[{at}].{key} {why}");
            Error::new(Code::Config, text)
        })?;
        if mappings.contains(&mapping) {
            continue;
        }
        if let Some(other) = mappings.iter().find(|other| collide(other, &mapping)) {
            let text = format!(
                "network configuration: runtimeConfig.portMappings[{at}] takes {} like another of the list, which leads to port {}",
                shown(&mapping),
                other.container_port
            );
            return Err(Error::new(Code::Config, text));
        }
        mappings.push(mapping);
    }
    Ok(mappings)
}

fn mapping(asked: &Asked) -> std::result::Result<Mapping, (&'static str, String)> {
    let port = |key, value: i64| match u16::try_from(value) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err((key, format!("is {value}; 1 to 65535 is possible"))),
    };
    let protocol = match asked.protocol.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => return Err(("protocol", format!("is {other:?}; tcp, udp and sctp are possible"))),
    };
    let host_ip = match asked.host_ip.as_deref().unwrap_or_default() {
        "" => None,
        text => Some(plain(text).ok_or_else(|| ("hostIP", format!("is {text:?}, not an address")))?),
    };
    if host_ip.is_some_and(|address| address.is_multicast()) {
        return Err(("hostIP", "is a multicast address".into()));
    }
    Ok(Mapping {
        host_port: port("hostPort", asked.host_port)?,
        container_port: port("containerPort", asked.container_port)?,
        protocol,
        host_ip,
    })
}

/// An address; an IPv4 one in IPv6 notation is that of IPv4, and brackets do not count.
fn plain(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Whether two pods cannot have both.
pub fn collide(a: &Mapping, b: &Mapping) -> bool {
    let overlap = match (a.host_ip, b.host_ip) {
        (None, _) | (_, None) => true,
        (Some(a), Some(b)) => {
            Family::of(a) == Family::of(b) && (a == b || a.is_unspecified() || b.is_unspecified())
        }
    };
    (a.protocol, a.host_port) == (b.protocol, b.host_port) && overlap
}

/// The node's side of a mapping, for people.
pub fn shown(mapping: &Mapping) -> String {
    let port = format!("{} port {}", mapping.protocol.as_str(), mapping.host_port);
    match mapping.host_ip {
        Some(address) if !address.is_unspecified() => format!("host {port} of {address}"),
        _ => format!("host {port}"),
    }
}

/// Whether the mappings need an address of a family that the pod has not.
///
/// # Errors
/// Code 7 with the first that does.
pub fn reachable(mappings: &[Mapping], addresses: &[IpAddr]) -> Result<()> {
    for mapping in mappings {
        if let Some(address) = mapping.host_ip
            && !addresses.iter().any(|own| Family::of(*own) == Family::of(address))
        {
            let text = format!(
                "network configuration: runtimeConfig.portMappings: hostIP {address} cannot lead to a pod without an {} address",
                Family::of(address).as_str()
            );
            return Err(Error::new(Code::Config, text));
        }
    }
    Ok(())
}

/// The elements of a pod's mappings, map by map.
pub fn elements(mappings: &[Mapping], addresses: &[IpAddr], comment: &str) -> Vec<(Map, Element)> {
    let mut elements = Vec::new();
    for address in addresses {
        let family = Family::of(*address);
        for mapping in mappings {
            if mapping.host_ip.is_some_and(|host| Family::of(host) != family) {
                continue;
            }
            let one = mapping.host_ip.filter(|host| !host.is_unspecified());
            let mut key = one.map(octets).unwrap_or_default();
            key.extend([mapping.protocol.number(), 0, 0, 0]);
            key.extend(word(mapping.host_port));
            let mut value = octets(*address);
            value.extend(word(mapping.container_port));
            let element = Element { key, value, end: false, comment: comment.into() };
            elements.push((Map { family, one_address: one.is_some() }, element));
        }
    }
    elements.sort_by_key(|(map, _)| *map);
    elements
}

/// The elements that let a pod reach itself.
pub fn hairpin(address: IpAddr, comment: &str) -> Element {
    let key = [octets(address), octets(address)].concat();
    Element { key, value: Vec::new(), end: false, comment: comment.into() }
}

/// The node's side of what an element of `map` stands for; none if it is no element of ours.
pub fn read(map: Map, element: &Element) -> Option<Mapping> {
    let length = if map.family == Family::V4 { 4 } else { 16 };
    let (address, port) = element.key.split_at_checked(if map.one_address { length } else { 0 })?;
    let [number, 0, 0, 0, high, low, 0, 0] = *port else { return None };
    let protocol =
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|p| p.number() == number)?;
    let unspecified = match map.family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let [high_pod, low_pod, ..] = *element.value.get(length..)? else { return None };
    Some(Mapping {
        host_port: u16::from_be_bytes([high, low]),
        container_port: u16::from_be_bytes([high_pod, low_pod]),
        protocol,
        host_ip: Some(attribute::address(address).unwrap_or(unspecified)),
    })
}

/// The pod that an element of `map` leads to.
pub fn pod(map: Map, element: &Element) -> Option<IpAddr> {
    let length = if map.family == Family::V4 { 4 } else { 16 };
    attribute::address(element.value.get(..length)?)
}

/// Whether packets from 127.0.0.0/8 or ::1 may lead to the pod.
pub fn loopback(mappings: &[Mapping], family: Family) -> bool {
    mappings.iter().any(|mapping| match mapping.host_ip {
        None => true,
        Some(address) => Family::of(address) == family && (address.is_unspecified() || address.is_loopback()),
    })
}

/// An address's bytes.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}

/// A port in a word of its own.
fn word(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

#[cfg(test)]
#[path = "portmap_tests.rs"]
mod tests;
