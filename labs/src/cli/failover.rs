//! `cargo lab failover [EVENT…]`: how many packets are lost until another router is used, beside BIRD and FRR.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::failover::event::{EVENTS, Event};
use crate::failover::measure;
use crate::failover::scene::Scene;
use crate::failover::subject::{SUBJECTS, Subject};
use crate::sandbox::Sandbox;
use crate::{cargo, debian, interrupt, program};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What happens to the router in use; everything by default: link-down, reset, bfd, hold, next-hop, deaf
    events: Vec<String>,
    /// Let each happen this often to each speaker, in turns
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these speakers: underlay, bird, frr
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The agent's program; set where this program calls itself inside its namespaces
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (events, subjects) = (events(args)?, subjects(args)?);
    if let Some(underlay) = &args.inside {
        let complete = inside(args, &events, &subjects, underlay)?;
        return Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    interrupt::watch()?;
    debian::install(&[debian::IP, debian::NSENTER, debian::CC, debian::BIRD, debian::FRR, debian::NFT])?;
    cargo::run(&["build", "--workspace", "--bins"])?;
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

fn subjects(args: &Args) -> anyhow::Result<Vec<Subject>> {
    let find = |name: &String| match SUBJECTS.iter().find(|subject| subject.name() == name) {
        Some(subject) => Ok(*subject),
        None => bail!("there is no speaker {name}: {}", SUBJECTS.map(Subject::name).join(", ")),
    };
    if args.only.is_empty() { Ok(SUBJECTS.to_vec()) } else { args.only.iter().map(find).collect() }
}

/// Measures and prints; whether each speaker came through each event.
fn inside(args: &Args, events: &[Event], subjects: &[Subject], underlay: &Path) -> anyhow::Result<bool> {
    let sandbox = Sandbox::adopt("failover").context("a private machine")?;
    let names: Vec<&str> = subjects.iter().map(|subject| subject.name()).collect();
    let mut head = format!("| packets lost of 1 000 a second, where … | {} |\n|---", names.join(" | "));
    head += &"|---".repeat(subjects.len());
    super::console::print(&format!("{head}|\n"))?;
    let (mut number, mut complete) = (0, true);
    for event in events {
        let mut cells = vec![Vec::new(); subjects.len()];
        for _ in 0..args.runs.max(1) {
            for (subject, losses) in subjects.iter().zip(&mut cells) {
                interrupt::check()?;
                number += 1;
                eprintln!("    {}: {}", event.name(), subject.name());
                losses.push(
                    once(&sandbox, *event, *subject, underlay, number).map_err(|error| format!("{error:#}")),
                );
            }
        }
        let mut row = format!("| {} |", event.what());
        for losses in cells {
            complete &= losses.iter().all(Result::is_ok);
            row += &format!(" {} |", cell(losses));
        }
        super::console::print(&format!("{row}\n"))?;
    }
    Ok(complete)
}

/// The losses of several runs, ascending; or what went wrong.
fn cell(losses: Vec<Result<u64, String>>) -> String {
    match losses.into_iter().collect::<Result<Vec<u64>, String>>() {
        Ok(mut losses) => {
            losses.sort_unstable();
            losses.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        }
        Err(why) => why.replace('\n', " "),
    }
}

fn once(
    sandbox: &Sandbox,
    event: Event,
    subject: Subject,
    underlay: &Path,
    run: usize,
) -> anyhow::Result<u64> {
    let scene = Scene::new(sandbox, event, run);
    let running = subject.start(sandbox, &scene.node, event, underlay, run);
    let lost = scene.until_ready(event).and_then(|()| measure::losses(&scene, event));
    drop(running);
    scene.remove()?;
    lost
}
