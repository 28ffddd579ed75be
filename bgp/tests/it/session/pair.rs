//! Two sessions against each other over a simulated network: they find each
//! other, stay, notice silence, and find each other again.

use bgp::time::{Duration, Instant};

use super::rig::seconds;
use super::world::{GREETINGS, World};

/// Both start within a few milliseconds of each other, so that their connections cross.
fn started(seed: u64) -> World {
    let mut world = World::new(seed, |_, _| {});
    world.start(0);
    let apart = world.dice.below(8_000_000);
    world.run(Duration::from_nanos(apart));
    world.start(1);
    world
}

#[test]
fn crossing_connections_give_one_session_without_a_fall() {
    let mut crossed = 0;
    for seed in 0..1000 {
        let mut world = started(seed);
        world.run(seconds(2));
        assert!(world.is_settled(), "seed {seed}: {:#?}", world.trace);
        for node in &world.nodes {
            assert_eq!(node.downs, [""; 0], "seed {seed}: {:#?}", world.trace);
            assert_eq!(node.updates, GREETINGS, "seed {seed}");
            assert_eq!(node.session.counters().updates_received, GREETINGS, "seed {seed}");
        }
        crossed += u64::from(world.trace.iter().filter(|line| line.contains("Syn")).count() == 2);
    }
    assert!(crossed > 300, "only {crossed} of 1000 pairs had two connections");
}

#[test]
fn one_passive_side_suffices() {
    for seed in 0..200 {
        let mut world = World::new(seed, |side, config| config.passive = side == 0);
        world.start(0);
        world.start(1);
        world.run(seconds(1));
        assert!(world.is_settled(), "seed {seed}: {:#?}", world.trace);
    }
}

#[test]
fn keepalives_keep_a_session() {
    let mut world = started(1);
    world.run(seconds(3600));
    assert!(world.is_settled());
    assert!(world.nodes.iter().all(|node| node.session.counters().established == 1));
}

#[test]
fn a_cut_is_noticed_within_the_hold_time_and_healed() {
    for seed in 0..50 {
        let mut world = started(seed);
        world.run(seconds(20));
        world.cut = true;
        let cut_at = world.now;
        world.run(seconds(10));
        for node in &world.nodes {
            assert_eq!(node.downs, ["nothing heard for 9s"], "seed {seed}");
            let silent_for = node.session.since().since(cut_at);
            assert!(silent_for > seconds(5) && silent_for <= seconds(9), "seed {seed}: {silent_for:?}");
        }
        world.run(seconds(60));
        world.cut = false;
        // Each end asks once a minute by now, at the least.
        world.run(seconds(70));
        assert!(world.is_settled(), "seed {seed}: {:#?}", world.trace);
    }
}

#[test]
fn faults_of_all_kinds_are_outlived() {
    for seed in 0..150 {
        let mut world = started(seed);
        for _ in 0..60 {
            let span = world.dice.below(4_000_000_000);
            world.run(Duration::from_nanos(span));
            match world.dice.below(5) {
                0 => world.cut = !world.cut,
                1 => world.refusing = !world.refusing,
                _ if !world.cut => world.reset_one(),
                _ => {}
            }
        }
        (world.cut, world.refusing) = (false, false);
        // The longest wait between attempts, twice: the first may meet an end that is half-open.
        world.run(seconds(120));
        assert!(world.is_settled(), "seed {seed}: {:?} {:#?}", world.states(), world.trace);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = started(seed);
        world.run(seconds(3));
        world.reset_one();
        world.run(seconds(30));
        assert!(world.is_settled());
        world.trace
    };
    assert_eq!(trace(11), trace(11));
    assert_ne!(trace(11), trace(12));
    assert_eq!(World::new(1, |_, _| {}).now, Instant(0));
}
