//! `cargo lab`: one file a verb. Results go to stdout, progress and hints to stderr.
//!
//! Exit codes: 0 done, 1 failed, 2 usage; `exec` passes on the code of its command.

mod down;
mod exec;
mod quickstart;
mod status;
mod test;
mod up;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{cargo, debian, interrupt};

#[derive(Parser)]
#[command(name = "cargo lab", about = "Labs of underlay, in network namespaces of this machine", version)]
struct Line {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build everything, bring up two racks of pods, prove that they reach each other
    Quickstart(quickstart::Args),
    /// Check and test the workspace, or run the tests whose names contain NAME
    Test(test::Args),
    /// Bring a lab up
    Up(up::Args),
    /// Remove a lab, or all of them
    Down(down::Args),
    /// Show the labs that are up, or the nodes of one
    Status(status::Args),
    /// Run a command inside a node
    Exec(exec::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let line = Line::parse();
    let done = match line.verb {
        Verb::Quickstart(args) => quickstart::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Up(args) => up::run(&args),
        Verb::Down(args) => down::run(&args),
        Verb::Status(args) => status::run(&args),
        Verb::Exec(args) => exec::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("cargo lab: {error:#}");
        ExitCode::FAILURE
    })
}

/// Writes a result; a reader that closed the pipe has had enough.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Namespaces need root: as somebody else, the same command runs once more by sudo and its exit code is given.
fn by_sudo(args: &[&str]) -> anyhow::Result<Option<ExitCode>> {
    if nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let own = std::env::current_exe()?;
    let mut command = debian::as_root(&own.display().to_string())?;
    interrupt::watch()?;
    let status = interrupt::status(command.args(args))?;
    Ok(Some(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))))
}

/// The topology file of a lab: of this workspace by its name, or any by its path.
fn topology_file(name: &str) -> anyhow::Result<PathBuf> {
    if name.ends_with(".yml") || name.ends_with(".yaml") {
        return std::fs::canonicalize(name).with_context(|| name.to_owned());
    }
    let labs = cargo::workspace().join("labs");
    let file = labs.join(name).join(format!("{name}.clab.yml"));
    if file.is_file() {
        return Ok(file);
    }
    let mut known: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&labs).with_context(|| labs.display().to_string())? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join(format!("{other}.clab.yml")).is_file() {
            known.push(other);
        }
    }
    known.sort();
    anyhow::bail!("there is no lab {name}; there are {}", known.join(", "))
}
