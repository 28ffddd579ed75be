//! From one desired configuration to the next: only what differs is touched,
//! and a session is reset only where the protocol demands it.

use crate::config::{Origination, PeerConfig, SpeakerConfig};
use crate::id::PeerId;
use crate::io::{Downfall, Effects};
use crate::policy::DEFAULT_LOCAL_PREFERENCE;
use crate::prefix::Prefix;
use crate::reason::Reason;
use crate::rib::SourceId;
use crate::rule::RouteOrigin;
use crate::session::SessionConfig;
use crate::speaker::peer::Peer;
use crate::speaker::{Speaker, rib_config};
use crate::time::Instant;
use crate::wire::attribute::{NextHops, PathAttributes};
use crate::wire::notification::{Cease, Notification};

impl Speaker {
    /// Makes the speaker what `config` says.
    pub fn reconcile(&mut self, config: SpeakerConfig, effects: &mut Effects, now: Instant) {
        let was_reflector = self.config.is_reflector();
        let before = core::mem::replace(&mut self.config, config);
        self.begin_recovery(now);
        self.rib.reconfigure(rib_config(&self.config, self.seed));
        self.reconcile_origins(&before.origins);
        let peer_rules_changed = self.reconcile_peers(effects, now);
        let own_rules_changed = before.asn != self.config.asn
            || before.router_id != self.config.router_id
            || before.transit != self.config.transit
            || (before.cluster(), was_reflector) != (self.config.cluster(), self.config.is_reflector())
            || before.protected != self.config.protected;
        if own_rules_changed || peer_rules_changed {
            self.rib.judge_again(None);
        }
        self.reconcile_exports();
    }

    /// Ends the peer's session in order; `text` is for its operator, in place of the reason.
    pub(super) fn stop_peer(
        &mut self,
        peer: PeerId,
        reason: Reason,
        text: &str,
        effects: &mut Effects,
        now: Instant,
    ) {
        let cause = Downfall { reason, text: reason.says().to_owned() };
        let Some(farewell) = self.peers.get(&peer).map(|peer| peer.session.config().farewell(&cause)) else {
            return;
        };
        let farewell = match reason {
            Reason::ConfigurationChanged => Notification::cease(Cease::PeerDeconfigured),
            // RFC 9003 §2 has no text with another subcode.
            _ if text.is_empty() => farewell,
            _ => Notification::administrative_shutdown(text),
        };
        self.on_peer(peer, effects, now, |session, out| session.stop(&farewell, &cause, out, now));
    }

    fn reconcile_origins(&mut self, before: &[Origination]) {
        // Both are ordered by prefix, each prefix once.
        let named = |list: &[Origination], prefix| list.binary_search_by_key(&prefix, |it| it.prefix).ok();
        for origin in before {
            let next = named(&self.config.origins, origin.prefix).map(|at| self.config.origins[at].origin);
            if let Some(local) = self.local(origin.origin).filter(|_| next != Some(origin.origin)) {
                self.rib.withdraw(local, origin.prefix);
            }
        }
        for origin in &self.config.origins {
            if let Some(local) = self.local(origin.origin)
                && named(before, origin.prefix).is_none_or(|at| before[at] != *origin)
            {
                let attributes = self.rib.attributes_mut().intern(originated(origin));
                self.rib.announce(local, origin.prefix, attributes, None, u32::MAX);
            }
        }
    }

    /// The source of own originations of a kind.
    fn local(&self, origin: RouteOrigin) -> Option<SourceId> {
        self.local.iter().find(|(of, _)| *of == origin).map(|&(_, source)| source)
    }

    /// Returns whether the import rules of a peer that stays have changed.
    fn reconcile_peers(&mut self, effects: &mut Effects, now: Instant) -> bool {
        let wanted = self.config.peers.clone();
        // Ordered by address, each address once.
        let kept = |peer: &Peer| {
            wanted.binary_search_by_key(&peer.config.address, |it| it.address).is_ok()
                || self.as_dynamic(peer).is_some()
        };
        let gone: Vec<PeerId> = self.peers.values().filter(|peer| !kept(peer)).map(|peer| peer.id).collect();
        for id in gone {
            self.stop_peer(id, Reason::ConfigurationChanged, "", effects, now);
            self.remove_peer(id, now);
        }
        let mut rules_changed = false;
        let named = |peer: &&Peer| wanted.binary_search_by_key(&peer.config.address, |it| it.address).is_ok();
        let dynamic = self.peers.values().filter(|peer| !named(peer));
        let dynamic: Vec<_> = dynamic.filter_map(|peer| Some((peer.id, self.as_dynamic(peer)?))).collect();
        for (id, next) in dynamic {
            rules_changed |= self.change_peer(id, next, effects, now);
        }
        for next in wanted {
            match self.by_address.get(&next.address).copied() {
                Some(id) => {
                    if let Some(peer) = self.peers.get_mut(&id) {
                        peer.dynamic = false;
                    }
                    rules_changed |= self.change_peer(id, next, effects, now);
                }
                None => drop(self.add_peer(next, effects, now)),
            }
        }
        rules_changed
    }

    /// Forgets a peer whose session is over.
    pub(super) fn remove_peer(&mut self, id: PeerId, now: Instant) {
        self.forget(id);
        self.timers.set(id, None, now);
        self.conns.retain(|_, conn| conn.peer != id);
        if let Some(peer) = self.peers.remove(&id) {
            self.by_address.remove(&peer.config.address);
        }
    }

    /// A peer that has connected, and that is there until its session is over.
    pub(super) fn add_dynamic(&mut self, config: PeerConfig, effects: &mut Effects, now: Instant) -> PeerId {
        let id = self.add_peer(config, effects, now);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.dynamic = true;
        }
        id
    }

    fn add_peer(&mut self, config: PeerConfig, effects: &mut Effects, now: Instant) -> PeerId {
        let id = PeerId(self.next_peer);
        self.next_peer += 1;
        self.by_address.insert(config.address, id);
        // A multiplier that spreads neighbouring numbers over all bits (2^64 / golden ratio).
        let jitter_seed = self.seed ^ u64::from(id.0 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut peer = Peer::new(id, &self.config, config, jitter_seed, now);
        peer.session.survive(self.survived());
        self.peers.insert(id, peer);
        self.on_peer(id, effects, now, |session, out| session.start(out, now));
        id
    }

    fn change_peer(&mut self, id: PeerId, next: PeerConfig, effects: &mut Effects, now: Instant) -> bool {
        let session_config = SessionConfig::of(&self.config, &next);
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        let before = core::mem::replace(&mut peer.config, next);
        let rules_changed = before.accept != peer.config.accept
            || before.accept_default != peer.config.accept_default
            || before.as_path != peer.config.as_path
            || before.local_as != peer.config.local_as
            || before.import != peer.config.import;
        self.on_peer(id, effects, now, |session, out| session.reconfigure(session_config, out, now));
        // What an address took along comes back with it, or goes when the restart time is over.
        let meant = |peer: &Peer| {
            peer.config.disabled || peer.config.obstacle.as_ref().is_some_and(|it| !it.is_of_addresses())
        };
        if self.peers.get(&id).is_some_and(meant) {
            self.forget(id);
        }
        self.change_client(id, before.reflector_client);
        self.change_limits(id, (before.receive, before.send_limit), effects, now);
        rules_changed
    }

    /// A peer that becomes a client, or is none any more: what others are sent of its
    /// paths changes; what it is sent itself follows from its export rules.
    fn change_client(&mut self, id: PeerId, before: bool) {
        let Some(peer) = self.peers.get(&id).filter(|peer| peer.config.reflector_client != before) else {
            return;
        };
        if let Some(source) = peer.source {
            self.rib.set_client(source, peer.config.reflector_client);
            self.adj_out.look_again();
        }
    }

    /// Export rules follow from both configurations; equal ones change nothing.
    fn reconcile_exports(&mut self) {
        for peer in self.peers.values() {
            if let Some(receiver) = peer.receiver(&self.config) {
                self.adj_out.change_export(&mut self.rib, &receiver);
            }
        }
    }
}

/// The path of an own origination. Its next hop is a place holder of the
/// family, since export always names an own address (RFC 4271 §5.1.3).
fn originated(origin: &Origination) -> PathAttributes {
    let next_hop = match origin.prefix {
        Prefix::V4(_) => NextHops::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Prefix::V6(_) => NextHops::V6 { global: std::net::Ipv6Addr::UNSPECIFIED, link_local: None },
    };
    PathAttributes {
        med: origin.med,
        local_preference: Some(origin.local_preference.unwrap_or(DEFAULT_LOCAL_PREFERENCE)),
        communities: origin.communities.clone().into(),
        large_communities: origin.large_communities.clone().into(),
        ..PathAttributes::originated(next_hop)
    }
}
