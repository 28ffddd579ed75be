//! Network Layer Reachability Information: prefixes as a length in bits and as
//! few octets as hold them (RFC 4271 §4.3, RFC 4760 §5), behind a Path Identifier
//! where that was negotiated (RFC 7911 §3).

use crate::id::PathId;
use crate::prefix::{Family, Prefix, Prefix4, Prefix6};

/// A prefix as a field names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Which of the sender's paths of the prefix it is; `None` where there is but one (RFC 7911 §3).
    pub id: Option<PathId>,
    /// The prefix.
    pub prefix: Prefix,
}

impl From<Prefix> for Route {
    fn from(prefix: Prefix) -> Self {
        Self { id: None, prefix }
    }
}

/// The octets of a Path Identifier (RFC 7911 §3).
pub(super) const PATH_ID_LEN: usize = 4;

/// The prefixes of one field, syntactically correct (RFC 7606 §5.3): to walk
/// them cannot fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlri<'a> {
    family: Family,
    /// Whether each prefix has a Path Identifier.
    has_ids: bool,
    field: &'a [u8],
}

impl<'a> Nlri<'a> {
    /// Checks a field: no length above the family's, no prefix beyond the field's
    /// end, and before each a Path Identifier if `has_ids` says so.
    #[must_use]
    pub fn parse(family: Family, has_ids: bool, field: &'a [u8]) -> Option<Self> {
        let before = if has_ids { PATH_ID_LEN } else { 0 };
        let mut rest = field;
        while !rest.is_empty() {
            let (&len, tail) = rest.get(before..)?.split_first()?;
            if len > family.max_len() {
                return None;
            }
            rest = tail.get(octets(len)..)?;
        }
        Some(Self { family, has_ids, field })
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

    /// The prefixes in order, each with its Path Identifier; host bits are cleared.
    pub fn routes(self) -> impl Iterator<Item = Route> + use<'a> {
        let (mut ipv4, mut ipv6) = (self.ipv4(), self.ipv6());
        core::iter::from_fn(move || {
            let next = ipv4.step().map(|(id, prefix)| Route { id, prefix: Prefix::V4(prefix) });
            next.or_else(|| ipv6.step().map(|(id, prefix)| Route { id, prefix: Prefix::V6(prefix) }))
        })
    }

    /// The prefixes in order if they are IPv4, else none.
    #[must_use]
    pub const fn ipv4(self) -> Prefixes4<'a> {
        let rest: &[u8] = if matches!(self.family, Family::Ipv4) { self.field } else { &[] };
        Prefixes4 { rest, has_ids: self.has_ids }
    }

    /// The prefixes in order if they are IPv6, else none.
    #[must_use]
    pub const fn ipv6(self) -> Prefixes6<'a> {
        let rest: &[u8] = if matches!(self.family, Family::Ipv6) { self.field } else { &[] };
        Prefixes6 { rest, has_ids: self.has_ids }
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
            has_ids: bool,
        }

        impl Iterator for $name<'_> {
            type Item = $prefix;

            #[inline]
            fn next(&mut self) -> Option<$prefix> {
                self.step().map(|(_, prefix)| prefix)
            }
        }

        impl $name<'_> {
            /// The next prefix with its Path Identifier.
            #[inline]
            fn step(&mut self) -> Option<(Option<PathId>, $prefix)> {
                const WIDTH: usize = size_of::<$bits>();
                let mut id = None;
                if self.has_ids {
                    let (octets, rest) = self.rest.split_first_chunk::<PATH_ID_LEN>()?;
                    id = Some(PathId(u32::from_be_bytes(*octets)));
                    self.rest = rest;
                }
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
                Some((id, $prefix::new(bits, len)?))
            }
        }
    };
}

prefixes!(Prefixes4, Prefix4, u32, "The IPv4 prefixes of a field.");
prefixes!(Prefixes6, Prefix6, u128, "The IPv6 prefixes of a field.");

/// The octets that the prefix takes in a field.
#[must_use]
pub fn encoded_len(route: impl Into<Route>) -> usize {
    let Route { id, prefix } = route.into();
    id.map_or(0, |_| PATH_ID_LEN) + 1 + octets(prefix.len())
}

/// Appends the prefix as a field holds it.
#[inline]
pub fn encode(route: Route, out: &mut Vec<u8>) {
    if let Some(PathId(id)) = route.id {
        out.extend_from_slice(&id.to_be_bytes());
    }
    let len = octets(route.prefix.len());
    out.push(route.prefix.len());
    match route.prefix {
        Prefix::V4(prefix) => {
            out.extend_from_slice(prefix.bits().to_be_bytes().get(..len).unwrap_or_default());
        }
        Prefix::V6(prefix) => {
            out.extend_from_slice(prefix.bits().to_be_bytes().get(..len).unwrap_or_default());
        }
    }
}
