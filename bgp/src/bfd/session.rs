//! One session (RFC 5880 §6.8): what a packet, the time and an order lead to.
//!
//! ```text
//!            Down heard            Init or Up heard
//!   Down ───────────────> Init ───────────────────> Up
//!    │  └──── Init heard ──────────────────────────> │
//!    │ <──── detection time, AdminDown heard ─┘      │
//!    │ <──── detection time, Down or AdminDown heard ┘
//! ```
//!
//! Invariants: nothing is sent more often than the peer wants to receive; slower
//! than once a second only where the peer or the configuration asks for it, and
//! never faster than that unless Up; each change of state goes out at once.

use super::packet::{Diagnostic, Discard, Packet, State};
use crate::time::{Duration, Instant, Jitter};

/// The shortest interval of a session that is not Up (RFC 5880 §6.8.3).
const SLOW: Duration = Duration::from_secs(1);

/// What a session is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Between packets, both ways.
    pub interval: Duration,
    /// How many may be missed; not 0.
    pub multiplier: u8,
}

/// What follows for a protocol that relies on the session (RFC 5882 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Forwarding {
    /// Nothing is known: not Up yet, or somebody took it down on purpose.
    #[default]
    Unknown,
    /// Packets pass.
    Alive,
    /// Packets passed, and do not any more.
    Lost {
        /// The peer's C bit: its BFD would have survived a restart of its control plane (RFC 5882 §4.3).
        independent: bool,
    },
}

/// A session as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct View {
    /// What it means to who relies on it.
    pub forwarding: Forwarding,
    /// Our state.
    pub state: State,
    /// The peer's, as it last said.
    pub remote_state: State,
    /// Why we last left Up.
    pub diagnostic: Diagnostic,
    /// Why the peer did.
    pub remote_diagnostic: Diagnostic,
    /// Between our packets, before jitter; `None` where none is sent.
    pub transmit: Option<Duration>,
    /// How long the peer may be silent; `None` while it was not heard.
    pub detection: Option<Duration>,
    /// When the state changed.
    pub changed_at: Instant,
    /// How often the session left Up.
    pub losses: u64,
}

/// What the peer last said (RFC 5880 §6.8.1).
#[derive(Clone, Copy, Debug)]
struct Remote {
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    independent: bool,
    demand: bool,
    multiplier: u8,
    min_tx: Duration,
    min_rx: Duration,
    heard_at: Option<Instant>,
}

impl Remote {
    const UNHEARD: Self = Self {
        discriminator: 0,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        independent: false,
        demand: false,
        multiplier: 0,
        min_tx: Duration::ZERO,
        // RFC 5880 §6.8.1: 1 microsecond, so that there is something to be sent.
        min_rx: Duration::from_micros(1),
        heard_at: None,
    };
}

/// An own interval: what is said of it, and what counts until the peer has heard that (RFC 5880 §6.8.3).
#[derive(Clone, Copy, Debug)]
struct Interval {
    said: Duration,
    used: Duration,
}

/// How far a poll sequence is (RFC 5880 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poll {
    Idle,
    Asked,
    /// Something changed while the peer was being asked: once more.
    AskedAndChanged,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    local: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    min_tx: Interval,
    min_rx: Interval,
    poll: Poll,
    forwarding: Forwarding,
    jitter: Jitter,
    /// When the next periodic packet goes; `None` while none does.
    send_at: Option<Instant>,
    /// Until when an end that was taken down on purpose says so.
    silent_at: Option<Instant>,
    changed_at: Instant,
    losses: u64,
}

impl Session {
    /// A session in Down that sends its first packet at once. `local` is its discriminator, which no other session of
    /// the host has, and not 0; `seed` feeds jitter.
    #[must_use]
    pub fn new(config: Config, local: u32, seed: u64, now: Instant) -> Self {
        let slow = config.interval.max(SLOW);
        Self {
            config,
            local,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNHEARD,
            min_tx: Interval { said: slow, used: slow },
            min_rx: Interval { said: config.interval, used: config.interval },
            poll: Poll::Idle,
            forwarding: Forwarding::Unknown,
            jitter: Jitter::new(seed),
            send_at: Some(now),
            silent_at: None,
            changed_at: now,
            losses: 0,
        }
    }

    /// Takes in a packet of the peer.
    ///
    /// # Errors
    /// Why it is discarded: nothing has changed then, but for what the peer said to a session in AdminDown.
    pub fn receive(&mut self, packet: &Packet, out: &mut Vec<Packet>, now: Instant) -> Result<(), Discard> {
        // RFC 5880 §6.8.6 from here, in its order.
        if packet.your != 0 && packet.your != self.local {
            return Err(Discard::NotOurs(packet.your));
        }
        let answer = packet.last && self.poll != Poll::Idle;
        self.remote = Remote {
            discriminator: packet.my,
            state: packet.state,
            diagnostic: packet.diagnostic,
            independent: packet.independent,
            demand: packet.demand,
            multiplier: packet.multiplier,
            min_tx: packet.desired_min_tx,
            min_rx: packet.required_min_rx,
            heard_at: Some(now),
        };
        if answer {
            self.answered();
        }
        if self.state == State::AdminDown {
            return Err(Discard::AdminDown);
        }
        match (self.state, packet.state) {
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.enter(State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN, out, now);
            }
            (State::Down, State::Down) => self.enter(State::Init, self.diagnostic, out, now),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.enter(State::Up, Diagnostic::NONE, out, now);
            }
            _ => self.judge(false),
        }
        if packet.poll {
            // At once, whatever the interval (RFC 5880 §6.8.7).
            out.push(Packet { poll: false, last: true, ..self.packet() });
        }
        self.schedule(now);
        Ok(())
    }

    /// Does what is due: a periodic packet, the end of the detection time.
    pub fn expire(&mut self, out: &mut Vec<Packet>, now: Instant) {
        if self.detection_at().is_some_and(|at| at <= now) {
            // RFC 5880 §6.8.1: who is not heard for the detection time is forgotten.
            let Remote { min_rx, independent, .. } = self.remote;
            self.remote = Remote { min_rx, independent, ..Remote::UNHEARD };
            self.poll = Poll::Idle;
            if self.state > State::Down {
                self.enter(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, out, now);
            }
        }
        if self.silent_at.is_some_and(|at| at <= now) {
            (self.silent_at, self.send_at) = (None, None);
        }
        if self.send_at.is_some_and(|at| at <= now) {
            out.push(self.packet());
            self.send_at = None;
            self.schedule(now);
        }
    }

    /// When [`Session::expire`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.send_at, self.detection_at(), self.silent_at].into_iter().flatten().min()
    }

    /// Changes what the session is asked to be; it stays as it is otherwise (RFC 5880 §6.8.3).
    pub fn reconfigure(&mut self, config: Config, now: Instant) {
        if config == self.config {
            return;
        }
        self.config = config;
        self.offer();
        self.schedule(now);
    }

    /// Holds the session down on purpose, and says so: the peer is to keep what relies on it (RFC 5880 §6.8.16).
    pub fn disable(&mut self, out: &mut Vec<Packet>, now: Instant) {
        if self.state == State::AdminDown {
            return;
        }
        // Until the peer would have noticed silence (RFC 5880 §6.8.16): it expects us that seldom from now on.
        let interval = self.config.interval.max(SLOW).max(self.remote.min_rx);
        self.silent_at = Some(now + interval.saturating_mul(u32::from(self.config.multiplier)));
        self.enter(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, out, now);
    }

    /// Lets a session that was held down come up.
    pub fn enable(&mut self, out: &mut Vec<Packet>, now: Instant) {
        if self.state == State::AdminDown {
            self.silent_at = None;
            self.enter(State::Down, Diagnostic::NONE, out, now);
            self.schedule(now);
        }
    }

    /// Our discriminator.
    #[must_use]
    pub const fn discriminator(&self) -> u32 {
        self.local
    }

    /// The session as it is shown.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            forwarding: self.forwarding,
            state: self.state,
            remote_state: self.remote.state,
            diagnostic: self.diagnostic,
            remote_diagnostic: self.remote.diagnostic,
            transmit: self.transmit_interval(),
            detection: self.detection_time(),
            changed_at: self.changed_at,
            losses: self.losses,
        }
    }

    fn enter(&mut self, state: State, diagnostic: Diagnostic, out: &mut Vec<Packet>, now: Instant) {
        let from_up = self.state == State::Up;
        self.losses += u64::from(from_up);
        (self.state, self.diagnostic, self.changed_at) = (state, diagnostic, now);
        self.offer();
        out.push(self.packet());
        self.send_at = None;
        self.judge(from_up);
        self.schedule(now);
    }

    /// What the states of both ends mean to who relies on the session.
    const fn judge(&mut self, from_up: bool) {
        self.forwarding = match (self.state, self.remote.state) {
            (State::Up, _) => Forwarding::Alive,
            // RFC 5882 §3.2: on purpose, so that it says nothing of packets.
            (State::AdminDown, _) | (_, State::AdminDown) => Forwarding::Unknown,
            _ if from_up => Forwarding::Lost { independent: self.remote.independent },
            // Who was lost stays so until the session is up again.
            _ => self.forwarding,
        };
    }

    /// What is said of the own intervals, and from when it counts (RFC 5880 §6.8.3).
    fn offer(&mut self) {
        let up = self.state == State::Up;
        let (min_rx, floor) = (self.config.interval, if up { Duration::ZERO } else { SLOW });
        let min_tx = min_rx.max(floor);
        let changed = (min_tx, min_rx) != (self.min_tx.said, self.min_rx.said);
        (self.min_tx.said, self.min_rx.said) = (min_tx, min_rx);
        // Less often, or expected more often, only once the peer knows.
        if !up || min_tx < self.min_tx.used {
            self.min_tx.used = min_tx;
        }
        if !up || min_rx > self.min_rx.used {
            self.min_rx.used = min_rx;
        }
        if self.remote.discriminator == 0 {
            self.poll = Poll::Idle;
        } else if changed {
            self.poll = if self.poll == Poll::Idle { Poll::Asked } else { Poll::AskedAndChanged };
        }
    }

    /// The peer has heard what was said when the poll began.
    fn answered(&mut self) {
        match self.poll {
            Poll::Idle => {}
            Poll::AskedAndChanged => self.poll = Poll::Asked,
            Poll::Asked => {
                self.poll = Poll::Idle;
                self.min_tx.used = self.min_tx.said;
                self.min_rx.used = self.min_rx.said;
            }
        }
    }

    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll != Poll::Idle,
            last: false,
            // It lives and dies with the control plane (RFC 5882 §4.3).
            independent: false,
            demand: false,
            multiplier: self.config.multiplier,
            my: self.local,
            your: self.remote.discriminator,
            desired_min_tx: self.min_tx.said,
            required_min_rx: self.min_rx.said,
            required_min_echo_rx: Duration::ZERO,
        }
    }

    /// Between periodic packets; `None` where none may be sent (RFC 5880 §6.8.7).
    fn transmit_interval(&self) -> Option<Duration> {
        let silent = self.state == State::AdminDown && self.silent_at.is_none();
        let both_up = (self.state, self.remote.state) == (State::Up, State::Up);
        let unwanted = self.remote.demand && both_up && self.poll == Poll::Idle;
        if silent || unwanted || self.remote.min_rx.is_zero() {
            return None;
        }
        Some(self.min_tx.used.max(self.remote.min_rx))
    }

    /// How long the peer may be silent (RFC 5880 §6.8.4); `None` while it is not heard.
    fn detection_time(&self) -> Option<Duration> {
        self.remote.heard_at?;
        Some(self.min_rx.used.max(self.remote.min_tx).saturating_mul(u32::from(self.remote.multiplier)))
    }

    fn detection_at(&self) -> Option<Instant> {
        Some(self.remote.heard_at? + self.detection_time()?)
    }

    /// Sets when the next periodic packet goes; one that is due within the interval stays.
    fn schedule(&mut self, now: Instant) {
        let Some(interval) = self.transmit_interval() else {
            self.send_at = None;
            return;
        };
        if self.send_at.is_some_and(|at| at <= now + interval) {
            return;
        }
        // RFC 5880 §6.8.7: between 75 and 100 %; where no packet may be missed, up to 90 %.
        let wait = if self.config.multiplier == 1 {
            interval * 3 / 4 + self.jitter.share(interval * 3 / 20)
        } else {
            self.jitter.spread(interval)
        };
        self.send_at = Some(now + wait);
    }
}
