//! Half a hash, which is all that is kept of one.

/// A hash in four octets, for those who keep one a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short(u32);

impl Short {
    pub(super) const fn of(hash: u64) -> Self {
        Self((hash ^ (hash >> 32)) as u32)
    }

    /// What an index takes: good in its lower bits and in its upper ones.
    pub(super) const fn long(self) -> u64 {
        (self.0 as u64) << 32 | self.0 as u64
    }
}
