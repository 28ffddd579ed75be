//! Octets on an Established session of a speaker that has another, healthy
//! session with routes.
//!
//! The first octet is the size of the pieces. Holds: no panic; the healthy
//! session and its routes stay; whatever the pieces, the speaker knows what a
//! simple table (`reference`) knows of the octets in one, selects what that
//! selects, has the kernel hold it, and says of the other peer what that peer
//! has heard; every route that a peer is counted with is there.

#[path = "reference.rs"]
mod reference;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use bgp::config::{
    LimitAction, Origination, OwnNextHop, PeerAs, PeerConfig, Protected, ReceiveLimit, SpeakerConfig, Timers,
};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, NextHop, RouteAck, SetId, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::{KernelView, PathSource, PathView, RouteFilter, RouteView};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::frame::Framer;
use bgp::wire::open::Open;
use bgp::wire::{encode, frame, pack};

use self::reference::AdjRibIn;

const HEALTHY: ConnId = ConnId::Inbound(1);
const FUZZED: ConnId = ConnId::Inbound(2);
/// What goes beyond is told and stored.
const LIMIT: ReceiveLimit = ReceiveLimit { most: 100, warn_at: Some(80), action: LimitAction::Warn };
const ROUTE: &str = "10.244.9.0/24";

/// Own originations: see [`config`].
const OWN: &str = "10.244.1.0/24";
/// The most that the healthy peer is sent.
const SENT: usize = 50;

const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: true },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};

/// Runs the target on one input.
pub(crate) fn run(data: &[u8]) {
    // Made once, as each input begins with an equal one.
    static ESTABLISHED: OnceLock<World> = OnceLock::new();
    let [size, stream @ ..] = data else { return };
    let mut world = ESTABLISHED.get_or_init(World::new).clone();
    for chunk in stream.chunks(usize::from(*size) + 1) {
        world.tell(Event::Bytes { conn: FUZZED, bytes: chunk });
    }
    world.settle();
    world.check(&AdjRibIn::of(stream, &CODEC));
}

#[derive(Clone)]
struct World {
    speaker: Speaker,
    closed: bool,
    /// What the healthy peer has heard.
    heard: AdjRibIn,
    framer: Framer,
    /// What the kernel holds, and the sets by their numbers.
    kernel: BTreeMap<Prefix, SetId>,
    sets: BTreeMap<SetId, Vec<NextHop>>,
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
        send_limit: Some(SENT as u32),
        ..PeerConfig::new(address(host))
    }
}

fn config() -> SpeakerConfig {
    let own = Origination {
        prefix: OWN.parse().expect("a prefix"),
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
        let mut world = Self {
            speaker: Speaker::new(&config, 7),
            closed: false,
            heard: AdjRibIn::default(),
            framer: Framer::new(),
            kernel: BTreeMap::new(),
            sets: BTreeMap::new(),
        };
        let mut effects = Effects::default();
        world.speaker.reconcile(config, &mut effects, Instant(0));
        world.carry_out(effects);
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
        assert!(world.speaker.peers().iter().all(|peer| peer.state == State::Established));
        world.check(&AdjRibIn::default());
        world
    }

    fn tell(&mut self, event: Event<'_>) {
        let mut effects = Effects::default();
        self.speaker.handle(event, &mut effects, Instant(0));
        self.carry_out(effects);
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut effects = Effects::default();
            let more = self.speaker.work(&mut effects, Instant(0));
            if effects.is_empty() && !more {
                return;
            }
            self.carry_out(effects);
        }
        panic!("work without end");
    }

    /// Answers the effects as a kernel does in which every next hop resolves.
    fn carry_out(&mut self, effects: Effects) {
        for effect in effects.transport {
            match effect {
                Transport::Connect { conn, .. } => panic!("a passive peer is dialled: {conn}"),
                Transport::Write { conn, bytes } => {
                    assert!(conn != FUZZED || !self.closed, "a write to a closed connection");
                    if conn == HEALTHY {
                        self.hear(&bytes);
                    }
                    self.tell(Event::Written { conn, bytes: bytes.len() });
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
                self.tell(Event::NextHop { next_hop, metric: Some(0) });
            }
        }
        for set in effects.sets {
            self.sets.insert(set.id, set.members);
        }
        let mut acks = Vec::new();
        for change in effects.routes {
            match change.set {
                Some(set) => self.kernel.insert(change.prefix, set),
                None => self.kernel.remove(&change.prefix),
            };
            acks.push(RouteAck { prefix: change.prefix, set: change.set, errno: 0 });
        }
        if !acks.is_empty() {
            self.tell(Event::Acks(&acks));
        }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        while let Some(message) = self.framer.next(&mut bytes).expect("what we send is framed well") {
            if message.kind == frame::Kind::Update {
                self.heard.update(message.body, &CODEC).expect("what we send is formed well");
            }
        }
    }

    /// All that the speaker knows, against the reference and what others were told.
    fn check(&self, received: &AdjRibIn) {
        let peers = self.speaker.peers();
        assert_eq!(peers[0].state, State::Established, "the healthy session");
        assert_eq!(peers[1].state == State::Established, !received.ended, "the fuzzed session");
        assert_eq!(self.closed, received.ended);
        let routes = self.routes();
        for (peer, healthy) in peers.iter().zip([true, false]) {
            let shown = routes.iter().filter(|route| of(route, healthy).is_some()).count();
            let counted = Family::ALL.map(|family| peer.counts[family].received).iter().sum::<u64>();
            assert_eq!(shown as u64, counted, "{}", peer.name);
        }
        let fuzzed = routes.iter().filter_map(|route| Some((route.prefix, of(route, false)?)));
        let shown: Vec<_> = fuzzed.map(|(prefix, path)| (prefix, &path.attributes)).collect();
        let expected: Vec<_> =
            received.routes.iter().map(|(prefix, attributes)| (*prefix, attributes)).collect();
        assert_eq!(shown, expected, "what the fuzzed session sent");
        let [own, healthy] = [OWN, ROUTE].map(|text| text.parse::<Prefix>().expect("a prefix"));
        assert!(routes.iter().any(|route| route.prefix == own));
        let stays = routes.iter().find(|route| route.prefix == healthy).and_then(|route| of(route, true));
        assert!(stays.is_some_and(|path| path.accepted && path.attributes == attributes()));
        let mut withheld = 0;
        for route in &routes {
            self.check_selection(route, own);
            withheld += usize::from(self.check_sent(route));
        }
        let known = |prefix: &Prefix| routes.binary_search_by_key(prefix, |route| route.prefix).is_ok();
        assert!(
            self.heard.routes.keys().all(known) && self.kernel.keys().all(known),
            "of routes that are gone"
        );
        assert!(!received.ended || self.heard.routes.len() == 1, "the own prefix alone is left");
        for family in Family::ALL {
            let told = self.heard.routes.keys().filter(|prefix| prefix.family() == family).count();
            assert!(told <= SENT);
            assert_eq!(peers[0].counts[family].sent, told as u64);
        }
        let kept_back = Family::ALL.map(|family| peers[0].counts[family].kept_back).iter().sum::<u64>();
        assert_eq!(withheld as u64, kept_back, "what the limit keeps back");
    }

    /// The best path is the one that the reference ranks first, and the kernel holds it.
    fn check_selection(&self, route: &RouteView, own: Prefix) {
        for path in &route.paths {
            let looped = reference::is_loop(&path.attributes, Asn(65001));
            assert!(path.source == PathSource::Local || !(looped && path.accepted), "a loop is let in");
        }
        let learned = route.paths.iter().filter(|path| path.accepted && path.source != PathSource::Local);
        // Of equals the lower BGP Identifier, which is the healthy peer's (RFC 4271 §9.1.2.2 f).
        let best = learned.min_by_key(|path| (reference::rank(&path.attributes), is_fuzzed(path)));
        let best = best.filter(|_| route.prefix != own);
        let first = route.paths.first().filter(|path| path.accepted && path.source != PathSource::Local);
        assert_eq!(first, best, "{}", route.prefix);
        let set = self.kernel.get(&route.prefix);
        assert_eq!(set.is_some(), best.is_some(), "{}: in the kernel", route.prefix);
        assert_eq!(route.kernel == KernelView::Installed, best.is_some());
        if let (Some(set), Some(best)) = (set, best) {
            assert_eq!(self.sets[set], route.next_hops, "{}", route.prefix);
            let address = best.attributes.next_hop.address();
            assert!(route.next_hops.contains(&NextHop { address, via_default: false }));
        }
    }

    /// The healthy peer has heard what the speaker says it was sent, and what is to stay
    /// is not there; whether the limit keeps the route back.
    fn check_sent(&self, route: &RouteView) -> bool {
        let explained = self.speaker.explain(route.prefix);
        let sent = explained.sent.into_iter().find(|sent| sent.address == address(2)).expect("the peer");
        let heard = self.heard.routes.get(&route.prefix);
        let Some(best) = route.paths.first().filter(|path| path.accepted) else {
            assert_eq!(heard, None, "{}: nothing is selected", route.prefix);
            return false;
        };
        if let Some(heard) = heard {
            let path = &best.attributes;
            assert!(best.source == PathSource::Local || is_fuzzed(best), "sent back");
            assert!(best.source == PathSource::Local || !reference::stays(path));
            // RFC 4271 §5.1.2 b.
            assert_eq!(heard.as_path.neighbor(), Some(Asn(65001)));
            assert_eq!(heard.as_path.hops(), path.as_path.hops() + 1);
            assert_eq!((heard.med, heard.local_preference), (None, None));
        }
        match sent.sent {
            Ok(paths) => {
                let on_the_wire = |mut attributes: PathAttributes| {
                    // RFC 4271 §5: whoever passes on what it does not know says so.
                    attributes.unknown.iter_mut().for_each(|unknown| unknown.flags |= 0x20);
                    attributes
                };
                let paths: Vec<_> = paths.into_iter().map(|path| on_the_wire(path.attributes)).collect();
                assert_eq!(paths, heard.cloned().into_iter().collect::<Vec<_>>(), "{}", route.prefix);
                false
            }
            Err(refusal) => {
                assert_eq!(heard, None, "{}: {}", route.prefix, refusal.detail);
                refusal.reason == bgp::reason::Reason::SendLimit
            }
        }
    }

    /// All routes, ordered.
    fn routes(&self) -> Vec<RouteView> {
        let (mut routes, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.speaker.routes(RouteFilter::All, cursor, 100);
            routes.extend(page.routes);
            cursor = page.next;
            if cursor.is_none() {
                routes.sort_by_key(|route| route.prefix);
                return routes;
            }
        }
    }
}

fn is_fuzzed(path: &PathView) -> bool {
    matches!(path.source, PathSource::Peer { address: from, .. } if from == address(3))
}

/// The path of the healthy peer, or of the other one.
fn of(route: &RouteView, healthy: bool) -> Option<&PathView> {
    route.paths.iter().find(|path| path.source != PathSource::Local && is_fuzzed(path) != healthy)
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
    let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
    encode::attributes(&attributes(), &CODEC, Family::Ipv4, &mut encoded);
    let prefixes: [bgp::prefix::Prefix; 1] = [ROUTE.parse().expect("a prefix")];
    pack::announce(&encoded, attributes().next_hop, Family::Ipv4, prefixes, pack::Longest::Plain, &mut bytes)
        .expect("one prefix fits a message");
    bytes
}
