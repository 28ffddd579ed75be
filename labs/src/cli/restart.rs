//! `cargo lab restart [EVENT…]`: how many packets are lost while what routes them is restarted or configured anew.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::build::Build;
use crate::restart::event::{EVENTS, Event};
use crate::restart::measure;
use crate::sandbox::Sandbox;
use crate::{cargo, debian, interrupt, program};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What happens; everything by default: kill, restart, upgrade, twice, peer-added, peer-removed, timers, policy,
    /// password, source, api-server, bird, frr, gobgp, tor-gone, cold
    events: Vec<String>,
    /// Let each happen this often
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// The agent's program, and all is built; set where this program calls itself inside its namespaces
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let events = events(args)?;
    if let Some(underlay) = &args.inside {
        let good = inside(args, &events, underlay)?;
        return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    interrupt::watch()?;
    debian::install(&[debian::IP, debian::NSENTER, debian::CC, debian::BIRD, debian::FRR, debian::GOBGP])?;
    let mut kubernetes = None;
    if events.contains(&Event::ApiServer) {
        debian::install(&debian::KUBERNETES)?;
        kubernetes = Some(Build::start()?);
    }
    cargo::run(&["build", "--workspace", "--bins"])?;
    if let Some(build) = &mut kubernetes {
        build.wait()?;
    }
    // As root from here on; everything that is made ends with the first process of the pid namespace.
    let mut command = debian::as_root("unshare")?;
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--"]);
    command.arg(program::own()).args(std::env::args_os().skip(1));
    command.arg("--inside").arg(program::build_folder().join("underlay"));
    let status = interrupt::status(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn events(args: &Args) -> anyhow::Result<Vec<Event>> {
    let find = |name: &String| match EVENTS.iter().find(|event| event.name() == name) {
        Some(event) => Ok(*event),
        None => bail!("there is no event {name}: {}", EVENTS.map(Event::name).join(", ")),
    };
    if args.events.is_empty() { Ok(EVENTS.to_vec()) } else { args.events.iter().map(find).collect() }
}

/// Measures and prints; whether all that is to cost nothing did.
fn inside(args: &Args, events: &[Event], underlay: &Path) -> anyhow::Result<bool> {
    let sandbox = Sandbox::adopt("restart").context("a private machine")?;
    super::console::print(
        "| packets lost of 1 000 a second each way | from the pod | to the pod |\n|---|---|---|\n",
    )?;
    let (mut number, mut good) = (0, true);
    for event in events {
        let mut cells = [Vec::new(), Vec::new()];
        for _ in 0..args.runs.max(1) {
            interrupt::check()?;
            number += 1;
            match measure::losses(&sandbox, *event, underlay, number) {
                Ok(lost) => {
                    good &= !event.is_free() || lost == [0, 0];
                    cells.iter_mut().zip(lost).for_each(|(cell, lost)| cell.push(lost.to_string()));
                }
                Err(error) => {
                    good = false;
                    eprintln!("{}: {error:#}", event.name());
                    cells.iter_mut().for_each(|cell| cell.push("failed".to_owned()));
                }
            }
        }
        let [from, to] = cells.map(|cell| cell.join(", "));
        super::console::print(&format!("| {} | {from} | {to} |\n", event.what()))?;
    }
    Ok(good)
}
