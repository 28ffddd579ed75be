//! Sets, their elements, and chains, as data.

use super::rule::Rule;

/// What a set's keys or a map's values are made of; the number is `nft`'s for listing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// An IPv4 address.
    Address4 = 7,
    /// An IPv6 address.
    Address6 = 8,
    /// The protocol above IP.
    Protocol = 12,
    /// A port.
    Port = 13,
    /// The name of an interface.
    Interface = 41,
}

impl Kind {
    /// Bytes in a key of several parts, where each fills whole words.
    pub(super) const fn bytes(self) -> u32 {
        match self {
            Self::Address4 | Self::Protocol | Self::Port => 4,
            Self::Address6 | Self::Interface => 16,
        }
    }
}

/// A set, or a map where it has values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name in its table.
    pub name: String,
    /// The parts of a key.
    pub key: Vec<Kind>,
    /// The parts of a value; none for a set.
    pub value: Vec<Kind>,
    /// Its elements are the ends of intervals.
    pub intervals: bool,
}

/// An element of a set or map; parts of several fill whole words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The value's bytes; empty in a set.
    pub value: Vec<u8>,
    /// It ends an interval and is not part of it.
    pub end: bool,
    /// Whose it is; empty for none.
    pub comment: String,
}

/// The elements of a set of intervals that holds these prefixes, each given by its first address and its length.
#[must_use]
pub fn prefixes(list: impl Iterator<Item = (Vec<u8>, u8)>) -> Vec<Element> {
    let mut ranges: Vec<(Vec<u8>, Option<Vec<u8>>)> =
        list.map(|(first, bits)| (first.clone(), behind(&first, bits))).collect();
    ranges.sort();
    let mut merged: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::with_capacity(ranges.len());
    for (first, end) in ranges {
        match merged.last_mut() {
            // An interval without an end reaches the last address.
            Some((_, last)) if last.as_ref().is_none_or(|last| *last >= first) => {
                if last.is_some() && (end.is_none() || end > *last) {
                    *last = end;
                }
            }
            _ => merged.push((first, end)),
        }
    }
    let bound = |key, end| Element { key, value: Vec::new(), end, comment: String::new() };
    merged
        .into_iter()
        .flat_map(|(first, end)| [Some(bound(first, false)), end.map(|end| bound(end, true))])
        .flatten()
        .collect()
}

/// The address behind a prefix; none behind the last.
fn behind(first: &[u8], bits: u8) -> Option<Vec<u8>> {
    let mut end = first.to_vec();
    let bits = usize::from(bits);
    let at = bits.checked_sub(1)? / 8;
    let step = 1_u8 << (7 - (bits - 1) % 8);
    let mut carry = step;
    for byte in end.get_mut(..=at)?.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add(carry);
        *byte = sum;
        if !over {
            return Some(end);
        }
        carry = 1;
    }
    None
}

/// Where packets enter a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// `NF_INET_…`.
    pub number: u32,
    /// Lower ones come first.
    pub priority: i32,
}

impl Hook {
    /// Before routing.
    pub const PREROUTING: u32 = 0;
    /// Between two interfaces.
    pub const FORWARD: u32 = 2;
    /// What this host sends.
    pub const OUTPUT: u32 = 3;
    /// After routing.
    pub const POSTROUTING: u32 = 4;
}

/// A chain with its rules; without a hook it is one that others jump to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name in its table.
    pub name: String,
    /// Where packets enter.
    pub hook: Option<Hook>,
    /// In order.
    pub rules: Vec<Rule>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[([u8; 4], u8)]) -> Vec<(Vec<u8>, bool)> {
        prefixes(list.iter().map(|(first, bits)| (first.to_vec(), *bits)))
            .into_iter()
            .map(|element| (element.key, element.end))
            .collect()
    }

    #[test]
    fn prefixes_become_intervals_that_do_not_touch() {
        assert_eq!(
            set(&[([10, 1, 0, 0], 16), ([10, 0, 0, 0], 16), ([10, 0, 5, 0], 24), ([192, 0, 2, 1], 32)]),
            [
                (vec![10, 0, 0, 0], false),
                (vec![10, 2, 0, 0], true),
                (vec![192, 0, 2, 1], false),
                (vec![192, 0, 2, 2], true),
            ]
        );
        assert_eq!(set(&[([10, 255, 255, 0], 24)])[1], (vec![11, 0, 0, 0], true));
    }

    #[test]
    fn the_last_address_has_nothing_behind_it() {
        assert_eq!(set(&[([224, 0, 0, 0], 3), ([240, 0, 0, 0], 8)]), [(vec![224, 0, 0, 0], false)]);
        assert_eq!(set(&[([0, 0, 0, 0], 0), ([10, 0, 0, 0], 8)]), [(vec![0, 0, 0, 0], false)]);
        assert_eq!(set(&[([255, 255, 255, 255], 32)]), [(vec![255, 255, 255, 255], false)]);
    }
}
