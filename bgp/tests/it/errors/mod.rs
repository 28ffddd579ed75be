//! Each line of the table against a speaker that has another, healthy session.

mod table;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bgp::config::SpeakerConfig;
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, State as Session, Transport};
use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::view::{PathSource, PathView, PeerView};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::codec::Codec;
use bgp::wire::{encode, pack};

use self::table::{Case, Follows, State, Table, message};
use crate::sim::network::{config, peer};

const HEALTHY: ConnId = ConnId::Inbound(1);
const TESTED: ConnId = ConnId::Inbound(2);
const FAR: &str = "10.244.9.0/24";
const SENTINEL: &str = "10.244.21.0/24";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The peer that a state speaks of.
fn remote(state: State) -> IpAddr {
    address(match state {
        State::Extended => "10.0.2.4",
        _ if state.is_internal() => "10.0.2.3",
        _ => "10.0.2.2",
    })
}

struct World {
    speaker: Speaker,
    effects: Effects,
    /// Messages to the peer under test.
    inbox: Vec<u8>,
    closed: bool,
}

impl World {
    fn new() -> Self {
        let named = |text: &str| {
            let mut named = peer(0, 1);
            (named.address, named.passive) = (address(text), true);
            named
        };
        let mut config = SpeakerConfig { router_id: RouterId(0x0a00_0102), ..config(0, 65_001) };
        config.protected.addresses = vec![address("10.0.1.2"), address("10.0.2.1")];
        config.peers = ["10.0.1.1", "10.0.2.2", "10.0.2.3", "10.0.2.4"].map(named).into();
        config.peers[1].asn = bgp::config::PeerAs::Exactly(Asn(65_200));
        config.peers[1].add_path.receive = true;

        config.peers[2].asn = bgp::config::PeerAs::Exactly(Asn(65_001));
        config.peers[3].asn = bgp::config::PeerAs::Exactly(Asn(65_200));
        config.peers[3].extended_next_hop = true;
        let speaker = Speaker::new(&config, 3);
        let mut world = Self { speaker, effects: Effects::default(), inbox: Vec::new(), closed: false };
        world.speaker.reconcile(config, &mut world.effects, Instant(0));
        world.accept(HEALTHY, address("10.0.1.1"));
        let open = [4, 0xfe, 0x4c, 0, 90, 10, 0, 1, 1, 8, 2, 6, 65, 4, 0, 0, 0xfe, 0x4c];
        world.tell(HEALTHY, &[message(1, &open), message(4, &[]), far()].concat());
        world
    }

    fn accept(&mut self, conn: ConnId, remote: IpAddr) {
        let [local, remote] = [address("10.0.2.1"), remote].map(|ip| SocketAddr::new(ip, 179));
        let event = Event::Accepted { conn, local, remote };
        self.speaker.handle(event, &mut self.effects, Instant(0));
        self.carry_out();
    }

    fn tell(&mut self, conn: ConnId, bytes: &[u8]) {
        self.speaker.handle(Event::Bytes { conn, bytes }, &mut self.effects, Instant(0));
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while self.speaker.work(&mut self.effects, Instant(0)) {}
        for effect in std::mem::take(&mut self.effects).transport {
            match effect {
                Transport::Write { conn: TESTED, bytes } => self.inbox.extend_from_slice(&bytes),
                Transport::Close { conn } => {
                    assert_eq!(conn, TESTED, "the healthy session was ended");
                    self.closed = true;
                }
                _ => {}
            }
        }
    }

    /// The messages to the peer under test since the last call: type and body.
    fn messages(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        let mut rest = &self.inbox[..];
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, kind, ..] = *rest {
            let (message, tail) = rest.split_at(usize::from(u16::from_be_bytes([high, low])));
            messages.push((kind, message[19..].to_vec()));
            rest = tail;
        }
        self.inbox.clear();
        messages
    }

    fn path(&self, from: IpAddr, prefix: Prefix) -> Option<PathView> {
        let route = self.speaker.route(prefix)?;
        let of =
            |path: &PathView| matches!(&path.source, PathSource::Peer { address, .. } if *address == from);
        route.paths.into_iter().find(of)
    }

    fn peer(&self, address: IpAddr) -> PeerView {
        self.speaker.peers().into_iter().find(|peer| peer.address == address).expect("a peer")
    }
}

/// What the healthy peer announces.
fn far() -> Vec<u8> {
    let first = Segment { kind: SegmentKind::Sequence, asns: vec![Asn(65_100)] };
    let next_hop = NextHops::V4(std::net::Ipv4Addr::new(10, 0, 1, 1));
    let path =
        PathAttributes { as_path: AsPath { segments: vec![first] }, ..PathAttributes::originated(next_hop) };
    let families = bgp::prefix::PerFamily { ipv4: true, ipv6: false };
    let codec = Codec {
        four_octet: true,
        external: true,
        families,
        add_path: Codec::NO_PATH_IDS,
        extended_next_hop: false,
        zone: None,
    };
    let (mut attributes, mut bytes) = (Vec::new(), Vec::new());
    let far: Prefix = FAR.parse().expect("a prefix");
    encode::attributes(&path, &codec, far.family(), &mut attributes);
    pack::announce(&attributes, next_hop, far.family(), [far], pack::Longest::Plain, &mut bytes)
        .expect("one prefix fits");
    bytes
}

fn run(table: &Table, case: &Case) {
    let what = format!("{} ({})", case.name, case.rule);
    let mut world = World::new();
    let from = remote(case.state);
    world.accept(TESTED, from);
    if !matches!(case.state, State::OpenSent | State::InnerOpenSent) {
        world.tell(TESTED, &table.open(case.state));
    }
    let up = case.state.is_up();
    if up {
        world.tell(TESTED, &message(4, &[]));
        assert_eq!(world.peer(from).state, Session::Established, "{what}");
    }
    if let Follows::Withdraw(prefix) = case.follows {
        world.tell(TESTED, &table.announce(case.state, prefix));
        assert!(world.path(from, prefix).is_some_and(|path| path.accepted), "{what}: there before");
    }
    world.messages();
    world.tell(TESTED, &case.sent);
    let messages = world.messages();
    let told = messages.iter().find(|(kind, _)| *kind == 3).map(|(_, body)| body.clone());
    match &case.follows {
        Follows::Close(code, subcode, data) => {
            let expected = [&[*code, *subcode][..], data].concat();
            assert_eq!(told, Some(expected), "{what}");
            assert!(world.closed, "{what}");
            let kept = world.peer(from).notifications.sent.expect("kept").notification;
            assert_eq!((kept.code, kept.subcode), (*code, *subcode), "{what}");
        }
        Follows::Silent => {
            assert_eq!((told, world.closed), (None, true), "{what}");
            let kept = world.peer(from).notifications.received.expect("kept").notification;
            assert_eq!([&[kept.code, kept.subcode][..], &kept.data].concat(), case.sent[19..], "{what}");
        }
        Follows::Confirm => {
            assert_eq!((told, world.closed), (None, false), "{what}");
            assert!(messages.iter().any(|(kind, _)| *kind == 4), "{what}: our KEEPALIVE");
        }
        follows => {
            assert_eq!((told, world.closed), (None, false), "{what}");
            stays(table, &mut world, case, follows, &what);
        }
    }
    let far: Prefix = FAR.parse().expect("a prefix");
    assert!(world.path(address("10.0.1.1"), far).is_some(), "{what}: the healthy session's route");
}

/// The session stays and works on; what became of the prefix.
fn stays(table: &Table, world: &mut World, case: &Case, follows: &Follows, what: &str) {
    let from = remote(case.state);
    let sentinel: Prefix = SENTINEL.parse().expect("a prefix");
    let before = world.peer(from).malformed;
    world.tell(TESTED, &table.announce(case.state, sentinel));
    assert!(world.path(from, sentinel).is_some_and(|path| path.accepted), "{what}: works on");
    let (count, problem) = before;
    let malformed = format!("{count} malformed {problem:?}");
    match *follows {
        Follows::Accept(prefix) => {
            assert!(world.path(from, prefix).is_some_and(|path| path.accepted), "{what}");
            assert_eq!(count, 0, "{what}: {malformed}");
        }
        Follows::Discard(prefix) => {
            assert!(world.path(from, prefix).is_some_and(|path| path.accepted), "{what}");
            assert!(problem.is_some_and(|text| text.contains("attribute-discard")), "{what}: {malformed}");
        }
        Follows::Withdraw(prefix) => {
            assert!(world.path(from, prefix).is_none(), "{what}");
            assert!(problem.is_some_and(|text| text.contains("treat-as-withdraw")), "{what}: {malformed}");
        }
        Follows::Refuse(word, prefix) => {
            let path = world.path(from, prefix).unwrap_or_else(|| panic!("{what}: kept"));
            assert_eq!((path.accepted, path.verdict.word()), (false, word), "{what}");
            assert_eq!(count, 0, "{what}: {malformed}");
        }
        Follows::Ignore(prefix) => assert!(world.path(from, prefix).is_none(), "{what}"),
        Follows::Close(..) | Follows::Silent | Follows::Confirm => unreachable!("the session ends"),
    }
}

#[test]
fn each_line_of_the_table_holds() {
    let table = Table::read();
    let mut broken = Vec::new();
    for case in &table.cases {
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&table, case)));
        broken.extend(held.is_err().then_some(case.name));
    }
    assert!(broken.is_empty(), "{} of {} do not hold: {broken:#?}", broken.len(), table.cases.len());
}

#[test]
fn the_table_says_what_it_covers() {
    let table = Table::read();
    let names: BTreeSet<&str> = table.cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), table.cases.len(), "each case has a name of its own");
    assert!(table.cases.len() >= 490, "{} cases", table.cases.len());
    assert!(table.cases.iter().all(|case| case.rule.starts_with("RFC ")), "each has its rule");
    // Each attribute of RFC 7606 §7 that this speaker knows.
    let sections =
        ["7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "7.7", "7.8", "7.9", "7.10", "7.11", "7.14", "7.15"];
    for section in sections {
        let rule = format!("RFC 7606 {section}");
        assert!(table.cases.iter().any(|case| case.rule == rule), "{rule}");
    }
}
