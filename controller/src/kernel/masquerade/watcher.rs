//! Notifications of changes to our table by others.

use std::future::poll_fn;
use std::io;

use api::nft::attribute::{find, text};
use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket};

use super::super::message;
use super::rules::TABLE;

/// `NFNLGRP_NFTABLES` and `NFNL_SUBSYS_NFTABLES` of linux/netfilter/nfnetlink.h.
const GROUP: u32 = 7;
const SUBSYSTEM: u16 = 10;

/// Attribute 1 of tables, and of all that is in one, is the table's name.
const TABLE_NAME: u16 = 1;

/// The length of `struct nfgenmsg`.
const NFGEN: usize = 4;

const DATAGRAM: usize = 64 << 10;

/// The socket.
pub(super) struct Watcher {
    socket: TokioSocket,
    /// Whose changes are not told: our own.
    own_port: u32,
    datagram: Vec<u8>,
}

impl Watcher {
    /// A socket in the network namespace of the calling thread, for the runtime that the thread has entered.
    pub(super) fn open(own_port: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(libc::NETLINK_NETFILTER as isize)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_ref().add_membership(GROUP)?;
        Ok(Self { socket, own_port, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// Waits until somebody else has changed our table, or may have: notifications were lost. Cancel-safe: what a
    /// poll has read it has looked at.
    pub(super) async fn disturbed(&mut self) -> io::Result<()> {
        loop {
            let Self { socket, datagram, .. } = self;
            datagram.clear();
            match poll_fn(|context| socket.poll_recv(context, datagram)).await {
                Ok(()) if !self.concerns() => {}
                Ok(()) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn concerns(&self) -> bool {
        message::messages(&self.datagram).any(|(header, body)| {
            let name = body.get(NFGEN..).and_then(|attributes| find(attributes, TABLE_NAME));
            header.kind >> 8 == SUBSYSTEM
                && header.port != self.own_port
                && name.is_some_and(|name| text(name) == TABLE.1)
        })
    }
}
