//! `cargo lab test [NAME]`: what continuous integration runs, and the inner loop.
//!
//! A stage that fails does not keep the others from running. The last lines are the test runner's own summary.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::build::Build;
use crate::{cargo, debian, interrupt, namespace, need, program, python};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Only build, and run the tests whose names contain this
    name: Option<String>,
}

const NEXTEST: &str = "0.9.143";
const TOOLS: [debian::Tool; 16] = [
    debian::CC,
    debian::IP,
    debian::PING,
    debian::NSENTER,
    debian::BIRD,
    debian::FRR,
    debian::GOBGP,
    debian::OPENBGPD,
    debian::NFT,
    debian::IPTABLES,
    debian::IPSET,
    debian::STRACE,
    debian::SYSTEMD,
    debian::BUSYBOX,
    debian::PODMAN,
    debian::PYTHON,
];

/// The stages that ran: name, time, whether it succeeded.
#[derive(Default)]
struct Stages {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Stages {
    fn run(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        eprintln!("==> {name}");
        let start = Instant::now();
        let result = work();
        self.done.push((name, start.elapsed(), result.is_ok()));
        if let Err(error) = result {
            eprintln!("==> {name}: {error:#}");
        }
        // An interrupt ends the run, a failure only this stage.
        interrupt::check()
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    interrupt::watch()?;
    let mut stages = Stages::default();
    stages.run("tools", tools)?;
    stages.run("ExaBGP", python::install)?;
    let mut kubernetes = None;
    if args.name.is_none() {
        // Minutes of work on a machine that has never done it: it goes on beside cargo.
        stages.run("start of Kubernetes' build", || {
            kubernetes = Some(Build::start()?);
            Ok(())
        })?;
        stages.run("format", || cargo::run(&["fmt", "--all", "--check"]))?;
        // The load generator's feature is on here and in its own stage, and in nothing that people build.
        let clippy = ["clippy", "--workspace", "--all-targets", "--features", "labs/bench"];
        stages.run("clippy", || cargo::run(&[&clippy[..], &["--", "-D", "warnings"]].concat()))?;
        stages.run("doctests", || cargo::run(&["test", "--workspace", "--doc", "--quiet"]))?;
        stages.run("static plugin", || cargo::static_plugin().map(drop))?;
    }
    stages.run("build", || cargo::run(&["build", "--workspace", "--bins"]))?;
    if args.name.is_none() {
        stages.run("benchmarks", super::bench::try_out)?;
    }
    if let Some(build) = &mut kubernetes {
        stages.run("Kubernetes", || build.wait())?;
    }
    let mut endurance = None;
    if args.name.is_none() {
        // It waits more than it works, and goes on beside the tests.
        stages.run("start of endurance", || {
            endurance = Some(Endurance::start()?);
            Ok(())
        })?;
    }
    let [skips, matrix] = ["skips", "matrix"].map(|name| program::build_folder().join(name));
    let mut summary = Vec::new();
    stages.run("tests", || {
        let good;
        (summary, good) = nextest(args.name.as_deref(), &skips, &matrix)?;
        ensure!(good, "a test failed, or none ran");
        Ok(())
    })?;
    if let Some(endurance) = &mut endurance {
        stages.run("endurance", || endurance.wait())?;
    }
    report(&stages, &skips, &matrix, &summary)?;
    let good = stages.done.iter().all(|(_, _, good)| *good);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How long the endurance run takes, in minutes.
const MINUTES: &str = "5";

/// `cargo lab endure` beside the tests.
struct Endurance {
    child: Child,
    log: PathBuf,
}

impl Endurance {
    /// Starts it from copies of the programs: cargo may write those anew while it runs.
    fn start() -> anyhow::Result<Self> {
        let folder = program::build_folder().join("endurance");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for name in ["labs", "underlay", "underlay-cni"] {
            let from = program::build_folder().join(name);
            fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
        }
        let log = folder.join("log");
        let out = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(folder.join("labs"));
        command.args(["endure", "--built", "--minutes", MINUTES]);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);
        namespace::die_with_parent(&mut command);
        Ok(Self { child: command.spawn().context("cargo lab endure")?, log })
    }

    /// Waits for its end, and shows what it has found.
    fn wait(&mut self) -> anyhow::Result<()> {
        let status = interrupt::ended(&mut self.child)?;
        let text = fs::read_to_string(&self.log).with_context(|| self.log.display().to_string())?;
        if status.success() {
            let seed = text.lines().next().unwrap_or_default();
            let tables = text.split_once("\n\n").map_or("", |(_, tables)| tables);
            return super::console::print(&format!("{seed}\n{tables}"));
        }
        eprintln!("{text}");
        bail!("{status}, see {}", self.log.display())
    }
}

impl Drop for Endurance {
    fn drop(&mut self) {
        // It takes its lab along.
        if matches!(self.child.try_wait(), Ok(None))
            && let Ok(id) = i32::try_from(self.child.id())
        {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

fn tools() -> anyhow::Result<()> {
    debian::install(&[&TOOLS[..], &debian::KUBERNETES].concat())?;
    if need::met("cargo-nextest") {
        return Ok(());
    }
    eprintln!("    installing cargo-nextest {NEXTEST}: it runs the tests, each in a process of its own");
    cargo::run(&["install", "cargo-nextest", "--locked", "--version", NEXTEST])
}

/// Runs the tests; gives the lines of the runner's summary, and whether all went well.
fn nextest(name: Option<&str>, skips: &Path, matrix: &Path) -> anyhow::Result<(Vec<String>, bool)> {
    for file in [skips, matrix].into_iter().filter(|file| file.exists()) {
        fs::remove_file(file).with_context(|| file.display().to_string())?;
    }
    let colour = if std::io::stderr().is_terminal() { "always" } else { "auto" };
    let mut command = cargo::command(&["nextest", "run", "--workspace", "--color", colour]);
    // A filter that matches nothing is a typing error, and nextest says so.
    command.args(name).env("UNDERLAY_SKIPS", skips).env("UNDERLAY_MATRIX", matrix).stderr(Stdio::piped());
    let mut child = command.spawn().context("cargo nextest")?;
    let pipe = child.stderr.take().context("the pipe was asked for")?;
    let reader = std::thread::spawn(move || pass_on(pipe));
    let status = interrupt::ended(&mut child)?;
    let summary = reader.join().ok().context("nextest's output is lost")?;
    Ok((summary, status.success()))
}

/// Shows each line as it comes and keeps those from the summary on.
fn pass_on(pipe: impl Read) -> Vec<String> {
    let mut summary: Vec<String> = Vec::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        eprintln!("{line}");
        if !summary.is_empty() || line.contains("Summary [") {
            summary.push(line);
        }
    }
    summary
}

fn report(stages: &Stages, skips: &Path, matrix: &Path, summary: &[String]) -> anyhow::Result<()> {
    let mut text = String::from("\n");
    let cells = fs::read_to_string(matrix).unwrap_or_default();
    if !cells.is_empty() {
        text += &format!("interoperability\n{}", super::matrix::table(&cells));
    }
    let lines = fs::read_to_string(skips).unwrap_or_default();
    let lines: BTreeSet<&str> = lines.lines().collect();
    text += &format!("{} skipped\n", lines.len());
    for line in lines {
        text += &format!("  {line}\n");
    }
    text += "seconds\n";
    for (name, time, good) in &stages.done {
        let word = if *good { "" } else { "  FAILED" };
        text += &format!("  {:>6.1}  {name}{word}\n", time.as_secs_f64());
    }
    super::console::print(&text)?;
    eprintln!("{}", summary.join("\n"));
    Ok(())
}
