//! One prefix table a family: what is known of each prefix lies in one entry.
//!
//! - 64 shards by hash; each has its entries in chunks and an index of numbers,
//!   so that growing rehashes a sixty-fourth and copies no entry.
//! - An entry keeps its number ([`EntryId`]) until it is freed. The numbers are
//!   dense, so that a slot a prefix of an update group is an array beside them.
//! - A walk goes in the order of (shard, place), bounded by its caller: what is
//!   there throughout is met exactly once.
//! - Never decides, never counts references: the modules above do.

mod entry;
mod index;
mod key;
mod path;
mod pool;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

pub use self::entry::Entry;
pub(in crate::rib) use self::entry::Flags;
use self::index::Index;
pub use self::key::Key;
pub use self::path::Path;
use self::pool::Pool;
use crate::prefix::Family;

const SHARD_BITS: u32 = 6;
const SHARDS: usize = 1 << SHARD_BITS;
/// Entries a chunk: 5 KiB of IPv4 prefixes.
const CHUNK: usize = 256;
const IPV6: u32 = 1 << 31;

/// An entry of either table; used again after the entry was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u32);

impl EntryId {
    pub(super) const fn new(family: Family, slot: u32) -> Self {
        match family {
            Family::Ipv4 => Self(slot),
            Family::Ipv6 => Self(slot | IPV6),
        }
    }

    /// The table's family.
    #[must_use]
    pub const fn family(self) -> Family {
        if self.0 & IPV6 == 0 { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The number within the family's table: dense from zero, for arrays that
    /// others keep beside the table.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & !IPV6) as usize
    }

    pub(super) const fn slot(self) -> u32 {
        self.0 & !IPV6
    }
}

/// A place in a walk over one table; zero is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u32);

impl Position {
    const PLACE_BITS: u32 = 31 - SHARD_BITS;
    pub(super) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    pub(super) const fn raw(self) -> u32 {
        self.0
    }

    const fn of(shard: usize, place: usize) -> Self {
        Self((shard as u32) << Self::PLACE_BITS | place as u32)
    }

    const fn shard(self) -> usize {
        (self.0 >> Self::PLACE_BITS) as usize
    }

    const fn place(self) -> usize {
        self.0 as usize & ((1 << Self::PLACE_BITS) - 1)
    }
}

#[derive(Clone, Debug)]
struct Shard<K: Key> {
    chunks: Vec<Box<[Entry<K>]>>,
    used: u32,
    free: Vec<u32>,
    index: Index,
}

impl<K: Key> Shard<K> {
    fn new() -> Self {
        Self { chunks: Vec::new(), used: 0, free: Vec::new(), index: Index::new() }
    }

    /// Makes the index larger, and fills it again.
    fn enlarge(&mut self, hasher: &FixedState) {
        self.index.enlarge();
        for place in 0..self.used {
            let entry = &self.chunks[place as usize / CHUNK][place as usize % CHUNK];
            if entry.has(Flags::USED) {
                self.index.insert(entry.key().hash(hasher), place);
            }
        }
    }

    fn at(&self, place: usize) -> &Entry<K> {
        &self.chunks[place / CHUNK][place % CHUNK]
    }

    fn at_mut(&mut self, place: usize) -> &mut Entry<K> {
        &mut self.chunks[place / CHUNK][place % CHUNK]
    }
}

/// Where a prefix was, or would be, when it was looked up: a second look-up is shorter.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    hash: u64,
    slot: u32,
}

impl Spot {
    /// In no table: places stay below.
    const NONE: u32 = u32::MAX;

    pub(super) const fn new(hash: u64, slot: Option<u32>) -> Self {
        let slot = match slot {
            Some(slot) => slot,
            None => Self::NONE,
        };
        Self { hash, slot }
    }

    pub(super) const fn hash(self) -> u64 {
        self.hash
    }
}

/// Prefixes that are looked up at a time, so that one wait for memory serves them all.
pub const NEAR: usize = 16;

/// Where the prefixes of a message were.
pub type Spots = SmallVec<[Spot; NEAR]>;

/// The table of one family.
#[derive(Clone, Debug)]
pub struct Table<K: Key> {
    hasher: FixedState,
    shards: Box<[Shard<K>]>,
    pool: Pool,
    /// How many prefixes there are of each length.
    lengths: Box<[u32]>,
    len: usize,
    paths: usize,
}

/// The shard of a hash; its bits are used neither for the bucket nor for the tag.
const fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

const fn split(slot: u32) -> (usize, usize) {
    (slot as usize % SHARDS, slot as usize / SHARDS)
}

impl<K: Key> Table<K> {
    /// An empty table; `seed` feeds its hash.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            hasher: FixedState::with_seed(seed),
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            pool: Pool::new(),
            lengths: vec![0; usize::from(K::FAMILY.max_len()) + 1].into_boxed_slice(),
            len: 0,
            paths: 0,
        }
    }

    /// How many prefixes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no prefix.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many paths there are.
    #[must_use]
    pub const fn path_count(&self) -> usize {
        self.paths
    }

    /// The slot of a prefix.
    #[must_use]
    pub fn find(&self, key: K) -> Option<u32> {
        self.find_hashed(key, self.hash(key))
    }

    /// The hash of a prefix.
    pub(super) fn hash(&self, key: K) -> u64 {
        key.hash(&self.hasher)
    }

    /// Reads what a look-up reads first, and waits for nothing: the value means nothing.
    pub(super) fn touch(&self, hash: u64) -> u8 {
        self.shards[shard_of(hash)].index.touch(hash)
    }

    /// Reads what [`Table::free`] will need.
    pub(super) fn touch_slot(&self, slot: u32) {
        core::hint::black_box(self.used(slot).map(|entry| self.touch(self.hash(entry.key()))));
    }

    /// Where a prefix of this hash is.
    pub(super) fn find_hashed(&self, key: K, hash: u64) -> Option<u32> {
        let shard = shard_of(hash);
        let shard_ref = &self.shards[shard];
        let place = shard_ref.index.find(hash, |place| shard_ref.at(place as usize).holds(key))?;
        Some(place << SHARD_BITS | shard as u32)
    }

    /// The slot of a prefix that was looked up before; another may have come or gone since.
    pub(super) fn find_again(&self, key: K, spot: Spot) -> Option<u32> {
        match self.used(spot.slot) {
            Some(entry) if entry.holds(key) => Some(spot.slot),
            _ => self.find_hashed(key, spot.hash),
        }
    }

    /// The slot of a prefix, made if it is not there.
    pub fn find_or_insert(&mut self, key: K) -> u32 {
        let hash = self.hash(key);
        self.find_or_insert_again(key, Spot { hash, slot: Spot::NONE })
    }

    /// The slot of a prefix that was looked up before, made if it is not there.
    pub(super) fn find_or_insert_again(&mut self, key: K, spot: Spot) -> u32 {
        if let Some(slot) = self.find_again(key, spot) {
            return slot;
        }
        let Self { hasher, shards, .. } = self;
        let number = shard_of(spot.hash);
        let shard = &mut shards[number];
        if shard.index.is_full() {
            shard.enlarge(hasher);
        }
        let Shard { chunks, used, free, index } = shard;
        let place = free.pop().unwrap_or_else(|| {
            *used += 1;
            *used - 1
        });
        index.insert(spot.hash, place);
        if place as usize / CHUNK == chunks.len() {
            chunks.push(vec![Entry::default(); CHUNK].into_boxed_slice());
        }
        chunks[place as usize / CHUNK][place as usize % CHUNK] = Entry::new(key);
        self.len += 1;
        self.lengths[usize::from(key.length())] += 1;
        place << SHARD_BITS | number as u32
    }

    /// Frees an entry; it must have no paths.
    pub(super) fn free(&mut self, slot: u32) {
        let (shard, place) = split(slot);
        let key = self.entry(slot).key();
        let hash = self.hash(key);
        let shard = &mut self.shards[shard];
        shard.index.remove(hash, place as u32);
        *shard.at_mut(place) = Entry::default();
        shard.free.push(place as u32);
        self.len -= 1;
        self.lengths[usize::from(key.length())] -= 1;
        if shard.chunks.len() > 1 && shard.free.len() == shard.used as usize {
            *shard = Shard::new();
        }
    }

    /// The entry of a slot, in use or not.
    pub(super) fn entry(&self, slot: u32) -> &Entry<K> {
        let (shard, place) = split(slot);
        self.shards[shard].at(place)
    }

    pub(super) fn entry_mut(&mut self, slot: u32) -> &mut Entry<K> {
        let (shard, place) = split(slot);
        self.shards[shard].at_mut(place)
    }

    /// The entry of a slot, if it is in use.
    pub(super) fn used(&self, slot: u32) -> Option<&Entry<K>> {
        let (shard, place) = split(slot);
        let entry = self.shards.get(shard)?.chunks.get(place / CHUNK)?.get(place % CHUNK)?;
        entry.has(Flags::USED).then_some(entry)
    }

    /// The paths of a slot: the best first where one is selected, the others in no order.
    pub(super) fn paths(&self, slot: u32) -> &[Path] {
        self.paths_of(self.entry(slot))
    }

    /// The paths of an entry of this table, likewise.
    pub(super) fn paths_of<'a>(&'a self, entry: &'a Entry<K>) -> &'a [Path] {
        match entry.many() {
            Some((block, len)) => &self.pool.paths(block)[..len],
            None if entry.is_empty() => &[],
            None => core::slice::from_ref(entry.one()),
        }
    }

    pub(super) fn paths_mut(&mut self, slot: u32) -> &mut [Path] {
        let (shard, place) = split(slot);
        let entry = self.shards[shard].at_mut(place);
        match entry.many() {
            Some((block, len)) => &mut self.pool.paths_mut(block)[..len],
            None if entry.is_empty() => &mut [],
            None => core::slice::from_mut(entry.one_mut()),
        }
    }

    /// Adds a path behind the others.
    pub(super) fn push_path(&mut self, slot: u32, path: Path) {
        let (shard, place) = split(slot);
        let entry = self.shards[shard].at_mut(place);
        self.paths += 1;
        match entry.many() {
            Some((block, len)) => {
                let block = if len == block.capacity() {
                    self.pool.resize(block, len, block.class + 1)
                } else {
                    block
                };
                self.pool.paths_mut(block)[len] = path;
                entry.set_many(block, len + 1);
            }
            None if entry.is_empty() => entry.set_one(path),
            None => {
                let block = self.pool.take(0);
                self.pool.paths_mut(block)[..2].copy_from_slice(&[*entry.one(), path]);
                entry.set_many(block, 2);
            }
        }
    }

    /// Takes a path out; the last one takes its place.
    pub(super) fn remove_path(&mut self, slot: u32, at: usize) -> Path {
        let (shard, place) = split(slot);
        let entry = self.shards[shard].at_mut(place);
        self.paths -= 1;
        let Some((block, len)) = entry.many() else {
            let path = *entry.one();
            entry.set_one(Path::default());
            return path;
        };
        let paths = &mut self.pool.paths_mut(block)[..len];
        let path = paths[at];
        paths[at] = paths[len - 1];
        let first = paths[0];
        if len == 2 {
            self.pool.give(block);
            entry.set_one(first);
        } else if block.class >= 2 && len - 1 <= block.capacity() / 3 {
            // Two classes down, with room left, so that a path that comes and goes moves nothing.
            let block = self.pool.resize(block, len - 1, block.class - 2);
            entry.set_many(block, len - 1);
        } else {
            entry.set_many(block, len - 1);
        }
        path
    }

    /// The first entry at or after a position, and the position after it.
    pub(super) fn next(&self, from: Position) -> Option<(u32, Position)> {
        let mut place = from.place();
        for shard in from.shard()..SHARDS {
            let used = self.shards[shard].used as usize;
            while place < used {
                if self.shards[shard].at(place).has(Flags::USED) {
                    let slot = (place as u32) << SHARD_BITS | shard as u32;
                    return Some((slot, Position::of(shard, place + 1)));
                }
                place += 1;
            }
            place = 0;
        }
        None
    }

    /// The slot of the longest prefix that covers an address and that `wanted` admits.
    pub(super) fn longest_match(&self, address: IpAddr, mut wanted: impl FnMut(u32) -> bool) -> Option<u32> {
        let lengths = self.lengths.iter().enumerate().rev().filter(|&(_, &count)| count > 0);
        for (len, _) in lengths {
            let slot = self.find(K::covering(address, len as u8)?);
            if let Some(slot) = slot.filter(|&slot| wanted(slot)) {
                return Some(slot);
            }
        }
        None
    }
}
