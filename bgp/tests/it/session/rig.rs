//! One session on a bench: a caller that carries nothing out, and says in
//! words what the session asked for.

use std::net::{Ipv4Addr, SocketAddr};

use bgp::config::{PeerAs, Timers};
use bgp::id::{Asn, ConnId, PeerId, RouterId};
use bgp::io::ConnectFailure;
use bgp::prefix::{Family, PerFamily};
use bgp::session::{Action, Negotiated, Session, SessionConfig, Sink};
use bgp::time::{Duration, Instant};
use bgp::wire::capability::Capability;
use bgp::wire::frame::{self, Framer, Kind};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;
use bgp::wire::refresh::Subtype;

/// A connection that no session knows.
pub(super) const STRANGE: ConnId = ConnId::Inbound(99);
/// The connection that the peer opens.
pub(super) const INBOUND: ConnId = ConnId::Inbound(1);
/// The first connection that the session of peer 7 opens.
pub(super) const OUTBOUND: ConnId = ConnId::Outbound(7 << 32);

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn socket(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, host).into(), port)
}

/// AS 65001, identifier 10.0.0.1, towards a peer of AS 65002.
pub(super) fn config() -> SessionConfig {
    SessionConfig {
        local_asn: Asn(65001),
        router_id: RouterId::from(Ipv4Addr::new(10, 0, 0, 1)),
        peer_as: PeerAs::Exactly(Asn(65002)),
        role: None,
        families: PerFamily { ipv4: true, ipv6: true },
        timers: Timers { hold: seconds(9), keepalive: seconds(3), connect_retry: seconds(5) },
        restart: bgp::config::Restart { seconds: 0, notification: false, long_lived: 0 },
        add_path: bgp::config::AddPath::default(),
        extended_next_hop: false,
        passive: false,
        disabled: false,
        description: String::new(),
        authenticated: false,
        obstacle: None,
        remote: socket(2, 179),
        source: None,
    }
}

/// The OPEN of a peer of AS 65002 with identifier 10.0.0.2.
pub(super) fn peer_open() -> Open {
    Open {
        asn: Asn(65002),
        hold_seconds: 9,
        router_id: RouterId::from(Ipv4Addr::new(10, 0, 0, 2)),
        capabilities: vec![
            Capability::multiprotocol(Family::Ipv4),
            Capability::multiprotocol(Family::Ipv6),
            Capability::RouteRefresh,
            Capability::FourOctetAs(Asn(65002)),
        ],
    }
}

pub(super) fn bytes_of(open: &Open) -> Vec<u8> {
    let mut bytes = Vec::new();
    open.encode(&mut bytes);
    bytes
}

/// A message of any type, whatever its body.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(19 + body.len()).expect("a length of two octets");
    [&[0xff; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

pub(super) fn keepalive() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode_keepalive(&mut bytes);
    bytes
}

/// An UPDATE without content: the End-of-RIB of IPv4.
pub(super) fn update() -> Vec<u8> {
    message(2, &[0; 4])
}

/// An UPDATE that the bench's sink refuses.
pub(super) fn refused_update() -> Vec<u8> {
    message(2, &[0xee; 4])
}

pub(super) fn notification(code: u8, subcode: u8) -> Vec<u8> {
    message(3, &[code, subcode])
}

/// Keeps what it is given; refuses UPDATEs that begin with 0xee.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) updates: Vec<Vec<u8>>,
    pub(super) refreshes: Vec<(Family, Subtype)>,
}

impl Sink for Kept {
    fn update(&mut self, negotiated: &Negotiated, body: &[u8]) -> Result<(), Notification> {
        assert!(negotiated.families.ipv4 || negotiated.families.ipv6);
        if body.first() == Some(&0xee) {
            return Err(Notification { code: 3, subcode: 1, data: Vec::new() });
        }
        self.updates.push(body.to_vec());
        Ok(())
    }

    fn refresh(&mut self, _: &Negotiated, family: Family, subtype: Subtype) {
        self.refreshes.push((family, subtype));
    }
}

/// A session, its time, and what it was given.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) sink: Kept,
    pub(super) now: Instant,
    pub(super) out: Vec<Action>,
}

impl Rig {
    pub(super) fn new(config: SessionConfig) -> Self {
        let now = Instant(1_000_000_000);
        let session = Session::new(PeerId(7), config, 42, now);
        Self { session, sink: Kept::default(), now, out: Vec::new() }
    }

    /// Started, and connected on its own connection: in OpenSent.
    pub(super) fn greeted(config: SessionConfig) -> Self {
        let mut rig = Self::new(config);
        rig.start();
        rig.connected(OUTBOUND);
        rig.said();
        rig
    }

    /// Established on its own connection.
    pub(super) fn established(config: SessionConfig) -> Self {
        let mut rig = Self::greeted(config);
        rig.receive(OUTBOUND, &[bytes_of(&peer_open()), keepalive()].concat());
        assert!(rig.session.established().is_some(), "{}", rig.said());
        rig.said();
        rig
    }

    pub(super) fn start(&mut self) {
        self.session.start(&mut self.out, self.now);
    }

    pub(super) fn connected(&mut self, conn: ConnId) {
        self.session.connected(conn, socket(1, 40000), &mut self.out, self.now);
    }

    /// The peer's machine refuses a connection.
    pub(super) fn failed(&mut self, conn: ConnId, error: &str) {
        self.session.connect_failed(conn, ConnectFailure::Answered, error, &mut self.out, self.now);
    }

    /// There is no way to the peer.
    pub(super) fn astray(&mut self, conn: ConnId) {
        let error = "no route to host";
        self.session.connect_failed(conn, ConnectFailure::NoWay, error, &mut self.out, self.now);
    }

    pub(super) fn accepted(&mut self, conn: ConnId) {
        self.session.accepted(conn, socket(1, 179), &mut self.out, self.now);
    }

    pub(super) fn closed(&mut self, conn: ConnId, error: Option<&str>) {
        self.session.closed(conn, error, &mut self.out, self.now);
    }

    pub(super) fn receive(&mut self, conn: ConnId, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.session.receive(conn, &mut bytes, &mut self.sink, &mut self.out, self.now);
        }
    }

    /// Lets time pass, and fires each timer at its instant.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.expire(&mut self.out, self.now);
        }
        self.now = end;
    }

    /// What the session asked for since the last time, in words.
    pub(super) fn said(&mut self) -> String {
        let words: Vec<String> = self.out.drain(..).filter_map(|action| words(&action)).collect();
        words.join(" ")
    }

    /// The text of why the session is not Established.
    pub(super) fn down(&self) -> String {
        self.session.down().map_or_else(String::new, |down| format!("{}: {}", down.reason, down.text))
    }
}

/// `connect`, `close`, `up`, `down`, or the messages that are written, with the
/// connection's number where it is not the bench's first outbound one.
fn words(action: &Action) -> Option<String> {
    let on = |conn: &ConnId, words: &str| match *conn {
        OUTBOUND => words.to_owned(),
        ConnId::Outbound(n) => format!("{words}@out{}", n & 0xffff_ffff),
        ConnId::Inbound(n) => format!("{words}@in{n}"),
    };
    Some(match action {
        Action::Connect { conn, .. } => on(conn, "connect"),
        Action::Close { conn } => on(conn, "close"),
        Action::Write { conn, bytes } => on(conn, &messages(bytes).join(" ")),
        Action::Established(_) => "up".to_owned(),
        Action::Down { kept, .. } if kept.ipv4 || kept.ipv6 => "down kept".to_owned(),
        Action::Down { .. } => "down".to_owned(),
        Action::Moved { .. } => return None,
    })
}

/// The messages in the bytes: type names, or code and subcode of a NOTIFICATION.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<String> {
    let mut framer = Framer::new();
    let mut messages = Vec::new();
    while let Some(frame) = framer.next(&mut bytes).expect("the session writes well-formed messages") {
        messages.push(match (frame.kind, frame.body) {
            (Kind::Notification, [code, subcode, ..]) => format!("{code}/{subcode}"),
            (kind, _) => kind.name().to_owned(),
        });
    }
    assert_eq!(framer.pending(), 0, "whole messages are written");
    messages
}
