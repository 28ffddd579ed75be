//! Entries whose decision is to run, and in which order.
//!
//! What a path that comes asks for may wait while more paths are on their way: they are
//! likely to be of the same prefixes, and one decision and one announcement then serve
//! all of them. What a path that goes asks for never waits.

use std::collections::VecDeque;

use crate::rib::table::{EntryId, Flags, Key, Table};

/// Entries that are decided in one turn though more of their paths may come: the work goes on, and the
/// first announcements go out, while the peers send.
const MEANWHILE: usize = 16;

/// The entries whose decision is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Due {
    /// What is decided as soon as there is time.
    at_once: VecDeque<EntryId>,
    /// What may wait. An entry that was decided meanwhile has lost its flag.
    waiting: VecDeque<EntryId>,
    /// Whether several peers are sending.
    patient: bool,
}

impl Due {
    /// Several peers are sending, or not any more.
    pub(super) const fn expect_more(&mut self, several: bool) {
        self.patient = several;
    }

    /// Whether decisions wait.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether no decision is due.
    pub(super) fn is_empty(&self) -> bool {
        self.at_once.is_empty() && self.waiting.is_empty()
    }

    /// Lists entries that are marked as due already.
    pub(super) fn extend(&mut self, entries: impl IntoIterator<Item = EntryId>) {
        self.at_once.extend(entries);
    }

    /// Lists an entry that is decided as soon as there is time.
    pub(super) fn push(&mut self, entry: EntryId) {
        self.at_once.push_back(entry);
    }

    /// Lists an entry that may wait.
    pub(super) fn push_waiting(&mut self, entry: EntryId) {
        self.waiting.push_back(entry);
    }

    /// Whether a path that comes waits for others.
    pub(super) const fn is_patient(&self) -> bool {
        self.patient
    }

    /// How many entries of those that may wait are decided in this turn.
    pub(super) const fn meanwhile(&self) -> usize {
        if self.patient { MEANWHILE } else { usize::MAX }
    }

    /// The next entry, and whether it is one that could wait; of these at most `waiting`.
    pub(super) fn next(&mut self, waiting: usize) -> Option<(EntryId, bool)> {
        if let Some(id) = self.at_once.pop_front() {
            return Some((id, false));
        }
        if waiting == 0 {
            return None;
        }
        self.waiting.pop_front().map(|id| (id, true))
    }
}

/// Takes the mark of an entry that could wait off; false if it was decided meanwhile.
pub(super) fn take_up<K: Key>(table: &mut Table<K>, slot: u32) -> bool {
    let waited = table.used(slot).is_some_and(|entry| entry.has(Flags::WAITING));
    if waited {
        table.entry_mut(slot).clear_flag(Flags::WAITING);
    }
    waited
}
