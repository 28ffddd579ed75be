//! The sockets: one a port and family to receive on, one a session to send from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;

use super::watch::Distance;

/// Destination port of control packets (RFC 5881 §4), and of those over several hops (RFC 5883 §5).
const PORT: u16 = 3784;
const MULTIHOP_PORT: u16 = 4784;

/// Source ports (RFC 5881 §4): 49152 to 65535.
const FIRST_SOURCE_PORT: u16 = 49_152;
const SOURCE_PORTS: u16 = 1 << 14;

/// The TTL of what is sent, and over one hop of what is received (RFC 5881 §5).
const TTL: u8 = 255;

/// Class selector 6, network control: a queue in between is not to look like a cut.
const CONTROL: u32 = 0xc0;

/// Where in a packet's header the TTL is, by `SKF_NET_OFF` of linux/filter.h.
const NETWORK_HEADER: u32 = -0x10_0000_i32 as u32;
const IPV4_TTL: u32 = 8;
const IPV6_HOP_LIMIT: u32 = 7;

/// The port that peers at a distance send to.
const fn port(distance: Distance) -> u16 {
    match distance {
        Distance::OneHop => PORT,
        Distance::Several => MULTIHOP_PORT,
    }
}

/// A socket that receives for all sessions of a distance and family. From one hop away the kernel hands on nothing
/// that was forwarded.
///
/// # Errors
/// The kernel's, with the port.
pub(super) fn receiver(distance: Distance, ipv4: bool) -> io::Result<UdpSocket> {
    let any = if ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let address = SocketAddr::new(any, port(distance));
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("UDP {address}: {error}; does another BFD daemon run here?"))
    };
    let socket =
        Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP)).map_err(named)?;
    let open = || {
        if !ipv4 {
            socket.set_only_v6(true)?;
        }
        if distance == Distance::OneHop {
            // Before it is bound: no packet gets in between.
            socket.attach_filter(&not_forwarded(if ipv4 { IPV4_TTL } else { IPV6_HOP_LIMIT }))?;
        }
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)
    };
    open().map_err(named)?;
    UdpSocket::from_std(socket.into()).map_err(named)
}

/// Accepts what left its sender with the greatest TTL and has it yet; a program of the kernel's packet filter for
/// sockets.
fn not_forwarded(at: u32) -> [SockFilter; 4] {
    let statement =
        |code: u32, jump_if, jump_else, operand| SockFilter::new(code as u16, jump_if, jump_else, operand);
    [
        statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, NETWORK_HEADER + at),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from(TTL)),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

/// A socket that sends to one peer, from a port that no other session has.
///
/// # Errors
/// The kernel's, with the peer.
pub(super) fn sender(
    peer: IpAddr,
    source: Option<IpAddr>,
    distance: Distance,
    discriminator: u32,
) -> io::Result<UdpSocket> {
    let remote = SocketAddr::new(peer, port(distance));
    let named = |error: io::Error| io::Error::new(error.kind(), format!("BFD towards {peer}: {error}"));
    let socket = Socket::new(Domain::for_address(remote), Type::DGRAM, Some(Protocol::UDP)).map_err(named)?;
    let any =
        if peer.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let source = source.filter(|source| source.is_ipv4() == peer.is_ipv4()).unwrap_or(any);
    let open = || {
        if peer.is_ipv4() {
            socket.set_ttl_v4(u32::from(TTL))?;
            socket.set_tos_v4(CONTROL)?;
        } else {
            socket.set_unicast_hops_v6(u32::from(TTL))?;
            socket.set_tclass_v6(CONTROL)?;
        }
        bind(&socket, source, discriminator)?;
        socket.set_nonblocking(true)?;
        socket.connect(&remote.into())
    };
    open().map_err(named)?;
    UdpSocket::from_std(socket.into()).map_err(named)
}

/// Takes the first port that is free, from one on that follows from the discriminator.
fn bind(socket: &Socket, source: IpAddr, discriminator: u32) -> io::Result<()> {
    let first = (discriminator % u32::from(SOURCE_PORTS)) as u16;
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..SOURCE_PORTS {
        let port = FIRST_SOURCE_PORT + first.wrapping_add(step) % SOURCE_PORTS;
        match socket.bind(&SocketAddr::new(source, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = error,
            outcome => return outcome,
        }
    }
    Err(taken)
}
