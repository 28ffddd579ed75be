//! Notifications of changes to links, addresses and routes.
//!
//! A notification is a reason to look, never knowledge: an interface that is taken down loses its IPv4 routes
//! without a word, and so does a next-hop object that is deleted. Route notifications can be left for a while, because listeners slow bulk writes down.

use std::future::poll_fn;
use std::io;

use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::message::{self, KernelRoute};

/// Room for bursts that arrive while the driver writes or dumps.
const RECEIVE_BUFFER: usize = 64 << 20;
const DATAGRAM: usize = 64 << 10;

/// Datagrams a turn: a burst must not hold up writes.
const TURN: usize = 4096;

/// `RTNLGRP_NEXTHOP` and `RTM_NEWNEXTHOP` to `RTM_GETNEXTHOP` of linux/rtnetlink.h.
const OBJECTS: u32 = 32;
const OBJECT_MESSAGES: std::ops::RangeInclusive<u16> = 104..=106;

const INTERFACES: [u32; 4] =
    [libc::RTNLGRP_LINK, libc::RTNLGRP_IPV4_IFADDR, libc::RTNLGRP_IPV6_IFADDR, OBJECTS];
const ROUTES: [u32; 2] = [libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE];

/// What a notification is about.
#[derive(Debug)]
pub enum Change {
    /// A link, an address, or a next-hop object: with it go routes, without a word.
    Interface,
    /// A route came, changed or went.
    Route(KernelRoute),
    /// Notifications were lost.
    Overrun,
}

/// The socket.
pub struct Monitor {
    socket: TokioSocket,
    /// Whose changes are not told: our own.
    own_port: u32,
    routes: bool,
    /// The datagram that was read last.
    datagram: Vec<u8>,
    /// Whether it has not been looked at.
    unread: bool,
    overrun: bool,
}

impl Monitor {
    /// A socket in the network namespace of the calling thread, for the runtime that the thread has entered.
    /// Changes by `own_port` are not reported.
    ///
    /// # Errors
    /// Those of the kernel and the runtime.
    pub fn open(own_port: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(libc::NETLINK_ROUTE as isize)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        super::buffer::resize(socket.socket_ref(), RECEIVE_BUFFER)?;
        for group in INTERFACES.into_iter().chain(ROUTES) {
            socket.socket_ref().add_membership(group)?;
        }
        let datagram = Vec::with_capacity(DATAGRAM);
        Ok(Self { socket, own_port, routes: true, datagram, unread: false, overrun: false })
    }

    /// Whether route notifications are on.
    #[must_use]
    pub const fn hears_routes(&self) -> bool {
        self.routes
    }

    /// Turns route notifications on or off. After turning them on a dump is due.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn hear_routes(&mut self, on: bool) -> io::Result<()> {
        if on == self.routes {
            return Ok(());
        }
        for group in ROUTES {
            if on {
                self.socket.socket_ref().add_membership(group)?;
            } else {
                self.socket.socket_ref().drop_membership(group)?;
            }
        }
        self.routes = on;
        Ok(())
    }

    /// Waits until there is something to [`take`](Self::take). Cancel-safe: a datagram is read by the poll that
    /// ends the wait, and kept.
    ///
    /// # Errors
    /// Those of the kernel, other than lost notifications.
    pub async fn ready(&mut self) -> io::Result<()> {
        if self.unread || self.overrun {
            return Ok(());
        }
        let Self { socket, datagram, .. } = self;
        datagram.clear();
        match poll_fn(|context| socket.poll_recv(context, datagram)).await {
            Ok(()) => self.unread = true,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.overrun = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Hands over what has arrived; whether more is waiting.
    ///
    /// # Errors
    /// Those of the kernel, other than lost notifications.
    pub fn take(&mut self, mut each: impl FnMut(Change)) -> io::Result<bool> {
        for _ in 0..TURN {
            if std::mem::take(&mut self.overrun) {
                each(Change::Overrun);
            }
            if std::mem::take(&mut self.unread) {
                self.report(&mut each);
            }
            self.datagram.clear();
            match self.socket.socket_ref().recv(&mut self.datagram, libc::MSG_DONTWAIT) {
                Ok(_) => self.unread = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.overrun = true,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn report(&self, each: &mut impl FnMut(Change)) {
        for (header, body) in message::messages(&self.datagram) {
            match header.kind {
                libc::RTM_NEWROUTE | libc::RTM_DELROUTE if header.port != self.own_port => {
                    message::route(body).into_iter().for_each(|route| each(Change::Route(route)));
                }
                libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR => {
                    each(Change::Interface);
                }
                kind if OBJECT_MESSAGES.contains(&kind) && header.port != self.own_port => {
                    each(Change::Interface);
                }
                _ => {}
            }
        }
    }
}
