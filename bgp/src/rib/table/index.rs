//! From a prefix's hash to the place of its entry, with one wait for memory a
//! look-up: a bucket is what a processor reads at a time, and holds both the tags
//! that are compared and the places that they stand for.
//!
//! A place whose bucket is full goes into the next one with room; each bucket that
//! was passed by on the way counts it, so that a search knows where to end, and a
//! removal leaves no mark behind. (The layout is that of Facebook's F14.)

/// Places a bucket.
const ROOM: usize = 12;
/// Places a bucket on average before the index grows.
const LOAD: usize = 10;
const ONES: u128 = 0x01_01_01_01_01_01_01_01_01_01_01_01;
const HIGH: u128 = ONES << 7;
/// Where the count of passers-by lies behind the tags.
const PASSED: u32 = ROOM as u32 * 8;
const MOST_PASSED: u128 = 0xff;

/// The tags of twelve places, zero where there is none, and the count of those that went by.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    tags: u128,
    places: [u32; ROOM],
}

impl Bucket {
    const EMPTY: Self = Self { tags: 0, places: [0; ROOM] };

    /// A bit at each place whose tag may be this one: above the first, some are not.
    const fn likely(&self, tag: u8) -> u128 {
        let differ = self.tags ^ (ONES * tag as u128);
        differ.wrapping_sub(ONES) & !differ & HIGH
    }

    const fn tag(&self, lane: usize) -> u8 {
        (self.tags >> (lane * 8)) as u8
    }

    const fn passed(&self) -> u128 {
        self.tags >> PASSED & MOST_PASSED
    }

    /// One more, or less, went by. Beyond what can be counted it stays so until the index grows.
    const fn pass(&mut self, comes: bool) {
        match (self.passed(), comes) {
            (MOST_PASSED, _) => {}
            (_, true) => self.tags += 1 << PASSED,
            (_, false) => self.tags -= 1 << PASSED,
        }
    }
}

/// The index of one shard.
#[derive(Clone, Debug)]
pub(super) struct Index {
    buckets: Box<[Bucket]>,
    len: usize,
}

/// What is compared first; the bits are used neither for the shard nor for the bucket.
const fn tag(hash: u64) -> u8 {
    let tag = (hash >> 56) as u8;
    if tag == 0 { 1 } else { tag }
}

impl Index {
    pub(super) fn new() -> Self {
        Self { buckets: Box::default(), len: 0 }
    }

    const fn home(&self, hash: u64) -> usize {
        (((hash & 0xffff_ffff) * self.buckets.len() as u64) >> 32) as usize
    }

    const fn after(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }

    /// Reads the bucket where a look-up begins; what comes back means nothing.
    pub(super) fn touch(&self, hash: u64) -> u8 {
        self.buckets.get(self.home(hash)).map_or(0, |bucket| bucket.tags as u8)
    }

    /// The place of a hash that `is` the one looked for.
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let mut at = self.home(hash);
        // No way is longer than once around, and only as long as places went by.
        for _ in 0..self.buckets.len() {
            let bucket = &self.buckets[at];
            let mut likely = bucket.likely(tag);
            while likely != 0 {
                let lane = likely.trailing_zeros() as usize / 8;
                if bucket.tag(lane) == tag && is(bucket.places[lane]) {
                    return Some(bucket.places[lane]);
                }
                likely &= likely - 1;
            }
            if bucket.passed() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Whether there is no room for one more.
    pub(super) const fn is_full(&self) -> bool {
        self.len == self.buckets.len() * LOAD
    }

    /// Makes it half as large again, and empty: all is to be inserted anew.
    pub(super) fn enlarge(&mut self) {
        let count = (self.buckets.len() * 3).div_ceil(2).max(self.buckets.len() + 1);
        *self = Self { buckets: vec![Bucket::EMPTY; count].into_boxed_slice(), len: 0 };
    }

    /// Adds a place that is not there; there has to be room.
    pub(super) fn insert(&mut self, hash: u64, place: u32) {
        let mut at = self.home(hash);
        loop {
            let bucket = &mut self.buckets[at];
            let free = bucket.likely(0);
            if free != 0 {
                let lane = free.trailing_zeros() as usize / 8;
                bucket.tags |= u128::from(tag(hash)) << (lane * 8);
                bucket.places[lane] = place;
                self.len += 1;
                return;
            }
            bucket.pass(true);
            at = self.after(at);
        }
    }

    /// Takes a place out; it has to be there.
    pub(super) fn remove(&mut self, hash: u64, place: u32) {
        let tag = tag(hash);
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = &mut self.buckets[at];
            let mut likely = bucket.likely(tag);
            while likely != 0 {
                let lane = likely.trailing_zeros() as usize / 8;
                if bucket.tag(lane) == tag && bucket.places[lane] == place {
                    bucket.tags &= !(0xff << (lane * 8));
                    self.len -= 1;
                    return;
                }
                likely &= likely - 1;
            }
            bucket.pass(false);
            at = self.after(at);
        }
    }
}
