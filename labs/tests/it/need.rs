//! What a machine lacks is said, or fails the run that forbids it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use labs::{need, program};

#[test]
fn a_program_is_found_or_missing() {
    assert!(need::met("sh"));
    assert!(!need::met("no-such-program"));
}

#[test]
fn a_test_knows_its_name() {
    fn here() {}
    let name = labs::need::test_name(std::any::type_name_of_val(&here));
    assert_eq!(name, "need::a_test_knows_its_name");
    let inner = || labs::need::test_name("it::module::test::{{closure}}::here");
    assert_eq!(inner(), "module::test");
}

/// Runs itself in a child, where the need counts: a skip of this very test must not show up in the run's own list.
#[test]
fn a_missing_need_skips_aloud_or_fails_where_it_is_required() {
    const NAME: &str = "need::a_missing_need_skips_aloud_or_fails_where_it_is_required";
    if std::env::var_os("UNDERLAY_TEST_INNER").is_some() {
        labs::require!("no-such-program");
        unreachable!("the need is missing");
    }
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("skips");
    let run = |required: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env("UNDERLAY_TEST_INNER", "1");
        command.env("UNDERLAY_REQUIRE", required).env("UNDERLAY_SKIPS", &list).output().unwrap()
    };
    let line = format!("skipped: {NAME}: needs no-such-program");
    let output = run("root,bird");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains(&line));
    assert_eq!(std::fs::read_to_string(&list).unwrap(), format!("{line}\n"));
    let output = run("root, no-such-program");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("forbids to skip it"));
}

/// The words of each `require!` below a folder.
fn needs(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            needs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split(concat!("require", "!(")).skip(1) {
                let words = call.split(')').next().unwrap_or_default();
                found.extend(words.split('"').skip(1).step_by(2).map(str::to_owned));
            }
        }
    }
}

#[test]
fn the_run_that_may_not_skip_names_what_the_tests_need() {
    let mut found = BTreeSet::new();
    for package in ["bgp", "cni", "controller", "labs"] {
        needs(&program::workspace().join(package).join("tests"), &mut found);
    }
    let script = std::fs::read_to_string(program::workspace().join(".ci/run")).unwrap();
    let lists = script.lines().filter_map(|line| line.strip_prefix("needs="));
    let named: BTreeSet<String> =
        lists.flat_map(|list| list.trim_start_matches("$needs,").split(',')).map(str::to_owned).collect();
    found.retain(|need| need != "no-such-program");
    let unnamed: Vec<_> = found.difference(&named).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}
