//! An attribute set as octets and a number: what identifies it without decoding, and
//! is enough to decode it once more. Equal octets of one flavour are equal sets.
//!
//! ```text
//!  NEXT_HOP beside the others:  attributes
//!  in MP_REACH_NLRI:            attributes | next hop, 4, 16 or 32 octets | zone, 4 octets if any | length of both
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use super::attribute::{NextHops, PathAttributes};
use super::codec::Codec;
use super::decode;
use crate::prefix::Family;
use crate::zone::{self, Zone};

/// Where the codec's flavour ends.
const MULTIPROTOCOL: u32 = 1 << 2;
const IPV6: u32 = 1 << 3;

/// A number for what else than its octets decides how an attribute set is read: the codec's
/// flavour, the family, and whether the next hop lies in MP_REACH_NLRI.
pub(super) const fn flavour(codec: &Codec, next_hop: Option<NextHops>, family: Family) -> u32 {
    let multiprotocol = if next_hop.is_some() { MULTIPROTOCOL } else { 0 };
    let ipv6 = if matches!(family, Family::Ipv6) { IPV6 } else { 0 };
    codec.flavour() as u32 | multiprotocol | ipv6
}

/// Appends the next hop that MP_REACH_NLRI holds. The length goes last, so that equal octets are equal in both parts.
pub(super) fn append(next_hop: NextHops, out: &mut Vec<u8>) {
    let start = out.len();
    next_hop.encode(out);
    // The link is no part of the octets, and of what they say.
    out.extend(zone::of(next_hop.address()).into_iter().flat_map(|zone| zone.0.get().to_be_bytes()));
    out.push(u8::try_from(out.len() - start).unwrap_or(u8::MAX));
}

/// What these octets of this flavour say; `None` if they are not those of a flawless set.
#[must_use]
pub fn decode(flavour: u32, identity: &[u8]) -> Option<PathAttributes> {
    let (raw, next_hop) = match flavour & MULTIPROTOCOL {
        0 => (identity, None),
        _ => split(identity).map(|(raw, next_hop)| (raw, Some(next_hop)))?,
    };
    let graded = decode::attributes(raw, next_hop, &Codec::of_flavour(flavour as u8)).ok()?;
    graded.attributes.filter(|_| graded.problems.is_empty())
}

/// The attributes, and the next hop behind them.
fn split(identity: &[u8]) -> Option<(&[u8], NextHops)> {
    let (&len, rest) = identity.split_last()?;
    let (raw, octets) = rest.split_at(rest.len().checked_sub(len.into())?);
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some((raw, NextHops::V4(Ipv4Addr::from(octets))));
    }
    let (addresses, zone) = octets.split_at(octets.len() & !0xf);
    let zone = zone.first_chunk::<4>().and_then(|zone| Zone::new(u32::from_be_bytes(*zone)));
    let placed = |address| zone.map_or(Some(address), |zone| zone::within(address, zone));
    let global = Ipv6Addr::from(*addresses.first_chunk::<16>()?);
    let next_hop = match addresses.get(16..).and_then(<[u8]>::first_chunk::<16>) {
        // The zone is that of the address that routes use.
        Some(second) => NextHops::V6 { global, link_local: Some(placed(Ipv6Addr::from(*second))?) },
        None => NextHops::V6 { global: placed(global)?, link_local: None },
    };
    Some((raw, next_hop))
}
