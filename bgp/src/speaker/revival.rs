//! Restarts, of a peer and of this speaker (RFC 4724, RFC 8538, RFC 9494): whose routes
//! are kept, for how long, and what has to wait for whom.
//!
//! ```text
//!  peer:  Down ─> mark stale ─> Established ─> End-of-RIB ─> sweep
//!                     │                                     └ stale time is over: sweep
//!                     └ restart time is over: all goes, or is kept for long as a last resort
//!  own:   resume ─> selection put off ─> End-of-RIB of each peer, or the timer ─> selection,
//!                   kernel's word ─> our End-of-RIB
//! ```

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::id::PeerId;
use crate::io::{Effects, Notice, State};
use crate::prefix::{Family, PerFamily};
use crate::reason::Reason;
use crate::session::{Negotiated, Survived};
use crate::speaker::Speaker;
use crate::speaker::peer::Peer;
use crate::speaker::recovery::{PATIENCE, Recovery, deferral};
use crate::time::Instant;
use crate::wire::notification::Notification;

impl Speaker {
    /// The speaker restarts, and the kernel has kept the routes of these families:
    /// to be called before the first [`Speaker::reconcile`]. Each OPEN says so, and
    /// learned routes are selected once every expected peer has sent what it had, or
    /// after half of the restart time, a minute at most (RFC 4724 §4.1). Expected are
    /// the [`Speaker::awaited`] of the run before; all, where those are not known.
    pub fn resume(&mut self, forwarding: PerFamily<bool>, expected: Option<BTreeSet<IpAddr>>) {
        self.recovering = Some(Recovery { forwarding, expected, until: None, patience: None });
    }

    /// The peers that the next run is to wait for, were this one to end: those whose
    /// routes are in use, and those that an own restart waits for yet.
    #[must_use]
    pub fn awaited(&self) -> BTreeSet<IpAddr> {
        let expected = self.recovering.as_ref().and_then(|recovery| recovery.expected.as_ref());
        let in_use =
            |peer: &&Peer| peer.session.established().is_some() || peer.absence.away_until().is_some();
        let up = self.peers.values().filter(in_use).map(|peer| peer.config.address);
        up.chain(expected.into_iter().flatten().copied()).collect()
    }

    /// Whether selection waits for peers after a restart.
    #[must_use]
    pub const fn is_recovering(&self) -> bool {
        self.recovering.is_some()
    }

    /// Ends all sessions so that the peers keep our routes until the next run
    /// (RFC 4724 §4.2), those that do not know restarts as [`Speaker::shutdown`] does.
    pub fn suspend(&mut self, effects: &mut Effects, now: Instant) {
        let cause =
            crate::io::Downfall { reason: Reason::Shutdown, text: Reason::Shutdown.says().to_owned() };
        let farewell = Notification::administrative_shutdown("");
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.on_peer(peer, effects, now, |session, out| session.suspend(&farewell, &cause, out, now));
        }
    }

    /// The first configuration is about to be applied: selection waits from here on.
    pub(super) fn begin_recovery(&mut self, now: Instant) {
        let span = deferral(&self.config);
        let Some(recovery) = self.recovering.as_mut().filter(|recovery| recovery.until.is_none()) else {
            return;
        };
        if span.is_zero() {
            self.recovering = None;
            return;
        }
        recovery.until = Some(now + span);
        for family in Family::ALL {
            self.rib.defer(family, true);
        }
    }

    /// What the OPEN of a session says that is made at this moment.
    pub(super) fn survived(&self) -> Survived {
        let recovering = self.recovering.as_ref();
        Survived {
            restarting: recovering.is_some(),
            forwarding: recovering.map_or_else(PerFamily::default, |recovery| recovery.forwarding),
        }
    }

    /// Lets selection begin where nobody is left to wait for (RFC 4724 §4.1).
    pub(super) fn look_at_recovery(&mut self, now: Instant) {
        let Some(until) = self.recovering.as_ref().and_then(|recovery| recovery.until) else { return };
        let late = until <= now;
        // A path whose next hop nobody has looked up yet would be left out, and come back a moment later.
        let resolved = !self.rib.awaits_next_hops();
        // Deviation: RFC 4724 §4.1 waits for all peers. One that was away before has left nothing that could be lost.
        let awaited = |peer: &&Peer| {
            self.recovering.as_ref().is_some_and(|recovery| recovery.expects(peer.config.address))
        };
        // One that is to connect by itself, and is no peer before.
        let absent =
            self.recovering.as_ref().and_then(|recovery| recovery.expected.as_ref()).is_some_and(|all| {
                all.iter().any(|address| !self.has_peer(*address) && self.is_in_range(*address))
            });
        let heard =
            |family| !absent && self.peers.values().filter(awaited).all(|peer| peer.has_sent(family, now));
        let ready = |family| late || (resolved && heard(family));
        let ready = PerFamily { ipv4: ready(Family::Ipv4), ipv6: ready(Family::Ipv6) };
        for family in Family::ALL.into_iter().filter(|family| ready[*family]) {
            self.rib.defer(family, false);
        }
        if ready.ipv4 && ready.ipv6 {
            self.recovering = None;
            for peer in self.peers.values_mut() {
                peer.session.has_restarted();
            }
            return;
        }
        let patience =
            self.peers.values().filter(awaited).filter_map(Peer::patience).filter(|at| *at > now).min();
        if let Some(recovery) = &mut self.recovering {
            recovery.patience = patience;
        }
    }

    /// A session ended: what of the peer's routes is kept is stale, the rest goes.
    pub(super) fn keep_or_forget(
        &mut self,
        id: PeerId,
        kept: PerFamily<bool>,
        effects: &mut Effects,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.end_of_rib = PerFamily::default();
        let Some(source) = peer.source.filter(|_| kept.ipv4 || kept.ipv6) else {
            return self.forget(id);
        };
        let survives_twice = peer.absence.agreed.is_some_and(|agreed| agreed.notification);
        for family in Family::ALL {
            if !survives_twice && !peer.absence.is_long_lived(family) {
                // RFC 4724 §4.2: what was stale before is deleted. RFC 8538 §4.1 and RFC 9494 §4.2 keep it,
                // for its time.
                self.rib.sweep_stale(source, family);
                peer.absence.is_fresh(family);
            }
            self.rib.mark_stale(source, family, true);
            if !kept[family] {
                self.rib.sweep_stale(source, family);
            }
        }
        peer.absence.begin(kept, now);
        let agreed = peer.absence.agreed;
        let seconds = agreed.map_or(0, |agreed| agreed.seconds);
        let stale = self.rib.stale(source, Family::Ipv4) + self.rib.stale(source, Family::Ipv6);
        effects.notices.push(peer.of_restart(format!("{stale} stale routes are kept for {seconds}s")));
        // RFC 9494 §4.2: without a restart time, or where the family has none, there is only the long one.
        for family in Family::ALL.into_iter().filter(|family| kept[*family]) {
            if seconds == 0 || agreed.is_none_or(|agreed| agreed.families[family].is_none()) {
                self.keep_for_long(id, family, effects, now);
            }
        }
        let deadline = self.peers.get(&id).and_then(Peer::deadline);
        self.timers.set(id, deadline, now);
    }

    /// A family's restart time is over: what is stale is kept for long, or goes. Whether it is kept.
    fn keep_for_long(&mut self, id: PeerId, family: Family, effects: &mut Effects, now: Instant) -> bool {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.absence.is_kept(family)) else {
            return false;
        };
        let Some(source) = peer.source else { return false };
        let kept = peer.absence.keep_for_long(family, now);
        if kept {
            self.rib.keep_for_long(source, family);
            let until = peer.absence.long_lived_until()[family].unwrap_or(now);
            let text =
                format!("{family}: stale routes are kept as a last resort for {}s", (until - now).as_secs());
            effects.notices.push(Notice { reason: Reason::LongLivedStale, ..peer.of_restart(text) });
        } else {
            peer.absence.is_fresh(family);
            self.rib.sweep_stale(source, family);
        }
        kept
    }

    /// Lets go of all of a peer's routes.
    pub(super) fn forget(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.absence = Default::default();
        if let Some(source) = peer.source.take() {
            self.rib.remove_source(source);
        }
    }

    /// A session came up: what the peer's forwarding state no longer carries goes
    /// (RFC 4724 §4.2), and another speaker at its address inherits nothing.
    pub(super) fn receive_back(&mut self, id: PeerId, negotiated: &Negotiated) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let source = Peer::as_source(id, &peer.config, negotiated);
        if peer.source.is_some_and(|held| self.rib.sources().get(held) != Some(&source)) {
            self.forget(id);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.absence.agreed = negotiated.restart;
        peer.absence.is_back();
        peer.end_of_rib = PerFamily::default();
        let Some(held) = peer.source else {
            peer.source = self.rib.add_source(source);
            return;
        };
        for family in Family::ALL {
            let agreed = negotiated.restart;
            // RFC 9494 §4.2: in the long phase it is the bit of that capability.
            let forwards = match peer.absence.is_long_lived(family) {
                true => agreed.and_then(|agreed| agreed.long_lived[family]).map(|agreed| agreed.forwarding),
                false => agreed.and_then(|agreed| agreed.families[family]),
            };
            if forwards != Some(true) || !negotiated.families[family] {
                self.rib.sweep_stale(held, family);
                peer.absence.is_fresh(family);
            }
        }
    }

    /// The peer has sent all of a family: what has not come again was swept.
    pub(super) fn look_at_absence(&mut self, id: PeerId, effects: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        for family in Family::ALL {
            if peer.end_of_rib[family] && peer.absence.is_kept(family) {
                peer.absence.is_fresh(family);
                effects.notices.push(peer.of_restart(format!("{family}: End-of-RIB, what was stale goes")));
            }
        }
    }

    /// Ends what a peer's restart has left for too long.
    pub(super) fn end_absence(&mut self, id: PeerId, effects: &mut Effects, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.absence.is_lost(now) {
            peer.absence.end_restart_time();
            let kept = Family::ALL.map(|family| self.keep_for_long(id, family, effects, now));
            if kept == [false; 2] {
                let Some(peer) = self.peers.get(&id) else { return };
                let text = "the peer is not back in its restart time, and its routes go".to_owned();
                effects.notices.push(peer.of_restart(text));
                return self.forget(id);
            }
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(source) = peer.source else { return };
        for family in Family::ALL {
            if peer.absence.is_overdue(family, now) {
                let text = match peer.absence.is_long_lived(family) {
                    true => format!("{family}: the long-lived stale time is over, and what was stale goes"),
                    false => format!("{family}: no End-of-RIB in time, and what was stale goes"),
                };
                peer.absence.is_fresh(family);
                self.rib.sweep_stale(source, family);
                effects.notices.push(peer.of_restart(text));
            }
        }
        let left = |family: &Family| peer.absence.is_kept(*family);
        if peer.session.established().is_none() && !Family::ALL.iter().any(left) {
            self.forget(id);
        }
    }
}

impl Peer {
    /// Whether selection has nothing to wait for from the peer: it has sent all,
    /// restarts itself and had its time, or does not know restarts (RFC 4724 §4.1).
    fn has_sent(&self, family: Family, now: Instant) -> bool {
        if self.config.disabled || self.config.obstacle.is_some() || !self.config.families[family] {
            return true;
        }
        let Some((_, negotiated)) = self.session.established() else { return false };
        let waits = negotiated.restart.is_some() && self.patience().is_none_or(|at| at > now);
        !waits || !negotiated.families[family] || self.end_of_rib[family]
    }

    /// Until when a peer that is up and says that it restarts itself is waited for.
    fn patience(&self) -> Option<Instant> {
        let (_, negotiated) = self.session.established()?;
        negotiated.restart.filter(|agreed| agreed.restarting).map(|_| self.session.since() + PATIENCE)
    }

    fn of_restart(&self, text: String) -> Notice {
        Notice { name: self.config.name.clone(), address: self.config.address, reason: Reason::Stale, text }
    }

    /// Until when the routes of a peer that is away are kept.
    pub(super) fn kept_until(&self) -> Option<Instant> {
        let long = self.absence.long_lived_until();
        let until = self.absence.away_until().into_iter().chain(long.ipv4).chain(long.ipv6).max();
        until.filter(|_| self.session.state() != State::Established)
    }
}
