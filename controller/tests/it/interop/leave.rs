//! A host that goes down, on purpose or without its power, though its peers keep routes over restarts: they are gone from
//! the ToR at once, or when the hold time is over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Sandbox, wait};

use super::bird;
use super::graceful::{BIRD, FRR};
use super::node::{LIMIT, Node};
use super::scene::{Scene, pods, until_wired, wire};

/// Peers are asked to keep routes for longer than anything here is waited for.
fn manifest() -> String {
    bird::manifest("10.0.1.1", "gracefulRestart: {restartTime: 120s}")
}

/// An agent on a host whose systemd says that it stops.
fn on_a_host_that_stops(sandbox: &Sandbox, scene: &Scene) -> Node {
    let folder = sandbox.folder().join("systemd");
    fs::create_dir_all(&folder).unwrap();
    let systemctl = folder.join("systemctl");
    fs::write(&systemctl, "#!/bin/sh\n[ \"$1\" = is-system-running ] && echo stopping\n").unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:{}", folder.display(), std::env::var("PATH").unwrap());
    Node::start_under(sandbox, scene.node.clone(), "node", &manifest(), &["env", &path])
}

#[track_caller]
fn until_gone(scene: &Scene, since: Instant) {
    wait::until("no route to the pods at the router", LIMIT, || {
        let there = pods(&scene.router);
        if there.is_empty() { Ok(()) } else { Err(there) }
    });
    eprintln!("gone after {:.2} s", since.elapsed().as_secs_f64());
}

/// Ends the host twice: on purpose, then by its plug.
fn goes_down(sandbox: &Sandbox, scene: &Scene, told: impl Fn() -> Result<(), String>) {
    let mut node = on_a_host_that_stops(sandbox, scene);
    until_wired(&node, &scene.router);
    let began_at = Instant::now();
    let status = node.agent.terminate();
    assert!(status.success(), "{status}: {}", node.agent.log());
    until_gone(scene, began_at);
    wait::until("the router to know why", LIMIT, told);

    node.restart(sandbox, "node");
    until_wired(&node, &scene.router);
    // Nothing comes out any more, no end of a connection either; the link stays up, as behind a switch.
    let nft = |rule: &str| {
        let output = scene.node.exec("nft", rule.split(' ')).output().unwrap();
        assert!(output.status.success(), "{rule}: {output:?}");
    };
    nft("add table inet plug");
    nft("add chain inet plug out { type filter hook output priority 0 ; policy drop ; }");
    nft("add chain inet plug in { type filter hook input priority 0 ; policy drop ; }");
    let began_at = Instant::now();
    node.agent.kill();
    until_gone(scene, began_at);
}

#[test]
fn bird_drops_the_routes_of_a_host_that_goes_down() {
    labs::require!("root", "bird", "nft");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let bird = Bird::start(sandbox, &scene.router, "bird", BIRD);
        goes_down(sandbox, &scene, || {
            let log = bird.log();
            let word = "Received: Administrative shutdown: \"the host shuts down\"";
            if log.contains(word) { Ok(()) } else { Err(log) }
        });
    });
}

#[test]
fn frr_drops_the_routes_of_a_host_that_goes_down() {
    labs::require!("root", "frr", "nft");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let frr = Frr::start(sandbox, &scene.router, "frr", FRR);
        goes_down(sandbox, &scene, || {
            let shown = frr.vtysh("show bgp neighbors 10.0.1.2");
            if shown.contains("Cease/Administrative Shutdown") { Ok(()) } else { Err(shown) }
        });
    });
}
