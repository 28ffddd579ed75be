//! Numbers that name things: autonomous systems, routers, peers, connections.

use core::fmt;
use std::net::Ipv4Addr;

/// An autonomous system number of four octets (RFC 6793).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Asn(pub u32);

impl Asn {
    /// What a speaker of four octets puts into a two-octet field (RFC 6793 §9).
    pub const TRANS: Self = Self(23456);

    /// Whether the number fits in two octets.
    #[must_use]
    pub const fn is_two_octet(self) -> bool {
        self.0 <= 0xffff
    }

    /// Whether the number is for private use (RFC 6996 §5).
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(self.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The BGP Identifier: four octets, non-zero, unique within an AS (RFC 6286 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouterId(pub u32);

impl From<Ipv4Addr> for RouterId {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.to_bits())
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from_bits(self.0).fmt(f)
    }
}

/// The Path Identifier: tells the paths of one prefix apart that a speaker sends
/// to a peer (RFC 7911 §3). Its sender chooses it, and any value may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A configured peer, as the speaker numbers it; never reused for another peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerId(pub u32);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer{}", self.0)
    }
}

/// One TCP connection. The two ends of the range never meet: the speaker
/// numbers what it opens, the listener numbers what it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ConnId {
    /// Opened by us on [`Transport::Connect`](crate::io::Transport::Connect).
    Outbound(u64),
    /// Accepted by our listener.
    Inbound(u64),
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outbound(n) => write!(f, "out{n}"),
            Self::Inbound(n) => write!(f, "in{n}"),
        }
    }
}
