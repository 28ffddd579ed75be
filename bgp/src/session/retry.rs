//! When to connect: the ConnectRetryTimer, and how it backs off (RFC 4271 §8.1.1,
//! DampPeerOscillations; §10 for the jitter).
//!
//! ```text
//!  refused, silent, no session, a short one   failure: the wait is doubled, up to a minute
//!  no address or no way here to ask it by     asked again after a second, which is doubled likewise
//!  Established for a minute                   nothing has failed
//!  reset, another configuration, a reason to
//!  believe that the peer is there again       nothing has failed, and an attempt at once
//! ```
//!
//! A link is up before what is needed to use it: an IPv6 address is looked for on its link
//! for a second or two before it may be used (RFC 4862 §5.4), and a neighbour that starts
//! with the link is not resolved yet. Such attempts cost nobody else anything, and the first
//! one that anybody answers ends them.
//!
//! Deviation: RFC 4271 §8.1.1 damps by the IdleHoldTimer; here the machine waits in
//! Active, where a peer that comes by itself is taken at once.

use crate::config::PeerRestart;
use crate::time::{Duration, Instant};

/// The longest time between attempts to connect after repeated failures, unless the
/// configured one is longer.
const CEILING: Duration = Duration::from_secs(60);

/// A session that lasted for this long came to no failure.
const STEADY: Duration = Duration::from_secs(60);

/// The wait after the first attempt that found no way to the peer.
const BRISK: Duration = Duration::from_secs(1);

/// The ConnectRetryTimer and how often in a row an attempt came to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// When to connect.
    pub(super) at: Option<Instant>,
    /// When the last attempt was made.
    pub(super) dialled_at: Instant,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How many of the last ones found no way to the peer.
    astray: u32,
    /// Until when the peer's routes are kept, and it is asked at the plain interval.
    awaited_until: Option<Instant>,
}

impl Retry {
    /// The time to the next attempt before jitter: the configured one, doubled for each
    /// failure after the first, up to a minute.
    pub(super) fn interval(self, configured: Duration, now: Instant) -> Duration {
        let ceiling = CEILING.max(configured);
        let doubled = |wait: Duration, failed: u32| {
            wait.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(ceiling)
        };
        if self.astray > 0 {
            return doubled(BRISK.min(configured), self.astray);
        }
        if self.awaited_until.is_some_and(|until| now < until) {
            return configured;
        }
        doubled(configured, self.failures)
    }

    /// An attempt came to nothing. Those before it that asked nobody do not count against the peer.
    pub(super) const fn fail(&mut self) {
        let counted = if self.astray > 0 { 0 } else { self.failures };
        (self.failures, self.astray) = (counted.saturating_add(1), 0);
    }

    /// An attempt found no way to the peer.
    pub(super) const fn stray(&mut self) {
        (self.failures, self.astray) = (self.failures.saturating_add(1), self.astray.saturating_add(1));
    }

    /// TCP is up: there is a way.
    pub(super) const fn found(&mut self) {
        if self.astray > 0 {
            (self.failures, self.astray) = (0, 0);
        }
    }

    /// What has failed counts no more; whether anything had.
    pub(super) const fn forget(&mut self) -> bool {
        let had = self.failures > 0;
        (self.failures, self.astray) = (0, 0);
        had
    }

    /// A session has ended that lasted for so long. One that the peer comes back to in its
    /// restart time (RFC 4724 §4.2) is not waited for longer and longer.
    pub(super) fn ended(&mut self, lasted: Duration, kept: Option<PeerRestart>, now: Instant) {
        if lasted >= STEADY {
            self.failures = 0;
        }
        self.awaited_until = kept.map(|agreed| now + Duration::from_secs(agreed.seconds.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_doubles_up_to_a_minute() {
        let seconds = |failures, configured| {
            let retry = Retry { failures, ..Retry::default() };
            retry.interval(Duration::from_secs(configured), Instant(0)).as_secs()
        };
        let five: Vec<u64> = (0..7).map(|failures| seconds(failures, 5)).collect();
        assert_eq!(five, [5, 5, 10, 20, 40, 60, 60]);
        assert_eq!(seconds(u32::MAX, 5), 60);
        assert_eq!(seconds(9, 120), 120, "a longer configured interval is kept");
    }
}
