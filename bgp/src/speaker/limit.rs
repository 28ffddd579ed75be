//! Limits of prefixes as values: how far a peer has come with them, and what
//! is known of that while its session is up.

use crate::config::{LimitAction, ReceiveLimit};
use crate::prefix::PerFamily;
use crate::time::Instant;

/// What is known of a session's limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// What was told of.
    pub(super) told: PerFamily<Reached>,
    /// When the peer was last asked for all of a family again.
    pub(super) asked_at: PerFamily<Option<Instant>>,
    /// When it is to be.
    pub(super) ask_at: PerFamily<Option<Instant>>,
}

/// Which limits of a family are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The receive limit.
    pub(super) receive: Level,
    /// Whether the send limit keeps prefixes back.
    pub(super) send: bool,
}

/// How far a peer has come with a receive limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Neither.
    #[default]
    Below,
    /// Enough for a warning.
    Near,
    /// More than the limit.
    Beyond,
}

impl Level {
    /// How far `received` prefixes go.
    pub(super) fn of(limit: &ReceiveLimit, received: u64) -> Self {
        match limit.warn_at {
            _ if received > limit.most.into() => Self::Beyond,
            Some(warn_at) if received >= warn_at.into() => Self::Near,
            _ => Self::Below,
        }
    }
}

impl Watch {
    /// When the peer is to be asked again.
    pub(super) fn ask_at(&self) -> Option<Instant> {
        [self.ask_at.ipv4, self.ask_at.ipv6].into_iter().flatten().min()
    }
}

/// Whether a family has more prefixes than a limit that ends the session.
pub(super) fn is_fatal(limit: &ReceiveLimit, stored: u64) -> bool {
    limit.action == LimitAction::Reset && stored > limit.most.into()
}
