//! Neighbours on links without addresses, as they show themselves.

use std::net::IpAddr;

use bgp::io::State;
use bgp::time::Instant;

use super::turn::Agent;
use crate::discovery::{self, Finding};
use crate::effect::Drivers;
use crate::status::event::EventKind;
use crate::transport::Hops;

impl<D: Drivers> Agent<D> {
    /// A router is there. The first one on a link is the neighbour.
    pub(super) fn router(&mut self, address: IpAddr, now: Instant) {
        let Self { configuration, speaker, .. } = self;
        let is_up = |address| {
            let peers = speaker.as_ref().map(|speaker| speaker.peers()).unwrap_or_default();
            peers.iter().any(|peer| peer.address == address && peer.state == State::Established)
        };
        match configuration.router(address, is_up, now) {
            Finding::Neighbour => {
                tracing::info!(event = "neighbour", address = discovery::shown(address));
                self.configure(now);
            }
            Finding::Known => {}
            Finding::Second(first) => {
                let (first, second) = (discovery::shown(first), discovery::shown(address));
                let text = format!("router {second} is ignored: the link's neighbour is {first}");
                self.trouble(EventKind::TransportTrouble, &text, now);
            }
        }
    }

    /// Whether whoever connects from an address is a peer.
    pub(super) fn admits(&self, address: IpAddr) -> bool {
        self.speaker.as_ref().is_some_and(|speaker| speaker.admits(address))
    }

    /// Takes who connects on a link that has no neighbour yet for the neighbour. Whether its connection
    /// came before the terms that it is to be on: its next one, or our own, is.
    pub(super) fn is_beyond_terms(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.admits(address) || !self.configuration.is_on_link(address) {
            return false;
        }
        self.router(address, now);
        let terms = self.configuration.terms(address);
        terms.is_some_and(|terms| terms.password.is_some() || matches!(terms.hops, Hops::Proven(_)))
    }
}
