//! What the loop does at an operator's order.

use bgp::config::SpeakerConfig;
use bgp::id::PeerId;
use bgp::io::Event as SpeakerEvent;
use bgp::reason::Reason;
use bgp::time::Instant;

use super::turn::Agent;
use crate::discovery::shown;
use crate::drain::Drain;
use crate::effect::Drivers;
use crate::operator::order::Order;
use crate::status::event::{Event as Happened, EventKind, EventPeer};
use crate::status::impairment::Impairment;

impl<D: Drivers> Agent<D> {
    /// Begins with the drain that an earlier run has kept; to be called before the first turn.
    pub fn begin_drained(&mut self, drain: Option<Drain>) {
        let now = self.drivers.now();
        if let Some(drain) = &drain {
            self.tell_drain(EventKind::Drained, &drain.line(), now);
        }
        self.drain = drain;
    }

    /// Does what an operator wants. One who went away needs no answer.
    pub(super) fn order(&mut self, order: Order, now: Instant) {
        self.drivers.status_changed();
        match order {
            Order::Drain { drain, reply } => {
                self.change_drain(drain, now);
                let _ = reply.send(());
            }
            Order::Reset { peer, soft, reply } => {
                let _ = reply.send(self.reset(peer, soft, now));
            }
        }
    }

    fn change_drain(&mut self, drain: Option<Drain>, now: Instant) {
        match (&drain, &self.drain) {
            (None, None) => return,
            (Some(drain), _) => self.tell_drain(EventKind::Drained, &drain.line(), now),
            (None, Some(_)) => self.tell_drain(EventKind::Undrained, "in service", now),
        }
        self.impaired(Impairment::Drain, None, now);
        self.drain = drain;
        let drain = Drain::level(self.drain.as_ref());
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

    /// Resets a session; else says why it cannot be.
    fn reset(&mut self, peer: PeerId, soft: bool, now: Instant) -> Result<(), String> {
        let view = self.speaker.as_ref().and_then(|speaker| speaker.peer(peer));
        let Some(view) = view.filter(|_| !self.stopping) else {
            return Err("is not configured any more".to_owned());
        };
        if let Some(down) = &view.down {
            let held = matches!(down.reason, Reason::Disabled | Reason::MissingSecret);
            if held || soft {
                return Err(format!("the session is down: {}", down.text));
            }
        }
        if soft {
            let (name, address, asn) = (view.name, view.address, view.asn);
            tracing::info!(event = EventKind::Refreshed.word(), peer = name, address = shown(address));
            let peer = EventPeer { name, address, asn };
            let text = "an operator had all routes exchanged anew";
            self.drivers.event(Happened::of_peer(EventKind::Refreshed, peer, text, now));
        }
        self.tell(if soft { SpeakerEvent::Refresh { peer } } else { SpeakerEvent::Reset { peer } }, now);
        Ok(())
    }
}
