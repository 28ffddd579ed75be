//! Adj-RIB-In (RFC 4271 §3.2): what each source announced. Every path stays in
//! the table with its verdict, whether the import rules let it in or not.
//!
//! An announcement replaces the path of the same key, whatever the verdict:
//! one that is refused, such as a loop, is an implicit withdrawal of the route
//! before it. Where what came or went cannot change what is selected, the
//! verdict is set here and the decision does not run.

use crate::reason::Reason;
use crate::rib::attributes::AttrId;
use crate::rib::decision::{is_above_med, joins_selected, loses_to_best};
use crate::rib::place::Place;
use crate::rib::source::PathKey;
use crate::rib::stale::Epoch;
use crate::rib::state::{Scratch, State};
use crate::rib::table::{EntryId, Flags, Key, Path, Spot, Table};

/// What an announcement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The path is in the table, refused or not.
    Stored,
    /// The path is beyond the receive limit, or beyond [`MOST_PATHS`](super::source::MOST_PATHS)
    /// of its prefix: counted, not stored.
    BeyondLimit,
    /// The source was removed.
    Ignored,
}

/// Takes a path in; `refusal` is the import verdict, `limit` the most paths
/// of the family that the source may have in the table.
pub(super) fn announce<K: Key>(
    table: &mut Table<K>,
    state: &mut State,
    from: PathKey,
    (key, spot): (K, Spot),
    attrs: AttrId,
    refusal: Option<Reason>,
    limit: u32,
) -> Announced {
    let source = from.source;
    if state.sources.is_leaving(source) {
        return Announced::Ignored;
    }
    let full = state.sources.counts(source, K::FAMILY).is_some_and(|counts| counts.stored() >= limit.into());
    let slot = if full { table.find_again(key, spot) } else { Some(table.find_or_insert_again(key, spot)) };
    let place = slot.map(|slot| {
        let (entry, paths) = (EntryId::new(K::FAMILY, slot), table.paths(slot));
        match full {
            true => state.place(entry, paths, from).map(Place::Held),
            false => Some(state.place_new(entry, paths, from)),
        }
    });
    let path = |handle, epoch| Path::new(attrs, handle, refusal).of_epoch(epoch);
    let epoch = state.sources.epoch(source, K::FAMILY);
    match (slot, place.flatten()) {
        (Some(slot), Some(Place::Held(at))) => {
            let handle = table.paths(slot)[at].source();
            replace(table, state, slot, at, path(handle, epoch));
        }
        (Some(slot), Some(Place::New(handle))) => {
            let path = path(handle, epoch);
            state.book(K::FAMILY, path);
            table.push_path(slot, path);
            arrived(table, state, slot, path);
        }
        (_, beyond) => {
            let reason = if beyond.is_some() { Reason::PathLimit } else { Reason::PrefixLimit };
            if let Some(counts) = state.sources.counts_mut(source, K::FAMILY) {
                counts.add(Some(reason));
            }
            return Announced::BeyondLimit;
        }
    }
    Announced::Stored
}

/// Takes the path of a key out; false if it had none in the table.
pub(super) fn withdraw<K: Key>(
    table: &mut Table<K>,
    state: &mut State,
    from: PathKey,
    (key, spot): (K, Spot),
) -> bool {
    let slot = table.find_again(key, spot);
    let was_full = slot.is_some_and(|slot| state.is_full(table.paths(slot), from.source));
    let found = slot.and_then(|slot| {
        let entry = EntryId::new(K::FAMILY, slot);
        Some((slot, state.place(entry, table.paths(slot), from)?))
    });
    if let Some((slot, at)) = found {
        remove(table, state, slot, at);
    }
    let Some(counts) = state.sources.counts_mut(from.source, K::FAMILY) else { return found.is_some() };
    if found.is_some() {
        counts.has_path_room |= was_full;
        return true;
    }
    // Which of the two it was is not kept: what is likely, then what is left.
    let likely = if was_full { Reason::PathLimit } else { Reason::PrefixLimit };
    let beyond = [likely, Reason::PrefixLimit, Reason::PathLimit];
    if let Some(reason) = beyond.into_iter().find(|&reason| counts.rejected_as(reason) > 0) {
        counts.remove(Some(reason));
    }
    false
}

/// Takes a path out by its place.
pub(super) fn remove<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, at: usize) {
    let path = table.remove_path(slot, at);
    if state.sources.has_ids(path.source()) {
        state.path_ids.forget(EntryId::new(K::FAMILY, slot), path);
    }
    state.unbook(K::FAMILY, path);
    if is_harmless_loss(path, state) {
        tell_of_all(table, state, slot, path.is_accepted());
        state.retire(table, slot);
    } else if table.paths(slot).is_empty() && is_decided_here(table, state, slot) {
        state.mark_changed(table, slot);
    } else {
        state.mark_dirty(table, slot);
    }
}

/// Whether a decision that has nothing to compare need not wait for its turn: nobody waits for the kernel's
/// part of it, and selection is not put off.
fn is_decided_here<K: Key>(table: &Table<K>, state: &State, slot: u32) -> bool {
    let entry = table.entry(slot);
    let asks_kernel = state.config.install || entry.set().is_some();
    !asks_kernel && !entry.has(Flags::DIRTY) && !state.deferral[K::FAMILY].is_deferred()
}

/// Where paths beside the best one are sent too, a change among them is handed out.
fn tell_of_all<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, may_be_sent: bool) {
    if state.tells_of_all && may_be_sent {
        state.mark_changed(table, slot);
    }
}

/// Puts a path, of the same handle, in the place of another one.
pub(super) fn replace<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, at: usize, path: Path) {
    let old = table.paths(slot)[at];
    if old.attrs() == path.attrs() && old.refusal() == path.refusal() {
        refresh(table, state, slot, at, path.epoch());
        return;
    }
    // The new one is counted first, so that what both share stays in use.
    state.book(K::FAMILY, path);
    state.unbook(K::FAMILY, old);
    table.paths_mut(slot)[at] = path;
    if is_harmless_loss(old, state) {
        tell_of_all(table, state, slot, old.is_accepted());
        arrived(table, state, slot, path);
    } else if path.is_accepted() {
        state.mark_waiting(table, slot);
    } else {
        state.mark_dirty(table, slot);
    }
}

/// The same path came again, perhaps in another epoch.
fn refresh<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, at: usize, epoch: Epoch) {
    let old = table.paths(slot)[at];
    if old.epoch() == epoch {
        return;
    }
    let yielded = state.has_to_yield(K::FAMILY, old) && old.is_accepted();
    if let Some(stale) = state.sources.stale_mut(old.source(), K::FAMILY) {
        stale.book(old.epoch(), false);
        stale.book(epoch, true);
    }
    table.paths_mut(slot)[at] = old.of_epoch(epoch);
    if yielded {
        state.mark_dirty(table, slot);
    }
}

/// Whether a path that comes and another one of its neighbouring AS may be compared by MED
/// (RFC 4271 §9.1.2.2 c): one that no rung above took out. Without such a path neither takes the other out.
fn has_rival(paths: &[Path], state: &State, path: Path) -> bool {
    let neighbor = |path: Path| state.attributes.facts(path.attrs()).neighbor;
    let own = neighbor(path);
    paths.iter().any(|&other| {
        other.source() != path.source()
            && other.is_accepted()
            && !is_above_med(other.verdict())
            && neighbor(other) == own
    })
}

/// Whether a path that went had no part in what was selected, nor in the
/// verdicts of others. One that got past the MED rung may have kept a path of
/// its neighbouring AS out.
fn is_harmless_loss(path: Path, state: &State) -> bool {
    let verdict = path.verdict();
    let selected = path.is_selected() || verdict == Reason::Pending;
    !path.is_accepted()
        || is_above_med(verdict)
        || verdict == Reason::HigherMed
        || !(selected || state.attributes.has_med())
}

/// A path came, and nothing else changed: gives it its verdict if that changes
/// nothing else, neither the set that the kernel is to hold; else has the
/// decision run.
fn arrived<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, path: Path) {
    if !path.is_accepted() || table.entry(slot).has(Flags::DIRTY) {
        return;
    }
    if state.due.is_patient() {
        return state.mark_waiting(table, slot);
    }
    let entry = EntryId::new(K::FAMILY, slot);
    if is_decided_here(table, state, slot)
        && let [only] = table.paths_mut(slot)
        && state.resolves(path)
    {
        // Every rung leaves the only path in.
        only.set_verdict(Reason::Best);
        state.mark_changed(table, slot);
        return;
    }
    let scratch = &mut core::mem::take(&mut state.scratch);
    let verdict = state.candidate(entry, path).and_then(|candidate| {
        let best = table.paths(slot).first().copied().filter(|path| path.is_best());
        let Some(best) = best.and_then(|best| state.candidate(entry, best)) else {
            return candidate.metric.is_none().then_some(Reason::NextHopUnreachable);
        };
        let multipath = state.multipath();
        let med_matters = state.attributes.has_med() && has_rival(table.paths(slot), state, path);
        loses_to_best(&candidate, &best, multipath, med_matters).or_else(|| {
            let Scratch { candidates, .. } = scratch;
            candidates.clear();
            let selected = table.paths(slot).iter().filter(|path| path.is_selected());
            candidates.extend(selected.filter_map(|&path| state.candidate(entry, path)));
            joins_selected(&candidate, candidates, multipath, med_matters)
                .filter(|&verdict| verdict != Reason::Multipath || !state.config.install)
        })
    });
    state.scratch = core::mem::take(scratch);
    let path = table.paths_mut(slot).iter_mut().find(|held| held.source() == path.source());
    match (verdict, path) {
        (Some(verdict), Some(path)) => {
            path.set_verdict(verdict);
            tell_of_all(table, state, slot, true);
        }
        _ => state.mark_dirty(table, slot),
    }
}
