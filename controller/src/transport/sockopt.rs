//! The socket options that no crate sets: TCP MD5 signatures (RFC 2385), for one
//! peer or a prefix of them, and the least TTL of what is received (RFC 5082).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use bgp::prefix::Prefix;
use bgp::zone;

use super::password::Password;

/// The greatest TTL, which nobody further away can have left (RFC 5082 §2.1).
const MOST: u8 = 255;

/// `TCP_MD5SIG_EXT` of linux/tcp.h.
const TCP_MD5SIG_EXT: libc::c_int = 32;

/// `TCP_MD5SIG_FLAG_PREFIX` of linux/tcp.h: the key is of all addresses in a prefix.
const FLAG_PREFIX: u8 = 1;

/// How far away a peer may be, in hops: 1 is a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hops {
    /// As far as the system's own TTL gets.
    #[default]
    Any,
    /// So far: what is sent gets no further, what comes may be from anywhere.
    AtMost(u8),
    /// So far, and what comes from further away is dropped (RFC 5082, GTSM).
    Proven(u8),
}

/// `struct tcp_md5sig` of linux/tcp.h: 216 octets, aligned as a
/// `__kernel_sockaddr_storage` is.
#[repr(C, align(8))]
struct TcpMd5Sig {
    address: [u8; 128],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: i32,
    key: [u8; Password::MOST],
}

const _: () = assert!(size_of::<TcpMd5Sig>() == 216);

/// Has the kernel sign what goes to the peers in a prefix from this socket with
/// the key, and drop what comes from them without; on a listener, for the
/// connections that it accepts. Without a key neither. Of overlapping prefixes
/// the longest counts.
///
/// # Errors
/// What the kernel says; a key that is taken away and was not there is none.
pub(super) fn set_md5(socket: &impl AsFd, peers: Prefix, key: Option<&Password>) -> io::Result<()> {
    let octets = key.map_or(&[][..], Password::octets);
    // A kernel older than 4.13 knows the keys of single peers alone.
    let (name, flags, prefix_len) =
        if peers.is_host() { (libc::TCP_MD5SIG, 0, 0) } else { (TCP_MD5SIG_EXT, FLAG_PREFIX, peers.len()) };
    let mut option = TcpMd5Sig {
        address: sockaddr(peers.address()),
        flags,
        prefix_len,
        key_len: u16::try_from(octets.len()).unwrap_or(0),
        ifindex: 0,
        key: [0; Password::MOST],
    };
    option.key[..octets.len()].copy_from_slice(octets);
    match set(socket, libc::IPPROTO_TCP, name, &option) {
        Err(error) if key.is_none() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        outcome => outcome,
    }
}

/// Has the kernel send to a peer of this family with the TTL that its distance
/// asks for, and drop what comes from further away where that is to be proven.
///
/// # Errors
/// What the kernel says.
pub(super) fn set_hops(socket: &impl AsFd, ipv4: bool, hops: Hops) -> io::Result<()> {
    let (sent, least) = ttls(hops);
    let (level, ttl, least_ttl) = options(ipv4);
    set(socket, level, ttl, &sent)?;
    set(socket, level, least_ttl, &least)
}

/// The same of a connection as a listener gives it, which has the listener's greatest TTL and no least one: only
/// what differs from that is set.
///
/// # Errors
/// What the kernel says.
pub(super) fn set_hops_accepted(socket: &impl AsFd, ipv4: bool, hops: Hops) -> io::Result<()> {
    let (sent, least) = ttls(hops);
    let (level, ttl, least_ttl) = options(ipv4);
    if sent != libc::c_int::from(MOST) {
        set(socket, level, ttl, &sent)?;
    }
    if least != 0 { set(socket, level, least_ttl, &least) } else { Ok(()) }
}

/// The TTL to send with, -1 for the system's own, and the least one to receive, 0 for none. A packet of a neighbour has
/// not been forwarded, so that its TTL is 255 yet (RFC 5082 §3).
const fn ttls(hops: Hops) -> (libc::c_int, libc::c_int) {
    match hops {
        Hops::Any => (-1, 0),
        Hops::AtMost(hops) => (hops as libc::c_int, 0),
        Hops::Proven(hops) => (MOST as libc::c_int, MOST as libc::c_int + 1 - hops as libc::c_int),
    }
}

/// The level, and the options of the TTL and of the least one.
const fn options(ipv4: bool) -> (libc::c_int, libc::c_int, libc::c_int) {
    if ipv4 {
        (libc::IPPROTO_IP, libc::IP_TTL, libc::IP_MINTTL)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, libc::IPV6_MINHOPCOUNT)
    }
}

/// Has a listener answer with the greatest TTL: a peer that asks for it (RFC 5082)
/// drops the second segment of the handshake else, before anybody knows who it is.
///
/// # Errors
/// What the kernel says.
pub(super) fn answer_from_anywhere(listener: &impl AsFd, ipv4: bool) -> io::Result<()> {
    let (level, name) =
        if ipv4 { (libc::IPPROTO_IP, libc::IP_TTL) } else { (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS) };
    set(listener, level, name, &libc::c_int::from(MOST))
}

/// What may be the value of an option: without padding, and any octets of it are fine to be read.
trait Value {}

impl Value for TcpMd5Sig {}

impl Value for libc::c_int {}

#[allow(unsafe_code)]
fn set<T: Value>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, option: &T) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `len` octets of
    // `option`, which is that long, initialised throughout and without padding.
    let outcome =
        unsafe { libc::setsockopt(descriptor, level, name, std::ptr::from_ref(option).cast(), len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct sockaddr_in` or `sockaddr_in6` with any port, padded. The kernel knows keys by address alone.
fn sockaddr(address: IpAddr) -> [u8; 128] {
    let mut octets = [0; 128];
    let family = match zone::split(address).0 {
        IpAddr::V4(address) => {
            octets[4..8].copy_from_slice(&address.octets());
            libc::AF_INET
        }
        IpAddr::V6(address) => {
            octets[8..24].copy_from_slice(&address.octets());
            libc::AF_INET6
        }
    };
    octets[..2].copy_from_slice(&(family as libc::sa_family_t).to_ne_bytes());
    octets
}
