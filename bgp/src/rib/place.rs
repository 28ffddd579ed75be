//! Which place a path that comes takes among those of its prefix (RFC 7911 §5): that
//! of the one before with its key, or one of its own.

use crate::rib::source::{MOST_PATHS, PathKey, SourceId};
use crate::rib::state::State;
use crate::rib::table::{EntryId, Path};

/// Where a path that comes has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In that of the one before, of the same key.
    Held(usize),
    /// Beside the others, with this handle.
    New(SourceId),
    /// The source has as many paths of the prefix as it may have.
    Full,
}

impl State {
    /// Where the path of a key is.
    pub(super) fn place(&self, entry: EntryId, paths: &[Path], key: PathKey) -> Option<usize> {
        if !self.sources.has_ids(key.source) {
            let own = || paths.iter().position(|path| path.source() == key.source);
            return if key.id.is_none() { own() } else { None };
        }
        let is_it = |path: &Path| {
            self.sources.owner(path.source()) == key.source && self.path_id(entry, *path) == key.id
        };
        paths.iter().position(is_it)
    }

    /// Where a path that comes is to go.
    ///
    /// A peer that restarts may call its paths by other names (RFC 7911 §5): what is
    /// stale gives way where there is no room.
    pub(super) fn place_new(&mut self, entry: EntryId, paths: &[Path], key: PathKey) -> Place {
        if key.id.is_none() && !self.sources.has_ids(key.source) {
            let own = paths.iter().position(|path| path.source() == key.source);
            return own.map_or(Place::New(key.source), Place::Held);
        }
        if let Some(at) = self.place(entry, paths, key) {
            return Place::Held(at);
        }
        let handle = {
            let own = |path: &&Path| self.sources.owner(path.source()) == key.source;
            let held: Vec<SourceId> = paths.iter().filter(own).map(|path| path.source()).collect();
            if held.len() >= MOST_PATHS {
                let stale = paths.iter().position(|path| own(&path) && self.is_stale(entry.family(), *path));
                if let Some(at) = stale {
                    self.name(entry, paths[at].source(), key);
                    return Place::Held(at);
                }
                return Place::Full;
            }
            let mut handles = (0..=held.len()).map(|place| self.sources.lane(key.source, place));
            handles.find(|lane| lane.is_none_or(|lane| !held.contains(&lane))).flatten()
        };
        let Some(handle) = handle else { return Place::Full };
        self.name(entry, handle, key);
        Place::New(handle)
    }

    /// What the source calls the path of a handle.
    fn name(&mut self, entry: EntryId, handle: SourceId, key: PathKey) {
        match key.id {
            Some(id) => {
                self.sources.note_ids(key.source);
                self.path_ids.name(entry, handle, Some(id));
            }
            None if self.sources.has_ids(key.source) => self.path_ids.name(entry, handle, None),
            None => {}
        }
    }

    /// Whether the source has as many paths of the prefix as it may have.
    pub(super) fn is_full(&self, paths: &[Path], source: SourceId) -> bool {
        let own = |path: &&Path| self.sources.owner(path.source()) == source;
        self.sources.has_ids(source) && paths.iter().filter(own).count() >= MOST_PATHS
    }
}
