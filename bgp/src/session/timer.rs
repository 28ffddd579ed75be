//! Timers as instants: what is due and when, and jitter from a seed. Reads no clock
//! and no random source.

use crate::time::{Duration, Instant};

/// How long a peer may take for its OPEN: the "large value" of RFC 4271 §8.2.2.
pub(super) const OPEN_WAIT: Duration = Duration::from_secs(240);

/// The shortest time that a TCP connection gets to come up: SYNs of Linux go out
/// after 0, 1 and 3 s, so that two may be lost.
const CONNECT_FLOOR: Duration = Duration::from_secs(5);

/// The shortest time that a peer may read nothing (RFC 9687 §6).
const SEND_HOLD_FLOOR: Duration = Duration::from_secs(8 * 60);

/// How long an OPEN may lie on one connection while the connection that a
/// collision would prefer has not shown its own: a few round trips.
pub(super) const SETTLE_WAIT: Duration = Duration::from_secs(1);

/// The timers of one connection, in the order in which they fire at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The TCP connection did not come up in time: given up, and opened again.
    Connect,
    /// Nothing was heard for the hold time: NOTIFICATION 4/0 (RFC 4271 §6.5).
    Hold,
    /// Nothing of what waits was written: NOTIFICATION 8/0 (RFC 9687 §4).
    SendHold,
    /// A KEEPALIVE is due (RFC 4271 §4.4).
    Keepalive,
    /// The connection that a collision would prefer stayed silent: this one is confirmed.
    Settle,
}

impl Timer {
    const ALL: [Self; 5] = [Self::Connect, Self::Hold, Self::SendHold, Self::Keepalive, Self::Settle];
}

/// The deadlines of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timers([Option<Instant>; Timer::ALL.len()]);

impl Timers {
    /// Starts a timer, or starts it anew.
    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Starts a timer that does not run.
    pub(super) fn set_unless_running(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize].get_or_insert(at);
    }

    /// Stops a timer.
    pub(super) const fn clear(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Stops and returns the timer that has been due for longest.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let timer = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((self.0[timer as usize]?, timer)))
            .filter(|(at, _)| *at <= now)
            .min_by_key(|(at, _)| *at)?
            .1;
        self.clear(timer);
        Some(timer)
    }
}

/// How long a session rests that ended for too many prefixes for the n-th time, from zero: a
/// minute, doubled each time, up to about an hour.
pub(super) fn rest(times: u32) -> Duration {
    Duration::from_secs(60 << times.min(6))
}

/// How long a peer may read nothing: the default of RFC 9687 §6.
pub(super) fn send_hold(hold: Duration) -> Duration {
    (hold * 2).max(SEND_HOLD_FLOOR)
}

/// How long a TCP connection may take to come up.
pub(super) fn connect_wait(connect_retry: Duration) -> Duration {
    connect_retry.max(CONNECT_FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_due_for_longest_fires_first() {
        let mut timers = Timers::default();
        timers.set(Timer::Keepalive, Instant(5));
        timers.set(Timer::Hold, Instant(5));
        timers.set(Timer::Settle, Instant(3));
        timers.set(Timer::Connect, Instant(9));
        assert_eq!(timers.next(), Some(Instant(3)));
        assert_eq!(timers.take_due(Instant(2)), None);
        assert_eq!(timers.take_due(Instant(5)), Some(Timer::Settle));
        assert_eq!(timers.take_due(Instant(5)), Some(Timer::Hold));
        assert_eq!(timers.take_due(Instant(5)), Some(Timer::Keepalive));
        assert_eq!(timers.take_due(Instant(5)), None);
        assert_eq!(timers.next(), Some(Instant(9)));
    }
}
