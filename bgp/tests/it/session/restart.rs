//! Restarts as a session sees them: every way to end, with and without the "N"
//! bit, and what is kept; what our OPEN says; a peer that comes back on another connection.

use bgp::config::{PeerRestart, Restart};
use bgp::id::ConnId;
use bgp::io::{Downfall, State};
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use bgp::session::{Action, SessionConfig, Survived};
use bgp::wire::capability::Capability;
use bgp::wire::notification::{Cease, Notification};
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;

use super::rig::{
    INBOUND, OUTBOUND, Rig, bytes_of, config, keepalive, notification, peer_open, refused_update, seconds,
};

const NONE: PerFamily<bool> = PerFamily { ipv4: false, ipv6: false };
const BOTH: PerFamily<bool> = PerFamily { ipv4: true, ipv6: true };

fn able(notification: bool) -> SessionConfig {
    SessionConfig { restart: Restart { seconds: 90, notification, long_lived: 0 }, ..config() }
}

/// The peer's OPEN: both families with F, a restart time of 30 s.
fn returning(notification: bool) -> Open {
    let families = vec![(1, 1, true), (2, 1, true)];
    let restart = GracefulRestart { restarting: false, notification, seconds: 30, families };
    let mut open = peer_open();
    open.capabilities.push(Capability::GracefulRestart(restart));
    open
}

fn up(config: SessionConfig, open: &Open) -> Rig {
    let mut rig = Rig::greeted(config);
    rig.receive(OUTBOUND, &[bytes_of(open), keepalive()].concat());
    assert_eq!(rig.session.state(), State::Established);
    rig.out.clear();
    rig
}

/// What was kept at the end of the session, and the code and subcode of what was sent.
fn end(rig: &mut Rig) -> (PerFamily<bool>, Option<(u8, u8)>) {
    let (mut kept, mut sent) = (None, None);
    for action in rig.out.drain(..) {
        match action {
            Action::Down { kept: families, .. } => kept = Some(families),
            Action::Write { bytes, .. } if bytes[18] == 3 => sent = Some((bytes[19], bytes[20])),
            _ => {}
        }
    }
    (kept.expect("the session has ended"), sent)
}

/// Ends the session in one way.
type End = fn(&mut Rig);

/// Whether both families are kept, and what is sent.
type Outcome = (bool, Option<(u8, u8)>);

/// What ends a session, how, and what follows without N and with N.
type Row<'a> = (&'a str, &'a dyn Fn(&mut Rig), [Outcome; 2]);

#[test]
fn every_end_with_and_without_the_n_bit() {
    let lost: End = |rig| rig.closed(OUTBOUND, None);
    let reset: End = |rig| rig.closed(OUTBOUND, Some("connection reset by peer"));
    let cease: End = |rig| rig.receive(OUTBOUND, &notification(6, 4));
    let hard: End = |rig| rig.receive(OUTBOUND, &notification(6, 9));
    let silence: End = |rig| rig.pass(seconds(9));
    let error: End = |rig| rig.receive(OUTBOUND, &refused_update());
    let limit = Downfall { reason: Reason::ConfigurationChanged, text: String::new() };
    let stop = move |rig: &mut Rig| {
        let farewell = Notification::cease(Cease::PeerDeconfigured);
        rig.session.stop(&farewell, &limit, &mut rig.out, rig.now);
    };
    let table: [Row<'_>; 7] = [
        ("connection closed", &lost, [(true, None), (true, None)]),
        ("connection reset", &reset, [(true, None), (true, None)]),
        ("Cease received", &cease, [(false, None), (true, None)]),
        ("Hard Reset received", &hard, [(false, None), (false, None)]),
        ("hold time", &silence, [(false, Some((4, 0))), (true, Some((4, 0)))]),
        ("error in an UPDATE", &error, [(false, Some((3, 1))), (true, Some((3, 1)))]),
        ("stopped", &stop, [(false, Some((6, 3))), (false, Some((6, 9)))]),
    ];
    for (what, how, expected) in &table {
        for (n_bit, (keeps, sent)) in [false, true].into_iter().zip(expected) {
            let mut rig = up(able(n_bit), &returning(n_bit));
            how(&mut rig);
            let kept = if *keeps { BOTH } else { NONE };
            assert_eq!(end(&mut rig), (kept, *sent), "{what}, N {n_bit}");
            // One side alone with N is as none.
            for (ours, theirs) in [(true, false), (false, true)] {
                let mut rig = up(able(ours), &returning(theirs));
                how(&mut rig);
                let (keeps, sent) = expected[0];
                assert_eq!(end(&mut rig), (if keeps { BOTH } else { NONE }, sent), "{what}");
            }
            // Nothing is kept where one side offers nothing.
            for mut rig in [up(able(n_bit), &peer_open()), up(config(), &returning(n_bit))] {
                how(&mut rig);
                assert_eq!(end(&mut rig).0, NONE, "{what}");
            }
        }
    }
}

#[test]
fn a_family_that_the_peer_did_not_name_is_not_kept() {
    let mut open = peer_open();
    let families = vec![(2, 1, false)];
    let restart = GracefulRestart { restarting: true, notification: false, seconds: 7, families };
    open.capabilities.push(Capability::GracefulRestart(restart));
    let mut rig = up(able(false), &open);
    let agreed = rig.session.established().expect("up").1.restart;
    let families = PerFamily { ipv4: None, ipv6: Some(false) };
    let expected = PeerRestart {
        restarting: true,
        seconds: 7,
        notification: false,
        families,
        long_lived: PerFamily::default(),
    };
    assert_eq!(agreed, Some(expected));
    rig.closed(OUTBOUND, None);
    assert_eq!(end(&mut rig).0, PerFamily { ipv4: false, ipv6: true });
}

#[test]
fn a_suspended_session_is_lost_to_a_peer_that_keeps_routes_and_told_to_others() {
    let cause = Downfall { reason: Reason::Shutdown, text: String::new() };
    let farewell = Notification::administrative_shutdown("");
    for (open, sent) in [(returning(true), None), (peer_open(), Some((6, 2)))] {
        let mut rig = up(able(true), &open);
        rig.session.suspend(&farewell, &cause, &mut rig.out, rig.now);
        assert_eq!(end(&mut rig).1, sent);
        assert_eq!(rig.session.state(), State::Idle);
        assert_eq!(rig.session.deadline(), None);
    }
}

fn offered(rig: &mut Rig) -> GracefulRestart {
    let written = rig.out.drain(..).find_map(|action| match action {
        Action::Write { bytes, .. } if bytes[18] == 1 => Some(bytes),
        _ => None,
    });
    let open = Open::decode(&written.expect("an OPEN")[19..]).expect("a good one");
    open.graceful_restart().expect("the capability").clone()
}

#[test]
fn our_open_says_what_has_survived() {
    let mut rig = Rig::new(able(true));
    rig.session.survive(Survived { restarting: true, forwarding: PerFamily { ipv4: true, ipv6: false } });
    rig.start();
    rig.connected(OUTBOUND);
    let families = vec![(1, 1, true), (2, 1, false)];
    let said = GracefulRestart { restarting: true, notification: true, seconds: 90, families };
    assert_eq!(offered(&mut rig), said);
    rig.receive(OUTBOUND, &[bytes_of(&returning(true)), keepalive()].concat());
    rig.session.has_restarted();
    rig.closed(OUTBOUND, None);
    rig.out.clear();
    // The routes that the peer has kept since are this run's: it forwards for both families.
    rig.accepted(INBOUND);
    let families = vec![(1, 1, true), (2, 1, true)];
    assert_eq!(offered(&mut rig), GracefulRestart { restarting: false, families, ..said });
}

#[test]
fn a_cold_start_has_nothing_that_survived() {
    let mut rig = Rig::new(able(false));
    rig.start();
    rig.connected(OUTBOUND);
    let said = offered(&mut rig);
    assert!(!said.restarting && said.families.iter().all(|(_, _, forwarding)| !forwarding), "{said:?}");
}

#[test]
fn a_peer_that_restarts_unnoticed_is_let_in_and_its_old_connection_closed_without_a_word() {
    let mut rig = up(able(false), &returning(false));
    let young = ConnId::Inbound(5);
    rig.accepted(young);
    rig.receive(young, &bytes_of(&returning(false)));
    rig.pass(seconds(1));
    assert_eq!(rig.session.state(), State::Established, "so soon it is a collision");
    rig.pass(seconds(7));
    rig.receive(OUTBOUND, &keepalive());
    rig.pass(seconds(4));
    rig.out.clear();
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &bytes_of(&returning(false)));
    assert_eq!(end(&mut rig), (BOTH, None));
    rig.receive(INBOUND, &keepalive());
    assert_eq!(rig.session.established().map(|(conn, _)| conn), Some(INBOUND));
}

#[test]
fn a_peer_that_says_that_it_restarts_is_let_in_however_soon() {
    let mut restarted = returning(false);
    let families = vec![(1, 1, true), (2, 1, true)];
    let said = GracefulRestart { restarting: true, notification: false, seconds: 30, families };
    *restarted.capabilities.last_mut().expect("one") = Capability::GracefulRestart(said);
    let mut rig = up(able(false), &returning(false));
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &bytes_of(&restarted));
    assert_eq!(end(&mut rig), (BOTH, None));
    rig.receive(INBOUND, &keepalive());
    assert_eq!(rig.session.established().map(|(conn, _)| conn), Some(INBOUND));
    // Its last OPEN said so as well: the same restart on two connections that have crossed.
    let mut rig = up(able(false), &restarted);
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &bytes_of(&restarted));
    assert_eq!(rig.session.established().map(|(conn, _)| conn), Some(OUTBOUND));
}
