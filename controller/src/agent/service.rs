//! In and out of service: what an operator has ordered, what the Node says, and which of the two goes further.

use bgp::config::{self, SpeakerConfig};
use bgp::time::Instant;
use jiff::Timestamp;

use super::turn::Agent;
use crate::drain::Drain;
use crate::effect::Drivers;
use crate::status::event::{Event as Happened, EventKind};
use crate::status::impairment::Impairment;

/// Why, where the Node says it.
const CORDONED: &str = "its Node is cordoned and annotated";
/// Why, where there is no Node any more.
const DELETED: &str = "its Node was deleted";

impl<D: Drivers> Agent<D> {
    /// Begins with the drain that an earlier run has kept; to be called before the first turn.
    pub fn begin_drained(&mut self, drain: Option<Drain>) {
        let now = self.drivers.now();
        if let Some(drain) = &drain {
            self.tell_drain(EventKind::Drained, &drain.line(), now);
        }
        self.drain = drain;
    }

    /// The drain that holds: of an operator's and the Node's the one that withdraws more, the operator's of equals.
    pub(super) fn in_force(&self) -> Option<&Drain> {
        let node = self.cordoned.as_ref();
        self.drain.as_ref().filter(|drain| drain.pods || node.is_none_or(|node| !node.pods)).or(node)
    }

    /// What an operator wants holds from here on.
    pub(super) fn change_drain(&mut self, drain: Option<Drain>, now: Instant) {
        if drain.is_none() && self.drain.is_none() {
            return;
        }
        self.impaired(Impairment::Drain, None, now);
        let before = self.in_force().cloned();
        self.drain = drain;
        self.tell_change(before.as_ref(), now);
        self.serve_or_not(now);
    }

    /// What the Node says holds from here on; whether that is news for the speaker.
    pub(super) fn heed_node(&mut self, now: Instant) -> bool {
        let deleted = self.identity.follows_node && self.configuration.lacks(&self.identity.node);
        let level = self.configuration.speaker().map_or(config::Drain::No, |speaker| speaker.drain);
        let (level, reason) = if deleted { (config::Drain::Withheld, DELETED) } else { (level, CORDONED) };
        if level == Drain::level(self.cordoned.as_ref())
            && self.cordoned.as_ref().is_none_or(|drain| drain.reason == reason)
        {
            return false;
        }
        let before = self.in_force().cloned();
        let since = self.identity.clock.moment().time_of_day(now);
        let since = Timestamp::try_from(since).unwrap_or(Timestamp::UNIX_EPOCH);
        let pods = level == config::Drain::Withheld;
        let drain = Drain { pods, reason: reason.to_owned(), since, until: None };
        self.cordoned = (level != config::Drain::No).then_some(drain);
        self.tell_change(before.as_ref(), now);
        true
    }

    /// Tells what holds where that is another than before.
    fn tell_change(&mut self, before: Option<&Drain>, now: Instant) {
        match (self.in_force().cloned(), before) {
            (Some(drain), before) if Some(&drain) != before => {
                self.tell_drain(EventKind::Drained, &drain.line(), now);
            }
            (None, Some(_)) => self.tell_drain(EventKind::Undrained, "in service", now),
            _ => {}
        }
    }

    /// Makes the speaker heed what holds.
    pub(super) fn serve_or_not(&mut self, now: Instant) {
        let drain = Drain::level(self.in_force());
        if let (Some(speaker), Some(config)) = (&mut self.speaker, self.configuration.speaker())
            && !self.stopping
        {
            speaker.reconcile(SpeakerConfig { drain, ..config.clone() }, &mut self.effects, now);
            self.dispatch();
        }
    }

    fn tell_drain(&mut self, kind: EventKind, text: &str, now: Instant) {
        tracing::info!(event = kind.word(), reason = text);
        self.drivers.event(Happened::new(kind, text, now));
    }
}
