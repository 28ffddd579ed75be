//! Whether pods may be started on this node: their prefixes are known, the kernel has what was heard, and somebody was
//! heard at all, or was waited for long enough.
//!
//! It latches for the boot: sessions that go down later are told by other conditions, and a restart of the agent
//! leaves the kernel's routes in place. A node that became unready then would lose its pods to other nodes for nothing.

use bgp::time::{Duration, Instant};

use crate::status::snapshot::{Condition, ConditionKind};

/// How long pods wait for the first peer: a ToR that is away must not keep a node out of the cluster, since pods may
/// be of use without it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The node at one instant, as far as pods are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// When the node was configured for the first time.
    pub(super) configured_at: Option<Instant>,
    /// Whether the node has prefixes for pods.
    pub(super) has_pods: bool,
    /// Whether one peer has sent all that it has, or there is none to wait for.
    pub(super) heard: bool,
    /// Whether the kernel has everything that was heard.
    pub(super) synced: bool,
}

/// The condition, and since when it holds.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// When it latched, and why.
    latched: Option<(Instant, &'static str)>,
    refused_at: Option<Instant>,
}

impl Readiness {
    /// An earlier run of the agent has latched it in this boot.
    pub(super) fn resume(&mut self, now: Instant) {
        self.latched = Some((now, "same-boot"));
    }

    /// The condition `PodNetworkReady` at this instant.
    pub(super) fn condition(&mut self, facts: Facts, now: Instant) -> Condition {
        let reason = self.reason(facts, now);
        let (holds, since) = match self.latched {
            Some((at, _)) => (true, at),
            None => (false, *self.refused_at.get_or_insert(now)),
        };
        Condition {
            kind: ConditionKind::PodNetworkReady,
            holds: Some(holds),
            reason,
            message: String::new(),
            since,
        }
    }

    fn reason(&mut self, facts: Facts, now: Instant) -> &'static str {
        if let Some((_, reason)) = self.latched {
            return reason;
        }
        let Some(configured_at) = facts.configured_at else { return "not-configured" };
        let late = now.since(configured_at) >= PATIENCE;
        let reason = match facts {
            Facts { has_pods: false, .. } => return "no-pod-prefixes",
            Facts { heard: true, synced: true, .. } => "first-peer-heard",
            _ if late => "peers-are-late",
            Facts { heard: false, .. } => return "no-peer-heard",
            _ => return "kernel-not-in-sync",
        };
        self.latched = Some((now, reason));
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(1_000_000_000);

    fn facts() -> Facts {
        Facts { configured_at: Some(START), has_pods: true, heard: true, synced: true }
    }

    #[track_caller]
    fn is(readiness: &mut Readiness, facts: Facts, seconds: u64, holds: bool, reason: &str) {
        let condition = readiness.condition(facts, START + Duration::from_secs(seconds));
        assert_eq!((condition.holds, condition.reason), (Some(holds), reason), "after {seconds} s");
    }

    #[test]
    fn pods_wait_for_prefixes_a_peer_and_the_kernel() {
        let mut readiness = Readiness::default();
        is(&mut readiness, Facts { configured_at: None, ..facts() }, 0, false, "not-configured");
        is(&mut readiness, Facts { has_pods: false, ..facts() }, 1, false, "no-pod-prefixes");
        is(&mut readiness, Facts { heard: false, ..facts() }, 2, false, "no-peer-heard");
        is(&mut readiness, Facts { synced: false, ..facts() }, 3, false, "kernel-not-in-sync");
        is(&mut readiness, facts(), 4, true, "first-peer-heard");
        // It stays, whatever follows.
        is(&mut readiness, Facts { heard: false, synced: false, ..facts() }, 500, true, "first-peer-heard");
    }

    #[test]
    fn peers_that_are_away_are_not_waited_for_without_end() {
        let mut readiness = Readiness::default();
        let away = Facts { heard: false, ..facts() };
        is(&mut readiness, away, 29, false, "no-peer-heard");
        is(&mut readiness, away, 30, true, "peers-are-late");
        // Without prefixes there is nothing to give to pods, however late it is.
        is(&mut Readiness::default(), Facts { has_pods: false, ..away }, 31, false, "no-pod-prefixes");
    }

    #[test]
    fn a_restart_in_the_same_boot_keeps_it() {
        let mut readiness = Readiness::default();
        readiness.resume(START);
        is(
            &mut readiness,
            Facts { configured_at: None, has_pods: false, heard: false, synced: false },
            0,
            true,
            "same-boot",
        );
    }
}
