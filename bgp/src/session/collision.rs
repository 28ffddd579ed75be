//! Which of two connections with the same peer is kept (RFC 4271 §6.8, RFC 6286 §2.3).

use crate::id::{Asn, RouterId};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// We did.
    Outbound,
    /// The peer did.
    Inbound,
}

impl Side {
    /// Both sides, in the order in which they are always walked.
    pub(super) const ALL: [Self; 2] = [Self::Outbound, Self::Inbound];

    /// The other side.
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Outbound => Self::Inbound,
            Self::Inbound => Self::Outbound,
        }
    }
}

/// The side that a collision keeps: the connection that the speaker with the
/// higher BGP Identifier opened (RFC 4271 §6.8), or, where the identifiers are
/// equal, the one with the higher AS (RFC 6286 §2.3). Both ends come to the
/// same connection. Identifier and AS cannot both be equal: negotiation
/// refuses such a peer.
pub(super) fn preferred(own: (RouterId, Asn), peer: (RouterId, Asn)) -> Side {
    if own > peer { Side::Outbound } else { Side::Inbound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_keep_the_same_connection() {
        let speakers =
            [(1, 65001), (1, 65002), (2, 65001), (0x8000_0000, 1)].map(|(id, asn)| (RouterId(id), Asn(asn)));
        for own in speakers {
            for peer in speakers.into_iter().filter(|peer| *peer != own) {
                assert_eq!(preferred(own, peer), preferred(peer, own).other(), "{own:?} and {peer:?}");
            }
        }
        assert_eq!(preferred(speakers[3], speakers[2]), Side::Outbound, "identifiers are unsigned");
        assert_eq!(preferred(speakers[1], speakers[0]), Side::Outbound, "equal identifiers: the higher AS");
    }
}
