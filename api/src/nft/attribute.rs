//! Netlink attributes as bytes: written in place, and walked without trust in what they say.
//!
//! Numbers of nf_tables are big-endian, those of the attributes' own headers are the host's.

use std::net::IpAddr;

/// Length of `struct nlattr`.
const HEADER: usize = 4;

/// The bits of an attribute's type that are not flags (`NLA_TYPE_MASK`).
const TYPE: u16 = 0x3fff;

/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// Appends an attribute; one that is longer than a header can say is left out, and the kernel then misses it.
pub fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(length) = u16::try_from(HEADER + value.len()) else { return };
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Appends a number as nf_tables writes numbers.
pub fn put_be32(bytes: &mut Vec<u8>, kind: u16, value: u32) {
    put(bytes, kind, &value.to_be_bytes());
}

/// Appends text with its final NUL.
pub fn put_text(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    put(bytes, kind, &value);
}

/// Appends an attribute that holds those which `inside` appends.
pub fn put_nested(bytes: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend([0; HEADER]);
    inside(bytes);
    match u16::try_from(bytes.len() - start) {
        Ok(length) => {
            bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
            bytes[start + 2..start + HEADER].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        }
        Err(_) => bytes.truncate(start),
    }
}

/// Type and value of each attribute in `bytes`, up to the first that is malformed.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & TYPE;
        let value = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of that type.
#[must_use]
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// A number in the host's byte order.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A number in the host's byte order.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A number as nf_tables writes numbers.
#[must_use]
pub fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Text up to the first NUL.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An address of either family, told by its length.
#[must_use]
pub fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_are_padded_and_flags_do_not_count() {
        let mut list = Vec::new();
        put(&mut list, 5, b"xyz12");
        put_nested(&mut list, 3, |inside| put_be32(inside, 1, 7));
        put(&mut list, 7, b"");
        let found: Vec<(u16, Vec<u8>)> =
            attributes(&list).map(|(kind, value)| (kind, value.to_vec())).collect();
        assert_eq!((found[0].0, &found[0].1[..]), (5, &b"xyz12"[..]));
        assert_eq!((found[1].0, find(&found[1].1, 1).and_then(be32)), (3, Some(7)));
        assert_eq!((found[2].0, found.len()), (7, 3));
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let mut list = Vec::new();
        put(&mut list, 1, &[0; 70_000]);
        put_nested(&mut list, 2, |inside| inside.extend([0; 70_000]));
        assert!(list.is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_run_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(attributes(&bytes).count() <= bytes.len() / HEADER);
        }
    }
}
