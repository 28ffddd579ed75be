//! What happens to the network's routers: one entry of the queue after the
//! other, each an event of a speaker's and the effects that follow from it.

use core::cmp::Reverse;
use std::hash::Hash;

use bgp::io::{ConnectFailure, Effects, Event, Note, RouteAck, State, Tracking};
use bgp::time::{Duration, Instant};

use super::super::broken::{self, Broken};
use super::super::queue::{Due, What};
use super::super::watch::Violation;
use super::{Network, SWEEP, address};

impl Network {
    pub(in crate::sim) fn enter(&mut self, at: Instant, what: What) {
        self.entered += 1;
        let order = (self.chance.any() >> 32, self.entered);
        self.queue.push(Reverse(Due { at, order, what }));
    }

    pub(super) fn happen(&mut self, what: &What) {
        match *what {
            What::Turn(router) => self.turn(router),
            What::Timer(router) => self.timer(router),
            What::Arrival(end, round) => self.arrival(end, round),
            What::Dial(router, conn, remote) => self.dial(router, conn, remote),
            What::Open(a, b) => {
                self.shut.remove(&(a, b));
            }
            What::Unanswered(router, conn, remote, error) => {
                if self.routers[router].conns.remove(&conn).is_some() {
                    self.routers[router].watch.attempts.failed(remote);
                    self.feed(
                        router,
                        Event::ConnectFailed { conn, failure: ConnectFailure::Answered, error },
                    );
                }
            }
            What::Kernel(router) => self.kernel(router),
            What::Resolve(router, next_hop) => {
                if self.routers[router].tracked.contains(&next_hop) {
                    self.report(router, next_hop);
                }
            }
            What::Start(router, number, memory) => {
                if self.routers[router].restarts == number {
                    self.routers[router].asleep = false;
                    self.came_back(router);
                    self.revive(router, memory);
                    self.enter(self.now + SWEEP, What::Sweep(router, number));
                }
            }
            What::Sweep(router, number) => {
                let target = &self.routers[router];
                if target.restarts == number && target.speaker.is_recovering() {
                    self.enter(self.now + Duration::from_secs(1), What::Sweep(router, number));
                } else if target.restarts == number {
                    self.sweep(router);
                }
            }
        }
    }

    /// Until when the router's process is not scheduled, if it is not.
    pub(in crate::sim) fn stalled(&self, router: usize) -> Option<Instant> {
        Some(self.routers[router].stalled_until).filter(|until| *until > self.now)
    }

    /// Tells a speaker.
    pub(in crate::sim) fn feed(&mut self, router: usize, event: Event<'_>) {
        let target = &mut self.routers[router];
        if !target.up || target.broken.as_mut().is_some_and(|broken| !broken.hears(&event)) {
            return;
        }
        self.steps += 1;
        let now = target.clock(self.now);
        let mut effects = Effects::default();
        target.speaker.handle(event, &mut effects, now);
        self.carry_out(router, effects);
        self.turn_soon(router);
    }

    pub(super) fn turn(&mut self, router: usize) {
        if let Some(until) = self.stalled(router) {
            self.enter(until, What::Turn(router));
            return;
        }
        let target = &mut self.routers[router];
        if !core::mem::replace(&mut target.turn_due, false) || !target.up {
            return;
        }
        self.steps += 1;
        let now = target.clock(self.now);
        let mut effects = Effects::default();
        // Due timers run first in each turn.
        if target.speaker.deadline().is_some_and(|deadline| deadline <= now) {
            self.expire(router);
        }
        let more = self.routers[router].speaker.work(&mut effects, now);
        let busy = more || !effects.is_empty();
        self.carry_out(router, effects);
        if busy {
            self.turn_soon(router);
            return;
        }
        // A turn that leaves nothing to do has done what was due.
        self.checked.count("deadlines-are-met");
        let next = self.routers[router].speaker.deadline();
        if next.is_some_and(|deadline| deadline <= now) {
            let text = format!("the next deadline is {next:?} after a turn at {now}");
            self.judge(router, Err(Violation { invariant: "deadlines-are-met", text }));
        }
    }

    pub(super) fn timer(&mut self, router: usize) {
        if let Some(until) = self.stalled(router) {
            self.enter(until, What::Timer(router));
            return;
        }
        let target = &mut self.routers[router];
        if !target.up || target.timer_at.is_none_or(|at| at > self.now) {
            return;
        }
        target.timer_at = None;
        self.expire(router);
    }

    /// Tells a speaker of its deadline; none is left that has passed.
    pub(super) fn expire(&mut self, router: usize) {
        let pretended = self.routers[router].broken.as_ref().map(Broken::pretended).unwrap_or_default();
        for conn in pretended {
            self.feed(router, Event::Bytes { conn, bytes: &broken::keepalive() });
        }
        let now = self.routers[router].clock(self.now);
        if self.routers[router].speaker.deadline().is_some_and(|deadline| deadline <= now) {
            self.feed(router, Event::Timer);
        }
        let verdict = self.routers[router].watch.hold(now, &mut self.checked);
        self.judge(router, verdict);
        self.arm(router);
    }

    /// Sees to it that the router is woken at its deadline.
    pub(super) fn arm(&mut self, router: usize) {
        let target = &mut self.routers[router];
        let Some(deadline) = target.speaker.deadline() else { return };
        // The turn that is about to come looks at it.
        if target.turn_due && deadline <= target.clock(self.now) {
            return;
        }
        let at = target.network_time(deadline).max(self.now);
        if target.timer_at.is_none_or(|armed| at < armed) {
            target.timer_at = Some(at);
            self.enter(at, What::Timer(router));
        }
    }

    pub(in crate::sim) fn turn_soon(&mut self, router: usize) {
        if core::mem::replace(&mut self.routers[router].turn_due, true) {
            return;
        }
        let after = Duration::from_nanos(self.chance.below(self.pace.as_nanos() as u64));
        self.enter(self.now + after, What::Turn(router));
    }

    pub(super) fn kernel_soon(&mut self, router: usize) {
        if core::mem::replace(&mut self.routers[router].kernel_due, true) {
            return;
        }
        let most = self.routers[router].kernel_delay.as_nanos() as u64;
        let after = Duration::from_nanos(self.chance.below(most));
        self.enter(self.now + after, What::Kernel(router));
    }

    pub(super) fn kernel(&mut self, router: usize) {
        let target = &mut self.routers[router];
        target.kernel_due = false;
        if !target.up {
            return;
        }
        let acks = target.run_kernel();
        self.active_at = self.active_at.max(self.now);
        if !acks.is_empty() {
            self.feed(router, Event::Acks(&acks));
        }
    }

    pub(super) fn carry_out(&mut self, router: usize, effects: Effects) {
        if !effects.is_empty() {
            self.now.0.hash(&mut self.trace);
            router.hash(&mut self.trace);
        }
        for note in &effects.notes {
            (note.from, note.to).hash(&mut self.trace);
            let verdict = self.routers[router].watch.moved(note, &mut self.checked);
            self.attempted(router, note);
            self.judge(router, verdict);
            self.active_at = self.active_at.max(self.now);
        }
        self.routers[router].notes.extend(effects.notes);
        self.routers[router].notices.extend(effects.notices);
        for effect in effects.transport {
            self.transport(router, effect);
        }
        for tracking in effects.tracking {
            match tracking {
                Tracking::Start(next_hop) => {
                    self.routers[router].tracked.insert(next_hop);
                    self.enter(self.now, What::Resolve(router, next_hop));
                }
                Tracking::Stop(next_hop) => {
                    self.routers[router].tracked.remove(&next_hop);
                }
            }
        }
        for route in &effects.routes {
            (route.prefix, route.set).hash(&mut self.trace);
        }
        let early: Vec<RouteAck> = match &self.routers[router].broken {
            Some(broken) if !broken.awaits_ack() => effects
                .routes
                .iter()
                .map(|route| RouteAck { prefix: route.prefix, set: route.set, errno: 0 })
                .collect(),
            _ => Vec::new(),
        };
        if self.routers[router].tell_kernel(effects.sets, effects.routes) {
            self.kernel_soon(router);
        }
        if !early.is_empty() {
            self.feed(router, Event::Acks(&early));
        }
        self.arm(router);
    }

    /// A session that is up forgets what has failed; one that is lost may be one to wait for.
    fn attempted(&mut self, router: usize, note: &Note) {
        // For how long is the peer's to say.
        let peers = self.router_of(note.address).map(|other| &self.routers[other].config.peers);
        let back = peers.into_iter().flatten().find(|back| back.address == address(router));
        let kept = Duration::from_secs(back.map_or(0, |back| back.restart.seconds.into()));
        let target = &mut self.routers[router];
        let until = target.clock(self.now) + kept;
        match (note.from, note.to) {
            (_, State::Established) => target.watch.attempts.forget(note.address),
            (State::Established, _) => target.watch.attempts.await_restart(note.address, until),
            _ => {}
        }
    }

    pub(in crate::sim) fn hash(&mut self, what: impl Hash) {
        what.hash(&mut self.trace);
    }

    pub(in crate::sim) fn judge(&mut self, router: usize, verdict: Result<(), Violation>) {
        if let Err(Violation { invariant, text }) = verdict
            && self.violation.is_none()
        {
            let text = format!("router {router} at {}: {text}", self.now);
            self.violation = Some(Violation { invariant, text });
        }
    }
}
