//! What the kernel says, as plain data: links, addresses, routes, neighbours.
//!
//! Owns the decoding of replies; a reply that is not what it should be is no fact.

use std::net::IpAddr;

use crate::attachment::Mac;
use crate::attribute::{address, attributes, text, u16_at, u32_at};
use crate::netlink::Reply;

// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_INFO_KIND: u16 = 1;
const IF_OPER_UP: u8 = 6;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
// linux/rtnetlink.h
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// Length of `struct rtnexthop`.
const NEXTHOP: usize = 8;
// linux/neighbour.h
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
const NTF_PROXY: u8 = 8;

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its alias; empty if it has none.
    pub alias: String,
    /// Its kind, as in `ip link add type KIND`; empty for hardware.
    pub kind: String,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Bytes.
    pub mtu: u32,
    /// Index of the other end of a pair.
    pub peer: Option<u32>,
    /// Administratively up.
    pub up: bool,
    /// The loopback device.
    pub loopback: bool,
    /// Packets pass: carrier is there and the queue is in place.
    pub forwards: bool,
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub length: u8,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The prefix's address; none for a default route.
    pub destination: Option<IpAddr>,
    /// The prefix's length.
    pub length: u8,
    /// `RTPROT_…`.
    pub protocol: u8,
    /// The routing table.
    pub table: u32,
    /// Leads to this host itself.
    pub local: bool,
    /// Leads to a next hop or a link, and drops nothing.
    pub unicast: bool,
    /// Its metric; 0 where it has none.
    pub metric: u32,
    /// The next hop of a route that has one.
    pub gateway: Option<IpAddr>,
    /// Indices of all links that it leads to.
    pub links: Vec<u32>,
}

/// A neighbour entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// Whose entry it is.
    pub address: IpAddr,
    /// The Ethernet address.
    pub mac: Option<Mac>,
    /// Stays for good.
    pub permanent: bool,
    /// Not a neighbour: the link answers for this address.
    pub proxy: bool,
}

impl Link {
    /// The link in a reply of RTM_NEWLINK's kind.
    pub fn decode(reply: &Reply) -> Option<Self> {
        let bytes = reply.payload.as_slice();
        let (index, flags) = (u32_at(bytes, 4)?, u32_at(bytes, 8)?);
        let mut link = Self {
            index,
            name: String::new(),
            alias: String::new(),
            kind: String::new(),
            mac: None,
            mtu: 0,
            peer: None,
            up: flags & IFF_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            forwards: false,
        };
        for (kind, value) in attributes(bytes.get(16..)?) {
            match kind {
                IFLA_IFNAME => link.name = text(value),
                IFLA_IFALIAS => link.alias = text(value),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_LINK => link.peer = u32_at(value, 0),
                IFLA_ADDRESS => link.mac = mac(value),
                IFLA_OPERSTATE => link.forwards = value.first() == Some(&IF_OPER_UP),
                IFLA_LINKINFO => {
                    if let Some((_, kind)) = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND) {
                        link.kind = text(kind);
                    }
                }
                _ => {}
            }
        }
        Some(link)
    }
}

impl Address {
    /// The address in a reply of RTM_NEWADDR's kind.
    pub fn decode(reply: &Reply) -> Option<Self> {
        let bytes = reply.payload.as_slice();
        let (length, link) = (*bytes.get(1)?, u32_at(bytes, 4)?);
        let (mut local, mut far) = (None, None);
        for (kind, value) in attributes(bytes.get(8..)?) {
            match kind {
                IFA_LOCAL => local = address(value),
                IFA_ADDRESS => far = address(value),
                _ => {}
            }
        }
        // IPv6 has IFA_ADDRESS alone; on a point-to-point IPv4 address that is the other end.
        local.or(far).map(|address| Self { link, address, length })
    }
}

impl Route {
    /// The route in a reply of RTM_NEWROUTE's kind.
    pub fn decode(reply: &Reply) -> Option<Self> {
        let bytes = reply.payload.as_slice();
        let [_, length, _, _, table, protocol, _, kind] = *bytes.first_chunk()?;
        let mut route = Self {
            destination: None,
            length,
            protocol,
            table: table.into(),
            local: kind == RTN_LOCAL,
            unicast: kind == RTN_UNICAST,
            metric: 0,
            gateway: None,
            links: Vec::new(),
        };
        for (kind, value) in attributes(bytes.get(12..)?) {
            match kind {
                RTA_DST => route.destination = address(value),
                RTA_GATEWAY => route.gateway = address(value),
                RTA_PRIORITY => route.metric = u32_at(value, 0)?,
                RTA_OIF => route.links.extend(u32_at(value, 0)),
                RTA_TABLE => route.table = u32_at(value, 0)?,
                RTA_MULTIPATH => route.links.extend(next_hop_links(value)),
                _ => {}
            }
        }
        Some(route)
    }
}

impl Neighbour {
    /// The entry in a reply of RTM_NEWNEIGH's kind.
    pub fn decode(reply: &Reply) -> Option<Self> {
        let bytes = reply.payload.as_slice();
        let (link, state, flags) = (u32_at(bytes, 4)?, u16_at(bytes, 8)?, *bytes.get(10)?);
        let (mut destination, mut lladdr) = (None, None);
        for (kind, value) in attributes(bytes.get(12..)?) {
            match kind {
                NDA_DST => destination = address(value),
                NDA_LLADDR => lladdr = mac(value),
                _ => {}
            }
        }
        let (permanent, proxy) = (state & NUD_PERMANENT != 0, flags & NTF_PROXY != 0);
        Some(Self { link, address: destination?, mac: lladdr, permanent, proxy })
    }
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

/// The links of the `struct rtnexthop`s in `bytes`.
fn next_hop_links(mut bytes: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?).max(NEXTHOP);
        let link = u32_at(bytes, 4)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(link)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_reply_makes_it_panic_or_run_for_ever(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let reply = Reply { kind: 0, payload };
            let _ = (Link::decode(&reply), Address::decode(&reply), Route::decode(&reply), Neighbour::decode(&reply));
        }
    }

    #[test]
    fn links_of_a_multipath_route() {
        let hop = |link: u32| [&[16, 0, 0, 0][..], &link.to_ne_bytes(), &[0; 8]].concat();
        assert_eq!(next_hop_links(&[hop(3), hop(9)].concat()).collect::<Vec<_>>(), [3, 9]);
    }
}
