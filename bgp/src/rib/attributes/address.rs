//! The next-hop addresses that attribute sets name, numbered densely, so that
//! what is known of an address can lie in an array beside it. A number is used
//! again once no attribute set names its address. Never knows whether an
//! address resolves.

use core::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// The number of a next-hop address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressId(pub(in crate::rib) u32);

impl AddressId {
    /// The number as an index, dense from zero.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The numbered addresses.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    hasher: FixedState,
    slots: Vec<(IpAddr, u32)>,
    free: Vec<u32>,
    index: HashTable<u32>,
}

impl Addresses {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
        }
    }

    /// The number of an address, with one reference more.
    pub(super) fn retain(&mut self, address: IpAddr) -> AddressId {
        if let Some(id) = self.find(address) {
            self.slots[id.index()].1 += 1;
            return id;
        }
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = (address, 1);
                id
            }
            None => {
                self.slots.push((address, 1));
                self.slots.len() as u32 - 1
            }
        };
        let Self { hasher, slots, index, .. } = self;
        index.insert_unique(hasher.hash_one(address), id, |&id| hasher.hash_one(slots[id as usize].0));
        AddressId(id)
    }

    /// Gives a reference back.
    pub(super) fn release(&mut self, id: AddressId) {
        let (address, refs) = &mut self.slots[id.index()];
        *refs -= 1;
        if *refs == 0 {
            let hash = self.hasher.hash_one(*address);
            if let Ok(found) = self.index.find_entry(hash, |&other| other == id.0) {
                found.remove();
            }
            self.free.push(id.0);
        }
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<AddressId> {
        let hash = self.hasher.hash_one(address);
        self.index.find(hash, |&id| self.slots[id as usize].0 == address).copied().map(AddressId)
    }

    pub(super) fn address(&self, id: AddressId) -> IpAddr {
        self.slots[id.index()].0
    }
}
