//! Arrows between packages, as cargo knows them.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::source::workspace;

/// `from -> to`, and nothing else. Normal dependencies; those of features that
/// are off stand here too.
const ARROWS: [(&str, &str); 4] =
    [("cni", "api"), ("controller", "api"), ("controller", "bgp"), ("labs", "bgp")];

/// What tests may use besides.
const TEST_ARROWS: [(&str, &str); 3] = [("api", "labs"), ("cni", "labs"), ("controller", "labs")];

/// What the plugin never builds: it is small, static, and quick to load.
const HEAVY: [&str; 8] =
    ["kube", "kube-core", "k8s-openapi", "tonic", "tokio", "prost", "protox", "schemars"];

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output =
        command.args(arguments).current_dir(workspace()).output().expect("cargo runs, as it built this");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Pairs of packages, from and to.
type Arrows = BTreeSet<(String, String)>;

fn arrows(metadata: &Value) -> (Arrows, Arrows) {
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let (mut normal, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for package in packages {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if !members.contains(to) {
                continue;
            }
            // labs takes bgp for its benchmark alone.
            let optional = dependency["optional"] == true;
            assert!(optional == ((from, to) == ("labs", "bgp")), "{from} -> {to}: optional is {optional}");
            let set = if dependency["kind"] == "dev" { &mut tests } else { &mut normal };
            set.insert((from.to_owned(), to.to_owned()));
        }
    }
    (normal, tests)
}

#[test]
fn packages_depend_on_each_other_as_drawn() {
    let text = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let (normal, tests) = arrows(&serde_json::from_str(&text).unwrap());
    let drawn = |arrows: &[(&str, &str)]| -> Arrows {
        arrows.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    };
    let (arrows, test_arrows) = (drawn(&ARROWS), drawn(&TEST_ARROWS));
    let extra: Vec<_> = normal.difference(&arrows).collect();
    assert!(extra.is_empty(), "arrows that are not drawn: {extra:?}");
    let extra: Vec<_> = tests.difference(&test_arrows).collect();
    assert!(extra.is_empty(), "arrows of tests that are not drawn: {extra:?}");
    assert!(normal.contains(&("controller".into(), "bgp".into())), "the test sees the arrows");
}

#[test]
fn the_plugin_builds_without_the_heavy_crates() {
    let tree = cargo(&["tree", "--offline", "-p", "cni", "-e", "normal,build", "--prefix", "none"]);
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains("netlink-packet-route"), "the test sees the tree: {names:?}");
    let heavy: Vec<_> = HEAVY.iter().filter(|heavy| names.contains(**heavy)).collect();
    assert!(heavy.is_empty(), "the plugin builds {heavy:?}");
}
