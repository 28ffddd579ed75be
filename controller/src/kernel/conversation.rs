//! A netlink socket by which the kernel is asked and answers: it does so before it returns from the send, so that
//! whoever asks may wait for it.

use std::io;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use super::buffer;
use super::message::{self, Header};

/// How often a dump is made that changes interrupt. The last counts in any case: who interrupted it is heard of.
pub(super) const DUMP_ATTEMPTS: u32 = 4;

/// How long an answer may take that should be there when the send returns.
const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel fills datagrams of a dump up to 32 KiB.
const DATAGRAM: usize = 64 << 10;

/// The socket.
#[derive(Debug)]
pub(super) struct Conversation {
    socket: Socket,
    port: u32,
    datagram: Vec<u8>,
}

impl Conversation {
    /// A socket of a netlink protocol in the network namespace of the calling thread, with room for so many bytes of
    /// answers.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn open(protocol: libc::c_int, room: usize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol as isize)?;
        let port = socket.bind_auto()?.port_number();
        socket.set_cap_ack(true)?;
        buffer::resize(&socket, room)?;
        SockRef::from(&socket).set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, port, datagram: Vec::with_capacity(DATAGRAM) })
    }

    /// For further options of the protocol.
    pub(super) const fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The port by which notifications name this socket as the author of a change.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// Sends in one piece or not at all.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0)?;
        if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Reads messages until `take` says that the last has come.
    ///
    /// # Errors
    /// Those of the kernel and of `take`.
    pub(super) fn receive(
        &mut self,
        mut take: impl FnMut(Header, &[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        loop {
            self.datagram.clear();
            let len = match self.socket.recv(&mut self.datagram, libc::MSG_TRUNC) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if len > self.datagram.len() {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            let mut last = false;
            for (header, body) in message::messages(&self.datagram) {
                last |= take(header, body)?;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Gives `each` answer to the request of that sequence number, up to the end of a dump or the acknowledgement;
    /// whether no change interrupted it.
    ///
    /// # Errors
    /// Those of the kernel and of `each`.
    pub(super) fn answers(
        &mut self,
        sequence: u32,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let mut whole = true;
        self.receive(|header, body| {
            if header.sequence != sequence {
                return Ok(false);
            }
            whole &= i32::from(header.flags) & libc::NLM_F_DUMP_INTR == 0;
            match i32::from(header.kind) {
                // The end of a dump carries an error too.
                libc::NLMSG_DONE | libc::NLMSG_ERROR => match message::errno(body) {
                    Some(0) | None => Ok(true),
                    Some(errno) => Err(io::Error::from_raw_os_error(i32::from(errno))),
                },
                _ => {
                    each(body)?;
                    Ok(false)
                }
            }
        })?;
        Ok(whole)
    }
}
