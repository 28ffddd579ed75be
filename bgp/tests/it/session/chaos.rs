//! Whatever a peer, a network or an operator does: no panic, no connection that
//! leaks, no NOTIFICATION without a close, and always a way back to Established.

use std::collections::BTreeSet;

use bgp::id::ConnId;
use bgp::io::{Downfall, State};
use bgp::reason::Reason;
use bgp::session::{Action, SessionConfig};
use bgp::time::Duration;
use bgp::wire::notification::{Cease, Notification};
use proptest::prelude::*;

use super::rig::{
    Rig, bytes_of, config, keepalive, message, messages, notification, peer_open, refused_update, seconds,
    update,
};

/// One thing that happens; a connection is picked by number among those that are open.
#[derive(Clone, Debug)]
enum Happening {
    Start,
    Stop,
    Connected,
    ConnectFailed(bool),
    Accepted,
    Closed(usize),
    Bytes(usize, Vec<u8>),
    Pass(u64),
    Reconfigure(u8),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let well_formed = prop_oneof![
        4 => Just(bytes_of(&peer_open())),
        4 => Just(keepalive()),
        2 => Just(update()),
        1 => Just(refused_update()),
        1 => Just(notification(6, 7)),
        1 => Just(notification(2, 4)),
        1 => Just(message(5, &[0, 1, 0, 1])),
        1 => Just([bytes_of(&peer_open()), keepalive(), update()].concat()),
    ];
    let mangled = (well_formed.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
        |(mut bytes, at, octet)| {
            let at = at.index(bytes.len());
            bytes[at] = octet;
            bytes
        },
    );
    let torn = (well_formed.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len()));
        bytes
    });
    let any_body = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..60))
        .prop_map(|(kind, body)| message(kind, &body));
    prop_oneof![6 => well_formed, 2 => mangled, 1 => torn, 1 => any_body, 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => Just(Happening::Start),
        1 => Just(Happening::Stop),
        4 => Just(Happening::Connected),
        2 => any::<bool>().prop_map(Happening::ConnectFailed),
        4 => Just(Happening::Accepted),
        2 => any::<usize>().prop_map(Happening::Closed),
        12 => (any::<usize>(), bytes()).prop_map(|(conn, bytes)| Happening::Bytes(conn, bytes)),
        3 => (0..20_000_u64).prop_map(Happening::Pass),
        1 => any::<u8>().prop_map(Happening::Reconfigure),
    ]
}

fn configured(bits: u8) -> SessionConfig {
    let mut changed = config();
    changed.passive = bits & 1 != 0;
    changed.disabled = bits & 6 == 6;
    changed.families.ipv6 = bits & 8 != 0;
    changed.timers.hold = if bits & 48 == 48 { Duration::ZERO } else { seconds(9) };
    changed
}

/// The bench, with the connections that its caller holds open.
struct Caller {
    rig: Rig,
    dialling: BTreeSet<ConnId>,
    open: BTreeSet<ConnId>,
    up: bool,
    accepted: u64,
}

impl Caller {
    fn new() -> Self {
        let (dialling, open) = (BTreeSet::new(), BTreeSet::new());
        Self { rig: Rig::new(config()), dialling, open, up: false, accepted: 0 }
    }

    fn pick(&self, number: usize) -> Option<ConnId> {
        self.open.iter().nth(number % self.open.len().max(1)).copied()
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Start => self.rig.start(),
            Happening::Stop => {
                let cause = Downfall { reason: Reason::Shutdown, text: String::new() };
                let farewell = Notification::cease(Cease::AdministrativeShutdown);
                self.rig.session.stop(&farewell, &cause, &mut self.rig.out, self.rig.now);
            }
            Happening::Connected => {
                if let Some(conn) = self.dialling.pop_first() {
                    self.open.insert(conn);
                    self.rig.connected(conn);
                }
            }
            Happening::ConnectFailed(answered) => {
                if let Some(conn) = self.dialling.pop_first() {
                    if *answered { self.rig.failed(conn, "refused") } else { self.rig.astray(conn) }
                }
            }
            Happening::Accepted => {
                self.accepted += 1;
                let conn = ConnId::Inbound(self.accepted);
                self.open.insert(conn);
                self.rig.accepted(conn);
            }
            Happening::Closed(number) => {
                if let Some(conn) = self.pick(*number) {
                    self.open.remove(&conn);
                    self.rig.closed(conn, None);
                }
            }
            Happening::Bytes(number, bytes) => {
                if let Some(conn) = self.pick(*number) {
                    self.rig.receive(conn, bytes);
                }
            }
            Happening::Pass(millis) => self.rig.pass(Duration::from_millis(*millis)),
            Happening::Reconfigure(bits) => {
                self.rig.session.reconfigure(configured(*bits), &mut self.rig.out, self.rig.now);
            }
        }
        self.carry_out();
    }

    /// Keeps the books, and checks what the session asks for against them.
    fn carry_out(&mut self) {
        let mut parting = None;
        for action in core::mem::take(&mut self.rig.out) {
            match &action {
                Action::Connect { conn, .. } => {
                    assert!(self.dialling.insert(*conn), "a number is used twice");
                }
                Action::Write { conn, bytes } => {
                    assert!(self.open.contains(conn), "{action:?} to a connection that is not open");
                    assert_eq!(parting, None, "a message behind a NOTIFICATION");
                    let farewell = messages(bytes).iter().any(|message| message.contains('/'));
                    parting = farewell.then_some(*conn);
                }
                Action::Close { conn } => {
                    assert!(parting.is_none_or(|parting| parting == *conn));
                    parting = None;
                    assert!(self.open.remove(conn) || self.dialling.remove(conn), "{action:?} of nothing");
                }
                Action::Established(_) => assert!(!core::mem::replace(&mut self.up, true)),
                Action::Down { .. } => assert!(core::mem::replace(&mut self.up, false)),
                Action::Moved { from, to, .. } => assert_ne!(from, to),
            }
        }
        assert_eq!(parting, None, "a NOTIFICATION without a close");
        let session = &self.rig.session;
        assert!(self.open.union(&self.dialling).all(|conn| session.owns(*conn)), "a connection leaks");
        assert_eq!(self.up, session.established().is_some());
        assert_eq!(self.up, session.down().is_none());
        let waits_for_nothing = matches!(session.state(), State::Idle | State::Established);
        if !waits_for_nothing && !session.config().passive && session.hold() != Some(Duration::ZERO) {
            let confirmed = session.state() == State::OpenConfirm;
            assert!(session.deadline().is_some() || confirmed, "{session:?} waits for ever");
        }
    }

    /// A peer that behaves comes to Established.
    fn comes_up(&mut self) {
        self.rig.session.reconfigure(config(), &mut self.rig.out, self.rig.now);
        self.carry_out();
        self.happen(&Happening::Start);
        if self.up {
            return;
        }
        self.happen(&Happening::Accepted);
        let conn = ConnId::Inbound(self.accepted);
        self.rig.receive(conn, &bytes_of(&peer_open()));
        self.carry_out();
        self.rig.pass(seconds(1));
        self.carry_out();
        self.rig.receive(conn, &keepalive());
        self.carry_out();
        assert!(self.up, "{:?}", self.rig.session);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn always_a_way_back(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut caller = Caller::new();
        for happening in &happenings {
            caller.happen(happening);
        }
        caller.comes_up();
    }

    #[test]
    fn pieces_do_not_matter(stream in prop::collection::vec(bytes(), 0..12), cuts in prop::collection::vec(1..40_usize, 1..200)) {
        let stream = stream.concat();
        let mut whole = Rig::greeted(config());
        whole.receive(super::rig::OUTBOUND, &stream);
        let mut pieces = Rig::greeted(config());
        let (mut rest, mut cuts) = (stream.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            pieces.receive(super::rig::OUTBOUND, piece);
            rest = behind;
        }
        prop_assert_eq!(&whole.out, &pieces.out);
        prop_assert_eq!(&whole.sink.updates, &pieces.sink.updates);
        prop_assert_eq!(whole.down(), pieces.down());
    }
}
