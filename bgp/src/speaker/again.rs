//! All of a family once more, as values: what a peer sends again, between a begin
//! and an end (RFC 7313 §4.2), and what an operator may ask for.

use core::fmt;

use crate::prefix::{Family, PerFamily};
use crate::rib::{Rib, SourceId};
use crate::time::{Duration, Instant};

/// How long what is to be sent again may take: a full table over a slow link.
/// What has not come by then is gone (RFC 7313 §4.2).
const PATIENCE: Duration = Duration::from_secs(360);

/// What a peer is sending again: until when its end may come.
#[derive(Clone, Debug, Default)]
pub(super) struct Again(PerFamily<Option<Instant>>);

impl Again {
    /// BoRR: all that is there is stale until it comes again (RFC 7313 §4.2).
    pub(super) fn begin(&mut self, rib: &mut Rib, source: SourceId, family: Family, now: Instant) {
        rib.mark_stale(source, family, false);
        self.0[family] = Some(now + PATIENCE);
    }

    /// EoRR: what is still stale goes (RFC 7313 §4.2). One without a begin is ignored.
    pub(super) fn end(&mut self, rib: &mut Rib, source: SourceId, family: Family) {
        if self.0[family].take().is_some() {
            rib.sweep_stale(source, family);
        }
    }

    /// Whether the end has not come in time.
    pub(super) fn is_overdue(&self, family: Family, now: Instant) -> bool {
        self.0[family].is_some_and(|at| at <= now)
    }

    /// When the next end is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.0.ipv4, self.0.ipv6].into_iter().flatten().min()
    }
}

/// Which of the two tables of a session is to be built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftReset {
    /// Adj-RIB-In: the peer is asked to send all again.
    In,
    /// Adj-RIB-Out: the peer is sent all again.
    Out,
    /// Both.
    Both,
}

/// Why a soft reset is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftResetError {
    /// No such peer.
    UnknownPeer,
    /// The session is not Established.
    NotEstablished,
    /// The peer does not understand ROUTE-REFRESH (RFC 2918).
    NoRouteRefresh,
}

impl std::error::Error for SoftResetError {}

impl fmt::Display for SoftResetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPeer => "there is no such peer",
            Self::NotEstablished => "the session is not Established",
            Self::NoRouteRefresh => "the peer has not offered route refresh (RFC 2918)",
        })
    }
}
