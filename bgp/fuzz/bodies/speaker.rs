//! Octets on an Established session of a speaker that has another, healthy
//! session with routes.
//!
//! The first octet is the size of the pieces. Holds: no panic; the healthy
//! session and its routes stay; pieces make no difference to what the speaker
//! knows; every route that a peer is counted with is there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bgp::config::{
    LimitAction, Origination, OwnNextHop, PeerAs, PeerConfig, Protected, ReceiveLimit, SpeakerConfig, Timers,
};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, NextHop, RouteAck, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::{PeerView, RouteFilter, RouteView};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::open::Open;
use bgp::wire::{encode, frame, pack};

const HEALTHY: ConnId = ConnId::Inbound(1);
const FUZZED: ConnId = ConnId::Inbound(2);
/// What goes beyond is told and stored.
const LIMIT: ReceiveLimit = ReceiveLimit { most: 100, warn_at: Some(80), action: LimitAction::Warn };
const ROUTE: &str = "10.244.9.0/24";

/// Runs the target on one input.
pub(crate) fn run(data: &[u8]) {
    let [size, stream @ ..] = data else { return };
    let whole = known(stream, stream.len().max(1));
    let pieces = known(stream, usize::from(*size) + 1);
    assert_eq!(whole, pieces, "pieces of {} octets", usize::from(*size) + 1);
}

/// What a speaker knows after the stream.
fn known(stream: &[u8], size: usize) -> (Vec<PeerView>, Vec<RouteView>) {
    let mut world = World::new();
    for chunk in stream.chunks(size) {
        world.tell(Event::Bytes { conn: FUZZED, bytes: chunk });
    }
    world.settle();
    world.check()
}

struct World {
    speaker: Speaker,
    effects: Effects,
    closed: bool,
}

fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host).into()
}

fn peer(host: u8) -> PeerConfig {
    PeerConfig {
        name: format!("p{host}"),
        passive: true,
        asn: PeerAs::External,
        timers: Timers {
            hold: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            connect_retry: Duration::from_secs(5),
        },
        own_next_hop: OwnNextHop {
            ipv4: Some(Ipv4Addr::new(10, 0, 0, 1)),
            ipv6: Some("fd00::1".parse().expect("an address")),
        },
        receive: LIMIT,
        send_limit: Some(50),
        ..PeerConfig::new(address(host))
    }
}

fn config() -> SpeakerConfig {
    let own = Origination {
        prefix: "10.244.1.0/24".parse().expect("a prefix"),
        origin: bgp::rule::RouteOrigin::PodCidr,
        communities: Vec::new(),
        large_communities: Vec::new(),
        local_preference: None,
        med: None,
    };
    SpeakerConfig {
        transit: true,
        max_paths: 4,
        origins: vec![own],
        protected: Protected { addresses: vec![address(1)], ..Protected::default() },
        peers: vec![peer(2), peer(3)],
        ..SpeakerConfig::new(Asn(65001), RouterId(0x0a00_0001))
    }
}

impl World {
    fn new() -> Self {
        let config = config();
        let mut world =
            Self { speaker: Speaker::new(&config, 7), effects: Effects::default(), closed: false };
        world.speaker.reconcile(config, &mut world.effects, Instant(0));
        for (host, conn) in [(2, HEALTHY), (3, FUZZED)] {
            let socket = |host| SocketAddr::new(address(host), 179);
            world.tell(Event::Accepted { conn, local: socket(1), remote: socket(host) });
            let mut bytes = Vec::new();
            open(host).encode(&mut bytes);
            frame::encode_keepalive(&mut bytes);
            world.tell(Event::Bytes { conn, bytes: &bytes });
        }
        world.tell(Event::Bytes { conn: HEALTHY, bytes: &announce() });
        world.settle();
        assert!(world.check().0.iter().all(|peer| peer.state == State::Established));
        world
    }

    fn tell(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, Instant(0));
        self.carry_out();
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let more = self.speaker.work(&mut self.effects, Instant(0));
            if !self.carry_out() && !more {
                return;
            }
        }
        panic!("work without end");
    }

    /// Answers the effects as a kernel does in which every next hop resolves;
    /// whether there was anything.
    fn carry_out(&mut self) -> bool {
        let effects = std::mem::take(&mut self.effects);
        let any = !effects.is_empty();
        for effect in effects.transport {
            match effect {
                Transport::Connect { conn, .. } => panic!("a passive peer is dialled: {conn}"),
                Transport::Write { conn, bytes } => {
                    assert!(conn != FUZZED || !self.closed, "a write to a closed connection");
                    let written = Event::Written { conn, bytes: bytes.len() };
                    self.speaker.handle(written, &mut self.effects, Instant(0));
                }
                Transport::Close { conn } => {
                    assert_eq!(conn, FUZZED, "the healthy session was ended");
                    assert!(!std::mem::replace(&mut self.closed, true), "closed twice");
                }
            }
        }
        for tracking in effects.tracking {
            if let Tracking::Start(next_hop) = tracking {
                assert_ne!(next_hop, NextHop { address: address(1), via_default: false }, "our own");
                let event = Event::NextHop { next_hop, metric: Some(0) };
                self.speaker.handle(event, &mut self.effects, Instant(0));
            }
        }
        let ack =
            |change: bgp::io::RouteChange| RouteAck { prefix: change.prefix, set: change.set, errno: 0 };
        let acks: Vec<RouteAck> = effects.routes.into_iter().map(ack).collect();
        if !acks.is_empty() {
            self.speaker.handle(Event::Acks(&acks), &mut self.effects, Instant(0));
        }
        any
    }

    /// All that the speaker knows, checked for what must hold.
    fn check(&self) -> (Vec<PeerView>, Vec<RouteView>) {
        let peers = self.speaker.peers();
        assert_eq!(peers[0].state, State::Established, "the healthy session");
        let route: Prefix = ROUTE.parse().expect("a prefix");
        let routes = self.routes(RouteFilter::All);
        let healthy = routes.iter().find(|view| view.prefix == route).expect("the healthy session's route");
        assert!(healthy.paths.iter().any(|path| path.accepted && path.attributes == attributes()));
        for peer in &peers {
            let received = self.routes(RouteFilter::Received(peer.id));
            let counted = Family::ALL.map(|family| peer.counts[family].received).iter().sum::<u64>();
            assert_eq!(received.len() as u64, counted, "{}", peer.name);
        }
        for route in &routes {
            assert!(self.speaker.explain(route.prefix).route.is_some());
        }
        (peers, routes)
    }

    fn routes(&self, filter: RouteFilter) -> Vec<RouteView> {
        let (mut routes, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.speaker.routes(filter, cursor, 100);
            routes.extend(page.routes);
            cursor = page.next;
            if cursor.is_none() {
                routes.sort_by_key(|route| route.prefix);
                return routes;
            }
        }
    }
}

fn open(host: u8) -> Open {
    let asn = Asn(65000 + u32::from(host));
    let families = Family::ALL.map(Capability::multiprotocol);
    let more = [Capability::RouteRefresh, Capability::FourOctetAs(asn)];
    Open {
        asn,
        hold_seconds: 90,
        router_id: RouterId(0x0a00_0000 + u32::from(host)),
        capabilities: families.into_iter().chain(more).collect(),
    }
}

fn attributes() -> PathAttributes {
    let path = Segment { kind: SegmentKind::Sequence, asns: vec![Asn(65002)] };
    PathAttributes {
        as_path: AsPath { segments: vec![path] },
        ..PathAttributes::originated(NextHops::V4(Ipv4Addr::new(10, 0, 0, 2)))
    }
}

fn announce() -> Vec<u8> {
    let codec = Codec {
        four_octet: true,
        external: true,
        families: PerFamily { ipv4: true, ipv6: true },
        add_path: Codec::NO_PATH_IDS,
        extended_next_hop: false,
        zone: None,
    };
    let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
    encode::attributes(&attributes(), &codec, Family::Ipv4, &mut encoded);
    let prefixes: [bgp::prefix::Prefix; 1] = [ROUTE.parse().expect("a prefix")];
    pack::announce(&encoded, attributes().next_hop, Family::Ipv4, prefixes, pack::Longest::Plain, &mut bytes)
        .expect("one prefix fits a message");
    bytes
}
