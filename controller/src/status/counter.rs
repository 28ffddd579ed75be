//! What the agent has counted since it started: beside the snapshot's present, its past. Counted by the loop alone,
//! and kept by the peers' addresses: what became of a peer that is gone goes with it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::bfd;
use bgp::io::State;
use bgp::reason::Reason;
use bgp::time::Duration;

/// Everything that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// How often a session with a peer entered a state, and why; no reason on the way up.
    pub transitions: BTreeMap<(IpAddr, State, Option<Reason>), u64>,
    /// How often the BFD session with a peer entered a state.
    pub bfd: BTreeMap<(IpAddr, bfd::State), u64>,
    /// What the kernel said to changes of routes.
    pub operations: BTreeMap<(Operation, bool), u64>,
    /// How long it took from the turn that took in an UPDATE until the kernel had confirmed what it changed.
    pub update_to_kernel: Histogram,
}

/// What the kernel was asked to do with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// To have it, as it is.
    Install,
    /// To have it no longer.
    Remove,
}

impl Operation {
    /// The operation's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Remove => "remove",
        }
    }
}

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How often it took at most the bound of the same place in [`Histogram::BOUNDS`] and more than the one before;
    /// the last is of all that took longer.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// All times together.
    pub sum: Duration,
}

impl Histogram {
    /// The bounds, ascending: from a route that the kernel takes at once to a table of millions.
    pub const BOUNDS: [Duration; 14] = {
        let millis = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000];
        let mut bounds = [Duration::from_millis(0); 14];
        let mut at = 0;
        while at < bounds.len() {
            bounds[at] = Duration::from_millis(millis[at]);
            at += 1;
        }
        bounds
    };

    /// It took this long once more.
    pub fn observe(&mut self, took: Duration) {
        self.counts[Self::BOUNDS.partition_point(|bound| *bound < took)] += 1;
        self.sum += took;
    }

    /// How often it took any time.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for (millis, place) in [(0, 0), (1, 0), (2, 1), (3, 2), (60_000, 13), (60_001, 14)] {
            let before = histogram.counts[place];
            histogram.observe(Duration::from_millis(millis));
            assert_eq!(histogram.counts[place], before + 1, "{millis}");
        }
        assert_eq!((histogram.count(), histogram.sum), (6, Duration::from_millis(120_007)));
    }
}
