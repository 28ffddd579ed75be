//! Prefixes as keys of a table: packed to the octets that they need.

use core::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::prefix::{Family, Prefix, Prefix4, Prefix6};

/// A prefix of one family.
pub trait Key: Copy + Eq + core::fmt::Debug {
    /// The address bits as an entry stores them, aligned to four octets.
    type Bits: Copy + Eq + Default + core::fmt::Debug;

    /// The family.
    const FAMILY: Family;

    /// The address bits.
    fn bits(self) -> Self::Bits;

    /// The length.
    fn length(self) -> u8;

    /// The prefix of address bits and a length that came from a key.
    fn from_parts(bits: Self::Bits, len: u8) -> Self;

    /// The prefix of `len` bits that holds an address; `None` across families.
    fn covering(address: IpAddr, len: u8) -> Option<Self>;

    /// The prefix as a value of either family.
    fn prefix(self) -> Prefix;

    /// The hash, good in its upper bits too.
    fn hash(self, hasher: &FixedState) -> u64;
}

impl Key for Prefix4 {
    type Bits = u32;

    const FAMILY: Family = Family::Ipv4;

    fn bits(self) -> u32 {
        Self::bits(self)
    }

    fn length(self) -> u8 {
        self.len()
    }

    fn from_parts(bits: u32, len: u8) -> Self {
        Self::new(bits, len).expect("the length came from a prefix")
    }

    fn covering(address: IpAddr, len: u8) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::new(address.to_bits(), len),
            IpAddr::V6(_) => None,
        }
    }

    fn prefix(self) -> Prefix {
        Prefix::V4(self)
    }

    fn hash(self, hasher: &FixedState) -> u64 {
        hasher.hash_one(u64::from(Self::bits(self)) << 8 | u64::from(self.len()))
    }
}

/// 128 bits at the alignment of 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits6([u32; 4]);

impl Bits6 {
    fn pack(bits: u128) -> Self {
        Self([(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32])
    }

    fn unpack(self) -> u128 {
        self.0.iter().fold(0, |bits, &word| bits << 32 | u128::from(word))
    }
}

impl Key for Prefix6 {
    type Bits = Bits6;

    const FAMILY: Family = Family::Ipv6;

    fn bits(self) -> Bits6 {
        Bits6::pack(Self::bits(self))
    }

    fn length(self) -> u8 {
        self.len()
    }

    fn from_parts(bits: Bits6, len: u8) -> Self {
        Self::new(bits.unpack(), len).expect("the length came from a prefix")
    }

    fn covering(address: IpAddr, len: u8) -> Option<Self> {
        match address {
            IpAddr::V6(address) => Self::new(address.to_bits(), len),
            IpAddr::V4(_) => None,
        }
    }

    fn prefix(self) -> Prefix {
        Prefix::V6(self)
    }

    fn hash(self, hasher: &FixedState) -> u64 {
        hasher.hash_one((Self::bits(self), self.len()))
    }
}
