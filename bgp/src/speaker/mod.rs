//! The speaker: owns the sessions and the tables; events in, effects out.
//!
//! ```text
//!  handle:  Event -> session -> intake -> rib        (what happened)
//!  work:    rib -> decision -> adj_out -> Effects    (what follows from it)
//! ```
//!
//! One instance belongs to one loop; no call blocks, and `work` does a bounded
//! slice. Equal seeds, configurations, events and times give equal effects.

mod absence;
mod again;
mod detection;
mod dynamic;
mod explain;
mod inflow;
mod intake;
mod limit;
mod operator;
mod peer;
mod query;
mod reconcile;
mod recovery;
mod reset;
mod revival;
mod timers;
mod watch;
mod withdrawn;

pub use self::again::{SoftReset, SoftResetError};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::config::SpeakerConfig;
use crate::id::{ConnId, PeerId};
use crate::io::{Effects, Event, NextHop, Note, Transport};
use crate::prefix::Family;
use crate::rib::adj_out::AdjOut;
use crate::rib::{Rib, RibConfig, Source, SourceId, SourceKind};
use crate::rule::RouteOrigin;
use crate::session::{Action, Negotiated, Session};
use crate::speaker::inflow::Inflow;
use crate::speaker::intake::Intake;
use crate::speaker::peer::Peer;
use crate::speaker::recovery::Recovery;
use crate::speaker::timers::Timers;
use crate::time::Instant;
use crate::wire::frame;
use crate::wire::notification::{Cease, Notification};
use crate::zone;

/// Entries that one call of [`Speaker::work`] looks at, in each of its stages:
/// some milliseconds, so that KEEPALIVEs are never late.
const ENTRIES_PER_TURN: usize = 8_192;

/// Bytes that may wait for a peer to read before UPDATEs for it are held back:
/// enough to keep a fast reader busy, little enough to coalesce for a slow one.
const UNWRITTEN_HIGH: usize = 1 << 20;

/// A BGP speaker. A clone is another one in the same state, which goes its own way from there.
#[derive(Clone, Debug)]
pub struct Speaker {
    config: SpeakerConfig,
    seed: u64,
    rib: Rib,
    adj_out: AdjOut,
    /// The sources of own originations, by what export rules call them.
    local: Vec<(RouteOrigin, SourceId)>,
    peers: BTreeMap<PeerId, Peer>,
    by_address: BTreeMap<IpAddr, PeerId>,
    next_peer: u32,
    /// Never iterated: no order of output comes from it.
    conns: HashMap<ConnId, Conn, foldhash::fast::FixedState>,
    timers: Timers,
    inflow: Inflow,
    /// An own restart that is not over.
    recovering: Option<Recovery>,
    /// Emptied by every call that fills them; kept for their room.
    actions: Vec<Action>,
    scratch: Vec<u8>,
}

/// An open connection and whose it is.
#[derive(Clone, Debug)]
struct Conn {
    peer: PeerId,
    unwritten: usize,
}

impl Speaker {
    /// A speaker without peers that originates nothing; the first
    /// [`Speaker::reconcile`] starts both. `seed` feeds hashes and jitter.
    #[must_use]
    pub fn new(config: &SpeakerConfig, seed: u64) -> Self {
        let mut rib = Rib::new(rib_config(config, seed));
        let mut local = Vec::new();
        for origin in [RouteOrigin::PodCidr, RouteOrigin::Static, RouteOrigin::Service] {
            let source = rib.add_source(Source {
                kind: SourceKind::Local,
                origin,
                peer: None,
                address: None,
                router_id: config.router_id,
                asn: config.asn,
                via_default: false,
                client: false,
            });
            local.extend(source.map(|source| (origin, source)));
        }
        Self {
            config: SpeakerConfig { peers: Vec::new(), origins: Vec::new(), ..config.clone() },
            seed,
            rib,
            adj_out: AdjOut::default(),
            local,
            peers: BTreeMap::new(),
            by_address: BTreeMap::new(),
            next_peer: 0,
            conns: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed)),
            timers: Timers::default(),
            inflow: Inflow::default(),
            recovering: None,
            actions: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Takes one event in. Next-hop sets that lose a member by it are among the effects at once; all else that
    /// follows for routes comes with [`Speaker::work`].
    pub fn handle(&mut self, event: Event<'_>, effects: &mut Effects, now: Instant) {
        match event {
            Event::Connected { conn, local } => {
                self.on_conn(conn, effects, now, |session, out| session.connected(conn, local, out, now));
            }
            Event::ConnectFailed { conn, failure, error } => {
                self.on_conn(conn, effects, now, |session, out| {
                    session.connect_failed(conn, failure, error, out, now);
                });
                self.conns.remove(&conn);
            }
            Event::Accepted { conn, local, remote } => self.accept(conn, local, remote, effects, now),
            Event::Bytes { conn, bytes } => self.receive(conn, bytes, effects, now),
            Event::Written { conn, bytes } => {
                if let Some(open) = self.conns.get_mut(&conn) {
                    open.unwritten = open.unwritten.saturating_sub(bytes);
                    if let Some(peer) = self.peers.get_mut(&open.peer) {
                        peer.session.written(conn, open.unwritten > 0, now);
                        self.timers.set(peer.id, peer.deadline(), now);
                    }
                }
            }
            Event::Closed { conn, error } => {
                self.on_conn(conn, effects, now, |session, out| session.closed(conn, error, out, now));
                self.conns.remove(&conn);
            }
            Event::NextHop { next_hop, metric } => self.rib.set_next_hop(next_hop, metric),
            Event::Acks(acks) => self.rib.acknowledge(acks),
            Event::Bfd { peer, view } => self.detected(peer, view, effects, now),
            Event::Reset { peer } => self.reset(peer, effects, now),
            Event::Refresh { peer } => self.exchange_anew(peer, effects),
            Event::Network => self.look_for_peers(effects, now),
            Event::Timer => {
                while let Some(peer) = self.timers.take_due(now) {
                    self.ask_again(peer, effects, now);
                    self.end_overdue(peer, now);
                    self.end_absence(peer, effects, now);
                    self.on_peer(peer, effects, now, |session, out| session.expire(out, now));
                }
            }
        }
        self.rib.tell_losses(effects);
    }

    /// Does a bounded slice of pending work: decisions, cursors, UPDATEs to
    /// send. Call it once a turn, after the turn's events; returns whether more is pending.
    pub fn work(&mut self, effects: &mut Effects, now: Instant) -> bool {
        self.look_at_recovery(now);
        self.inflow.turn(self.rib.is_waiting(), now);
        self.rib.expect_more(self.inflow.is_several());
        let Self { config, rib, adj_out, peers, conns, .. } = self;
        let mut judge = |source: &Source, prefix, attributes: &_| {
            let Some(peer) = source.peer.and_then(|id| peers.get(&id)) else { return Ok(None) };
            let import = peer.import(config, source);
            let rule = import.judge(prefix, attributes)?;
            Ok(import.changed(rule, attributes))
        };
        let mut more = rib.work(ENTRIES_PER_TURN, &mut judge);
        rib.each_changed(|rib, entry| adj_out.touch(rib, entry));
        let conn_of = |peer: PeerId| Some(peers.get(&peer)?.session.established()?.0);
        let ready = |peer| {
            let conn = conn_of(peer).and_then(|conn| conns.get(&conn));
            conn.is_some_and(|conn| conn.unwritten < UNWRITTEN_HIGH)
        };
        let mut writes: Vec<(PeerId, Bytes)> = Vec::new();
        more |= adj_out.flush(rib, ENTRIES_PER_TURN, ready, |peer, bytes| writes.push((peer, bytes)));
        let limited = writes.iter().map(|(peer, _)| *peer).collect::<std::collections::BTreeSet<_>>();
        for (peer, bytes) in writes {
            self.send(peer, bytes, effects, now);
        }
        for peer in limited {
            if self.peers.get(&peer).is_some_and(|peer| peer.config.send_limit.is_some()) {
                self.look_at_limits(peer, effects, now);
            }
        }
        self.rib.drain(effects);
        more
    }

    /// Whether decisions wait for more of what several peers are sending; a call of
    /// [`Speaker::work`] before which nothing came ends that.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.rib.is_waiting()
    }

    /// When [`Event::Timer`] is next due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let recovery =
            self.recovering.iter().flat_map(|recovery| recovery.until.into_iter().chain(recovery.patience));
        self.timers.next().into_iter().chain(recovery).min()
    }

    /// Ends all sessions with a NOTIFICATION Cease/Administrative Shutdown and a text
    /// for the peers' operators (RFC 9003), which may be empty; routes in the kernel
    /// are left as they are.
    pub fn shutdown(&mut self, text: &str, effects: &mut Effects, now: Instant) {
        let peers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.stop_peer(peer, crate::reason::Reason::Shutdown, text, effects, now);
        }
    }

    /// A connection from outside: the peer's session decides, and a stranger is
    /// told so (RFC 4486 §4, Connection Rejected).
    fn accept(
        &mut self,
        conn: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
        effects: &mut Effects,
        now: Instant,
    ) {
        let address = zone::of_socket(remote).to_canonical();
        let known = self.by_address.get(&address).copied();
        let peer = known.or_else(|| {
            let config = self.admitted(address)?;
            Some(self.add_dynamic(config, effects, now))
        });
        let Some(peer) = peer else {
            let mut bytes = Vec::new();
            Notification::cease(Cease::ConnectionRejected).encode(&mut bytes);
            let write = Transport::Write { conn, bytes: bytes.into() };
            effects.transport.extend([write, Transport::Close { conn }]);
            return;
        };
        self.conns.insert(conn, Conn { peer, unwritten: 0 });
        self.on_peer(peer, effects, now, |session, out| session.accepted(conn, local, out, now));
    }

    /// Bytes for a session; UPDATEs go straight into the table.
    fn receive(&mut self, conn: ConnId, mut bytes: &[u8], effects: &mut Effects, now: Instant) {
        if let Some(conn) = self.conns.get(&conn) {
            self.inflow.heard(conn.peer, bytes.len());
            self.rib.expect_more(self.inflow.is_several());
        }
        // A session takes all bytes at once, but for those behind the message that
        // makes it Established: what that asks for comes first.
        while !bytes.is_empty() {
            let Some(id) = self.conns.get(&conn).map(|conn| conn.peer) else { return };
            let Some(peer) = self.peers.get_mut(&id) else { return };
            let mut actions = core::mem::take(&mut self.actions);
            let mut intake = Intake {
                rib: &mut self.rib,
                speaker: &self.config,
                peer: &peer.config,
                source: peer.source,
                scratch: &mut self.scratch,
                end_of_rib: &mut peer.end_of_rib,
                refresh: Vec::new(),
                again: &mut peer.again,
                withdrawn: &mut peer.withdrawn,
                now,
                problems: Vec::new(),
            };
            peer.session.receive(conn, &mut bytes, &mut intake, &mut actions, now);
            let Intake { refresh, problems, .. } = intake;
            peer.note_problems(problems);
            self.carry_out(id, actions, effects, now);
            for family in refresh {
                self.adj_out.refresh(&mut self.rib, id, family);
            }
        }
        if let Some(id) = self.conns.get(&conn).map(|conn| conn.peer) {
            self.look_at_absence(id, effects);
            self.look_at_limits(id, effects, now);
        }
    }

    /// Calls a session by one of its connections.
    fn on_conn(
        &mut self,
        conn: ConnId,
        effects: &mut Effects,
        now: Instant,
        call: impl FnOnce(&mut Session, &mut Vec<Action>),
    ) {
        if let Some(peer) = self.conns.get(&conn).map(|conn| conn.peer) {
            self.on_peer(peer, effects, now, call);
        }
    }

    /// Calls a session and carries out what it asks for.
    fn on_peer(
        &mut self,
        peer: PeerId,
        effects: &mut Effects,
        now: Instant,
        call: impl FnOnce(&mut Session, &mut Vec<Action>),
    ) {
        let mut actions = core::mem::take(&mut self.actions);
        if let Some(peer) = self.peers.get_mut(&peer) {
            call(&mut peer.session, &mut actions);
        }
        self.carry_out(peer, actions, effects, now);
    }

    /// Turns a session's actions into effects and changes of the tables.
    fn carry_out(&mut self, id: PeerId, mut actions: Vec<Action>, effects: &mut Effects, now: Instant) {
        for action in actions.drain(..) {
            match action {
                Action::Connect { conn, remote, source } => {
                    self.conns.insert(conn, Conn { peer: id, unwritten: 0 });
                    effects.transport.push(Transport::Connect { conn, remote, source });
                }
                Action::Write { conn, bytes } => {
                    self.write(conn, bytes.into(), effects, now);
                }
                Action::Close { conn } => {
                    self.conns.remove(&conn);
                    effects.transport.push(Transport::Close { conn });
                }
                Action::Established(negotiated) => self.peer_up(id, &negotiated),
                Action::Down { kept, .. } => {
                    self.peer_down(id);
                    self.keep_or_forget(id, kept, effects, now);
                }
                Action::Moved { from, to, cause } => self.note(id, from, to, cause, effects),
            }
        }
        self.actions = actions;
        effects.notices.extend(self.peers.get_mut(&id).map(Peer::news).into_iter().flatten());
        let deadline = self.peers.get(&id).and_then(Peer::deadline);
        self.timers.set(id, deadline, now);
        self.let_go(id, effects, now);
    }

    fn note(
        &self,
        id: PeerId,
        from: crate::io::State,
        to: crate::io::State,
        cause: Option<crate::io::Downfall>,
        effects: &mut Effects,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        effects.notes.push(Note {
            peer: id,
            name: peer.config.name.clone(),
            address: peer.config.address,
            asn: peer.asn(),
            from,
            to,
            cause,
        });
    }

    fn peer_up(&mut self, id: PeerId, negotiated: &Negotiated) {
        self.receive_back(id, negotiated);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.forget_news();
        let next_hop = NextHop { address: peer.config.address, via_default: peer.config.via_default };
        peer.next_hop = Some(next_hop);
        self.rib.expect_next_hop(next_hop);
        let Some(receiver) = peer.receiver(&self.config) else { return };
        let several = |family| receiver.codec.add_path[family].send;
        if Family::ALL.into_iter().any(several) {
            self.rib.tell_of_all(true);
        }
        for family in Family::ALL {
            if negotiated.codec.families[family] {
                self.adj_out.join(&receiver, family);
            }
        }
    }

    fn peer_down(&mut self, id: PeerId) {
        self.adj_out.leave(&mut self.rib, id);
        self.rib.tell_of_all(self.adj_out.sends_several());
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.watch = limit::Watch::default();
            peer.again = again::Again::default();
            peer.withdrawn = withdrawn::Withdrawn::default();
            if let Some(next_hop) = peer.next_hop.take() {
                self.rib.forget_next_hop(next_hop);
            }
        }
    }

    /// Hands UPDATEs to the peer's connection.
    fn send(&mut self, id: PeerId, bytes: Bytes, effects: &mut Effects, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some((conn, _)) = peer.session.established() else { return };
        let updates = frame::count(&bytes);
        if updates > 0 {
            peer.session.sent(updates, now);
            self.timers.set(id, peer.deadline(), now);
        }
        self.write(conn, bytes, effects, now);
    }

    fn write(&mut self, conn: ConnId, bytes: Bytes, effects: &mut Effects, now: Instant) {
        if let Some(open) = self.conns.get_mut(&conn) {
            open.unwritten += bytes.len();
            if let Some(peer) = self.peers.get_mut(&open.peer) {
                peer.session.waits(conn, now);
                self.timers.set(peer.id, peer.deadline(), now);
            }
        }
        effects.transport.push(Transport::Write { conn, bytes });
    }
}

/// The tables' part of the configuration.
fn rib_config(config: &SpeakerConfig, seed: u64) -> RibConfig {
    let SpeakerConfig { max_paths, relax_as_path, install, .. } = *config;
    RibConfig { seed, max_paths, relax_as_path, install }
}
