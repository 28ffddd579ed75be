//! When which peer's session wants to be woken.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::PeerId;
use crate::time::Instant;

/// One deadline a peer, ordered by time.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Instant, PeerId)>,
    by_peer: BTreeMap<PeerId, Instant>,
}

impl Timers {
    /// Sets or clears the peer's deadline. One that has passed already is due at `now`,
    /// so that every peer's turn comes in the order of deadlines.
    pub(super) fn set(&mut self, peer: PeerId, deadline: Option<Instant>, now: Instant) {
        let deadline = deadline.map(|at| at.max(now));
        if self.by_peer.get(&peer).copied() == deadline {
            return;
        }
        if let Some(before) = self.by_peer.remove(&peer) {
            self.queue.remove(&(before, peer));
        }
        if let Some(at) = deadline {
            self.by_peer.insert(peer, at);
            self.queue.insert((at, peer));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _)| at)
    }

    /// Takes a peer whose deadline has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<PeerId> {
        let &(at, peer) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        self.by_peer.remove(&peer);
        Some(peer)
    }
}
