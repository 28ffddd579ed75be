//! What passes between routers: connections that are asked for and answered,
//! bytes in pieces of random sizes, ends.

use std::net::{IpAddr, SocketAddr};

use bgp::id::ConnId;
use bgp::io::{Event, Transport};
use bgp::prefix::Prefix;
use bgp::time::{Duration, Instant};
use bgp::wire::frame::Kind;
use bytes::Bytes;

use super::broken::Broken;
use super::network::{Network, Shut, UNANSWERED, address};
use super::pipe::{PENDING, Segment, WINDOW};
use super::queue::What;
use super::watch::{Violation, content};

impl Network {
    pub(super) fn transport(&mut self, router: usize, effect: Transport) {
        match effect {
            Transport::Connect { conn, remote, .. } => {
                self.hash(remote);
                self.routers[router].conns.insert(conn, PENDING);
                self.dialled(router, remote.ip());
                let after = self.travel(router, self.router_of(remote.ip()).unwrap_or(router)) * 2;
                self.enter(self.now + after, What::Dial(router, conn, remote.ip()));
            }
            Transport::Write { conn, bytes } => match self.routers[router].broken.as_mut() {
                Some(broken) => {
                    for (conn, bytes) in broken.write(conn, &bytes) {
                        self.write(router, conn, bytes);
                    }
                }
                None => self.write(router, conn, bytes),
            },
            Transport::Close { conn } => {
                self.hash(conn);
                let Some(&end) = self.routers[router].conns.get(&conn) else { return };
                if self.routers[router].broken.as_ref().is_some_and(|broken| !broken.closes()) {
                    return;
                }
                self.routers[router].conns.remove(&conn);
                if let Some(broken) = &mut self.routers[router].broken {
                    broken.forget(conn);
                }
                if end != PENDING {
                    self.push(end ^ 1, Segment::End(None));
                    self.ends.close(end);
                }
            }
        }
    }

    fn write(&mut self, router: usize, conn: ConnId, bytes: Bytes) {
        self.hash((conn, &bytes[..]));
        let len = bytes.len();
        let end = self.routers[router].conns.get(&conn).copied().filter(|end| *end != PENDING);
        let other = end.map(|end| address(self.ends[end ^ 1].router));
        let several = other.and_then(|other| self.several(router, other)).is_some();
        let target = &mut self.routers[router];
        target.written += len as u64;
        let verdict = match target.watch.wrote(conn, end.is_some(), &bytes, &mut self.checked) {
            Err(violation) => Err(violation),
            Ok(messages) => {
                target.messages += messages.len() as u64;
                let refreshes = messages.iter().filter(|message| message.kind == Kind::RouteRefresh.code());
                target.refreshes.extend(refreshes.filter_map(|message| message.body.get(2)));
                let updates = messages.iter().filter(|message| message.kind == Kind::Update.code());
                let (mut announced, mut stale): (Vec<Prefix>, _) = (Vec::new(), Ok(()));
                for update in updates {
                    self.active_at = self.active_at.max(self.now);
                    let content = content(update, several).unwrap_or_default();
                    stale = stale.and_then(|()| match end {
                        Some(end) => self.told_of_stale(router, self.ends[end ^ 1].router, &content),
                        None => Ok(()),
                    });
                    // What is reflected goes past the own kernel.
                    if !content.reflected {
                        announced.extend(content.announced);
                    }
                }
                stale.and_then(|()| self.told(router, &announced))
            }
        };
        self.judge(router, verdict);
        let Some(end) = end else { return };
        if !self.ends[end ^ 1].open {
            // Whoever had the other end is not there any more, and its machine says so.
            let other = self.ends[end ^ 1].router;
            let reachable = self.routers[other].up && !self.cut.contains(&(router, other));
            let told = self.ends[end].inbox.iter().any(|(_, segment)| matches!(segment, Segment::End(_)));
            if reachable && !told {
                self.push(end, Segment::End(Some("connection reset by peer")));
            }
            return;
        }
        let room = WINDOW.saturating_sub(self.ends[end ^ 1].unread).min(len);
        self.ends[end].owed += len - room;
        self.ends[end ^ 1].unread += len;
        self.push(end ^ 1, Segment::Bytes(bytes));
        if room > 0 {
            self.feed(router, Event::Written { conn, bytes: room });
        }
    }

    /// A learned route is told of once the kernel has it.
    fn told(&mut self, router: usize, announced: &[Prefix]) -> Result<(), Violation> {
        let target = &self.routers[router];
        if !target.config.install {
            return Ok(());
        }
        for prefix in announced {
            self.checked.count("installed-before-told");
            let own = target.config.origins.iter().any(|origin| origin.prefix == *prefix);
            if !own && target.forwarded(*prefix).is_none() {
                let text = format!("{prefix} is told of and the kernel does not have it");
                return Err(Violation { invariant: "installed-before-told", text });
            }
        }
        Ok(())
    }

    /// How long it takes from one router to another.
    fn travel(&mut self, from: usize, to: usize) -> Duration {
        // Each link has its own share of the most.
        let share = (from.min(to) * 31 + from.max(to) * 17) as u32 % 8 + 1;
        let varies = self.chance.below(self.jitter.as_nanos() as u64);
        self.latency * share / 8 + Duration::from_nanos(varies)
    }

    /// Sends something to an end.
    pub(super) fn push(&mut self, to: usize, segment: Segment) {
        if !self.ends[to].open {
            return;
        }
        let travel = self.travel(self.ends[to ^ 1].router, self.ends[to].router);
        let at = (self.now + travel).max(self.ends[to].last_at);
        self.push_at(to, segment, at);
    }

    fn push_at(&mut self, to: usize, segment: Segment, at: Instant) {
        let end = &mut self.ends[to];
        end.last_at = at;
        end.inbox.push_back((at, segment));
        self.expect_arrival(to);
    }

    /// Sees to it that what comes next to an end arrives at its time.
    fn expect_arrival(&mut self, to: usize) {
        let end = &mut self.ends[to];
        let Some(&(at, _)) = end.inbox.front() else { return };
        let at = at.max(self.now);
        if end.due.is_none_or(|due| at < due) {
            end.due = Some(at);
            let round = end.round;
            self.enter(at, What::Arrival(to, round));
        }
    }

    /// Looks again at ends where nothing arrived, by their router and the other one.
    pub(super) fn arrive_again(&mut self, of: impl Fn(usize, usize) -> bool) {
        let ends = self.ends.iter().map(|(at, end)| (at, end.router, self.ends[at ^ 1].router));
        let ends: Vec<usize> = ends.filter(|&(_, own, other)| of(own, other)).map(|(at, ..)| at).collect();
        for at in ends {
            self.expect_arrival(at);
        }
    }

    /// Loses every connection between two routers; both are told.
    pub(super) fn lose(&mut self, a: usize, b: usize) {
        let between = |own: usize, other: usize| (own, other) == (a, b) || (own, other) == (b, a);
        let ends = self.ends.iter().map(|(at, end)| (at, end.router, self.ends[at ^ 1].router));
        let ends: Vec<usize> =
            ends.filter(|&(_, own, other)| between(own, other)).map(|(at, ..)| at).collect();
        for at in ends {
            let end = &mut self.ends[at];
            end.inbox.clear();
            (end.unread, end.owed, end.last_at) = (0, 0, self.now);
            self.push_at(at, Segment::End(Some("connection reset by peer")), self.now);
        }
    }

    /// A router asks another one for a connection.
    fn dialled(&mut self, router: usize, remote: IpAddr) {
        let target = &mut self.routers[router];
        let Some(peer) = target.config.peers.iter().find(|peer| peer.address == remote) else { return };
        let (configured, now) = (peer.timers.connect_retry, target.clock(self.now));
        let verdict = target.watch.attempts.dialled(remote, configured, now, &mut self.checked);
        self.judge(router, verdict);
    }

    /// Loses the connections of two routers, which take none from each other for a while.
    pub(super) fn shut(&mut self, a: usize, b: usize, how: Shut, span: Duration) {
        self.shut.insert((a.min(b), a.max(b)), how);
        self.lose(a, b);
        self.enter(self.now + span, What::Open(a.min(b), a.max(b)));
    }

    /// Whether nothing gets there and back.
    fn apart(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a, b)) || self.cut.contains(&(b, a))
    }

    pub(super) fn dial(&mut self, router: usize, conn: ConnId, remote: IpAddr) {
        if let Some(until) = self.stalled(router) {
            self.enter(until, What::Dial(router, conn, remote));
            return;
        }
        if self.routers[router].conns.get(&conn) != Some(&PENDING) {
            return;
        }
        let Some(other) = self.router_of(remote).filter(|&other| self.routers[other].up) else {
            self.enter(self.now, What::Unanswered(router, conn, remote, "connection refused"));
            return;
        };
        match self.shut.get(&(router.min(other), router.max(other))) {
            Some(Shut::Silent) => {
                self.enter(
                    self.now + UNANSWERED,
                    What::Unanswered(router, conn, remote, "connection timed out"),
                );
                return;
            }
            Some(Shut::Refusing) => {
                self.enter(self.now, What::Unanswered(router, conn, remote, "connection refused"));
                return;
            }
            None => {}
        }
        if self.apart(router, other) {
            self.enter(self.now + UNANSWERED, What::Unanswered(router, conn, remote, "connection timed out"));
            return;
        }
        let accepted = ConnId::Inbound(self.routers[other].accepted);
        self.routers[other].accepted += 1;
        let end = self.ends.connect((router, conn), (other, accepted));
        self.routers[router].conns.insert(conn, end);
        self.routers[other].conns.insert(accepted, end ^ 1);
        self.push_at(end, Segment::Connected, self.now);
        self.push_at(end ^ 1, Segment::Accepted, self.now);
    }

    pub(super) fn arrival(&mut self, at: usize, round: u32) {
        let end = &self.ends[at];
        if !end.open || end.round != round || end.due.is_none_or(|due| due > self.now) {
            return;
        }
        let (router, other, conn) = (end.router, self.ends[at ^ 1].router, end.conn);
        if let Some(until) = self.stalled(router) {
            self.enter(until, What::Arrival(at, round));
            return;
        }
        self.ends[at].due = None;
        let Some((_, segment)) = self.ends[at].inbox.front() else { return };
        let is_up = matches!(segment, Segment::Connected | Segment::Accepted);
        let deaf = self.cut.contains(&(other, router)) || self.routers[router].asleep;
        if deaf && !is_up {
            return;
        }
        match self.ends[at].inbox.pop_front() {
            Some((_, Segment::Connected)) => {
                let local = SocketAddr::new(address(router), 40_000);
                self.feed(router, Event::Connected { conn, local });
            }
            Some((_, Segment::Accepted)) => {
                let (local, remote) = (address(router), address(other));
                let (local, remote) = (SocketAddr::new(local, 179), SocketAddr::new(remote, 40_000));
                self.feed(router, Event::Accepted { conn, local, remote });
            }
            Some((_, Segment::End(error))) => {
                self.routers[router].conns.remove(&conn);
                if let Some(broken) = &mut self.routers[router].broken {
                    broken.forget(conn);
                }
                self.ends.close(at);
                self.feed(router, Event::Closed { conn, error });
            }
            Some((arrived_at, Segment::Bytes(mut bytes))) => {
                let most = 1 + self.chance.index(5_000);
                let piece = bytes.split_to(most.min(bytes.len()));
                if !bytes.is_empty() {
                    self.ends[at].inbox.push_front((arrived_at, Segment::Bytes(bytes)));
                }
                self.read(at, &piece);
            }
            None => {}
        }
        if self.ends[at].open && self.ends[at].round == round {
            self.expect_arrival(at);
        }
    }

    fn read(&mut self, at: usize, piece: &Bytes) {
        let (router, conn) = (self.ends[at].router, self.ends[at].conn);
        let (writer, written) = (self.ends[at ^ 1].router, self.ends[at ^ 1].conn);
        self.ends[at].unread -= piece.len();
        let told = self.ends[at ^ 1].owed.min(piece.len());
        self.ends[at ^ 1].owed -= told;
        if told > 0 && self.ends[at ^ 1].open {
            self.feed(writer, Event::Written { conn: written, bytes: told });
        }
        let target = &mut self.routers[router];
        let now = target.clock(self.now);
        target.watch.heard(address(writer), now);
        match target.broken.as_mut().map(|broken: &mut Broken| broken.read(conn, piece)) {
            Some(read) if read.is_empty() => {}
            Some(read) => self.feed(router, Event::Bytes { conn, bytes: &read }),
            None => self.feed(router, Event::Bytes { conn, bytes: piece }),
        }
    }
}
