//! Address families and prefixes. A prefix never holds host bits: they are
//! cleared on construction, so that equal prefixes are equal values.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address family with SAFI 1, unicast (RFC 4760 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Both families, in the order in which they are always walked.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The family's Address Family Identifier.
    #[must_use]
    pub const fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// The family of an AFI and SAFI; `None` for one that the speaker does not carry.
    #[must_use]
    pub const fn from_afi_safi(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4),
            (2, 1) => Some(Self::Ipv6),
            _ => None,
        }
    }

    /// The length of a host prefix: 32 or 128.
    #[must_use]
    pub const fn max_len(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// One value for each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PerFamily<T> {
    /// The value for IPv4 unicast.
    pub ipv4: T,
    /// The value for IPv6 unicast.
    pub ipv6: T,
}

impl<T> core::ops::Index<Family> for PerFamily<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }
}

impl<T> core::ops::IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }
}

/// An IPv4 or IPv6 prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Prefix {
    /// An IPv4 prefix.
    V4(Prefix4),
    /// An IPv6 prefix.
    V6(Prefix6),
}

/// An IPv4 prefix: address bits in host order, length 0 to 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prefix4 {
    bits: u32,
    len: u8,
}

/// An IPv6 prefix: address bits in host order, length 0 to 128.
///
/// Packed, so that a [`Prefix`] takes 24 octets and not 48: there are as many as routes, in tables and on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(Rust, packed(4))]
pub struct Prefix6 {
    bits: u128,
    len: u8,
}

macro_rules! packed {
    ($name:ident, $bits:ty, $address:ty, $max:literal) => {
        impl $name {
            /// The prefix of `len` bits that holds `bits`; `None` if `len` is too long.
            #[must_use]
            pub const fn new(bits: $bits, len: u8) -> Option<Self> {
                if len > $max {
                    return None;
                }
                Some(Self { bits: bits & Self::mask(len), len })
            }

            /// The network mask of `len` bits.
            const fn mask(len: u8) -> $bits {
                if len == 0 { 0 } else { <$bits>::MAX << ($max - len) }
            }

            /// The address bits in host order.
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.bits
            }

            /// The length in bits.
            #[must_use]
            #[expect(clippy::len_without_is_empty, reason = "a prefix length, not a container's")]
            pub const fn len(self) -> u8 {
                self.len
            }

            /// Whether `other` equals this prefix or lies inside it.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.len <= other.len && other.bits & Self::mask(self.len) == self.bits
            }

            /// The first address of the prefix.
            #[must_use]
            pub const fn address(self) -> $address {
                <$address>::from_bits(self.bits)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.address(), self.len)
            }
        }
    };
}

packed!(Prefix4, u32, Ipv4Addr, 32);
packed!(Prefix6, u128, Ipv6Addr, 128);

impl Prefix {
    /// The prefix of `len` bits that holds `address`; `None` if `len` is too long for its family.
    #[must_use]
    pub const fn new(address: IpAddr, len: u8) -> Option<Self> {
        match address {
            IpAddr::V4(address) => match Prefix4::new(address.to_bits(), len) {
                Some(prefix) => Some(Self::V4(prefix)),
                None => None,
            },
            IpAddr::V6(address) => match Prefix6::new(address.to_bits(), len) {
                Some(prefix) => Some(Self::V6(prefix)),
                None => None,
            },
        }
    }

    /// The host prefix of an address.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(Prefix4 { bits: address.to_bits(), len: 32 }),
            IpAddr::V6(address) => Self::V6(Prefix6 { bits: address.to_bits(), len: 128 }),
        }
    }

    /// The prefix's family.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::V4(_) => Family::Ipv4,
            Self::V6(_) => Family::Ipv6,
        }
    }

    /// The first address of the prefix.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        match self {
            Self::V4(prefix) => IpAddr::V4(prefix.address()),
            Self::V6(prefix) => IpAddr::V6(prefix.address()),
        }
    }

    /// The length in bits.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a prefix length, not a container's")]
    pub const fn len(self) -> u8 {
        match self {
            Self::V4(prefix) => prefix.len(),
            Self::V6(prefix) => prefix.len(),
        }
    }

    /// Whether this is `0.0.0.0/0` or `::/0`.
    #[must_use]
    pub const fn is_default(self) -> bool {
        self.len() == 0
    }

    /// Whether this prefix is one address.
    #[must_use]
    pub const fn is_host(self) -> bool {
        self.len() == self.family().max_len()
    }

    /// Whether `other` equals this prefix or lies inside it; never true across families.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        match (self, other) {
            (Self::V4(outer), Self::V4(inner)) => outer.contains(inner),
            (Self::V6(outer), Self::V6(inner)) => outer.contains(inner),
            _ => false,
        }
    }

    /// Whether the address lies inside this prefix.
    #[must_use]
    pub const fn covers(self, address: IpAddr) -> bool {
        self.contains(Self::host(address))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(prefix) => prefix.fmt(f),
            Self::V6(prefix) => prefix.fmt(f),
        }
    }
}

/// Why a text is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a prefix: {problem}")]
pub struct ParsePrefixError {
    text: String,
    problem: &'static str,
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    /// Reads `ADDRESS/LENGTH`; host bits are cleared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let problem = |problem| ParsePrefixError { text: text.to_owned(), problem };
        let (address, len) = text.split_once('/').ok_or(problem("a length after `/` is missing"))?;
        let address: IpAddr = address.parse().map_err(|_| problem("the address is not one"))?;
        if len.is_empty() || len.len() > 3 || !len.bytes().all(|b| b.is_ascii_digit()) {
            return Err(problem("the length is not a number"));
        }
        let len = len.parse().map_err(|_| problem("the length is too long for its family"))?;
        Self::new(address, len).ok_or(problem("the length is too long for its family"))
    }
}
