//! A bounded memory of what changed, by revision. The agent loop's end notes
//! things and seals them with each status; readers get an immutable ring with
//! the status, so that no reader, however slow, is in the way of the loop or of
//! another reader.
//!
//! Invariant: a ring holds everything that was noted after its
//! [`Ring::dropped_revision`], in order, in chunks of growing revisions.

use std::collections::VecDeque;
use std::sync::Arc;

/// The most chunks of a ring: making the next ring copies a pointer for each.
/// At ten revisions a second they reach back for more than a minute and a half.
const CHUNKS: usize = 1024;

/// What was noted between two statuses.
#[derive(Debug)]
pub struct Chunk<T> {
    /// The revision of the status that came with it.
    pub revision: u64,
    /// The things, the oldest first; never empty.
    pub items: Vec<T>,
}

/// The newest things, immutable.
#[derive(Debug)]
pub struct Ring<T> {
    chunks: VecDeque<Arc<Chunk<T>>>,
    len: usize,
    dropped_revision: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), len: 0, dropped_revision: 0 }
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), ..*self }
    }
}

impl<T> Ring<T> {
    /// The revision up to which things may have been dropped; zero if none were.
    #[must_use]
    pub const fn dropped_revision(&self) -> u64 {
        self.dropped_revision
    }

    /// The chunks after a revision, the oldest first; what was dropped is not
    /// among them.
    pub fn after(&self, revision: u64) -> impl Iterator<Item = &Arc<Chunk<T>>> {
        self.chunks.range(self.chunks.partition_point(|chunk| chunk.revision <= revision)..)
    }

    /// All things with their revisions, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.chunks.iter().flat_map(|chunk| chunk.items.iter().map(|item| (chunk.revision, item)))
    }

    fn push(&mut self, chunk: Chunk<T>, limit: usize) {
        self.len += chunk.items.len();
        self.chunks.push_back(Arc::new(chunk));
        while self.len > limit || self.chunks.len() > CHUNKS {
            let Some(oldest) = self.chunks.pop_front() else { return };
            self.len -= oldest.items.len();
            self.dropped_revision = oldest.revision;
        }
    }
}

/// The agent loop's end: the ring as it was sealed, and what came since.
#[derive(Debug)]
pub struct Recorder<T> {
    ring: Arc<Ring<T>>,
    pending: VecDeque<T>,
    overflowed: bool,
    limit: usize,
}

impl<T> Recorder<T> {
    /// A recorder that holds at most `limit` things, and as many unsealed ones.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { ring: Arc::default(), pending: VecDeque::new(), overflowed: false, limit }
    }

    /// Notes a thing; of too many the newest are kept.
    pub fn note(&mut self, item: T) {
        if self.pending.len() >= self.limit {
            self.pending.pop_front();
            self.overflowed = true;
        }
        self.pending.push_back(item);
    }

    /// The ring with everything noted so far, under this revision.
    pub fn seal(&mut self, revision: u64) -> Arc<Ring<T>> {
        if !self.pending.is_empty() {
            let mut ring = Ring::clone(&self.ring);
            let items = std::mem::take(&mut self.pending).into();
            ring.push(Chunk { revision, items }, self.limit);
            if std::mem::take(&mut self.overflowed) {
                // Who has come to the revision before has missed a part of this one.
                ring.dropped_revision = revision;
            }
            self.ring = Arc::new(ring);
        }
        Arc::clone(&self.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(ring: &Ring<u32>) -> Vec<(u64, u32)> {
        ring.iter().map(|(revision, item)| (revision, *item)).collect()
    }

    #[test]
    fn oldest_chunks_make_room() {
        let mut recorder = Recorder::new(4);
        for (revision, items) in [(1, 0..2), (2, 2..2), (3, 2..4)] {
            items.for_each(|item| recorder.note(item));
            recorder.seal(revision);
        }
        let before = recorder.seal(4);
        assert_eq!(held(&before), [(1, 0), (1, 1), (3, 2), (3, 3)]);
        assert_eq!(before.dropped_revision(), 0);
        recorder.note(4);
        let after = recorder.seal(5);
        assert_eq!(held(&after), [(3, 2), (3, 3), (5, 4)]);
        assert_eq!(after.dropped_revision(), 1);
        assert_eq!(held(&before).len(), 4, "who holds the ring of before is not disturbed");
        let revisions: Vec<u64> = after.after(3).map(|chunk| chunk.revision).collect();
        assert_eq!(revisions, [5]);
    }

    #[test]
    fn too_much_between_two_statuses_is_told() {
        let mut recorder = Recorder::new(3);
        (0..5).for_each(|item| recorder.note(item));
        let ring = recorder.seal(7);
        assert_eq!(held(&ring), [(7, 2), (7, 3), (7, 4)]);
        assert_eq!(ring.dropped_revision(), 7);
        recorder.note(9);
        assert_eq!(held(&recorder.seal(8)), [(8, 9)]);
    }

    #[test]
    fn revisions_are_bounded_too() {
        let mut recorder = Recorder::new(1_000_000);
        for revision in 1..=2_000 {
            recorder.note(0_u32);
            recorder.seal(revision);
        }
        let ring = recorder.seal(2_001);
        assert_eq!((ring.iter().count(), ring.dropped_revision()), (1024, 976));
    }
}
