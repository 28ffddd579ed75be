//! Octets as the life of one session: each step is an event, time that passes,
//! or bytes on one of its connections.
//!
//! Holds: no panic; no write to a connection that is closed, and no second
//! close; deadlines that fire are over; at most one connection is Established.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use bgp::config::{PeerAs, Timers};
use bgp::id::{Asn, ConnId, PeerId, RouterId};
use bgp::io::{ConnectFailure, Downfall, State};
use bgp::prefix::{Family, PerFamily};
use bgp::reason::Reason;
use bgp::session::{Action, Negotiated, Session, SessionConfig, Sink};
use bgp::time::{Duration, Instant};
use bgp::wire::codec::Codec;
use bgp::wire::notification::{Cease, Notification};
use bgp::wire::refresh::Subtype;
use bgp::wire::update::Update;

/// Runs the target on one input.
pub(crate) fn run(data: &[u8]) {
    let mut world = World::new();
    let mut rest = data;
    while let [step, tail @ ..] = rest {
        rest = world.step(*step, tail);
    }
}

/// Takes what is an UPDATE.
struct Table;

impl Sink for Table {
    fn update(&mut self, negotiated: &Negotiated, body: &[u8]) -> Result<(), Notification> {
        let Codec { families, .. } = negotiated.codec;
        assert!(families.ipv4 || families.ipv6);
        Update::parse(body, &negotiated.codec).map(drop)
    }

    fn refresh(&mut self, negotiated: &Negotiated, family: Family, _: Subtype) {
        assert!(negotiated.families[family]);
    }
}

struct World {
    session: Session,
    out: Vec<Action>,
    dialling: BTreeSet<ConnId>,
    open: BTreeSet<ConnId>,
    state: State,
    accepted: u64,
    now: Instant,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn socket(host: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, host).into(), 179)
}

fn config() -> SessionConfig {
    SessionConfig {
        local_asn: Asn(65001),
        router_id: RouterId(0x0a00_0001),
        peer_as: PeerAs::Exactly(Asn(65002)),
        role: None,
        families: PerFamily { ipv4: true, ipv6: true },
        timers: Timers { hold: seconds(9), keepalive: seconds(3), connect_retry: seconds(5) },
        restart: bgp::config::Restart::default(),
        add_path: bgp::config::AddPath::default(),
        extended_next_hop: false,
        passive: false,
        disabled: false,
        description: String::new(),
        remote: socket(2),
        source: None,
        authenticated: false,
        obstacle: None,
    }
}

impl World {
    fn new() -> Self {
        let now = Instant(0);
        let mut world = Self {
            session: Session::new(PeerId(7), config(), 1, now),
            out: Vec::new(),
            dialling: BTreeSet::new(),
            open: BTreeSet::new(),
            state: State::Idle,
            accepted: 0,
            now,
        };
        world.session.start(&mut world.out, now);
        world.carry_out();
        world
    }

    /// One step, and what is left of the input.
    fn step<'d>(&mut self, step: u8, rest: &'d [u8]) -> &'d [u8] {
        let Self { session, out, now, .. } = self;
        match step {
            0 => {
                if let Some(conn) = self.dialling.pop_first() {
                    self.open.insert(conn);
                    session.connected(conn, socket(1), out, *now);
                }
            }
            1 => {
                if let Some(conn) = self.dialling.pop_first() {
                    session.connect_failed(conn, ConnectFailure::Answered, "refused", out, *now);
                }
            }
            2 => {
                self.accepted += 1;
                let conn = ConnId::Inbound(self.accepted);
                self.open.insert(conn);
                session.accepted(conn, socket(1), out, *now);
            }
            3 | 4 => {
                let conn = if step == 3 { self.open.pop_first() } else { self.open.pop_last() };
                if let Some(conn) = conn {
                    session.closed(conn, (step == 3).then_some("reset"), out, *now);
                }
            }
            5 => {
                let cause = Downfall { reason: Reason::Shutdown, text: String::new() };
                session.stop(&Notification::cease(Cease::AdministrativeShutdown), &cause, out, *now);
            }
            6 => session.start(out, *now),
            7 => {
                let mut changed = config();
                let bits = rest.first().copied().unwrap_or_default();
                changed.passive = bits & 1 != 0;
                changed.disabled = bits & 6 == 6;
                changed.families.ipv6 = bits & 8 == 0;
                changed.timers.hold = if bits & 48 == 48 { Duration::ZERO } else { seconds(9) };
                changed.peer_as = if bits & 64 == 0 { PeerAs::Any } else { PeerAs::Internal };
                session.reconfigure(changed, out, *now);
            }
            8..16 => self.pass(Duration::from_millis(100 << (step - 8))),
            // Bytes: on the oldest or the newest connection, as many as the next octets say.
            _ => {
                let [high, low, tail @ ..] = rest else { return &[] };
                let len = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
                let (mut bytes, tail) = tail.split_at(len);
                let conn = if step & 1 == 0 { self.open.first() } else { self.open.last() };
                if let Some(conn) = conn.copied() {
                    while !bytes.is_empty() {
                        session.receive(conn, &mut bytes, &mut Table, out, *now);
                    }
                }
                self.carry_out();
                return tail;
            }
        }
        self.carry_out();
        rest
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.session.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.expire(&mut self.out, self.now);
            assert!(self.session.deadline().is_none_or(|next| next > self.now), "a timer fires once");
            self.carry_out();
        }
        self.now = end;
    }

    fn carry_out(&mut self) {
        for action in std::mem::take(&mut self.out) {
            match action {
                Action::Connect { conn, .. } => assert!(self.dialling.insert(conn), "{conn} is new"),
                Action::Write { conn, bytes } => {
                    assert!(self.open.contains(&conn), "a write to {conn}, which is not open");
                    assert!(!bytes.is_empty());
                }
                Action::Close { conn } => {
                    let closed = self.open.remove(&conn) || self.dialling.remove(&conn);
                    assert!(closed, "{conn} is closed twice");
                }
                Action::Established(negotiated) => {
                    assert!(negotiated.families.ipv4 || negotiated.families.ipv6);
                }
                Action::Down { .. } => {}
                Action::Moved { from, to, .. } => {
                    assert_eq!(from, self.state, "states are told in order");
                    self.state = to;
                }
            }
        }
        assert_eq!(self.session.state(), self.state, "each change of state is told");
        if let Some((conn, _)) = self.session.established() {
            assert!(self.open.contains(&conn), "{conn} is up and not open");
        }
    }
}
