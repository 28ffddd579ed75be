//! OPEN (RFC 4271 §4.2 and §6.2, RFC 5492, RFC 6286, RFC 9072).

use super::add_path::Mode;
use super::capability::{self, Capability};
use super::cursor::Cursor;
use super::header::{self, Kind};
use super::long_lived::LongLivedRestart;
use super::notification::Notification;
use super::restart::GracefulRestart;
use crate::id::{Asn, RouterId};
use crate::prefix::{Family, PerFamily};

const VERSION: u8 = 4;
/// Marks optional parameters with lengths of two octets (RFC 9072 §2).
const EXTENDED: u8 = 255;

/// What a speaker says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The speaker's AS: the one of the 4-octet AS capability where it is there.
    pub asn: Asn,
    /// The proposed hold time in seconds: 0, or at least 3.
    pub hold_seconds: u16,
    /// The BGP Identifier.
    pub router_id: RouterId,
    /// The capabilities in order, each once.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// Whether the capability was offered.
    #[must_use]
    pub fn offers(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether ASes of four octets were offered (RFC 6793 §4.1).
    #[must_use]
    pub fn four_octet(&self) -> bool {
        self.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_)))
    }

    /// The numbers of the roles that were said, each once: one, unless the speaker
    /// contradicts itself (RFC 9234 §4.2).
    pub fn roles(&self) -> impl Iterator<Item = u8> {
        self.capabilities.iter().filter_map(|capability| match capability {
            Capability::Role(role) => Some(*role),
            _ => None,
        })
    }

    /// What is said of restarts: the last one counts (RFC 4724 §3).
    #[must_use]
    pub fn graceful_restart(&self) -> Option<&GracefulRestart> {
        self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::GracefulRestart(restart) => Some(restart),
            _ => None,
        })
    }

    /// What is said of routes that are kept for long; without the Graceful Restart
    /// Capability beside it nothing is (RFC 9494 §3.1).
    #[must_use]
    pub fn long_lived_restart(&self) -> Option<&LongLivedRestart> {
        self.graceful_restart()?;
        self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::LongLivedRestart(restart) => Some(restart),
            _ => None,
        })
    }

    /// What is said of the Path Identifiers of a family (RFC 7911 §4); nothing
    /// where it is not named.
    #[must_use]
    pub fn add_path(&self, family: Family) -> Mode {
        let said = self.capabilities.iter().rev().filter_map(|capability| match capability {
            Capability::AddPath(add_path) => add_path.mode(family),
            _ => None,
        });
        said.into_iter().next().unwrap_or_default()
    }

    /// Whether IPv6 next hops of IPv4 prefixes are understood (RFC 8950 §4).
    #[must_use]
    pub fn takes_extended_next_hop(&self) -> bool {
        self.capabilities.iter().any(|capability| match capability {
            Capability::ExtendedNextHop(next_hop) => next_hop.has_ipv4_by_ipv6(),
            _ => false,
        })
    }

    /// The families that were offered: IPv4 alone where no family was named
    /// (RFC 4760 §8: a speaker without the capability).
    #[must_use]
    pub fn families(&self) -> PerFamily<bool> {
        let named = |capability: &Capability| matches!(capability, Capability::Multiprotocol { .. });
        if !self.capabilities.iter().any(named) {
            return PerFamily { ipv4: true, ipv6: false };
        }
        let offers = |family| self.offers(&Capability::multiprotocol(family));
        PerFamily { ipv4: offers(Family::Ipv4), ipv6: offers(Family::Ipv6) }
    }

    /// Appends the message: the capabilities in one parameter, with lengths of
    /// two octets where one octet does not hold them (RFC 9072).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = header::begin(out, Kind::Open);
        let asn = u16::try_from(self.asn.0).unwrap_or(Asn::TRANS.0 as u16);
        out.push(VERSION);
        out.extend_from_slice(&asn.to_be_bytes());
        out.extend_from_slice(&self.hold_seconds.to_be_bytes());
        out.extend_from_slice(&self.router_id.0.to_be_bytes());
        let mut parameter = Vec::new();
        for capability in &self.capabilities {
            capability.encode(&mut parameter);
        }
        match u8::try_from(parameter.len()) {
            Ok(0) => out.push(0),
            Ok(len @ ..=253) => out.extend_from_slice(&[len + 2, capability::PARAMETER, len]),
            _ => {
                let len = u16::try_from(parameter.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&[EXTENDED, EXTENDED]);
                out.extend_from_slice(&len.saturating_add(3).to_be_bytes());
                out.push(capability::PARAMETER);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
        out.extend_from_slice(&parameter);
        header::finish(out, start);
    }

    /// Reads and checks the body of a message.
    ///
    /// # Errors
    /// The NOTIFICATION of RFC 4271 §6.2. Whether the AS is the expected one and
    /// the BGP Identifier differs from ours is for the session to say.
    pub fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut cursor = Cursor::new(body);
        let short = || Notification::bad_message_length(header::length_of(body));
        if cursor.u8().ok_or_else(short)? != VERSION {
            return Err(Notification::unsupported_version());
        }
        let my_as = Asn(cursor.u16().ok_or_else(short)?.into());
        let hold_seconds = cursor.u16().ok_or_else(short)?;
        let router_id = RouterId(cursor.u32().ok_or_else(short)?);
        let parameters_len = cursor.u8().ok_or_else(short)?;
        // RFC 7607 §2.
        if my_as.0 == 0 {
            return Err(Notification::bad_peer_as());
        }
        if matches!(hold_seconds, 1 | 2) {
            return Err(Notification::unacceptable_hold_time());
        }
        // RFC 6286 §2.2: any identifier but zero.
        if router_id.0 == 0 {
            return Err(Notification::bad_bgp_identifier());
        }
        let capabilities = parameters(parameters_len, cursor.rest())?;
        let asn = peer_as(my_as, &capabilities)?;
        Ok(Self { asn, hold_seconds, router_id, capabilities })
    }
}

/// The AS by field and capability (RFC 6793 §4.1): the field repeats an AS of
/// two octets or holds AS_TRANS.
fn peer_as(my_as: Asn, capabilities: &[Capability]) -> Result<Asn, Notification> {
    let mut named = capabilities.iter().filter_map(|capability| match capability {
        Capability::FourOctetAs(asn) => Some(*asn),
        _ => None,
    });
    let Some(asn) = named.next() else { return Ok(my_as) };
    let ambiguous = named.next().is_some();
    if ambiguous || asn.0 == 0 || (my_as != asn && my_as != Asn::TRANS) {
        return Err(Notification::bad_peer_as());
    }
    Ok(asn)
}

/// The capabilities of all optional parameters.
fn parameters(len: u8, rest: &[u8]) -> Result<Vec<Capability>, Notification> {
    let mut capabilities = Vec::new();
    // RFC 9072 §2: the type decides, any length but zero announces it.
    let (extended, field) = match rest {
        [EXTENDED, high, low, field @ ..] if len != 0 => {
            (true, (usize::from(u16::from_be_bytes([*high, *low])), field))
        }
        _ => (false, (usize::from(len), rest)),
    };
    let (declared, field) = field;
    if declared != field.len() {
        return Err(Notification::malformed_open());
    }
    let mut cursor = Cursor::new(field);
    while !cursor.is_empty() {
        let (kind, value) = parameter(&mut cursor, extended).ok_or_else(Notification::malformed_open)?;
        if kind != capability::PARAMETER {
            return Err(Notification::unsupported_optional_parameter());
        }
        Capability::decode_all(value, &mut capabilities)?;
    }
    Ok(capabilities)
}

fn parameter<'a>(cursor: &mut Cursor<'a>, extended: bool) -> Option<(u8, &'a [u8])> {
    let kind = cursor.u8()?;
    let len = if extended { usize::from(cursor.u16()?) } else { usize::from(cursor.u8()?) };
    Some((kind, cursor.take(len)?))
}
