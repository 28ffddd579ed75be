//! ECMP sets of next hops, interned: entries that use the same next hops name
//! the same set, so that one effect changes all of their routes.
//!
//! - Members are ordered. A set never grows: it loses members that do not
//!   resolve, at once and for every entry that names it. Each
//!   entry is decided anew behind that, and keeps the set if it fits.
//! - A set without members carries no route: those that still name it are gone.
//! - The number of a set that nothing names rests before it is used again, so
//!   that a late acknowledgement is not taken for one of the next set's.

use core::hash::BuildHasher;
use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::io::{NextHop, SetChange, SetId};

/// How many numbers rest: more sets than die within the time of one acknowledgement.
const RESTING: usize = 1024;

#[derive(Clone, Debug, Default)]
struct Set {
    members: Vec<NextHop>,
    refs: u32,
    /// Whether the number is in use.
    used: bool,
    /// Whether the driver was last told of members.
    announced: bool,
    /// Whether the index leads here; another set may have the same members.
    indexed: bool,
    /// Whether a change is listed for the next drain.
    listed: bool,
    /// Whether the set is listed as one that nothing names.
    idle: bool,
    /// The number of drains when it was last so.
    idle_since: u64,
}

/// The interned sets.
#[derive(Clone, Debug)]
pub struct Sets {
    hasher: FixedState,
    sets: Vec<Set>,
    free: VecDeque<u32>,
    index: HashTable<u32>,
    /// Sets to tell the driver of, in the order of events.
    listed: Vec<u32>,
    /// Sets that nothing names, or named when they were listed.
    idle: Vec<u32>,
    /// How many drains there were.
    drains: u64,
    /// Whether a set that is listed has lost a member.
    losing: bool,
}

impl Sets {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            sets: Vec::new(),
            free: VecDeque::new(),
            index: HashTable::new(),
            listed: Vec::new(),
            idle: Vec::new(),
            drains: 0,
            losing: false,
        }
    }

    /// The members of a set, ordered.
    #[must_use]
    pub fn members(&self, id: SetId) -> &[NextHop] {
        self.sets.get(id.0 as usize).map_or(&[], |set| &set.members)
    }

    /// Whether some set has this member.
    pub(super) fn has_member(&self, next_hop: NextHop) -> bool {
        self.sets.iter().any(|set| set.members.binary_search(&next_hop).is_ok())
    }

    /// The set of these members, which must be ordered and not empty; to be
    /// retained before the next drain.
    pub(super) fn intern(&mut self, members: &[NextHop]) -> SetId {
        let hash = self.hasher.hash_one(members);
        if let Some(&id) = self.index.find(hash, |&id| self.sets[id as usize].members == members) {
            return SetId(id);
        }
        let id = if self.free.len() > RESTING { self.free.pop_front() } else { None };
        let id = id.unwrap_or_else(|| {
            self.sets.push(Set::default());
            self.sets.len() as u32 - 1
        });
        self.sets[id as usize] =
            Set { members: members.to_vec(), used: true, indexed: true, ..Set::default() };
        self.insert(hash, id);
        self.list(id);
        self.rest(id);
        SetId(id)
    }

    fn insert(&mut self, hash: u64, id: u32) {
        let Self { hasher, sets, index, .. } = self;
        index.insert_unique(hash, id, |&id| hasher.hash_one(&*sets[id as usize].members));
    }

    fn list(&mut self, id: u32) {
        let set = &mut self.sets[id as usize];
        if !set.listed {
            set.listed = true;
            self.listed.push(id);
        }
    }

    fn rest(&mut self, id: u32) {
        let set = &mut self.sets[id as usize];
        set.idle_since = self.drains;
        if !set.idle {
            set.idle = true;
            self.idle.push(id);
        }
    }

    pub(super) fn retain(&mut self, id: SetId) {
        self.sets[id.0 as usize].refs += 1;
    }

    pub(super) fn release(&mut self, id: SetId) {
        let set = &mut self.sets[id.0 as usize];
        set.refs -= 1;
        if set.refs == 0 {
            self.rest(id.0);
        }
    }

    fn unindex(&mut self, id: u32) {
        let set = &mut self.sets[id as usize];
        if core::mem::take(&mut set.indexed) {
            let hash = self.hasher.hash_one(&*set.members);
            if let Ok(found) = self.index.find_entry(hash, |&other| other == id) {
                found.remove();
            }
        }
    }

    /// Takes a next hop out of every set that has it.
    pub(super) fn shrink(&mut self, gone: NextHop) {
        for id in 0..self.sets.len() as u32 {
            self.remove_member(id, gone);
        }
    }

    fn remove_member(&mut self, id: u32, gone: NextHop) {
        let Ok(at) = self.sets[id as usize].members.binary_search(&gone) else { return };
        self.unindex(id);
        let members = &mut self.sets[id as usize].members;
        members.remove(at);
        let hash = self.hasher.hash_one(&**members);
        let taken = |&other: &u32| self.sets[other as usize].members == self.sets[id as usize].members;
        if !self.sets[id as usize].members.is_empty() && self.index.find(hash, taken).is_none() {
            self.insert(hash, id);
            self.sets[id as usize].indexed = true;
        }
        self.losing = true;
        self.list(id);
    }

    /// Takes next hops out of every set that has others too.
    pub(super) fn shrink_but_last(&mut self, stale: &[NextHop]) {
        for &next_hop in stale {
            let fresh = |set: &Set| set.members.iter().any(|member| !stale.contains(member));
            let sets = 0..self.sets.len() as u32;
            let shared: Vec<u32> = sets.filter(|&id| fresh(&self.sets[id as usize])).collect();
            for id in shared {
                self.remove_member(id, next_hop);
            }
        }
    }

    /// Appends the sets that were made or changed, then those that go. A set
    /// goes one drain after its last route, so that the driver has moved every
    /// route off a set when it hears that the set goes.
    pub(super) fn drain(&mut self, changes: &mut Vec<SetChange>) {
        self.tell(changes);
        for id in core::mem::take(&mut self.idle) {
            let set = &mut self.sets[id as usize];
            if set.refs > 0 {
                set.idle = false;
            } else if set.idle_since == self.drains {
                self.idle.push(id);
            } else {
                if set.announced {
                    changes.push(SetChange { id: SetId(id), members: Vec::new() });
                }
                self.unindex(id);
                self.sets[id as usize] = Set::default();
                self.free.push_back(id);
            }
        }
        self.drains += 1;
    }

    /// Appends the sets that were made or changed.
    fn tell(&mut self, changes: &mut Vec<SetChange>) {
        for id in core::mem::take(&mut self.listed) {
            let set = &mut self.sets[id as usize];
            set.listed = false;
            set.announced = !set.members.is_empty();
            changes.push(SetChange { id: SetId(id), members: set.members.clone() });
        }
        self.losing = false;
    }

    /// Appends the sets that were made or changed, if one of them has lost a member: whoever forwards by
    /// it is not to wait for the decisions that follow.
    pub(super) fn tell_losses(&mut self, changes: &mut Vec<SetChange>) {
        if self.losing {
            self.tell(changes);
        }
    }

    /// Whether the next drain has a set to drop.
    pub(super) const fn is_dropping(&self) -> bool {
        !self.idle.is_empty()
    }

    /// How many sets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.iter().filter(|set| set.used).count()
    }

    /// Whether there is no set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
