//! What a restart does to the tables: a peer's restart makes its paths stale
//! (RFC 4724 §4.2), an own one puts selection off (RFC 4724 §4.1).

use crate::prefix::Family;
use crate::rib::deferral::Deferral;
use crate::rib::source::{SourceCounts, SourceId, SourceKind};
use crate::rib::state::State;
use crate::rib::table::{EntryId, Key, Table};
use crate::rib::walk::Walk;

/// The source's paths of a family are stale from here on.
pub(super) fn mark(state: &mut State, walk: &mut Walk, source: SourceId, family: Family, yields: bool) {
    let held = state.sources.counts(source, family).map_or(0, SourceCounts::stored);
    let Some(stale) = state.sources.stale_mut(source, family) else { return };
    stale.mark(held, yields);
    if yields && held > 0 {
        // A set that has other members loses these at once, however many routes
        // name it; the decisions follow, bounded a turn.
        let next_hops = state.tracker.exclusive(source);
        state.sets.shrink_but_last(&next_hops);
        stale.settle(walk.request());
    }
}

/// Keeps what is stale of the source's paths of a family for long: a lap marks each path.
pub(super) fn keep_for_long(state: &mut State, walk: &mut Walk, source: SourceId, family: Family) {
    if let Some(stale) = state.sources.stale_mut(source, family)
        && stale.count() > 0
    {
        stale.keep_for_long();
        stale.settle(walk.request());
    }
}

/// Takes out what is stale of the source's paths of a family.
pub(super) fn sweep(state: &mut State, walk: &mut Walk, source: SourceId, family: Family) {
    if let Some(stale) = state.sources.stale_mut(source, family)
        && stale.count() > 0
    {
        stale.sweep(walk.request());
    }
}

/// Puts the selection of learned paths of a family off, or ends that.
pub(super) fn defer(state: &mut State, family: Family, deferred: bool) {
    let deferral = &mut state.deferral[family];
    match deferral {
        Deferral::Deferred(waiting) if !deferred => {
            state.due.extend(waiting.drain(..));
            *deferral = Deferral::Settling;
        }
        Deferral::Over if deferred => *deferral = Deferral::Deferred(Vec::new()),
        _ => {}
    }
}

/// Puts the decision on an entry off, if that is due: not for what this node
/// originates, which no peer's paths can change.
pub(super) fn put_off<K: Key>(table: &Table<K>, state: &mut State, id: EntryId) -> bool {
    let Deferral::Deferred(waiting) = &mut state.deferral[K::FAMILY] else { return false };
    let sources = &state.sources;
    let is_own = |source| sources.get(source).is_some_and(|source| source.kind == SourceKind::Local);
    if table.paths(id.slot()).iter().any(|path| is_own(path.source())) {
        return false;
    }
    waiting.push(id);
    true
}

/// The first selection is over once nothing waits for it, or for the kernel.
pub(super) fn look(state: &mut State) {
    for family in Family::ALL {
        let settled = state.due.is_empty() && state.kernel[family].pending == 0;
        if settled && matches!(state.deferral[family], Deferral::Settling) {
            state.deferral[family] = Deferral::Over;
        }
    }
}
