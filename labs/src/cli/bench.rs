//! `cargo lab bench [CASE…]`: the same tables through this project's speaker and four others, side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};

use crate::bench::case::{CASES, Case};
use crate::bench::run::{Programs, REAL, floor, run as measure};
use crate::bench::speaker::{SPEAKERS, Speaker};
use crate::bench::table::{self, Entry};
use crate::sandbox::Sandbox;
use crate::{cargo, debian, interrupt, program};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What to measure; everything by default: 10k, 100k, 100k6, 1m, sets, mrt, 30, flood, silence, reset, 500, node,
    /// ecmp, ecmp100k, ecmp6, ecmp100k6, fib, fib6
    cases: Vec<String>,
    /// Run each case this often on each speaker, in turns, and take the least of each figure
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these speakers: underlay, bird, frr, gobgp, openbgpd
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Tables of a size that shows that everything runs; the figures mean nothing
    #[arg(long)]
    small: bool,
    /// The release build's folder; set where this program calls itself inside its namespaces
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cases = cases(args)?;
    let speakers = speakers(args)?;
    if let Some(folder) = &args.inside {
        let complete = inside(args, &cases, &speakers, folder)?;
        return Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    interrupt::watch()?;
    debian::install(&[debian::IP, debian::NSENTER, debian::CC])?;
    debian::install(&[debian::BIRD, debian::FRR, debian::GOBGP, debian::OPENBGPD])?;
    let folder = build(args.small)?;
    // As root from here on; everything that is made ends with the first process of the pid namespace.
    let mut command = debian::as_root("unshare")?;
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--"]);
    command.arg(program::own()).args(std::env::args_os().skip(1)).arg("--inside").arg(folder);
    let status = interrupt::status(&mut command)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the load generator's own tests and each case once, small, on two speakers: that everything runs, not how fast.
pub(super) fn try_out() -> anyhow::Result<()> {
    let tests = ["test", "--package", "labs", "--features", "bench", "--lib", "--quiet", "--", "load::"];
    cargo::run(&tests)?;
    // A process of its own: the call inside of the namespaces repeats its command line.
    let mut command = Command::new(program::own());
    command.args(["bench", "--small", "--runs", "1", "--only", "underlay,bird"]);
    let status = interrupt::status(&mut command)?;
    ensure!(status.success(), "a case failed");
    Ok(())
}

/// Builds the two programs and gives their folder: as they are shipped, or for a trial as tests have them.
fn build(small: bool) -> anyhow::Result<PathBuf> {
    let load = ["build", "--package", "labs", "--features", "bench", "--bin", "load"];
    let folder = program::build_folder();
    if small {
        cargo::run(&["build", "--workspace", "--bins"])?;
        cargo::run(&load)?;
        return Ok(folder);
    }
    cargo::run(&["build", "--release", "--package", "controller", "--bin", "underlay"])?;
    cargo::run(&[&load[..], &["--release"]].concat())?;
    Ok(folder.parent().unwrap_or(&folder).join("release"))
}

fn cases(args: &Args) -> anyhow::Result<Vec<Case>> {
    let find = |name: &String| match CASES.iter().find(|case| case.name == name) {
        Some(case) => Ok(*case),
        None => bail!("there is no case {name}: {}", CASES.map(|case| case.name).join(", ")),
    };
    let chosen: Vec<Case> = if args.cases.is_empty() {
        CASES.to_vec()
    } else {
        args.cases.iter().map(find).collect::<Result<_, _>>()?
    };
    Ok(if args.small { chosen.into_iter().map(Case::small).collect() } else { chosen })
}

fn speakers(args: &Args) -> anyhow::Result<Vec<Speaker>> {
    let find = |name: &String| match SPEAKERS.iter().find(|speaker| speaker.name() == name) {
        Some(speaker) => Ok(*speaker),
        None => bail!("there is no speaker {name}: {}", SPEAKERS.map(Speaker::name).join(", ")),
    };
    if args.only.is_empty() { Ok(SPEAKERS.to_vec()) } else { args.only.iter().map(find).collect() }
}

/// Measures and prints; whether each speaker came through each case.
fn inside(args: &Args, cases: &[Case], speakers: &[Speaker], folder: &Path) -> anyhow::Result<bool> {
    let sandbox = Sandbox::adopt("bench").context("a private machine")?;
    let (underlay, load) = (folder.join("underlay"), folder.join("load"));
    let programs = Programs { underlay: &underlay, load: &load };
    let kernel = Command::new("uname").arg("-r").output()?;
    let mut text = format!("Linux {}", String::from_utf8_lossy(&kernel.stdout));
    for speaker in speakers {
        text += &format!("{}: {}\n", speaker.name(), speaker.version(&underlay));
    }
    super::console::print(&text)?;
    let (mut number, mut complete) = (0, true);
    for case in cases {
        if case.real && std::env::var_os(REAL).is_none() {
            super::console::print(&format!("\n{}: skipped, {REAL} is not set\n", case.name))?;
            continue;
        }
        let able = speakers.iter().filter(|speaker| !case.install || speaker.installs());
        let mut entries: Vec<Entry> =
            able.map(|speaker| Entry { speaker: *speaker, runs: Ok(Vec::new()) }).collect();
        for _ in 0..args.runs.max(1) {
            for entry in &mut entries {
                let Ok(runs) = &mut entry.runs else { continue };
                number += 1;
                eprintln!("    {}: {}", case.name, entry.speaker.name());
                match measure(&sandbox, case, entry.speaker, &programs, number) {
                    Ok(figures) => runs.push(figures),
                    Err(error) => entry.runs = Err(format!("{error:#}")),
                }
            }
        }
        complete &= entries.iter().all(|entry| entry.runs.is_ok());
        number += 1;
        let floor = floor(&sandbox, case, &load, number)?;
        super::console::print(&table::markdown(case, &entries, &floor))?;
    }
    Ok(complete)
}
