//! Netlink attributes as bytes: what the kernel sends is walked, never trusted.
//!
//! Only the few attributes that we need are read, so that a kernel that adds or changes
//! others cannot make an ADD fail.

pub use api::nft::attribute::{address, attributes, find, put, put_nested, text, u16_at, u32_at};
