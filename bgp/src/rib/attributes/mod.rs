//! Interned attribute sets: each distinct set is stored once and named by a
//! number of four octets, so that a path is eight octets whatever it carries.
//!
//! - Owns the sets, what the decision needs of each ([`Facts`]), and the bytes
//!   that decode to each.
//! - A set is counted by paths and by what was sent to update groups. One that
//!   nothing counts stays until the end of the next
//!   [`Rib::drain`](crate::rib::Rib::drain), so that a number that
//!   [`Store::intern`] gave is good for the whole turn without a [`Store::retain`].
//! - A set of which the bytes are known is kept decoded only for as long as it is among the last
//!   `WARM` to be used: the bytes say the same in a fifth of the memory.
//! - Never encodes.

mod address;
mod raw;
mod short;

use std::borrow::Cow;
use std::collections::VecDeque;

use core::hash::BuildHasher;
use core::num::NonZeroU32;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub use self::address::AddressId;
use self::address::Addresses;
use self::raw::RawCache;
use self::short::Short;
use crate::id::{Asn, RouterId};
use crate::policy::DEFAULT_LOCAL_PREFERENCE;
use crate::wire::attribute::{Origin, PathAttributes};
use crate::wire::community::Community;
use crate::wire::identity;

/// The number of an attribute set; used again after the set was swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrId(NonZeroU32);

impl AttrId {
    /// The number from its stored form; `None` for zero.
    pub(super) const fn from_raw(raw: u32) -> Option<Self> {
        match NonZeroU32::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    pub(super) const fn raw(self) -> u32 {
        self.0.get()
    }

    /// A dense index from zero, for what others keep beside the sets.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    fn of(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }
}

/// What the decision compares of an attribute set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// LOCAL_PREF, or [`DEFAULT_LOCAL_PREFERENCE`].
    pub local_preference: u32,
    /// The length of AS_PATH (RFC 4271 §9.1.2.2 a).
    pub hops: u32,
    /// MULTI_EXIT_DISC; zero, the lowest, where the path carries none (§9.1.2.2 c).
    pub med: u32,
    /// The neighbouring AS; `None` for a path that starts in the own AS.
    pub neighbor: Option<Asn>,
    /// ORIGINATOR_ID, which stands for the speaker's BGP Identifier (RFC 4456 §9).
    pub originator: Option<RouterId>,
    /// The length of CLUSTER_LIST.
    pub cluster_len: u32,
    /// The next hop's address.
    pub next_hop: AddressId,
    /// ORIGIN.
    pub origin: Origin,
    /// Whether the path carries LLGR_STALE (RFC 9494 §4.3).
    pub long_lived: bool,
    /// Whether the path carries NO_LLGR (RFC 9494 §4.2).
    pub never_long_lived: bool,
}

/// Sets that are kept decoded though their bytes are known: more than a turn of the owner brings.
/// Few where assertions are checked, so that what is tested meets both kinds.
const WARM: usize = if cfg!(debug_assertions) { 4 } else { 2048 };

#[derive(Clone, Debug)]
struct Set {
    /// `None` where the bytes alone are kept, and of a number that is free.
    attributes: Option<Box<PathAttributes>>,
    refs: u32,
    /// The head of the chain of bytes that decode to this set.
    raw: u32,
    /// The hash of the attributes: what an index that grows asks of each set again.
    hash: Short,
    /// Whether the number names a set.
    used: bool,
    /// Whether the set is listed for the next sweep.
    idle: bool,
    /// The set as it was received, where import changed it; held by this one.
    received: Option<AttrId>,
}

/// The interned attribute sets.
#[derive(Clone, Debug)]
pub struct Store {
    hasher: FixedState,
    sets: Vec<Set>,
    facts: Vec<Facts>,
    free: Vec<u32>,
    index: HashTable<u32>,
    idle: Vec<u32>,
    addresses: Addresses,
    raws: RawCache,
    /// Sets that are decoded and have bytes, the oldest first; one that was swept may be among them.
    warm: VecDeque<u32>,
    with_med: usize,
}

impl Store {
    /// An empty store; `seed` feeds its hashes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            sets: Vec::new(),
            facts: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            idle: Vec::new(),
            addresses: Addresses::new(seed),
            raws: RawCache::new(seed),
            warm: VecDeque::new(),
            with_med: 0,
        }
    }

    /// The number of a set of attributes. Without a [`Store::retain`] it is good
    /// until the end of the next [`Rib::drain`](crate::rib::Rib::drain).
    ///
    /// # Panics
    ///
    /// Beyond 2³² sets, which no memory holds.
    pub fn intern(&mut self, attributes: PathAttributes) -> AttrId {
        self.intern_as(attributes, None)
    }

    /// The number of a set as import changed it; it remembers, and keeps, the
    /// set that was received. Equal attributes out of two sets are two sets.
    pub fn intern_changed(&mut self, attributes: PathAttributes, received: AttrId) -> AttrId {
        self.intern_as(attributes, Some(received))
    }

    /// The set that was received where import made this one out of it; else the set itself.
    #[must_use]
    pub fn received(&self, id: AttrId) -> AttrId {
        self.sets[id.index()].received.unwrap_or(id)
    }

    fn intern_as(&mut self, attributes: PathAttributes, received: Option<AttrId>) -> AttrId {
        let hash = Short::of(self.hasher.hash_one(&attributes));
        let same = |&id: &u32| {
            let set = &self.sets[id as usize];
            set.hash == hash && set.received == received && *self.attributes(set) == attributes
        };
        if let Some(&id) = self.index.find(hash.long(), same) {
            return AttrId::of(id as usize);
        }
        let next_hop = self.addresses.retain(attributes.next_hop.address());
        let facts = Facts {
            local_preference: attributes.local_preference.unwrap_or(DEFAULT_LOCAL_PREFERENCE),
            hops: attributes.as_path.hops() as u32,
            med: attributes.med.unwrap_or(0),
            neighbor: attributes.as_path.neighbor(),
            originator: attributes.originator,
            cluster_len: attributes.cluster_list.len() as u32,
            next_hop,
            origin: attributes.origin,
            long_lived: attributes.communities.contains(&Community::LLGR_STALE),
            never_long_lived: attributes.communities.contains(&Community::NO_LLGR),
        };
        self.with_med += usize::from(facts.med != 0);
        let attributes = Some(Box::new(attributes));
        let set = Set { attributes, refs: 0, raw: raw::NONE, hash, used: true, idle: true, received };
        if let Some(received) = received {
            self.retain(received);
        }
        let id = match self.free.pop() {
            Some(id) => {
                self.sets[id as usize] = set;
                self.facts[id as usize] = facts;
                id
            }
            None => {
                self.sets.push(set);
                self.facts.push(facts);
                u32::try_from(self.sets.len() - 1).expect("fewer sets than 2^32 fit in memory")
            }
        };
        self.idle.push(id);
        let Self { sets, index, .. } = self;
        index.insert_unique(hash.long(), id, |&id| sets[id as usize].hash.long());
        AttrId::of(id as usize)
    }

    /// The attributes of a set; decoded for this call where the set is not a warm one.
    ///
    /// # Panics
    ///
    /// If the set was swept: the holder of the number did not retain it.
    #[must_use]
    pub fn get(&self, id: AttrId) -> Cow<'_, PathAttributes> {
        self.attributes(&self.sets[id.index()])
    }

    fn attributes<'a>(&'a self, set: &'a Set) -> Cow<'a, PathAttributes> {
        match &set.attributes {
            Some(attributes) => Cow::Borrowed(attributes),
            None => Cow::Owned(self.decoded(set)),
        }
    }

    fn decoded(&self, set: &Set) -> PathAttributes {
        let known = (set.raw != raw::NONE).then(|| self.raws.bytes(set.raw));
        let (flavour, bytes) = known.expect("a retained set is stored");
        identity::decode(flavour, bytes).expect("bytes that decoded to a set do so again")
    }

    /// Decodes a set that will be asked for several times.
    pub fn warm(&mut self, id: AttrId) {
        if self.sets[id.index()].attributes.is_none() {
            self.sets[id.index()].attributes = Some(Box::new(self.decoded(&self.sets[id.index()])));
            self.keep_warm(id.index() as u32);
        }
    }

    /// Lists a decoded set of which the bytes are known; the oldest one gives way.
    fn keep_warm(&mut self, id: u32) {
        self.warm.push_back(id);
        if self.warm.len() <= WARM {
            return;
        }
        let Some(oldest) = self.warm.pop_front() else { return };
        let set = &self.sets[oldest as usize];
        if set.raw != raw::NONE {
            debug_assert!(set.attributes.as_deref().is_none_or(|held| *held == self.decoded(set)));
            self.sets[oldest as usize].attributes = None;
        }
    }

    /// What the decision needs of a set.
    #[must_use]
    pub fn facts(&self, id: AttrId) -> &Facts {
        &self.facts[id.index()]
    }

    /// The set that these attribute bytes decode to, if they were seen before.
    /// `flavour` tells apart what else the decoding depends on (family, two- or
    /// four-octet AS numbers, internal or external peer).
    #[must_use]
    pub fn lookup_raw(&self, flavour: u32, bytes: &[u8]) -> Option<AttrId> {
        self.raws.find(flavour, bytes).map(|id| AttrId::of(id as usize))
    }

    /// Notes that these attribute bytes are those of a set, without a flaw: what
    /// [`identity::decode`] makes of them. The note goes with the set, and is not
    /// taken at all once the cache is full.
    pub fn remember_raw(&mut self, flavour: u32, bytes: &[u8], id: AttrId) {
        let set = &mut self.sets[id.index()];
        let head = self.raws.insert(flavour, bytes, id.index() as u32, set.raw);
        let is_first = core::mem::replace(&mut set.raw, head) == raw::NONE && head != raw::NONE;
        if is_first {
            self.keep_warm(id.index() as u32);
        }
    }

    /// Counts one user of a set more.
    pub fn retain(&mut self, id: AttrId) {
        self.sets[id.index()].refs += 1;
    }

    /// Counts one user of a set less.
    pub fn release(&mut self, id: AttrId) {
        let set = &mut self.sets[id.index()];
        set.refs -= 1;
        if set.refs == 0 && !set.idle {
            set.idle = true;
            self.idle.push(id.index() as u32);
        }
    }

    /// Frees the sets that nothing counts: the last step of
    /// [`Rib::drain`](crate::rib::Rib::drain), when nothing tracks their next hops.
    pub(super) fn sweep(&mut self) {
        while let Some(id) = self.idle.pop() {
            let set = &mut self.sets[id as usize];
            set.idle = false;
            if set.refs > 0 {
                continue;
            }
            if !core::mem::take(&mut set.used) {
                continue;
            }
            set.attributes = None;
            let head = core::mem::replace(&mut set.raw, raw::NONE);
            if let Ok(found) = self.index.find_entry(set.hash.long(), |&other| other == id) {
                found.remove();
            }
            let facts = &self.facts[id as usize];
            self.with_med -= usize::from(facts.med != 0);
            self.addresses.release(facts.next_hop);
            self.raws.remove(head);
            self.free.push(id);
            // The set that it was made of may be due as well.
            if let Some(received) = self.sets[id as usize].received.take() {
                self.release(received);
            }
        }
    }

    /// How many sets are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no set is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// How many byte strings are remembered.
    #[must_use]
    pub fn raw_len(&self) -> usize {
        self.raws.len()
    }

    /// The number of a next-hop address that some set names.
    #[must_use]
    pub fn address_id(&self, address: IpAddr) -> Option<AddressId> {
        self.addresses.find(address)
    }

    /// The address of a number.
    #[must_use]
    pub fn address(&self, id: AddressId) -> IpAddr {
        self.addresses.address(id)
    }

    /// Keeps the number of an address whether or not a set names it.
    pub(super) fn retain_address(&mut self, address: IpAddr) -> AddressId {
        self.addresses.retain(address)
    }

    /// Gives a [`Store::retain_address`] up.
    pub(super) fn release_address(&mut self, id: AddressId) {
        self.addresses.release(id);
    }

    /// Whether a MED can matter at all: whether some set has one above zero.
    #[must_use]
    pub const fn has_med(&self) -> bool {
        self.with_med > 0
    }
}
