//! Next-hop objects to rtnetlink bytes and back (linux/nexthop.h).

use super::super::message::{address, attributes, u32_at};
use super::super::request::{ACK, DUMP, REPLACE, REQUEST, address_family, attribute, begin, end, octets};
use super::super::route::Leg;
use super::{Change, Object, What};
use bgp::prefix::Family;

/// `RTM_NEWNEXTHOP`, `RTM_DELNEXTHOP` and `RTM_GETNEXTHOP`.
pub const NEW: u16 = 104;
const DELETE: u16 = 105;
const GET: u16 = 106;

/// The length of `struct nhmsg`.
const OBJECT_HEADER: usize = 8;
/// The length of `struct nexthop_grp`.
const MEMBER: usize = 8;

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const NHA_ENCAP_TYPE: u16 = 7;
const NHA_ENCAP: u16 = 8;
const NHA_FDB: u16 = 11;
const NHA_RES_GROUP: u16 = 12;

/// `RTNH_F_ONLINK` of linux/rtnetlink.h.
const ONLINK: u32 = 4;

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// The object is told as it was made: with the number that the kernel chose.
const ECHO: u16 = libc::NLM_F_ECHO as u16;

/// Appends a change as one message, for objects of this protocol number.
pub fn change(into: &mut Vec<u8>, change: &Change, protocol: u8, sequence: u32) {
    let (kind, flags) = match change {
        Change::Hop(_) | Change::Group(_) => (NEW, CREATE | ECHO),
        Change::Regroup(..) => (NEW, REPLACE),
        Change::Delete(_) => (DELETE, 0),
    };
    let start = begin(into, kind, flags | REQUEST | ACK, sequence);
    let (family, flags) = match change {
        // A hop by a device alone serves whom its family says; it is never made.
        Change::Hop(leg) => (
            leg.gateway.map_or(libc::AF_INET as u8, |gateway| address_family(Family::of(gateway))),
            if leg.onlink { ONLINK } else { 0 },
        ),
        _ => (libc::AF_UNSPEC as u8, 0),
    };
    let protocol = if matches!(change, Change::Delete(_)) { 0 } else { protocol };
    into.extend_from_slice(&[family, 0, protocol, 0]);
    into.extend_from_slice(&flags.to_ne_bytes());
    match change {
        Change::Hop(leg) => {
            attribute(into, NHA_OIF, &leg.ifindex.to_ne_bytes());
            if let Some(gateway) = leg.gateway {
                let len: u16 = if gateway.is_ipv4() { 8 } else { 20 };
                into.extend_from_slice(&len.to_ne_bytes());
                into.extend_from_slice(&NHA_GATEWAY.to_ne_bytes());
                octets(into, gateway);
            }
        }
        Change::Group(members) => group(into, members),
        Change::Regroup(id, members) => {
            attribute(into, NHA_ID, &id.to_ne_bytes());
            group(into, members);
        }
        Change::Delete(id) => attribute(into, NHA_ID, &id.to_ne_bytes()),
    }
    end(into, start);
}

/// A group has at most 255 members.
fn group(into: &mut Vec<u8>, members: &[u32]) {
    let len = u16::try_from(4 + MEMBER * members.len()).unwrap_or(u16::MAX);
    into.extend_from_slice(&len.to_ne_bytes());
    into.extend_from_slice(&NHA_GROUP.to_ne_bytes());
    for member in members {
        into.extend_from_slice(&member.to_ne_bytes());
        // A weight of one is written as zero.
        into.extend_from_slice(&[0; 4]);
    }
}

/// The request for all objects.
#[must_use]
pub fn dump(sequence: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(32);
    let start = begin(&mut request, GET, REQUEST | DUMP, sequence);
    request.extend_from_slice(&[0; OBJECT_HEADER]);
    end(&mut request, start);
    request
}

/// Reads the body of an `RTM_NEWNEXTHOP`; `None` for what cannot be read.
#[must_use]
pub fn object(body: &[u8]) -> Option<Object> {
    let &[family, _, protocol, _] = body.first_chunk::<4>()?;
    let flags = u32_at(body, 4)?;
    let (mut id, mut oif, mut gateway, mut members, mut plain) = (None, None, None, None, true);
    for (kind, value) in attributes(body.get(OBJECT_HEADER..)?) {
        match kind {
            NHA_ID => id = Some(u32_at(value, 0)?),
            NHA_OIF => oif = Some(u32_at(value, 0)?),
            NHA_GATEWAY => gateway = Some(address(family, value)?),
            NHA_GROUP => members = Some(value),
            NHA_GROUP_TYPE => plain &= value.iter().all(|octet| *octet == 0),
            NHA_BLACKHOLE | NHA_ENCAP_TYPE | NHA_ENCAP | NHA_FDB | NHA_RES_GROUP => plain = false,
            _ => {}
        }
    }
    let what = match (members, oif) {
        (Some(members), _) if plain => {
            let equal = members.chunks(MEMBER).all(|member| member.get(4..6) == Some(&[0, 0]));
            let mut ids: Vec<_> = members.chunks(MEMBER).map_while(|member| u32_at(member, 0)).collect();
            ids.sort_unstable();
            if equal { What::Group(ids) } else { What::Foreign }
        }
        (None, Some(ifindex)) if plain => What::Hop(Leg { gateway, ifindex, onlink: flags & ONLINK != 0 }),
        _ => What::Foreign,
    };
    Some(Object { id: id?, protocol, what })
}
