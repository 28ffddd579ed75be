//! Which peers are in the midst of sending. While several are, the best path of a
//! prefix that one of them announced is likely to change again: what is decided of it
//! may wait for the others, and is announced once. There is no timer in it: a turn in
//! which nothing came ends the wait, and a single peer never waits.

use crate::id::PeerId;
use crate::io::READ;
use crate::time::{Duration, Instant};

/// Octets above which a chunk is more than a KEEPALIVE, an OPEN or a change of some prefixes.
const MUCH: usize = 256;

/// Octets from which on more are likely to follow: a reader begins with as many.
const FULL: usize = READ / 8;

/// Turns for which a peer counts as sending that seems to be read to the end.
const RECENT: u64 = 1;

/// Turns for which one counts that is not: more than a turn for each of hundreds of peers that all are.
const UNFINISHED: u64 = 256;

/// The longest that decisions are held back where peers never pause.
const PATIENCE: Duration = Duration::from_millis(500);

/// A peer that has sent much lately.
#[derive(Clone, Copy, Debug)]
struct Sender {
    peer: PeerId,
    turn: u64,
    /// Whether more of its octets wait to be read.
    unfinished: bool,
}

/// The peers that are sending.
#[derive(Clone, Debug, Default)]
pub(super) struct Inflow {
    turn: u64,
    senders: Vec<Sender>,
    /// Whether octets came since the last turn.
    heard: bool,
    /// Since when several have been sending.
    since: Option<Instant>,
    /// Whether what waited for too long is being decided.
    overdue: bool,
}

impl Inflow {
    /// So many of a peer's octets came. A full chunk is hardly all of what there is.
    pub(super) fn heard(&mut self, peer: PeerId, octets: usize) {
        self.heard = true;
        let unfinished = octets >= FULL;
        let sender = Sender { peer, turn: self.turn, unfinished };
        match self.senders.iter_mut().find(|sender| sender.peer == peer) {
            Some(known) if octets > MUCH => *known = sender,
            Some(known) => known.unfinished = false,
            None if octets > MUCH => self.senders.push(sender),
            None => {}
        }
    }

    /// Whether decisions may wait for what others are sending.
    pub(super) const fn is_several(&self) -> bool {
        self.senders.len() > 1 && !self.overdue
    }

    /// A turn's events are over; `waiting` says whether decisions wait.
    pub(super) fn turn(&mut self, waiting: bool, now: Instant) {
        if !core::mem::take(&mut self.heard) {
            self.senders.clear();
        }
        let turn = self.turn;
        self.senders
            .retain(|sender| turn - sender.turn <= if sender.unfinished { UNFINISHED } else { RECENT });
        self.turn += 1;
        if self.senders.len() < 2 || (self.overdue && !waiting) {
            (self.since, self.overdue) = (None, false);
        }
        let since = *self.since.get_or_insert(now);
        self.overdue |= now.since(since) >= PATIENCE;
    }
}
