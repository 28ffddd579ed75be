//! Masquerading in the loop: what the driver is told, and what the status says of it.

use std::collections::BTreeSet;

use bgp::prefix::Prefix;
use bgp::time::Duration;
use controller::event::Event;
use controller::kernel::masquerade::Masquerade;
use controller::kernel::{Command, KernelEvent};
use controller::status::impairment::Impairment;
use controller::status::snapshot::{Condition, ConditionKind};

use super::fake::{World, announce, manifests};

const PEERS: [(&str, u32); 1] = [("10.0.1.1", 65100)];

fn prefixes(all: &[&str]) -> BTreeSet<Prefix> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

/// What the driver was told since the last time.
fn told(world: &mut World) -> Vec<Option<Masquerade>> {
    std::mem::take(&mut world.agent.drivers().masquerade)
}

/// A world that has heard two prefixes and a default route, with these fields in its Fabric.
fn learning(more: &str) -> World {
    let mut world = World::new();
    let more = format!(", acceptDefaultRoute: true{more}");
    world.manifests(&manifests(&PEERS, &more));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    let all = ["10.7.0.0/16", "10.8.0.0/16", "0.0.0.0/0"].map(|text| text.parse().unwrap());
    world.bytes(conn, announce(65100, "10.0.1.1", all));
    world.run();
    let tracked = world.agent.drivers().kernel.to_vec();
    for command in tracked {
        let Command::Tracking(changes) = command else { continue };
        for change in changes {
            if let bgp::io::Tracking::Start(next_hop) = change {
                world.put(Event::Kernel(KernelEvent::NextHop { next_hop, metric: Some(0) }));
            }
        }
    }
    world.run_for(Duration::from_secs(1));
    world
}

#[test]
fn learned_routes_change_nothing_unless_they_are_to() {
    let mut world = learning("");
    let all = told(&mut world);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].as_ref().unwrap().learned, BTreeSet::new());
    // From here on they matter: those that are known are told, but for the default route.
    let with = ", acceptDefaultRoute: true, masquerade: {exceptLearned: true}";
    world.manifests(&manifests(&PEERS, with));
    let all = told(&mut world);
    assert_eq!(all.last().unwrap().as_ref().unwrap().learned, prefixes(&["10.7.0.0/16", "10.8.0.0/16"]));
    // A restriction withdraws one of them.
    world.manifests(&manifests(&PEERS, &format!("{with}, accept: [10.7.0.0/16]")));
    world.run_for(Duration::from_secs(1));
    let all = told(&mut world);
    assert_eq!(all.last().unwrap().as_ref().unwrap().learned, prefixes(&["10.7.0.0/16"]));
    world.manifests(&manifests(&PEERS, ", acceptDefaultRoute: true, masquerade: {enabled: false}"));
    assert_eq!(told(&mut world), [None]);
}

#[test]
fn what_is_learned_at_first_is_told_as_it_comes() {
    let mut world = learning(", masquerade: {exceptLearned: true}");
    let all = told(&mut world);
    assert_eq!(all.last().unwrap().as_ref().unwrap().learned, prefixes(&["10.7.0.0/16", "10.8.0.0/16"]));
}

#[test]
fn a_kernel_that_refuses_is_a_condition_and_stops_nothing() {
    let mut world = learning("");
    let condition = |world: &World| -> Option<Condition> {
        let snapshot = world.snapshot();
        snapshot.conditions.iter().find(|condition| condition.kind == ConditionKind::Masquerading).cloned()
    };
    let holds = condition(&world).unwrap();
    assert_eq!((holds.holds, holds.reason), (Some(true), "rules-in-place"));
    let why = "make table underlay: Operation not supported";
    world.put(Event::Impaired { what: Impairment::Masquerade, why: Some(why.to_owned()) });
    world.run_for(Duration::from_secs(1));
    let fails = condition(&world).unwrap();
    assert_eq!((fails.holds, fails.reason, fails.message.as_str()), (Some(false), "kernel-refused", why));
    let snapshot = world.snapshot();
    assert_eq!(snapshot.impairments, [format!("masquerade: {why}")]);
    assert_eq!(snapshot.peer_counts(), (1, 1));
    // Off, nothing is said of it.
    world.manifests(&manifests(&PEERS, ", masquerade: {enabled: false}"));
    world.run_for(Duration::from_secs(1));
    assert!(condition(&world).is_none());
}
