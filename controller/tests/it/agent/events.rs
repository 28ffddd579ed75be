//! What the loop tells readers of the status of: each thing once, in order.

use bgp::io::State;
use bgp::time::Duration;
use bgp::wire::header;
use controller::event::Event;
use controller::kernel::KernelEvent;
use controller::status::event::EventKind;
use controller::transport::TransportEvent;

use super::fake::{World, announce, manifests};

/// The events as `kind text`, those of before left out.
fn told(world: &mut World, after: u64) -> Vec<String> {
    world.run_for(Duration::from_millis(300));
    let ring = world.snapshot().events.clone();
    let lines = ring.iter().filter(|(revision, _)| *revision > after);
    lines.map(|(_, event)| format!("{} {}", event.kind.word(), event.text)).collect()
}

#[test]
fn configurations_and_troubles_are_told_once() {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    let told_first = told(&mut world, 0);
    assert_eq!(
        told_first,
        [
            format!("started version {}", env!("CARGO_PKG_VERSION")),
            "configured AS 65001, router id 10.0.1.2, peers 1, own prefixes 1".to_owned(),
        ]
    );
    let after = world.snapshot().revision;
    world.broken("a.yaml: not to be read");
    world.broken("a.yaml: not to be read");
    world.put(Event::Kernel(KernelEvent::Trouble("a dump failed".into())));
    world.put(Event::Transport(TransportEvent::Trouble("accepting failed".into())));
    world.run();
    assert_eq!(
        told(&mut world, after),
        [
            "configuration-unread a.yaml: not to be read",
            "impaired cordon: the Node is not read: a.yaml: not to be read; what it said last holds",
            "kernel-trouble a dump failed",
            "transport-trouble accepting failed",
        ]
    );
}

#[test]
fn a_session_is_told_with_its_states_and_why_it_ended() {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    world.put(Event::Transport(TransportEvent::Closed { conn, error: Some("connection reset".into()) }));
    world.run_for(Duration::from_millis(300));
    let ring = world.snapshot().events.clone();
    let sessions: Vec<_> =
        ring.iter().map(|(_, event)| event).filter(|event| event.kind == EventKind::Session).collect();
    let [up, down] = sessions[..] else { panic!("{sessions:?}") };
    assert_eq!(up.states.map(|(_, to)| to), Some(State::Established));
    assert_eq!(down.states.map(|(from, _)| from), Some(State::Established));
    assert!(down.reason.is_some() && down.text.contains("connection reset"), "{down:?}");
    assert_eq!(down.peer.as_ref().map(|peer| peer.address), Some("10.0.1.1".parse().unwrap()));
}

/// RFC 7606: the session goes on, and somebody hears of it.
#[test]
fn malformed_attributes_are_told() {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    let mut update = announce(65100, "10.0.1.1", ["10.7.0.0/16".parse().unwrap()]);
    // ORIGIN stands first among the attributes, behind 4 octets of lengths: 3 is no origin.
    let origin = header::HEADER_LEN + 4 + 3;
    assert_eq!(update[origin - 3..origin], [0x40, 1, 1]);
    update[origin] = 3;
    world.bytes(conn, update.clone());
    world.bytes(conn, update);
    world.run_for(Duration::from_millis(300));
    let malformed: Vec<String> =
        told(&mut world, 0).into_iter().filter(|line| line.starts_with("malformed")).collect();
    assert_eq!(malformed.len(), 1, "both at once: {malformed:?}");
    assert!(malformed[0].starts_with("malformed 2 times, the last: "), "{malformed:?}");
    assert!(world.snapshot().peers.iter().all(|peer| peer.state == State::Established));
}

#[test]
fn changed_prefixes_are_told() {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    let next_hop = bgp::io::NextHop { address: "10.0.1.1".parse().unwrap(), via_default: false };
    world.bytes(conn, announce(65100, "10.0.1.1", ["10.7.0.0/16".parse().unwrap()]));
    world.put(Event::Kernel(KernelEvent::NextHop { next_hop, metric: Some(0) }));
    world.run_for(Duration::from_millis(300));
    let prefixes: Vec<String> =
        world.snapshot().prefixes.iter().map(|(_, prefix)| prefix.to_string()).collect();
    assert_eq!(prefixes, ["10.7.0.0/16"]);
}

#[test]
fn an_attempt_that_was_given_up_shows_without_any_other_news() {
    let mut world = World::new();
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    world.connecting("10.0.1.1:179");
    world.run_for(Duration::from_secs(7));
    let down = world.snapshot().peers[0].down.clone().expect("it is down");
    assert_eq!(down.text, "no answer to TCP within 5s");
}

#[test]
fn a_limit_that_is_reached_is_told_once_with_its_word() {
    let mut world = World::new();
    let limited = manifests(&[("10.0.1.1", 65100)], "")
        .replace("asn: 65100}", "asn: 65100, limits: {receive: {max: 2}}}");
    world.manifests(&limited);
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    let prefixes = (0..4).map(|third| format!("10.77.{third}.0/24").parse().unwrap());
    world.bytes(conn, announce(65100, "10.0.1.1", prefixes));
    world.run_for(Duration::from_millis(300));
    world.run_for(Duration::from_millis(300));
    let ring = world.snapshot().events.clone();
    let limits: Vec<_> =
        ring.iter().map(|(_, event)| event).filter(|event| event.kind == EventKind::Limit).collect();
    let [limit] = limits[..] else { panic!("{limits:?}") };
    assert_eq!(limit.text, "IPv4: 4 prefixes received, the limit is 2");
    assert_eq!(limit.reason, Some("prefix-limit"));
    assert_eq!(limit.peer.as_ref().map(|peer| peer.name.as_str()), Some("p-10.0.1.1"));
}
