//! What two speakers negotiated, as far as it changes how bytes are read.

use crate::prefix::PerFamily;

/// How the messages of one session are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Codec {
    /// Whether both sides offered ASes of four octets (RFC 6793 §4.1).
    pub four_octet: bool,
    /// Whether the peer is external: some attributes are discarded (RFC 7606 §7).
    pub external: bool,
    /// The families that both sides offered (RFC 4760 §8); prefixes of others are ignored.
    pub families: PerFamily<bool>,
}

impl Codec {
    /// A number for what changes the meaning of attribute bytes: equal bytes
    /// from sessions of one flavour decode to equal attributes.
    #[must_use]
    pub const fn flavour(&self) -> u8 {
        (self.four_octet as u8) | (self.external as u8) << 1
    }
}
