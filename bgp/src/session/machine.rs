//! The session of one configured peer, as its caller sees it: what comes in,
//! and what can be asked. What the machine does with it is in `drive`.

use std::net::SocketAddr;

use super::action::{Action, Sink};
use super::collision::Side;
use super::config::SessionConfig;
use super::connection::Connection;
use super::ending::{self, Ending};
use super::fsm::Input;
use super::negotiate::Negotiated;
use super::restart::Survived;
use super::retry::Retry;
use super::timer::{Timer, send_hold};
use crate::id::{ConnId, PeerId};
use crate::io::{ConnectFailure, Downfall, Notifications, State, Told};
use crate::reason::Reason;
use crate::time::{Duration, Instant, Jitter};
use crate::wire::notification::{Cease, Notification};

/// After this time a connection cannot have crossed with the Established one:
/// TCP's first retransmissions are over.
const COLLISION_SPAN: Duration = Duration::from_secs(10);

/// How often things happened since the session was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transitions to Established.
    pub established: u64,
    /// UPDATE messages received.
    pub updates_received: u64,
    /// UPDATE messages sent, as told by [`Session::sent`].
    pub updates_sent: u64,
}

/// The session of one configured peer: both of its possible connections.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) peer: PeerId,
    pub(super) config: SessionConfig,
    pub(super) jitter: Jitter,
    /// Whether the session is wanted: between start and stop.
    pub(super) running: bool,
    /// Whether the next OPEN goes without capabilities, as the peer refused them (RFC 5492 §3).
    pub(super) plain_open: bool,
    pub(super) outbound: Option<Connection>,
    pub(super) inbound: Option<Connection>,
    pub(super) retry: Retry,
    /// Connections opened so far; the next one's number.
    pub(super) dialled: u32,
    /// The state that was told last.
    pub(super) shown: State,
    /// Why the state that will be told next is not one of progress.
    pub(super) cause: Option<Downfall>,
    /// Why the session is not Established, unless it never was tried.
    pub(super) failure: Option<Downfall>,
    /// When a session that ended for too many prefixes is started again.
    pub(super) rest_until: Option<Instant>,
    /// How often it ended so.
    pub(super) rests: u32,
    /// Why nothing but a word from outside lets the session start.
    pub(super) cut_off: Option<Downfall>,
    /// What our OPEN says of restarts.
    pub(super) survived: Survived,
    pub(super) since: Instant,
    pub(super) counters: Counters,
    pub(super) notifications: Notifications,
}

impl Session {
    /// A session in Idle. Its outbound connections have the numbers
    /// `peer << 32 | n`, so that they are unique among all sessions of a speaker.
    #[must_use]
    pub fn new(peer: PeerId, config: SessionConfig, jitter_seed: u64, now: Instant) -> Self {
        Self {
            peer,
            config,
            jitter: Jitter::new(jitter_seed),
            running: false,
            plain_open: false,
            outbound: None,
            inbound: None,
            retry: Retry::default(),
            dialled: 0,
            shown: State::Idle,
            cause: None,
            failure: None,
            rest_until: None,
            rests: 0,
            cut_off: None,
            survived: Survived::default(),
            since: now,
            counters: Counters::default(),
            notifications: Notifications::default(),
        }
    }

    /// Starts the session: connects at once, or waits for the peer if passive.
    /// A started session, and one that the configuration keeps down, stays as it is.
    pub fn start(&mut self, out: &mut Vec<Action>, now: Instant) {
        if self.held().is_some() || self.running {
            return;
        }
        self.rest_until = None;
        self.failure = None;
        let input = if self.config.passive { Input::StartPassive } else { Input::Start };
        self.feed(Side::Outbound, input, out, now);
    }

    /// Ends the session with a NOTIFICATION on each connection where an OPEN was
    /// sent, and stays in Idle until started.
    pub fn stop(&mut self, farewell: &Notification, cause: &Downfall, out: &mut Vec<Action>, now: Instant) {
        self.running = false;
        self.rest_until = None;
        self.retry = Retry::default();
        self.blame(cause.clone());
        self.unsettle([true, true]);
        self.dismiss(out, now);
        for side in Side::ALL {
            let ending = Ending::stopped(farewell.clone(), cause.clone());
            self.feed(side, Input::Stop(ending), out, now);
        }
    }

    /// Ends the session so that a peer that keeps routes across a restart does so:
    /// its connection is closed without a word (RFC 4724 §4.2). Where nothing was
    /// agreed on about restarts, as [`Session::stop`].
    pub fn suspend(
        &mut self,
        farewell: &Notification,
        cause: &Downfall,
        out: &mut Vec<Action>,
        now: Instant,
    ) {
        if self.established().is_some_and(|(_, agreed)| agreed.restart.is_some()) {
            self.running = false;
            self.retry = Retry::default();
            self.blame(cause.clone());
            self.dismiss(out, now);
            for side in Side::ALL {
                self.feed(side, Input::Stop(Ending::suspended(cause.clone())), out, now);
            }
        }
        self.stop(farewell, cause, out, now);
    }

    /// Tells what of this speaker's state has survived, for the next OPEN.
    pub const fn survive(&mut self, survived: Survived) {
        self.survived = survived;
    }

    /// The speaker restarts no more.
    pub const fn has_restarted(&mut self) {
        self.survived.restarting = false;
    }

    /// Applies a changed configuration. The session is reset only where the
    /// protocol demands it: own AS, identifier, families, addresses, or a peer's AS
    /// that is not admitted any more. Timers hold from the next session on.
    pub fn reconfigure(&mut self, config: SessionConfig, out: &mut Vec<Action>, now: Instant) {
        let previous = core::mem::replace(&mut self.config, config);
        if let Some(held) = self.config.held() {
            let farewell = self.config.farewell(&held);
            return if self.config.may_return() {
                self.suspend(&farewell, &held, out, now);
            } else {
                self.stop(&farewell, &held, out, now);
            };
        }
        if previous.held().is_some() {
            return self.start(out, now);
        }
        if previous == self.config || !self.running {
            return;
        }
        let outlived =
            Side::ALL.map(|side| self.slot(side).as_ref().is_some_and(|c| self.outlived(c, &previous)));
        self.unsettle(outlived);
        if outlived[0] || outlived[1] {
            self.dismiss(out, now);
        }
        for (side, _) in Side::ALL.into_iter().zip(outlived).filter(|(_, outlived)| *outlived) {
            self.end(side, Ending::reconfigured(), out, now);
        }
        self.give_up_connect(out);
        self.retry.forget();
        if self.config.passive {
            self.retry.at = None;
        } else if self.foremost().is_none() {
            self.dial(out, now);
        } else {
            self.arm_retry(now);
        }
        self.tell(out);
    }

    /// Whether a connection made under the previous configuration cannot go on.
    fn outlived(&self, connection: &Connection, previous: &SessionConfig) -> bool {
        let config = &self.config;
        let stranger = connection
            .negotiated
            .as_ref()
            .is_some_and(|peer| !config.peer_as.admits(peer.peer_asn, config.local_asn));
        let from = connection.local.filter(|_| matches!(connection.id, ConnId::Outbound(_)));
        let moved = config.source.zip(from).is_some_and(|(source, local)| source != local.ip());
        connection.state >= State::OpenSent && (previous.demands_reset(config) || stranger || moved)
    }

    /// A connection that [`Action::Connect`] asked for is up; `local` is our end.
    pub fn connected(&mut self, conn: ConnId, local: SocketAddr, out: &mut Vec<Action>, now: Instant) {
        if let Some((side, connection)) = self.find(conn) {
            connection.local = Some(local);
            self.retry.found();
            self.feed(side, Input::Up, out, now);
        }
    }

    /// A connection that [`Action::Connect`] asked for could not be made.
    pub fn connect_failed(
        &mut self,
        conn: ConnId,
        failure: ConnectFailure,
        error: &str,
        out: &mut Vec<Action>,
        now: Instant,
    ) {
        if let Some((side, connection)) = self.find(conn) {
            connection.gone = true;
            self.feed(side, Input::Lost(Ending::connect_failed(failure, error)), out, now);
        }
    }

    /// The peer opened a connection; `local` is our end. While the session is
    /// stopped it is answered by Cease 6/5, while it is Established by Cease 6/7
    /// (RFC 4486 §3, RFC 4271 §6.8), unless the Established connection ends within
    /// a second. A connection that the peer opened before, and that is not
    /// Established, gives way: it may be half-open, and the peer has no use for
    /// two. An Established one without hold time, whose end nothing else would
    /// tell, gives way to a new one's OPEN (RFC 4271 §8.1.1,
    /// CollisionDetectEstablishedState).
    pub fn accepted(&mut self, conn: ConnId, local: SocketAddr, out: &mut Vec<Action>, now: Instant) {
        let held = match self.state() {
            State::Idle => return self.refuse(conn, Cease::ConnectionRejected, out, now),
            State::Established => !self.may_be_half_open(now),
            _ => false,
        };
        self.dismiss(out, now);
        if self.inbound.as_ref().is_some_and(|connection| connection.state == State::Established) {
            // The other slot is free: nothing is kept beside an Established connection.
            core::mem::swap(&mut self.inbound, &mut self.outbound);
        }
        if let Some(replaced) = self.inbound.replace(Connection::inbound(conn, local)) {
            let ending = Ending::collision();
            if let Some(sent) = replaced.part(ending.farewell.as_ref(), out) {
                self.notifications.sent = Some(Told::new(sent, now));
            }
        }
        if held {
            self.hold_back(out, now);
        } else {
            self.feed(Side::Inbound, Input::Up, out, now);
            self.arm_retry(now);
        }
    }

    /// Whether the Established connection may be dead without any timer to tell, or
    /// its peer may have restarted (RFC 4724 §5), and it is old enough for a new
    /// connection not to be a collision with it.
    fn may_be_half_open(&self, now: Instant) -> bool {
        let restarts = self.established().is_some_and(|(_, agreed)| agreed.restart.is_some());
        (restarts || self.hold() == Some(Duration::ZERO)) && now.since(self.since) >= COLLISION_SPAN
    }

    /// The connection ended; `error` has the operating system's words, or `None`
    /// if the peer closed it in order.
    pub fn closed(&mut self, conn: ConnId, error: Option<&str>, out: &mut Vec<Action>, now: Instant) {
        if let Some((side, connection)) = self.find(conn) {
            connection.gone = true;
            if connection.early.is_some() {
                return self.dismiss(out, now);
            }
            self.feed(side, Input::Lost(Ending::lost(error)), out, now);
        }
    }

    /// Takes bytes in, in any pieces, and moves `chunk` past what was taken.
    /// UPDATEs and refresh requests of the Established connection go to `sink` as
    /// they are met.
    ///
    /// All of the chunk is taken, with one exception: the call stops where the
    /// session becomes Established, so that the caller can carry `out` out before
    /// the first UPDATE comes. So it is called until the chunk is empty. What
    /// follows an error is dropped with the connection.
    pub fn receive(
        &mut self,
        conn: ConnId,
        chunk: &mut &[u8],
        sink: &mut impl Sink,
        out: &mut Vec<Action>,
        now: Instant,
    ) {
        self.keep_early(conn, chunk, out, now);
        while let Some((side, connection)) = self.find(conn).filter(|(_, c)| c.state >= State::OpenSent) {
            let Some(input) = connection.read(chunk, sink) else { return };
            let was = connection.state;
            if was == State::Established && matches!(input, Input::Update(_)) {
                self.counters.updates_received += 1;
            }
            self.feed(side, input, out, now);
            if was != State::Established && self.state() == State::Established {
                return;
            }
        }
        *chunk = &[];
    }

    /// UPDATE messages were written to the Established connection: the
    /// keepalive timer starts anew (RFC 4271 §8.2.2, Established).
    pub fn sent(&mut self, updates: u64, now: Instant) {
        self.counters.updates_sent += updates;
        let jitter = &mut self.jitter;
        for connection in [&mut self.outbound, &mut self.inbound].into_iter().flatten() {
            if connection.state == State::Established {
                connection.restart_keepalive(jitter, now);
            }
        }
    }

    /// Something waits to be written: the SendHoldTimer runs from the first such
    /// call on (RFC 9687 §4).
    pub fn waits(&mut self, conn: ConnId, now: Instant) {
        if let Some((_, connection)) = self.find(conn) {
            let at = now + send_hold(connection.hold);
            connection.timers.set_unless_running(Timer::SendHold, at);
        }
    }

    /// Something went to the operating system, and the SendHoldTimer starts anew
    /// if more waits.
    pub fn written(&mut self, conn: ConnId, pending: bool, now: Instant) {
        if let Some((_, connection)) = self.find(conn) {
            if pending {
                connection.timers.set(Timer::SendHold, now + send_hold(connection.hold));
            } else {
                connection.timers.clear(Timer::SendHold);
            }
        }
    }

    /// Carries out what is due.
    pub fn expire(&mut self, out: &mut Vec<Action>, now: Instant) {
        for side in Side::ALL {
            while let Some(timer) = self.slot_mut(side).as_mut().and_then(|c| c.timers.take_due(now)) {
                self.fire(side, timer, out, now);
            }
        }
        if self.rest_until.is_some_and(|at| at <= now) {
            self.start(out, now);
        }
        self.connect_if_due(out, now);
    }

    fn fire(&mut self, side: Side, timer: Timer, out: &mut Vec<Action>, now: Instant) {
        match timer {
            Timer::Connect => self.give_up_waiting(out, now),
            Timer::Hold => {
                let silence = self.slot(side).as_ref().map_or(Duration::ZERO, |c| c.hold);
                self.feed(side, Input::HoldExpired(Ending::hold_expired(silence)), out, now);
            }
            Timer::SendHold => {
                let waited = self.slot(side).as_ref().map_or(Duration::ZERO, |c| send_hold(c.hold));
                self.feed(side, Input::SendHoldExpired(Ending::send_hold_expired(waited)), out, now);
            }
            Timer::Keepalive => self.feed(side, Input::KeepaliveDue, out, now),
            Timer::Settle if self.is_held(side) => self.dismiss(out, now),
            Timer::Settle => {
                self.release(side, out, now);
                self.tell(out);
            }
        }
    }

    /// When [`Session::expire`] is next due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let connections = [&self.outbound, &self.inbound].into_iter().flatten();
        connections.filter_map(|c| c.timers.next()).chain(self.retry.at).chain(self.rest_until).min()
    }

    /// The state of the most advanced connection; Active if there is none.
    #[must_use]
    pub fn state(&self) -> State {
        let idle = if self.running { State::Active } else { State::Idle };
        self.foremost().map_or(idle, |connection| connection.state)
    }

    /// The Established connection and what its OPENs agreed on.
    #[must_use]
    pub fn established(&self) -> Option<(ConnId, &Negotiated)> {
        let foremost = self.foremost().filter(|c| c.state == State::Established)?;
        Some((foremost.id, foremost.negotiated.as_ref()?))
    }

    /// Our end of the most advanced connection.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.foremost()?.local
    }

    /// Whether there is any connection.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.outbound.is_some() || self.inbound.is_some()
    }

    /// Whether the connection is one of this session's.
    #[must_use]
    pub fn owns(&self, conn: ConnId) -> bool {
        [&self.outbound, &self.inbound].into_iter().flatten().any(|c| c.id == conn)
    }

    /// Why the session is not Established: its last failure, else what it waits for.
    #[must_use]
    pub fn down(&self) -> Option<Downfall> {
        if let Some(held) = self.held().filter(|_| self.state() == State::Idle) {
            return Some(held);
        }
        let waits_for = match self.state() {
            State::Established => return None,
            State::Idle => Reason::Shutdown,
            State::Connect | State::Active => Reason::Connecting,
            State::OpenSent | State::OpenConfirm => Reason::Opening,
        };
        Some(self.failure.clone().unwrap_or_else(|| ending::plain(waits_for)))
    }

    /// When the session entered Established, or left it; when it was made if it never did.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// When the next attempt to connect is due.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Instant> {
        match self.retry.at {
            None => self.rest_until,
            at => at,
        }
    }

    /// The negotiated hold time, while Established; zero means none.
    #[must_use]
    pub fn hold(&self) -> Option<Duration> {
        Some(self.established()?.1.hold)
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The last NOTIFICATION each way.
    #[must_use]
    pub const fn notifications(&self) -> &Notifications {
        &self.notifications
    }

    /// The session's counters.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}
