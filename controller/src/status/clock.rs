//! The agent's two clocks and what joins them: the speaker counts nanoseconds
//! since the agent's start, people read the time of day.

use std::time::SystemTime;

use bgp::time::{Duration, Instant};

/// The clocks of one run of the agent; copied freely, all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
    started_at: SystemTime,
}

impl Clock {
    /// A clock whose [`Instant`] zero is this moment.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now(), started_at: SystemTime::now() }
    }

    /// Nanoseconds since the start; never goes back.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The same instant on the runtime's clock, for timers.
    #[must_use]
    pub fn monotonic(&self, at: Instant) -> std::time::Instant {
        self.origin + Duration::from_nanos(at.0)
    }

    /// The present, for an answer.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { started_at: self.started_at, now: self.now() }
    }
}

/// The present of one answer: all its ages count up to the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time of day at [`Instant`] zero.
    pub started_at: SystemTime,
    /// The present.
    pub now: Instant,
}

impl Moment {
    /// The time of day at an instant, by the day's clock as it was at the start.
    #[must_use]
    pub fn time_of_day(&self, at: Instant) -> SystemTime {
        self.started_at + Duration::from_nanos(at.0)
    }

    /// Whole seconds since an instant; zero if it is yet to come.
    #[must_use]
    pub fn seconds_since(&self, at: Instant) -> u64 {
        self.now.since(at).as_secs()
    }

    /// Seconds until an instant, rounded up; zero if it has passed.
    #[must_use]
    pub fn seconds_until(&self, at: Instant) -> u64 {
        at.since(self.now).as_nanos().div_ceil(1_000_000_000).try_into().unwrap_or(u64::MAX)
    }
}
