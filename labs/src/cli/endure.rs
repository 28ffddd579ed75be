//! `cargo lab endure`: minutes or hours of random faults, and what must hold throughout.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};

use crate::endure::chance::Chance;
use crate::endure::fabric::{AGENTS, Fabric};
use crate::endure::fault::Fault;
use crate::endure::watch::Watch;
use crate::{cargo, debian, interrupt, program};

#[derive(clap::Args)]
pub(super) struct Args {
    /// How long
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// Which faults, in which order; unset, others each time
    #[arg(long)]
    seed: Option<u64>,
    /// All is built; set where this program calls itself as root
    #[arg(long, hide = true)]
    built: bool,
}

/// Faults after which an agent's memory is what its work takes: caches and buffers have their size.
const WARM: usize = 5;
/// What an agent's memory may grow by from then on, in kB.
const MEMORY: u64 = 8 * 1024;
/// What its descriptors may grow by: sessions that are being opened, a reader.
const DESCRIPTORS: u64 = 10;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seed = args.seed.unwrap_or_else(clock);
    interrupt::watch()?;
    if !args.built {
        debian::install(&[debian::IP, debian::NSENTER, debian::CC, debian::BIRD, debian::FRR])?;
        cargo::run(&["build", "--workspace", "--bins"])?;
    }
    let (minutes, number) = (args.minutes.to_string(), seed.to_string());
    let again = ["endure", "--built", "--minutes", &minutes, "--seed", &number];
    if let Some(code) = super::console::by_sudo(&again)? {
        return Ok(code);
    }
    super::console::print(&format!("seed {seed}: cargo lab endure --minutes {minutes} --seed {seed}\n"))?;
    let folder = std::env::temp_dir().join(format!("underlay-endure-{}", std::process::id()));
    let done = endure(seed, Duration::from_secs(60 * args.minutes), &folder);
    // What is left of a copy is nobody's loss.
    let _ = std::fs::remove_dir_all(&folder);
    done.with_context(|| format!("seed {seed}"))?;
    Ok(ExitCode::SUCCESS)
}

/// What the faults of one kind have cost.
#[derive(Default)]
struct Tally {
    times: u64,
    lost: u64,
    longest: Duration,
}

fn endure(seed: u64, time: Duration, folder: &std::path::Path) -> anyhow::Result<()> {
    let mut fabric = Fabric::up(&program::workspace().join("labs"), folder)?;
    let watch = Watch::start(&fabric)?;
    let fail = |fabric: &Fabric| eprintln!("{}", fabric.logs());
    watch.settle(&fabric).inspect_err(|_| fail(&fabric))?;
    let (mut chance, mut tallies, mut first) = (Chance(seed), BTreeMap::<String, Tally>::new(), None);
    let began_at = Instant::now();
    let mut number = 0;
    while began_at.elapsed() < time {
        let fault = Fault::draw(&mut chance);
        let (since, at) = (watch.mark(), Instant::now());
        fabric.suffer(fault).with_context(|| fault.to_string())?;
        watch.settle(&fabric).with_context(|| fault.to_string()).inspect_err(|_| fail(&fabric))?;
        let took = at.elapsed();
        let (lost, whose) = watch.lost(&since)?;
        number += 1;
        let plan = if fault.is_planned() { "planned" } else { "unplanned" };
        let line = format!(
            "[{:6.1} s] {number:3} {plan}: {fault}: lost {lost}, over after {:.1} s\n",
            began_at.elapsed().as_secs_f64(),
            took.as_secs_f64()
        );
        super::console::print(&line)?;
        if fault.is_planned() && lost > 0 {
            fail(&fabric);
            bail!("{fault} has lost packets: {}", whose.join(", "));
        }
        let tally = tallies.entry(format!("{plan}: {}", fault.kind())).or_default();
        (tally.times, tally.lost, tally.longest) =
            (tally.times + 1, tally.lost + lost, tally.longest.max(took));
        if number == WARM {
            first = Some(weights(&fabric)?);
        }
    }
    let mut text = "\n| what happened | times | packets lost | longest s |\n|---|---|---|---|\n".to_owned();
    for (what, Tally { times, lost, longest }) in &tallies {
        text += &format!("| {what} | {times} | {lost} | {:.1} |\n", longest.as_secs_f64());
    }
    super::console::print(&text)?;
    weigh(&first.unwrap_or_default(), &weights(&fabric)?)
}

type Weights = BTreeMap<&'static str, (u64, u64)>;

fn weights(fabric: &Fabric) -> anyhow::Result<Weights> {
    AGENTS.into_iter().map(|node| Ok((node, fabric.weight(node)?))).collect()
}

/// Whether memory and descriptors are what they were.
fn weigh(first: &Weights, last: &Weights) -> anyhow::Result<()> {
    let mut text =
        "\n| agent | kB at first | kB at last | descriptors | at last |\n|---|---|---|---|---|\n".to_owned();
    for (node, (memory, descriptors)) in first {
        let (memory_now, descriptors_now) = last.get(node).copied().unwrap_or_default();
        text += &format!("| {node} | {memory} | {memory_now} | {descriptors} | {descriptors_now} |\n");
    }
    super::console::print(&text)?;
    for (node, (memory, descriptors)) in first {
        let (memory_now, descriptors_now) = last.get(node).copied().unwrap_or_default();
        ensure!(
            memory_now <= memory + MEMORY,
            "the agent of {node} has grown from {memory} to {memory_now} kB"
        );
        ensure!(
            descriptors_now <= descriptors + DESCRIPTORS,
            "{node} has {descriptors_now} descriptors, and had {descriptors}"
        );
    }
    Ok(())
}
