//! Attribute bytes as peers sent them, and the attribute set that they decode
//! to: what was decoded once is found by its bytes. A hash only leads to an
//! entry, the bytes themselves decide. Bounded in entries and in the length of
//! each; what does not fit is decoded again, which is slower and nothing else.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::short::Short;

/// More entries than the largest tables seen have attribute sets (167 000).
const MOST: usize = 1 << 18;
/// Longer than all but a few attribute lists of real tables.
const LONGEST: usize = 1024;
/// The end of a chain.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Raw {
    bytes: Box<[u8]>,
    flavour: u32,
    hash: Short,
    set: u32,
    /// The next entry of the same set.
    next: u32,
}

/// The cache: bytes to the number of a set, and a chain of entries a set.
#[derive(Clone, Debug)]
pub(super) struct RawCache {
    hasher: FixedState,
    raws: Vec<Raw>,
    free: Vec<u32>,
    index: HashTable<u32>,
}

fn hash(hasher: &FixedState, flavour: u32, bytes: &[u8]) -> Short {
    let mut state = hasher.build_hasher();
    state.write_u32(flavour);
    state.write(bytes);
    Short::of(state.finish())
}

impl RawCache {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            raws: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
        }
    }

    /// The set that these bytes decode to.
    pub(super) fn find(&self, flavour: u32, bytes: &[u8]) -> Option<u32> {
        self.find_hashed(hash(&self.hasher, flavour, bytes), flavour, bytes)
    }

    fn find_hashed(&self, hash: Short, flavour: u32, bytes: &[u8]) -> Option<u32> {
        let found = self.index.find(hash.long(), |&id| {
            let raw = &self.raws[id as usize];
            raw.hash == hash && raw.flavour == flavour && *raw.bytes == *bytes
        })?;
        Some(self.raws[*found as usize].set)
    }

    /// Notes what bytes decode to; returns the new head of the set's chain.
    pub(super) fn insert(&mut self, flavour: u32, bytes: &[u8], set: u32, head: u32) -> u32 {
        let hash = hash(&self.hasher, flavour, bytes);
        let is_known = || self.find_hashed(hash, flavour, bytes).is_some();
        if bytes.len() > LONGEST || self.index.len() >= MOST || is_known() {
            return head;
        }
        let raw = Raw { bytes: bytes.into(), flavour, hash, set, next: head };
        let id = match self.free.pop() {
            Some(id) => {
                self.raws[id as usize] = raw;
                id
            }
            None => {
                self.raws.push(raw);
                self.raws.len() as u32 - 1
            }
        };
        let Self { raws, index, .. } = self;
        index.insert_unique(hash.long(), id, |&id| raws[id as usize].hash.long());
        id
    }

    /// The flavour and the bytes of an entry.
    pub(super) fn bytes(&self, id: u32) -> (u32, &[u8]) {
        let Raw { flavour, bytes, .. } = &self.raws[id as usize];
        (*flavour, bytes)
    }

    /// Forgets the chain of a set.
    pub(super) fn remove(&mut self, head: u32) {
        let mut id = head;
        while id != NONE {
            let raw = &mut self.raws[id as usize];
            let (hash, next) = (raw.hash, raw.next);
            raw.bytes = Box::default();
            if let Ok(found) = self.index.find_entry(hash.long(), |&other| other == id) {
                found.remove();
            }
            self.free.push(id);
            id = next;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}
