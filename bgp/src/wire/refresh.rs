//! ROUTE-REFRESH (RFC 2918 §3, RFC 7313 §3).

use super::header::{self, Kind};
use super::notification::Notification;
use crate::prefix::Family;

/// What a ROUTE-REFRESH asks or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subtype {
    /// Send the Adj-RIB-Out again.
    Request,
    /// The answer begins (BoRR).
    Begin,
    /// The answer has ended (EoRR).
    End,
    /// To be ignored (RFC 7313 §5).
    Unknown(u8),
}

/// A ROUTE-REFRESH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refresh {
    /// The Address Family Identifier.
    pub afi: u16,
    /// The Subsequent Address Family Identifier.
    pub safi: u8,
    /// What is asked or said.
    pub subtype: Subtype,
}

impl Refresh {
    /// The request for a family.
    #[must_use]
    pub const fn request(family: Family) -> Self {
        Self { afi: family.afi(), safi: 1, subtype: Subtype::Request }
    }

    /// The family; `None` for one that this speaker does not carry.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        Family::from_afi_safi(self.afi, self.safi)
    }

    /// Appends the message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = header::begin(out, Kind::RouteRefresh);
        let subtype = match self.subtype {
            Subtype::Request => 0,
            Subtype::Begin => 1,
            Subtype::End => 2,
            Subtype::Unknown(subtype) => subtype,
        };
        let [high, low] = self.afi.to_be_bytes();
        out.extend_from_slice(&[high, low, subtype, self.safi]);
        header::finish(out, start);
    }

    /// The mark before or after an answer (RFC 7313 §3.2).
    #[must_use]
    pub const fn mark(family: Family, subtype: Subtype) -> Self {
        Self { afi: family.afi(), safi: 1, subtype }
    }

    /// Reads the body of a message of a peer that has not offered enhanced
    /// refresh: the third octet is reserved, and ignored (RFC 2918 §3).
    ///
    /// # Errors
    /// 1/2 with the length for a body that is too short.
    pub fn decode_plain(body: &[u8]) -> Result<Self, Notification> {
        match *body {
            [high, low, _reserved, safi, ..] => {
                Ok(Self { afi: u16::from_be_bytes([high, low]), safi, subtype: Subtype::Request })
            }
            _ => Err(Notification::bad_message_length(header::length_of(body))),
        }
    }

    /// Reads the body of a message of a peer that has offered enhanced refresh.
    /// What follows the four octets of a request are filters of RFC 5291, which
    /// were not negotiated: they are ignored.
    ///
    /// # Errors
    /// 7/1 with the message for a BoRR or EoRR of another length (RFC 7313 §5);
    /// 1/2 with the length for anything else that is too short.
    pub fn decode(body: &[u8]) -> Result<Self, Notification> {
        let subtype = match body.get(2).copied() {
            Some(0) => Subtype::Request,
            Some(1) => Subtype::Begin,
            Some(2) => Subtype::End,
            Some(other) => Subtype::Unknown(other),
            None => return Err(Notification::bad_message_length(header::length_of(body))),
        };
        match (body, subtype) {
            (&[high, low, _, safi], _)
            | (&[high, low, _, safi, ..], Subtype::Request | Subtype::Unknown(_)) => {
                Ok(Self { afi: u16::from_be_bytes([high, low]), safi, subtype })
            }
            (_, Subtype::Begin | Subtype::End) => {
                let mut message = Vec::new();
                let start = header::begin(&mut message, Kind::RouteRefresh);
                message.extend_from_slice(body);
                header::finish(&mut message, start);
                Err(Notification::bad_refresh_length(&message))
            }
            _ => Err(Notification::bad_message_length(header::length_of(body))),
        }
    }
}
