//! A session's life: what is told, timers, texts, counters, changes of configuration.

use bgp::config::PeerAs;
use bgp::id::{Asn, ConnId};
use bgp::io::{Downfall, Notifications, State};
use bgp::prefix::{Family, PerFamily};
use bgp::reason::Reason;
use bgp::session::{Action, SessionConfig};
use bgp::time::{Duration, Instant};
use bgp::wire::notification::Notification;

use bgp::wire::capability::Capability;
use bgp::wire::open::Open;
use bgp::wire::refresh::Subtype;

use super::rig::{
    INBOUND, OUTBOUND, Rig, STRANGE, bytes_of, config, keepalive, message, notification, peer_open,
    refused_update, seconds, socket, update,
};

/// The states that were told, with the cause's text where there is one.
fn moves(rig: &mut Rig) -> Vec<String> {
    let moves = rig.out.drain(..).filter_map(|action| match action {
        Action::Moved { from, to, cause } => {
            let cause = cause.map_or_else(String::new, |cause| format!(" ({})", cause.text));
            Some(format!("{} > {}{cause}", from.name(), to.name()))
        }
        _ => None,
    });
    moves.collect()
}

#[test]
fn each_change_of_state_is_told_once() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.failed(OUTBOUND, "connection refused");
    rig.pass(seconds(5));
    let second = ConnId::Outbound((7 << 32) + 1);
    rig.connected(second);
    rig.receive(second, &[bytes_of(&peer_open()), keepalive(), notification(6, 4)].concat());
    assert_eq!(
        moves(&mut rig),
        [
            "Idle > Connect",
            "Connect > Active (connection refused)",
            "Active > Connect",
            "Connect > OpenSent",
            "OpenSent > OpenConfirm",
            "OpenConfirm > Established",
            "Established > Active (peer sent Cease/Administrative Reset (6/4))",
        ]
    );
}

#[test]
fn the_chunk_stops_where_the_session_becomes_established() {
    let mut rig = Rig::greeted(config());
    let bytes = [bytes_of(&peer_open()), keepalive(), update(), update()].concat();
    let mut chunk = bytes.as_slice();
    rig.session.receive(OUTBOUND, &mut chunk, &mut rig.sink, &mut rig.out, rig.now);
    assert_eq!(chunk, [update(), update()].concat());
    assert_eq!(rig.sink.updates.len(), 0);
    assert_eq!(rig.said(), "KEEPALIVE up");
    rig.session.receive(OUTBOUND, &mut chunk, &mut rig.sink, &mut rig.out, rig.now);
    assert!(chunk.is_empty());
    assert_eq!(rig.sink.updates, [[0; 4], [0; 4]]);
    assert_eq!(rig.session.counters().updates_received, 2);
}

#[test]
fn nothing_behind_an_error_is_read() {
    let mut rig = Rig::established(config());
    rig.receive(OUTBOUND, &[update(), refused_update(), update(), notification(6, 2)].concat());
    assert_eq!(rig.sink.updates.len(), 1);
    assert_eq!(rig.said(), "3/1 close down");
    assert_eq!(rig.down(), "notification-sent: sent UPDATE Message Error/Malformed Attribute List (3/1)");
    rig.receive(OUTBOUND, &update());
    assert_eq!(rig.sink.updates.len(), 1, "the connection is forgotten");
}

#[test]
fn silence_ends_the_session_at_the_hold_time_and_not_before() {
    let mut rig = Rig::established(config());
    let heard_at = rig.now + Duration::from_millis(4321);
    rig.pass(heard_at.since(rig.now));
    rig.receive(OUTBOUND, &keepalive());
    rig.said();
    rig.pass(seconds(9) - Duration::from_nanos(1));
    assert_eq!(rig.session.state(), State::Established);
    rig.said();
    rig.pass(Duration::from_nanos(1));
    assert_eq!(rig.said(), "4/0 close down");
    assert_eq!(rig.down(), "hold-timer-expired: nothing heard for 9s");
    assert_eq!(rig.session.since(), heard_at + seconds(9));
}

/// RFC 9687: a peer that is heard and does not read.
#[test]
fn a_peer_that_does_not_read_is_left() {
    let mut rig = Rig::established(config());
    let since = rig.now;
    rig.session.waits(OUTBOUND, rig.now);
    let hear = |rig: &mut Rig, span: Duration| {
        let end = rig.now + span;
        while rig.now < end {
            rig.pass(seconds(2).min(end.since(rig.now)));
            if rig.session.established().is_some() {
                rig.receive(OUTBOUND, &keepalive());
            }
        }
        rig.said()
    };
    // More that waits changes nothing.
    hear(&mut rig, seconds(100));
    rig.session.waits(OUTBOUND, rig.now);
    // What goes to the operating system starts the time anew, while more waits.
    hear(&mut rig, seconds(300));
    rig.session.written(OUTBOUND, true, rig.now);
    hear(&mut rig, seconds(479));
    assert_eq!(rig.session.state(), State::Established);
    assert!(hear(&mut rig, seconds(1)).ends_with("8/0 close down"));
    assert_eq!(rig.down(), "send-hold-timer-expired: the peer has not read for 480s");
    assert_eq!(rig.now.since(since), seconds(880));
    let told = rig.session.notifications().sent.as_ref().expect("told");
    assert_eq!((told.hex().as_str(), told.at), ("08 00", rig.now));

    // While nothing waits there is nothing to read.
    let mut rig = Rig::established(config());
    rig.session.waits(OUTBOUND, rig.now);
    rig.session.written(OUTBOUND, false, rig.now);
    hear(&mut rig, seconds(1000));
    assert_eq!(rig.session.state(), State::Established);
}

#[test]
fn the_last_notification_each_way_is_kept() {
    let mut rig = Rig::established(config());
    assert_eq!(rig.session.notifications(), &Notifications::default());
    rig.receive(OUTBOUND, &message(3, &[&[3, 5][..], &[7; 1000]].concat()));
    let received = rig.session.notifications().received.clone().expect("received");
    assert_eq!((received.notification.data.len(), received.data_len, received.at), (256, 1000, rig.now));
    assert_eq!(rig.session.notifications().sent, None, "never answered (RFC 4271 6.4)");
}

#[test]
fn only_keepalive_and_update_restart_the_hold_timer() {
    for (bytes, survives) in [(keepalive(), true), (update(), true), (message(5, &[0, 1, 0, 1]), false)] {
        let mut rig = Rig::established(config());
        rig.pass(seconds(8));
        rig.receive(OUTBOUND, &bytes);
        rig.pass(seconds(8));
        assert_eq!(rig.session.state() == State::Established, survives, "{bytes:?}");
    }
}

#[test]
fn part_of_a_message_is_not_heard() {
    let mut rig = Rig::established(config());
    for octet in &update()[..22] {
        rig.pass(Duration::from_millis(400));
        rig.receive(OUTBOUND, &[*octet]);
    }
    rig.pass(seconds(1));
    assert_eq!(rig.down(), "hold-timer-expired: nothing heard for 9s");
}

#[test]
fn keepalives_go_out_jittered_below_a_third() {
    let mut rig = Rig::established(config());
    let mut last = rig.now;
    let mut spans = Vec::new();
    for _ in 0..200 {
        let at = rig.session.deadline().expect("timers run");
        rig.pass(at.since(rig.now));
        assert_eq!(rig.said(), "KEEPALIVE");
        spans.push(at.since(last));
        last = at;
        rig.receive(OUTBOUND, &keepalive());
    }
    let (low, high) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
    assert!(*low >= Duration::from_millis(2250) && *high < seconds(3), "{low:?} to {high:?}");
    assert!(*high - *low > Duration::from_millis(500), "the spans differ");
}

#[test]
fn an_update_that_is_sent_stands_for_a_keepalive() {
    let mut rig = Rig::established(config());
    for _ in 0..10 {
        rig.pass(seconds(2));
        rig.session.sent(3, rig.now);
        rig.receive(OUTBOUND, &keepalive());
    }
    assert_eq!(rig.said(), "");
    assert_eq!(rig.session.counters().updates_sent, 30);
}

#[test]
fn without_hold_time_no_timer_runs() {
    let mut config = config();
    config.timers.hold = Duration::ZERO;
    let mut rig = Rig::established(config);
    assert_eq!(rig.session.deadline(), None);
    assert_eq!(rig.session.hold(), Some(Duration::ZERO));
    rig.session.sent(1, rig.now);
    rig.pass(seconds(1_000_000));
    assert_eq!(rig.session.state(), State::Established);
    assert_eq!(rig.said(), "");
}

#[test]
fn refresh_is_passed_on_for_negotiated_families() {
    let config = SessionConfig { families: PerFamily { ipv4: true, ipv6: false }, ..config() };
    let mut rig = Rig::established(config);
    let ask = |afi: u8, subtype: u8| message(5, &[0, afi, subtype, 1]);
    rig.receive(OUTBOUND, &[ask(1, 0), ask(2, 0), ask(25, 0), ask(1, 1), ask(1, 2), ask(1, 77)].concat());
    // The octet of the subtype is reserved and ignored (RFC 2918 §3).
    assert_eq!(rig.sink.refreshes, [(Family::Ipv4, Subtype::Request); 4]);
    assert_eq!(rig.said(), "");
}

#[test]
fn marks_are_passed_on_where_both_offered_them() {
    let mut open = peer_open();
    open.capabilities.push(Capability::EnhancedRefresh);
    let mut rig = Rig::greeted(config());
    rig.receive(OUTBOUND, &[bytes_of(&open), keepalive()].concat());
    let ask = |afi: u8, subtype: u8| message(5, &[0, afi, subtype, 1]);
    rig.said();
    // RFC 7313 §5: an unknown subtype is ignored.
    rig.receive(OUTBOUND, &[ask(1, 0), ask(2, 1), ask(2, 2), ask(1, 77), ask(25, 1)].concat());
    let (v4, v6) = (Family::Ipv4, Family::Ipv6);
    let expected = [(v4, Subtype::Request), (v6, Subtype::Begin), (v6, Subtype::End)];
    assert_eq!(rig.sink.refreshes, expected);
    assert_eq!(rig.said(), "");
    rig.receive(OUTBOUND, &message(5, &[0, 1, 1, 1, 0]));
    assert!(rig.down().contains("(7/1)"), "{}", rig.down());
}

#[test]
fn nothing_is_refreshed_that_was_not_offered() {
    let mut rig = Rig::greeted(config());
    // Refused for its capabilities: the next OPEN goes without (RFC 5492 §3).
    rig.receive(OUTBOUND, &notification(2, 4));
    rig.pass(seconds(5));
    let plain = Open { capabilities: Vec::new(), ..peer_open() };
    let second = ConnId::Outbound((7 << 32) + 1);
    rig.connected(second);
    rig.receive(second, &[bytes_of(&plain), keepalive()].concat());
    assert_eq!(rig.session.state(), State::Established);
    rig.receive(second, &message(5, &[0, 1, 0, 1]));
    assert_eq!(rig.sink.refreshes, []);
    assert_eq!(rig.session.state(), State::Established);
}

#[test]
fn texts_say_what_happened() {
    let mut rig = Rig::greeted(config());
    assert_eq!(rig.down(), "opening: waiting for the OPEN exchange");
    rig.closed(OUTBOUND, None);
    assert_eq!(rig.down(), "connection-closed: peer closed the connection");

    let mut rig = Rig::established(config());
    rig.closed(OUTBOUND, Some("connection reset by peer"));
    assert_eq!(rig.down(), "connection-closed: connection lost: connection reset by peer");

    let mut rig = Rig::established(config());
    let text = b"back at noon";
    rig.receive(OUTBOUND, &message(3, &[&[6, 2, 12][..], text].concat()));
    assert_eq!(
        rig.down(),
        "notification-received: peer sent Cease/Administrative Shutdown (6/2): \"back at noon\""
    );

    let mut rig = Rig::greeted(config());
    rig.receive(OUTBOUND, &keepalive());
    assert_eq!(rig.down(), "notification-sent: KEEPALIVE received in OpenSent");

    let mut rig = Rig::greeted(config());
    rig.pass(seconds(240));
    assert_eq!(rig.down(), "hold-timer-expired: nothing heard for 240s");

    let mut rig = Rig::new(config());
    assert_eq!(rig.down(), "shutdown: the agent is shutting down");
    rig.start();
    assert_eq!(rig.down(), "connecting: waiting for the TCP connection");
    rig.pass(seconds(5));
    assert_eq!(rig.down(), "connect-failed: no answer to TCP within 5s");
    assert_eq!(rig.session.state(), State::Connect);

    let mut rig = Rig::new(SessionConfig { authenticated: true, ..config() });
    rig.start();
    rig.pass(seconds(5));
    assert_eq!(
        rig.down(),
        "connect-failed: no answer to TCP within 5s: the peer is away, or its password is another"
    );
}

#[test]
fn unexpected_messages_carry_their_type() {
    let mut rig = Rig::established(config());
    rig.out.clear();
    rig.receive(OUTBOUND, &bytes_of(&peer_open()));
    let notification = rig.out.iter().find_map(|action| match action {
        Action::Write { bytes, .. } => Some(bytes[19..].to_vec()),
        _ => None,
    });
    assert_eq!(notification, Some(vec![5, 3, 1]));
}

#[test]
fn a_connection_of_nobody_changes_nothing() {
    let mut rig = Rig::established(config());
    rig.receive(STRANGE, &notification(6, 2));
    rig.closed(STRANGE, None);
    rig.connected(STRANGE);
    assert!(rig.session.owns(OUTBOUND) && !rig.session.owns(STRANGE));
    assert_eq!(rig.said(), "");
    assert_eq!(rig.session.local(), Some(socket(1, 40000)));
}

#[test]
fn a_disabled_peer_is_refused_until_enabled() {
    let disabled = SessionConfig { disabled: true, ..config() };
    let mut rig = Rig::new(disabled.clone());
    rig.start();
    rig.accepted(INBOUND);
    assert_eq!(rig.said(), "6/5@in1 close@in1");
    assert_eq!(rig.down(), "disabled: the peer is disabled");
    rig.session.reconfigure(config(), &mut rig.out, rig.now);
    assert_eq!(rig.said(), "connect");
    rig.connected(OUTBOUND);
    rig.said();
    rig.session.reconfigure(disabled, &mut rig.out, rig.now);
    assert_eq!(rig.said(), "6/2 close");
    assert_eq!(rig.session.state(), State::Idle);
    assert_eq!(rig.session.deadline(), None);
}

#[test]
fn a_stopped_session_can_be_started_again() {
    let mut rig = Rig::established(config());
    let cause = Downfall { reason: Reason::Shutdown, text: "maintenance".to_owned() };
    rig.session.stop(&Notification::administrative_shutdown("x"), &cause, &mut rig.out, rig.now);
    assert_eq!(rig.said(), "6/2 close down");
    assert_eq!(rig.down(), "shutdown: maintenance");
    assert_eq!(rig.session.deadline(), None);
    rig.start();
    assert_eq!(rig.said(), "connect@out1");
    assert_eq!(rig.down(), "connecting: waiting for the TCP connection");
}

#[test]
fn a_changed_configuration_resets_only_where_it_must() {
    let kept: [fn(&mut SessionConfig); 7] = [
        |_| {},
        |c| c.timers.hold = seconds(30),
        |c| c.timers.connect_retry = seconds(1),
        |c| c.passive = true,
        |c| c.peer_as = PeerAs::External,
        |c| c.remote = socket(2, 1790),
        |c| c.source = Some(socket(1, 0).ip()),
    ];
    for (index, change) in kept.into_iter().enumerate() {
        let mut rig = Rig::established(config());
        let mut changed = config();
        change(&mut changed);
        rig.session.reconfigure(changed, &mut rig.out, rig.now);
        assert_eq!(rig.said(), "", "change {index}");
    }
    let reset: [fn(&mut SessionConfig); 5] = [
        |c| c.local_asn = Asn(65009),
        |c| c.router_id = bgp::id::RouterId(9),
        |c| c.families.ipv6 = false,
        |c| c.peer_as = PeerAs::Exactly(Asn(65003)),
        |c| c.source = Some(socket(9, 0).ip()),
    ];
    for (index, change) in reset.into_iter().enumerate() {
        let mut rig = Rig::established(config());
        let mut changed = config();
        change(&mut changed);
        rig.session.reconfigure(changed, &mut rig.out, rig.now);
        assert_eq!(rig.said(), "6/6 close down connect@out1", "change {index}");
        assert_eq!(rig.session.down().map(|down| down.reason), Some(Reason::ConfigurationChanged));
    }
}

#[test]
fn a_peer_that_becomes_passive_is_not_connected_to() {
    let mut rig = Rig::new(config());
    rig.start();
    rig.said();
    rig.session.reconfigure(SessionConfig { passive: true, ..config() }, &mut rig.out, rig.now);
    assert_eq!(rig.said(), "close");
    assert_eq!((rig.session.state(), rig.session.deadline()), (State::Active, None));
    rig.session.reconfigure(config(), &mut rig.out, rig.now);
    assert_eq!(rig.said(), "connect@out1");
}

#[test]
fn since_is_when_the_session_came_or_went() {
    let mut rig = Rig::new(config());
    let made_at = rig.now;
    rig.pass(seconds(3));
    rig.start();
    rig.connected(OUTBOUND);
    assert_eq!(rig.session.since(), made_at);
    rig.pass(seconds(1));
    rig.receive(OUTBOUND, &[bytes_of(&peer_open()), keepalive()].concat());
    assert_eq!(rig.session.since(), Instant(5_000_000_000));
    rig.pass(seconds(2));
    rig.closed(OUTBOUND, None);
    assert_eq!(rig.session.since(), Instant(7_000_000_000));
    assert_eq!(rig.session.counters().established, 1);
}
