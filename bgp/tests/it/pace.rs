//! When what peers send is passed on: that of one at once, that of several once.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bgp::config::{OwnNextHop, PeerAs, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::encode;
use bgp::wire::frame::{Framer, Kind, encode_keepalive};
use bgp::wire::open::Open;
use bgp::wire::pack::{self, Longest};
use bgp::wire::update::Update;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const CODEC: Codec = Codec {
    four_octet: true,
    external: true,
    families: PerFamily { ipv4: true, ipv6: false },
    add_path: Codec::NO_PATH_IDS,
    extended_next_hop: false,
    zone: None,
};
/// The peer that is sent everything and sends nothing.
const RECEIVER: u32 = 0;

fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a09_0101 + peer)
}

const fn asn(peer: u32) -> Asn {
    Asn(64_000 + peer)
}

fn prefixes(from: u32, count: u32) -> Vec<Prefix> {
    let prefix = |at: u32| Prefix::new(Ipv4Addr::from_bits(0x0b00_0000 + at * 256).into(), 24);
    (from..from + count).filter_map(prefix).collect()
}

/// One path a peer; of equal ones that of the lowest address is the best.
fn announcement(peer: u32, prefixes: &[Prefix]) -> Vec<u8> {
    let mut attributes = PathAttributes::originated(NextHops::V4(address(peer)));
    let segment = Segment { kind: SegmentKind::Sequence, asns: vec![asn(peer), Asn(65_500)] };
    attributes.as_path = AsPath { segments: vec![segment] };
    let (mut raw, mut out) = (Vec::new(), Vec::new());
    encode::attributes(&attributes, &CODEC, Family::Ipv4, &mut raw);
    let routes = prefixes.iter().copied();
    pack::announce(&raw, attributes.next_hop, Family::Ipv4, routes, Longest::Plain, &mut out)
        .expect("the attributes are short");
    out
}

fn withdrawal(prefixes: &[Prefix]) -> Vec<u8> {
    let mut out = Vec::new();
    pack::withdraw(Family::Ipv4, prefixes.iter().copied(), &mut out);
    out
}

/// A speaker with Established peers, and what the receiver heard of each prefix.
struct Scene {
    speaker: Speaker,
    effects: Effects,
    now: Instant,
    announced: BTreeMap<Prefix, Vec<Asn>>,
    withdrawn: Vec<Prefix>,
}

impl Scene {
    fn new(peers: u32) -> Self {
        let mut config = SpeakerConfig::new(Asn(65_000), RouterId::from(OWN));
        (config.install, config.transit) = (false, true);
        let peer = |peer| PeerConfig {
            own_next_hop: OwnNextHop { ipv4: Some(OWN), ipv6: None },
            asn: PeerAs::Exactly(asn(peer)),
            ..PeerConfig::new(address(peer).into())
        };
        config.peers = (0..peers).map(peer).collect();
        let mut scene = Self {
            speaker: Speaker::new(&config, 7),
            effects: Effects::default(),
            now: Instant(0),
            announced: BTreeMap::new(),
            withdrawn: Vec::new(),
        };
        scene.speaker.reconcile(config, &mut scene.effects, scene.now);
        for peer in 0..peers {
            let [local, remote] = [OWN, address(peer)].map(|address| SocketAddr::new(address.into(), 179));
            scene.handle(Event::Accepted { conn: ConnId::Inbound(peer.into()), local, remote });
            let mut hello = Vec::new();
            let capabilities =
                vec![Capability::multiprotocol(Family::Ipv4), Capability::FourOctetAs(asn(peer))];
            let router_id = RouterId::from(address(peer));
            Open { asn: asn(peer), hold_seconds: 0, router_id, capabilities }.encode(&mut hello);
            encode_keepalive(&mut hello);
            scene.receive(peer, &hello);
        }
        // The kernel speaks of each peer's address before a path names it: none waits for that.
        scene.settle();
        scene
    }

    fn handle(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, self.now);
    }

    fn receive(&mut self, peer: u32, bytes: &[u8]) {
        self.handle(Event::Bytes { conn: ConnId::Inbound(peer.into()), bytes });
    }

    /// The end of a turn; whether more is to be done.
    fn turn(&mut self) -> bool {
        let mut more = self.speaker.work(&mut self.effects, self.now);
        let Effects { transport, tracking, .. } = std::mem::take(&mut self.effects);
        for effect in transport {
            let Transport::Write { conn, bytes } = effect else { continue };
            if conn == ConnId::Inbound(RECEIVER.into()) {
                self.hear(&bytes);
            }
            self.handle(Event::Written { conn, bytes: bytes.len() });
        }
        for effect in tracking {
            let Tracking::Start(next_hop) = effect else { continue };
            self.handle(Event::NextHop { next_hop, metric: Some(0) });
            more = true;
        }
        more
    }

    fn settle(&mut self) {
        while self.turn() {}
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        let mut framer = Framer::new();
        while let Some(frame) = framer.next(&mut bytes).expect("whole messages") {
            if frame.kind != Kind::Update {
                continue;
            }
            let update = Update::parse(frame.body, &CODEC).expect("an UPDATE");
            self.withdrawn.extend(update.withdrawn().flat_map(bgp::wire::nlri::Nlri::iter));
            for part in update.announced() {
                let key = update.key(&mut Vec::new()).to_vec();
                let graded = bgp::wire::decode::attributes(&key, part.next_hop, &CODEC).expect("attributes");
                let path = graded.attributes.expect("well formed").as_path;
                // Behind our own AS comes the one that it was learned from.
                let from = path.segments[0].asns[1];
                part.nlri.iter().for_each(|prefix| self.announced.entry(prefix).or_default().push(from));
            }
        }
    }
}

#[test]
fn what_one_peer_sends_goes_out_turn_by_turn() {
    let mut scene = Scene::new(3);
    for turn in 0..20 {
        scene.receive(1, &announcement(1, &prefixes(turn * 500, 500)));
        scene.turn();
        assert_eq!(scene.announced.len(), (turn as usize + 1) * 500, "turn {turn}");
    }
}

#[test]
fn what_several_peers_send_is_announced_once() {
    const SENDERS: u32 = 8;
    let mut scene = Scene::new(SENDERS + 1);
    for part in 0..10 {
        // The best comes last: each of them is better than what came before.
        for peer in (1..=SENDERS).rev() {
            scene.receive(peer, &announcement(peer, &prefixes(part * 500, 500)));
            scene.turn();
        }
    }
    scene.settle();
    assert_eq!(scene.announced.len(), 5_000);
    assert!(scene.announced.values().all(|from| from.last() == Some(&asn(1))), "the best one in the end");
    let sent: usize = scene.announced.values().map(Vec::len).sum();
    assert!(sent <= 7_500, "{sent} announcements of 5000 prefixes by {SENDERS} peers");
}

#[test]
fn a_turn_in_which_nothing_came_ends_the_wait() {
    let mut scene = Scene::new(4);
    for peer in [3, 2, 1] {
        scene.receive(peer, &announcement(peer, &prefixes(0, 2_000)));
    }
    scene.turn();
    assert!(scene.announced.len() < 2_000, "something waits for what may still come");
    scene.turn();
    assert_eq!(scene.announced.len(), 2_000);
}

#[test]
fn peers_that_never_pause_hold_nothing_back_for_good() {
    let mut scene = Scene::new(4);
    let mut turns = 0;
    scene.receive(3, &announcement(3, &prefixes(500_000, 1_000)));
    while prefixes(500_000, 1_000).iter().any(|prefix| !scene.announced.contains_key(prefix)) {
        for peer in [1, 2] {
            scene.receive(peer, &announcement(peer, &prefixes(turns * 200, 200)));
        }
        scene.turn();
        scene.now = scene.now + Duration::from_millis(5);
        turns += 1;
        assert!(turns < 400, "{} of it are out after two seconds", scene.announced.len());
    }
}

#[test]
fn a_withdrawal_never_waits_for_others() {
    let mut scene = Scene::new(4);
    let known = prefixes(500_000, 100);
    scene.receive(3, &announcement(3, &known));
    scene.settle();
    for turn in 0..4 {
        for peer in [1, 2] {
            scene.receive(peer, &announcement(peer, &prefixes(turn * 2_000, 2_000)));
        }
        scene.turn();
    }
    scene.receive(1, &announcement(1, &prefixes(50_000, 2_000)));
    scene.receive(3, &withdrawal(&known));
    scene.turn();
    assert_eq!(scene.withdrawn, known);
}
