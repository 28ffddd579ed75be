//! Effects as one number: FNV-1a over their debug form, which names every field
//! in its order.

use std::fmt::{self, Write};

use bgp::io::Effects;

/// The effects of a turn so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes the effects of one call in.
    pub(super) fn add(&mut self, effects: &Effects) {
        if !effects.is_empty() {
            // Writing to a number does not fail.
            let _ = write!(self, "{effects:?}");
        }
    }
}

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for octet in text.bytes() {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
