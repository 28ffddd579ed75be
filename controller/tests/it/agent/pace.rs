//! The loop's pace: nobody waits long for anybody.

use bgp::id::ConnId;
use bgp::io::{State, Transport};
use bgp::prefix::Prefix;
use bgp::time::{Duration, Instant};
use bgp::view::RouteFilter;
use controller::event::Event;
use controller::status::query::Query;
use controller::transport::TransportEvent;
use tokio::sync::oneshot;

use super::fake::{World, announce, keepalive, manifests};

/// What one chunk of a flood takes: 64 KiB of dense UPDATEs on a slow core.
const COST: Duration = Duration::from_millis(4);

/// A world with two sessions: one peer floods, the other is quiet.
fn two() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100), ("10.0.1.7", 65107)], ""));
    let told = world.told();
    let conns: Vec<ConnId> = told
        .iter()
        .filter_map(|(_, effect)| match effect {
            Transport::Connect { conn, .. } => Some(*conn),
            _ => None,
        })
        .collect();
    let [loud, quiet] = conns[..] else { panic!("two connections: {told:?}") };
    world.establish(loud, 65100, 9);
    world.establish(quiet, 65107, 9);
    world.told();
    (world, loud, quiet)
}

/// A chunk of 64 KiB at most: prefixes of a table that is sent over and over.
fn flood(number: u32, count: u32) -> Vec<u8> {
    let prefixes = (0..count).map(|n| {
        let bits = 0x0a00_0000 | ((number * count + n) % 65_000) << 8;
        Prefix::new(std::net::Ipv4Addr::from_bits(bits).into(), 24).unwrap()
    });
    let mut bytes = announce(65100, "10.0.1.1", prefixes);
    assert!(bytes.len() <= 64 << 10, "{}", bytes.len());
    bytes.extend(keepalive());
    bytes
}

#[test]
fn keepalives_are_on_time_under_a_flood() {
    let (mut world, loud, quiet) = two();
    let end = world.now() + Duration::from_secs(30);
    let (mut sent, mut heard_at) = (0, world.now());
    let mut keepalives: Vec<Instant> = Vec::new();
    while world.now() < end {
        // The flooding peer always has one chunk waiting, as its reader allows.
        world.bytes(loud, flood(sent, 600));
        sent += 1;
        if world.now().since(heard_at) >= Duration::from_secs(3) {
            heard_at = world.now();
            world.bytes(quiet, keepalive());
        }
        world.turn(COST);
        let told = world.told();
        keepalives.extend(told.iter().filter_map(|(at, effect)| match effect {
            Transport::Write { conn, bytes } if *conn == quiet && bytes.ends_with(&keepalive()) => Some(*at),
            _ => None,
        }));
        assert!(!told.iter().any(|(_, effect)| matches!(effect, Transport::Close { .. })), "no session ends");
    }
    let gaps: Vec<Duration> = keepalives.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.len() >= 8, "{} KEEPALIVEs in 30 s", keepalives.len());
    let longest = gaps.iter().max().unwrap();
    assert!(*longest <= Duration::from_millis(3_020), "{longest:?}");
    assert!(world.snapshot().peers.iter().all(|peer| peer.state == State::Established));
}

#[test]
fn a_turn_ends_in_time_whatever_waits() {
    let (mut world, loud, _) = two();
    for number in 0..100 {
        world.bytes(loud, flood(number, 12_000));
    }
    let before = world.now();
    world.turn(COST);
    // The slice, and the one event that was begun in it.
    assert!(world.now().since(before) <= Duration::from_millis(5) + COST, "{:?}", world.now().since(before));
}

#[test]
fn a_turn_takes_an_event_however_late_it_is() {
    let (mut world, loud, _) = two();
    // A turn that is out of time when it begins: timers were due, or the machine did something else.
    world.agent.drivers().tick = Duration::from_millis(10);
    let mut waiting = Some(Event::Transport(TransportEvent::Closed { conn: loud, error: None }));
    // What the caller holds in its hand is taken, or it is lost.
    world.agent.turn(&mut || waiting.take());
    assert!(waiting.is_none());
    world.agent.drivers().tick = Duration::ZERO;
    world.run_for(Duration::from_millis(300));
    let states: Vec<State> = world.snapshot().peers.iter().map(|peer| peer.state).collect();
    assert!(states.iter().any(|state| *state != State::Established), "the end was heard: {states:?}");
}

#[test]
fn a_question_is_answered_in_the_turn_that_takes_it() {
    let (mut world, loud, _) = two();
    world.bytes(loud, flood(0, 12_000));
    world.run();
    let (reply, mut answer) = oneshot::channel();
    world.put(Event::Query(Query::Routes { filter: RouteFilter::All, cursor: None, limit: 5_000, reply }));
    for number in 1..50 {
        world.bytes(loud, flood(number, 12_000));
    }
    world.turn(COST);
    let page = answer.try_recv().expect("answered within the turn");
    assert_eq!(page.routes.len(), 1_000, "a page is bounded whatever was asked for");
    assert!(page.next.is_some());
}

#[test]
fn a_question_before_any_configuration_has_an_answer() {
    let mut world = World::new();
    let (reply, mut answer) = oneshot::channel();
    world.put(Event::Query(Query::Explain { prefix: "10.0.0.0/8".parse().unwrap(), reply }));
    world.run();
    assert!(answer.try_recv().unwrap().route.is_none());
}

#[test]
fn status_is_spaced_and_the_last_change_is_always_shown() {
    let (mut world, loud, _) = two();
    world.agent.drivers().published_at.clear();
    for number in 0..200 {
        world.bytes(loud, flood(number % 6, 12_000));
        world.turn(COST);
    }
    let published = std::mem::take(&mut world.agent.drivers().published_at);
    assert!(published.len() >= 5, "{published:?}");
    let spaced = published.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(100));
    assert!(spaced, "{published:?}");
    world.run_for(Duration::from_millis(300));
    let shown = world.snapshot().peers.iter().map(|peer| peer.counts.ipv4.received).max();
    assert_eq!(shown, Some(65_000));
}
