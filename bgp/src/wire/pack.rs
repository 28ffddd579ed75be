//! Prefixes into as few UPDATEs as hold them. Appends whole messages to a
//! buffer; nothing is allocated for a prefix.

use super::attribute::NextHops;
use super::code;
use super::header::{self, HEADER_LEN, Kind, MAX_EXTENDED_LEN, MAX_LEN};
use super::nlri::{self, PATH_ID_LEN, Route};
use crate::prefix::Family;

/// The longest prefix as a field holds it, with or without a Path Identifier.
const fn longest(family: Family, has_ids: bool) -> usize {
    let id = if has_ids { PATH_ID_LEN } else { 0 };
    id + 1 + family.max_len() as usize / 8
}

/// Why prefixes cannot be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The attributes leave no room for a prefix.
    #[error("the path attributes take {0} octets and leave no room for a prefix in a message")]
    TooLong(usize),
    /// An IPv4 next hop of IPv6 prefixes, which no RFC encodes.
    #[error("the next hop is not of the family of the prefixes")]
    NextHopFamily,
}

/// How long the messages of a session may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Longest {
    /// 4 096 octets (RFC 4271 §4.1).
    #[default]
    Plain,
    /// 65 535 octets (RFC 8654 §4), which attributes get that leave no room for
    /// a prefix in a plain message; the others stay as short as they are.
    Extended,
}

impl Longest {
    /// The most octets that a message may have.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Plain => MAX_LEN,
            Self::Extended => MAX_EXTENDED_LEN,
        }
    }
}

/// Appends UPDATEs that announce the prefixes, all of `family` and all with a
/// Path Identifier or all without, and returns how many messages they are. `attributes` is what
/// [`encode::attributes`](super::encode::attributes) wrote for the same family.
///
/// # Errors
/// No message is appended; the caller has to withdraw the prefixes
/// (RFC 4271 §9.2: a route that does not fit is not sent).
pub fn announce(
    attributes: &[u8],
    next_hop: NextHops,
    family: Family,
    prefixes: impl IntoIterator<Item: Into<Route>>,
    most: Longest,
    out: &mut Vec<u8>,
) -> Result<usize, PackError> {
    let next_hop_len = match (family, next_hop) {
        (Family::Ipv4, NextHops::V4(_)) => None,
        // RFC 8950 §3 has IPv4 prefixes in MP_REACH_NLRI, too.
        (_, NextHops::V6 { link_local: None, .. }) => Some(16),
        (_, NextHops::V6 { link_local: Some(_), .. }) => Some(32),
        (Family::Ipv6, NextHops::V4(_)) => return Err(PackError::NextHopFamily),
    };
    let around = match next_hop_len {
        None => HEADER_LEN + 4 + attributes.len(),
        // The MP_REACH_NLRI header, family, next hop and reserved octet.
        Some(len) => HEADER_LEN + 4 + 4 + 5 + usize::from(len) + attributes.len(),
    };
    let mut prefixes = prefixes.into_iter().map(Into::into).peekable();
    let least = longest(family, prefixes.peek().is_some_and(|route| route.id.is_some()));
    let room = |most: Longest| most.octets().checked_sub(around).filter(|room| *room >= least);
    let room = room(Longest::Plain).or_else(|| room(most)).ok_or(PackError::TooLong(attributes.len()))?;
    let mut messages = 0;
    while prefixes.peek().is_some() {
        let start = header::begin(out, Kind::Update);
        match next_hop_len {
            None => {
                out.extend_from_slice(&[0, 0]);
                out.extend_from_slice(&u16::try_from(attributes.len()).unwrap_or(u16::MAX).to_be_bytes());
                out.extend_from_slice(attributes);
                fill(&mut prefixes, family, room, out);
            }
            Some(next_hop_len) => {
                // RFC 7606 §5.1: MP_REACH_NLRI is the very first attribute.
                out.extend_from_slice(&[0; 4]);
                let attribute = multiprotocol(code::MP_REACH_NLRI, family, out);
                out.push(next_hop_len);
                next_hop.encode(out);
                out.push(0);
                fill(&mut prefixes, family, room, out);
                finish_attribute(out, attribute);
                out.extend_from_slice(attributes);
                finish_attributes(out, start);
            }
        }
        header::finish(out, start);
        messages += 1;
    }
    Ok(messages)
}

/// Appends UPDATEs that withdraw the prefixes, all of `family`, and returns how
/// many messages they are.
pub fn withdraw(family: Family, prefixes: impl IntoIterator<Item: Into<Route>>, out: &mut Vec<u8>) -> usize {
    let mut prefixes = prefixes.into_iter().map(Into::into).peekable();
    let mut messages = 0;
    while prefixes.peek().is_some() {
        let start = header::begin(out, Kind::Update);
        match family {
            Family::Ipv4 => {
                out.extend_from_slice(&[0; 2]);
                let field = out.len();
                fill(&mut prefixes, family, MAX_LEN - HEADER_LEN - 4, out);
                let len = u16::try_from(out.len() - field).unwrap_or(u16::MAX);
                header::put_u16(out, field - 2, len);
                out.extend_from_slice(&[0; 2]);
            }
            Family::Ipv6 => {
                out.extend_from_slice(&[0; 4]);
                let attribute = multiprotocol(code::MP_UNREACH_NLRI, family, out);
                fill(&mut prefixes, family, MAX_LEN - HEADER_LEN - 4 - 7, out);
                finish_attribute(out, attribute);
                finish_attributes(out, start);
            }
        }
        header::finish(out, start);
        messages += 1;
    }
    messages
}

/// Appends the family's End-of-RIB (RFC 4724 §2).
pub fn end_of_rib(family: Family, out: &mut Vec<u8>) {
    let start = header::begin(out, Kind::Update);
    out.extend_from_slice(&[0; 4]);
    if family != Family::Ipv4 {
        let [high, low] = family.afi().to_be_bytes();
        out.extend_from_slice(&[code::OPTIONAL, code::MP_UNREACH_NLRI, 3, high, low, 1]);
        finish_attributes(out, start);
    }
    header::finish(out, start);
}

/// Moves prefixes into the field while the next one fits.
fn fill(
    prefixes: &mut core::iter::Peekable<impl Iterator<Item = Route>>,
    family: Family,
    room: usize,
    out: &mut Vec<u8>,
) {
    let end = out.len() + room;
    while let Some(route) = prefixes.next_if(|route| out.len() + nlri::encoded_len(*route) <= end) {
        debug_assert_eq!(route.prefix.family(), family, "the caller sorts prefixes by family");
        nlri::encode(route, out);
    }
}

/// Begins an MP attribute with a length of two octets and its family.
fn multiprotocol(code: u8, family: Family, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let [high, low] = family.afi().to_be_bytes();
    out.extend_from_slice(&[code::OPTIONAL | code::EXTENDED_LENGTH, code, 0, 0, high, low, 1]);
    start
}

/// Fills in the length of the MP attribute that begins at `start`.
fn finish_attribute(out: &mut [u8], start: usize) {
    let len = u16::try_from(out.len() - start - 4).unwrap_or(u16::MAX);
    header::put_u16(out, start + 2, len);
}

/// Fills in the Total Path Attribute Length of a message without other fields.
fn finish_attributes(out: &mut [u8], start: usize) {
    let len = u16::try_from(out.len() - start - HEADER_LEN - 4).unwrap_or(u16::MAX);
    header::put_u16(out, start + HEADER_LEN + 2, len);
}
