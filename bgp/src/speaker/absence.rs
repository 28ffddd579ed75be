//! How long routes of a peer that restarts are kept (RFC 4724 §4.2, RFC 9494 §4.2), as values.
//!
//! ```text
//!  Down ─> restart time ─────────────┬─> long-lived stale time, a family each ─> all of it goes
//!            └ back ─> stale timer   └ a family without such a time goes
//! ```

use crate::config::PeerRestart;
use crate::prefix::{Family, PerFamily};
use crate::time::{Duration, Instant};

/// How long a peer that is back may take to send all: the stale timer (RFC 8538 §4.1).
const STALE_TIME: Duration = Duration::from_secs(180);

/// What a peer's restart leaves to be watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Absence {
    /// What the last session agreed on.
    pub(super) agreed: Option<PeerRestart>,
    /// Until when the next session has to be there; `None` unless the peer is away.
    away_until: Option<Instant>,
    /// Until when each family has to be there again; `None` where nothing of it is stale.
    stale_until: PerFamily<Option<Instant>>,
    /// Which families are kept for long: until then, whether the peer is back or not.
    long_lived: PerFamily<bool>,
}

impl Absence {
    /// The session was lost, and the families are kept.
    pub(super) fn begin(&mut self, kept: PerFamily<bool>, now: Instant) {
        let restart_time = Duration::from_secs(self.agreed.map_or(0, |agreed| agreed.seconds).into());
        self.away_until = Some(now + restart_time);
        for family in Family::ALL.into_iter().filter(|family| kept[*family]) {
            // What was stale before is kept no longer than it would have been (RFC 8538 §4.1).
            self.stale_until[family].get_or_insert(now + restart_time + STALE_TIME);
        }
    }

    /// The peer is back.
    pub(super) const fn is_back(&mut self) {
        self.away_until = None;
    }

    /// The restart time is over, or there was none: whether the family is kept for long.
    /// RFC 9494 §4.2: a time that runs is not changed before a new session has sent its End-of-RIB,
    /// so that it runs on over a second loss, and its end takes all that is stale of the family:
    /// what that loss made stale, too, however little of its own restart time has passed.
    pub(super) fn keep_for_long(&mut self, family: Family, now: Instant) -> bool {
        let agreed = self.agreed.and_then(|agreed| agreed.long_lived[family]);
        let Some(agreed) = agreed.filter(|_| self.is_kept(family)) else { return false };
        if !core::mem::replace(&mut self.long_lived[family], true) {
            self.stale_until[family] = Some(now + Duration::from_secs(agreed.seconds.into()));
        }
        true
    }

    /// The restart time of a peer that is away is over.
    pub(super) const fn end_restart_time(&mut self) {
        self.away_until = None;
    }

    /// Nothing of the family is stale any more.
    pub(super) fn is_fresh(&mut self, family: Family) {
        self.stale_until[family] = None;
        self.long_lived[family] = false;
    }

    /// Whether something of the family may be stale.
    pub(super) fn is_kept(&self, family: Family) -> bool {
        self.stale_until[family].is_some()
    }

    /// Whether the family is kept for long (RFC 9494 §4.2).
    pub(super) fn is_long_lived(&self, family: Family) -> bool {
        self.long_lived[family]
    }

    /// Whether the next session has not come in time.
    pub(super) fn is_lost(&self, now: Instant) -> bool {
        self.away_until.is_some_and(|at| at <= now)
    }

    /// Whether the family has not come in time.
    pub(super) fn is_overdue(&self, family: Family, now: Instant) -> bool {
        self.stale_until[family].is_some_and(|at| at <= now)
    }

    /// Until when the peer's session has to be there again.
    pub(super) const fn away_until(&self) -> Option<Instant> {
        self.away_until
    }

    /// Until when the families are kept for long.
    pub(super) fn long_lived_until(&self) -> PerFamily<Option<Instant>> {
        let until = |family: Family| self.stale_until[family].filter(|_| self.long_lived[family]);
        PerFamily { ipv4: until(Family::Ipv4), ipv6: until(Family::Ipv6) }
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = [self.away_until, self.stale_until.ipv4, self.stale_until.ipv6];
        until.into_iter().flatten().min()
    }
}
