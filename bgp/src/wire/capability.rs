//! Capabilities of an OPEN (RFC 5492 §4). One that this speaker does not know
//! is kept as it is.

use super::add_path::AddPath;
use super::cursor::Cursor;
use super::extended_next_hop::ExtendedNextHop;
use super::long_lived::LongLivedRestart;
use super::notification::Notification;
use super::restart::GracefulRestart;
use crate::id::Asn;
use crate::prefix::Family;

/// The parameter type of capabilities in an OPEN (RFC 5492 §4).
pub(super) const PARAMETER: u8 = 2;

const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const EXTENDED_NEXT_HOP: u8 = 5;
const EXTENDED_MESSAGE: u8 = 6;
const ROLE: u8 = 9;
const GRACEFUL_RESTART: u8 = 64;
const FOUR_OCTET_AS: u8 = 65;
const ADD_PATH: u8 = 69;
const ENHANCED_REFRESH: u8 = 70;
const LONG_LIVED_RESTART: u8 = 71;

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Routes of an address family (RFC 4760 §8), carried here or not.
    Multiprotocol {
        /// The Address Family Identifier.
        afi: u16,
        /// The Subsequent Address Family Identifier.
        safi: u8,
    },
    /// ROUTE-REFRESH is understood (RFC 2918 §2).
    RouteRefresh,
    /// For which families next hops of another one are understood (RFC 8950 §4).
    ExtendedNextHop(ExtendedNextHop),
    /// Messages of up to 65 535 octets are understood (RFC 8654 §3).
    ExtendedMessage,
    /// ASes of four octets, with the speaker's own (RFC 6793 §3).
    FourOctetAs(Asn),
    /// The number of the speaker's role (RFC 9234 §4.1), assigned or not.
    Role(u8),
    /// What becomes of routes while the speaker restarts (RFC 4724 §3).
    GracefulRestart(GracefulRestart),
    /// For which families several paths of a prefix come and go (RFC 7911 §4).
    AddPath(AddPath),
    /// The begin and the end of an answer to ROUTE-REFRESH are marked (RFC 7313 §3.1).
    EnhancedRefresh,
    /// How long routes are kept beyond the restart time (RFC 9494 §3.1).
    LongLivedRestart(LongLivedRestart),
    /// Any other.
    Unknown {
        /// The capability code.
        code: u8,
        /// The capability value, at most 255 octets.
        value: Box<[u8]>,
    },
}

impl Capability {
    /// The capability to carry a family.
    #[must_use]
    pub const fn multiprotocol(family: Family) -> Self {
        Self::Multiprotocol { afi: family.afi(), safi: 1 }
    }

    /// Appends code, length and value.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Multiprotocol { afi, safi } => {
                let [high, low] = afi.to_be_bytes();
                out.extend_from_slice(&[MULTIPROTOCOL, 4, high, low, 0, *safi]);
            }
            Self::RouteRefresh => out.extend_from_slice(&[ROUTE_REFRESH, 0]),
            Self::EnhancedRefresh => out.extend_from_slice(&[ENHANCED_REFRESH, 0]),
            Self::Role(role) => out.extend_from_slice(&[ROLE, 1, *role]),
            Self::ExtendedMessage => out.extend_from_slice(&[EXTENDED_MESSAGE, 0]),
            Self::FourOctetAs(asn) => {
                out.extend_from_slice(&[FOUR_OCTET_AS, 4]);
                out.extend_from_slice(&asn.0.to_be_bytes());
            }
            Self::GracefulRestart(restart) => {
                counted(GRACEFUL_RESTART, out, |out| restart.encode(out));
            }
            Self::ExtendedNextHop(next_hop) => counted(EXTENDED_NEXT_HOP, out, |out| next_hop.encode(out)),
            Self::LongLivedRestart(restart) => {
                counted(LONG_LIVED_RESTART, out, |out| restart.encode(out));
            }
            Self::AddPath(add_path) => counted(ADD_PATH, out, |out| add_path.encode(out)),
            Self::Unknown { code, value } => {
                let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
                out.extend_from_slice(&[*code, len]);
                out.extend_from_slice(value.get(..usize::from(len)).unwrap_or_default());
            }
        }
    }

    /// Reads the capabilities of one parameter.
    pub(super) fn decode_all(parameter: &[u8], into: &mut Vec<Self>) -> Result<(), Notification> {
        let mut cursor = Cursor::new(parameter);
        while !cursor.is_empty() {
            let capability = Self::decode(&mut cursor).ok_or_else(Notification::malformed_open)?;
            // The same capability may come twice (RFC 5492 §4); once is enough.
            if !into.contains(&capability) {
                into.push(capability);
            }
        }
        Ok(())
    }

    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let code = cursor.u8()?;
        let len = usize::from(cursor.u8()?);
        let value = cursor.take(len)?;
        match (code, value) {
            (MULTIPROTOCOL, &[high, low, _reserved, safi]) => {
                Some(Self::Multiprotocol { afi: u16::from_be_bytes([high, low]), safi })
            }
            (ROUTE_REFRESH, []) => Some(Self::RouteRefresh),
            (EXTENDED_MESSAGE, []) => Some(Self::ExtendedMessage),
            (GRACEFUL_RESTART, value) => GracefulRestart::decode(value).map(Self::GracefulRestart),
            (EXTENDED_NEXT_HOP, value) => ExtendedNextHop::decode(value).map(Self::ExtendedNextHop),
            (LONG_LIVED_RESTART, value) => LongLivedRestart::decode(value).map(Self::LongLivedRestart),
            (ADD_PATH, value) => AddPath::decode(value).map(Self::AddPath),
            (ROLE, &[role]) => Some(Self::Role(role)),
            (ENHANCED_REFRESH, []) => Some(Self::EnhancedRefresh),
            (FOUR_OCTET_AS, &[a, b, c, d]) => Some(Self::FourOctetAs(Asn(u32::from_be_bytes([a, b, c, d])))),
            (
                MULTIPROTOCOL | ROUTE_REFRESH | EXTENDED_MESSAGE | ROLE | FOUR_OCTET_AS | ENHANCED_REFRESH,
                _,
            ) => None,
            _ => Some(Self::Unknown { code, value: value.into() }),
        }
    }
}

/// Appends the code, and a value behind its length.
fn counted(code: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[code, 0]);
    write(out);
    out[start + 1] = u8::try_from(out.len() - start - 2).unwrap_or(u8::MAX);
}
