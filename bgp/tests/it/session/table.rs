//! Each input in each state, on a connection that we opened: what follows; and
//! the same for messages and timers on a connection that the peer opened. The
//! table is RFC 4271 §8.2.2 with RFC 6608; a cell is the state after and what
//! was done, `.` where nothing happens at all.

use bgp::id::ConnId;
use bgp::io::{Downfall, State};
use bgp::reason::Reason;
use bgp::session::SessionConfig;
use bgp::wire::notification::{Cease, Notification};

use super::rig::{
    INBOUND, OUTBOUND, Rig, bytes_of, config, keepalive, message, notification, peer_open, refused_update,
    seconds, update,
};

const STATES: [State; 6] =
    [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];

/// One line a state: the input, then state and actions.
const TABLE: &str = "
start
  Idle         Connect connect
  Connect      .
  Active       .
  OpenSent     .
  OpenConfirm  .
  Established  .
stop
  Idle         .
  Connect      Idle close
  Active       Idle
  OpenSent     Idle 6/2 close
  OpenConfirm  Idle 6/2 close
  Established  Idle 6/2 close down
5 s pass
  Idle         .
  Connect      Connect close connect@out1
  Active       Connect connect@out1
  OpenSent     .
  OpenConfirm  OpenConfirm KEEPALIVE
  Established  Established KEEPALIVE
hold time passes
  Idle         .
  Connect      Connect close connect@out1
  Active       Connect connect@out1
  OpenSent     Active 4/0 close
  OpenConfirm  Active KEEPALIVE 4/0 close
  Established  Active KEEPALIVE 4/0 close down
connected
  Idle         .
  Connect      OpenSent OPEN
  Active       .
  OpenSent     .
  OpenConfirm  .
  Established  .
connect failed
  Idle         .
  Connect      Active
  Active       .
  OpenSent     Active
  OpenConfirm  Active
  Established  Active down
accepted
  Idle         Idle 6/5@in1 close@in1
  Connect      OpenSent OPEN@in1
  Active       OpenSent OPEN@in1
  OpenSent     OpenSent OPEN@in1
  OpenConfirm  OpenConfirm OPEN@in1
  Established  Established KEEPALIVE
closed
  Idle         .
  Connect      Active
  Active       .
  OpenSent     Active
  OpenConfirm  Active
  Established  Active down
OPEN
  Idle         .
  Connect      .
  Active       .
  OpenSent     OpenConfirm KEEPALIVE
  OpenConfirm  Active 5/2 close
  Established  Active 5/3 close down
OPEN of another AS
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 2/2 close
  OpenConfirm  Active 5/2 close
  Established  Active 5/3 close down
OPEN of version 3
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 2/1 close
  OpenConfirm  Active 5/2 close
  Established  Active 5/3 close down
KEEPALIVE
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 5/1 close
  OpenConfirm  Established up
  Established  .
UPDATE
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 5/1 close
  OpenConfirm  Active 5/2 close
  Established  .
UPDATE that is refused
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 5/1 close
  OpenConfirm  Active 5/2 close
  Established  Active 3/1 close down
ROUTE-REFRESH
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 5/1 close
  OpenConfirm  Active 5/2 close
  Established  .
ROUTE-REFRESH without body
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 5/1 close
  OpenConfirm  Active 5/2 close
  Established  Active 1/2 close down
NOTIFICATION
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active close
  OpenConfirm  Active close
  Established  Active close down
marker not all ones
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 1/1 close
  OpenConfirm  Active 1/1 close
  Established  Active 1/1 close down
KEEPALIVE with a body
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 1/2 close
  OpenConfirm  Active 1/2 close
  Established  Active 1/2 close down
OPEN above 4096
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 1/2 close
  OpenConfirm  Active 1/2 close
  Established  Active 1/2 close down
type 9
  Idle         .
  Connect      .
  Active       .
  OpenSent     Active 1/3 close
  OpenConfirm  Active 1/3 close
  Established  Active 1/3 close down
";

fn rig_in(state: State) -> Rig {
    let mut rig = match state {
        State::Idle | State::Connect | State::Active => Rig::new(config()),
        State::OpenSent | State::OpenConfirm => Rig::greeted(config()),
        State::Established => Rig::established(config()),
    };
    match state {
        State::Connect => rig.start(),
        State::Active => {
            rig.start();
            rig.failed(OUTBOUND, "connection refused");
        }
        State::OpenConfirm => rig.receive(OUTBOUND, &bytes_of(&peer_open())),
        State::Idle | State::OpenSent | State::Established => {}
    }
    assert_eq!(rig.session.state(), state);
    rig.said();
    rig
}

/// A passive session whose connection the peer opened.
fn inbound_rig_in(state: State) -> Rig {
    let mut rig = Rig::new(SessionConfig { passive: true, ..config() });
    rig.start();
    rig.accepted(INBOUND);
    if state >= State::OpenConfirm {
        rig.receive(INBOUND, &bytes_of(&peer_open()));
    }
    if state == State::Established {
        rig.receive(INBOUND, &keepalive());
    }
    assert_eq!(rig.session.state(), state);
    rig.said();
    rig
}

fn apply(rig: &mut Rig, conn: ConnId, input: &str) {
    let open = bytes_of(&peer_open());
    let bytes = match input {
        "start" => return rig.start(),
        "stop" => {
            let cause = Downfall { reason: Reason::Shutdown, text: "the end".to_owned() };
            let farewell = Notification::cease(Cease::AdministrativeShutdown);
            return rig.session.stop(&farewell, &cause, &mut rig.out, rig.now);
        }
        "5 s pass" => {
            rig.now = rig.now + seconds(5);
            return rig.session.expire(&mut rig.out, rig.now);
        }
        "hold time passes" => {
            rig.now =
                rig.now + if rig.session.state() == State::OpenSent { seconds(240) } else { seconds(9) };
            return rig.session.expire(&mut rig.out, rig.now);
        }
        "connected" => return rig.connected(conn),
        "connect failed" => {
            return rig.failed(conn, "connection refused");
        }
        "accepted" => return rig.accepted(INBOUND),
        "closed" => return rig.closed(conn, None),
        "OPEN" => open,
        "OPEN of another AS" => {
            let mut other = peer_open();
            other.asn = bgp::id::Asn(65010);
            other.capabilities.clear();
            bytes_of(&other)
        }
        "OPEN of version 3" => [&open[..19], &[3], &open[20..]].concat(),
        "KEEPALIVE" => keepalive(),
        "UPDATE" => update(),
        "UPDATE that is refused" => refused_update(),
        "ROUTE-REFRESH" => message(5, &[0, 1, 0, 1]),
        "ROUTE-REFRESH without body" => message(5, &[]),
        "NOTIFICATION" => notification(6, 2),
        "marker not all ones" => vec![0; 19],
        "KEEPALIVE with a body" => message(4, &[0]),
        "OPEN above 4096" => message(1, &[0; 4078]),
        "type 9" => message(9, &[]),
        other => panic!("the table has an input that the test does not know: {other}"),
    };
    rig.receive(conn, &bytes);
}

/// What a rig says after an input: the cell of the table.
fn cell(rig: &mut Rig, conn: ConnId, input: &str) -> String {
    let before = rig.session.state();
    apply(rig, conn, input);
    let after = rig.session.state();
    let said = rig.said();
    let said = if conn == INBOUND { said.replace("@in1", "") } else { said };
    if after == before && said.is_empty() {
        return ".".to_owned();
    }
    format!("{} {said}", after.name()).trim().to_owned()
}

#[test]
fn each_input_in_each_state() {
    let mut wrong = Vec::new();
    let mut cells = 0;
    let mut lines = TABLE.lines().filter(|line| !line.is_empty());
    while let Some(input) = lines.next() {
        for state in STATES {
            let line = lines.next().expect("each input has a line for each state");
            let (column, expected) = line.trim().split_once(' ').expect("state, then what follows");
            let expected = expected.trim();
            assert_eq!(column, state.name(), "{input}");
            let mut rigs = vec![(rig_in(state), OUTBOUND, expected)];
            // What is about opening connections has no counterpart.
            let of_the_connection = !matches!(input, "accepted" | "connected");
            if state >= State::OpenSent && of_the_connection {
                rigs.push((inbound_rig_in(state), INBOUND, expected));
            }
            for (mut rig, conn, expected) in rigs {
                let found = cell(&mut rig, conn, input);
                if found != expected {
                    wrong.push(format!("{input} in {column} on {conn}: expected {expected}, found {found}"));
                }
                cells += 1;
                listens_again(&mut rig, input);
            }
        }
    }
    assert_eq!(cells, 21 * STATES.len() + 19 * 3);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever came: if the session is wanted and not Established, a connection
/// of the peer brings it to Established.
fn listens_again(rig: &mut Rig, input: &str) {
    if matches!(rig.session.state(), State::Idle | State::Established) {
        return;
    }
    let conn = ConnId::Inbound(2);
    rig.accepted(conn);
    rig.receive(conn, &bytes_of(&peer_open()));
    rig.pass(seconds(1));
    rig.receive(conn, &keepalive());
    assert_eq!(rig.session.state(), State::Established, "after {input}: {}", rig.said());
}
