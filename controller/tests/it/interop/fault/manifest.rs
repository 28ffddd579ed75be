//! Manifests that cannot be used: the last good configuration stays, with its
//! sessions and routes, and the fault is told with file, line and field.

use std::fs;

use super::scene::{FAR, OWN, Scene, manifest};

/// The good manifest with something put in the place of something.
fn changed(from: &str, to: &str) -> String {
    let good = manifest("");
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

/// The good manifest with a further object.
fn with(object: &str) -> String {
    format!("{}---\n{object}", manifest(""))
}

const SECOND_FABRIC: &str = "apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: other}
spec: {asn: {value: 65002}}
";

const SECOND_NODE: &str = "apiVersion: v1
kind: Node
metadata: {name: twin}
spec: {podCIDRs: [10.244.0.0/23]}
";

fn faults() -> Vec<(String, &'static str)> {
    vec![
        (
            changed("mesh: None", "mush: None"),
            "node.yaml:6 (document 1): Fabric \"rack\": field `spec.mush`: unknown field `mush`",
        ),
        (changed("hold: 3s", "hold: soon"), "`soon` is not a duration"),
        (changed("hold: 3s", "hold: 2s"), "field `spec.timers.hold`"),
        (changed("value: 65001", "value: 0"), "field `spec.asn.value`"),
        (changed("kind: Fabric", "kind: Fabrik"), "node.yaml:2 (document 1): "),
        ("kind: [".to_owned(), "node.yaml:1: "),
        (
            with(SECOND_FABRIC),
            "Fabric \"rack\" and Fabric \"other\" contradict each other in field `spec.asn` for node \"node\"",
        ),
        (
            with(SECOND_NODE),
            "podCIDR 10.244.1.0/24 of Node \"node\" overlaps podCIDR 10.244.0.0/23 of Node \"twin\"",
        ),
        (changed("name: node", "name: nobody"), "there is no Node \"node\""),
    ]
}

#[test]
fn a_manifest_that_cannot_be_used_changes_nothing_and_is_named() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        for (text, says) in faults() {
            scene.node.apply(&text);
            scene.until_shown("status", says);
            scene.assert_untouched();
            scene.node.apply(&manifest(""));
            scene.node.until(&format!("no trace of {says:?}"), || {
                let shown = scene.node.ask("status");
                if shown.contains("configuration:") { Err(shown) } else { Ok(()) }
            });
        }
        // What is good again is applied again.
        scene.node.apply(&manifest("advertise: {prefixes: [{prefix: 10.244.200.1/32}]}"));
        scene.node.until("the new prefix at BIRD", || {
            let shown = scene.bird.birdc("show route all");
            if shown.contains("10.244.200.1/32") { Ok(()) } else { Err(shown) }
        });
        scene.exchange("");
        scene.assert_untouched();
    });
}

#[test]
fn a_directory_that_empties_or_vanishes_changes_nothing_and_is_named() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        let folder = sandbox.folder().join("node/manifests");
        fs::remove_file(folder.join("node.yaml")).unwrap();
        scene.until_shown("status", "holds no *.yaml, *.yml or *.json");
        scene.assert_untouched();

        fs::remove_dir(&folder).unwrap();
        scene.until_shown("status", "No such file or directory");
        scene.exchange("");
        scene.assert_untouched();

        // It comes back by another inode, with a change.
        fs::create_dir(&folder).unwrap();
        scene.node.apply(&manifest("advertise: {prefixes: [{prefix: 10.244.200.1/32}]}"));
        scene.node.until("the new prefix at BIRD", || {
            let shown = scene.bird.birdc("show route all");
            if shown.contains("10.244.200.1/32") { Ok(()) } else { Err(shown) }
        });
        scene.assert_untouched();
    });
}

#[test]
fn an_agent_that_starts_without_configuration_says_what_it_lacks() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        // Hidden files do not count, so that the directory is as good as empty.
        let mut scene = Scene::start(sandbox, &manifest(""), "");
        scene.node.agent.kill();
        let folder = sandbox.folder().join("node/manifests");
        fs::rename(folder.join("node.yaml"), folder.join(".node.yaml")).unwrap();
        fs::remove_file(sandbox.folder().join("node/checkpoint.json")).unwrap();
        scene.node.restart(sandbox, "node");
        scene.until_shown("status", "holds no *.yaml, *.yml or *.json");
        // Routes of the run before stay until there is a configuration.
        assert!(scene.node.routes().contains(FAR), "{}", scene.node.routes());
        fs::rename(folder.join(".node.yaml"), folder.join("node.yaml")).unwrap();
        scene.node.until("BIRD's route to the node's prefix", || {
            let shown = scene.bird.birdc("show route all");
            if shown.contains(OWN) { Ok(()) } else { Err(shown) }
        });
        scene.node.until_route(FAR, true);
    });
}
