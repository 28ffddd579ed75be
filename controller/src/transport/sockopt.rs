//! The socket option that no crate sets: TCP MD5 signatures (RFC 2385).

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use super::password::Password;

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

/// Has the kernel sign what goes to a peer from this socket with the key, and
/// drop what comes from it without; on a listener, for the connections that it
/// accepts. Without a key neither.
///
/// # Errors
/// What the kernel says; a key that is taken away and was not there is none.
pub(super) fn set_md5(socket: &impl AsFd, peer: IpAddr, key: Option<&Password>) -> io::Result<()> {
    let octets = key.map_or(&[][..], Password::octets);
    let mut option = TcpMd5Sig {
        address: sockaddr(peer),
        flags: 0,
        prefix_len: 0,
        key_len: u16::try_from(octets.len()).unwrap_or(0),
        ifindex: 0,
        key: [0; Password::MOST],
    };
    option.key[..octets.len()].copy_from_slice(octets);
    match set(socket, &option) {
        Err(error) if key.is_none() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        outcome => outcome,
    }
}

#[allow(unsafe_code)]
fn set(socket: &impl AsFd, option: &TcpMd5Sig) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    let len = size_of::<TcpMd5Sig>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the kernel reads `len` octets of
    // `option`, which is that long, initialised throughout and without padding.
    let outcome = unsafe {
        libc::setsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            std::ptr::from_ref(option).cast(),
            len,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct sockaddr_in` or `sockaddr_in6` with any port, padded.
fn sockaddr(address: IpAddr) -> [u8; 128] {
    let mut octets = [0; 128];
    let family = match address {
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
