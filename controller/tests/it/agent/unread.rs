//! A peer that sends and does not read (RFC 9687), over TCP: the connection and its buffers are real, the clock is
//! turned by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use bgp::config::{Origination, OwnNextHop, PeerAs, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, RouterId};
use bgp::io::{Effects, Event, State};
use bgp::prefix::Family;
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::view::PeerView;
use bgp::wire::capability::Capability;
use bgp::wire::community::Community;
use bgp::wire::frame;
use bgp::wire::open::Open;
use controller::transport::TransportEvent;
use socket2::{Domain, Socket, Type};

use super::transport::World;

/// A KEEPALIVE comes so often.
const STEP: Duration = Duration::from_secs(30);

/// How long a peer may read nothing (RFC 9687 §6).
const SEND_HOLD: Duration = Duration::from_secs(480);

/// More than the buffers of two sockets hold, in UPDATEs of nearly a kilobyte.
fn origins() -> Vec<Origination> {
    let origin = |number: u32| {
        let prefix = format!("10.{}.{}.0/24", number >> 8, number & 0xff).parse().expect("a prefix");
        let communities = (0..200).map(|n| Community((number << 16) | n)).collect();
        Origination { communities, ..Origination::new(prefix) }
    };
    (0..12_000).map(origin).collect()
}

struct Scene {
    world: World,
    speaker: Speaker,
    effects: Effects,
    now: Instant,
    /// When bytes went to the operating system for the last time.
    written_at: Instant,
}

impl Scene {
    fn new() -> Self {
        let mut config = SpeakerConfig::new(Asn(65_001), RouterId(1));
        config.origins = origins().into_iter().collect();
        config.peers = vec![PeerConfig {
            passive: true,
            asn: PeerAs::Exactly(Asn(65_002)),
            own_next_hop: OwnNextHop { ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)), ipv6: None },
            ..PeerConfig::new(Ipv4Addr::LOCALHOST.into())
        }];
        let mut scene = Self {
            world: World::new(),
            speaker: Speaker::new(&config, 3),
            effects: Effects::default(),
            now: Instant(0),
            written_at: Instant(0),
        };
        scene.speaker.reconcile(config, &mut scene.effects, scene.now);
        scene.carry_out();
        scene
    }

    fn carry_out(&mut self) {
        while self.speaker.work(&mut self.effects, self.now) {}
        for effect in std::mem::take(&mut self.effects).transport {
            self.world.apply(effect);
        }
    }

    /// Takes events until bytes of the peer have come.
    fn hear(&mut self) {
        loop {
            let event = self.world.next();
            let came = matches!(event, TransportEvent::Bytes { .. });
            let event = match &event {
                TransportEvent::Accepted { conn, local, remote } => {
                    Event::Accepted { conn: *conn, local: *local, remote: *remote }
                }
                TransportEvent::Bytes { conn, chunk } => Event::Bytes { conn: *conn, bytes: chunk },
                TransportEvent::Written { conn, tally } => {
                    self.written_at = self.now;
                    Event::Written { conn: *conn, bytes: tally.take() }
                }
                other => panic!("{other:?}"),
            };
            self.speaker.handle(event, &mut self.effects, self.now);
            self.carry_out();
            if came {
                return;
            }
        }
    }

    fn peer(&self) -> PeerView {
        self.speaker.peers().remove(0)
    }
}

/// Our end of a connection that takes in little.
fn connect(scene: &Scene) -> TcpStream {
    let address = scene.world.listen();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

#[test]
fn a_peer_that_sends_and_does_not_read_is_left() {
    let mut scene = Scene::new();
    let mut peer = connect(&scene);
    let open = Open {
        asn: Asn(65_002),
        hold_seconds: 90,
        router_id: RouterId(2),
        capabilities: vec![Capability::multiprotocol(Family::Ipv4), Capability::FourOctetAs(Asn(65_002))],
    };
    let (mut bytes, mut keepalive) = (Vec::new(), Vec::new());
    open.encode(&mut bytes);
    frame::encode_keepalive(&mut keepalive);
    bytes.extend_from_slice(&keepalive);
    peer.write_all(&bytes).expect("it takes an OPEN");
    while scene.peer().state != State::Established {
        scene.hear();
    }
    // It is heard all the time. Whatever still goes into buffers gives it more of it.
    while scene.peer().state == State::Established {
        scene.now = scene.now + STEP;
        scene.speaker.handle(Event::Timer, &mut scene.effects, scene.now);
        scene.carry_out();
        if scene.peer().state != State::Established {
            break;
        }
        assert!(scene.now - scene.written_at < SEND_HOLD, "it is kept");
        peer.write_all(&keepalive).expect("it takes a KEEPALIVE");
        scene.hear();
    }
    let silent = scene.now - scene.written_at;
    assert!((SEND_HOLD..=SEND_HOLD + STEP).contains(&silent), "{silent:?}");
    let view = scene.peer();
    let down = view.down.expect("a reason");
    assert_eq!(down.reason.word(), "send-hold-timer-expired", "{down:?}");
    let told = view.notifications.sent.expect("a NOTIFICATION").notification;
    assert_eq!((told.code, told.subcode), (8, 0));
    // It is told so, if it begins to read before the connection is reset.
    let mut read = Vec::new();
    match peer.read_to_end(&mut read) {
        Ok(_) => assert!(read.ends_with(&[0, 21, 3, 8, 0]), "{:?}", &read[read.len().saturating_sub(40)..]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
