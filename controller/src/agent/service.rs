//! In and out of service: what an operator has ordered, what the Node says, and which of the two goes further.

use bgp::config::{self, SpeakerConfig};
use bgp::time::Instant;
use jiff::Timestamp;

use super::turn::Agent;
use super::wish::{Service, Wish};
use crate::drain::Drain;
use crate::effect::Drivers;
use crate::status::event::{Event as Happened, EventKind};
use crate::status::impairment::Impairment;

/// Why, where the Node says it.
const CORDONED: &str = "its Node is cordoned and annotated";
/// Why, where there is no Node any more.
const DELETED: &str = "its Node was deleted";

impl<D: Drivers> Agent<D> {
    /// Begins with the drain that an earlier run has kept, and with what it has kept of the Node's; to be called
    /// before the first turn.
    pub fn begin_drained(&mut self, drain: Option<Drain>, node: Option<Drain>) {
        let now = self.drivers.now();
        if let Some(drain) = &drain {
            self.tell_drain(EventKind::Drained, &drain.line(), now);
        }
        let at = self.time_of_day(now);
        self.service.operator = drain.map(|drain| {
            let wait = drain.wait(at);
            Wish::new(drain, wait, now)
        });
        self.service.before = node;
    }

    /// The drain that holds: of an operator's and the Node's the one that withdraws more, the operator's of equals.
    /// Services go as soon as one of the two says so.
    pub(super) fn in_force(&self) -> Option<Drain> {
        let Service { operator, node, .. } = &self.service;
        let node = node.as_ref().map(|wish| &wish.drain);
        let operator = operator.as_ref().map(|wish| &wish.drain);
        let held = operator.filter(|drain| drain.pods || node.is_none_or(|node| !node.pods)).or(node)?;
        let services = self.service.wishes().filter_map(|wish| wish.drain.services).min();
        Some(Drain { services, ..held.clone() })
    }

    /// What the speaker is to do from here on. Notes when that changes by itself.
    pub(super) fn level(&mut self, now: Instant) -> config::Drain {
        let waiting = self.service.wishes().filter(|wish| !wish.waited(now));
        self.service.due = waiting.filter_map(|wish| wish.services_due).min();
        let pods = self.service.wishes().any(|wish| wish.drain.pods);
        let services = self.service.wishes().any(|wish| wish.waited(now));
        match self.service.wishes().next() {
            None => config::Drain::No,
            Some(_) => config::Drain::Shunned { pods, services },
        }
    }

    /// What an operator wants holds from here on.
    pub(super) fn change_drain(&mut self, drain: Option<Drain>, now: Instant) {
        if drain.is_none() && self.service.operator.is_none() {
            return;
        }
        self.impaired(Impairment::Drain, None, now);
        let before = self.in_force();
        self.service.operator = drain.map(|drain| {
            // Ordered at this moment, whatever the day's clock has done since the start.
            let wait = drain.wait(drain.since);
            Wish::new(drain, wait, now)
        });
        self.tell_change(before.as_ref(), now);
        self.serve_or_not(now);
    }

    /// What the Node says holds from here on; whether that is news for the speaker.
    pub(super) fn heed_node(&mut self, now: Instant) -> bool {
        let deleted = self.identity.follows_node && self.configuration.lacks(&self.identity.node);
        let Some(cordon) = self.configuration.cordon().filter(|_| self.configuration.speaker().is_some())
        else {
            return false;
        };
        let (out, pods, reason) = match cordon.drain {
            _ if deleted => (true, true, DELETED),
            config::Drain::No => (false, false, CORDONED),
            config::Drain::Shunned { pods, .. } => (true, pods, CORDONED),
        };
        let wait = cordon.wait;
        self.impaired(Impairment::Cordon, self.configuration.cordon_unread(), now);
        let first = !std::mem::replace(&mut self.service.heeded, true);
        let at = self.time_of_day(now);
        let held = self.service.node.take();
        let kept = held.as_ref().map(|wish| wish.drain.clone());
        let earlier = self.service.before.take().filter(|_| held.is_none());
        if !out {
            // What an earlier run has kept is over, too, be it readable or not.
            if kept.is_some() || first {
                self.drivers.cordoned(None);
            }
            let before = self.in_force_with(held);
            self.tell_change(before.as_ref(), now);
            return kept.is_some();
        }
        // The same who has spoken before: since then.
        let same = kept.as_ref().or(earlier.as_ref()).filter(|drain| drain.reason == reason);
        let since = same.map_or(at, |drain| drain.since);
        let services = since.checked_add(wait).ok();
        let drain = Drain { pods, reason: reason.to_owned(), since, until: None, services };
        let drain = drain.after(kept.as_ref());
        if kept.as_ref() == Some(&drain) {
            self.service.node = held;
            return false;
        }
        let before = self.in_force_with(held);
        let left = drain.wait(at);
        self.service.node = Some(Wish::new(drain.clone(), left, now));
        self.drivers.cordoned(Some(drain));
        self.tell_change(before.as_ref(), now);
        true
    }

    /// What held with this said by the Node.
    fn in_force_with(&mut self, node: Option<Wish>) -> Option<Drain> {
        self.service.node = node;
        let held = self.in_force();
        self.service.node = None;
        held
    }

    /// The wait for peers is over: addresses of Services go.
    pub(super) fn withdraw_services(&mut self, now: Instant) {
        if self.service.due.is_some_and(|due| due <= now) {
            self.drivers.status_changed();
            self.tell_drain(EventKind::Drained, "the addresses of Services are withdrawn", now);
            self.serve_or_not(now);
        }
    }

    fn time_of_day(&self, now: Instant) -> Timestamp {
        let at = self.identity.clock.moment().time_of_day(now);
        Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Tells what holds where that is another than before.
    fn tell_change(&mut self, before: Option<&Drain>, now: Instant) {
        match (self.in_force(), before) {
            (Some(drain), before) if Some(&drain) != before => {
                self.tell_drain(EventKind::Drained, &drain.line(), now);
            }
            (None, Some(_)) => self.tell_drain(EventKind::Undrained, "in service", now),
            _ => {}
        }
    }

    /// Makes the speaker heed what holds.
    pub(super) fn serve_or_not(&mut self, now: Instant) {
        let drain = self.level(now);
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
