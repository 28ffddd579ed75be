//! Tracked next hops: which ones accepted paths use, and what the kernel says of them.
//!
//! - A next hop is tracked from its first accepted path, or from when it is expected, until no path uses it
//!   and no set has it; it is unreachable until the kernel has spoken. Its number
//!   is its own for as long.
//! - Counts the paths of each (source, next hop), so that the loss of a source
//!   is known to be the loss of the next hops that nobody else uses.
//! - Never resolves anything, never touches a route.

use core::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::io::{NextHop, Tracking};
use crate::rib::attributes::{AddressId, Store};
use crate::rib::source::SourceId;

/// A next hop by number: an address, with or without the default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopId(u32);

impl HopId {
    /// The number of an address's next hop.
    #[must_use]
    pub const fn of(address: AddressId, via_default: bool) -> Self {
        Self(address.0 * 2 + via_default as u32)
    }

    const fn address(self) -> AddressId {
        AddressId(self.0 / 2)
    }

    pub(super) const fn number(self) -> u32 {
        self.0
    }

    const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Hop {
    next_hop: NextHop,
    /// Accepted paths that use it.
    paths: u32,
    /// Peers whose paths are likely to use it.
    expected: u32,
    /// The metric of the route that resolves it.
    metric: Option<u32>,
    /// Whether the kernel driver was told to track it.
    tracked: bool,
    /// Whether the kernel has spoken since.
    answered: bool,
    /// Whether it is listed for the next batch of [`Tracking`].
    listed: bool,
    /// The lap of the walk that takes the last change of its metric to the entries.
    changed: u32,
}

const UNUSED: Hop = Hop {
    next_hop: NextHop { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), via_default: false },
    paths: 0,
    expected: 0,
    metric: None,
    tracked: false,
    answered: false,
    listed: false,
    changed: 0,
};

/// How many accepted paths of one source use one next hop.
#[derive(Clone, Copy, Debug)]
struct Use {
    source: SourceId,
    hop: HopId,
    paths: u32,
}

/// The tracked next hops.
#[derive(Clone, Debug)]
pub struct Tracker {
    hasher: FixedState,
    hops: Vec<Hop>,
    /// Hops whose tracking may have to start or stop, in the order of events.
    listed: Vec<HopId>,
    uses: Vec<Use>,
    free: Vec<u32>,
    index: HashTable<u32>,
    /// The use that was found last: prefixes of one UPDATE share it.
    last: u32,
}

impl Tracker {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            hops: Vec::new(),
            listed: Vec::new(),
            uses: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            last: 0,
        }
    }

    fn find(&mut self, source: SourceId, hop: HopId) -> Option<u32> {
        let same = |held: &Use| held.source == source && held.hop == hop && held.paths > 0;
        if self.uses.get(self.last as usize).is_some_and(same) {
            return Some(self.last);
        }
        let hash = self.hasher.hash_one((source, hop));
        self.last = *self.index.find(hash, |&at| same(&self.uses[at as usize]))?;
        Some(self.last)
    }

    fn list(&mut self, hop: HopId) {
        if !self.hops[hop.index()].listed {
            self.hops[hop.index()].listed = true;
            self.listed.push(hop);
        }
    }

    /// A next hop that is likely to be used: tracked before the first path names it, so that no path waits
    /// for the kernel's first word.
    pub(super) fn expect(&mut self, hop: HopId, next_hop: NextHop) {
        let held = self.hop_mut(hop);
        held.expected += 1;
        held.next_hop = next_hop;
        self.list(hop);
    }

    /// Gives a [`Tracker::expect`] up.
    pub(super) fn forget(&mut self, hop: HopId) {
        self.hops[hop.index()].expected -= 1;
        self.list(hop);
    }

    fn hop_mut(&mut self, hop: HopId) -> &mut Hop {
        if self.hops.len() <= hop.index() {
            self.hops.resize(hop.index() + 1, UNUSED);
        }
        &mut self.hops[hop.index()]
    }

    /// Counts an accepted path of a source.
    pub(super) fn add(&mut self, source: SourceId, hop: HopId, next_hop: impl FnOnce() -> NextHop) {
        let held = self.hop_mut(hop);
        held.paths += 1;
        if held.paths == 1 {
            held.next_hop = next_hop();
            self.list(hop);
        }
        if let Some(at) = self.find(source, hop) {
            self.uses[at as usize].paths += 1;
            return;
        }
        let new = Use { source, hop, paths: 1 };
        let at = match self.free.pop() {
            Some(at) => {
                self.uses[at as usize] = new;
                at
            }
            None => {
                self.uses.push(new);
                self.uses.len() as u32 - 1
            }
        };
        let Self { hasher, uses, index, .. } = self;
        index.insert_unique(hasher.hash_one((source, hop)), at, |&at| {
            let held = &uses[at as usize];
            hasher.hash_one((held.source, held.hop))
        });
        self.last = at;
    }

    /// Takes an accepted path of a source off.
    pub(super) fn remove(&mut self, source: SourceId, hop: HopId) {
        self.hops[hop.index()].paths -= 1;
        if self.hops[hop.index()].paths == 0 {
            self.list(hop);
        }
        let Some(at) = self.find(source, hop) else { return };
        self.uses[at as usize].paths -= 1;
        if self.uses[at as usize].paths == 0 {
            let hash = self.hasher.hash_one((source, hop));
            if let Ok(found) = self.index.find_entry(hash, |&other| other == at) {
                found.remove();
            }
            self.free.push(at);
        }
    }

    /// The metric of what resolves a next hop; `None` if nothing does, or the
    /// kernel has not spoken yet.
    #[must_use]
    pub fn metric(&self, hop: HopId) -> Option<u32> {
        self.hops.get(hop.index()).and_then(|hop| hop.metric)
    }

    /// The address and manner of a next hop that accepted paths use.
    #[must_use]
    pub fn next_hop(&self, hop: HopId) -> NextHop {
        self.hops[hop.index()].next_hop
    }

    /// The kernel has spoken about a next hop.
    pub(super) fn answer(&mut self, hop: HopId) {
        if let Some(held) = self.hops.get_mut(hop.index()) {
            held.answered = held.tracked;
        }
    }

    /// Whether the kernel has yet to speak about a next hop that an accepted path uses.
    pub(super) fn is_waiting(&self) -> bool {
        self.hops.iter().any(|hop| hop.paths > 0 && !hop.answered)
    }

    /// Whether the kernel's word on a next hop is news for paths or sets.
    pub(super) fn is_news(&self, hop: HopId, metric: Option<u32>) -> bool {
        let in_use = |hop: &&Hop| hop.paths > 0 || hop.tracked;
        self.hops.get(hop.index()).filter(in_use).is_some_and(|hop| hop.metric != metric)
    }

    /// Takes the kernel's word, which a lap of the walk takes to the entries, if there are any.
    pub(super) fn set_metric(&mut self, hop: HopId, metric: Option<u32>, lap: impl FnOnce() -> u32) {
        if let Some(held) = self.hops.get_mut(hop.index()) {
            held.metric = metric;
            if held.paths > 0 {
                held.changed = lap();
            }
        }
    }

    /// Whether a lap takes the next hop's metric to the entries.
    pub(super) fn has_changed(&self, hop: HopId, lap: u32) -> bool {
        self.hops.get(hop.index()).is_some_and(|hop| hop.changed == lap)
    }

    /// The next hops that only this source uses, ordered.
    pub(super) fn exclusive(&self, source: SourceId) -> Vec<NextHop> {
        let held = self.uses.iter().filter(|held| {
            held.source == source && held.paths > 0 && self.hops[held.hop.index()].paths == held.paths
        });
        let mut hops: Vec<NextHop> = held.map(|held| self.next_hop(held.hop)).collect();
        hops.sort_unstable();
        hops
    }

    /// Appends what the kernel driver is to track, or not any more. A next hop of
    /// which `is_member` says that a set has it stays tracked, and on the list.
    pub(super) fn drain(
        &mut self,
        store: &mut Store,
        is_member: impl Fn(NextHop) -> bool,
        tracking: &mut Vec<Tracking>,
    ) {
        let Self { hops, listed, .. } = self;
        listed.retain(|hop| {
            let held = &mut hops[hop.index()];
            match (held.paths > 0 || held.expected > 0, held.tracked) {
                (true, false) => {
                    store.retain_address(held.next_hop.address);
                    tracking.push(Tracking::Start(held.next_hop));
                    held.tracked = true;
                    held.answered = false;
                }
                (false, true) if is_member(held.next_hop) => return true,
                (false, true) => {
                    store.release_address(hop.address());
                    tracking.push(Tracking::Stop(held.next_hop));
                    held.tracked = false;
                    held.metric = None;
                }
                (false, false) => held.metric = None,
                (true, true) => {}
            }
            held.listed = false;
            false
        });
    }

    /// Whether the next drain may have something to say.
    pub(super) const fn is_listed(&self) -> bool {
        !self.listed.is_empty()
    }
}
