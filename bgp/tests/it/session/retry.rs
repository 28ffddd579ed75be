//! When the session connects: at once, at the plain interval, with growing waits.

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
fn a_peer_that_cannot_be_reached_is_asked_at_the_plain_interval() {
    let mut rig = Rig::new(config());
    rig.start();
    for n in 0..50 {
        rig.session.connect_failed(outbound(n), "connection refused", &mut rig.out, rig.now);
        assert_eq!(rig.session.state(), State::Active);
        assert_eq!(rig.down(), "connect-failed: connection refused");
        let waited = next_attempt(&mut rig);
        assert!(within(waited, 5), "{waited:?}");
    }
}

#[test]
fn a_connection_that_does_not_come_up_is_opened_anew() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.said();
    rig.pass(seconds(15));
    assert_eq!(rig.said(), "close connect@out1 close@out1 connect@out2 close@out2 connect@out3");
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
    // Established forgets them.
    rig.connected(outbound(7));
    rig.receive(outbound(7), &[bytes_of(&peer_open()), keepalive()].concat());
    assert_eq!(rig.session.retry_at(), None);
    rig.closed(outbound(7), None);
    assert!(within(next_attempt(&mut rig), 5));
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
            rig.session.connect_failed(outbound(n), "no route to host", &mut rig.out, rig.now);
            waits.push(next_attempt(&mut rig));
        }
        waits
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}
