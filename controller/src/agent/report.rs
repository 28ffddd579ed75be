//! What the agent says of itself: the snapshot, and whether it has converged.

use bgp::io::State;
use bgp::reason::Reason;
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::PeerView;

use super::configuration::Configuration;
use super::identity::Identity;
use crate::status::snapshot::{Condition, ConditionKind, Identity as Shown, Snapshot, SourceStatus};

/// How long all sessions must be up before routes that they did not bring go:
/// time for a peer that has restarted too to hear from its own peers.
const QUIET: Duration = Duration::from_secs(10);

/// After this time the routes of an earlier run go, whoever is still away.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the sessions are looked at until then.
const LOOK: Duration = Duration::from_secs(1);

/// How far the node is from what it is to be.
#[derive(Debug, Default)]
pub(super) struct Convergence {
    configured_at: Option<Instant>,
    up_at: Option<Instant>,
    look_at: Option<Instant>,
    settled_at: Option<Instant>,
    converged: Option<(bool, Instant)>,
}

impl Convergence {
    /// A configuration was applied.
    pub(super) fn configured(&mut self, now: Instant) {
        if self.configured_at.is_none() {
            self.configured_at = Some(now);
            self.look_at = Some(now + LOOK);
        }
    }

    /// When the sessions are to be looked at; `None` once the node has settled.
    pub(super) fn look_due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks at the sessions; true once, when routes of an earlier run that
    /// nobody asked for are to go.
    pub(super) fn settles(&mut self, peers: &[PeerView], busy: bool, now: Instant) -> bool {
        let Some(configured_at) = self.configured_at else { return false };
        self.look_at = Some(now + LOOK);
        if all_up(peers) && !busy {
            self.up_at.get_or_insert(now);
        } else {
            self.up_at = None;
        }
        let quiet = self.up_at.is_some_and(|up_at| now.since(up_at) >= QUIET);
        if quiet || now.since(configured_at) >= PATIENCE {
            self.look_at = None;
            self.settled_at = Some(now);
            return true;
        }
        false
    }

    fn conditions(&mut self, peers: &[PeerView], busy: bool, now: Instant) -> Vec<Condition> {
        let configured = self.configured_at.is_some();
        let holds = configured && all_up(peers) && !busy;
        let since = match self.converged {
            Some((before, since)) if before == holds => since,
            _ => now,
        };
        self.converged = Some((holds, since));
        let down = peers.iter().filter(|peer| !is_up(peer)).count();
        let converged = Condition {
            kind: ConditionKind::Converged,
            holds: Some(holds),
            reason: match (configured, down, busy) {
                (false, ..) => "not-configured",
                (_, 1.., _) => "sessions-down",
                (_, 0, true) => "working",
                _ => "all-sessions-up",
            },
            message: if down > 0 {
                format!("{down} of {} sessions are down", peers.len())
            } else {
                String::new()
            },
            since,
        };
        let ready = Condition {
            kind: ConditionKind::Ready,
            holds: Some(self.settled_at.is_some()),
            reason: match (configured, self.settled_at) {
                (false, _) => "not-configured",
                (true, None) => "converging",
                (true, Some(_)) => "settled",
            },
            message: String::new(),
            since: self.settled_at.or(self.configured_at).unwrap_or_default(),
        };
        vec![ready, converged]
    }
}

fn is_up(peer: &PeerView) -> bool {
    let disabled = peer.down.as_ref().is_some_and(|down| down.reason == Reason::Disabled);
    peer.state == State::Established || disabled
}

fn all_up(peers: &[PeerView]) -> bool {
    peers.iter().all(is_up)
}

/// The status of the node at one instant.
pub(super) fn snapshot(
    identity: &Identity,
    speaker: Option<&Speaker>,
    configuration: &Configuration,
    convergence: &mut Convergence,
    busy: bool,
    now: Instant,
) -> Snapshot {
    let peers = speaker.map(Speaker::peers).unwrap_or_default();
    Snapshot {
        revision: 0,
        node: identity.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: identity.clock,
        identity: configuration
            .speaker()
            .map(|speaker| Shown { asn: speaker.asn, router_id: speaker.router_id }),
        conditions: convergence.conditions(&peers, busy, now),
        peers,
        kernel: speaker.map(Speaker::kernel_counts).unwrap_or_default(),
        source: SourceStatus {
            description: identity.source.clone(),
            loaded_at: configuration.loaded_at(),
            errors: configuration.errors(),
        },
    }
}
