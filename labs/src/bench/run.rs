//! A case on a speaker: two namespaces and a link, the speaker in one, the load generator in the other.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::case::Case;
use super::meter::{Machine, Meter, Usage};
use super::speaker::{Site, Speaker};
use crate::sandbox::Sandbox;

/// The first peer's AS; each further one has the next.
const FIRST_ASN: u32 = 64_000;

/// What one step took.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The step: `established`, `announce`, …
    pub step: String,
    /// Seconds until its effect was complete.
    pub seconds: f64,
    /// Seconds until the first of its effect was seen.
    pub first: Option<f64>,
    /// The speaker's CPU seconds meanwhile.
    pub cpu: f64,
    /// The speaker's peak memory so far, in octets.
    pub memory: u64,
    /// Prefixes that receivers were announced.
    pub announced: u64,
    /// Prefixes of the table.
    pub prefixes: usize,
    /// The longest time for which the speaker said nothing to a receiver, in seconds.
    pub silence: f64,
    /// CPUs that others kept busy meanwhile.
    pub others: f64,
}

/// The programs of the build under test.
#[derive(Debug)]
pub struct Programs<'a> {
    /// `underlay`, release.
    pub underlay: &'a Path,
    /// `load`, release.
    pub load: &'a Path,
}

/// Runs `case` on `speaker`. `number` tells the namespaces of several runs apart.
///
/// # Errors
/// Where the load generator fails: a session that did not come up, a table that did not arrive in time.
pub fn run(
    sandbox: &Sandbox,
    case: &Case,
    speaker: Speaker,
    programs: &Programs<'_>,
    number: usize,
) -> anyhow::Result<Vec<Figure>> {
    let subject = sandbox.router(&format!("subject{number}"));
    let generator = sandbox.netns(&format!("load{number}"));
    sandbox.link(&subject, "eth0", &generator, "eth0");
    for namespace in [&subject, &generator] {
        // 500 peers connect in the same instant.
        namespace.sysctl("net.ipv4.tcp_max_syn_backlog", "4096");
    }
    subject.ip("addr add 10.9.0.1/16 dev eth0");
    subject.ip("addr add fd09::1/64 dev eth0 nodad");
    let ipv6 = case.family == "ipv6";
    let peers: Vec<(IpAddr, u32)> = (0..u32::try_from(case.senders + case.receivers)?)
        .map(|index| (address(ipv6, index), FIRST_ASN + index))
        .collect();
    for (address, _) in &peers {
        let width = if ipv6 { "64" } else { "16" };
        let nodad = if ipv6 { " nodad" } else { "" };
        generator.ip(&format!("addr add {address}/{width} dev eth0{nodad}"));
    }
    let own: IpAddr = if ipv6 { "fd09::1" } else { "10.9.0.1" }.parse()?;
    let site = Site { address: own, peers, install: case.install, hold: case.hold, transit: !case.node };
    let running = speaker.start(sandbox, &subject, &site, programs.underlay);
    let meter = Meter::of(&subject.path())?;

    let mut command = generator.exec(programs.load, ["--to", &own.to_string()]);
    command.args(["--from", &address(ipv6, 0).to_string(), "--asn", &FIRST_ASN.to_string()]);
    for (flag, value) in [
        ("--senders", case.senders),
        ("--receivers", case.receivers),
        ("--prefixes", case.prefixes),
        ("--sets", case.sets),
    ] {
        command.arg(flag).arg(value.to_string());
    }
    command.args(["--family", case.family, "--hold", &case.hold.to_string()]);
    command.args(["--steps", case.steps]);
    if let Some(file) = real(case)? {
        command.arg("--mrt").arg(file);
    }
    if case.node {
        command.arg("--split");
    }
    if case.install {
        let pid = meter.processes().into_iter().next().context("the speaker has no process")?;
        command.arg("--kernel").arg(pid.to_string());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("load")?;
    let lines = BufReader::new(child.stdout.take().context("the pipe was asked for")?).lines();
    let mut figures = Vec::new();
    let mut prefixes = case.prefixes;
    let (mut machine, mut before) = (Machine::read(), meter.read());
    for line in lines {
        let line: Value = serde_json::from_str(&line?).context("load's output")?;
        let now = meter.read();
        if line["event"] == "table" {
            prefixes = line["prefixes"].as_u64().map_or(Ok(prefixes), usize::try_from)?;
        }
        figures.extend(figure(&line, before, now, &machine).map(|figure| Figure { prefixes, ..figure }));
        (machine, before) = (Machine::read(), now);
    }
    let output = child.wait_with_output()?;
    drop(running);
    for namespace in [subject, generator] {
        namespace.remove()?;
    }
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(figures)
}

/// What the case's steps take without a speaker, in seconds: the table from sender to receiver, or nothing but writes to
/// the kernel.
///
/// # Errors
/// Where the load generator fails.
pub fn floor(
    sandbox: &Sandbox,
    case: &Case,
    load: &Path,
    number: usize,
) -> anyhow::Result<Vec<(String, f64)>> {
    if case.receivers == 0 && !case.install {
        return Ok(Vec::new());
    }
    let namespace = sandbox.netns(&format!("floor{number}"));
    let other = sandbox.netns(&format!("beside{number}"));
    sandbox.link(&namespace, "eth0", &other, "eth0");
    let ipv6 = case.family == "ipv6";
    namespace.ip("addr add 10.9.0.1/16 dev eth0");
    namespace.ip("addr add fd09::1/64 dev eth0 nodad");
    let mut command = if case.install {
        namespace.exec(load, ["--kernel-floor", "eth0", "--to", &address(ipv6, 0).to_string()])
    } else {
        namespace.exec(load, ["--floor", "--to", "127.0.0.1"])
    };
    command.args(["--from", "127.0.0.1", "--asn", &FIRST_ASN.to_string(), "--family", case.family]);
    command.args(["--prefixes", &case.prefixes.to_string(), "--sets", &case.sets.to_string()]);
    if let Some(file) = real(case)? {
        command.arg("--mrt").arg(file);
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("load")?;
    let output = output.wait_with_output()?;
    namespace.remove()?;
    other.remove()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let mut floors = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: Value = serde_json::from_str(line).context("load's output")?;
        if line["event"] == "floor" {
            let step = line["step"].as_str().unwrap_or("announce").to_owned();
            floors.push((step, line["seconds"].as_f64().context("load's output: seconds")?));
        }
    }
    Ok(floors)
}

/// The variable that names the folder of real tables.
pub const REAL: &str = "UNDERLAY_MRT_DATA";

/// The dump that the case's table comes from: the first one of its folder.
fn real(case: &Case) -> anyhow::Result<Option<PathBuf>> {
    if !case.real {
        return Ok(None);
    }
    let folder = PathBuf::from(std::env::var_os(REAL).with_context(|| format!("{REAL} is not set"))?);
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let dumps = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("bview"));
    let first = dumps.map(|entry| entry.path()).min();
    Ok(Some(first.with_context(|| format!("{}: no file named bview…", folder.display()))?))
}

/// The address of a peer: 10.9.1.1 or fd09::1:1 and those that follow.
fn address(ipv6: bool, index: u32) -> IpAddr {
    if ipv6 {
        IpAddr::V6(((0xfd09_u128 << 112) + 0x1_0001 + u128::from(index)).into())
    } else {
        IpAddr::V4((0x0a09_0101 + index).into())
    }
}

fn figure(line: &Value, before: Usage, now: Usage, machine: &Machine) -> Option<Figure> {
    let cpu = now.cpu - before.cpu;
    Some(Figure {
        step: line["event"].as_str()?.to_owned(),
        seconds: line["seconds"].as_f64()?,
        first: line["first"].as_f64(),
        cpu,
        memory: now.memory,
        announced: line["announced"].as_u64().unwrap_or_default(),
        prefixes: 0,
        silence: line["silence"].as_f64().unwrap_or_default(),
        others: machine.others(cpu),
    })
}
