//! The two ends of a TCP connection: what is on its way to each, in order.
//!
//! An end is numbered; the other one of its connection is `index ^ 1`. Both
//! numbers are used again once both ends are closed, told apart by their round.

use std::collections::VecDeque;

use bgp::id::ConnId;
use bgp::time::Instant;
use bytes::Bytes;

/// Bytes that a connection takes before its reader has read any: what the two
/// operating systems hold.
pub(super) const WINDOW: usize = 64 << 10;

/// In the place of an end's number: a connection that is asked for and not there yet.
pub(super) const PENDING: usize = usize::MAX;

/// What comes to an end.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// The connection that it asked for is up.
    Connected,
    /// A connection from outside is up.
    Accepted,
    /// Bytes.
    Bytes(Bytes),
    /// The other end was closed, or the connection was lost with this error.
    End(Option<&'static str>),
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) router: usize,
    pub(super) conn: ConnId,
    pub(super) open: bool,
    /// What is on its way here, and when it arrives.
    pub(super) inbox: VecDeque<(Instant, Segment)>,
    /// Octets of the inbox.
    pub(super) unread: usize,
    /// Octets that this end wrote and was not told of as written.
    pub(super) owed: usize,
    /// When the newest of the inbox arrives: nothing overtakes it.
    pub(super) last_at: Instant,
    /// When the next arrival is due, if one is.
    pub(super) due: Option<Instant>,
    /// How often the number was used before.
    pub(super) round: u32,
}

impl End {
    fn new(router: usize, conn: ConnId, round: u32) -> Self {
        Self {
            router,
            conn,
            open: true,
            inbox: VecDeque::new(),
            unread: 0,
            owed: 0,
            last_at: Instant(0),
            due: None,
            round,
        }
    }
}

/// All ends.
#[derive(Debug, Default)]
pub(super) struct Ends {
    all: Vec<End>,
    /// The lower numbers of connections that are over.
    free: Vec<usize>,
}

impl Ends {
    /// A connection between two routers; the number of the first one's end.
    pub(super) fn connect(&mut self, one: (usize, ConnId), other: (usize, ConnId)) -> usize {
        if let Some(at) = self.free.pop() {
            for (at, (router, conn)) in [(at, one), (at + 1, other)] {
                self.all[at] = End::new(router, conn, self.all[at].round + 1);
            }
            return at;
        }
        self.all.extend([End::new(one.0, one.1, 0), End::new(other.0, other.1, 0)]);
        self.all.len() - 2
    }

    /// Closes an end; what was on its way there is lost.
    pub(super) fn close(&mut self, at: usize) {
        let end = &mut self.all[at];
        if !core::mem::replace(&mut end.open, false) {
            return;
        }
        (end.unread, end.due) = (0, None);
        end.inbox.clear();
        if !self.all[at ^ 1].open {
            self.free.push(at & !1);
        }
    }

    /// How many connections have an open end.
    pub(super) fn connections(&self) -> usize {
        self.all.len() / 2 - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &End)> {
        self.all.iter().enumerate().filter(|(_, end)| end.open)
    }
}

impl core::ops::Index<usize> for Ends {
    type Output = End;

    fn index(&self, at: usize) -> &End {
        &self.all[at]
    }
}

impl core::ops::IndexMut<usize> for Ends {
    fn index_mut(&mut self, at: usize) -> &mut End {
        &mut self.all[at]
    }
}
