//! The value of the ADD-PATH Capability (RFC 7911 §4): for which families a speaker
//! takes several paths of a prefix, and for which it sends them.
//!
//! ```text
//!  AFI SAFI Send/Receive | AFI SAFI Send/Receive | …
//! ```

use super::cursor::Cursor;
use crate::prefix::Family;

const RECEIVE: u8 = 1;
const SEND: u8 = 2;

/// What a speaker says of Path Identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddPath {
    /// AFI, SAFI and the Send/Receive field of each family, as received.
    pub families: Vec<(u16, u8, u8)>,
}

/// What a speaker does with the Path Identifiers of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mode {
    /// It takes several paths of a prefix.
    pub receive: bool,
    /// It sends them.
    pub send: bool,
}

impl AddPath {
    /// Names a family; nothing where the speaker does neither.
    pub fn name(&mut self, family: Family, mode: Mode) {
        let octet = if mode.receive { RECEIVE } else { 0 } | if mode.send { SEND } else { 0 };
        if octet != 0 {
            self.families.push((family.afi(), 1, octet));
        }
    }

    /// What is said of a family; of several times the last one counts, as it does
    /// for restarts (RFC 4724 §3).
    ///
    /// Deviation: RFC 7911 §4 has the whole capability ignored for one unknown
    /// value. Here the family that it stands beside is ignored, since some speakers
    /// name families of which they want nothing with a zero.
    #[must_use]
    pub fn mode(&self, family: Family) -> Option<Mode> {
        let named = self.families.iter().rev();
        let mut known = named.filter(|&&(_, _, octet)| matches!(octet, 1..=3));
        let octet = known.find(|&&(afi, safi, _)| Family::from_afi_safi(afi, safi) == Some(family))?.2;
        Some(Mode { receive: octet & RECEIVE != 0, send: octet & SEND != 0 })
    }

    /// Appends the value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for &(afi, safi, octet) in &self.families {
            out.extend_from_slice(&afi.to_be_bytes());
            out.extend_from_slice(&[safi, octet]);
        }
    }

    /// Reads a value; `None` where it is not four octets a family.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let mut families = Vec::new();
        while !cursor.is_empty() {
            families.push((cursor.u16()?, cursor.u8()?, cursor.u8()?));
        }
        Some(Self { families })
    }
}
