//! The ledger's sets of next hops, as they come, change and go.

use std::collections::BTreeSet;
use std::sync::Arc;

use bgp::io::{NextHop, SetChange, SetId};

use super::super::route::Leg;
use super::Ledger;

impl Ledger {
    /// Takes new and changed sets; [`Ledger::resolve`] has to follow.
    pub fn change_sets(&mut self, changes: Vec<SetChange>) {
        for SetChange { id, members } in changes {
            let set = self.sets.entry(id).or_default();
            set.members = members;
            set.changed = true;
            if set.is_over() {
                self.sets.remove(&id);
            }
        }
    }

    /// Computes the legs of `all` sets, or of those whose members have changed; routes of the sets that came out
    /// otherwise are queued.
    pub fn resolve(&mut self, all: bool, mut resolution: impl FnMut(NextHop) -> Option<Arc<[Leg]>>) {
        let mut changed = BTreeSet::new();
        for (id, set) in self.sets.iter_mut().filter(|(_, set)| all || set.changed) {
            set.changed = false;
            let mut legs: Vec<Leg> = Vec::new();
            for resolved in set.members.iter().filter_map(|member| resolution(*member)) {
                legs.extend_from_slice(&resolved);
            }
            legs.sort_unstable();
            legs.dedup();
            let before = set.legs.as_deref().unwrap_or_default();
            if before != legs {
                set.legs = (!legs.is_empty()).then(|| legs.into());
                // A group changes in the place of the routes that name it.
                if set.group.is_some() || (self.objects && !set.failed) {
                    self.due.insert(*id);
                } else if set.users > 0 {
                    changed.insert(*id);
                }
            }
        }
        self.requeue(&changed);
    }

    /// One route fewer names the set.
    pub(super) fn release(&mut self, set: Option<SetId>) {
        let Some(id) = set else { return };
        self.routes = self.routes.saturating_sub(1);
        if let Some(set) = self.sets.get_mut(&id) {
            set.users = set.users.saturating_sub(1);
            if set.users == 0 {
                self.due.insert(id);
            }
            if set.is_over() {
                self.sets.remove(&id);
            }
        }
    }
}
