//! The value of the Extended Next Hop Encoding Capability (RFC 8950 §4): for which
//! families a speaker takes next hops of another address family.
//!
//! ```text
//!  NLRI AFI  NLRI SAFI  Nexthop AFI | NLRI AFI  NLRI SAFI  Nexthop AFI | …
//! ```

use super::cursor::Cursor;
use crate::prefix::Family;

/// What a speaker says of next hops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedNextHop {
    /// AFI and SAFI of prefixes, and AFI of their next hops, as received.
    pub triples: Vec<(u16, u16, u16)>,
}

/// IPv4 prefixes by IPv6 next hops, the one triple that this speaker has a use for.
const IPV4_BY_IPV6: (u16, u16, u16) = (Family::Ipv4.afi(), 1, Family::Ipv6.afi());

impl ExtendedNextHop {
    /// IPv6 next hops of IPv4 prefixes.
    #[must_use]
    pub fn ipv4_by_ipv6() -> Self {
        Self { triples: vec![IPV4_BY_IPV6] }
    }

    /// Whether IPv4 prefixes may have IPv6 next hops.
    #[must_use]
    pub fn has_ipv4_by_ipv6(&self) -> bool {
        self.triples.contains(&IPV4_BY_IPV6)
    }

    /// Appends the value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for &(afi, safi, next_hop) in &self.triples {
            [afi, safi, next_hop].into_iter().for_each(|part| out.extend_from_slice(&part.to_be_bytes()));
        }
    }

    /// Reads a value; `None` where it is not six octets a triple.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(value);
        let mut triples = Vec::new();
        while !cursor.is_empty() {
            triples.push((cursor.u16()?, cursor.u16()?, cursor.u16()?));
        }
        Some(Self { triples })
    }
}
