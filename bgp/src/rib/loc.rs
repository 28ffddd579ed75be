//! Loc-RIB (RFC 4271 §3.2): runs the decision on an entry, asks the kernel for
//! its set of next hops, takes the kernel's word, and says what may be advertised.
//!
//! ```text
//!                 decide: new set                ack: errno 0
//!  not requested ────────────────> pending ────────────────────> installed
//!        ^                          │   ^                           │
//!        │  decide: no set          │   └───────────────────────────┘
//!        └──────────────────────────┤            decide: other set
//!                                   └───> failed   ack: errno
//! ```
//!
//! Where routes are installed, a new one is advertised after its
//! acknowledgement, a change keeps what was advertised until then, a withdrawal
//! does not wait. A rejected change withdraws what was advertised.

use crate::io::{RouteAck, RouteChange, SetId};
use crate::reason::Reason;
use crate::rib::attributes::AttrId;
use crate::rib::source::{SourceId, SourceKind};
use crate::rib::state::{Scratch, State};
use crate::rib::table::{Entry, EntryId, Flags, Key, Path, Table};
use crate::rib::{adj_in, decision::Candidate};
use crate::view::KernelView;

/// What may be advertised of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advertise {
    /// Nothing: what was sent is to be withdrawn.
    Nothing,
    /// What was sent stays as it is; nothing, if nothing was. The entry is
    /// handed out as changed when that ends.
    Hold,
    /// This path, export rules permitting.
    Path {
        /// Its attributes as received.
        attrs: AttrId,
        /// Its source.
        source: SourceId,
    },
}

/// Runs the decision on an entry.
pub(super) fn decide<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32) {
    purge(table, state, slot);
    table.entry_mut(slot).clear_flag(Flags::DIRTY);
    let mut scratch = core::mem::take(&mut state.scratch);
    judge(table, state, slot, &mut scratch);
    want(table, state, slot, &mut scratch);
    state.scratch = scratch;
    state.mark_changed(table, slot);
}

/// Takes out the paths of sources that were removed, and stale ones whose time has come.
pub(super) fn purge<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32) {
    while let Some(at) = table.paths(slot).iter().position(|&path| state.is_gone(K::FAMILY, path)) {
        adj_in::remove(table, state, slot, at);
    }
}

/// Fills in the accepted paths of an entry, and where each is.
fn gather(
    entry: EntryId,
    paths: &[Path],
    state: &State,
    candidates: &mut Vec<Candidate>,
    places: &mut Vec<u32>,
) {
    candidates.clear();
    places.clear();
    for (at, &path) in paths.iter().enumerate().filter(|(_, path)| path.is_accepted()) {
        if let Some(candidate) = state.candidate(entry, path) {
            candidates.push(candidate);
            places.push(at as u32);
        }
    }
}

/// Gives every accepted path its verdict, and puts the best one first.
fn judge<K: Key>(table: &mut Table<K>, state: &State, slot: u32, scratch: &mut Scratch) {
    let Scratch { ladder, candidates, places, verdicts, .. } = scratch;
    gather(EntryId::new(K::FAMILY, slot), table.paths(slot), state, candidates, places);
    verdicts.clear();
    verdicts.resize(candidates.len(), Reason::Pending);
    let paths = table.paths_mut(slot);
    let same_as_path = |a: usize, b: usize| {
        let set = |at: usize| state.attributes.get(paths[places[at] as usize].attrs());
        set(a).as_path == set(b).as_path
    };
    let best = ladder.decide(candidates, state.multipath(), same_as_path, verdicts);
    for (&place, &verdict) in places.iter().zip(verdicts.iter()) {
        paths[place as usize].set_verdict(verdict);
    }
    if let Some(best) = best {
        paths.swap(0, places[best] as usize);
    }
}

/// Asks the kernel for the set that the selected paths make.
fn want<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, scratch: &mut Scratch) {
    let members = &mut scratch.members;
    members.clear();
    if state.config.install {
        let selected = table.paths(slot).iter().filter(|path| path.is_accepted() && path.is_selected());
        members.extend(selected.filter_map(|&path| state.next_hop(path)));
        members.sort_unstable();
        members.dedup();
    }
    let old = table.entry(slot).set();
    let new = match old {
        _ if members.is_empty() => None,
        // Another set may have the same members by now: the route stays as it is.
        Some(old) if state.sets.members(old) == members => Some(old),
        _ => Some(state.sets.intern(members)),
    };
    if new != old {
        change_set(table, state, slot, old, new);
    }
}

fn change_set<K: Key>(
    table: &mut Table<K>,
    state: &mut State,
    slot: u32,
    old: Option<SetId>,
    new: Option<SetId>,
) {
    if let Some(new) = new {
        state.sets.retain(new);
    }
    if let Some(old) = old {
        state.sets.release(old);
    }
    let entry = table.entry_mut(slot);
    let before = *entry;
    entry.want_set(new);
    entry.set_flag(Flags::PENDING);
    if new.is_none() {
        entry.clear_flag(Flags::INSTALLED);
    }
    if entry.has(Flags::FAILED) {
        entry.clear_flag(Flags::FAILED);
        state.failures.remove(&EntryId::new(K::FAMILY, slot));
    }
    state.recount(&before, entry);
    state.routes.push(RouteChange { prefix: entry.key().prefix(), set: new });
}

/// Takes the kernel's word on a prefix; one on a set that is not the wanted one is void.
pub(super) fn acknowledge<K: Key>(table: &mut Table<K>, state: &mut State, key: K, ack: RouteAck) {
    let Some(slot) = table.find(key) else { return };
    let id = EntryId::new(K::FAMILY, slot);
    let entry = table.entry_mut(slot);
    if entry.set() != ack.set || (ack.set.is_none() && !entry.has(Flags::PENDING)) {
        return;
    }
    let before = *entry;
    entry.clear_flag(Flags::PENDING);
    if ack.errno == 0 {
        entry.clear_flag(Flags::FAILED);
        if ack.set.is_some() {
            entry.set_flag(Flags::INSTALLED);
        }
        state.failures.remove(&id);
    } else {
        entry.clear_flag(Flags::INSTALLED);
        entry.set_flag(Flags::FAILED);
        state.failures.insert(id, ack.errno);
    }
    state.recount(&before, entry);
    let differs = |flag| before.has(flag) != entry.has(flag);
    if ack.set.is_some() && [Flags::PENDING, Flags::INSTALLED, Flags::FAILED].into_iter().any(differs) {
        state.mark_changed(table, slot);
    }
    state.retire(table, slot);
}

/// What may be advertised of an entry.
pub(super) fn advertise<K: Key>(entry: &Entry<K>, paths: &[Path], state: &State) -> Advertise {
    if entry.has(Flags::DIRTY) {
        return Advertise::Hold;
    }
    let Some(best) = paths.first().filter(|path| path.is_best()) else {
        return Advertise::Nothing;
    };
    let advertised = Advertise::Path { attrs: best.attrs(), source: best.source() };
    let is_local = || state.sources.get(best.source()).is_some_and(|source| source.kind == SourceKind::Local);
    if !state.config.install || is_local() {
        return advertised;
    }
    // A set that lost its last member carries nothing, though the decision has yet to say so.
    let carried = entry.set().is_some_and(|set| !state.sets.members(set).is_empty());
    if !carried || entry.has(Flags::FAILED) {
        return Advertise::Nothing;
    }
    match (entry.has(Flags::PENDING), entry.has(Flags::INSTALLED)) {
        (false, _) => advertised,
        (true, true) => Advertise::Hold,
        (true, false) => Advertise::Nothing,
    }
}

/// What the kernel holds of an entry.
pub(super) fn kernel<K: Key>(entry: &Entry<K>, state: &State, slot: u32) -> KernelView {
    if entry.has(Flags::PENDING) {
        return KernelView::Pending;
    }
    if entry.has(Flags::FAILED) {
        let errno = state.failures.get(&EntryId::new(K::FAMILY, slot));
        return errno.map_or(KernelView::NotRequested, |&errno| KernelView::Failed(errno));
    }
    if entry.has(Flags::INSTALLED) { KernelView::Installed } else { KernelView::NotRequested }
}
