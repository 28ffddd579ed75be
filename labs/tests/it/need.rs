//! What a machine lacks is said, or fails the run that forbids it.

use std::process::Command;

use labs::need;

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
