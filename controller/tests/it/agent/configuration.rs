//! Configuration in the loop: applied by differences, and never lost.

use bgp::io::{State, Transport};
use bgp::time::Duration;
use controller::kernel::Command;

use super::fake::{World, manifests};

const PEER: &str = "10.0.1.1:179";

/// What was written and whether anything was closed.
fn traffic(world: &mut World) -> (usize, usize) {
    let told = world.told();
    let writes = told.iter().filter(|(_, effect)| matches!(effect, Transport::Write { .. })).count();
    let closes = told.iter().filter(|(_, effect)| matches!(effect, Transport::Close { .. })).count();
    (writes, closes)
}

fn established(world: &mut World) {
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    let conn = world.connecting(PEER);
    world.establish(conn, 65100, 9);
    traffic(world);
}

#[test]
fn nothing_is_done_before_there_is_a_configuration() {
    let mut world = World::new();
    world.run_for(Duration::from_secs(1));
    assert!(world.told().is_empty());
    let snapshot = world.snapshot();
    assert!(snapshot.identity.is_none() && snapshot.peers.is_empty());
    assert_eq!(snapshot.conditions[0].reason, "not-configured");
}

#[test]
fn the_kernel_hears_of_the_configuration_before_any_route() {
    let mut world = World::new();
    world.manifests(&manifests(&[], ""));
    let commands = &world.agent.drivers().kernel;
    assert!(
        matches!(&commands[..], [Command::Configure(config), ..] if config.unreachable.len() == 1),
        "{commands:?}"
    );
}

#[test]
fn a_new_prefix_is_announced_without_a_reset() {
    let mut world = World::new();
    established(&mut world);
    let advertise = ", advertise: {prefixes: [{prefix: 10.9.9.0/24}]}";
    world.manifests(&manifests(&[("10.0.1.1", 65100)], advertise));
    world.run_for(Duration::from_millis(200));
    let (writes, closes) = traffic(&mut world);
    assert!(writes >= 1 && closes == 0, "{writes} {closes}");
    let peer = &world.snapshot().peers[0];
    assert_eq!((peer.state, peer.established_count, peer.counts.ipv4.sent), (State::Established, 1, 2));
    // The same again changes nothing.
    world.manifests(&manifests(&[("10.0.1.1", 65100)], advertise));
    assert_eq!(traffic(&mut world), (0, 0));
}

#[test]
fn a_bad_file_keeps_the_last_good_state_and_is_named() {
    let mut world = World::new();
    established(&mut world);
    for bad in ["kind: Foo\n", "kind: [", ""] {
        world.broken(&format!("a.yaml:1: {bad}"));
        world.run_for(Duration::from_millis(200));
        assert_eq!(traffic(&mut world).1, 0, "{bad}");
        let snapshot = world.snapshot();
        assert_eq!(snapshot.peers[0].state, State::Established, "{bad}");
        assert_eq!(snapshot.source.errors, [format!("a.yaml:1: {bad}")]);
    }
    // Objects that contradict each other are as good as no file.
    let second = "---\napiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {name: g}\nspec: {asn: {value: 9}}\n";
    world.manifests(&(manifests(&[("10.0.1.1", 65100)], "") + second));
    world.run_for(Duration::from_millis(200));
    assert_eq!(traffic(&mut world).1, 0);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.peers[0].state, State::Established);
    assert!(snapshot.source.errors[0].contains("contradict each other in field `spec.asn`"), "{snapshot:?}");
    assert_eq!(snapshot.identity.unwrap().asn.0, 65001);
    // A good one clears what was said.
    world.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    world.run_for(Duration::from_millis(200));
    assert!(world.snapshot().source.errors.is_empty());
}

#[test]
fn a_peer_that_is_taken_out_is_closed_and_the_other_stays() {
    let mut world = World::new();
    established(&mut world);
    world.manifests(&manifests(&[("10.0.1.1", 65100), ("10.0.1.7", 65107)], ""));
    world.connecting("10.0.1.7:179");
    world.manifests(&manifests(&[("10.0.1.7", 65107)], ""));
    world.run_for(Duration::from_millis(200));
    assert!(traffic(&mut world).1 >= 1);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.peers.iter().map(|peer| peer.address.to_string()).collect::<Vec<_>>(), ["10.0.1.7"]);
}

#[test]
fn the_end_is_said_and_no_route_is_touched() {
    let mut world = World::new();
    established(&mut world);
    world.agent.drivers().kernel.clear();
    world.agent.stop(false);
    let told = world.told();
    let [.., (_, Transport::Write { bytes, .. }), (_, Transport::Close { .. })] = &told[..] else {
        panic!("a NOTIFICATION and the end: {told:?}")
    };
    // Type 3; Cease, Administrative Shutdown (RFC 4486 §4).
    assert_eq!((bytes[18], bytes[19], bytes[20]), (3, 6, 2));
    world.run();
    let touched = world.agent.drivers().kernel.iter().any(|command| matches!(command, Command::Routes(_)));
    assert!(!touched);
}

#[test]
fn routes_of_an_earlier_run_go_when_all_sessions_are_up_or_after_a_while() {
    let sweeps = |world: &mut World| {
        world.agent.drivers().kernel.iter().filter(|command| matches!(command, Command::Sweep)).count()
    };
    let mut alone = World::new();
    alone.manifests(&manifests(&[("10.0.1.1", 65100)], ""));
    alone.run_for(Duration::from_secs(100));
    assert_eq!(sweeps(&mut alone), 0, "the peer may bring them yet");
    alone.run_for(Duration::from_secs(30));
    assert_eq!(sweeps(&mut alone), 1);

    let mut quick = World::new();
    quick.manifests(&manifests(&[], ""));
    quick.run_for(Duration::from_secs(15));
    assert_eq!(sweeps(&mut quick), 1);
    quick.run_for(Duration::from_secs(200));
    assert_eq!(sweeps(&mut quick), 1);
}
