//! Adj-RIB-In (RFC 4271 §3.2): what each source announced. Every path stays in
//! the table with its verdict, whether the import rules let it in or not.
//!
//! An announcement replaces the path of the same source, whatever the verdict:
//! one that is refused, such as a loop, is an implicit withdrawal of the route
//! before it. Where what came or went cannot change what is selected, the
//! verdict is set here and the decision does not run.

use crate::reason::Reason;
use crate::rib::attributes::AttrId;
use crate::rib::decision::{is_above_med, joins_selected, loses_to_best};
use crate::rib::source::SourceId;
use crate::rib::stale::Epoch;
use crate::rib::state::{Scratch, State};
use crate::rib::table::{Flags, Key, Path, Table};

/// What an announcement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// The path is in the table, refused or not.
    Stored,
    /// The prefix is beyond the receive limit: counted, not stored.
    BeyondLimit,
    /// The source was removed.
    Ignored,
}

/// Takes a path in; `refusal` is the import verdict, `limit` the most prefixes
/// of the family that the source may have in the table.
pub(super) fn announce<K: Key>(
    table: &mut Table<K>,
    state: &mut State,
    source: SourceId,
    key: K,
    attrs: AttrId,
    refusal: Option<Reason>,
    limit: u32,
) -> Announced {
    if state.sources.is_leaving(source) {
        return Announced::Ignored;
    }
    let full = state.sources.counts(source, K::FAMILY).is_some_and(|counts| counts.stored() >= limit.into());
    let slot = if full { table.find(key) } else { Some(table.find_or_insert(key)) };
    let held = slot.and_then(|slot| place(table.paths(slot), source));
    let Some(slot) = slot.filter(|_| held.is_some() || !full) else {
        if let Some(counts) = state.sources.counts_mut(source, K::FAMILY) {
            counts.add(Some(Reason::PrefixLimit));
        }
        return Announced::BeyondLimit;
    };
    let path = Path::new(attrs, source, refusal).of_epoch(state.sources.epoch(source, K::FAMILY));
    match held {
        Some(at) => replace(table, state, slot, at, path),
        None => {
            state.book(K::FAMILY, path);
            table.push_path(slot, path);
            arrived(table, state, slot, path);
        }
    }
    Announced::Stored
}

/// Takes the path of a source out; false if it had none in the table.
pub(super) fn withdraw<K: Key>(table: &mut Table<K>, state: &mut State, source: SourceId, key: K) -> bool {
    let found = table.find(key).and_then(|slot| Some((slot, place(table.paths(slot), source)?)));
    if let Some((slot, at)) = found {
        remove(table, state, slot, at);
        return true;
    }
    if let Some(counts) = state.sources.counts_mut(source, K::FAMILY)
        && counts.rejected_as(Reason::PrefixLimit) > 0
    {
        counts.remove(Some(Reason::PrefixLimit));
    }
    false
}

/// Takes a path out by its place.
pub(super) fn remove<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, at: usize) {
    let path = table.remove_path(slot, at);
    state.unbook(K::FAMILY, path);
    if is_harmless_loss(path, state) {
        state.retire(table, slot);
    } else {
        state.mark_dirty(table, slot);
    }
}

/// Puts a path, of the same source, in the place of another one.
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
        arrived(table, state, slot, path);
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

/// Where the path of a source is.
fn place(paths: &[Path], source: SourceId) -> Option<usize> {
    paths.iter().position(|path| path.source() == source)
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
    let scratch = &mut core::mem::take(&mut state.scratch);
    let verdict = state.candidate(K::FAMILY, path).and_then(|candidate| {
        let best = table.paths(slot).first().copied().filter(|path| path.is_best());
        let Some(best) = best.and_then(|best| state.candidate(K::FAMILY, best)) else {
            return candidate.metric.is_none().then_some(Reason::NextHopUnreachable);
        };
        let (multipath, med_matters) = (state.multipath(), state.attributes.has_med());
        loses_to_best(&candidate, &best, multipath, med_matters).or_else(|| {
            let Scratch { candidates, .. } = scratch;
            candidates.clear();
            let selected = table.paths(slot).iter().filter(|path| path.is_selected());
            candidates.extend(selected.filter_map(|&path| state.candidate(K::FAMILY, path)));
            joins_selected(&candidate, candidates, multipath, med_matters)
                .filter(|&verdict| verdict != Reason::Multipath || !state.config.install)
        })
    });
    state.scratch = core::mem::take(scratch);
    let path = table.paths_mut(slot).iter_mut().find(|held| held.source() == path.source());
    match (verdict, path) {
        (Some(verdict), Some(path)) => path.set_verdict(verdict),
        _ => state.mark_dirty(table, slot),
    }
}
