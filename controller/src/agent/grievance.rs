//! Malformed attributes that did not end a session (RFC 7606 §8 asks to log
//! them): told when the peers are looked at, however many came since.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::time::Instant;
use bgp::view::PeerView;

use crate::discovery::shown;
use crate::status::event::{Event, EventKind, EventPeer};

/// How many malformed attributes of each peer have been told of.
#[derive(Debug, Default)]
pub(super) struct Grievances {
    told: BTreeMap<IpAddr, u64>,
}

impl Grievances {
    /// What is new since the last look, an event a peer.
    pub(super) fn look(&mut self, peers: &[PeerView], now: Instant) -> Vec<Event> {
        let ill = peers.iter().filter(|peer| peer.malformed.0 > 0);
        let events = ill.clone().filter_map(|peer| self.event(peer, now)).collect();
        // What is kept is of the peers that there are.
        self.told = ill.map(|peer| (peer.address, peer.malformed.0)).collect();
        events
    }

    fn event(&self, view: &PeerView, now: Instant) -> Option<Event> {
        let (count, last) = &view.malformed;
        let before = self.told.get(&view.address).copied().filter(|before| before <= count).unwrap_or(0);
        let more = count - before;
        if more == 0 {
            return None;
        }
        let last = last.as_deref().unwrap_or_default();
        let text = if more == 1 { last.to_owned() } else { format!("{more} times, the last: {last}") };
        let (peer, address, asn) = (view.name.as_str(), view.address, view.asn.map(|asn| asn.0));
        tracing::warn!(event = "malformed", peer, address = shown(address), asn, text);
        let peer = EventPeer { name: view.name.clone(), address, asn: view.asn };
        Some(Event::of_peer(EventKind::Malformed, peer, &text, now))
    }
}
