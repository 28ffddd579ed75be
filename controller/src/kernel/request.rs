//! Route operations and dump requests to rtnetlink bytes.
//!
//! Flags are where a route's owner is respected (see [`plan`](super::plan)): a create is exclusive, a replace never
//! creates, a delete names protocol and metric, and for IPv6 the gateways too, because there a route of another
//! owner with the same metric can have been joined to ours.

use std::net::IpAddr;

use bgp::prefix::Family;

use super::message::{HEADER, RTA_NH_ID};
use super::plan::{Action, Operation};
use super::route::{Key, Leg, Route, Target};

pub(super) const ACK: u16 = libc::NLM_F_ACK as u16;
pub(super) const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
pub(super) const DUMP: u16 = libc::NLM_F_DUMP as u16;
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const JOIN: u16 = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;
pub(super) const REPLACE: u16 = libc::NLM_F_REPLACE as u16;

/// Appends an operation as one message; `ack` asks the kernel to answer a success too.
pub fn operation(into: &mut Vec<u8>, operation: &Operation, sequence: u32, ack: bool) {
    let (kind, flags, route, way) = match &operation.action {
        Action::Create(route) => (libc::RTM_NEWROUTE, CREATE, route, &route.target),
        Action::Replace(route) => (libc::RTM_NEWROUTE, REPLACE, route, &route.target),
        Action::Join { way, result } => (libc::RTM_NEWROUTE, JOIN, result, way),
        Action::Part { way, result } => (libc::RTM_DELROUTE, 0, result, way),
        Action::Delete(route) => (libc::RTM_DELROUTE, 0, route, &route.target),
    };
    let legs: &[Leg] = if let Target::Via(legs) = way { legs } else { &[] };
    let delete = kind == libc::RTM_DELROUTE;
    let flags = flags | REQUEST | if ack { ACK } else { 0 };
    let start = begin(into, kind, flags, sequence);
    route_header(into, &operation.key, route, legs, delete);
    attribute(into, libc::RTA_TABLE, &operation.key.table.to_ne_bytes());
    destination(into, &operation.key);
    attribute(into, libc::RTA_PRIORITY, &operation.key.metric.to_ne_bytes());
    if let (Some(source), false) = (route.source, delete) {
        address(into, libc::RTA_PREFSRC, source);
    }
    // IPv4 takes protocol and metric for enough, and would compare a whole list of gateways in its order.
    if !delete || operation.key.family() == Family::Ipv6 {
        ways(into, operation.key.family(), legs);
        if let Target::Object(id) = way {
            attribute(into, RTA_NH_ID, &id.to_ne_bytes());
        }
    }
    end(into, start);
}

/// The request for all routes of a table and family.
#[must_use]
pub fn dump_routes(family: Family, table: u32, sequence: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(64);
    let start = begin(&mut request, libc::RTM_GETROUTE, REQUEST | DUMP, sequence);
    // Strict checking: whatever is not a filter must be zero, or the filter is not used.
    request.extend_from_slice(&[address_family(family), 0, 0, 0, short(table), 0, 0, 0, 0, 0, 0, 0]);
    attribute(&mut request, libc::RTA_TABLE, &table.to_ne_bytes());
    end(&mut request, start);
    request
}

/// The request for the route that the kernel takes to an address, as it stands in the table.
#[must_use]
pub fn lookup(to: IpAddr, sequence: u32) -> Vec<u8> {
    /// `RTM_F_LOOKUP_TABLE` of linux/rtnetlink.h: the number of the table. IPv6 tells it unasked, and refuses the flag.
    const LOOKUP_TABLE: u32 = 0x1000;
    /// `RTM_F_FIB_MATCH`: the table's entry, and not what follows from it for one packet.
    const FIB_MATCH: u32 = 0x2000;
    let flags = if to.is_ipv4() { LOOKUP_TABLE | FIB_MATCH } else { FIB_MATCH };
    let mut request = Vec::with_capacity(64);
    let start = begin(&mut request, libc::RTM_GETROUTE, REQUEST, sequence);
    let len = if to.is_ipv4() { 32 } else { 128 };
    request.extend_from_slice(&[address_family(Family::of(to)), len, 0, 0, 0, 0, 0, 0]);
    request.extend_from_slice(&flags.to_ne_bytes());
    address(&mut request, libc::RTA_DST, to);
    end(&mut request, start);
    request
}

/// The request for all links.
#[must_use]
pub fn dump_links(sequence: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + 16);
    let start = begin(&mut request, libc::RTM_GETLINK, REQUEST | DUMP, sequence);
    request.extend_from_slice(&[0; 16]);
    end(&mut request, start);
    request
}

/// The request for all addresses of a family.
#[must_use]
pub fn dump_addresses(family: Family, sequence: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + 8);
    let start = begin(&mut request, libc::RTM_GETADDR, REQUEST | DUMP, sequence);
    request.extend_from_slice(&[address_family(family), 0, 0, 0, 0, 0, 0, 0]);
    end(&mut request, start);
    request
}

/// The request for all policy rules of a family.
#[must_use]
pub fn dump_rules(family: Family, sequence: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER + 12);
    let start = begin(&mut request, libc::RTM_GETRULE, REQUEST | DUMP, sequence);
    request.extend_from_slice(&[address_family(family), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    end(&mut request, start);
    request
}

pub(super) fn begin(into: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32) -> usize {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&kind.to_ne_bytes());
    into.extend_from_slice(&flags.to_ne_bytes());
    into.extend_from_slice(&sequence.to_ne_bytes());
    into.extend_from_slice(&[0; 4]);
    start
}

/// Writes the length of what began at `start`; all parts are padded to four bytes.
pub(super) fn end(into: &mut [u8], start: usize) {
    let len = u32::try_from(into.len() - start).unwrap_or(u32::MAX);
    into[start..start + 4].copy_from_slice(&len.to_ne_bytes());
}

fn route_header(into: &mut Vec<u8>, key: &Key, route: &Route, legs: &[Leg], delete: bool) {
    let single = if let [leg] = legs { Some(*leg) } else { None };
    let kind = match (&route.target, delete) {
        // A delete is for whatever type carries the protocol number.
        (_, true) | (Target::Foreign, false) => libc::RTN_UNSPEC,
        (Target::Via(_) | Target::Object(_) | Target::Mixed { .. }, false) => libc::RTN_UNICAST,
        (Target::Unreachable, false) => libc::RTN_UNREACHABLE,
    };
    let scope = match (delete, single) {
        (true, _) => libc::RT_SCOPE_NOWHERE,
        (false, Some(Leg { gateway: None, .. })) => libc::RT_SCOPE_LINK,
        (false, _) => libc::RT_SCOPE_UNIVERSE,
    };
    let onlink = single.is_some_and(|leg| leg.onlink) && !delete;
    let flags = if onlink { ONLINK } else { 0 };
    into.extend_from_slice(&[
        address_family(key.family()),
        key.prefix.len(),
        0,
        0,
        short(key.table),
        route.protocol,
        scope,
        kind,
    ]);
    into.extend_from_slice(&u32::from(flags).to_ne_bytes());
}

/// `RTNH_F_ONLINK` of linux/rtnetlink.h.
const ONLINK: u8 = 4;

fn ways(into: &mut Vec<u8>, family: Family, legs: &[Leg]) {
    if legs.is_empty() {
        return;
    }
    if let [leg] = legs {
        gateway(into, family, leg);
        attribute(into, libc::RTA_OIF, &leg.ifindex.to_ne_bytes());
        return;
    }
    let start = into.len();
    into.extend_from_slice(&[0, 0]);
    into.extend_from_slice(&libc::RTA_MULTIPATH.to_ne_bytes());
    for leg in legs {
        let hop = into.len();
        into.extend_from_slice(&[0, 0, if leg.onlink { ONLINK } else { 0 }, 0]);
        into.extend_from_slice(&leg.ifindex.to_ne_bytes());
        gateway(into, family, leg);
        measure(into, hop);
    }
    measure(into, start);
}

fn gateway(into: &mut Vec<u8>, family: Family, leg: &Leg) {
    match leg.gateway {
        Some(gateway) if Family::of(gateway) == family => address(into, libc::RTA_GATEWAY, gateway),
        // IPv4 by an IPv6 neighbour (RFC 8950): a `struct rtvia` names the family.
        Some(gateway) => {
            let start = into.len();
            into.extend_from_slice(&[0, 0]);
            into.extend_from_slice(&libc::RTA_VIA.to_ne_bytes());
            into.extend_from_slice(&u16::from(address_family(Family::of(gateway))).to_ne_bytes());
            octets(into, gateway);
            measure(into, start);
            into.resize(into.len().next_multiple_of(4), 0);
        }
        None => {}
    }
}

fn destination(into: &mut Vec<u8>, key: &Key) {
    if !key.prefix.is_default() {
        address(into, libc::RTA_DST, key.prefix.address());
    }
}

fn address(into: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => attribute(into, kind, &address.octets()),
        IpAddr::V6(address) => attribute(into, kind, &address.octets()),
    }
}

pub(super) fn octets(into: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => into.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => into.extend_from_slice(&address.octets()),
    }
}

/// Appends an attribute whose length is a multiple of four: all of ours are.
pub(super) fn attribute<const N: usize>(into: &mut Vec<u8>, kind: u16, value: &[u8; N]) {
    const { assert!(N.is_multiple_of(4) && N < 1024) };
    into.extend_from_slice(&(N as u16 + 4).to_ne_bytes());
    into.extend_from_slice(&kind.to_ne_bytes());
    into.extend_from_slice(value);
}

/// Writes the 16-bit length of what began at `start`. A route has at most 255 legs of 28 bytes.
fn measure(into: &mut [u8], start: usize) {
    let len = u16::try_from(into.len() - start).unwrap_or(u16::MAX);
    into[start..start + 2].copy_from_slice(&len.to_ne_bytes());
}

pub(super) const fn address_family(family: Family) -> u8 {
    match family {
        Family::Ipv4 => libc::AF_INET as u8,
        Family::Ipv6 => libc::AF_INET6 as u8,
    }
}

/// The table in the header; a number that does not fit is told by `RTA_TABLE` alone.
fn short(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(libc::RT_TABLE_UNSPEC)
}
