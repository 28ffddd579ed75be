//! UPDATE (RFC 4271 §4.3, RFC 4760 §3 and §4), taken apart without decoding a
//! path attribute: all prefixes are located even when an attribute beside them
//! is bad (RFC 7606 §3 j), and what identifies the attribute set is handed out
//! as octets, so that a set is decoded once however many UPDATEs carry it.

use super::attribute::NextHops;
use super::code;
use super::codec::Codec;
use super::cursor::Cursor;
use super::decode;
use super::identity;
use super::nlri::Nlri;
use super::notification::{Notification, UpdateError};
use super::tlv::{Overrun, Tlv, Tlvs};
use crate::prefix::Family;
use crate::zone::{self, Zone};
use std::net::{Ipv4Addr, Ipv6Addr};

/// One UPDATE. Prefixes of families that were not negotiated are left out.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    withdrawn: [Option<Nlri<'a>>; 2],
    announced: [Option<Announced<'a>>; 2],
    /// The attributes between which the MP attributes were cut out.
    attributes: [&'a [u8]; 3],
    end_of_rib: Option<Family>,
}

/// Prefixes that share a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced<'a> {
    /// The next hop of MP_REACH_NLRI; `None` where NEXT_HOP holds it.
    pub next_hop: Option<NextHops>,
    /// The prefixes, at least one.
    pub nlri: Nlri<'a>,
}

impl Announced<'_> {
    /// A number for what else than its octets decides how an attribute set is
    /// read: the codec's flavour, the family, and where the next hop lies.
    #[must_use]
    pub const fn flavour(&self, codec: &Codec) -> u32 {
        identity::flavour(codec, self.next_hop, self.nlri.family())
    }
}

/// MP_REACH_NLRI and MP_UNREACH_NLRI of families that are carried.
#[derive(Default)]
struct Multiprotocol<'a> {
    reach: Option<Announced<'a>>,
    unreach: Option<Nlri<'a>>,
    /// Whether MP_REACH_NLRI has prefixes, of whatever family.
    reachable: bool,
    seen: [bool; 2],
}

impl<'a> Update<'a> {
    /// Takes the body of a message apart.
    ///
    /// # Errors
    /// The NOTIFICATION where RFC 7606 asks for a session reset: lengths that
    /// leave no room (§3 b), prefixes that cannot be located (§3 j, §5.3), MP
    /// attributes that come twice (§3 g) or are bad (§5.3, §7.11), and an
    /// attribute error worse than attribute-discard beside no prefix (§5.2).
    pub fn parse(body: &'a [u8], codec: &Codec) -> Result<Self, Notification> {
        let (withdrawn, field, nlri) =
            sections(body).ok_or(Notification::update(UpdateError::MalformedAttributeList, &[]))?;
        let network = || Notification::update(UpdateError::InvalidNetworkField, &[]);
        let ids = codec.add_path.ipv4.receive;
        let withdrawn = Nlri::parse(Family::Ipv4, ids, withdrawn).ok_or_else(network)?;
        let nlri = Nlri::parse(Family::Ipv4, ids, nlri).ok_or_else(network)?;

        let (mp, attributes) = cut(field, codec)?;
        let end_of_rib = end_of_rib(body, field, &mp);
        let carried = |nlri: Nlri<'a>| (codec.families.ipv4 && !nlri.is_empty()).then_some(nlri);
        let update = Self {
            withdrawn: [carried(withdrawn), mp.unreach.filter(|nlri| !nlri.is_empty())],
            announced: [
                carried(nlri).map(|nlri| Announced { next_hop: None, nlri }),
                mp.reach.filter(|reach| !reach.nlri.is_empty()),
            ],
            attributes,
            end_of_rib,
        };
        // RFC 7606 §5.2: where nothing reachable was found we cannot be confident
        // that all of it was found.
        if nlri.is_empty() && !mp.reachable && attributes.iter().any(|piece| !piece.is_empty()) {
            decode::without_prefixes(update.key(&mut Vec::new()), codec)?;
        }
        Ok(update)
    }

    /// The prefixes that are withdrawn, in up to two fields.
    pub fn withdrawn(&self) -> impl Iterator<Item = Nlri<'a>> + use<'a> {
        self.withdrawn.into_iter().flatten()
    }

    /// The prefixes that are announced, in up to two fields. They go after the
    /// withdrawn ones: a prefix in both is announced (RFC 4271 §4.3).
    pub fn announced(&self) -> impl Iterator<Item = Announced<'a>> + use<'a> {
        self.announced.into_iter().flatten()
    }

    /// The family whose End-of-RIB this is (RFC 4724 §2).
    #[must_use]
    pub const fn end_of_rib(&self) -> Option<Family> {
        self.end_of_rib
    }

    /// The octets that identify what [`decode::attributes`] gives for these
    /// prefixes, among those of the same [`Announced::flavour`]: the attributes,
    /// and the next hop where MP_REACH_NLRI holds it. Where that is the message
    /// as it lies nothing is copied, else the octets are `scratch`'s.
    #[must_use]
    pub fn identity<'k>(&self, announced: &Announced<'a>, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        let Some(next_hop) = announced.next_hop else { return self.key(scratch) };
        scratch.clear();
        self.attributes.iter().for_each(|piece| scratch.extend_from_slice(piece));
        identity::append(next_hop, scratch);
        scratch
    }

    /// The attributes as octets without MP_REACH_NLRI and MP_UNREACH_NLRI: with
    /// the announced next hop they are what [`decode::attributes`] takes. Where the
    /// octets lie in one piece they are those of the message, else `scratch`'s.
    #[must_use]
    pub fn key<'k>(&self, scratch: &'k mut Vec<u8>) -> &'k [u8]
    where
        'a: 'k,
    {
        let mut pieces = self.attributes.into_iter().filter(|piece| !piece.is_empty());
        let first = pieces.next().unwrap_or_default();
        let Some(second) = pieces.next() else { return first };
        scratch.clear();
        scratch.extend_from_slice(first);
        scratch.extend_from_slice(second);
        pieces.for_each(|piece| scratch.extend_from_slice(piece));
        scratch
    }
}

/// Withdrawn Routes, Path Attributes and NLRI; `None` where the lengths leave
/// no room for one another (RFC 4271 §6.3, RFC 7606 §3 b).
fn sections(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut cursor = Cursor::new(body);
    let len = cursor.u16()?;
    let withdrawn = cursor.take(len.into())?;
    let len = cursor.u16()?;
    let attributes = cursor.take(len.into())?;
    Some((withdrawn, attributes, cursor.rest()))
}

/// Cuts the MP attributes out of the field and leaves the pieces around them.
fn cut<'a>(field: &'a [u8], codec: &Codec) -> Result<(Multiprotocol<'a>, [&'a [u8]; 3]), Notification> {
    let mut mp = Multiprotocol::default();
    // Each MP attribute comes at most once: three pieces hold all.
    let [mut second, mut third]: [&[u8]; 2] = [&[]; 2];
    let mut from = 0;
    for tlv in Tlvs::new(field) {
        let tlv = match tlv {
            Ok(tlv) => tlv,
            // RFC 7606 §3 j: prefixes in an attribute without an end are not located.
            Err(Overrun { code: Some(code), rest }) if multiprotocol(code) => {
                return Err(Notification::update(UpdateError::OptionalAttribute, rest));
            }
            // Any other stays in place for `decode` to find (RFC 7606 §4).
            Err(_) => break,
        };
        if multiprotocol(tlv.code) {
            mp.take(tlv, codec)?;
            second = third;
            third = field.get(from..tlv.at).unwrap_or_default();
            from = tlv.at + tlv.whole.len();
        }
    }
    Ok((mp, [second, third, field.get(from..).unwrap_or_default()]))
}

const fn multiprotocol(attribute: u8) -> bool {
    matches!(attribute, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI)
}

/// An UPDATE without anything, or with an empty MP_UNREACH_NLRI alone (RFC 4724 §2).
fn end_of_rib(body: &[u8], field: &[u8], mp: &Multiprotocol<'_>) -> Option<Family> {
    if body.len() == 4 {
        return Some(Family::Ipv4);
    }
    let unreach = mp.unreach.filter(|nlri| nlri.is_empty())?;
    let alone = body.len() == field.len() + 4
        && Tlvs::new(field).all(|tlv| tlv.is_ok_and(|tlv| tlv.code == code::MP_UNREACH_NLRI));
    alone.then_some(unreach.family())
}

impl<'a> Multiprotocol<'a> {
    fn take(&mut self, tlv: Tlv<'a>, codec: &Codec) -> Result<(), Notification> {
        let reach = tlv.code == code::MP_REACH_NLRI;
        let [seen_reach, seen_unreach] = &mut self.seen;
        let seen = if reach { seen_reach } else { seen_unreach };
        if core::mem::replace(seen, true) {
            // RFC 7606 §3 g.
            return Err(Notification::update(UpdateError::MalformedAttributeList, &[]));
        }
        // RFC 7606 §5.3: with other flags the field is syntactically incorrect.
        if tlv.flags & (code::OPTIONAL | code::TRANSITIVE) != code::OPTIONAL {
            return Err(Notification::update(UpdateError::AttributeFlags, tlv.whole));
        }
        let read = if reach { self.reach(tlv, codec) } else { self.unreach(tlv, codec) };
        // RFC 4760 §7.
        read.ok_or_else(|| Notification::update(UpdateError::OptionalAttribute, tlv.whole))
    }

    /// MP_REACH_NLRI (RFC 4760 §3): family, next hop, a reserved octet, prefixes.
    fn reach(&mut self, tlv: Tlv<'a>, codec: &Codec) -> Option<()> {
        let mut cursor = Cursor::new(tlv.value);
        let family = Family::from_afi_safi(cursor.u16()?, cursor.u8()?);
        let len = cursor.u8()?;
        let next_hop = cursor.take(len.into())?;
        cursor.u8()?;
        self.reachable = !cursor.is_empty();
        let Some(family) = family.filter(|family| codec.families[*family]) else { return Some(()) };
        let next_hop = Some(next_hops(family, next_hop, codec)?);
        let nlri = Nlri::parse(family, codec.add_path[family].receive, cursor.rest())?;
        self.reach = Some(Announced { next_hop, nlri });
        Some(())
    }

    /// MP_UNREACH_NLRI (RFC 4760 §4): family, prefixes.
    fn unreach(&mut self, tlv: Tlv<'a>, codec: &Codec) -> Option<()> {
        let mut cursor = Cursor::new(tlv.value);
        let family = Family::from_afi_safi(cursor.u16()?, cursor.u8()?);
        let Some(family) = family.filter(|family| codec.families[*family]) else { return Some(()) };
        self.unreach = Some(Nlri::parse(family, codec.add_path[family].receive, cursor.rest())?);
        Some(())
    }
}

/// The next hop of a family: a length that was not expected makes the prefixes
/// after it impossible to locate (RFC 7606 §7.11).
fn next_hops(family: Family, octets: &[u8], codec: &Codec) -> Option<NextHops> {
    // What a peer writes where zones lie is no zone.
    let ipv6 = |octets: &[u8]| Some(zone::split6(Ipv6Addr::from(*octets.first_chunk::<16>()?)).0);
    match (family, octets.len()) {
        (Family::Ipv4, 4) => octets.first_chunk::<4>().map(|octets| NextHops::V4(Ipv4Addr::from(*octets))),
        // RFC 8950 §3: sixteen or thirty-two, where we said that we understand it (§4).
        (Family::Ipv4, _) if !codec.extended_next_hop => None,
        // RFC 2545 §3.
        (_, 16 | 32) => Some(on_link(ipv6(octets)?, octets.get(16..).and_then(ipv6), codec.zone)),
        _ => None,
    }
}

/// A next hop whose link-local address is one on the session's link, if that is known.
///
/// Deviation: RFC 2545 §3 has a global address go first. Speakers without one, on links
/// that have none, send the link-local address there, once or twice, or leave it unspecified.
fn on_link(global: Ipv6Addr, second: Option<Ipv6Addr>, zone: Option<Zone>) -> NextHops {
    let within = |address: Ipv6Addr| zone.and_then(|zone| zone::within(address, zone));
    let alone = |address: Ipv6Addr| NextHops::V6 { global: address, link_local: None };
    match (within(global), second.and_then(within)) {
        (_, Some(second)) if global.is_unspecified() || global.is_unicast_link_local() => alone(second),
        (Some(first), None) => alone(first),
        (_, placed) => NextHops::V6 { global, link_local: placed.or(second) },
    }
}
