//! Calling cargo from a program that cargo started.
//!
//! `cargo run` leaves variables behind that build scripts ask to be rerun for (ring, rustls and kube among them). They
//! are removed, so that `cargo lab` and the user's own `cargo build` find each other's work fresh.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::{interrupt, program};

const SET_BY_CARGO: [&str; 6] = [
    "CARGO",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_TMPDIR",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "RUST_RECURSION_COUNT",
];
const SET_BY_CARGO_PREFIXES: [&str; 4] = ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"];
/// nextest sets these in the tests that it runs.
const SET_BY_NEXTEST: &str = "NEXTEST";

/// A cargo command in the workspace, with the environment of whoever called `cargo run`.
#[must_use]
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(program::workspace());
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let set = SET_BY_CARGO.contains(&text)
            || SET_BY_CARGO_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            || text.starts_with(SET_BY_NEXTEST);
        if set {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs cargo with its output shown.
///
/// # Errors
/// Where it fails, with the command.
pub fn run(args: &[&str]) -> anyhow::Result<()> {
    let status = interrupt::status(&mut command(args))?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}

/// Builds the CNI plugin as it is shipped, without any shared library, and gives its path.
///
/// The flags are in this one child's environment: anywhere else they would have everything rebuilt. The profile of
/// its own keeps the result apart, and building the package alone keeps the features of the others out of it.
///
/// # Errors
/// Where cargo or rustc fails.
pub fn static_plugin() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let mut command = command(&["build", "--package", "cni", "--profile", "cni", "--target", &host]);
    command.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    command.env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static");
    let mut child = command.spawn().context("cargo")?;
    let pipe = child.stdout.take().context("the pipe was asked for")?;
    let reader = std::thread::spawn(move || {
        BufReader::new(pipe).lines().map_while(Result::ok).filter_map(|line| plugin(&line)).last()
    });
    ensure!(interrupt::ended(&mut child)?.success(), "cargo build of the static CNI plugin failed");
    reader.join().ok().flatten().context("cargo named no program underlay-cni")
}

/// The program that one of cargo's messages names.
fn plugin(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    path.ends_with("underlay-cni").then_some(path)
}

/// The target triple of this machine.
fn host() -> anyhow::Result<String> {
    let output = interrupt::output(Command::new("rustc").arg("-vV")).context("rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}
