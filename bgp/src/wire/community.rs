//! Communities (RFC 1997), extended communities (RFC 4360, RFC 5701), large communities (RFC 8092).

use core::fmt;

/// A standard community: AS in the upper, value in the lower half (RFC 1997).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Community(pub u32);

impl Community {
    /// Not beyond a confederation's border (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// To nobody (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not to external peers, those inside the confederation included (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// Not over bilateral peerings (RFC 3765 §3).
    pub const NO_PEER: Self = Self(0xffff_ff04);
    /// Discard what is sent there (RFC 7999 §5).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
    /// Kept for long while whoever announced the path is away (RFC 9494 §3.2).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// Not to be kept for long (RFC 9494 §3.3).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// About to go away: prefer any other path (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// An extended community as its eight octets (RFC 4360).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtendedCommunity(pub [u8; 8]);

impl ExtendedCommunity {
    /// Whether it goes to other ASes (RFC 4360 §2, the T bit).
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0[0] & NON_TRANSITIVE == 0
    }
}

/// An extended community that holds an IPv6 address, as its twenty octets (RFC 5701 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ipv6ExtendedCommunity(pub [u8; 20]);

impl Ipv6ExtendedCommunity {
    /// Whether it goes to other ASes (RFC 5701 §2, the T bit).
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        self.0[0] & NON_TRANSITIVE == 0
    }
}

/// The T bit of the type's first octet.
const NON_TRANSITIVE: u8 = 0x40;

/// A large community: global administrator and two local values (RFC 8092).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LargeCommunity {
    /// The global administrator, an AS.
    pub global: u32,
    /// The first local value.
    pub local1: u32,
    /// The second local value.
    pub local2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}
