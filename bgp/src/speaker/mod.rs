//! The speaker: owns the sessions and the tables; events in, effects out.

use crate::config::SpeakerConfig;
use crate::io::{Effects, Event};
use crate::prefix::Prefix;
use crate::time::Instant;
use crate::view::{Explanation, PeerView, RouteCursor, RouteFilter, RoutePage, RouteView};

/// A BGP speaker.
#[derive(Debug)]
pub struct Speaker {
    config: SpeakerConfig,
    started_at: Instant,
}

impl Speaker {
    /// A speaker with its first configuration; `seed` feeds hashes and jitter.
    #[must_use]
    pub fn new(config: SpeakerConfig, _seed: u64, now: Instant) -> Self {
        Self { config, started_at: now }
    }

    /// Starts the sessions and originates the prefixes of the first
    /// configuration, or applies the difference to the one before. Call it once
    /// after [`Speaker::new`] with the same configuration.
    pub fn reconcile(&mut self, config: SpeakerConfig, _effects: &mut Effects, _now: Instant) {
        self.config = config;
    }

    /// Takes one event in.
    pub fn handle(&mut self, _event: Event<'_>, _effects: &mut Effects, _now: Instant) {}

    /// Does a bounded slice of pending work: decisions, cursors, UPDATEs to
    /// send. Call it once a turn, after the turn's events; returns whether more is pending.
    pub fn work(&mut self, _effects: &mut Effects, _now: Instant) -> bool {
        false
    }

    /// When [`Event::Timer`] is next due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.started_at)
    }

    /// All peers, ordered by address.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    /// A page of at most `limit` routes from `cursor` on.
    #[must_use]
    pub fn routes(&self, _filter: RouteFilter, _cursor: Option<RouteCursor>, _limit: usize) -> RoutePage {
        RoutePage::default()
    }

    /// One prefix exactly.
    #[must_use]
    pub fn route(&self, _prefix: Prefix) -> Option<RouteView> {
        None
    }

    /// The whole story of one prefix.
    #[must_use]
    pub fn explain(&self, prefix: Prefix) -> Explanation {
        Explanation { prefix, route: None, next_hops: Vec::new(), sent: Vec::new() }
    }
}
