//! What two speakers negotiated, as far as it changes how bytes are read.

use super::add_path::Mode;
use crate::prefix::PerFamily;
use crate::zone::Zone;

/// How the messages of one session are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Codec {
    /// Whether both sides offered ASes of four octets (RFC 6793 §4.1).
    pub four_octet: bool,
    /// Whether the peer is external: some attributes are discarded (RFC 7606 §7).
    pub external: bool,
    /// The families that both sides offered (RFC 4760 §8); prefixes of others are ignored.
    pub families: PerFamily<bool>,
    /// Whether prefixes have Path Identifiers, in what comes and in what goes (RFC 7911 §5).
    pub add_path: PerFamily<Mode>,
    /// Whether IPv4 prefixes may come with IPv6 next hops (RFC 8950 §4): we said so.
    pub extended_next_hop: bool,
    /// The link that a link-local next hop is on; `None` where such a next hop is of no use.
    pub zone: Option<Zone>,
}

impl Codec {
    /// Prefixes stand alone in both directions and families.
    pub const NO_PATH_IDS: PerFamily<Mode> = {
        let none = Mode { receive: false, send: false };
        PerFamily { ipv4: none, ipv6: none }
    };

    /// A number for what changes the meaning of attribute bytes: equal bytes
    /// from sessions of one flavour decode to equal attributes.
    #[must_use]
    pub const fn flavour(&self) -> u8 {
        (self.four_octet as u8) | (self.external as u8) << 1
    }

    /// A codec of that flavour, for no family.
    pub(super) const fn of_flavour(flavour: u8) -> Self {
        Self {
            four_octet: flavour & 1 != 0,
            external: flavour & 2 != 0,
            families: PerFamily { ipv4: false, ipv6: false },
            add_path: Self::NO_PATH_IDS,
            extended_next_hop: false,
            zone: None,
        }
    }
}
