//! Paths that are kept for long carry what says so (RFC 9494 §4.2).

use crate::rib::adj_in;
use crate::rib::state::State;
use crate::rib::table::{Key, Path, Table};
use crate::wire::community::Community;

/// Attaches LLGR_STALE to a path that is kept for long (RFC 9494 §4.2); whether it lacked it.
pub(super) fn mark<K: Key>(table: &mut Table<K>, state: &mut State, slot: u32, at: usize) -> bool {
    let path = table.paths(slot)[at];
    let due = path.is_accepted() && state.is_long_lived(K::FAMILY, path);
    if !due || state.attributes.facts(path.attrs()).long_lived {
        return false;
    }
    let mut attributes = state.attributes.get(path.attrs()).into_owned();
    let communities = attributes.communities.iter().copied().chain([Community::LLGR_STALE]);
    attributes.communities = communities.collect();
    let received = state.attributes.received(path.attrs());
    let attrs = state.attributes.intern_changed(attributes, received);
    adj_in::replace(table, state, slot, at, Path::new(attrs, path.source(), None).of_epoch(path.epoch()));
    true
}
