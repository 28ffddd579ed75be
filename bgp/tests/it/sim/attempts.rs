//! How often a router knocks at a door that stays shut: the time between two attempts to connect
//! (RFC 4271 §8.1.1), read from what the network has seen of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::time::{Duration, Instant};

use super::watch::{Checked, Violation};

/// What the wait grows to.
const MOST: Duration = Duration::from_secs(60);

/// What one router has tried with one peer since it was last let in, or was configured anew.
#[derive(Debug, Default)]
struct Tries {
    /// Attempts in a row that were refused, or not answered.
    failed: u32,
    dialled_at: Option<Instant>,
    /// Until when the peer, which restarts, may be asked at the plain interval.
    awaited_until: Instant,
}

/// What a router has tried.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<IpAddr, Tries>);

impl Attempts {
    /// An attempt. The configured wait doubles with each failure after the first, and is never
    /// shortened by more than a quarter (RFC 4271 §10).
    pub(super) fn dialled(
        &mut self,
        peer: IpAddr,
        configured: Duration,
        now: Instant,
        checked: &mut Checked,
    ) -> Result<(), Violation> {
        let tries = self.0.entry(peer).or_default();
        let Some(before) = tries.dialled_at.replace(now) else { return Ok(()) };
        let is_awaited = before < tries.awaited_until;
        let doubled = if is_awaited { 0 } else { tries.failed.saturating_sub(1).min(16) };
        let least = (configured * (1 << doubled)).min(MOST.max(configured)) * 3 / 4;
        checked.count("attempts-are-spaced");
        if tries.failed == 0 || now.since(before) >= least {
            return Ok(());
        }
        let text = format!(
            "{peer} is asked again after {:?}, and {} attempts have failed",
            now.since(before),
            tries.failed
        );
        Err(Violation { invariant: "attempts-are-spaced", text })
    }

    /// An attempt was refused, or nobody answered.
    pub(super) fn failed(&mut self, peer: IpAddr) {
        let tries = self.0.entry(peer).or_default();
        tries.failed = tries.failed.saturating_add(1);
    }

    /// A session is up, or the peer is configured in another way.
    pub(super) fn forget(&mut self, peer: IpAddr) {
        self.0.remove(&peer);
    }

    /// A session was lost whose peer may be restarting.
    pub(super) fn await_restart(&mut self, peer: IpAddr, until: Instant) {
        self.0.entry(peer).or_default().awaited_until = until;
    }

    /// The router starts anew.
    pub(super) fn start_again(&mut self) {
        self.0.clear();
    }
}
