//! IPv6 next hops of IPv4 prefixes (RFC 8950), and peers on links without addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bgp::config::{OwnNextHop, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, RouteAck, SetId, State, Tracking, Transport};
use bgp::prefix::Family;
use bgp::reason::Reason;
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::extended_next_hop::ExtendedNextHop;
use bgp::wire::open::Open;
use bgp::wire::{encode, frame, pack};
use bgp::zone::{self, Zone};

use super::network::{Network, config, peer, prefix};
use super::routes::{assert_quiescent, originate, wired};

const PODS: &str = "10.244.1.0/24";
const PODS6: &str = "fd00:10:244:1::/64";

/// Takes router `own`'s IPv4 address towards `other` away, and says whether IPv6 may go in its place.
fn without_ipv4(network: &mut Network, own: usize, other: usize, extended: bool) {
    network.reconcile(own, |config| {
        let other = super::network::address(other);
        for peer in config.peers.iter_mut().filter(|peer| peer.address == other) {
            (peer.own_next_hop.ipv4, peer.extended_next_hop) = (None, extended);
        }
    });
}

fn refusal(network: &Network, router: usize) -> (Reason, String) {
    let sent = network.explain(router, prefix(PODS)).sent;
    let refusal = sent.into_iter().find_map(|sent| sent.sent.err()).expect("not sent");
    (refusal.reason, refusal.detail)
}

#[test]
fn ipv4_goes_by_ipv6_where_both_said_so_and_nowhere_else() {
    let six: IpAddr = "fd00::1".parse().expect("an address");
    for (ours, theirs) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut network = wired(61, &[65001, 65002], &[(0, 1)], &[]);
        without_ipv4(&mut network, 0, 1, ours);
        without_ipv4(&mut network, 1, 0, theirs);
        originate(&mut network, 0, &[PODS, PODS6]);
        network.until_up();
        network.settle();
        assert_eq!(network.fib(1, prefix(PODS6)), Some(vec![six]));
        let both = ours && theirs;
        assert_eq!(network.fib(1, prefix(PODS)), both.then(|| vec![six]), "{ours} {theirs}");
        if !both {
            let why = "no own IPv4 address to name as next hop, and RFC 8950 is not negotiated";
            assert_eq!(refusal(&network, 0), (Reason::NoNextHop, why.to_owned()));
        }
        assert_quiescent(&network);
    }
}

#[test]
fn a_change_of_what_is_said_takes_a_new_session() {
    let mut network = wired(62, &[65001, 65002], &[(0, 1)], &[]);
    without_ipv4(&mut network, 0, 1, true);
    without_ipv4(&mut network, 1, 0, true);
    originate(&mut network, 0, &[PODS]);
    network.until_up();
    network.until("it is there", |network| network.fib(1, prefix(PODS)).is_some());
    without_ipv4(&mut network, 1, 0, false);
    network.until("it is gone", |network| {
        network.peer(0, 1).established_count == 2 && network.fib(1, prefix(PODS)).is_none()
    });
    network.settle();
    assert_quiescent(&network);
}

#[test]
fn a_peer_inside_the_as_that_does_not_take_ipv6_is_sent_the_own_address() {
    let mut network = wired(63, &[65001, 65002, 65002], &[(0, 1), (1, 2)], &[1]);
    without_ipv4(&mut network, 0, 1, true);
    without_ipv4(&mut network, 1, 0, true);
    originate(&mut network, 0, &[PODS]);
    network.until_up();
    network.settle();
    assert_eq!(network.fib(2, prefix(PODS)), Some(vec![super::network::address(1)]));
    // As it came where the peer takes it.
    for (own, other) in [(1, 2), (2, 1)] {
        network.reconcile(own, |config| {
            let other = super::network::address(other);
            let named = config.peers.iter_mut().find(|peer| peer.address == other);
            named.expect("a peer").extended_next_hop = true;
        });
    }
    network.until_up();
    network.settle();
    assert_eq!(network.fib(2, prefix(PODS)), Some(vec!["fd00::1".parse().expect("an address")]));
    assert_quiescent(&network);
}

/// The router behind each of two links, which has one address on both.
fn router(link: u32) -> Ipv6Addr {
    let zone = Zone::new(link).expect("a link");
    zone::within("fe80::1".parse().expect("an address"), zone).expect("link-local")
}

/// A speaker with a peer on each of two links.
struct Links {
    speaker: Speaker,
    effects: Effects,
    /// What each link's router was sent.
    told: BTreeMap<u32, Vec<u8>>,
    tracked: Vec<IpAddr>,
    sets: BTreeMap<SetId, Vec<IpAddr>>,
    routes: BTreeMap<String, Option<SetId>>,
}

impl Links {
    fn new() -> Self {
        let own = |link: u32| {
            let zone = Zone::new(link).expect("a link");
            zone::within("fe80::2".parse().expect("an address"), zone)
        };
        let on = |link: u32| PeerConfig {
            name: format!("eth{link}"),
            extended_next_hop: true,
            own_next_hop: OwnNextHop { ipv4: None, ipv6: own(link) },
            address: router(link).into(),
            ..peer(0, 1)
        };
        let mut config = SpeakerConfig { relax_as_path: true, ..config(0, 65_001) };
        config.peers = vec![on(1), on(2)];
        config.origins = ["10.244.1.0/24", PODS6].map(super::routes::origin).into();
        let mut links = Self {
            speaker: Speaker::new(&config, 5),
            effects: Effects::default(),
            told: BTreeMap::new(),
            tracked: Vec::new(),
            sets: BTreeMap::new(),
            routes: BTreeMap::new(),
        };
        links.speaker.reconcile(config, &mut links.effects, Instant(0));
        links.settle();
        links
    }

    fn tell(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, Instant(0));
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let more = self.speaker.work(&mut self.effects, Instant(0));
            let effects = std::mem::take(&mut self.effects);
            if effects.is_empty() && !more {
                return;
            }
            for effect in effects.transport {
                if let Transport::Write { conn: ConnId::Inbound(link), bytes } = effect {
                    self.told.entry(link as u32).or_default().extend_from_slice(&bytes);
                }
            }
            for change in effects.sets {
                self.sets.insert(change.id, change.members.iter().map(|member| member.address).collect());
            }
            for change in effects.routes {
                self.routes.insert(change.prefix.to_string(), change.set);
                let ack = RouteAck { prefix: change.prefix, set: change.set, errno: 0 };
                self.speaker.handle(Event::Acks(&[ack]), &mut self.effects, Instant(0));
            }
            for effect in effects.tracking {
                if let Tracking::Start(next_hop) = effect {
                    self.tracked.push(next_hop.address);
                    let event = Event::NextHop { next_hop, metric: Some(0) };
                    self.speaker.handle(event, &mut self.effects, Instant(0));
                }
            }
        }
    }

    /// The router of a link connects, says who it is, and sends a prefix in each family.
    fn connect(&mut self, link: u32) {
        let conn = ConnId::Inbound(link.into());
        let end =
            |address: &str| -> SocketAddr { format!("[{address}%{link}]:179").parse().expect("an end") };
        self.tell(Event::Accepted { conn, local: end("fe80::2"), remote: end("fe80::1") });
        let asn = Asn(65_000);
        let mut capabilities: Vec<_> = Family::ALL.map(Capability::multiprotocol).into();
        capabilities.push(Capability::ExtendedNextHop(ExtendedNextHop::ipv4_by_ipv6()));
        let open = Open { asn, hold_seconds: 90, router_id: RouterId(link), capabilities };
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        frame::encode_keepalive(&mut bytes);
        let next_hop = NextHops::V6 { global: "fe80::1".parse().expect("an address"), link_local: None };
        let first = Segment { kind: SegmentKind::Sequence, asns: vec![asn] };
        let path = PathAttributes {
            as_path: AsPath { segments: vec![first] },
            ..PathAttributes::originated(next_hop)
        };
        let codec = Codec {
            four_octet: false,
            external: true,
            families: bgp::prefix::PerFamily { ipv4: true, ipv6: true },
            add_path: Codec::NO_PATH_IDS,
            extended_next_hop: true,
            zone: None,
        };
        for text in ["10.244.9.0/24", "fd00:10:244:9::/64"] {
            let (far, mut attributes) = (prefix(text), Vec::new());
            encode::attributes(&path, &codec, far.family(), &mut attributes);
            pack::announce(&attributes, next_hop, far.family(), [far], pack::Longest::Plain, &mut bytes)
                .expect("one prefix fits");
        }
        self.tell(Event::Bytes { conn, bytes: &bytes });
    }

    fn hops(&self, text: &str) -> Vec<IpAddr> {
        let set = self.routes.get(text).copied().flatten();
        set.and_then(|set| self.sets.get(&set)).cloned().unwrap_or_default()
    }
}

#[test]
fn one_address_on_two_links_is_two_peers_and_two_next_hops() {
    let mut links = Links::new();
    links.connect(1);
    let [first, second]: [IpAddr; 2] = [router(1).into(), router(2).into()];
    assert_eq!(links.hops("10.244.9.0/24"), [first]);
    links.connect(2);
    let peers = links.speaker.peers();
    let up: Vec<_> = peers.iter().filter(|peer| peer.state == State::Established).collect();
    assert_eq!(up.iter().map(|peer| peer.address).collect::<Vec<_>>(), [first, second]);
    // The same octets, and a route over each link.
    for text in ["10.244.9.0/24", "fd00:10:244:9::/64"] {
        assert_eq!(links.hops(text), [first, second], "{text}");
    }
    assert_eq!(links.tracked, [first, second]);
    // What they are sent names no link: IPv4 and IPv6, by fe80::2 alone.
    for link in [1, 2] {
        let told = &links.told[&link];
        let zoned = |bytes: &[u8]| bytes.starts_with(&[0xfe, 0x80]) && bytes[2..8] != [0; 6];
        assert!(!told.windows(8).any(zoned), "{told:02x?}");
        for reach in [&[0, 1, 1, 16, 0xfe, 0x80][..], &[0, 2, 1, 16, 0xfe, 0x80]] {
            assert!(told.windows(6).any(|octets| octets == reach), "{reach:02x?} in {told:02x?}");
        }
    }
    // One goes, and its routes alone.
    links.tell(Event::Closed { conn: ConnId::Inbound(1), error: None });
    assert_eq!(links.hops("10.244.9.0/24"), [second]);
}
