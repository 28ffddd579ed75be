//! When the session connects: at once, at the plain interval, with growing waits.

use bgp::config::Timers;
use bgp::id::ConnId;
use bgp::io::State;
use bgp::session::SessionConfig;
use bgp::time::Duration;

use super::rig::{INBOUND, OUTBOUND, Rig, bytes_of, config, keepalive, notification, peer_open, seconds};

const fn outbound(n: u64) -> ConnId {
    ConnId::Outbound((7 << 32) + n)
}

/// Waits for the next attempt to connect, and says how long that took.
fn next_attempt(rig: &mut Rig) -> Duration {
    let at = rig.session.retry_at().expect("an attempt is due");
    let waited = at.since(rig.now);
    rig.pass(waited);
    assert_eq!(rig.session.state(), State::Connect);
    waited
}

fn within(waited: Duration, span: u64) -> bool {
    waited >= seconds(span) * 3 / 4 && waited < seconds(span)
}

#[test]
fn a_peer_that_refuses_is_asked_less_and_less_often_up_to_once_a_minute() {
    let mut rig = Rig::new(config());
    rig.start();
    for (n, span) in (0..).zip([5, 10, 20, 40, 60, 60, 60]) {
        rig.failed(outbound(n), "connection refused");
        assert_eq!(rig.session.state(), State::Active);
        assert_eq!(rig.down(), "connect-failed: connection refused");
        let waited = next_attempt(&mut rig);
        assert!(within(waited, span), "{waited:?} is not just below {span} s");
    }
    assert_eq!(rig.session.failures(), 7);
}

#[test]
fn a_peer_that_is_silent_is_asked_less_and_less_often_counted_from_the_last_attempt() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.said();
    rig.pass(seconds(5));
    assert_eq!(rig.said(), "close connect@out1", "as long as TCP was given to come up");
    for (n, span) in (2..).zip([10, 20, 40, 60, 60]) {
        let asked_at = rig.now;
        rig.pass(seconds(5));
        assert_eq!(rig.said(), format!("close@out{}", n - 1));
        assert_eq!(rig.session.state(), State::Active);
        next_attempt(&mut rig);
        assert_eq!(rig.said(), format!("connect@out{n}"));
        assert!(within(rig.now - asked_at, span), "{:?} is not just below {span} s", rig.now - asked_at);
    }
}

#[test]
fn a_reason_to_believe_that_it_is_there_makes_the_next_attempt_at_once_and_forgets_the_failures() {
    let refused = || {
        let mut rig = Rig::new(config());
        rig.start();
        for n in 0..4 {
            rig.failed(outbound(n), "connection refused");
            next_attempt(&mut rig);
        }
        rig.failed(outbound(4), "connection refused");
        rig.said();
        rig
    };
    let mut network = refused();
    network.session.hurry(&mut network.out, network.now);
    let mut changed = refused();
    let other = SessionConfig { description: "another".into(), ..config() };
    changed.session.reconfigure(other, &mut changed.out, changed.now);
    for mut rig in [network, changed] {
        assert_eq!((rig.said().as_str(), rig.session.failures()), ("connect@out5", 0));
        rig.failed(outbound(5), "connection refused");
        assert!(within(next_attempt(&mut rig), 5));
    }
    // Where nothing has failed there is nothing to hurry.
    let mut rig = Rig::new(config());
    rig.start();
    rig.said();
    rig.session.hurry(&mut rig.out, rig.now);
    assert_eq!(rig.said(), "");
}

#[test]
fn where_there_is_no_way_to_the_peer_it_is_asked_soon_until_anybody_answers() {
    let mut rig = Rig::new(config());
    rig.start();
    for (n, span) in (0..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        rig.astray(outbound(n));
        assert_eq!(rig.down(), "connect-failed: no route to host");
        let waited = next_attempt(&mut rig);
        assert!(within(waited, span), "{waited:?} is not just below {span} s");
    }
    // The first answer counts as the first failure of the peer, and is followed by the plain interval.
    for (n, span) in (8..).zip([5, 10]) {
        rig.failed(outbound(n), "connection refused");
        assert!(within(next_attempt(&mut rig), span));
    }
    // A link or an address comes: at once, and soon again.
    rig.astray(outbound(10));
    assert!(within(next_attempt(&mut rig), 1), "after an answer it begins anew");
    rig.astray(outbound(11));
    rig.said();
    rig.session.hurry(&mut rig.out, rig.now);
    assert_eq!(rig.said(), "connect@out12");
    rig.astray(outbound(12));
    assert!(within(next_attempt(&mut rig), 1));
    // Silence is an answer: somebody was asked.
    rig.pass(seconds(5));
    assert_eq!(rig.session.failures(), 1);
    assert_eq!(rig.session.state(), State::Connect, "the plain interval had passed since it was made");
    // A shorter interval stays in force.
    let timers = Timers { connect_retry: Duration::from_millis(500), ..config().timers };
    let mut rig = Rig::new(SessionConfig { timers, ..config() });
    rig.start();
    rig.astray(outbound(0));
    assert!(next_attempt(&mut rig) < Duration::from_millis(500));
}

#[test]
fn failures_after_tcp_was_up_wait_longer_each_time_up_to_a_minute() {
    let mut rig = Rig::new(config());
    rig.start();
    for (n, span) in [5, 10, 20, 40, 60, 60, 60].into_iter().enumerate() {
        rig.connected(outbound(n as u64));
        rig.receive(outbound(n as u64), &notification(6, 5));
        let waited = next_attempt(&mut rig);
        assert!(within(waited, span), "{waited:?} is not just below {span} s");
    }
    // A session that does not last is one failure more, and one that does forgets them.
    for (n, lasts, span) in [(7, 0, 60), (8, 60, 5)] {
        rig.connected(outbound(n));
        rig.receive(outbound(n), &[bytes_of(&peer_open()), keepalive()].concat());
        assert_eq!(rig.session.retry_at(), None);
        for _ in 0..lasts {
            rig.pass(seconds(1));
            rig.receive(outbound(n), &keepalive());
        }
        rig.closed(outbound(n), None);
        assert!(within(next_attempt(&mut rig), span));
    }
}

#[test]
fn a_collision_that_the_peer_resolved_is_no_failure() {
    let mut rig = Rig::new(config());
    rig.start();
    for n in 0..5 {
        rig.connected(outbound(n));
        rig.receive(outbound(n), &notification(6, 7));
        assert!(within(next_attempt(&mut rig), 5));
    }
}

#[test]
fn a_passive_session_never_connects() {
    let mut rig = Rig::new(SessionConfig { passive: true, ..config() });
    rig.start();
    assert_eq!((rig.session.state(), rig.session.deadline()), (State::Active, None));
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &[bytes_of(&peer_open()), keepalive()].concat());
    assert!(rig.session.established().is_some());
    rig.closed(INBOUND, None);
    rig.pass(seconds(1000));
    assert_eq!(rig.said(), "OPEN@in1 KEEPALIVE@in1 up down");
}

#[test]
fn the_peer_may_come_while_we_wait() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.connected(OUTBOUND);
    rig.receive(OUTBOUND, &notification(2, 2));
    rig.said();
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &[bytes_of(&peer_open()), keepalive()].concat());
    assert_eq!(rig.said(), "OPEN@in1 KEEPALIVE@in1 up");
    assert_eq!(rig.session.retry_at(), None);
}

#[test]
fn jitter_comes_from_the_seed() {
    let waits = |seed| {
        let mut rig = Rig::new(config());
        rig.session = bgp::session::Session::new(bgp::id::PeerId(7), config(), seed, rig.now);
        rig.start();
        let mut waits = Vec::new();
        for n in 0..5 {
            rig.astray(outbound(n));
            waits.push(next_attempt(&mut rig));
        }
        waits
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}
