//! Link-local addresses, which mean something on one link only (RFC 4291 §2.5.6),
//! with the zone that tells which (RFC 4007 §6).
//!
//! Inside the speaker a link-local address carries its zone in octets 4 to 8, which
//! are zero on the wire: one value names a peer or a next hop, and equal addresses on
//! two links are two. Zones come in with [`within`] and [`of_socket`], and go out
//! with [`split`] and [`socket`]; no message holds one. What a zone is the caller
//! says, such as the index of an interface; the speaker never looks at it.

use core::num::NonZeroU32;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The number of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Zone(pub NonZeroU32);

impl Zone {
    /// The zone of this number; `None` for zero.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// Where the zone lies.
const SHIFT: u32 = 64;
/// The 54 bits behind the prefix, zero in a link-local address (RFC 4291 §2.5.6).
const PADDING: u128 = ((1 << 54) - 1) << 64;

/// The address with its zone; `None` if it is no link-local one as RFC 4291 §2.5.6 has it.
#[must_use]
pub const fn within(address: Ipv6Addr, zone: Zone) -> Option<Ipv6Addr> {
    if !address.is_unicast_link_local() || address.to_bits() & PADDING != 0 {
        return None;
    }
    Some(Ipv6Addr::from_bits(address.to_bits() | (zone.0.get() as u128) << SHIFT))
}

/// The address as others know it, and its zone.
#[must_use]
pub const fn split(address: IpAddr) -> (IpAddr, Option<Zone>) {
    match address {
        IpAddr::V6(address) => {
            let (address, zone) = split6(address);
            (IpAddr::V6(address), zone)
        }
        IpAddr::V4(_) => (address, None),
    }
}

/// As [`split`].
#[must_use]
pub const fn split6(address: Ipv6Addr) -> (Ipv6Addr, Option<Zone>) {
    if !address.is_unicast_link_local() {
        return (address, None);
    }
    let bits = address.to_bits();
    match Zone::new((bits >> SHIFT) as u32) {
        Some(zone) => (Ipv6Addr::from_bits(bits & !((u32::MAX as u128) << SHIFT)), Some(zone)),
        None => (address, None),
    }
}

/// The zone of an address.
#[must_use]
pub const fn of(address: IpAddr) -> Option<Zone> {
    split(address).1
}

/// Where to reach the address; its zone is the socket address's scope.
#[must_use]
pub fn socket(address: IpAddr, port: u16) -> SocketAddr {
    match split(address) {
        (IpAddr::V6(plain), Some(zone)) => SocketAddrV6::new(plain, port, 0, zone.0.get()).into(),
        (plain, _) => SocketAddr::new(plain, port),
    }
}

/// The address that a socket address names. What stands where a zone lies is nobody's to say: such an address
/// comes without it, and never as the one of another link.
#[must_use]
pub fn of_socket(socket: SocketAddr) -> IpAddr {
    match socket {
        SocketAddr::V6(six) => {
            let zone = Zone::new(six.scope_id());
            zone.and_then(|zone| within(*six.ip(), zone)).unwrap_or_else(|| split6(*six.ip()).0).into()
        }
        SocketAddr::V4(_) => socket.ip(),
    }
}

/// The address as people write it: `fe80::1%eth1` where `name` knows the zone, else
/// `fe80::1%3` (RFC 4007 §11).
pub fn shown(address: IpAddr, name: impl FnOnce(Zone) -> Option<String>) -> String {
    match split(address) {
        (plain, Some(zone)) => format!("{plain}%{}", name(zone).unwrap_or_else(|| zone.0.to_string())),
        (plain, None) => plain.to_string(),
    }
}
