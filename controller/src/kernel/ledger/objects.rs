//! The ledger's next-hop objects: which are to be made, changed and deleted, so that each set of next hops that routes
//! name has a group of its own.
//!
//! ```text
//!  a way out dies  ─> its hop is deleted: every group shrinks, one that is left empty takes its routes with it
//!  a way out comes ─> a hop is made, the group gets it; a set without a group gets one, and its routes follow
//!  nothing needs it ─> the object is deleted, once what an earlier run left may go
//! ```
//!
//! Work comes in rounds, because the kernel chooses the numbers: [`Ledger::object_batch`] and
//! [`Ledger::settle_objects`] by turns until nothing is left, then routes. Where an object cannot be made, the routes
//! of its set are written without, and so have the kernel's word each for itself.

use std::collections::BTreeSet;

use bgp::io::SetId;

use super::super::command::{Fib, NextHopGroups};
use super::super::object::{Change, Object, What};
use super::super::route::Leg;
use super::Ledger;
use super::book::At;
use super::set::Set;

impl Ledger {
    /// Takes a dump of all next-hop objects in the place of what is believed; `None` if the kernel has none to offer.
    pub fn adopt_objects(&mut self, dump: Option<Vec<Object>>) {
        self.supported = dump.is_some();
        let ours = dump.unwrap_or_default().into_iter();
        let ours = ours.filter(|object| self.ownership.protocols.contains(&object.protocol));
        let gone = self.shelf.replace(ours);
        self.lose(&gone);
        self.unmade.clear();
        self.ungrouped.clear();
        for (id, set) in &mut self.sets {
            set.failed = false;
            self.due.insert(*id);
        }
        self.surplus = true;
    }

    /// Whether objects are to be made, changed or deleted.
    pub(super) fn has_object_work(&self) -> bool {
        !self.due.is_empty() || (self.surplus && self.may_tidy())
    }

    /// Whether the configuration would have routes name objects.
    #[must_use]
    pub fn asks_for_objects(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.next_hop_groups != NextHopGroups::Never)
    }

    /// How learned routes are written.
    #[must_use]
    pub fn fib(&self) -> Fib {
        let mut fib = Fib { objects: self.objects, supported: self.supported, hops: 0, groups: 0 };
        for object in self.shelf.all() {
            match object.what {
                What::Hop(_) => fib.hops += 1,
                What::Group(_) | What::Foreign => fib.groups += 1,
            }
        }
        fib
    }

    /// The next changes of objects; their results are to be brought back before the next call. Routes come when there
    /// are none.
    pub fn object_batch(&mut self) -> Vec<Change> {
        let Some(config) = &self.config else { return Vec::new() };
        let protocol = config.protocol;
        self.choose();
        self.first = 0;
        self.leaving.clear();
        let mut changes = Vec::new();
        let mut asked = BTreeSet::new();
        let mut moved = BTreeSet::new();
        let dying = self.dying();
        changes.extend(dying.iter().copied().map(Change::Delete));
        for id in self.due.clone() {
            let Some(set) = self.sets.get(&id) else {
                self.due.remove(&id);
                continue;
            };
            let members = set.group.and_then(|group| self.shelf.members(group)).unwrap_or_default();
            if members.iter().any(|member| dying.contains(member)) {
                continue;
            }
            let legs = set.legs.clone().filter(|_| self.objects && set.users > 0);
            let Some(legs) = legs else {
                self.end(id, &mut changes, &mut moved);
                continue;
            };
            let mut hops = Vec::new();
            let mut waits = false;
            let unmade = legs.iter().any(|leg| self.unmade.contains(leg));
            for leg in legs.iter().filter(|_| !unmade) {
                match self.shelf.hop(leg, protocol) {
                    Some(hop) => hops.push(hop),
                    None => {
                        waits = true;
                        if asked.insert(*leg) {
                            changes.push(Change::Hop(*leg));
                        }
                    }
                }
            }
            if !waits {
                hops.sort_unstable();
                self.group(id, hops, protocol, &mut changes, &mut moved);
            }
        }
        self.requeue(&moved);
        if changes.is_empty() && self.due.is_empty() && self.surplus && self.may_tidy() {
            changes = self.tidy();
            self.surplus = !changes.is_empty();
        }
        changes
    }

    /// What the set's group is to be, now that its hops are there.
    fn group(
        &mut self,
        id: SetId,
        hops: Vec<u32>,
        protocol: u8,
        changes: &mut Vec<Change>,
        moved: &mut BTreeSet<SetId>,
    ) {
        let Some(set) = self.sets.get_mut(&id) else { return };
        if hops.is_empty() || self.ungrouped.contains(&hops) {
            if let Some(group) = set.group.take() {
                self.claims.remove(&group);
            }
            set.failed = true;
            self.surplus = true;
            self.due.remove(&id);
            moved.insert(id);
            return;
        }
        if let Some(group) = set.group {
            if self.shelf.members(group) == Some(hops.as_slice()) {
                self.due.remove(&id);
            } else {
                self.surplus = true;
                changes.push(Change::Regroup(group, hops));
            }
            return;
        }
        let free = self.shelf.alike(&hops, protocol).find(|group| !self.claims.contains_key(group));
        match free {
            Some(group) => {
                set.group = Some(group);
                set.failed = false;
                self.claims.insert(group, id);
                self.due.remove(&id);
                moved.insert(id);
            }
            None => changes.push(Change::Group(hops)),
        }
    }

    /// The set has no use for a group: it has no way out, no route names it, or routes are written without objects.
    fn end(&mut self, id: SetId, changes: &mut Vec<Change>, moved: &mut BTreeSet<SetId>) {
        let Some(set) = self.sets.get(&id) else { return };
        let (users, resolves) = (set.users, set.legs.is_some());
        if let Some(group) = set.group {
            // Without objects its routes are moved one by one.
            let falls = self.objects || !resolves;
            if falls && self.book.users(group) > 0 && self.fits_end(group) {
                if self.move_first(group) {
                    return;
                }
                changes.push(Change::Delete(group));
                return;
            }
            self.claims.remove(&group);
        }
        self.due.remove(&id);
        self.surplus = true;
        let Some(set) = self.sets.get_mut(&id) else { return };
        set.group = None;
        set.failed = false;
        if users > 0 {
            moved.insert(id);
        } else if set.members.is_empty() {
            self.sets.remove(&id);
        }
    }

    /// Whether somebody has asked for each of the group's routes: before the sweep some may be an earlier run's.
    fn fits_end(&self, group: u32) -> bool {
        self.swept || self.book.naming(group).all(|key| self.book.wants_any(key.prefix))
    }

    /// Hops that nothing leads to any more, where all that follows from their end is wanted.
    fn dying(&mut self) -> BTreeSet<u32> {
        let mut dying = BTreeSet::new();
        if !self.objects {
            return dying;
        }
        let due = self.due.iter().filter_map(|id| self.sets.get(id));
        let hops: BTreeSet<u32> = due.flat_map(|set| self.lost(set)).collect();
        for hop in hops {
            let Some(leg) = self.shelf.leg(hop).copied() else { continue };
            let holders: Vec<u32> = self.shelf.holders(hop).collect();
            if !self.kept.contains(&hop)
                && holders.iter().all(|group| self.gives_up(*group, &leg))
                && !holders.iter().any(|group| self.would_fall(*group) && self.move_first(*group))
            {
                dying.insert(hop);
            }
        }
        dying
    }

    /// Hops of a set's group by which nothing is to leave any more.
    fn lost(&self, set: &Set) -> impl Iterator<Item = u32> {
        let members = set.group.and_then(|group| self.shelf.members(group)).unwrap_or_default();
        let legs = set.legs.as_deref().filter(|_| set.users > 0).unwrap_or_default();
        let lost = move |hop: &u32| self.shelf.leg(*hop).is_some_and(|leg| !legs.contains(leg));
        members.iter().copied().filter(lost)
    }

    /// Whether routes name a way out that is lost, and nothing was written of it yet.
    #[must_use]
    pub fn is_losing(&self) -> bool {
        let mut due = self.due.iter().filter_map(|id| self.sets.get(id)).filter(|set| set.users > 0);
        self.objects && due.any(|set| self.lost(set).next().is_some())
    }

    /// Whether a group can do without a way out at once.
    fn gives_up(&self, group: u32, leg: &Leg) -> bool {
        let Some(id) = self.claims.get(&group) else { return false };
        let Some(set) = self.sets.get(id) else { return false };
        match &set.legs {
            Some(legs) if set.users > 0 => {
                let members = self.shelf.members(group).unwrap_or_default();
                let mut ways = members.iter().filter_map(|member| self.shelf.leg(*member));
                !legs.contains(leg) && ways.any(|way| legs.contains(way))
            }
            _ => self.fits_end(group),
        }
    }

    /// Whether a group is to end with its last hop.
    fn would_fall(&self, group: u32) -> bool {
        let set = self.claims.get(&group).and_then(|id| self.sets.get(id));
        set.is_none_or(|set| set.legs.is_none() || set.users == 0)
    }

    /// Puts routes that are to leave the group for another way first in the queue: the group's end would take them
    /// along. Whether there are any.
    fn move_first(&mut self, group: u32) -> bool {
        if self.leaving.contains(&group) {
            return true;
        }
        if self.queue.is_empty() {
            return false;
        }
        let leaves = |at: &At| {
            let row = self.book.row(*at);
            let ways = row.have().and_then(|route| route.target.ways());
            ways.is_some_and(|(_, objects)| objects.contains(&group))
                && self.wanted_of(row.prefix.family(), row.want).is_some()
        };
        let (mut first, rest): (Vec<_>, Vec<_>) = self.queue.iter().partition(|at| leaves(at));
        if first.is_empty() {
            return false;
        }
        self.leaving.insert(group);
        self.first += first.len();
        first.extend(rest);
        self.queue = first.into();
        true
    }

    /// Whether what nobody needs may go.
    fn may_tidy(&self) -> bool {
        self.swept || self.config.as_ref().is_some_and(|config| !config.install)
    }

    /// Objects that neither a route nor a set needs: groups first, hops when no group has them.
    fn tidy(&self) -> Vec<Change> {
        let held: BTreeSet<u32> =
            self.shelf.all().filter_map(|object| self.shelf.members(object.id)).flatten().copied().collect();
        let unused = self.shelf.all().filter(|object| match object.what {
            What::Hop(_) => !held.contains(&object.id),
            What::Group(_) | What::Foreign => {
                !self.claims.contains_key(&object.id) && self.book.users(object.id) == 0
            }
        });
        unused
            .filter(|object| !self.kept.contains(&object.id))
            .map(|object| Change::Delete(object.id))
            .collect()
    }

    /// Takes the kernel's word on the changes of a batch: the number of the object, or an errno each.
    pub fn settle_objects(&mut self, changes: Vec<Change>, results: &[Result<u32, u16>]) {
        let protocol = self.config.as_ref().map_or(0, |config| config.protocol);
        let mut gone = Vec::new();
        for (change, result) in changes.into_iter().zip(results) {
            let errno = match result {
                Ok(id) => {
                    self.baffled &= !matches!(change, Change::Group(_) | Change::Regroup(..));
                    gone.extend(self.shelf.settle(change, *id, protocol));
                    continue;
                }
                Err(errno) => i32::from(*errno),
            };
            match change {
                // Nothing was believed of it.
                Change::Hop(leg) => {
                    self.unmade.insert(leg);
                    continue;
                }
                Change::Group(hops) => drop(self.ungrouped.insert(hops)),
                Change::Delete(id) if matches!(errno, libc::ENOENT | libc::ESRCH) => {
                    gone.extend(self.shelf.settle(change, id, protocol));
                }
                Change::Regroup(id, _) if errno == libc::ENOENT => {
                    gone.extend(self.shelf.settle(Change::Delete(id), id, protocol));
                }
                Change::Regroup(_, hops) => {
                    self.ungrouped.insert(hops);
                }
                // It is left to itself: the same would happen again.
                Change::Delete(id) => {
                    self.kept.insert(id);
                    if let Some(set) = self.claims.remove(&id).and_then(|id| self.sets.get_mut(&id)) {
                        set.group = None;
                    }
                }
            }
            // Something may not be as it was believed to be; to be looked into once, or a lasting refusal would keep the
            // driver dumping.
            self.doubtful |= !std::mem::replace(&mut self.baffled, true);
        }
        self.lose(&gone);
    }

    /// Takes it in that groups are gone, and with them their routes.
    fn lose(&mut self, groups: &[u32]) {
        if groups.is_empty() {
            return;
        }
        for group in groups {
            let Some(id) = self.claims.remove(group) else { continue };
            if let Some(set) = self.sets.get_mut(&id) {
                set.group = None;
                self.due.insert(id);
            }
        }
        self.book.forget(groups);
        self.surplus = true;
    }

    /// Chooses between plain routes and objects.
    fn choose(&mut self) {
        let Some(config) = &self.config else { return };
        let objects = self.supported
            && config.install
            && match config.next_hop_groups {
                NextHopGroups::Never => false,
                NextHopGroups::Always => true,
                // What an earlier run left is counted as it comes again.
                NextHopGroups::Auto if self.objects => !self.swept || self.routes >= NextHopGroups::FEW,
                NextHopGroups::Auto => {
                    self.routes >= NextHopGroups::MANY || (!self.swept && self.book.names_objects())
                }
            };
        if objects == self.objects {
            return;
        }
        self.objects = objects;
        self.surplus = true;
        self.due.extend(self.sets.keys().copied());
    }

    /// Queues the routes of these sets: they are to be written otherwise.
    pub(super) fn requeue(&mut self, sets: &BTreeSet<SetId>) {
        if sets.is_empty() {
            return;
        }
        for (at, row) in self.book.rows_mut() {
            let wanted = row.want.and_then(|want| want.set);
            if !row.queued && wanted.is_some_and(|set| sets.contains(&set)) {
                row.queued = true;
                self.queue.push_back(at);
            }
        }
    }
}
