//! What BFD tells of the ways to peers, for the speaker: also for a peer that the speaker gets to know later.

use std::net::IpAddr;

use bgp::bfd::View;
use bgp::io::Event as SpeakerEvent;
use bgp::time::Instant;

use super::turn::Agent;
use crate::bfd::News;
use crate::effect::Drivers;
use crate::status::event::EventKind;

impl<D: Drivers> Agent<D> {
    /// The speaker may have peers that it had not before.
    pub(super) fn tell_detected(&mut self, now: Instant) {
        let views: Vec<(IpAddr, View)> = self.ways.iter().map(|(peer, view)| (*peer, *view)).collect();
        for (peer, view) in views {
            self.tell_one(peer, Some(view), now);
        }
    }

    pub(super) fn detected(&mut self, news: News, now: Instant) {
        match news {
            News::Changed { peer, view } => {
                match view {
                    Some(view) => {
                        let before = self.ways.insert(peer, view);
                        self.tally.bfd(peer, before.map(|before| before.state), view.state);
                    }
                    None => drop(self.ways.remove(&peer)),
                }
                self.tell_one(peer, view, now);
                self.drivers.status_changed();
            }
            News::Trouble(text) => self.trouble(EventKind::TransportTrouble, &text, now),
        }
    }

    fn tell_one(&mut self, address: IpAddr, view: Option<View>, now: Instant) {
        let peer = self.speaker.as_ref().and_then(|speaker| speaker.peer_at(address));
        if let Some(peer) = peer.filter(|_| !self.stopping) {
            self.tell(SpeakerEvent::Bfd { peer, view }, now);
        }
    }
}
