//! Whole lives of random networks, drawn from seeds.
//!
//! A life that breaks an invariant is shrunk and written to a file, which
//! belongs into `recordings/`, where it is lived again each time.

mod live;
mod plan;
mod shrink;

use core::ops::Range;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use self::live::{Outcome, live};
use self::plan::{Kind, Life};
use super::broken::Breakage;
use super::chance::Chance;
use super::topology::Shape;

/// One seed in this many is lived twice, and has to leave the same trace.
const TWICE: u64 = 10;

/// What many lives came to.
#[derive(Default)]
struct Tally {
    lives: u64,
    speakers: usize,
    events: u64,
    virtual_time: Duration,
    twice: u64,
    shapes: BTreeMap<Shape, u64>,
    acts: BTreeMap<Kind, u64>,
    checked: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, life: &Life, outcome: Outcome) {
        self.lives += 1;
        self.speakers += life.routers;
        self.events += outcome.events;
        self.virtual_time += outcome.virtual_time;
        *self.shapes.entry(life.shape).or_default() += 1;
        for (kind, count) in outcome.acts {
            *self.acts.entry(kind).or_default() += count;
        }
        for (invariant, count) in outcome.checked {
            *self.checked.entry(invariant).or_default() += count;
        }
    }

    /// Fails if something was never drawn.
    fn assert_all_drawn(&self) {
        for shape in Shape::ALL {
            assert!(self.shapes.contains_key(&shape), "no network of form {} was drawn", shape.word());
        }
        for kind in Kind::ALL {
            assert!(self.acts.contains_key(kind), "{} was never drawn", kind.word());
        }
    }

    /// Prints all of it.
    fn print(&self, seeds: &Range<u64>) {
        eprintln!(
            "seeds {} to {}: {} lives of {} speakers",
            seeds.start,
            seeds.end - 1,
            self.lives,
            self.speakers
        );
        eprintln!(
            "  {} events in {} virtual hours; {} lived twice",
            self.events,
            self.virtual_time.as_secs() / 3600,
            self.twice
        );
        let shapes: Vec<String> = Shape::ALL
            .iter()
            .map(|shape| format!("{} {}", shape.word(), self.shapes.get(shape).unwrap_or(&0)))
            .collect();
        eprintln!("  networks: {}", shapes.join(", "));
        let acts: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{} {}", kind.word(), self.acts.get(kind).unwrap_or(&0)))
            .collect();
        eprintln!("  faults and work: {}", acts.join(", "));
        let checked: Vec<String> =
            self.checked.iter().map(|(name, count)| format!("{name} {count}")).collect();
        eprintln!("  invariants checked: {}", checked.join(", "));
    }
}

/// Lives them all; a violation is shrunk and written down.
fn lives(seeds: Range<u64>, life_of: impl Fn(u64) -> Life) {
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        let life = life_of(seed);
        let outcome = live(&life, None);
        if let Some(violation) = &outcome.violation {
            let small = shrink::shrink(&life, |life| {
                live(life, None).violation.is_some_and(|other| other.invariant == violation.invariant)
            });
            let found = live(&small, None).violation.map_or_else(String::new, |found| found.text);
            panic!(
                "seed {seed}: {}: {}\nshrunk to this, which belongs into recordings/ with what mends it:\n# {}: {found}\n{small}",
                violation.invariant, violation.text, violation.invariant,
            );
        }
        if seed % TWICE == 0 {
            assert_eq!(live(&life, None).trace, outcome.trace, "seed {seed} lived twice differs");
            tally.twice += 1;
        }
        tally.add(&life, outcome);
    }
    tally.print(&seeds);
    if tally.lives >= 250 {
        tally.assert_all_drawn();
    }
}

#[test]
fn large_networks_meet_every_fault() {
    let mut tally = Tally::default();
    for life in (0..20).map(Life::large) {
        let acts = life.steps.iter().map(|step| (step.act.kind, 1)).collect();
        tally.add(&life, Outcome { acts, ..Outcome::default() });
    }
    tally.assert_all_drawn();
}

/// Where the seeds begin: other lives are lived with `FIRST_SEED=2000`.
fn first_seed() -> u64 {
    let text = std::env::var("FIRST_SEED").unwrap_or_else(|_| "0".into());
    text.parse().expect("FIRST_SEED is a number")
}

macro_rules! parts {
    ($($name:ident: $life:expr, $seeds:expr;)*) => {
        $(#[test]
        fn $name() {
            let seeds: Range<u64> = $seeds;
            let first = first_seed();
            lives(seeds.start + first..seeds.end + first, $life);
        })*
    };
}

// In parts, so that they share the machine's cores.
parts! {
    small_networks_1: Life::small, 0..250;
    small_networks_2: Life::small, 250..500;
    small_networks_3: Life::small, 500..750;
    small_networks_4: Life::small, 750..1000;
    small_networks_5: Life::small, 1000..1250;
    small_networks_6: Life::small, 1250..1500;
    small_networks_7: Life::small, 1500..1750;
    small_networks_8: Life::small, 1750..2000;
    large_networks_1: Life::large, 0..2;
    large_networks_2: Life::large, 2..4;
    large_networks_3: Life::large, 4..6;
    large_networks_4: Life::large, 6..8;
    large_networks_5: Life::large, 8..10;
    large_networks_6: Life::large, 10..12;
    large_networks_7: Life::large, 12..14;
    large_networks_8: Life::large, 14..16;
    large_networks_9: Life::large, 16..18;
    large_networks_10: Life::large, 18..20;
}

#[test]
fn every_broken_router_is_caught() {
    let mut missed = Vec::new();
    for breakage in Breakage::ALL {
        let caught = (0..200).find_map(|seed| {
            let life = Life::small(seed);
            let router = Chance::new(seed).index(life.routers);
            live(&life, Some((router, breakage))).violation.map(|violation| (seed, violation.invariant))
        });
        match caught {
            Some((seed, invariant)) => eprintln!("{breakage:?}: caught by {invariant} with seed {seed}"),
            None => missed.push(breakage),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn a_failing_life_shrinks_to_a_few_steps() {
    let breakage = Breakage::SkipsWithdraw;
    let fails = |life: &Life| {
        let broken = Some((0, breakage));
        live(life, broken).violation.is_some_and(|violation| violation.invariant == "sent-is-received")
    };
    let life = (0..200).map(Life::small).find(fails).expect("caught");
    let small = shrink::shrink(&life, fails);
    assert!(small.steps.len() <= 3 && small.steps.len() < life.steps.len(), "{small}");
    assert_eq!(small.to_string().parse(), Ok(small.clone()), "a recording is read as it was written");
    assert!(live(&small, None).violation.is_none(), "a whole router lives the same life without fault");
}

#[test]
fn recorded_lives_are_lived_without_fault() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sim/life/recordings");
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("recordings").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::path);
    for file in files {
        let text = std::fs::read_to_string(file.path()).expect("a recording");
        let life: Life = text.parse().unwrap_or_else(|error| panic!("{:?}: {error}", file.path()));
        if let Some(violation) = live(&life, None).violation {
            panic!("{:?}: {}: {}", file.path(), violation.invariant, violation.text);
        }
    }
}
