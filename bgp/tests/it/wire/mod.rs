//! The codec: golden octets, the table of RFC 7606, properties, an oracle.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test that calls it")]

mod add_path;
mod attribute;
mod extended_next_hop;
mod frame;
mod grade;
mod long_lived;
mod mrt;
mod notification;
mod open;
mod oracle;
mod pack;
mod property;
mod refresh;
mod restart;
mod strategy;
mod update;

use bgp::prefix::{PerFamily, Prefix};
use bgp::wire::codec::Codec;

/// Octets written in hex; white space is for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "whole octets: {text}");
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A message: marker and length before the type and the body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend(u16::try_from(19 + body.len()).unwrap().to_be_bytes());
    message.push(kind);
    message.extend(body);
    message
}

/// The body of an UPDATE with these three fields.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = u16::try_from(withdrawn.len()).unwrap().to_be_bytes().to_vec();
    body.extend(withdrawn);
    body.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    body
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// An external peer of four-octet ASes and both families.
pub(super) const EXTERNAL: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

/// The same, internal.
pub(super) const INTERNAL: Codec = Codec { external: false, ..EXTERNAL };

/// An external peer of two-octet ASes.
const OLD: Codec = Codec { four_octet: false, ..EXTERNAL };
