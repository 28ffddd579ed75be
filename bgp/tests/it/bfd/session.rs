//! The machine by itself: its table of states, polls, and what an order or silence leads to.

use bgp::bfd::{Config, Diagnostic, Discard, Forwarding, Packet, Session, State};
use bgp::time::{Duration, Instant};

use super::packet;

const MS: Duration = Duration::from_millis(1);
const CONFIG: Config = Config { interval: Duration::from_millis(50), multiplier: 3 };

fn heard(state: State) -> Packet {
    Packet { state, your: 9, ..packet() }
}

/// A session, what it put out, and the time.
struct Bench {
    session: Session,
    out: Vec<Packet>,
    told: Vec<Forwarding>,
    known: Forwarding,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant(1_000_000_000);
        Self {
            session: Session::new(CONFIG, 9, 1, now),
            out: Vec::new(),
            told: Vec::new(),
            known: Forwarding::Unknown,
            now,
        }
    }

    /// A session in a state, with nothing put out.
    fn in_state(state: State) -> Self {
        let mut bench = Self::new();
        match state {
            State::AdminDown => bench.session.disable(&mut bench.out, bench.now),
            State::Down => {}
            State::Init => bench.hear(heard(State::Down)),
            State::Up => bench.hear(heard(State::Init)),
        }
        bench.out.clear();
        bench.told.clear();
        assert_eq!(bench.session.view().state, state);
        bench
    }

    fn hear(&mut self, packet: Packet) {
        let discarded = self.session.receive(&packet, &mut self.out, self.now).err();
        assert!(matches!(discarded, None | Some(Discard::AdminDown)), "{discarded:?}");
        self.note();
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.session.expire(&mut self.out, self.now);
        self.note();
    }

    /// Keeps what the session means, where that is news.
    fn note(&mut self) {
        let forwarding = self.session.view().forwarding;
        if std::mem::replace(&mut self.known, forwarding) != forwarding {
            self.told.push(forwarding);
        }
    }
}

/// RFC 5880 §6.8.6, as its text reads.
#[test]
fn what_each_state_does_with_each_state_that_is_heard() {
    use State::{AdminDown, Down, Init, Up};
    for (state, expected) in [
        (AdminDown, [AdminDown; 4]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ] {
        for (said, expected) in [AdminDown, Down, Init, Up].into_iter().zip(expected) {
            let mut bench = Bench::in_state(state);
            bench.hear(heard(said));
            let view = bench.session.view();
            assert_eq!(view.state, expected, "{said:?} heard in {state:?}");
            let fell = state > Down && expected == Down;
            let diagnostic = match expected {
                AdminDown => Diagnostic::ADMINISTRATIVELY_DOWN,
                Down if fell => Diagnostic::NEIGHBOR_SIGNALED_DOWN,
                _ => Diagnostic::NONE,
            };
            assert_eq!(view.diagnostic, diagnostic, "{said:?} heard in {state:?}");
            // A change goes out at once, and only then.
            let said: Vec<State> = bench.out.iter().map(|packet| packet.state).collect();
            assert_eq!(said, if state == expected { Vec::new() } else { vec![expected] });
        }
    }
}

#[test]
fn who_relies_on_it_hears_of_packets_and_not_of_purpose() {
    let lost = Forwarding::Lost { independent: false };
    let mut bench = Bench::in_state(State::Down);
    bench.hear(heard(State::Init));
    assert_eq!(bench.told, [Forwarding::Alive]);
    bench.hear(heard(State::Down));
    assert_eq!(bench.told, [Forwarding::Alive, lost]);
    // Lost until it is up again: Init is not enough.
    bench.hear(heard(State::Down));
    assert_eq!(bench.session.view().state, State::Init);
    assert_eq!(bench.told.len(), 2);
    bench.hear(heard(State::Init));
    assert_eq!(bench.told[2..], [Forwarding::Alive]);
    bench.hear(heard(State::AdminDown));
    assert_eq!(bench.told[3..], [Forwarding::Unknown]);
    assert_eq!(bench.session.view().losses, 2);

    let mut bench = Bench::in_state(State::Up);
    bench.hear(Packet { independent: true, ..heard(State::Up) });
    bench.pass(3_000 * MS);
    assert_eq!(bench.told, [Forwarding::Lost { independent: true }]);
    // The peer says that it was on purpose.
    bench.hear(heard(State::AdminDown));
    assert_eq!(bench.told[1..], [Forwarding::Unknown]);
}

#[test]
fn silence_is_noticed_when_the_detection_time_is_over_and_not_before() {
    let mut bench = Bench::in_state(State::Up);
    // The peer sends every 100 ms, and its multiplier is 5 where ours is 3.
    let up = Packet { desired_min_tx: 100 * MS, multiplier: 5, ..heard(State::Up) };
    bench.hear(Packet { last: true, ..up });
    assert_eq!(bench.session.view().detection, Some(500 * MS));
    bench.pass(500 * MS - Duration::from_nanos(1));
    assert_eq!(bench.session.view().state, State::Up);
    bench.out.clear();
    bench.pass(Duration::from_nanos(1));
    let view = bench.session.view();
    assert_eq!((view.state, view.diagnostic), (State::Down, Diagnostic::DETECTION_TIME_EXPIRED));
    assert_eq!(bench.told, [Forwarding::Lost { independent: false }]);
    // The peer is forgotten (RFC 5880 §6.8.1), and not asked more often than once a second.
    let said = bench.out[0];
    assert_eq!((said.your, said.desired_min_tx, said.poll), (0, 1_000 * MS, false));
    assert_eq!((view.detection, view.transmit), (None, Some(1_000 * MS)));
}

#[test]
fn a_change_of_intervals_counts_once_the_peer_has_heard_of_it() {
    let mut bench = Bench::in_state(State::Up);
    let up = Packet { desired_min_tx: 50 * MS, required_min_rx: 50 * MS, ..heard(State::Up) };
    // It went from a second to 50 ms on its way to Up, and asks until that is heard.
    bench.hear(up);
    bench.pass(50 * MS);
    assert!(bench.out.iter().all(|packet| packet.poll) && !bench.out.is_empty());
    bench.hear(Packet { last: true, ..up });
    bench.out.clear();
    bench.pass(50 * MS);
    assert!(bench.out.iter().all(|packet| !packet.poll) && !bench.out.is_empty());

    // Slower: said at once, done after the answer.
    bench.session.reconfigure(Config { interval: 200 * MS, multiplier: 3 }, bench.now);
    assert_eq!(bench.session.view().transmit, Some(50 * MS));
    // More patient at once: the peer may send as seldom as it has just heard that we want.
    assert_eq!(bench.session.view().detection, Some(600 * MS));
    bench.out.clear();
    bench.pass(50 * MS);
    assert!(bench.out.iter().all(|packet| packet.poll && packet.desired_min_tx == 200 * MS));
    bench.hear(Packet { last: true, ..up });
    assert_eq!(bench.session.view().transmit, Some(200 * MS));

    // Faster: sent so at once, expected so after the answer; a change in between asks again.
    bench.session.reconfigure(Config { interval: 100 * MS, multiplier: 3 }, bench.now);
    bench.session.reconfigure(Config { interval: 20 * MS, multiplier: 3 }, bench.now);
    assert_eq!(bench.session.view().transmit, Some(50 * MS), "the peer wants no more");
    assert_eq!(bench.session.view().detection, Some(600 * MS));
    bench.hear(Packet { last: true, ..up });
    assert_eq!(bench.session.view().detection, Some(600 * MS), "an answer to the first of two");
    bench.hear(Packet { last: true, ..up });
    assert_eq!(bench.session.view().detection, Some(150 * MS));
}

#[test]
fn a_poll_is_answered_at_once_and_finals_are_not_answered() {
    let mut bench = Bench::in_state(State::Up);
    bench.hear(Packet { poll: true, ..heard(State::Up) });
    let [answer] = bench.out[..] else { panic!("{:?}", bench.out) };
    assert!(answer.last && !answer.poll && answer.state == State::Up);
    bench.out.clear();
    bench.hear(Packet { last: true, ..heard(State::Up) });
    assert!(bench.out.is_empty());
}

#[test]
fn a_peer_that_wants_nothing_gets_nothing() {
    let mut bench = Bench::in_state(State::Up);
    bench.hear(Packet { required_min_rx: Duration::ZERO, last: true, ..heard(State::Up) });
    assert_eq!(bench.session.view().transmit, None);
    let mut bench = Bench::in_state(State::Up);
    bench.hear(Packet { demand: true, last: true, ..heard(State::Up) });
    assert_eq!(bench.session.view().transmit, None);
    // But to a poll, and to what it has to know.
    bench.hear(Packet { demand: true, poll: true, ..heard(State::Up) });
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn who_is_taken_down_on_purpose_says_so_until_the_peer_must_have_heard() {
    let mut bench = Bench::in_state(State::Up);
    bench.hear(Packet { required_min_rx: 50 * MS, last: true, ..heard(State::Up) });
    bench.out.clear();
    bench.session.disable(&mut bench.out, bench.now);
    assert_eq!(bench.session.view().forwarding, Forwarding::Unknown);
    let start = bench.now;
    while let Some(at) = bench.session.deadline() {
        bench.now = at;
        bench.session.expire(&mut bench.out, at);
        assert!(at.since(start) <= 10_000 * MS, "it ends");
    }
    let said = std::mem::take(&mut bench.out);
    assert!(said.len() >= 3, "{said:?}");
    let admin = (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN);
    assert!(said.iter().all(|packet| (packet.state, packet.diagnostic) == admin));
    bench.session.enable(&mut bench.out, bench.now);
    assert_eq!(bench.session.view().state, State::Down);
    assert!(bench.session.deadline().is_some());
}

#[test]
fn another_sessions_packet_changes_nothing() {
    let mut bench = Bench::in_state(State::Up);
    let before = bench.session.view();
    let other = Packet { your: 8, ..heard(State::Down) };
    assert_eq!(bench.session.receive(&other, &mut bench.out, bench.now), Err(Discard::NotOurs(8)));
    assert_eq!(bench.session.view(), before);
    assert!(bench.out.is_empty());
}
