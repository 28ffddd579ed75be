//! Out of service, and back, by what becomes of the Node.

use bgp::io::{State, Transport};
use bgp::time::Duration;
use controller::kernel::Command;

use super::fake::{World, manifests};

const PEERS: [(&str, u32); 1] = [("10.0.1.1", 65100)];

/// The cluster without Node `n1`: another one is there, or none.
fn without(other: bool) -> String {
    let mine = manifests(&PEERS, "");
    let documents = mine.split("---\n");
    let kept = documents.filter(|document| other || !document.contains("kind: Node"));
    let text = kept.collect::<Vec<_>>().join("---\n");
    text.replace("name: n1", "name: n2").replace("10.244.1.0", "10.244.2.0").replace("10.0.1.2}", "10.0.1.3}")
}

/// Whether the node is in service, why not, and how many prefixes its peer was sent.
fn service(world: &mut World) -> (Option<String>, usize) {
    world.run_for(Duration::from_millis(200));
    let snapshot = world.snapshot();
    let peer = &snapshot.peers[0];
    assert_eq!((peer.state, peer.established_count), (State::Established, 1), "the session stays");
    (snapshot.drain.as_ref().map(|drain| drain.reason.clone()), peer.counts.ipv4.sent as usize)
}

fn in_service() -> World {
    let mut world = World::new();
    world.manifests(&manifests(&PEERS, ""));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    assert_eq!(service(&mut world), (None, 1));
    world
}

#[test]
fn a_node_that_is_deleted_is_left_and_one_that_returns_is_in_service() {
    let mut world = in_service();
    world.manifests(&without(true));
    assert_eq!(service(&mut world), (Some("its Node was deleted".to_owned()), 0));
    world.manifests(&manifests(&PEERS, ""));
    assert_eq!(service(&mut world), (None, 1));
    // A source that has lost all Nodes says nothing of this one.
    world.manifests(&without(false));
    assert_eq!(service(&mut world), (None, 1));
}

#[test]
fn the_agent_of_a_deleted_node_takes_its_routes_along_and_says_why() {
    let mut world = in_service();
    world.manifests(&without(true));
    assert_eq!(service(&mut world).1, 0);
    world.told();
    world.agent.stop(false);
    let told = world.told();
    let said = told.iter().any(|(_, effect)| match effect {
        // RFC 9003: the text of a Cease.
        Transport::Write { bytes, .. } => String::from_utf8_lossy(bytes).contains("its Node was deleted"),
        _ => false,
    });
    assert!(said, "{told:?}");
    let last = world.agent.drivers().kernel.iter().rev().find_map(|command| match command {
        Command::Configure(config) => Some((config.install, config.unreachable.len())),
        _ => None,
    });
    assert_eq!(last, Some((false, 0)));
}
