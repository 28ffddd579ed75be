//! What happens on connections, as the agent loop takes it in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bgp::id::ConnId;
use bgp::io::ConnectFailure;

use super::pool::Chunk;

/// An event of a connection, or of a listener.
#[derive(Debug)]
pub enum TransportEvent {
    /// A connection that was asked for is up.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
    },
    /// A connection that was asked for could not be made.
    ConnectFailed {
        /// The connection.
        conn: ConnId,
        /// Where it failed.
        failure: ConnectFailure,
        /// The operating system's words.
        error: String,
    },
    /// A listener accepted a connection.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Bytes; the connection reads on when they are dropped.
    Bytes {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        chunk: Chunk,
    },
    /// Bytes were handed to the operating system.
    Written {
        /// The connection.
        conn: ConnId,
        /// How many, up to the time of asking.
        tally: Tally,
    },
    /// The connection ended, and not because it was asked to.
    Closed {
        /// The connection.
        conn: ConnId,
        /// The operating system's words; `None` when the peer closed it in order.
        error: Option<String>,
    },
    /// A listener has a difficulty that an operator should know of.
    Trouble(String),
}

/// A count of written bytes. Only the first since it was last taken is
/// announced, so that one event a connection waits at most.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// Adds to the count; whether that is to be announced.
    #[must_use]
    pub fn add(&self, bytes: usize) -> bool {
        bytes > 0 && self.0.fetch_add(bytes, Ordering::Relaxed) == 0
    }

    /// Takes the count.
    #[must_use]
    pub fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// The operating system's words as they stand within a sentence: `connection
/// refused`, without the error number.
pub(super) fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
