//! Two sessions, a network of in-memory pipes between them, and a virtual clock.
//! Bytes arrive in random pieces after random delays, in order; the seed
//! decides everything.

use std::collections::{BTreeMap, BTreeSet};

use bgp::config::PeerAs;
use bgp::id::{Asn, ConnId, PeerId, RouterId};
use bgp::io::{ConnectFailure, State};
use bgp::prefix::Family;
use bgp::session::{Action, Negotiated, Session, SessionConfig, Sink};
use bgp::time::{Duration, Instant};
use bgp::wire::notification::Notification;
use bgp::wire::refresh::Subtype;

use super::rig::{config, socket, update};

/// UPDATEs that each side sends as soon as it is Established.
pub(super) const GREETINGS: u64 = 20;

/// SplitMix64.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    /// A connection attempt reaches the other side.
    Syn(ConnId),
    /// The attempt's answer: up, with the far end's number, or refused.
    Answer(ConnId, Option<ConnId>),
    Bytes(ConnId, Vec<u8>),
    End(ConnId),
}

/// One side: a session and what its caller saw.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) session: Session,
    /// Between the `Established` and the `Down` that were carried out.
    up: bool,
    pub(super) downs: Vec<String>,
    pub(super) updates: u64,
    /// The far end of each connection that is open here.
    links: BTreeMap<ConnId, ConnId>,
    /// When the last piece on a connection arrives at the far end.
    sent_until: BTreeMap<ConnId, Instant>,
}

/// What the caller does with UPDATEs: counts them, if the session is up.
struct Counting<'a> {
    up: bool,
    updates: &'a mut u64,
}

impl Sink for Counting<'_> {
    fn update(&mut self, _: &Negotiated, _: &[u8]) -> Result<(), Notification> {
        assert!(self.up, "an UPDATE came before `Established` was carried out");
        *self.updates += 1;
        Ok(())
    }

    fn refresh(&mut self, _: &Negotiated, _: Family, _: Subtype) {}
}

/// Both sides, their clock and what is on the way.
#[derive(Debug)]
pub(super) struct World {
    pub(super) nodes: [Node; 2],
    pub(super) now: Instant,
    pub(super) dice: Dice,
    /// Arrivals by time and order, with the side that they arrive at.
    queue: BTreeMap<(Instant, u64), (usize, Arrival)>,
    sequence: u64,
    accepted: u64,
    /// Nothing arrives, and nobody is told.
    pub(super) cut: bool,
    /// Attempts to connect are refused.
    pub(super) refusing: bool,
    /// Each event and each side's state after it.
    pub(super) trace: Vec<String>,
}

/// The longest delay of one piece.
const DELAY: u64 = 5_000_000;

impl World {
    pub(super) fn new(seed: u64, change: impl Fn(usize, &mut SessionConfig)) -> Self {
        let mut dice = Dice(seed);
        let node = |side: usize, seed: u64| {
            let mut config = config();
            config.local_asn = Asn(65001 + side as u32);
            config.router_id = RouterId(0x0a00_0001 + side as u32);
            config.peer_as = PeerAs::Exactly(Asn(65002 - side as u32));
            config.remote = socket(2 - side as u8, 179);
            change(side, &mut config);
            let session = Session::new(PeerId(side as u32), config, seed, Instant(0));
            let (links, sent_until) = (BTreeMap::new(), BTreeMap::new());
            Node { session, up: false, downs: Vec::new(), updates: 0, links, sent_until }
        };
        let nodes = [node(0, dice.below(u64::MAX)), node(1, dice.below(u64::MAX))];
        let (queue, trace) = (BTreeMap::new(), Vec::new());
        Self {
            nodes,
            now: Instant(0),
            dice,
            queue,
            sequence: 0,
            accepted: 0,
            cut: false,
            refusing: false,
            trace,
        }
    }

    pub(super) fn start(&mut self, side: usize) {
        let mut out = Vec::new();
        self.nodes[side].session.start(&mut out, self.now);
        self.carry_out(side, out);
    }

    /// Runs for a span of virtual time.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timer = (0..2).filter_map(|side| Some((self.nodes[side].session.deadline()?, side))).min();
            let next = arrival.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            // Timers run first in each turn.
            if let Some((_, side)) = timer.filter(|(at, _)| *at == next) {
                let mut out = Vec::new();
                self.nodes[side].session.expire(&mut out, self.now);
                self.carry_out(side, out);
            } else if let Some((_, (side, arrival))) = self.queue.pop_first() {
                self.arrive(side, arrival);
            }
        }
        self.now = end;
    }

    /// Both are Established on the two ends of one connection, and have no other.
    pub(super) fn is_settled(&self) -> bool {
        let conns = [0, 1].map(|side| self.nodes[side].session.established().map(|(conn, _)| conn));
        let [Some(one), Some(other)] = conns else { return false };
        self.nodes[0].links.get(&one) == Some(&other)
            && self.nodes.iter().all(|node| node.links.len() == 1 && node.up)
    }

    /// A connection breaks, and both ends are told.
    pub(super) fn reset_one(&mut self) {
        let conns: Vec<ConnId> = self.nodes[0].links.keys().copied().collect();
        if conns.is_empty() {
            return;
        }
        let conn = conns[self.dice.below(conns.len() as u64) as usize];
        let Some(far) = self.nodes[0].links.get(&conn).copied() else { return };
        self.arrive(0, Arrival::End(conn));
        self.arrive(1, Arrival::End(far));
    }

    fn arrive(&mut self, side: usize, arrival: Arrival) {
        if self.cut {
            return;
        }
        let mut out = Vec::new();
        let now = self.now;
        let label = format!("{now} {side} {arrival:?}");
        match arrival {
            // An agent that has not started its sessions has no listener yet.
            Arrival::Syn(far) if self.refusing || self.nodes[side].session.state() == State::Idle => {
                self.post(side, far, Arrival::Answer(far, None));
            }
            Arrival::Syn(far) => {
                self.accepted += 1;
                let conn = ConnId::Inbound(self.accepted);
                self.nodes[side].links.insert(conn, far);
                // Before anything that the session writes on the connection.
                self.post(side, conn, Arrival::Answer(far, Some(conn)));
                self.nodes[side].session.accepted(conn, socket(side as u8 + 1, 179), &mut out, now);
            }
            Arrival::Answer(conn, Some(far)) => {
                // The attempt may have been given up.
                if self.nodes[side].session.owns(conn) {
                    self.nodes[side].links.insert(conn, far);
                    self.nodes[side].session.connected(conn, socket(side as u8 + 1, 40000), &mut out, now);
                } else {
                    self.post(side, far, Arrival::End(far));
                }
            }
            Arrival::Answer(conn, None) => {
                self.nodes[side].session.connect_failed(
                    conn,
                    ConnectFailure::Answered,
                    "connection refused",
                    &mut out,
                    now,
                );
            }
            Arrival::Bytes(conn, bytes) if self.nodes[side].links.contains_key(&conn) => {
                self.read(side, conn, &bytes);
            }
            Arrival::End(conn) if self.nodes[side].links.remove(&conn).is_some() => {
                self.nodes[side].session.closed(conn, None, &mut out, now);
            }
            Arrival::Bytes(..) | Arrival::End(_) => {}
        }
        self.carry_out(side, out);
        self.trace.push(format!("{label} {:?}", self.states()));
    }

    pub(super) fn states(&self) -> [State; 2] {
        [0, 1].map(|side| self.nodes[side].session.state())
    }

    fn read(&mut self, side: usize, conn: ConnId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut out = Vec::new();
            let node = &mut self.nodes[side];
            let mut sink = Counting { up: node.up, updates: &mut node.updates };
            node.session.receive(conn, &mut bytes, &mut sink, &mut out, self.now);
            self.carry_out(side, out);
        }
    }

    fn carry_out(&mut self, side: usize, actions: Vec<Action>) {
        let mut greet = false;
        for action in actions {
            match action {
                Action::Connect { conn, .. } => self.post(side, conn, Arrival::Syn(conn)),
                Action::Write { conn, bytes } => self.write(side, conn, &bytes),
                Action::Close { conn } => {
                    if let Some(far) = self.nodes[side].links.remove(&conn) {
                        self.post(side, conn, Arrival::End(far));
                    }
                }
                Action::Established(_) => {
                    assert!(!self.nodes[side].up, "Established twice");
                    self.nodes[side].up = true;
                    greet = true;
                }
                Action::Down { cause, .. } => {
                    assert!(self.nodes[side].up, "Down without Established");
                    self.nodes[side].up = false;
                    self.nodes[side].downs.push(cause.text);
                    greet = false;
                }
                Action::Moved { from, to, .. } => assert_ne!(from, to),
            }
        }
        if let Some((conn, _)) = self.nodes[side].session.established().filter(|_| greet) {
            self.nodes[side].session.sent(GREETINGS, self.now);
            self.write(side, conn, &update().repeat(GREETINGS as usize));
        }
        let open: BTreeSet<ConnId> = self.nodes[side].links.keys().copied().collect();
        assert!(open.iter().all(|conn| self.nodes[side].session.owns(*conn)), "a connection leaks");
    }

    /// Sends bytes in pieces.
    fn write(&mut self, side: usize, conn: ConnId, mut bytes: &[u8]) {
        let Some(far) = self.nodes[side].links.get(&conn).copied() else { return };
        while !bytes.is_empty() {
            let len = 1 + self.dice.below(bytes.len() as u64) as usize;
            let (piece, rest) = bytes.split_at(len);
            self.post(side, conn, Arrival::Bytes(far, piece.to_vec()));
            bytes = rest;
        }
    }

    /// Sends something to the other side, behind all that went the same way before.
    fn post(&mut self, side: usize, conn: ConnId, arrival: Arrival) {
        let delayed = self.now + Duration::from_nanos(1 + self.dice.below(DELAY));
        let until = self.nodes[side].sent_until.entry(conn).or_default();
        *until = delayed.max(*until);
        self.sequence += 1;
        self.queue.insert((*until, self.sequence), (1 - side, arrival));
    }
}
