//! Which paths of a source are stale, without touching them: each path carries
//! the epoch in which it came, and its source knows the present one. To mark all
//! paths of a family is to begin another epoch, however many there are; to sweep
//! is a lap of the walk over the table.
//!
//! ```text
//!  mark   epoch + 1: what is there is stale          (a session lost, BoRR)
//!  keep   what is stale is long-lived from here on   (the restart time is over, RFC 9494)
//!  announce           the path has the present epoch: fresh
//!  sweep  a lap takes out what is stale as of here   (End-of-RIB, EoRR, a timer)
//! ```
//!
//! A stale path of a peer that restarts gives way to a fresh path of any other
//! source; one that is merely sent again (RFC 7313) stays as good as it was.
//!
//! Deviation: RFC 4724 §4.2 forbids to tell stale from fresh while forwarding.
//! Here a stale path is used only where there is no fresh one, because whoever
//! has another way need not rely on a peer that may never come back.

/// When a path came, in epochs of its source and family; counted in a circle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Epoch(u8);

/// Epochs in the circle: what six bits of a path hold.
const CIRCLE: u8 = 64;

impl Epoch {
    pub(super) const fn new(number: u8) -> Self {
        Self(number % CIRCLE)
    }

    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// How many epochs ago this one was.
    const fn age(self, present: Self) -> u8 {
        present.0.wrapping_sub(self.0) % CIRCLE
    }
}

/// What is known of the paths of one source and family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Staleness {
    epoch: Epoch,
    /// The age of the oldest paths that may be in the table.
    oldest: u8,
    /// The lap that takes out paths from this age on.
    sweep: Option<(u32, u8)>,
    /// Whether stale paths give way to fresh ones of other sources.
    yields: bool,
    /// The age from which on paths are kept for long; zero for none.
    long_lived: u8,
    /// The lap that decides anew on all prefixes of the source.
    settles: u32,
    /// How many stale paths are in the table, those about to go included.
    count: u64,
}

impl Staleness {
    /// The present epoch.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Begins another epoch: the `held` paths that are in the table are stale,
    /// and `yields` says whether they give way to fresh ones.
    ///
    /// Without room in the circle what is stale stays so, and nothing more
    /// becomes it: a peer would have to begin more than sixty times, without an
    /// end, before one lap of the walk is over.
    pub(super) const fn mark(&mut self, held: u64, yields: bool) {
        if self.oldest + 2 >= CIRCLE {
            return;
        }
        self.oldest += 1;
        self.epoch = Epoch::new(self.epoch.0 + 1);
        if let Some((_, age)) = &mut self.sweep {
            *age += 1;
        }
        if self.long_lived > 0 {
            self.long_lived += 1;
        }
        self.yields = yields;
        self.count = held;
    }

    /// Keeps what is stale at this moment for long (RFC 9494 §4.2).
    pub(super) const fn keep_for_long(&mut self) {
        self.long_lived = 1;
    }

    /// Has a lap take out what is stale at this moment.
    pub(super) const fn sweep(&mut self, lap: u32) {
        self.sweep = Some((lap, 1));
    }

    /// Has a lap decide anew on all prefixes of the source.
    pub(super) const fn settle(&mut self, lap: u32) {
        self.settles = lap;
    }

    /// Whether the lap decides anew on the prefixes of the source.
    pub(super) const fn is_settling(&self, lap: u32) -> bool {
        self.settles == lap
    }

    /// A lap over the whole table has ended.
    pub(super) const fn walked(&mut self, lap: u32) {
        if let Some((due, age)) = self.sweep
            && due <= lap
        {
            self.sweep = None;
            self.oldest = age - 1;
            if self.oldest == 0 {
                self.yields = false;
            }
            if self.oldest < self.long_lived {
                self.long_lived = 0;
            }
        }
    }

    /// Whether a path of that epoch is stale.
    pub(super) fn is_stale(&self, epoch: Epoch) -> bool {
        epoch != self.epoch
    }

    /// Whether a path of that epoch gives way to fresh ones.
    pub(super) fn has_to_yield(&self, epoch: Epoch) -> bool {
        self.yields && self.is_stale(epoch)
    }

    /// Whether a path of that epoch is kept for long.
    pub(super) const fn is_long_lived(&self, epoch: Epoch) -> bool {
        self.long_lived > 0 && epoch.age(self.epoch) >= self.long_lived
    }

    /// Whether a path of that epoch is to be taken out.
    pub(super) fn is_swept(&self, epoch: Epoch) -> bool {
        self.sweep.is_some_and(|(_, age)| epoch.age(self.epoch) >= age)
    }

    /// How many stale paths are in the table.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Counts a path that comes or goes.
    pub(super) fn book(&mut self, epoch: Epoch, comes: bool) {
        if self.is_stale(epoch) {
            self.count = if comes { self.count + 1 } else { self.count.saturating_sub(1) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_mark_during_a_sweep_keeps_what_came_between() {
        let mut paths = Staleness::default();
        let old = paths.epoch();
        paths.mark(1, true);
        let between = paths.epoch();
        paths.sweep(7);
        paths.mark(2, true);
        assert!(paths.is_swept(old) && !paths.is_swept(between));
        assert!(paths.is_stale(between) && paths.has_to_yield(between));
        paths.walked(6);
        assert!(paths.is_swept(old));
        paths.walked(7);
        assert!(!paths.is_swept(between) && paths.is_stale(between));
        paths.sweep(8);
        assert!(paths.is_swept(between));
        paths.walked(8);
        assert!(!paths.has_to_yield(old), "nothing stale is left");
    }

    #[test]
    fn the_circle_never_makes_a_stale_path_fresh() {
        let mut paths = Staleness::default();
        let old = paths.epoch();
        for _ in 0..1000 {
            paths.mark(1, false);
            assert!(paths.is_stale(old));
        }
        paths.sweep(1);
        assert!(paths.is_swept(old));
        paths.walked(1);
        paths.mark(0, false);
        let young = paths.epoch();
        paths.mark(1, false);
        assert!(paths.is_stale(young) && !paths.is_swept(young));
    }
}
