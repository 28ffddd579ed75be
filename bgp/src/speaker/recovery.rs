//! An own restart (RFC 4724 §4.1), as values: which forwarding state was found,
//! and until when selection waits for the peers.
//!
//! Deviation: RFC 4724 §4.1 does not wait for a peer that says that it restarts, so that two that do so at once need no
//! timer. FRR says it for two minutes after its start, whether or not its table is complete, and without waiting the
//! routes through it would be missing until they come, a moment later. So such a peer is waited for a little while.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::SpeakerConfig;
use crate::prefix::PerFamily;
use crate::time::{Duration, Instant};

/// The longest that selection is put off: the Selection_Deferral_Timer.
const DEFERRAL: Duration = Duration::from_secs(60);

/// How long a peer that says it restarts itself is waited for, from when its session is up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An own restart that is not over.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    /// The families whose routes were found in the kernel.
    pub(super) forwarding: PerFamily<bool>,
    /// The peers that selection waits for; `None` where that is not known, and each of them is.
    pub(super) expected: Option<BTreeSet<IpAddr>>,
    /// Until when selection waits; `None` before the first configuration.
    pub(super) until: Option<Instant>,
    /// When the next peer that restarts itself has had its time.
    pub(super) patience: Option<Instant>,
}

impl Recovery {
    /// Whether selection waits for a peer.
    pub(super) fn expects(&self, peer: IpAddr) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected.contains(&peer))
    }
}

/// How long selection waits for the peers: half of the shortest time in which
/// they keep our routes, so that they have them again before it is over. Zero
/// if nothing is said of restarts to any peer.
pub(super) fn deferral(config: &SpeakerConfig) -> Duration {
    let peers = config.peers.iter().chain(config.dynamic.iter().map(|range| &range.peer));
    let times = peers.map(|peer| peer.restart.kept_seconds()).filter(|seconds| *seconds > 0);
    times.min().map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into()) / 2).min(DEFERRAL)
}
