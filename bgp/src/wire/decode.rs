//! Raw path attributes to [`PathAttributes`], each graded as RFC 7606 §7 and the
//! RFC of the attribute ask. Checks what an attribute is; what a value means
//! (a next hop of one's own, a looped path) is for policy to say.

use std::net::Ipv4Addr;

use super::as_path::{AsPath, AsPathError};
use super::attribute::{Aggregator, NextHops, Origin, PathAttributes, UnknownAttribute};
use super::code;
use super::codec::Codec;
use super::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use super::grade::{Fault, Grade, Graded, Problem};
use super::notification::{Notification, UpdateError};
use super::tlv::{Tlv, Tlvs};
use crate::id::{Asn, RouterId};

/// Decodes the attributes of announced prefixes: `raw` is what
/// [`Update::key`](super::update::Update::key) gives, `next_hop` that of the
/// same UPDATE's [`Announced`](super::update::Announced).
///
/// # Errors
/// 3/2 for a well-known attribute that this speaker does not know (RFC 4271
/// §6.3, which RFC 7606 leaves as it is).
pub fn attributes(raw: &[u8], next_hop: Option<NextHops>, codec: &Codec) -> Result<Graded, Notification> {
    let mut decoder = Decoder::new(codec, Grade::SessionReset);
    decoder.walk(raw)?;
    Ok(decoder.finish(next_hop))
}

/// Checks the attributes of an UPDATE that announces nothing (RFC 7606 §5.2).
///
/// # Errors
/// The NOTIFICATION for the first problem worse than attribute-discard.
pub(super) fn without_prefixes(raw: &[u8], codec: &Codec) -> Result<(), Notification> {
    Decoder::new(codec, Grade::TreatAsWithdraw).walk(raw)
}

/// What was read so far.
struct Decoder<'c> {
    codec: &'c Codec,
    /// From which grade on a problem is a session reset.
    fatal: Grade,
    /// A bit for each type code that was there.
    seen: [u64; 4],
    problems: Vec<Problem>,
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
    next_hop: Option<NextHops>,
    /// The rest, with stand-ins for the mandatory ones.
    attributes: PathAttributes,
    unknown: Vec<UnknownAttribute>,
}

impl<'c> Decoder<'c> {
    fn new(codec: &'c Codec, fatal: Grade) -> Self {
        Self {
            codec,
            fatal,
            seen: [0; 4],
            problems: Vec::new(),
            origin: None,
            as_path: None,
            as4_path: None,
            as4_aggregator: None,
            next_hop: None,
            attributes: PathAttributes::originated(NextHops::V4(Ipv4Addr::UNSPECIFIED)),
            unknown: Vec::new(),
        }
    }

    fn walk(&mut self, raw: &[u8]) -> Result<(), Notification> {
        for tlv in Tlvs::new(raw) {
            let (attribute, whole, read) = match tlv {
                Ok(tlv) => (tlv.code, tlv.whole, self.attribute(tlv)),
                Err(overrun) => (overrun.code.unwrap_or(0), &[][..], Err(beyond_the_end())),
            };
            if let Err(fault) = read {
                if fault.grade >= self.fatal {
                    return Err(Notification::update(fault.error, whole));
                }
                self.note(attribute, fault);
            }
        }
        Ok(())
    }

    fn note(&mut self, attribute: u8, fault: Fault) {
        let Fault { grade, text, section, error: _ } = fault;
        self.problems.push(Problem { attribute, grade, text, section });
    }

    fn attribute(&mut self, tlv: Tlv<'_>) -> Result<(), Fault> {
        let word = self.seen.get_mut(usize::from(tlv.code >> 6));
        let bit = 1 << (tlv.code & 63);
        if word.is_some_and(|word| core::mem::replace(word, *word | bit) & bit != 0) {
            return Err(Fault::discard(
                UpdateError::MalformedAttributeList,
                "RFC 7606 3 g",
                "appears more than once, the first one counts",
            ));
        }
        let Some(category) = code::category(tlv.code) else { return self.unknown(tlv) };
        let flags = tlv.flags & (code::OPTIONAL | code::TRANSITIVE);
        if flags != category {
            return Err(Fault::withdraw(
                UpdateError::AttributeFlags,
                "RFC 7606 3 c",
                format!("flags {flags:#04x}, not {category:#04x}"),
            ));
        }
        if let Some(fault) = self.ignored(tlv.code) {
            return Err(fault);
        }
        self.value(tlv.code, tlv.value)?;
        self.partial(tlv);
        Ok(())
    }

    /// RFC 4271 §5: the bit stays with an attribute that is passed on.
    fn partial(&mut self, tlv: Tlv<'_>) {
        let set = tlv.flags & code::PARTIAL != 0;
        let partial = &mut self.attributes.partial;
        match tlv.code {
            code::AGGREGATOR => partial.aggregator = set,
            code::COMMUNITIES => partial.communities = set,
            code::EXTENDED_COMMUNITIES => partial.extended_communities = set,
            code::IPV6_EXTENDED_COMMUNITIES => partial.ipv6_extended_communities = set,
            code::LARGE_COMMUNITY => partial.large_communities = set,
            code::ONLY_TO_CUSTOMER => partial.only_to_customers = set,
            _ => {}
        }
    }

    /// Attributes whose value is dropped unread because of who sent them.
    fn ignored(&self, attribute: u8) -> Option<Fault> {
        let section = match attribute {
            code::LOCAL_PREF if self.codec.external => "RFC 7606 7.5",
            code::ORIGINATOR_ID if self.codec.external => "RFC 7606 7.9",
            code::CLUSTER_LIST if self.codec.external => "RFC 7606 7.10",
            code::AS4_PATH | code::AS4_AGGREGATOR if self.codec.four_octet => {
                let text = "from a peer of four-octet ASes";
                return Some(Fault::discard(UpdateError::OptionalAttribute, "RFC 6793 6", text));
            }
            _ => return None,
        };
        Some(Fault::discard(UpdateError::OptionalAttribute, section, "from an external peer"))
    }

    /// RFC 4271 §5: an unknown attribute is kept if it is transitive, dropped if
    /// it is not, and an error if it claims that everybody knows it.
    fn unknown(&mut self, tlv: Tlv<'_>) -> Result<(), Fault> {
        if tlv.flags & code::OPTIONAL == 0 {
            return Err(Fault::reset(
                UpdateError::UnrecognizedWellKnownAttribute,
                "RFC 4271 6.3",
                "well-known but not recognized",
            ));
        }
        if tlv.flags & code::TRANSITIVE != 0 {
            // RFC 4271 §4.3: the lower four bits are ignored.
            let flags = tlv.flags & (code::OPTIONAL | code::TRANSITIVE | code::PARTIAL);
            self.unknown.push(UnknownAttribute { flags, code: tlv.code, value: tlv.value.into() });
        }
        Ok(())
    }

    fn value(&mut self, attribute: u8, value: &[u8]) -> Result<(), Fault> {
        let attributes = &mut self.attributes;
        match attribute {
            code::ORIGIN => self.origin = Some(origin(value)?),
            code::AS_PATH => {
                let path = AsPath::decode(value, self.codec.four_octet);
                self.as_path = Some(path.map_err(malformed_as_path)?);
            }
            code::NEXT_HOP => {
                let octets = exactly(value, "RFC 7606 7.3")?;
                self.next_hop = Some(NextHops::V4(Ipv4Addr::from(octets)));
            }
            code::MULTI_EXIT_DISC => {
                attributes.med = Some(u32::from_be_bytes(exactly(value, "RFC 7606 7.4")?));
            }
            code::LOCAL_PREF => {
                attributes.local_preference = Some(u32::from_be_bytes(exactly(value, "RFC 7606 7.5")?));
            }
            code::ATOMIC_AGGREGATE => {
                if !value.is_empty() {
                    return Err(discarded_length(value, 0, "RFC 7606 7.6"));
                }
                attributes.atomic_aggregate = true;
            }
            code::AGGREGATOR => attributes.aggregator = Some(aggregator(value, self.codec.four_octet)?),
            code::AS4_AGGREGATOR => self.as4_aggregator = Some(as4_aggregator(value)?),
            code::AS4_PATH => return self.as4_path(value),
            code::COMMUNITIES => {
                attributes.communities =
                    list(value, "RFC 7606 7.8", |octets| Community(u32::from_be_bytes(*octets)))?;
            }
            code::EXTENDED_COMMUNITIES => {
                attributes.extended_communities =
                    list(value, "RFC 7606 7.14", |octets| ExtendedCommunity(*octets))?;
            }
            code::IPV6_EXTENDED_COMMUNITIES => {
                attributes.ipv6_extended_communities =
                    list(value, "RFC 7606 7.15", |octets| Ipv6ExtendedCommunity(*octets))?;
            }
            code::LARGE_COMMUNITY => {
                attributes.large_communities = once(list(value, "RFC 8092 6", large_community)?);
            }
            code::ONLY_TO_CUSTOMER => {
                let octets = exactly(value, "RFC 9234 5")?;
                attributes.only_to_customers = Some(Asn(u32::from_be_bytes(octets)));
            }
            code::ORIGINATOR_ID => {
                let octets = exactly(value, "RFC 7606 7.9")?;
                attributes.originator = Some(RouterId(u32::from_be_bytes(octets)));
            }
            code::CLUSTER_LIST => {
                attributes.cluster_list = list(value, "RFC 7606 7.10", |octets| u32::from_be_bytes(*octets))?;
            }
            // MP_REACH_NLRI and MP_UNREACH_NLRI are `update`'s.
            _ => {}
        }
        Ok(())
    }

    /// AS4_PATH (RFC 6793 §6).
    fn as4_path(&mut self, value: &[u8]) -> Result<(), Fault> {
        let discard = |text: String| Fault::discard(UpdateError::OptionalAttribute, "RFC 6793 6", text);
        let (path, skipped) = AsPath::decode_as4(value).map_err(|error| discard(error.to_string()))?;
        if path.segments.is_empty() {
            return Err(discard("no segment".into()));
        }
        if skipped {
            self.note(code::AS4_PATH, discard("segments of a confederation were left out".into()));
        }
        self.as4_path = Some(path);
        Ok(())
    }

    fn finish(mut self, next_hop: Option<NextHops>) -> Graded {
        self.merge();
        let next_hop = next_hop.or(self.next_hop);
        self.missing(code::ORIGIN, self.origin.is_none());
        self.missing(code::AS_PATH, self.as_path.is_none());
        self.missing(code::NEXT_HOP, next_hop.is_none());
        let withdraw = self.problems.iter().any(|problem| problem.grade == Grade::TreatAsWithdraw);
        let attributes = match (self.origin, self.as_path, next_hop) {
            (Some(origin), Some(as_path), Some(next_hop)) if !withdraw => {
                self.unknown.sort_unstable_by_key(|unknown| unknown.code);
                let unknown = self.unknown.into();
                Some(PathAttributes { origin, as_path, next_hop, unknown, ..self.attributes })
            }
            _ => None,
        };
        Graded { attributes, problems: self.problems }
    }

    /// RFC 7606 §3 d. An attribute that was there but bad has its problem already.
    fn missing(&mut self, attribute: u8, absent: bool) {
        let word = self.seen.get(usize::from(attribute >> 6)).copied().unwrap_or_default();
        if absent && word & 1 << (attribute & 63) == 0 {
            let error = UpdateError::MissingWellKnownAttribute;
            self.note(attribute, Fault::withdraw(error, "RFC 7606 3 d", "mandatory, but missing"));
        }
    }

    /// AS4_AGGREGATOR and AS4_PATH (RFC 6793 §4.2.3). An AGGREGATOR with an AS
    /// that fits was set behind the last speaker of four octets: both are stale.
    fn merge(&mut self) {
        if let Some(aggregator) = &mut self.attributes.aggregator
            && !self.codec.four_octet
        {
            match self.as4_aggregator {
                Some(whole) if aggregator.asn == Asn::TRANS => *aggregator = whole,
                Some(_) => return,
                None => {}
            }
        }
        if let Some(as4_path) = self.as4_path.take() {
            self.as_path = self.as_path.take().map(|as_path| as_path.merged(as4_path));
        }
    }
}

/// RFC 7606 §4.
fn beyond_the_end() -> Fault {
    let text = "beyond the end of the path attributes";
    Fault::withdraw(UpdateError::MalformedAttributeList, "RFC 7606 4", text)
}

fn malformed_as_path(error: AsPathError) -> Fault {
    let section = match error {
        AsPathError::Zero => "RFC 7607 2",
        AsPathError::Confederation => "RFC 5065 5",
        _ => "RFC 7606 7.2",
    };
    Fault::withdraw(UpdateError::MalformedAsPath, section, error.to_string())
}

fn wrong_length(value: &[u8], expected: usize, section: &'static str) -> Fault {
    let text = format!("length {}, not {expected}", value.len());
    Fault::withdraw(UpdateError::AttributeLength, section, text)
}

fn discarded_length(value: &[u8], expected: usize, section: &'static str) -> Fault {
    Fault { grade: Grade::AttributeDiscard, ..wrong_length(value, expected, section) }
}

fn exactly<const N: usize>(value: &[u8], section: &'static str) -> Result<[u8; N], Fault> {
    value.try_into().map_err(|_| wrong_length(value, N, section))
}

fn list<const N: usize, T>(
    value: &[u8],
    section: &'static str,
    read: impl Fn(&[u8; N]) -> T,
) -> Result<Box<[T]>, Fault> {
    match value.as_chunks::<N>() {
        (items @ [_, ..], []) => Ok(items.iter().map(read).collect()),
        _ => {
            let text = format!("length {}, not a positive multiple of {N}", value.len());
            Err(Fault::withdraw(UpdateError::AttributeLength, section, text))
        }
    }
}

fn origin(value: &[u8]) -> Result<Origin, Fault> {
    let [origin] = exactly(value, "RFC 7606 7.1")?;
    match origin {
        0 => Ok(Origin::Igp),
        1 => Ok(Origin::Egp),
        2 => Ok(Origin::Incomplete),
        _ => {
            let text = format!("value {origin} is not defined");
            Err(Fault::withdraw(UpdateError::InvalidOrigin, "RFC 7606 7.1", text))
        }
    }
}

fn aggregator(value: &[u8], four_octet: bool) -> Result<Aggregator, Fault> {
    let (asn, router) = match (value, four_octet) {
        (&[a, b, c, d, ref router @ ..], true) => (u32::from_be_bytes([a, b, c, d]), router),
        (&[a, b, ref router @ ..], false) => (u16::from_be_bytes([a, b]).into(), router),
        _ => (0, &[][..]),
    };
    let Ok(router) = <[u8; 4]>::try_from(router) else {
        return Err(discarded_length(value, if four_octet { 8 } else { 6 }, "RFC 7606 7.7"));
    };
    nonzero(Aggregator { asn: Asn(asn), router: router.into() }, "RFC 7607 2")
}

fn as4_aggregator(value: &[u8]) -> Result<Aggregator, Fault> {
    let &[a, b, c, d, e, f, g, h] = value else {
        return Err(discarded_length(value, 8, "RFC 6793 6"));
    };
    let asn = Asn(u32::from_be_bytes([a, b, c, d]));
    nonzero(Aggregator { asn, router: Ipv4Addr::new(e, f, g, h) }, "RFC 7607 2")
}

fn nonzero(aggregator: Aggregator, section: &'static str) -> Result<Aggregator, Fault> {
    if aggregator.asn.0 == 0 {
        return Err(Fault::discard(UpdateError::OptionalAttribute, section, "AS 0"));
    }
    Ok(aggregator)
}

fn large_community(octets: &[u8; 12]) -> LargeCommunity {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *octets;
    LargeCommunity {
        global: u32::from_be_bytes([a, b, c, d]),
        local1: u32::from_be_bytes([e, f, g, h]),
        local2: u32::from_be_bytes([i, j, k, l]),
    }
}

/// Leaves the first of equal values (RFC 8092 §3).
fn once(values: Box<[LargeCommunity]>) -> Box<[LargeCommunity]> {
    let mut seen = hashbrown::HashSet::with_hasher(foldhash::fast::FixedState::default());
    values.into_iter().filter(|value| seen.insert(*value)).collect()
}
