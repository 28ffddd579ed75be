//! The value of the Graceful Restart Capability (RFC 4724 §3, RFC 8538 §2).
//!
//! ```text
//!  R N . . | restart time, 12 bits | AFI SAFI F....... | AFI SAFI F....... | …
//! ```

use super::cursor::Cursor;
use crate::prefix::Family;

const RESTARTING: u16 = 1 << 15;
const NOTIFICATION: u16 = 1 << 14;
const TIME: u16 = 0x0fff;
const FORWARDING: u8 = 1 << 7;

/// What a speaker says of restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GracefulRestart {
    /// The Restart State bit: the speaker has restarted.
    pub restarting: bool,
    /// The "N" bit: a NOTIFICATION does not end what a restart would keep (RFC 8538 §2).
    pub notification: bool,
    /// The restart time in seconds: how long a new session may take; 12 bits.
    pub seconds: u16,
    /// AFI, SAFI and the Forwarding State bit of each family whose state survives a restart.
    pub families: Vec<(u16, u8, bool)>,
}

impl GracefulRestart {
    /// The Forwarding State bit of a family; `None` where it is not named.
    #[must_use]
    pub fn forwarding(&self, family: Family) -> Option<bool> {
        let named = |&&(afi, safi, _): &&(u16, u8, bool)| Family::from_afi_safi(afi, safi) == Some(family);
        self.families.iter().find(named).map(|&(_, _, forwarding)| forwarding)
    }

    /// Appends the value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = flag(self.restarting, RESTARTING) | flag(self.notification, NOTIFICATION);
        out.extend_from_slice(&(flags | self.seconds.min(TIME)).to_be_bytes());
        for &(afi, safi, forwarding) in &self.families {
            out.extend_from_slice(&afi.to_be_bytes());
            out.extend_from_slice(&[safi, if forwarding { FORWARDING } else { 0 }]);
        }
    }

    /// Reads a value; `None` where its length is not two octets and four for each family.
    /// Reserved bits are ignored.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let head = cursor.u16()?;
        let mut families = Vec::new();
        while !cursor.is_empty() {
            families.push((cursor.u16()?, cursor.u8()?, cursor.u8()? & FORWARDING != 0));
        }
        Some(Self {
            restarting: head & RESTARTING != 0,
            notification: head & NOTIFICATION != 0,
            seconds: head & TIME,
            families,
        })
    }
}
