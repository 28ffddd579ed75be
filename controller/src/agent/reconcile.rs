//! What the node is to be: computed from what is known, and handed to those who bring it about.

use std::net::IpAddr;

use bgp::config::SpeakerConfig;
use bgp::io::State;
use bgp::prefix::PerFamily;
use bgp::time::Instant;
use bgp::view::PeerView;

use super::turn::Agent;
use crate::effect::Drivers;
use crate::kernel::Command;
use crate::record::Recorded;
use crate::status::event::{Event as Happened, EventKind};

impl<D: Drivers> Agent<D> {
    /// Computes what this node is to be, and applies the difference. Where that
    /// cannot be told, the last good configuration stays.
    pub(super) fn configure(&mut self, now: Instant) {
        self.drivers.status_changed();
        let desired = self.configuration.compute(&self.identity.node, now);
        for (kind, text) in self.configuration.news() {
            self.drivers.event(Happened::new(kind, &text, now));
        }
        if let Some(objects) = self.configuration.unkept() {
            self.drivers.keep(objects);
        }
        if self.stopping {
            return;
        }
        let heeded = self.heed_node(now);
        let Some(desired) = desired else {
            if heeded {
                self.serve_or_not(now);
            }
            return;
        };
        self.convergence.configured(now);
        self.drivers.kernel(Command::Configure(desired.kernel));
        self.hiding.want(desired.masquerade, self.speaker.as_deref());
        // Before any connection that needs them is opened or taken.
        self.drivers.neighbours(desired.neighbours);
        self.drivers.discover(desired.links);
        self.drivers.watch(desired.watch);
        if self.identity.restarts && self.speaker.is_none() {
            self.waiting = Some(desired.speaker);
            return;
        }
        self.succeed(&desired.speaker, now);
        self.reconcile(desired.speaker, None, now);
    }

    /// Forgets what is kept of nodes that are away and have a successor at their address. A session that is up is
    /// with whoever is there, whatever the Node's name and UID.
    fn succeed(&mut self, config: &SpeakerConfig, now: Instant) {
        let replaced = self.configuration.replaced();
        let Some(speaker) = self.speaker.as_ref().filter(|_| !replaced.is_empty()) else { return };
        let gone = |peer: &PeerView| peer.state != State::Established && replaced.contains(&peer.address);
        let gone: Vec<IpAddr> = speaker.peers().iter().filter(|peer| gone(peer)).map(|p| p.address).collect();
        if !gone.is_empty() {
            let mut others = config.clone();
            others.peers.retain(|peer| !gone.contains(&peer.address));
            self.reconcile(others, None, now);
        }
    }

    /// Makes the speaker what it is to be, and makes one where there is none yet: one that restarts, where an
    /// earlier run has left routes of these families.
    fn reconcile(&mut self, config: SpeakerConfig, left: Option<PerFamily<bool>>, now: Instant) {
        let drain = self.level(now);
        let new = || {
            let mut speaker = Recorded::new(&config, self.identity.seed, self.recorder.take());
            if let Some(forwarding) = left.filter(|left| left.ipv4 || left.ipv6) {
                speaker.resume(forwarding, self.awaited.expected());
            }
            speaker
        };
        let speaker = self.speaker.get_or_insert_with(new);
        speaker.reconcile(SpeakerConfig { drain, ..config }, &mut self.effects, now);
        self.tell_detected(now);
        self.dispatch();
    }

    /// The kernel's routes of an earlier run were counted: the speaker may begin.
    pub(super) fn adopted(&mut self, routes: PerFamily<usize>, now: Instant) {
        let Some(config) = self.waiting.take() else { return };
        let left = PerFamily { ipv4: routes.ipv4 > 0, ipv6: routes.ipv6 > 0 };
        let text = format!("after a restart, with {} IPv4 and {} IPv6 routes", routes.ipv4, routes.ipv6);
        tracing::info!(event = EventKind::Restart.word(), reason = text);
        self.drivers.event(Happened::new(EventKind::Restart, &text, now));
        self.reconcile(config, Some(left), now);
    }
}
