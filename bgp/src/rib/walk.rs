//! The walk over both tables that takes a change of many prefixes to each of
//! them, a bounded number of entries at a time: a source removed or stale, a next hop
//! with another metric, other import rules, another configuration.
//!
//! The walk goes in laps. What asks for one is served by the lap that begins
//! next, or by the present one if that has not met an entry yet; its number
//! stands beside what it has to take along.

use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::rib::source::{Source, SourceKind};
use crate::rib::state::State;
use crate::rib::table::{Key, Path, Position, Table};
use crate::rib::{adj_in, loc, long_lived};
use crate::wire::attribute::PathAttributes;

/// The import rules, as a function of what is stored: the attributes as they
/// change them, `None` where they do not, or why the path is refused.
pub type Judge<'a> =
    dyn FnMut(&Source, Prefix, &PathAttributes) -> Result<Option<PathAttributes>, Reason> + 'a;

/// The state of the walk.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    /// The number of the present lap, or of the last one.
    lap: u32,
    /// Where the present lap is.
    at: Option<(Family, Position)>,
    /// Whether another lap is to follow.
    again: bool,
    /// The lap that has every decision run anew.
    all: u32,
}

impl Walk {
    /// Asks for a lap; returns the number of the one that serves.
    pub(super) fn request(&mut self) -> u32 {
        match self.at {
            None => {
                self.lap += 1;
                self.at = Some((Family::Ipv4, Position::default()));
                self.lap
            }
            Some((Family::Ipv4, at)) if at == Position::default() => self.lap,
            Some(_) => {
                self.again = true;
                self.lap + 1
            }
        }
    }

    /// Asks for a lap that has every decision run anew.
    pub(super) fn request_all(&mut self) {
        self.all = self.request();
    }

    pub(super) const fn lap(&self) -> u32 {
        self.lap
    }

    /// Where the present lap is, if there is one.
    pub(super) const fn at(&self) -> Option<(Family, Position)> {
        self.at
    }

    pub(super) const fn go_to(&mut self, family: Family, at: Position) {
        self.at = Some((family, at));
    }

    /// Ends the present lap; returns its number.
    pub(super) fn finish(&mut self) -> u32 {
        let lap = self.lap;
        self.at = None;
        if core::mem::take(&mut self.again) {
            self.request();
        }
        lap
    }

    const fn has_all(&self) -> bool {
        self.all == self.lap
    }
}

/// What meeting an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// Looked at, and left as it is.
    Seen,
    /// Judged again, or changed.
    Worked,
}

/// Takes to one entry what the lap carries.
pub(super) fn meet<K: Key>(
    table: &mut Table<K>,
    state: &mut State,
    slot: u32,
    walk: &Walk,
    rules: &mut Judge<'_>,
) -> Met {
    let lap = walk.lap();
    let mut met = Met::Seen;
    let gone = |path: &Path| state.is_gone(K::FAMILY, *path);
    if table.paths(slot).iter().any(gone) {
        loc::purge(table, state, slot);
        met = Met::Worked;
    }
    for at in 0..table.paths(slot).len() {
        let path = table.paths(slot)[at];
        if state.sources.is_judging(path.source(), lap)
            && let Some(source) = state.sources.get(path.source())
            && source.kind != SourceKind::Local
        {
            let prefix = table.entry(slot).key().prefix();
            let received = state.attributes.received(path.attrs());
            // Many prefixes share one set.
            state.attributes.warm(received);
            let (attrs, refusal) = match rules(source, prefix, &state.attributes.get(received)) {
                Ok(None) => (received, None),
                Ok(Some(changed)) => (state.attributes.intern_changed(changed, received), None),
                Err(reason) => (received, Some(reason)),
            };
            let judged = Path::new(attrs, path.source(), refusal).of_epoch(path.epoch());
            adj_in::replace(table, state, slot, at, judged);
            met = Met::Worked;
        }
        if long_lived::mark(table, state, slot, at) {
            met = Met::Worked;
        }
    }
    let moved = |path: &Path| {
        path.is_accepted() && state.hop(*path).is_some_and(|hop| state.tracker.has_changed(hop, lap))
    };
    let settles = |path: &Path| {
        state.sources.stale(path.source(), K::FAMILY).is_some_and(|stale| stale.is_settling(lap))
    };
    if walk.has_all() || table.paths(slot).iter().any(|path| moved(path) || settles(path)) {
        state.mark_dirty(table, slot);
        met = Met::Worked;
    }
    met
}
