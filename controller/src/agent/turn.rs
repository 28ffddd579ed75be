//! The loop's state and its turn.
//!
//! A turn takes what waited when it began, at most [`Agent::BATCH`] events and
//! about [`Agent::SLICE`] of time; a connection has one chunk in there at most,
//! so that a peer that floods costs the others one chunk of waiting. There is
//! no lock: nothing but the loop touches this state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::bfd::View;
use bgp::config::SpeakerConfig;
use bgp::io::{Effects, Event as SpeakerEvent, Transport};
use bgp::reason::Reason;
use bgp::time::{Duration, Instant};
use bgp::zone;

use crate::bfd::Watch;
use crate::drain::Drain;
use crate::effect::Drivers;
use crate::event::Event;
use crate::kernel::{Command, Fib, KernelConfig, KernelEvent};
use crate::record::{Recorded, Recorder};
use crate::status::event::{Event as Happened, EventKind, EventPeer};
use crate::status::impairment::Impairment;
use crate::status::snapshot::Snapshot;
use crate::transport::TransportEvent;

use super::awaited::Awaited;
use super::configuration::Configuration;
use super::grievance::Grievances;
use super::identity::Identity;
use super::impairment::Impairments;
use super::log::{self, Journal};
use super::masquerade::Hiding;
use super::report::{self, Convergence, Shown};
use super::stranger::Strangers;
use super::tally::Tally;
use super::wish::Service;

/// The agent loop's state.
pub struct Agent<D> {
    pub(super) identity: Identity,
    pub(super) drivers: D,
    pub(super) configuration: Configuration,
    /// There from the first good configuration on.
    pub(super) speaker: Option<Recorded>,
    /// What the speaker is to be, while it waits for what an earlier run has left in the kernel.
    pub(super) waiting: Option<SpeakerConfig>,
    pub(super) awaited: Awaited,
    /// Waits for the speaker.
    pub(super) recorder: Option<Recorder>,
    pub(super) effects: Effects,
    pub(super) convergence: Convergence,
    journal: Journal,
    grievances: Grievances,
    impairments: Impairments,
    pub(super) hiding: Hiding,
    /// What BFD knows of the ways to peers.
    pub(super) ways: BTreeMap<IpAddr, View>,
    /// Whether the node is in service.
    pub(super) service: Service,
    fib: Option<Fib>,
    strangers: Strangers,
    pub(super) tally: Tally,
    more: bool,
    pub(super) stopping: bool,
}

impl<D: Drivers> Agent<D> {
    /// The most events of one turn.
    pub const BATCH: usize = 256;

    /// After this time a turn takes no further event: KEEPALIVEs of the next
    /// turn are late by this and one piece of work at most.
    pub const SLICE: Duration = Duration::from_millis(5);

    /// An agent without configuration.
    pub fn new(identity: Identity, drivers: D) -> Self {
        let mut agent = Self {
            identity,
            drivers,
            configuration: Configuration::default(),
            speaker: None,
            waiting: None,
            awaited: Awaited::default(),
            recorder: None,
            effects: Effects::default(),
            convergence: Convergence::default(),
            journal: Journal::default(),
            grievances: Grievances::default(),
            impairments: Impairments::default(),
            hiding: Hiding::default(),
            ways: BTreeMap::new(),
            service: Service::default(),
            fib: None,
            strangers: Strangers::default(),
            tally: Tally::default(),
            more: false,
            stopping: false,
        };
        let (version, now) = (env!("CARGO_PKG_VERSION"), agent.drivers.now());
        agent.drivers.event(Happened::new(EventKind::Started, &format!("version {version}"), now));
        agent
    }

    /// Records the speaker from its beginning on; to be called before the first turn.
    pub fn record(&mut self, recorder: Recorder) {
        self.recorder = Some(recorder);
    }

    /// An earlier run of the agent, in this boot, has found that pods may be started.
    pub fn resume_pods(&mut self) {
        self.convergence.resume(self.drivers.now());
    }

    /// An earlier run has left sessions with these peers: no other is worth waiting for.
    pub fn await_only(&mut self, peers: BTreeSet<IpAddr>) {
        // A neighbour is known before it is heard again.
        let now = self.drivers.now();
        for peer in &peers {
            self.configuration.router(*peer, |_| false, now);
        }
        self.awaited.only(peers);
    }

    /// What the loop drives.
    pub fn drivers(&mut self) -> &mut D {
        &mut self.drivers
    }

    /// Ends the loop's life, and gives back what it drove.
    pub fn into_drivers(self) -> D {
        self.drivers
    }

    /// When a turn is due though no event comes; in the past when work waits.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.more {
            return Some(Instant::default());
        }
        let timers = self.speaker.as_ref().and_then(|speaker| speaker.deadline());
        let due = [
            timers,
            self.drivers.status_due(),
            self.convergence.look_due(),
            self.configuration.due(),
            self.service.due,
        ];
        due.into_iter().flatten().min()
    }

    /// Whether decisions wait for more of what peers are sending.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.more && self.speaker.as_ref().is_some_and(|speaker| speaker.is_waiting())
    }

    /// One turn, of at least one event if any waits. `next` gives what waits, and `None` when nothing does; it is
    /// asked for no more than what waited when the turn began.
    pub fn turn(&mut self, next: &mut dyn FnMut() -> Option<Event>) {
        let began_at = self.drivers.now();
        self.tally.turn(began_at);
        self.timers(began_at);
        for taken in 0..Self::BATCH {
            let now = self.drivers.now();
            // However late it is, one event is taken: the caller may hold it in its hand.
            if taken > 0 && now.since(began_at) >= Self::SLICE {
                break;
            }
            let Some(event) = next() else { break };
            self.take(event, now);
        }
        let now = self.drivers.now();
        self.more = match &mut self.speaker {
            Some(speaker) => speaker.work(&mut self.effects, now),
            None => false,
        };
        self.dispatch();
        if let Some(speaker) = self.speaker.as_ref().filter(|_| !self.stopping)
            && let Some(peers) = self.awaited.news(speaker)
        {
            self.drivers.awaited(peers);
        }
        self.end_turn(now);
        if self.configuration.due().is_some_and(|due| due <= now) {
            self.configure(now);
        }
        self.withdraw_services(now);
        self.settle(now);
        let settled = !self.identity.restarts || self.convergence.has_settled();
        if let Some(wanted) = self.hiding.news(settled).filter(|_| !self.stopping) {
            self.drivers.masquerade(wanted);
        }
        let in_force = self.in_force();
        let Self { drivers, speaker, configuration, identity, convergence, grievances, tally, .. } = self;
        let (busy, speaker) = (self.more, speaker.as_deref());
        let (impairments, drain, hides) = (&self.impairments, in_force.as_ref(), self.hiding.is_on());
        let fib = self.fib;
        let mut malformed = Vec::new();
        let mut build = || {
            let shown = Shown { identity, speaker, configuration, impairments, drain, fib, hides, busy };
            let mut snapshot = report::snapshot(&shown, convergence, now);
            snapshot.counters = tally.counters(snapshot.peers.iter().map(|peer| peer.address));
            malformed = grievances.look(&snapshot.peers, now);
            snapshot
        };
        drivers.publish(&mut build, now);
        malformed.into_iter().for_each(|event| drivers.event(event));
    }

    /// The status of an agent that has not begun.
    #[must_use]
    pub fn first_snapshot(identity: &Identity) -> Snapshot {
        let (configuration, impairments) = (&Configuration::default(), &Impairments::default());
        let shown = Shown {
            identity,
            speaker: None,
            configuration,
            impairments,
            drain: None,
            fib: None,
            hides: false,
            busy: false,
        };
        report::snapshot(&shown, &mut Convergence::default(), Instant::default())
    }

    /// Ends every session, and leaves the kernel's routes as they are: what follows
    /// from the loss of the sessions is not passed on. Peers keep this node's routes
    /// over a restart; where `host_stops`, they are told by Cease (RFC 4486, RFC 9003).
    ///
    /// A node that is drained of its pods is left for good: its routes go, and the
    /// peers are told why (RFC 9003).
    pub fn stop(&mut self, host_stops: bool) {
        self.stopping = true;
        // Said before the sessions end: a peer is not to take that for packets that stopped passing.
        self.drivers.watch(Watch::new());
        let now = self.drivers.now();
        let leaving = self.in_force().filter(|drain| drain.pods);
        let Some(speaker) = &mut self.speaker else { return };
        let host = if host_stops { "the host shuts down" } else { "" };
        let text = leaving.as_ref().map_or_else(|| host.to_owned(), Drain::line);
        if host_stops || leaving.is_some() {
            speaker.shutdown(&text, &mut self.effects, now);
        } else {
            speaker.suspend(&mut self.effects, now);
        }
        if let Some(kernel) = self.configuration.kernel().filter(|_| leaving.is_some()) {
            tracing::info!(event = "leaving", reason = text);
            let nothing = KernelConfig { install: false, unreachable: Vec::new(), ..kernel.clone() };
            self.drivers.kernel(Command::Configure(nothing));
            self.drivers.masquerade(None);
        }
        self.end_turn(now);
        self.dispatch();
    }

    /// The speaker's turn is over; a recording that could not be written is told of.
    fn end_turn(&mut self, now: Instant) {
        let Some(speaker) = &mut self.speaker else { return };
        if let Some(why) = speaker.end_turn() {
            self.impaired(Impairment::Recording, Some(why), now);
        }
    }

    pub(super) fn impaired(&mut self, what: Impairment, why: Option<String>, now: Instant) {
        if let Some(event) = self.impairments.note(what, why, now) {
            self.drivers.event(event);
        }
    }

    /// Timers that are due go before everything else.
    fn timers(&mut self, now: Instant) {
        let Some(speaker) = &mut self.speaker else { return };
        if speaker.deadline().is_some_and(|due| due <= now) {
            speaker.handle(SpeakerEvent::Timer, &mut self.effects, now);
            self.dispatch();
            // An attempt that was given up changes no state, and yet what the status says of the peer.
            self.drivers.status_changed();
        }
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Source(event) => {
                self.configuration.source(event);
                self.configure(now);
            }
            Event::Kernel(event) => self.kernel(event, now),
            Event::Transport(event) => self.transport(event, now),
            Event::Bfd(news) => self.detected(news, now),
            Event::Query(question) => self.answer(question),
            Event::Order(order) => self.order(order, now),
            Event::Router(address) => self.router(address, now),
            Event::Impaired { what, why } => self.impaired(what, why, now),
        }
    }

    fn kernel(&mut self, event: KernelEvent, now: Instant) {
        match event {
            KernelEvent::NextHop { next_hop, metric } => {
                self.convergence.resolved(next_hop);
                self.tell(SpeakerEvent::NextHop { next_hop, metric }, now);
            }
            KernelEvent::Acks(acks) => {
                self.tally.answered(&acks, now);
                self.tell(SpeakerEvent::Acks(&acks), now);
                acks.iter().for_each(|ack| self.drivers.prefix(ack.prefix));
                self.drivers.status_changed();
            }
            KernelEvent::Addresses(addresses) => {
                self.configuration.addresses(addresses);
                self.configure(now);
                self.tell(SpeakerEvent::Network, now);
            }
            KernelEvent::Passing(addresses) => {
                self.configuration.passing(addresses);
                self.configure(now);
            }
            KernelEvent::Adopted(routes) => self.adopted(routes, now),
            KernelEvent::Gateways(gateways) => {
                self.configuration.gateways(&gateways, now);
                self.configure(now);
                self.tell(SpeakerEvent::Network, now);
            }
            KernelEvent::Hosts(hosts) => {
                self.configuration.hosts(hosts);
                self.configure(now);
            }
            KernelEvent::UplinkMtu(mtu) => {
                self.configuration.uplink_mtu(mtu);
                self.drivers.status_changed();
            }
            KernelEvent::Fib(fib) => {
                self.fib = Some(fib);
                self.drivers.status_changed();
            }
            KernelEvent::Trouble(text) => self.trouble(EventKind::KernelTrouble, &text, now),
        }
    }

    fn transport(&mut self, event: TransportEvent, now: Instant) {
        match event {
            TransportEvent::Connected { conn, local } => {
                self.tell(SpeakerEvent::Connected { conn, local }, now);
            }
            TransportEvent::ConnectFailed { conn, failure, error } => {
                self.tell(SpeakerEvent::ConnectFailed { conn, failure, error: &error }, now);
                self.drivers.status_changed();
            }
            TransportEvent::Accepted { conn, local, remote } => {
                let address = zone::of_socket(remote).to_canonical();
                if self.speaker.is_none() || self.stopping || self.is_beyond_terms(address, now) {
                    self.drivers.transport(Transport::Close { conn });
                    return;
                }
                if !self.admits(address) && self.strangers.is_news(address, now) {
                    log::stranger(address);
                }
                self.tell(SpeakerEvent::Accepted { conn, local, remote }, now);
            }
            TransportEvent::Bytes { conn, chunk } => {
                self.tell(SpeakerEvent::Bytes { conn, bytes: &chunk }, now);
                self.drivers.status_changed();
            }
            TransportEvent::Written { conn, tally } => {
                self.tell(SpeakerEvent::Written { conn, bytes: tally.take() }, now);
            }
            TransportEvent::Closed { conn, error } => {
                self.tell(SpeakerEvent::Closed { conn, error: error.as_deref() }, now);
                self.drivers.status_changed();
            }
            TransportEvent::Trouble(text) => self.trouble(EventKind::TransportTrouble, &text, now),
        }
    }

    pub(super) fn trouble(&mut self, kind: EventKind, text: &str, now: Instant) {
        tracing::warn!(event = kind.word(), reason = text);
        self.drivers.event(Happened::new(kind, text, now));
    }

    pub(super) fn tell(&mut self, event: SpeakerEvent<'_>, now: Instant) {
        if let Some(speaker) = &mut self.speaker {
            speaker.handle(event, &mut self.effects, now);
        }
        if !self.effects.sets.is_empty() {
            // A way out is lost: the kernel hears of it before the decisions of its routes are made.
            self.dispatch();
        }
    }

    /// Hands the effects to the drivers, in the order that [`Effects`] promises.
    pub(super) fn dispatch(&mut self) {
        if self.effects.is_empty() {
            return;
        }
        let effects = std::mem::take(&mut self.effects);
        for effect in effects.transport {
            self.drivers.transport(effect);
        }
        if !self.stopping {
            if !effects.tracking.is_empty() {
                self.convergence.tracking(&effects.tracking);
                self.drivers.kernel(Command::Tracking(effects.tracking));
            }
            if !effects.sets.is_empty() {
                self.drivers.kernel(Command::Sets(effects.sets));
            }
            if !effects.routes.is_empty() {
                effects.routes.iter().for_each(|change| self.drivers.prefix(change.prefix));
                self.tally.asked(&effects.routes);
                self.hiding.routes(&effects.routes);
                self.drivers.kernel(Command::Routes(effects.routes));
            }
        }
        for note in &effects.notes {
            self.tally.session(note);
            if self.journal.note(note) {
                let now = self.drivers.now();
                self.drivers.event(Happened::session(note, now));
            }
        }
        for notice in &effects.notices {
            log::notice(notice);
            let now = self.drivers.now();
            if matches!(notice.reason, Reason::Stale | Reason::LongLivedStale) {
                self.drivers.event(Happened::restart(notice, now));
            } else if log::is_notification(notice) {
                let peer = EventPeer { name: notice.name.clone(), address: notice.address, asn: None };
                let told = Happened::of_peer(EventKind::Notification, peer, &notice.text, now);
                self.drivers.event(Happened { reason: Some(notice.reason.word()), ..told });
            } else {
                self.drivers.event(Happened::limit(notice, now));
            }
        }
        if !(effects.notes.is_empty() && effects.notices.is_empty()) {
            self.drivers.status_changed();
            self.awaited.moved();
        }
    }

    /// Lets go of the routes of an earlier run once their time has come.
    fn settle(&mut self, now: Instant) {
        let due = self.convergence.look_due().is_some_and(|due| due <= now);
        let Some(speaker) = self.speaker.as_ref().filter(|_| due && !self.stopping) else { return };
        // What holds after some time is told though nothing else happens.
        self.drivers.status_changed();
        let busy = self.more || speaker.is_recovering();
        let mut peers = speaker.peers();
        peers.retain(|peer| self.awaited.counts(peer));
        if let Some(reason) = self.convergence.settles(&peers, busy, now) {
            self.drivers.kernel(Command::Sweep);
            self.drivers.event(Happened::new(EventKind::Settled, reason, now));
            tracing::info!(event = "settled", reason);
        }
    }
}

impl<D> std::fmt::Debug for Agent<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("node", &self.identity.node).finish_non_exhaustive()
    }
}
