//! The socket for dumps and for writes in batches; blocks until the kernel has answered, which it does before it
//! returns from the send.
//!
//! Of a batch only the last message asks for an acknowledgement. The kernel reports each message that failed by its
//! sequence number, without being asked; so silence before the last answer means success, and each failure keeps its
//! errno. Where an answer was lost the batch is *unknown*, and a dump alone tells what became of it.

use std::io;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use super::message::{self, Header};
use super::plan::Operation;
use super::request;

/// How long an answer may take that should be there when the send returns.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages a send: more gain nothing, 64 get most of it.
const BATCH: usize = 1000;

/// Answers to so many messages fit into any receive buffer.
const SMALLEST_BATCH: usize = 16;

/// Bytes a send, well below the default send buffer.
const BATCH_BYTES: usize = 96 << 10;

/// Room for the answers to a batch that fails as a whole: about 1 KiB each.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The kernel fills datagrams of a dump up to 32 KiB.
const DATAGRAM: usize = 64 << 10;

/// How often a dump is made that changes interrupt. The last counts in any case: what interrupted it is notified,
/// and makes the next dump due.
const DUMP_ATTEMPTS: u32 = 4;

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// The errno of each operation of the batch, zero for success, in their order.
    Known(Vec<u16>),
    /// An answer was lost: nothing is known of the batch's operations.
    Unknown(io::Error),
}

/// The socket.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    port: u32,
    sequence: u32,
    /// Operations a batch: halved when answers are lost, because the same would happen again.
    limit: usize,
    request: Vec<u8>,
    datagram: Vec<u8>,
}

impl Netlink {
    /// A socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn open() -> io::Result<Self> {
        Self::with_buffer(RECEIVE_BUFFER)
    }

    /// The same with room for so many bytes of answers.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn with_buffer(bytes: usize) -> io::Result<Self> {
        let mut socket = Socket::new(libc::NETLINK_ROUTE as isize)?;
        let port = socket.bind_auto()?.port_number();
        socket.set_cap_ack(true)?;
        // Without it the kernel ignores the table that a dump asks for.
        socket.set_netlink_get_strict_chk(true)?;
        super::buffer::resize(&socket, bytes)?;
        SockRef::from(&socket).set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            port,
            sequence: 0,
            limit: BATCH,
            request: Vec::with_capacity(BATCH_BYTES),
            datagram: Vec::with_capacity(DATAGRAM),
        })
    }

    /// The port number by which notifications name this socket as the author of a change.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// The most operations that the next batch should have.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Writes the operations, in one send or a few.
    pub fn write(&mut self, operations: &[Operation]) -> Outcome {
        let mut results = vec![0; operations.len()];
        let mut done = 0;
        while done < operations.len() {
            match self.send(&operations[done..], &mut results[done..]) {
                Ok(count) => done += count,
                Err(error) => {
                    self.limit = (self.limit / 2).max(SMALLEST_BATCH);
                    return Outcome::Unknown(error);
                }
            }
        }
        Outcome::Known(results)
    }

    /// Sends as many operations as fit, and fills in the failures; how many it sent.
    fn send(&mut self, operations: &[Operation], results: &mut [u16]) -> io::Result<usize> {
        let first = self.sequence.wrapping_add(1);
        self.request.clear();
        let mut sent = 0;
        for operation in operations {
            let last = sent + 1 == operations.len() || self.request.len() >= BATCH_BYTES;
            self.sequence = self.sequence.wrapping_add(1);
            request::operation(&mut self.request, operation, self.sequence, last);
            sent += 1;
            if last {
                break;
            }
        }
        self.transmit()?;
        let last = self.sequence;
        self.receive(|header, body| {
            let at = header.sequence.wrapping_sub(first) as usize;
            if i32::from(header.kind) != libc::NLMSG_ERROR || at >= sent {
                return Ok(false);
            }
            results[at] = message::errno(body).unwrap_or(libc::EPROTO as u16);
            Ok(header.sequence == last)
        })?;
        Ok(sent)
    }

    /// What `read` makes of the one message that answers a request.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn ask<T>(
        &mut self,
        request: impl Fn(u32) -> Vec<u8>,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.request = request(sequence);
        self.transmit()?;
        let mut found = None;
        self.receive(|header, body| {
            if header.sequence != sequence {
                return Ok(false);
            }
            if i32::from(header.kind) == libc::NLMSG_ERROR {
                let errno = message::errno(body).unwrap_or(libc::EPROTO as u16);
                return Err(io::Error::from_raw_os_error(i32::from(errno)));
            }
            found = read(body);
            Ok(true)
        })?;
        Ok(found)
    }

    /// What `read` makes of the messages of a dump; `request` makes the request for a sequence number.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn dump<T>(
        &mut self,
        request: impl Fn(u32) -> Vec<u8>,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            found.clear();
            if self.dump_once(&request, &read, &mut found)? {
                break;
            }
        }
        Ok(found)
    }

    /// Whether the dump was not interrupted by a change.
    fn dump_once<T>(
        &mut self,
        request: &impl Fn(u32) -> Vec<u8>,
        read: &impl Fn(&[u8]) -> Option<T>,
        found: &mut Vec<T>,
    ) -> io::Result<bool> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.request = request(sequence);
        self.transmit()?;
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
                    found.extend(read(body));
                    Ok(false)
                }
            }
        })?;
        Ok(whole)
    }

    fn transmit(&mut self) -> io::Result<()> {
        let sent = self.socket.send_to(&self.request, &SocketAddr::new(0, 0), 0)?;
        if sent == self.request.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Reads messages until `take` says that the last has come.
    fn receive(&mut self, mut take: impl FnMut(Header, &[u8]) -> io::Result<bool>) -> io::Result<()> {
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
}
