//! When the routes of an earlier run go.

use bgp::id::ConnId;
use bgp::io::{RouteAck, Transport};
use bgp::prefix::Family;
use bgp::time::Duration;
use bgp::wire::pack;
use controller::event::Event;
use controller::kernel::{Command, KernelEvent};
use controller::status::snapshot::{Condition, ConditionKind};

use super::fake::{World, announce, keepalive, manifests};

const PEERS: [(&str, u32); 2] = [("10.0.1.1", 65100), ("10.0.1.7", 65107)];

fn sweeps(world: &mut World) -> usize {
    world.agent.drivers().kernel.iter().filter(|command| matches!(command, Command::Sweep)).count()
}

/// An agent whose sessions with the first `up` of two peers, without hold time, are up.
fn world(up: usize) -> (World, Vec<ConnId>) {
    let mut world = World::new();
    let mut conns = Vec::new();
    for (index, (address, asn)) in PEERS.into_iter().enumerate().take(up) {
        // One after the other, so that each is found among what the transport was told.
        world.manifests(&manifests(&PEERS[..=index], ""));
        let conn = world.connecting(&format!("{address}:179"));
        world.establish(conn, asn, 0);
        conns.push(conn);
    }
    world.manifests(&manifests(&PEERS, ""));
    (world, conns)
}

fn end_of_rib(world: &mut World, conn: ConnId, families: &[Family]) {
    let mut bytes = Vec::new();
    families.iter().for_each(|family| pack::end_of_rib(*family, &mut bytes));
    world.bytes(conn, bytes);
    world.run();
}

#[test]
fn routes_of_an_earlier_run_go_after_end_of_rib_of_each_family_of_each_peer() {
    let (mut world, conns) = world(2);
    speak(&mut world);
    end_of_rib(&mut world, conns[0], &Family::ALL);
    end_of_rib(&mut world, conns[1], &[Family::Ipv4]);
    world.run_for(Duration::from_secs(6));
    assert_eq!(sweeps(&mut world), 0, "one family of one peer is awaited");
    end_of_rib(&mut world, conns[1], &[Family::Ipv6]);
    world.run_for(Duration::from_secs(5));
    assert_eq!(sweeps(&mut world), 1);
    world.run_for(Duration::from_secs(200));
    assert_eq!(sweeps(&mut world), 1, "once");
}

#[test]
fn a_peer_that_is_away_is_waited_for_but_not_for_ever() {
    let (mut world, conns) = world(1);
    end_of_rib(&mut world, conns[0], &Family::ALL);
    world.run_for(Duration::from_secs(100));
    assert_eq!(sweeps(&mut world), 0, "the other may bring them yet");
    world.run_for(Duration::from_secs(30));
    assert_eq!(sweeps(&mut world), 1);
}

#[test]
fn a_peer_without_end_of_rib_has_sent_all_when_it_is_silent() {
    let (mut world, conns) = world(2);
    end_of_rib(&mut world, conns[0], &Family::ALL);
    for third in 0..10 {
        let prefix = format!("10.77.{third}.0/24").parse().unwrap();
        world.bytes(conns[1], announce(65107, "10.0.1.7", [prefix]));
        world.run_for(Duration::from_secs(2));
    }
    speak(&mut world);
    assert_eq!(sweeps(&mut world), 0, "it is not silent");
    // KEEPALIVEs bring no route.
    for _ in 0..8 {
        world.bytes(conns[1], keepalive());
        world.run_for(Duration::from_secs(2));
    }
    assert_eq!(sweeps(&mut world), 1);
}

#[test]
fn nothing_goes_before_the_kernel_has_spoken_of_the_next_hops() {
    let (mut world, conns) = world(2);
    world.bytes(conns[0], announce(65100, "10.0.1.1", ["10.77.1.0/24".parse().unwrap()]));
    for conn in conns {
        end_of_rib(&mut world, conn, &Family::ALL);
    }
    world.run_for(Duration::from_secs(60));
    assert_eq!(sweeps(&mut world), 0, "the route is there and not yet asked for");
    speak(&mut world);
    world.run_for(Duration::from_secs(5));
    assert_eq!(sweeps(&mut world), 1);
    let commands = &world.agent.drivers().kernel;
    let route = commands.iter().position(|command| matches!(command, Command::Routes(routes) if routes.iter().any(|route| route.set.is_some())));
    let sweep = commands.iter().position(|command| matches!(command, Command::Sweep));
    assert!(route.is_some() && route < sweep, "{commands:?}");
}

#[test]
fn the_kernel_is_in_sync_once_it_has_confirmed_every_route() {
    let in_sync = |world: &mut World| {
        world.run_for(Duration::from_millis(300));
        let snapshot = world.snapshot();
        let is = |condition: &&Condition| condition.kind == ConditionKind::KernelInSync;
        let condition = snapshot.conditions.iter().find(is).expect("it is computed").clone();
        (condition.holds, condition.reason, condition.message)
    };
    let mut world = World::new();
    assert_eq!(in_sync(&mut world), (None, "not-configured", String::new()));
    let (mut world, conns) = self::world(1);
    assert_eq!(in_sync(&mut world), (Some(true), "all-routes-confirmed", String::new()));
    let prefix: bgp::prefix::Prefix = "10.77.1.0/24".parse().unwrap();
    world.bytes(conns[0], announce(65100, "10.0.1.1", [prefix]));
    world.run();
    speak(&mut world);
    assert_eq!(in_sync(&mut world), (Some(false), "awaiting-kernel", "1 routes are under way".to_owned()));
    let set = world.agent.drivers().kernel.iter().find_map(|command| match command {
        Command::Routes(routes) => routes.iter().find(|route| route.prefix == prefix)?.set,
        _ => None,
    });
    let ack = |errno| Event::Kernel(KernelEvent::Acks(vec![RouteAck { prefix, set, errno }]));
    world.put(ack(22));
    assert_eq!(in_sync(&mut world), (Some(false), "kernel-rejected", "1 routes are rejected".to_owned()));
    world.put(ack(0));
    assert_eq!(in_sync(&mut world), (Some(true), "all-routes-confirmed", String::new()));
}

/// The kernel speaks of each next hop that its driver was told to track.
#[track_caller]
fn speak(world: &mut World) {
    let mut tracked = Vec::new();
    for command in &world.agent.drivers().kernel {
        let Command::Tracking(changes) = command else { continue };
        tracked.extend(changes.iter().filter_map(|change| match change {
            bgp::io::Tracking::Start(next_hop) => Some(*next_hop),
            bgp::io::Tracking::Stop(_) => None,
        }));
    }
    assert!(!tracked.is_empty(), "a next hop");
    for next_hop in tracked {
        world.put(Event::Kernel(KernelEvent::NextHop { next_hop, metric: Some(0) }));
    }
    world.run();
}

#[test]
fn only_peers_that_were_up_are_waited_for() {
    let mut world = World::new();
    world.agent.await_only([PEERS[0].0.parse().unwrap()].into());
    world.manifests(&manifests(&PEERS[..1], ""));
    world.manifests(&manifests(&PEERS, ""));
    world.run_for(Duration::from_secs(20));
    assert_eq!(sweeps(&mut world), 0, "it is not there yet");
    // An attempt that is not given up yet; each one comes later than the one before.
    world.agent.drivers().transport.clear();
    let remote = format!("{}:179", PEERS[0].0).parse().unwrap();
    let asked = |world: &mut World| {
        let told = &world.agent.drivers().transport;
        told.iter()
            .any(|(_, effect)| matches!(effect, Transport::Connect { remote: to, .. } if *to == remote))
    };
    while !asked(&mut world) {
        world.run_for(Duration::from_secs(1));
    }
    let conn = world.connecting(&format!("{}:179", PEERS[0].0));
    assert!(world.agent.drivers().awaited.is_empty());
    world.establish(conn, 65100, 0);
    speak(&mut world);
    end_of_rib(&mut world, conn, &Family::ALL);
    world.run_for(Duration::from_secs(6));
    assert_eq!(sweeps(&mut world), 1, "the other one was away before");
    // The next run is told, and what ends the sessions for it does not count.
    let up = std::collections::BTreeSet::from([PEERS[0].0.parse().unwrap()]);
    assert_eq!(world.agent.drivers().awaited, up);
    world.agent.stop(false);
    world.run();
    assert_eq!(world.agent.drivers().awaited, up);
}
