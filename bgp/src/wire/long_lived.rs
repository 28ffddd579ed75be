//! The value of the Long-Lived Graceful Restart Capability (RFC 9494 §3.1).
//!
//! ```text
//!  AFI SAFI F....... stale time, 24 bits | AFI SAFI F....... stale time, 24 bits | …
//! ```

use super::cursor::Cursor;
use crate::prefix::Family;

const FORWARDING: u8 = 1 << 7;
/// The longest stale time, in seconds: 24 bits, some 194 days.
pub const MOST_SECONDS: u32 = (1 << 24) - 1;

/// For which families a speaker asks for its routes to be kept for long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LongLivedRestart {
    /// The families in order.
    pub families: Vec<LongLivedFamily>,
}

/// What is said of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLivedFamily {
    /// The Address Family Identifier.
    pub afi: u16,
    /// The Subsequent Address Family Identifier.
    pub safi: u8,
    /// The Forwarding State bit: what the peer has kept is still good.
    pub forwarding: bool,
    /// The Long-Lived Stale Time in seconds; 24 bits.
    pub seconds: u32,
}

impl LongLivedRestart {
    /// What is said of a family; of several times the last one counts, as it does for
    /// restarts (RFC 4724 §3).
    #[must_use]
    pub fn family(&self, family: Family) -> Option<LongLivedFamily> {
        let named = |said: &&LongLivedFamily| Family::from_afi_safi(said.afi, said.safi) == Some(family);
        self.families.iter().rev().find(named).copied()
    }

    /// Appends the value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for said in &self.families {
            out.extend_from_slice(&said.afi.to_be_bytes());
            out.extend_from_slice(&[said.safi, if said.forwarding { FORWARDING } else { 0 }]);
            let [_, seconds @ ..] = said.seconds.min(MOST_SECONDS).to_be_bytes();
            out.extend_from_slice(&seconds);
        }
    }

    /// Reads a value; `None` where its length is not seven octets for each family.
    /// Reserved bits are ignored.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let mut families = Vec::new();
        while !cursor.is_empty() {
            let (afi, safi) = (cursor.u16()?, cursor.u8()?);
            let [flags, high, middle, low] = cursor.u32()?.to_be_bytes();
            let seconds = u32::from_be_bytes([0, high, middle, low]);
            families.push(LongLivedFamily { afi, safi, forwarding: flags & FORWARDING != 0, seconds });
        }
        Some(Self { families })
    }
}
