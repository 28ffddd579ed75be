//! The socket for dumps and for writes in batches; blocks until the kernel has answered, which it does before it
//! returns from the send.
//!
//! Of a batch only the last message asks for an acknowledgement. The kernel reports each message that failed by its
//! sequence number, without being asked; so silence before the last answer means success, and each failure keeps its
//! errno. Where an answer was lost the batch is *unknown*, and a dump alone tells what became of it.

use std::io;

use super::conversation::{Conversation, DUMP_ATTEMPTS};
use super::message;
use super::object::{self, Change};
use super::plan::Operation;
use super::request;

/// Messages a send: more gain nothing, 64 get most of it.
const BATCH: usize = 1000;

/// Answers to so many messages fit into any receive buffer.
const SMALLEST_BATCH: usize = 16;

/// Changes of objects a send: one of a group may be 2 KiB long.
const CHANGES: usize = 32;

/// Bytes a send, well below the default send buffer.
const BATCH_BYTES: usize = 96 << 10;

/// Room for the answers to a batch that fails as a whole: about 1 KiB each.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// The errno of each operation of the batch, zero for success, in their order.
    Known(Vec<u16>),
    /// An answer was lost: nothing is known of the batch's operations.
    Unknown(io::Error),
}

/// A part of a dump.
#[derive(Debug)]
pub enum Part<'a> {
    /// It begins, perhaps anew: what was read before is void.
    Start,
    /// What follows the header of one message.
    Message(&'a [u8]),
}

/// The socket.
#[derive(Debug)]
pub struct Netlink {
    conversation: Conversation,
    sequence: u32,
    /// Operations a batch: halved when answers are lost, because the same would happen again.
    limit: usize,
    request: Vec<u8>,
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
        let mut conversation = Conversation::open(libc::NETLINK_ROUTE, bytes)?;
        // Without it the kernel ignores the table that a dump asks for.
        conversation.socket().set_netlink_get_strict_chk(true)?;
        Ok(Self { conversation, sequence: 0, limit: BATCH, request: Vec::with_capacity(BATCH_BYTES) })
    }

    /// The port number by which notifications name this socket as the author of a change.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.conversation.port()
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
        self.conversation.send(&self.request)?;
        let last = self.sequence;
        self.conversation.receive(|header, body| {
            let at = header.sequence.wrapping_sub(first) as usize;
            if i32::from(header.kind) != libc::NLMSG_ERROR || at >= sent {
                return Ok(false);
            }
            results[at] = message::errno(body).unwrap_or(libc::EPROTO as u16);
            Ok(header.sequence == last)
        })?;
        Ok(sent)
    }

    /// Makes changes of next-hop objects of this protocol number; of each the object's number, or the errno.
    ///
    /// # Errors
    /// Those of the kernel; nothing is known of the changes then.
    pub fn change(&mut self, changes: &[Change], protocol: u8) -> io::Result<Vec<Result<u32, u16>>> {
        let mut results = Vec::with_capacity(changes.len());
        for changes in changes.chunks(CHANGES) {
            let first = self.sequence.wrapping_add(1);
            self.request.clear();
            for change in changes {
                self.sequence = self.sequence.wrapping_add(1);
                object::message::change(&mut self.request, change, protocol, self.sequence);
            }
            self.conversation.send(&self.request)?;
            let known = |change: &Change| match change {
                Change::Regroup(id, _) | Change::Delete(id) => Ok(*id),
                Change::Hop(_) | Change::Group(_) => Err(libc::EPROTO as u16),
            };
            let start = results.len();
            results.extend(changes.iter().map(known));
            let (last, results) = (self.sequence, &mut results[start..]);
            self.conversation.receive(|header, body| {
                let at = header.sequence.wrapping_sub(first) as usize;
                let Some(result) = results.get_mut(at) else { return Ok(false) };
                // What was made is told before it is acknowledged.
                if header.kind == object::message::NEW {
                    *result =
                        object::message::object(body).map_or(Err(libc::EPROTO as u16), |made| Ok(made.id));
                }
                if i32::from(header.kind) != libc::NLMSG_ERROR {
                    return Ok(false);
                }
                match message::errno(body) {
                    Some(0) => {}
                    errno => *result = Err(errno.unwrap_or(libc::EPROTO as u16)),
                }
                Ok(header.sequence == last)
            })?;
        }
        Ok(results)
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
        self.conversation.send(&self.request)?;
        let mut found = None;
        self.conversation.receive(|header, body| {
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
        self.try_dump(request, |part| {
            match part {
                Part::Start => found.clear(),
                Part::Message(body) => found.extend(read(body)),
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Gives `take` a dump part by part. An error of its own ends the dump, and after that the socket is of no use: the
    /// rest of the answers is still to come.
    ///
    /// # Errors
    /// Those of the kernel and of `take`.
    pub fn try_dump(
        &mut self,
        request: impl Fn(u32) -> Vec<u8>,
        mut take: impl FnMut(Part<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for _ in 0..DUMP_ATTEMPTS {
            take(Part::Start)?;
            self.sequence = self.sequence.wrapping_add(1);
            let sequence = self.sequence;
            self.request = request(sequence);
            self.conversation.send(&self.request)?;
            // A change may have interrupted it.
            if self.conversation.answers(sequence, |body| take(Part::Message(body)))? {
                break;
            }
        }
        Ok(())
    }
}
