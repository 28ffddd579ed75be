//! What the machine does: carries out the steps of `fsm` on the two connections
//! of a session, and keeps one of them where both come up (RFC 4271 §6.8).
//!
//! Both ends of two connections decide by the same rule which one stays, but
//! they may meet the events in different orders. Were one end Established on
//! the first connection before the second one's OPEN comes, and did the other
//! end choose the second, both would be closed. So our KEEPALIVE on the connection
//! that would lose is held back, for a second at most, while the one that would
//! win waits for its OPEN: without that KEEPALIVE the peer is not Established either.

use super::action::Action;
use super::collision::{self, Side};
use super::connection::Connection;
use super::ending::Ending;
use super::fsm::{self, Input, Step};
use super::machine::Session;
use super::negotiate;
use super::restart;
use super::timer::{SETTLE_WAIT, Timer, connect_wait, rest};
use crate::id::ConnId;
use crate::io::{Downfall, State, Told};
use crate::prefix::Family;
use crate::reason::Reason;
use crate::time::{Instant, Jitter};
use crate::wire::open::Open;

impl Session {
    /// Takes one input in for the connection of a side.
    pub(super) fn feed(&mut self, side: Side, input: Input, out: &mut Vec<Action>, now: Instant) {
        let idle = if self.running { State::Active } else { State::Idle };
        let state = self.slot(side).as_ref().map_or(idle, |connection| connection.state);
        match fsm::step(state, input) {
            Step::Stay => {}
            Step::Dial => {
                self.running = true;
                self.dial(out, now);
            }
            Step::Listen => self.running = true,
            Step::Greet => self.greet(side, out, now),
            Step::Confirm(open) => self.confirm(side, &open, out, now),
            Step::Establish => self.establish(side, out, now),
            Step::Hear => {
                if let Some(connection) = self.slot_mut(side) {
                    connection.hear(now);
                }
            }
            Step::Beat => self.beat(side, out, now),
            Step::End(ending) => self.end(side, ending, out, now),
        }
        self.tell(out);
    }

    /// Opens a connection in place of one that is not up, unless the peer's own
    /// has come as far as OpenConfirm.
    pub(super) fn dial(&mut self, out: &mut Vec<Action>, now: Instant) {
        (self.retry.at, self.retry.dialled_at) = (None, now);
        self.give_up_connect(out);
        if self.config.passive || self.inbound.as_ref().is_some_and(|c| c.state >= State::OpenConfirm) {
            return;
        }
        let conn = ConnId::Outbound(u64::from(self.peer.0) << 32 | u64::from(self.dialled));
        self.dialled = self.dialled.wrapping_add(1);
        let deadline = now + connect_wait(self.config.timers.connect_retry);
        self.outbound = Some(Connection::outbound(conn, deadline));
        out.push(Action::Connect { conn, remote: self.config.remote, source: self.config.source });
    }

    /// Gives up the attempt to connect that is under way.
    pub(super) fn give_up_connect(&mut self, out: &mut Vec<Action>) {
        if let Some(connection) = self.outbound.take_if(|connection| connection.state == State::Connect) {
            connection.part(None, out);
        }
    }

    fn greet(&mut self, side: Side, out: &mut Vec<Action>, now: Instant) {
        let open = negotiate::offer(&self.config, self.plain_open, self.survived);
        if let Some(connection) = self.slot_mut(side) {
            connection.greet(open, out, now);
        }
    }

    fn confirm(&mut self, side: Side, open: &Open, out: &mut Vec<Action>, now: Instant) {
        let Some(offered) = self.slot(side).as_ref().and_then(|c| c.offered.as_ref()) else { return };
        let negotiated = match negotiate::accept(&self.config, offered, open) {
            Ok(negotiated) => negotiated,
            Err(ending) => return self.end(side, ending, out, now),
        };
        let own = (self.config.router_id, self.config.local_asn);
        let preferred = collision::preferred(own, (open.router_id, open.asn));
        let rival = self.slot(side.other()).as_ref().map(|connection| connection.state);
        let settles = match rival {
            Some(State::OpenConfirm) if preferred == side => {
                self.end(side.other(), Ending::collision(), out, now);
                false
            }
            // A session without hold time, or whose peer may have restarted: see `Session::accepted`.
            Some(State::Established) if side == Side::Inbound => {
                let restarts = self.established().is_some_and(|(_, agreed)| agreed.restart.is_some());
                self.end(side.other(), Ending::renewed(restarts), out, now);
                false
            }
            Some(State::OpenConfirm | State::Established) => {
                return self.end(side, Ending::collision(), out, now);
            }
            Some(State::OpenSent) => preferred != side,
            _ => {
                self.give_up_connect(out);
                false
            }
        };
        self.retry.at = None;
        let Some(connection) = self.slot_mut(side) else { return };
        connection.confirm(negotiated, now);
        if settles {
            connection.settling = Some(false);
            connection.timers.set(Timer::Settle, now + SETTLE_WAIT);
        } else {
            self.beat(side, out, now);
        }
    }

    /// Sends the KEEPALIVE or the OPEN that was held back.
    pub(super) fn release(&mut self, side: Side, out: &mut Vec<Action>, now: Instant) {
        if self.is_held(side) {
            return self.admit(out, now);
        }
        let Some(connection) = self.slot_mut(side) else { return };
        let Some(heard) = connection.settling.take() else { return };
        connection.timers.clear(Timer::Settle);
        self.beat(side, out, now);
        // The hold time runs since the peer's KEEPALIVE came.
        if heard {
            self.enter_established(side, out, now);
        }
    }

    /// Keeps connections that are about to be ended from being confirmed by the
    /// end of the other one.
    pub(super) fn unsettle(&mut self, sides: [bool; 2]) {
        for (side, _) in Side::ALL.into_iter().zip(sides).filter(|(_, chosen)| *chosen) {
            if let Some(connection) = self.slot_mut(side) {
                connection.settling = None;
                connection.timers.clear(Timer::Settle);
            }
        }
    }

    pub(super) fn beat(&mut self, side: Side, out: &mut Vec<Action>, now: Instant) {
        let (slot, jitter) = self.slot_and_jitter(side);
        if let Some(connection) = slot {
            connection.beat(jitter, out, now);
        }
    }

    fn establish(&mut self, side: Side, out: &mut Vec<Action>, now: Instant) {
        let Some(connection) = self.slot_mut(side) else { return };
        connection.hear(now);
        if let Some(heard) = &mut connection.settling {
            *heard = true;
            return;
        }
        self.enter_established(side, out, now);
    }

    fn enter_established(&mut self, side: Side, out: &mut Vec<Action>, now: Instant) {
        let Some(connection) = self.slot_mut(side) else { return };
        let Some(negotiated) = connection.negotiated.clone() else { return };
        connection.state = State::Established;
        // RFC 4271 §6.8: one that has come less far is not kept beside it.
        self.end(side.other(), Ending::collision(), out, now);
        self.since = now;
        self.failure = None;
        self.cause = None;
        self.counters.established += 1;
        // What the peer hears from here on, this run forwards for.
        for family in Family::ALL {
            self.survived.forwarding[family] |= negotiated.families[family];
        }
        out.push(Action::Established(negotiated));
    }

    /// Ends the connection of a side, if there is one, and sees to what comes next.
    pub(super) fn end(&mut self, side: Side, ending: Ending, out: &mut Vec<Action>, now: Instant) {
        let Some(connection) = self.slot_mut(side).take() else { return };
        let restart = connection.negotiated.as_ref().and_then(|negotiated| negotiated.restart);
        let restart = restart.filter(|_| connection.state == State::Established);
        let farewell = restart::farewell(restart.as_ref(), &ending);
        if let Some(sent) = connection.part(farewell.as_ref(), out) {
            self.notifications.sent = Some(Told::new(sent, now));
        }
        if let Some(received) = &ending.received {
            self.notifications.received = Some(Told::new(received, now));
        }
        // A peer that knows no capabilities gets one OPEN without (RFC 5492 §3); it
        // can carry IPv4 alone.
        self.plain_open = ending.capabilities_refused && !self.plain_open && self.config.families.ipv4;
        let established = connection.state == State::Established;
        if established {
            let kept = restart::kept(restart.as_ref(), &ending);
            self.retry.ended(now.since(self.since), restart.filter(|_| kept.ipv4 || kept.ipv6), now);
            self.since = now;
            out.push(Action::Down { cause: ending.cause.clone(), kept });
            if ending.cause.reason == Reason::PrefixLimit {
                // RFC 4486 §4: not at once, or the same prefixes come again.
                self.running = false;
                self.rest_until = Some(now + rest(self.rests));
                self.rests = self.rests.saturating_add(1);
                self.dismiss(out, now);
            }
        }
        if ending.failure || connection.state == State::Connect {
            if ending.astray { self.retry.stray() } else { self.retry.fail() }
        }
        if established || ending.failure || self.slot(side.other()).is_none() {
            self.blame(ending.cause);
        }
        self.release(side.other(), out, now);
        self.arm_retry(now);
    }

    /// Notes why the session is not Established.
    pub(super) fn blame(&mut self, cause: Downfall) {
        self.failure = Some(cause.clone());
        self.cause = Some(cause);
    }

    /// Sees to it that an attempt to connect will come, if one is due at all.
    pub(super) fn arm_retry(&mut self, now: Instant) {
        self.arm_retry_since(now, now);
    }

    fn arm_retry_since(&mut self, since: Instant, now: Instant) {
        let connected = self.foremost().is_some_and(|connection| connection.state >= State::OpenConfirm);
        let idle = !self.running || self.config.passive || self.outbound.is_some() || connected;
        if !idle && self.retry.at.is_none() {
            let interval = self.retry.interval(self.config.timers.connect_retry, now);
            self.retry.at = Some((since + self.jitter.spread(interval)).max(now));
        }
    }

    /// TCP did not come up in time: the next attempt is due by when this one was made.
    pub(super) fn give_up_waiting(&mut self, out: &mut Vec<Action>, now: Instant) {
        let waited = connect_wait(self.config.timers.connect_retry);
        self.blame(Ending::connect_timed_out(waited, self.config.authenticated).cause);
        self.retry.fail();
        self.give_up_connect(out);
        self.arm_retry_since(self.retry.dialled_at, now);
        self.connect_if_due(out, now);
        self.tell(out);
    }

    /// Connects if it is time to.
    pub(super) fn connect_if_due(&mut self, out: &mut Vec<Action>, now: Instant) {
        if self.retry.at.is_some_and(|at| at <= now) {
            self.retry.at = None;
            self.feed(Side::Outbound, Input::Retry, out, now);
        }
    }

    /// There is a reason to believe that the peer can be reached again: what has failed
    /// counts no more, and an attempt that waits is made at once.
    pub fn hurry(&mut self, out: &mut Vec<Action>, now: Instant) {
        if self.retry.forget()
            && let Some(at) = &mut self.retry.at
        {
            *at = now;
            self.connect_if_due(out, now);
        }
    }

    /// How many attempts in a row came to nothing.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.retry.failures
    }

    /// Tells a change of the session's state.
    pub(super) fn tell(&mut self, out: &mut Vec<Action>) {
        let to = self.state();
        let cause = self.cause.take();
        if to != self.shown {
            out.push(Action::Moved { from: self.shown, to, cause });
            self.shown = to;
        }
    }

    /// The connection of a side.
    pub(super) const fn slot(&self, side: Side) -> &Option<Connection> {
        match side {
            Side::Outbound => &self.outbound,
            Side::Inbound => &self.inbound,
        }
    }

    /// The connection of a side.
    pub(super) const fn slot_mut(&mut self, side: Side) -> &mut Option<Connection> {
        self.slot_and_jitter(side).0
    }

    const fn slot_and_jitter(&mut self, side: Side) -> (&mut Option<Connection>, &mut Jitter) {
        let slot = match side {
            Side::Outbound => &mut self.outbound,
            Side::Inbound => &mut self.inbound,
        };
        (slot, &mut self.jitter)
    }

    /// The connection of that number, and its side.
    pub(super) fn find(&mut self, conn: ConnId) -> Option<(Side, &mut Connection)> {
        let outbound = self.outbound.as_mut().map(|connection| (Side::Outbound, connection));
        let inbound = self.inbound.as_mut().map(|connection| (Side::Inbound, connection));
        outbound.into_iter().chain(inbound).find(|(_, connection)| connection.id == conn)
    }

    /// The most advanced connection.
    pub(super) fn foremost(&self) -> Option<&Connection> {
        // RFC 4271 numbers Connect before Active; a connection is in Active only on its way in.
        [&self.outbound, &self.inbound].into_iter().flatten().max_by_key(|connection| connection.state)
    }
}
