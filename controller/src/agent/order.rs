//! What the loop does at an operator's order.

use bgp::id::PeerId;
use bgp::io::Event as SpeakerEvent;
use bgp::reason::Reason;
use bgp::time::Instant;

use super::turn::Agent;
use crate::discovery::shown;
use crate::effect::Drivers;
use crate::operator::order::Order;
use crate::status::event::{Event as Happened, EventKind, EventPeer};

impl<D: Drivers> Agent<D> {
    /// Does what an operator wants. One who went away needs no answer.
    pub(super) fn order(&mut self, order: Order, now: Instant) {
        self.drivers.status_changed();
        match order {
            Order::Drain { drain, reply } => {
                self.change_drain(drain, now);
                let _ = reply.send(self.in_force());
            }
            Order::Reset { peer, soft, reply } => {
                let _ = reply.send(self.reset(peer, soft, now));
            }
        }
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
