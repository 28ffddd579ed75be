//! Restarts: what is said of them to a peer, and what both sides agreed on.

use crate::prefix::PerFamily;

/// What is said of restarts to a peer (RFC 4724).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Restart {
    /// How long our next session may take, in seconds, at most 4095; zero: graceful restart
    /// is not offered, unless routes are kept for long.
    pub seconds: u16,
    /// Whether a NOTIFICATION or a hold time that ran out keeps routes too (RFC 8538).
    pub notification: bool,
    /// How long routes are kept beyond the restart time, in seconds, on either side: what
    /// the peer is asked for, and the most that it is given. At most 16 777 215; zero:
    /// long-lived graceful restart is not offered (RFC 9494).
    #[cfg_attr(feature = "serde", serde(default))]
    pub long_lived: u32,
}

impl Restart {
    /// Whether restarts are offered at all. With a restart time of zero the long-lived
    /// phase begins at once (RFC 9494 §4.2).
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        self.seconds > 0 || self.long_lived > 0
    }

    /// For how long a peer keeps our routes, in seconds; zero where nothing is offered.
    #[must_use]
    pub const fn kept_seconds(&self) -> u32 {
        if self.seconds > 0 { self.seconds as u32 } else { self.long_lived }
    }
}

impl Default for Restart {
    /// Two minutes, and no routes of a node that has lost its power (RFC 8538 §2, N off).
    fn default() -> Self {
        Self { seconds: 120, notification: false, long_lived: 0 }
    }
}

/// What both sides agreed on about restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerRestart {
    /// Whether the peer restarts: it waits for our End-of-RIB, not we for its (RFC 4724 §4.1).
    pub restarting: bool,
    /// How long the peer's next session may take, in seconds.
    pub seconds: u16,
    /// Whether a NOTIFICATION keeps what a lost connection would keep (RFC 8538 §4).
    pub notification: bool,
    /// The peer's Forwarding State bit of each family whose routes survive its restart.
    pub families: PerFamily<Option<bool>>,
    /// The families whose routes are kept beyond the restart time (RFC 9494).
    pub long_lived: PerFamily<Option<LongLived>>,
}

/// What both sides agreed on about keeping a family's routes for long (RFC 9494).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongLived {
    /// The peer's Forwarding State bit.
    pub forwarding: bool,
    /// The Long-Lived Stale Time in seconds: the peer's, or the own one where that is shorter.
    pub seconds: u32,
}
