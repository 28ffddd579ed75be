//! When the next attempt is. A thousand agents lose one API server in the same
//! instant; they must not come back in the same instant.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first pause, before it is spread.
const FIRST: Duration = Duration::from_millis(800);

/// The longest pause, before it is spread: an API server that returned is noticed within a minute by everybody.
const LONGEST: Duration = Duration::from_secs(30);

/// Over how long lists are spread that all agents have to make at once, as after a restart of the API server: so
/// long a node, and no shorter and no longer than these. A hundred lists a second are what one API server gives.
const LISTS: Duration = Duration::from_millis(10);
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);

/// Pauses between failed attempts.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// An attempt was good.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The pause after an attempt that failed: half of the next step up to one and a half, and no less than
    /// `least`, which a server has asked for.
    pub fn pause(&mut self, least: Option<Duration>) -> Duration {
        let pause = self.next / 2 + spread(self.next);
        self.next = (self.next * 2).min(LONGEST);
        pause.max(least.unwrap_or_default().min(2 * LONGEST))
    }
}

/// Over how long a list is spread that the agents of so many nodes have to make at once.
#[must_use]
pub fn lists(nodes: usize) -> Duration {
    LISTS.saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX)).clamp(LEAST, MOST)
}

/// Anything from nothing to `most`.
#[must_use]
pub fn spread(most: Duration) -> Duration {
    // Each state has keys of its own.
    let chance = RandomState::new().build_hasher().finish() >> 32;
    most.mul_f64(chance as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.pause(None)).collect();
        let mut step = FIRST;
        for pause in &pauses {
            assert!((step / 2..=step * 3 / 2).contains(pause), "{pause:?} of {step:?}");
            step = (step * 2).min(LONGEST);
        }
        let others: Vec<Duration> = {
            let mut backoff = Backoff::default();
            (0..12).map(|_| backoff.pause(None)).collect()
        };
        assert_ne!(pauses, others);
        backoff.reset();
        assert!(backoff.pause(None) <= FIRST * 3 / 2);
    }

    #[test]
    fn the_more_nodes_the_longer_lists_are_spread() {
        let seconds = [0, 3, 1000, 5000, 100_000].map(|nodes| lists(nodes).as_secs());
        assert_eq!(seconds, [1, 1, 10, 50, 60]);
        let pauses: std::collections::BTreeSet<Duration> = (0..100).map(|_| spread(lists(5000))).collect();
        assert!(pauses.len() > 90 && pauses.iter().all(|pause| *pause <= Duration::from_secs(50)));
    }

    #[test]
    fn what_a_server_asks_for_is_kept_within_reason() {
        let mut backoff = Backoff::default();
        assert!(backoff.pause(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_hours(1))), 2 * LONGEST);
    }
}
