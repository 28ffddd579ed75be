//! Limits of prefixes while a session is up: which are reached, who is told,
//! and when the peer is asked again for what found no room.
//!
//! What is beyond a receive limit is refused where paths come in, what is beyond
//! a send limit where they go out; here is only what follows from it.

use crate::config::ReceiveLimit;
use crate::id::PeerId;
use crate::io::{Effects, Notice};
use crate::prefix::Family;
use crate::reason::Reason;
use crate::rib::Rib;
use crate::rib::adj_out::AdjOut;
use crate::speaker::Speaker;
use crate::speaker::limit::{Level, Reached};
use crate::speaker::peer::Peer;
use crate::time::{Duration, Instant};

/// The shortest time between two requests for a family: a peer whose prefixes
/// come and go at its limit is not asked for all of them each time.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

impl Peer {
    fn received(&self, rib: &Rib, family: Family) -> u64 {
        let counts = self.source.and_then(|source| rib.counts(source, family));
        counts.map_or(0, crate::rib::SourceCounts::received)
    }

    fn reached(&self, rib: &Rib, adj_out: &AdjOut, family: Family) -> Reached {
        Reached {
            receive: Level::of(&self.config.receive, self.received(rib, family)),
            send: adj_out.limited(self.id, family) > 0,
        }
    }

    /// The limits that are reached, in words.
    pub(super) fn limits(&self, rib: &Rib, adj_out: &AdjOut) -> Vec<String> {
        if self.session.established().is_none() {
            return Vec::new();
        }
        let all = Family::ALL.into_iter();
        all.flat_map(|family| self.words(rib, adj_out, family, self.reached(rib, adj_out, family)))
            .map(|(_, text)| text)
            .collect()
    }

    fn words(
        &self,
        rib: &Rib,
        adj_out: &AdjOut,
        family: Family,
        reached: Reached,
    ) -> impl Iterator<Item = (Reason, String)> {
        let (received, most) = (self.received(rib, family), self.config.receive.most);
        let receive = (reached.receive > Level::Below).then(|| {
            (Reason::PrefixLimit, format!("{family}: {received} prefixes received, the limit is {most}"))
        });
        let send = reached.send.then(|| {
            let (kept, most) = (adj_out.limited(self.id, family), self.config.send_limit.unwrap_or_default());
            (Reason::SendLimit, format!("{family}: {kept} prefixes not sent, the limit is {most}"))
        });
        receive.into_iter().chain(send)
    }

    /// Whether prefixes that found no room would find some.
    fn has_room(&self, rib: &Rib, family: Family) -> bool {
        let counts = self.source.and_then(|source| rib.counts(source, family));
        counts.is_some_and(|counts| {
            let beyond = counts.rejected_as(Reason::PrefixLimit) > 0 || counts.has_path_room();
            beyond && counts.stored() < self.config.receive.stored().into()
        })
    }
}

impl Speaker {
    /// Tells of limits that were reached since the last look, and sees to it
    /// that a peer is asked again once there is room (RFC 2918).
    pub(super) fn look_at_limits(&mut self, id: PeerId, effects: &mut Effects, now: Instant) {
        let Self { peers, rib, adj_out, timers, .. } = self;
        let Some(peer) = peers.get_mut(&id).filter(|peer| peer.source.is_some()) else { return };
        for family in Family::ALL {
            let (before, reached) = (peer.watch.told[family], peer.reached(rib, adj_out, family));
            if before != reached {
                let news = Reached {
                    receive: if reached.receive > before.receive { reached.receive } else { Level::Below },
                    send: reached.send && !before.send,
                };
                let (name, address) = (&peer.config.name, peer.config.address);
                let notices = peer.words(rib, adj_out, family, news).map(|(reason, text)| Notice {
                    name: name.clone(),
                    address,
                    reason,
                    text,
                });
                effects.notices.extend(notices);
                peer.watch.told[family] = reached;
            }
            let able = peer.session.established().is_some_and(|(_, negotiated)| negotiated.refresh);
            if able && peer.watch.ask_at[family].is_none() && peer.has_room(rib, family) {
                let earliest = peer.watch.asked_at[family].map_or(now, |asked_at| asked_at + ASK_INTERVAL);
                peer.watch.ask_at[family] = Some(earliest.max(now));
                timers.set(id, peer.deadline(), now);
            }
        }
    }

    /// Asks the peer for what is due.
    pub(super) fn ask_again(&mut self, id: PeerId, effects: &mut Effects, now: Instant) {
        for family in Family::ALL {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if peer.watch.ask_at[family].take_if(|at| *at <= now).is_none() {
                continue;
            }
            let Some(source) = peer.source else { return };
            if !peer.has_room(&self.rib, family) {
                continue;
            }
            peer.watch.asked_at[family] = Some(now);
            self.rib.forget_beyond_limit(source, family);
            self.request(id, family, effects);
        }
    }

    /// The peer's limits changed.
    pub(super) fn change_limits(
        &mut self,
        id: PeerId,
        before: (ReceiveLimit, Option<u32>),
        effects: &mut Effects,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        if (peer.config.receive, peer.config.send_limit) == before {
            return;
        }
        self.on_peer(id, effects, now, |session, out| session.resume(out, now));
        self.look_at_limits(id, effects, now);
    }
}
