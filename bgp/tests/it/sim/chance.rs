//! Chance from a seed: the same seed draws the same.

/// xorshift64*: enough to vary sizes, delays and plans.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Neighbouring seeds begin far apart.
    pub(crate) fn new(seed: u64) -> Self {
        // splitmix64, and never zero, where xorshift would stay.
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((state ^ (state >> 31)) | 1)
    }

    /// Any number.
    pub(crate) fn any(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `most`; zero if that is zero.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        (self.any() >> 11) % most.max(1)
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }
}
