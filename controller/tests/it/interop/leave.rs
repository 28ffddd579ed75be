//! A host that goes down, on purpose or without its power, though its peers keep routes over restarts: they are gone from
//! the ToR at once, or when the hold time is over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use labs::bird::Bird;
use labs::frr::Frr;
use labs::{Sandbox, wait};

use super::bird;
use super::drain::told;
use super::graceful::{BIRD, FRR};
use super::node::{LIMIT, Node};
use super::scene::{Scene, pods, until_wired, wire};

/// Peers are asked to keep routes for longer than anything here is waited for.
fn manifest() -> String {
    bird::manifest("10.0.1.1", "gracefulRestart: {restartTime: 120s}")
}

/// The same, over a NOTIFICATION too (RFC 8538).
fn persistent() -> String {
    manifest().replace("120s}", "120s, notification: true}")
}

/// An agent on a host whose systemd says that it stops.
fn on_a_host_that_stops(sandbox: &Sandbox, scene: &Scene, manifest: &str) -> Node {
    let folder = sandbox.folder().join("systemd");
    fs::create_dir_all(&folder).unwrap();
    let systemctl = folder.join("systemctl");
    fs::write(&systemctl, "#!/bin/sh\n[ \"$1\" = is-system-running ] && echo stopping\n").unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:{}", folder.display(), std::env::var("PATH").unwrap());
    Node::start_under(sandbox, scene.node.clone(), "node", manifest, &["env", &path])
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
    let mut node = on_a_host_that_stops(sandbox, scene, &manifest());
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

/// FRR that keeps routes over a NOTIFICATION.
fn persistent_frr(sandbox: &Sandbox, scene: &Scene) -> Frr {
    let restarts = " bgp graceful-restart\n";
    let config = FRR.replace(restarts, &format!("{restarts} bgp graceful-restart notification\n"));
    Frr::start(sandbox, &scene.router, "frr", &config)
}

/// Waits until FRR's account of its neighbor has a line with these words.
#[track_caller]
fn until_said(frr: &Frr, words: &str) {
    wait::until(words, LIMIT, || {
        let shown = frr.vtysh("show bgp neighbors 10.0.1.2");
        if shown.contains(words) { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn a_hard_reset_ends_what_frr_would_keep_over_a_notification() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let frr = persistent_frr(sandbox, &scene);
        let mut node = Node::start(sandbox, scene.node.clone(), "node", &persistent());
        until_wired(&node, &scene.router);
        let before = pods(&scene.router);

        // An agent that comes back: FRR keeps what it has, whatever it takes for the end of the session.
        assert!(node.agent.terminate().success(), "{}", node.agent.log());
        wait::until("FRR to have lost the session", LIMIT, || {
            let shown = frr.vtysh("show bgp neighbors 10.0.1.2");
            if shown.contains("BGP state = Established") { Err(shown) } else { Ok(()) }
        });
        assert_eq!(pods(&scene.router), before);
        node.restart(sandbox, "node");
        until_wired(&node, &scene.router);
        until_said(&frr, "BGP state = Established");

        // One that is left for good.
        told(&node, "drain --pods");
        assert!(node.agent.terminate().success(), "{}", node.agent.log());
        until_said(&frr, "Cease/Administrative Shutdown/Hard Reset");
        until_gone(&scene, Instant::now());
    });
}

#[test]
fn the_routes_of_a_host_that_stops_go_with_a_hard_reset() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let scene = wire(sandbox);
        let frr = persistent_frr(sandbox, &scene);
        let mut node = on_a_host_that_stops(sandbox, &scene, &persistent());
        until_wired(&node, &scene.router);
        assert!(node.agent.terminate().success(), "{}", node.agent.log());
        until_gone(&scene, Instant::now());
        until_said(&frr, "Cease/Administrative Shutdown/Hard Reset");
    });
}
