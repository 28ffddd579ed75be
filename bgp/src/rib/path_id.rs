//! Path Identifiers as they came (RFC 7911 §3), beside the table: of paths that have
//! one alone, so that a path stays eight octets and an entry as small as it is.
//!
//! A peer may give each path an identifier of its own, as some do: a handle a
//! (peer, identifier) would run out. Within one prefix a peer's paths are few: a
//! path's handle is its place among them, and this is what the peer calls it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::id::PathId;
use crate::rib::source::SourceId;
use crate::rib::table::{EntryId, Path};

/// The identifiers by entry and handle; looked up, never walked.
#[derive(Clone, Debug)]
pub(super) struct PathIds(HashMap<(EntryId, SourceId), PathId, FixedState>);

impl PathIds {
    pub(super) const fn new(seed: u64) -> Self {
        Self(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    /// What the path of a handle is called.
    pub(super) fn of(&self, entry: EntryId, handle: SourceId) -> Option<PathId> {
        self.0.get(&(entry, handle)).copied()
    }

    /// The path of a handle is called so from here on.
    pub(super) fn name(&mut self, entry: EntryId, handle: SourceId, id: Option<PathId>) {
        match id {
            Some(id) => drop(self.0.insert((entry, handle), id)),
            None => drop(self.0.remove(&(entry, handle))),
        }
    }

    /// The path is gone.
    pub(super) fn forget(&mut self, entry: EntryId, path: Path) {
        self.0.remove(&(entry, path.source()));
    }
}
