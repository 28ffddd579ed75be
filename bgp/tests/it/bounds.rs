//! What a peer can make grow, and where it ends.
//!
//! | what | the most | by | test |
//! |---|---|---|---|
//! | octets of an unfinished message | one message: 4 096, or 65 535 where negotiated | `wire::frame` | `any_cut_gives_the_same_messages` |
//! | AS_PATH, communities, any other attribute | what one message holds | `wire::frame` | `the_longest_message_passes` |
//! | prefixes of a family | `limits.receive`, a million unless told | `config::ReceiveLimit` | `what_is_beyond_the_limit_is_refused_and_asked_for_once_there_is_room` |
//! | paths of a prefix, and their identifiers | 64 | `rib::source` | `a_peer_has_so_many_paths_of_a_prefix_and_no_more` |
//! | attribute sets | one a path that is held | `rib::attributes` | `sets_that_nothing_names_go` |
//! | octets of sets that are known again | 262 144 sets of 1 024 octets | `rib::attributes::raw` | `octets_of_sets_are_known_up_to_a_length` |
//! | routes of it in the kernel | its prefixes | `rib::loc` | `what_is_beyond_the_limit_is_refused_and_asked_for_once_there_is_room` |
//! | prefixes that are sent to it | `limits.send` | `rib::adj_out` | `no_more_than_the_send_limit_goes_out_and_what_waits_comes_when_there_is_room` |
//! | octets that wait until it reads | a MiB, and what one turn wrote | `speaker` | `octets_for_one_who_does_not_read_are_bounded` |
//! | what the transport holds of them | the same, and no octet twice | `transport` | `a_peer_that_does_not_read_costs_a_bounded_queue` |
//! | octets of it that wait for us | one chunk of 64 KiB | `transport` | `a_connection_that_floods_has_one_chunk_under_way` |
//! | the data of its last NOTIFICATION | 256 octets | `io::Told` | `what_is_kept_of_a_notification_is_its_beginning` |
//! | prefixes known as malformed | the newest 256 | `speaker::withdrawn` | `malformed_prefixes_are_known_up_to_a_number` |
//! | the text of the last malformed attribute | one line | `wire::grade` | `malformed_prefixes_are_known_up_to_a_number` |
//! | texts of events | 512 characters | `status::event` | `texts_are_bounded` |
//! | events, notes, lists that are watched | rings of a fixed size | `status::ring` | `revisions_are_bounded_too` |
//! | routes in one answer | a page of 1 000 | `status::page` | `page_size_is_bounded` |
//! | requests to send all again | one under way a family | `rib::adj_out` | `requests_that_come_together_are_answered_once` |
//! | connections of one peer | one each way | `session` | `many_connections_of_a_peer_are_two_at_most` |
//! | neighbours of a `listen` | its `max`, 100 unless told | `speaker::dynamic` | `there_are_as_many_as_may_be_and_room_is_given_again` |
//! | routers heard on an interface | one | `discovery` | `two_nodes_find_each_other_and_ignore_a_third` |

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bgp::id::ConnId;
use bgp::io::{Effects, Event, State, Transport};
use bgp::prefix::{Family, Prefix};
use bgp::rib::attributes::Store;
use bgp::rib::{Rib, RibConfig};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::code;
use bgp::wire::encode;
use bgp::wire::notification::Notification;
use bgp::wire::refresh::Refresh;

use crate::sim::network::{Network, address, config, peer};
use crate::wire::EXTERNAL;

/// Two routers with a session, of which the second one says what it is told to.
fn pair(seed: u64) -> Network {
    let mut configs = vec![config(0, 65_001), config(1, 65_002)];
    configs[0].peers.push(peer(0, 1));
    configs[1].peers.push(peer(1, 0));
    let mut network = Network::new(seed, configs);
    network.until_up();
    network.settle();
    network
}

/// An UPDATE of one /24 with an ORIGIN of that value.
fn update(number: u32, origin: u8, more: &[u8]) -> Vec<u8> {
    let [_, high, low, _] = (number << 8).to_be_bytes();
    let attributes =
        [&[0x40, 1, 1, origin, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea, 0x40, 3, 4, 10, 0, 0, 2][..], more]
            .concat();
    let len = (attributes.len() as u16).to_be_bytes();
    let body = [&[0, 0][..], &len, &attributes, &[24, 10, high, low]].concat();
    let total = (19 + body.len() as u16).to_be_bytes();
    [&[0xff; 16][..], &total, &[2], &body].concat()
}

fn prefix(number: u32) -> Prefix {
    let [_, high, low, _] = (number << 8).to_be_bytes();
    format!("10.{high}.{low}.0/24").parse().expect("a prefix")
}

#[test]
fn malformed_prefixes_are_known_up_to_a_number() {
    let mut network = pair(301);
    let unknown = [&[0xc0, 250, 255][..], &[7; 255]].concat();
    for number in 0..300 {
        network.inject(1, 0, &update(number, 9, &unknown));
    }
    let explain = |number| network.routers[0].speaker.explain(prefix(number)).withdrawn;
    assert_eq!((0..300).filter(|number| !explain(*number).is_empty()).count(), 256);
    assert!(explain(43).is_empty() && !explain(44).is_empty(), "the newest");
    let view = network.peer(0, 1);
    let (count, text) = view.malformed;
    assert_eq!((count, view.state, view.counts.ipv4.received), (300, State::Established, 0));
    assert!(text.is_some_and(|text| text.len() < 200 && !text.contains('\n')));
}

#[test]
fn what_is_kept_of_a_notification_is_its_beginning() {
    let mut network = pair(302);
    let mut bytes = Vec::new();
    Notification { code: 6, subcode: 2, data: [&[255][..], &[b'x'; 4_000]].concat() }.encode(&mut bytes);
    network.inject(1, 0, &bytes);
    let told = network.peer(0, 1).notifications.received.expect("a NOTIFICATION");
    assert_eq!((told.notification.data.len(), told.data_len), (256, 4_001));
}

#[test]
fn requests_that_come_together_are_answered_once() {
    let mut network = pair(303);
    let many: Vec<String> = (0..200).map(|number| prefix(number).to_string()).collect();
    let origin = |text: &String| bgp::config::Origination {
        prefix: text.parse().expect("a prefix"),
        origin: bgp::rule::RouteOrigin::Static,
        communities: Vec::new(),
        large_communities: Vec::new(),
        local_preference: None,
        med: None,
    };
    network.reconcile(0, |config| config.origins = many.iter().map(origin).collect());
    network.settle();
    let mut request = Vec::new();
    Refresh::request(Family::Ipv4).encode(&mut request);
    let written = |network: &mut Network, requests: usize| {
        let before = network.peer(0, 1).updates.1;
        network.inject(1, 0, &request.repeat(requests));
        network.peer(0, 1).updates.1 - before
    };
    let once = written(&mut network, 1);
    assert!(once > 0);
    // The pipe cuts them into some pieces, each of which may be answered.
    assert!(written(&mut network, 600) <= once * 40, "and not six hundred times");
}

#[test]
fn many_connections_of_a_peer_are_two_at_most() {
    let mut network = pair(304);
    for number in 100..200 {
        let (local, remote) = (SocketAddr::new(address(0), 179), SocketAddr::new(address(1), 40_000));
        let conn = ConnId::Inbound(number);
        let closed = network.routers[0].speaker.clone();
        let (mut speaker, mut effects) = (closed, Effects::default());
        speaker.handle(Event::Accepted { conn, local, remote }, &mut effects, network.now);
        let conn = ConnId::Inbound(number + 1_000);
        let mut second = Effects::default();
        speaker.handle(Event::Accepted { conn, local, remote }, &mut second, network.now);
        // The second one takes the place of the first, or is refused itself.
        let closes = |effects: &Effects| {
            let all = effects.transport.iter();
            all.filter(|effect| matches!(effect, Transport::Close { .. })).count()
        };
        assert!(closes(&effects) + closes(&second) >= 1, "{effects:?} {second:?}");
    }
    network.settle();
    assert_eq!(network.peer(0, 1).state, State::Established);
}

#[test]
fn octets_for_one_who_does_not_read_are_bounded() {
    let mut network = pair(305);
    network.sleep(1, true);
    // A quarter of a million prefixes are more than a MiB of UPDATEs.
    let origin = |number: u32| bgp::config::Origination {
        prefix: prefix(number),
        origin: bgp::rule::RouteOrigin::Static,
        communities: Vec::new(),
        large_communities: Vec::new(),
        local_preference: None,
        // Each has attributes of its own, and an UPDATE.
        med: Some(number),
    };
    network.reconcile(0, |config| config.origins = (0..60_000).map(origin).collect());
    network.settle();
    let waiting = network.unread();
    assert!((1 << 20..3 << 20).contains(&waiting), "{waiting}");
}

#[test]
fn sets_that_nothing_names_go() {
    let mut rib = Rib::new(RibConfig { seed: 7, max_paths: 8, relax_as_path: true, install: true });
    for med in 0..10_000_u32 {
        let next_hop = NextHops::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
        let attributes = PathAttributes { med: Some(med), ..PathAttributes::originated(next_hop) };
        let mut octets = Vec::new();
        encode::attributes(&attributes, &EXTERNAL, Family::Ipv4, &mut octets);
        let id = rib.attributes_mut().intern(attributes);
        rib.attributes_mut().remember_raw(EXTERNAL.flavour().into(), &octets, id);
        assert_eq!(rib.attributes().lookup_raw(EXTERNAL.flavour().into(), &octets), Some(id));
        if med % 100 == 99 {
            rib.drain(&mut Effects::default());
            assert!(rib.attributes().is_empty());
            assert_eq!(rib.attributes().lookup_raw(EXTERNAL.flavour().into(), &octets), None);
        }
    }
}

#[test]
fn octets_of_sets_are_known_up_to_a_length() {
    let mut store = Store::new(7);
    let next_hop = NextHops::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    let id = store.intern(PathAttributes::originated(next_hop));
    store.remember_raw(0, &[code::ORIGIN; 1_024], id);
    store.remember_raw(0, &[code::ORIGIN; 1_025], id);
    assert_eq!(store.lookup_raw(0, &[code::ORIGIN; 1_024]), Some(id));
    assert_eq!(store.lookup_raw(0, &[code::ORIGIN; 1_025]), None);
}

/// All Rust files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn each_row_of_the_table_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut found = Vec::new();
    for folder in ["bgp/src", "bgp/tests", "controller/src", "controller/tests"] {
        files(&root.join(folder), &mut found);
    }
    let sources: Vec<String> = found.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let table = include_str!("bounds.rs").lines().filter_map(|line| line.strip_prefix("//! | "));
    let mut rows = 0;
    for row in table.skip(1) {
        let test = row.split('`').nth_back(1).expect("a test");
        let is_there = sources.iter().any(|text| text.contains(&format!("fn {test}(")));
        assert!(is_there, "{test} is no test");
        rows += 1;
    }
    assert!(rows > 15, "{rows}");
}
