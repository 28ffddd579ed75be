//! `cargo lab` and the user's own `cargo build` find each other's work fresh.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A package whose build script asks to be rerun for the variables that `cargo run` sets, as ring and rustls do.
fn package(folder: &Path) {
    fs::create_dir(folder.join("src")).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    fs::write(folder.join("Cargo.toml"), "[package]\nname = \"probe\"\nedition = \"2024\"\n[workspace]\n")
        .unwrap();
    let names =
        ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_BIN_EXE_labs", "CARGO_CRATE_NAME", "LD_LIBRARY_PATH"];
    let lines: Vec<String> =
        names.iter().map(|name| format!("println!(\"cargo::rerun-if-env-changed={name}\");")).collect();
    fs::write(folder.join("build.rs"), format!("fn main() {{ {} }}", lines.join(" "))).unwrap();
}

/// What cargo says of a build of the probe: whether each artifact was fresh.
fn fresh(mut command: Command, folder: &Path) -> Vec<bool> {
    command.args(["--offline", "--message-format=json"]).current_dir(folder);
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    messages.filter_map(|message| message["fresh"].as_bool()).collect()
}

/// The variables as `cargo run` would leave them to its program.
fn inherit(command: &mut Command) {
    for name in
        ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_BIN_EXE_labs", "CARGO_CRATE_NAME", "LD_LIBRARY_PATH"]
    {
        command.env(name, "/set/by/cargo/run");
    }
}

#[test]
fn a_build_after_cargo_lab_compiles_nothing() {
    const NAME: &str = "cargo::a_build_after_cargo_lab_compiles_nothing";
    let folder = std::env::var_os("UNDERLAY_TEST_PROBE");
    if let Some(folder) = &folder {
        // As a program that `cargo run` started: what was built outside is fresh to it.
        let folder = Path::new(folder);
        assert_eq!(fresh(labs::cargo::command(&["build"]), folder), [true, true]);
        // The counter-proof: with the variables left in place everything is built again.
        let mut careless = Command::new("cargo");
        careless.arg("build");
        assert!(fresh(careless, folder).contains(&false));
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    package(folder);
    let by_hand = || labs::cargo::command(&["build"]);
    assert_eq!(fresh(by_hand(), folder), [false, false]);
    let mut child = Command::new(std::env::current_exe().unwrap());
    inherit(&mut child);
    let output = child.args(["--exact", NAME]).env("UNDERLAY_TEST_PROBE", folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
