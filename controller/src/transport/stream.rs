//! A task a connection.
//!
//! ```text
//!  wait for the loop (one chunk at a time) -> readable -> buffer -> read -> chunk to the loop
//!  queue -> writable -> write many at once -> tally
//!  close: write the queue, shut down, discard what still comes, for LINGER at most
//! ```
//!
//! The task ends with the connection. Dropping it resets the connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::sync::Arc;
use std::time::Duration;

use bgp::id::ConnId;
use bgp::prefix::Prefix;
use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::event::{Tally, TransportEvent, words};
use super::neighbours::Terms;
use super::pool::{Buffer, CHUNK, Pool};
use super::sockopt;

/// How long closing may take: a NOTIFICATION that the peer has not read by then
/// is lost, and the peer learns of the end from the connection's.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that wait to be written before the peer counts as one that does not
/// read: far above what the speaker lets wait, so that only a fault gets here.
const BACKLOG: usize = 16 << 20;

/// What one read takes after a pause: some hundreds of prefixes, which are passed on before the next ones
/// are looked at. Each read that is filled lets the next one take twice as much.
const FIRST: usize = CHUNK / 8;

/// Slices in one write; more than the kernel copies at once anyway.
const SLICES: usize = 64;

/// What the loop wants of a connection.
#[derive(Debug)]
pub(super) enum Command {
    /// Write.
    Write(Bytes),
    /// Go on on these terms: with the key if there is one, whatever was in force.
    Terms(Terms),
    /// Close in order.
    Close,
}

/// One connection.
pub(super) struct Stream {
    pub(super) conn: ConnId,
    pub(super) tcp: TcpStream,
    pub(super) pool: Pool,
    pub(super) events: mpsc::UnboundedSender<TransportEvent>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
}

impl Stream {
    /// Serves the connection until its end. An end that was asked for has no
    /// event; any other is for the caller to report, before it lets go of the socket.
    pub(super) async fn serve(mut self) -> Ended {
        let event = self.run().await;
        Ended { event, socket: Some(self.tcp) }
    }

    async fn run(&mut self) -> Option<TransportEvent> {
        let conn = self.conn;
        match self.exchange().await {
            Ok(End::Asked(queue)) => {
                // Whatever comes of it, the connection is gone for the loop.
                let _ = tokio::time::timeout(LINGER, self.finish(queue)).await;
                None
            }
            Ok(End::Peer) => Some(TransportEvent::Closed { conn, error: None }),
            Err(error) => Some(TransportEvent::Closed { conn, error: Some(words(&error)) }),
        }
    }

    async fn exchange(&mut self) -> io::Result<End> {
        let turns = Arc::new(Semaphore::new(1));
        let mut turn: Option<OwnedSemaphorePermit> = None;
        let (mut readable, mut most) = (false, FIRST);
        let mut queue = Queue::default();
        let tally = Tally::default();
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(Command::Write(bytes)) => queue.push(bytes)?,
                    Some(Command::Terms(terms)) => self.agree(&terms)?,
                    Some(Command::Close) | None => return Ok(End::Asked(queue)),
                },
                ready = self.tcp.writable(), if !queue.is_empty() => {
                    ready?;
                    let written = queue.write(&self.tcp)?;
                    if tally.add(written) {
                        self.tell(TransportEvent::Written { conn: self.conn, tally: tally.clone() });
                    }
                }
                permit = Arc::clone(&turns).acquire_owned(), if turn.is_none() => turn = permit.ok(),
                ready = self.tcp.readable(), if turn.is_some() && !readable => {
                    ready?;
                    readable = true;
                }
                buffer = self.pool.take(), if turn.is_some() && readable => {
                    readable = false;
                    match self.read(buffer, &mut most, &mut turn) {
                        Ok(false) => {}
                        Ok(true) => return Ok(End::Peer),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    fn agree(&self, terms: &Terms) -> io::Result<()> {
        let remote = self.tcp.peer_addr()?;
        if let Some(key) = &terms.password {
            sockopt::set_md5(&self.tcp, Prefix::host(remote.ip()), Some(key))?;
        }
        sockopt::set_hops(&self.tcp, remote.is_ipv4(), terms.hops)
    }

    /// Reads once, `most` octets at most; whether the peer closed its side.
    fn read(
        &self,
        mut buffer: Buffer,
        most: &mut usize,
        turn: &mut Option<OwnedSemaphorePermit>,
    ) -> io::Result<bool> {
        let space = buffer.space();
        let room = (*most).min(space.len());
        let mut read = None;
        let outcome = self.tcp.try_io(Interest::READABLE, || {
            let len = (&*SockRef::from(&self.tcp)).read(&mut space[..room])?;
            read = Some(len);
            // What is less than there was room for is all: without another read that says so, the socket counts as
            // readable again when more comes (epoll(7)). An end that has come already stays noted.
            if len < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        let Some(len) = read else { return outcome.map(|()| false) };
        if len == 0 {
            return Ok(true);
        }
        *most = if len < room { FIRST } else { (2 * room).min(CHUNK) };
        if let Some(turn) = turn.take() {
            let chunk = buffer.filled(len, turn);
            self.tell(TransportEvent::Bytes { conn: self.conn, chunk });
        }
        Ok(false)
    }

    /// Writes what is queued, and takes what still comes: closing a socket with
    /// unread bytes resets the connection, and the reset overtakes the last
    /// message.
    async fn finish(&self, mut queue: Queue) -> io::Result<()> {
        while !queue.is_empty() {
            self.tcp.writable().await?;
            queue.write(&self.tcp)?;
        }
        SockRef::from(&self.tcp).shutdown(std::net::Shutdown::Write)?;
        let mut discarded = vec![0; 4096];
        loop {
            self.tcp.readable().await?;
            match self.tcp.try_read(&mut discarded) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn tell(&self, event: TransportEvent) {
        // The loop's end goes at shutdown, when nobody listens any more.
        let _ = self.events.send(event);
    }
}

/// The end of a connection, and its socket. While that is there the peer has
/// not heard of the end, and its next connection comes after it.
pub(super) struct Ended {
    pub(super) event: Option<TransportEvent>,
    pub(super) socket: Option<TcpStream>,
}

enum End {
    Asked(Queue),
    Peer,
}

/// What waits to be written.
#[derive(Default)]
struct Queue {
    parts: VecDeque<Bytes>,
    len: usize,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.len += bytes.len();
        if self.len > BACKLOG {
            let text = format!("the peer does not read: {} bytes wait to be written", self.len);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, text));
        }
        self.parts.push_back(bytes);
        Ok(())
    }

    /// Writes as much as the operating system takes; how much that was.
    fn write(&mut self, tcp: &TcpStream) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> =
            self.parts.iter().take(SLICES).map(|part| IoSlice::new(part)).collect();
        let written = match tcp.try_write_vectored(&slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut rest = written;
        while rest > 0 {
            let Some(part) = self.parts.front_mut() else { break };
            let taken = rest.min(part.len());
            part.advance(taken);
            rest -= taken;
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
        self.len -= written;
        Ok(written)
    }
}
