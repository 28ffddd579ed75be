//! Two connections at once (RFC 4271 §6.8, RFC 6286 §2.3), and connections that
//! lead nowhere: which one stays, in which order ever things happen.

use std::net::Ipv4Addr;

use bgp::id::{ConnId, RouterId};
use bgp::io::{Downfall, State};
use bgp::reason::Reason;
use bgp::session::SessionConfig;
use bgp::time::Duration;
use bgp::wire::notification::{Cease, Notification};
use bgp::wire::open::Open;

use super::rig::{
    INBOUND, OUTBOUND, Rig, bytes_of, config, keepalive, notification, peer_open, refused_update, seconds,
};

const SECOND: ConnId = ConnId::Inbound(2);

/// Both connections are up and have our OPEN.
fn two_greeted() -> Rig {
    let mut rig = Rig::greeted(config());
    rig.accepted(INBOUND);
    assert_eq!(rig.said(), "OPEN@in1");
    rig
}

/// The OPEN of a peer whose identifier is above, or below, our 10.0.0.1.
fn open_from(above: bool) -> Vec<u8> {
    let router_id = RouterId::from(Ipv4Addr::new(10, 0, 0, if above { 2 } else { 0 }));
    bytes_of(&Open { router_id, ..peer_open() })
}

fn established_on(rig: &Rig) -> Option<ConnId> {
    rig.session.established().map(|(conn, _)| conn)
}

#[test]
fn the_connection_of_the_higher_identifier_stays_in_either_order() {
    for (above, stays, goes, closing) in
        [(true, INBOUND, OUTBOUND, "6/7 close"), (false, OUTBOUND, INBOUND, "6/7@in1 close@in1")]
    {
        for first in [stays, goes] {
            let mut rig = two_greeted();
            let confirming = if stays == INBOUND { "KEEPALIVE@in1" } else { "KEEPALIVE" };
            rig.receive(first, &open_from(above));
            if first == stays {
                assert_eq!(rig.said(), confirming);
                rig.receive(goes, &open_from(above));
                assert_eq!(rig.said(), closing);
            } else {
                assert_eq!(rig.said(), "", "held back: the other connection would win");
                rig.receive(stays, &open_from(above));
                assert_eq!(rig.said(), format!("{closing} {confirming}"));
            }
            rig.receive(stays, &keepalive());
            assert_eq!(rig.said(), "up");
            assert_eq!(established_on(&rig), Some(stays));
            assert!(!rig.session.owns(goes));
        }
    }
}

#[test]
fn equal_identifiers_fall_to_the_higher_as() {
    // The peer's AS 65002 is above our 65001: its connection stays.
    let own = config().router_id;
    let open = bytes_of(&Open { router_id: own, ..peer_open() });
    let mut rig = two_greeted();
    rig.receive(OUTBOUND, &open);
    rig.receive(INBOUND, &[open, keepalive()].concat());
    assert_eq!(established_on(&rig), Some(INBOUND));
}

#[test]
fn a_rival_that_stays_silent_costs_a_second_and_no_more() {
    let mut rig = two_greeted();
    rig.receive(OUTBOUND, &[open_from(true), keepalive()].concat());
    assert_eq!(rig.session.state(), State::OpenConfirm);
    rig.pass(seconds(1) - Duration::from_nanos(1));
    assert_eq!(rig.said(), "");
    rig.pass(Duration::from_nanos(1));
    assert_eq!(rig.said(), "KEEPALIVE 6/7@in1 close@in1 up");
    assert_eq!(established_on(&rig), Some(OUTBOUND));
}

#[test]
fn a_rival_that_goes_away_settles_it_at_once() {
    for heard in [true, false] {
        let mut rig = two_greeted();
        rig.receive(OUTBOUND, &open_from(true));
        if heard {
            rig.receive(OUTBOUND, &keepalive());
        }
        rig.closed(INBOUND, None);
        assert_eq!(rig.said(), if heard { "KEEPALIVE up" } else { "KEEPALIVE" });
    }
    // A rival's OPEN that is refused settles it too.
    let mut rig = two_greeted();
    rig.receive(OUTBOUND, &open_from(true));
    rig.receive(INBOUND, &keepalive());
    assert_eq!(rig.said(), "5/1@in1 close@in1 KEEPALIVE");
}

#[test]
fn a_connection_that_waits_may_itself_end() {
    let mut rig = two_greeted();
    rig.receive(OUTBOUND, &[open_from(true), notification(6, 7)].concat());
    assert_eq!(rig.said(), "close");
    rig.receive(INBOUND, &[open_from(true), keepalive()].concat());
    assert_eq!(rig.said(), "KEEPALIVE@in1 up");
}

#[test]
fn a_stop_or_a_reset_confirms_neither_connection() {
    for above in [true, false] {
        let waiting = if above { OUTBOUND } else { INBOUND };
        let mut rig = two_greeted();
        rig.receive(waiting, &[open_from(above), keepalive()].concat());
        let cause = Downfall { reason: Reason::Shutdown, text: "maintenance".to_owned() };
        let farewell = Notification::cease(Cease::AdministrativeShutdown);
        rig.session.stop(&farewell, &cause, &mut rig.out, rig.now);
        assert_eq!(rig.said(), "6/2 close 6/2@in1 close@in1");
        assert_eq!(rig.session.deadline(), None);

        let mut rig = two_greeted();
        rig.receive(waiting, &[open_from(above), keepalive()].concat());
        let changed = SessionConfig { router_id: RouterId(9), ..config() };
        rig.session.reconfigure(changed, &mut rig.out, rig.now);
        assert_eq!(rig.said(), "6/6 close 6/6@in1 close@in1 connect@out1");
    }
}

#[test]
fn a_connection_under_way_is_given_up_for_one_that_has_an_open() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.accepted(INBOUND);
    assert_eq!(rig.said(), "connect OPEN@in1");
    rig.receive(INBOUND, &open_from(false));
    assert_eq!(rig.said(), "close KEEPALIVE@in1");
    // The answer to the attempt that was given up comes late and changes nothing.
    rig.connected(OUTBOUND);
    rig.receive(INBOUND, &keepalive());
    assert_eq!(rig.said(), "up");
}

#[test]
fn established_closes_a_rival_that_has_come_less_far() {
    let mut rig = two_greeted();
    rig.receive(INBOUND, &[open_from(true), keepalive()].concat());
    assert_eq!(rig.said(), "KEEPALIVE@in1 6/7 close up");
    assert_eq!(established_on(&rig), Some(INBOUND));
}

#[test]
fn an_older_inbound_connection_gives_way_to_a_newer_one() {
    for messages_before in [vec![], open_from(true)] {
        let mut rig = Rig::new(SessionConfig { passive: true, ..config() });
        rig.start();
        rig.accepted(INBOUND);
        rig.receive(INBOUND, &messages_before);
        rig.said();
        rig.accepted(SECOND);
        assert_eq!(rig.said(), "6/7@in1 close@in1 OPEN@in2");
        rig.closed(INBOUND, None);
        rig.receive(SECOND, &[open_from(true), keepalive()].concat());
        assert_eq!(established_on(&rig), Some(SECOND));
    }
}

#[test]
fn a_half_open_inbound_connection_does_not_keep_us_from_connecting() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.failed(OUTBOUND, "connection refused");
    rig.accepted(INBOUND);
    rig.said();
    rig.pass(seconds(5));
    assert_eq!(rig.said(), "connect@out1");
    // The same after one that had come to OpenConfirm was replaced.
    let mut rig = Rig::new(config());
    rig.start();
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &open_from(false));
    assert_eq!(rig.session.retry_at(), None);
    rig.accepted(SECOND);
    rig.said();
    rig.pass(seconds(5));
    assert_eq!(rig.said(), "connect@out1");
}

#[test]
fn a_second_connection_is_refused_while_established() {
    // At once it is not, because the other end of the first one may be on its way here: that is asked about.
    for open in [vec![], open_from(true)] {
        let mut rig = Rig::established(config());
        rig.accepted(INBOUND);
        assert_eq!(rig.said(), "KEEPALIVE");
        rig.receive(INBOUND, &open);
        assert_eq!(rig.said(), "", "no OPEN, which the peer might take for a restart of ours");
        rig.pass(seconds(1));
        assert_eq!(rig.said(), "6/7@in1 close@in1");
        assert_eq!(established_on(&rig), Some(OUTBOUND));
    }
    // One that the peer gives up is forgotten, and one that is followed by another is refused.
    let mut rig = Rig::established(config());
    rig.accepted(INBOUND);
    rig.closed(INBOUND, None);
    rig.accepted(SECOND);
    rig.accepted(ConnId::Inbound(3));
    assert_eq!(rig.said(), "KEEPALIVE KEEPALIVE 6/7@in2 close@in2 KEEPALIVE");
    rig.pass(seconds(1));
    assert_eq!(rig.said(), "6/7@in3 close@in3");
}

#[test]
fn a_peer_that_is_back_before_its_end_was_heard_of_is_taken() {
    for (octets, said) in [
        (vec![], "down OPEN@in1"),
        (open_from(true), "down OPEN@in1 KEEPALIVE@in1"),
        // What is wrong with its OPEN is said as ever.
        (bytes_of(&Open { asn: bgp::id::Asn(65009), ..peer_open() }), "down OPEN@in1 2/2@in1 close@in1"),
    ] {
        let mut rig = Rig::established(config());
        rig.accepted(INBOUND);
        let (first, rest) = octets.split_at(octets.len() / 2);
        rig.receive(INBOUND, first);
        rig.receive(INBOUND, rest);
        rig.said();
        rig.closed(OUTBOUND, Some("connection reset by peer"));
        assert_eq!(rig.said(), said);
        if said.ends_with("KEEPALIVE@in1") {
            rig.receive(INBOUND, &keepalive());
            assert_eq!(established_on(&rig), Some(INBOUND));
        }
    }
}

#[test]
fn a_held_connection_is_not_the_way_around_a_stop() {
    let mut rig = Rig::established(config());
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &open_from(true));
    rig.said();
    let cause = Downfall { reason: Reason::Shutdown, text: "maintenance".to_owned() };
    let farewell = Notification::cease(Cease::AdministrativeShutdown);
    rig.session.stop(&farewell, &cause, &mut rig.out, rig.now);
    assert_eq!(rig.said(), "6/7@in1 close@in1 6/2 close down");
    // Nor around a limit of prefixes.
    let mut rig = Rig::established(config());
    rig.accepted(INBOUND);
    rig.said();
    rig.receive(OUTBOUND, &refused_update());
    assert_eq!(rig.said(), "3/1 close down OPEN@in1", "an error is no limit");
    // What is more than a message is not kept.
    let mut rig = Rig::established(config());
    rig.accepted(INBOUND);
    rig.receive(INBOUND, &vec![0xff; 1 << 16]);
    rig.said();
    rig.closed(OUTBOUND, None);
    assert_eq!(rig.said(), "down OPEN@in1 1/2@in1 close@in1");
}

#[test]
fn a_session_without_hold_time_gives_way_to_the_peers_next_connection() {
    let mut config = config();
    config.timers.hold = Duration::ZERO;
    let mut rig = Rig::established(config);
    rig.accepted(INBOUND);
    rig.pass(seconds(10));
    assert_eq!(rig.said(), "KEEPALIVE 6/7@in1 close@in1", "a collision is not a restart");
    rig.accepted(SECOND);
    assert_eq!(rig.said(), "OPEN@in2");
    assert_eq!(established_on(&rig), Some(OUTBOUND), "not on the word of a TCP connection alone");
    rig.receive(SECOND, &open_from(false));
    assert_eq!(rig.said(), "6/7 close down KEEPALIVE@in2");
    rig.receive(SECOND, &keepalive());
    assert_eq!(established_on(&rig), Some(SECOND));
    // The peer's own connection gives way to its next one as well.
    rig.pass(seconds(10));
    let third = ConnId::Inbound(3);
    rig.accepted(third);
    rig.said();
    rig.closed(third, None);
    assert_eq!(established_on(&rig), Some(SECOND), "a stray connection does no harm");
    rig.accepted(third);
    rig.receive(third, &[open_from(true), keepalive()].concat());
    assert_eq!(rig.said(), "OPEN@in3 6/7@in2 close@in2 down KEEPALIVE@in3 up");
    assert_eq!(established_on(&rig), Some(third));
}
