//! Network Layer Reachability Information: prefixes as a length in bits and as
//! few octets as hold them (RFC 4271 §4.3, RFC 4760 §5).

use crate::prefix::{Family, Prefix, Prefix4, Prefix6};

/// The prefixes of one field, syntactically correct (RFC 7606 §5.3): to walk
/// them cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlri<'a> {
    family: Family,
    field: &'a [u8],
}

impl<'a> Nlri<'a> {
    /// Checks a field: no length above the family's, no prefix beyond the field's end.
    #[must_use]
    pub fn parse(family: Family, field: &'a [u8]) -> Option<Self> {
        let mut rest = field;
        while let Some((&len, tail)) = rest.split_first() {
            if len > family.max_len() {
                return None;
            }
            rest = tail.get(octets(len)..)?;
        }
        Some(Self { family, field })
    }

    /// The family of every prefix.
    #[must_use]
    pub const fn family(self) -> Family {
        self.family
    }

    /// Whether there is no prefix.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.field.is_empty()
    }

    /// The field as it lies in the message.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.field
    }

    /// The prefixes in order; host bits are cleared.
    pub fn iter(self) -> impl Iterator<Item = Prefix> + use<'a> {
        self.ipv4().map(Prefix::V4).chain(self.ipv6().map(Prefix::V6))
    }

    /// The prefixes in order if they are IPv4, else none.
    #[must_use]
    pub const fn ipv4(self) -> Prefixes4<'a> {
        Prefixes4 { rest: if matches!(self.family, Family::Ipv4) { self.field } else { &[] } }
    }

    /// The prefixes in order if they are IPv6, else none.
    #[must_use]
    pub const fn ipv6(self) -> Prefixes6<'a> {
        Prefixes6 { rest: if matches!(self.family, Family::Ipv6) { self.field } else { &[] } }
    }
}

/// The octets that hold `bits` bits.
const fn octets(bits: u8) -> usize {
    (bits as usize).div_ceil(8)
}

macro_rules! prefixes {
    ($name:ident, $prefix:ident, $bits:ty, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub struct $name<'a> {
            rest: &'a [u8],
        }

        impl Iterator for $name<'_> {
            type Item = $prefix;

            #[inline]
            fn next(&mut self) -> Option<$prefix> {
                const WIDTH: usize = size_of::<$bits>();
                let (&len, tail) = self.rest.split_first()?;
                // A whole word is read where there is one: `new` clears what is too much.
                let bits = match tail.first_chunk::<WIDTH>() {
                    Some(word) => {
                        self.rest = tail.get(octets(len)..)?;
                        <$bits>::from_be_bytes(*word)
                    }
                    None => {
                        let (taken, rest) = tail.split_at_checked(octets(len))?;
                        self.rest = rest;
                        let mut word = [0; WIDTH];
                        word.get_mut(..taken.len())?.copy_from_slice(taken);
                        <$bits>::from_be_bytes(word)
                    }
                };
                $prefix::new(bits, len)
            }
        }
    };
}

prefixes!(Prefixes4, Prefix4, u32, "The IPv4 prefixes of a field.");
prefixes!(Prefixes6, Prefix6, u128, "The IPv6 prefixes of a field.");

/// The octets that the prefix takes in a field.
#[must_use]
pub const fn encoded_len(prefix: Prefix) -> usize {
    1 + octets(prefix.len())
}

/// Appends the prefix as a field holds it.
#[inline]
pub fn encode(prefix: Prefix, out: &mut Vec<u8>) {
    let len = octets(prefix.len());
    out.push(prefix.len());
    match prefix {
        Prefix::V4(prefix) => {
            out.extend_from_slice(prefix.bits().to_be_bytes().get(..len).unwrap_or_default());
        }
        Prefix::V6(prefix) => {
            out.extend_from_slice(prefix.bits().to_be_bytes().get(..len).unwrap_or_default());
        }
    }
}
