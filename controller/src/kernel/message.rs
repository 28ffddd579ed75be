//! Bytes to rtnetlink messages: headers, and what a dump or a notification says of routes, links and addresses.
//!
//! Input comes from the kernel and is still not believed: what is too short or inconsistent is skipped, an unknown
//! attribute is ignored. Integers are in host order, addresses in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::prefix::Prefix;

/// The length of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// The length of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;
const NEXT_HOP_HEADER: usize = 8;

/// The head of a netlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message's type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The sequence number of the request.
    pub sequence: u32,
    /// The port of the requester: in a notification, of who made the change; 0 for the kernel itself.
    pub port: u32,
}

/// The messages of a datagram, each with its body; ends at the first that does not fit.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// Walks a datagram.
#[must_use]
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages(datagram)
}

impl<'a> Iterator for Messages<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let header = Header {
            kind: u16_at(self.0, 4)?,
            flags: u16_at(self.0, 6)?,
            sequence: u32_at(self.0, 8)?,
            port: u32_at(self.0, 12)?,
        };
        let body = self.0.get(HEADER..len)?;
        self.0 = self.0.get(aligned(len)..).unwrap_or_default();
        Some((header, body))
    }
}

/// The errno of an `NLMSG_ERROR` body, positive; zero is an acknowledgement.
#[must_use]
pub fn errno(body: &[u8]) -> Option<u16> {
    let code = i32::from_ne_bytes(body.get(..4)?.try_into().ok()?);
    u16::try_from(code.unsigned_abs()).ok()
}

/// A route as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRoute {
    /// The destination.
    pub prefix: Prefix,
    /// The type of service that it is for.
    pub tos: u8,
    /// The routing table.
    pub table: u32,
    /// The metric.
    pub metric: u32,
    /// The routing protocol number.
    pub protocol: u8,
    /// `RTN_UNICAST` and so on.
    pub kind: u8,
    /// `RTM_F_CLONED` and so on.
    pub flags: u32,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// Where it leads, in the kernel's order.
    pub hops: Vec<Hop>,
    /// The next-hop object that it names.
    pub object: Option<u32>,
}

/// A next hop of a route as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The neighbour.
    pub gateway: Option<IpAddr>,
    /// The interface's index.
    pub ifindex: u32,
    /// `RTNH_F_DEAD` and so on.
    pub flags: u32,
}

/// Reads the body of an `RTM_NEWROUTE` or `RTM_DELROUTE`; `None` for other families and what cannot be read.
#[must_use]
pub fn route(body: &[u8]) -> Option<KernelRoute> {
    let &[family, len, _, tos, table, protocol, _, kind] = body.first_chunk::<8>()?;
    let flags = u32_at(body, 8)?;
    let mut route = KernelRoute {
        prefix: Prefix::new(unspecified(family)?, len)?,
        tos,
        table: u32::from(table),
        metric: 0,
        protocol,
        kind,
        flags,
        source: None,
        hops: Vec::new(),
        object: None,
    };
    let mut single = Hop { gateway: None, ifindex: 0, flags: flags & 0xff };
    for (kind, value) in attributes(body.get(ROUTE_HEADER..)?) {
        match kind {
            libc::RTA_DST => route.prefix = Prefix::new(address(family, value)?, len)?,
            libc::RTA_TABLE => route.table = u32_at(value, 0)?,
            libc::RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            libc::RTA_PREFSRC => route.source = Some(address(family, value)?),
            libc::RTA_OIF => single.ifindex = u32_at(value, 0)?,
            libc::RTA_GATEWAY => single.gateway = Some(address(family, value)?),
            libc::RTA_VIA => single.gateway = Some(via(value)?),
            libc::RTA_MULTIPATH => hops(family, value, &mut route.hops)?,
            RTA_NH_ID => route.object = Some(u32_at(value, 0)?),
            _ => {}
        }
    }
    if route.hops.is_empty() && single.ifindex != 0 {
        route.hops.push(single);
    }
    Some(route)
}

/// `RTA_NH_ID` of linux/rtnetlink.h.
pub(super) const RTA_NH_ID: u16 = 30;

fn hops(family: u8, mut value: &[u8], into: &mut Vec<Hop>) -> Option<()> {
    while !value.is_empty() {
        let len = usize::from(u16_at(value, 0)?);
        let mut hop = Hop { gateway: None, ifindex: u32_at(value, 4)?, flags: u32::from(*value.get(2)?) };
        for (kind, value) in attributes(value.get(NEXT_HOP_HEADER..len)?) {
            match kind {
                libc::RTA_GATEWAY => hop.gateway = Some(address(family, value)?),
                libc::RTA_VIA => hop.gateway = Some(via(value)?),
                _ => {}
            }
        }
        into.push(hop);
        value = value.get(aligned(len)..).unwrap_or_default();
    }
    Some(())
}

/// A link as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name.
    pub name: String,
    /// Whether it is up and has a carrier: `IFF_UP` and `IFF_LOWER_UP`, not the operational state, which some
    /// drivers leave unknown.
    pub up: bool,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// The largest packet that it takes, in bytes.
    pub mtu: u32,
}

/// Reads the body of an `RTM_NEWLINK`.
#[must_use]
pub fn link(body: &[u8]) -> Option<Link> {
    const UP: u32 = (libc::IFF_UP | libc::IFF_LOWER_UP) as u32;
    let ifindex = u32_at(body, 4)?;
    let flags = u32_at(body, 8)?;
    let (mut name, mut mtu) = (None, 0);
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            libc::IFLA_IFNAME => name = Some(value.strip_suffix(&[0]).unwrap_or(value)),
            libc::IFLA_MTU => mtu = u32_at(value, 0)?,
            _ => {}
        }
    }
    let name = String::from_utf8_lossy(name?).into_owned();
    Some(Link { ifindex, name, up: flags & UP == UP, loopback: flags & libc::IFF_LOOPBACK as u32 != 0, mtu })
}

/// An interface's address as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's index.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix_len: u8,
    /// `IFA_F_TENTATIVE` and so on.
    pub flags: u32,
}

/// Reads the body of an `RTM_NEWADDR`.
#[must_use]
pub fn interface_address(body: &[u8]) -> Option<InterfaceAddress> {
    let &[family, prefix_len, flags, _] = body.first_chunk::<4>()?;
    let ifindex = u32_at(body, 4)?;
    let (mut local, mut subnet, mut flags) = (None, None, u32::from(flags));
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            libc::IFA_LOCAL => local = Some(address(family, value)?),
            libc::IFA_ADDRESS => subnet = Some(address(family, value)?),
            libc::IFA_FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; elsewhere IPv6 has no IFA_LOCAL.
    Some(InterfaceAddress { ifindex, address: local.or(subnet)?, prefix_len, flags })
}

/// A policy rule as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    /// Its preference: the lowest is asked first.
    pub priority: u32,
    /// The routing table that it leads to.
    pub table: u32,
}

/// Reads the body of an `RTM_NEWRULE`.
#[must_use]
pub fn policy_rule(body: &[u8]) -> Option<PolicyRule> {
    // linux/fib_rules.h
    const FRA_PRIORITY: u16 = 6;
    const FRA_TABLE: u16 = 15;
    let &[.., table, _, _, _] = body.first_chunk::<8>()?;
    let mut rule = PolicyRule { priority: 0, table: u32::from(table) };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            FRA_PRIORITY => rule.priority = u32_at(value, 0)?,
            FRA_TABLE => rule.table = u32_at(value, 0)?,
            _ => {}
        }
    }
    Some(rule)
}

/// Walks attributes, nested and byte-order flags masked; ends at the first that does not fit.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..len)?;
        bytes = bytes.get(aligned(len)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn unspecified(family: u8) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        libc::AF_INET6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        _ => None,
    }
}

pub(super) fn address(family: u8, value: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        libc::AF_INET6 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

/// `struct rtvia`: a family and an address of it.
fn via(value: &[u8]) -> Option<IpAddr> {
    address(u8::try_from(u16_at(value, 0)?).ok()?, value.get(2..)?)
}

const fn aligned(len: usize) -> usize {
    (len + 3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
