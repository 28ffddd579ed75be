//! What an agent writes into the API server: while nothing happens, and while its peer comes and goes.

use std::time::{Duration, Instant};

use labs::wait;
use serde_json::Value;

use super::audit::asked;
use super::{LIMIT, World};

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(45);
/// How often the peer goes and comes.
const FLAPS: usize = 40;

/// Writes of the agent so far, by the audit log: of status and objects, and of Events.
fn writes(world: &World<'_>) -> (usize, usize) {
    let audit = world.api.audit();
    let written = asked(&audit)
        .filter(|event| matches!(event["verb"].as_str(), Some("create" | "update" | "patch" | "delete")));
    let (notes, others): (Vec<Value>, Vec<Value>) =
        written.partition(|event| event["objectRef"]["resource"] == "events");
    (others.len(), notes.len())
}

#[test]
fn an_agent_writes_nothing_while_nothing_happens_and_little_while_its_peer_flaps() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let (world, bird) = World::routed(sandbox);
        let agent = world.settled_agent();
        world.until_report("{.status.conditions[?(@.type==\"Ready\")].status}", "True", &agent);
        world.until_report("{.status.conditions[?(@.type==\"KernelInSync\")].status}", "True", &agent);
        let quiet = |spell: Duration| {
            let mut last = (writes(&world), Instant::now());
            let look = || {
                let now = writes(&world);
                if now != last.0 {
                    last = (now, Instant::now());
                }
                if last.1.elapsed() >= spell { Ok(now) } else { Err(format!("{now:?}")) }
            };
            wait::attempt("no write", spell + 2 * LIMIT, look).unwrap_or_else(|message| panic!("{message}"))
        };
        // What a start has to say is said within the spacing of two writes, and each count a minute after.
        let settled = quiet(Duration::from_secs(7));
        let idle_from = Instant::now();
        let after = quiet(IDLE);
        let of = |before: (usize, usize), after: (usize, usize), since: Instant| {
            let minutes = since.elapsed().as_secs_f64() / 60.0;
            let (objects, notes) = (after.0 - before.0, after.1 - before.1);
            (objects, notes, objects as f64 / minutes, notes as f64 / minutes, minutes * 60.0)
        };
        let (objects, notes, a, b, seconds) = of(settled, after, idle_from);
        eprintln!("idle for {seconds:.0} s: {objects} writes and {notes} Events, {a:.1} and {b:.1} a minute");
        assert!(objects <= 1 && notes == 0, "what changed nothing was written: {objects} {notes}");

        let (before, from) = (writes(&world), Instant::now());
        for _ in 0..FLAPS {
            bird.birdc("disable node");
            wait::until("the session down", LIMIT, || !agent.ask("peers").contains("Established"));
            bird.birdc("enable node");
            agent.until("peers", "Established");
        }
        let (objects, notes, a, b, seconds) = of(before, writes(&world), from);
        eprintln!(
            "{FLAPS} times down and up in {seconds:.0} s: {objects} writes and {notes} Events, {a:.1} and {b:.1} a minute"
        );
        // One write in five seconds is the most, whatever happens, and each kind of Event once in a while.
        let most = seconds / 5.0 + 2.0;
        assert!(objects as f64 <= most && objects >= 1, "{objects} writes, {most} are the most");
        assert!(notes <= 4, "{notes} Events of {FLAPS} changes each way");
        world.until_report("{.status.peers}", "1/1", &agent);
    });
}
