//! A raw ICMPv6 socket on one interface. Needs CAP_NET_RAW.

use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::message::Packet;

/// Every node of the link (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router of the link.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// What a message of a neighbour leaves with (RFC 4861 §6.1).
const HOPS: u32 = 255;
/// More than an advertisement has; the rest of a longer one is not looked at, and makes it a bad one.
const LONGEST: usize = 1500;

/// The socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// A datagram socket as far as tokio can tell: it waits for it, and sends by it.
    raw: UdpSocket,
    ifindex: u32,
}

impl Socket {
    /// A socket that hears what comes over the interface, and nothing else. Within a tokio runtime.
    ///
    /// # Errors
    /// What the kernel says; `PermissionDenied` without CAP_NET_RAW.
    pub(super) fn open(ifindex: u32, name: &str) -> io::Result<Self> {
        let raw = socket2::Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        raw.bind_device(Some(name.as_bytes()))?;
        raw.set_recv_hoplimit_v6(true)?;
        raw.set_multicast_hops_v6(HOPS)?;
        raw.set_unicast_hops_v6(HOPS)?;
        raw.set_multicast_if_v6(ifindex)?;
        raw.set_multicast_loop_v6(false)?;
        for group in [ALL_NODES, ALL_ROUTERS] {
            raw.join_multicast_v6(&group, ifindex)?;
        }
        raw.set_nonblocking(true)?;
        Ok(Self { raw: UdpSocket::from_std(raw.into())?, ifindex })
    }

    /// Waits for a message and has it read. Cancel-safe: what was not read waits.
    ///
    /// # Errors
    /// What the kernel says, such as of an interface that is gone.
    pub(super) async fn hear<T>(&self, read: impl Fn(&Packet<'_>) -> T) -> io::Result<T> {
        self.raw.async_io(Interest::READABLE, || receive(&self.raw, &read)).await
    }

    /// Says something to all nodes of the link.
    ///
    /// # Errors
    /// What the kernel says, such as of a link that is down.
    pub(super) fn tell_nodes(&self, octets: &[u8]) -> io::Result<()> {
        self.send(ALL_NODES, octets)
    }

    /// Says something to all routers of the link.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn tell_routers(&self, octets: &[u8]) -> io::Result<()> {
        self.send(ALL_ROUTERS, octets)
    }

    fn send(&self, to: Ipv6Addr, octets: &[u8]) -> io::Result<()> {
        let to = SocketAddrV6::new(to, 0, 0, self.ifindex);
        self.raw.try_send_to(octets, to.into()).map(drop)
    }
}

fn receive<T>(raw: &UdpSocket, read: impl Fn(&Packet<'_>) -> T) -> io::Result<T> {
    let mut octets = [0; LONGEST];
    let mut control = nix::cmsg_space!(libc::c_int);
    let (len, source, hop_limit) = {
        let mut into = [IoSliceMut::new(&mut octets)];
        let (from, flags) = (raw.as_raw_fd(), MsgFlags::empty());
        let message = recvmsg::<SockaddrIn6>(from, &mut into, Some(&mut control), flags)?;
        let hop_limit = message.cmsgs()?.find_map(|told| match told {
            ControlMessageOwned::Ipv6HopLimit(limit) => Some(limit),
            _ => None,
        });
        (message.bytes, message.address.map_or(Ipv6Addr::UNSPECIFIED, |from| from.ip()), hop_limit)
    };
    Ok(read(&Packet { source, hop_limit, octets: octets.get(..len).unwrap_or_default() }))
}
