//! `cargo lab quickstart`: from a fresh clone to pods in two racks that reach each other over BGP.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::path::Paths;
use crate::pod::{self, Pod};
use crate::topology::Topology;
use crate::{cargo, cluster, debian, interrupt};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Leave the fabric up
    #[arg(long)]
    keep: bool,
    /// The static plugin, once all is built; set where this program calls itself as root
    #[arg(long, hide = true)]
    plugin: Option<PathBuf>,
}

const LAB: &str = "two-racks";
const PODS_A_NODE: usize = 2;
const SOCKET: &str = "/run/underlay/status.sock";
/// Sessions come up within seconds; a busy machine gets more.
const CONVERGENCE: Duration = Duration::from_secs(60);

/// Says what is done next, with the time since the start.
struct Progress {
    since: Instant,
}

impl Progress {
    fn say(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.since.elapsed().as_secs_f64());
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let progress = Progress { since: Instant::now() };
    interrupt::watch()?;
    let plugin = match &args.plugin {
        Some(plugin) => plugin.clone(),
        None => build(&progress)?,
    };
    let shown = plugin.display().to_string();
    let mut again = vec!["quickstart", "--plugin", &shown];
    if args.keep {
        again.push("--keep");
    }
    if let Some(code) = super::console::by_sudo(&again)? {
        return Ok(code);
    }
    let file = super::catalogue::topology_file(LAB)?;
    let topology = Topology::read(&file)?;
    let prefixes = cluster::pod_prefixes(&topology.folder.join("manifests"))?;

    progress.say(&format!(
        "bringing up {LAB}: {} nodes, {} links",
        topology.nodes.len(),
        topology.links.len()
    ));
    let lab = Lab::up(&file, &topology)?;
    prove(&lab, &prefixes, &plugin, &progress).inspect_err(|_| show_logs(&lab))?;
    let lab = if args.keep { lab.stay()? } else { lab };
    farewell(&lab, args.keep);
    drop(lab);
    progress.say(if args.keep { "done; the fabric stays up" } else { "done; everything is removed" });
    Ok(ExitCode::SUCCESS)
}

/// Installs and builds as the caller; only apt is root's.
fn build(progress: &Progress) -> anyhow::Result<PathBuf> {
    progress.say("looking for what this needs of the machine");
    debian::install(&[debian::IP, debian::PING, debian::NSENTER, debian::CC])?;
    progress.say("building the agent and its command line");
    cargo::run(&["build", "--package", "controller"])?;
    progress.say("building the CNI plugin, static as it is shipped");
    cargo::static_plugin()
}

/// Everything between up and down.
fn prove(
    lab: &Lab,
    prefixes: &BTreeMap<String, Vec<String>>,
    plugin: &Path,
    progress: &Progress,
) -> anyhow::Result<()> {
    progress.say("waiting for every session and every route");
    interrupt::until("the fabric to converge", CONVERGENCE, || {
        converged(lab, prefixes).map_err(|error| format!("{error:#}"))
    })?;

    let hosts: Vec<_> = prefixes.iter().filter(|(_, prefixes)| !prefixes.is_empty()).collect();
    progress.say(&format!("adding {} pods by underlay-cni", hosts.len() * PODS_A_NODE));
    let mut pods = Vec::new();
    for (node, subnets) in hosts {
        for number in 1..=PODS_A_NODE {
            pods.push(Pod::add(lab, plugin, node, &format!("{node}-pod{number}"), subnets)?);
        }
    }
    progress.say("pinging from each pod to each other pod, both families");
    let pings = pod::ping_all(lab, &pods)?;
    progress.say(&format!("{pings} of {pings} pings answered"));

    let mut paths = Paths::new(lab)?;
    let mut longest = 0;
    for (from, to, address) in pod::pairs(&pods) {
        longest = longest.max(paths.follow(&from.node, to, address)?.len());
    }
    progress.say(&format!(
        "{pings} of {pings} ways use underlay's routes alone, the longest over {longest} nodes"
    ));
    show(lab, &pods)
}

/// `underlay` with these words, asking every agent of the lab at once over its socket.
fn ask_all(lab: &Lab, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(crate::program("underlay"));
    command.args(words);
    for socket in lab.state().nodes.keys().filter_map(|node| lab.outside(node, SOCKET)) {
        command.arg("--socket").arg(socket);
    }
    let output = interrupt::output(&mut command)?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "underlay {}: {}", words.join(" "), message.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What is still missing: an agent, a session, or a route in a kernel.
fn converged(lab: &Lab, prefixes: &BTreeMap<String, Vec<String>>) -> anyhow::Result<()> {
    let ended = lab.state().nodes.keys().find(|node| lab.runs(node) == Some(false));
    if let Some(node) = ended {
        bail!("the agent of {node} has ended");
    }
    let agents: Vec<Value> = serde_json::from_str(&ask_all(lab, &["peers", "-o", "json"])?)?;
    ensure!(agents.len() == lab.state().nodes.len(), "{} agents answer", agents.len());
    for agent in &agents {
        let peers = agent["peers"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(!peers.is_empty(), "{} has no peers", agent["node"]);
        let down = peers.iter().find(|peer| peer["state"] != "Established");
        if let Some(peer) = down {
            bail!("{}: {} is {} {}", agent["node"], peer["name"], peer["state"], peer["down"]);
        }
    }
    for node in lab.state().nodes.keys() {
        let routes = routes(lab, node)?;
        let others = prefixes.iter().filter(|(other, _)| *other != node).flat_map(|(_, prefixes)| prefixes);
        if let Some(missing) = others.into_iter().find(|prefix| !routes.contains(prefix)) {
            bail!("{node} has no route to {missing}");
        }
    }
    Ok(())
}

/// The destinations of underlay's routes in a node's kernel.
fn routes(lab: &Lab, node: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for family in ["-4", "-6"] {
        let text = lab.run(node, &["ip", "-j", family, "route", "show", "proto", "171"])?;
        let routes: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("{node}: {text}"))?;
        found.extend(routes.iter().filter_map(|route| route["dst"].as_str()).map(str::to_owned));
    }
    Ok(found)
}

/// The end of every agent's output, beside an error that is not an interrupt.
fn show_logs(lab: &Lab) {
    if interrupt::check().is_err() {
        return;
    }
    for node in lab.state().nodes.keys() {
        let log = lab.log(node);
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("--- {node}\n{}", lines[lines.len().saturating_sub(8)..].join("\n"));
    }
}

/// The fabric in underlay's own words.
fn show(lab: &Lab, pods: &[Pod]) -> anyhow::Result<()> {
    super::console::print(&format!("\n$ underlay peers\n{}", ask_all(lab, &["peers"])?))?;
    let (first, last) = (pods.first().context("there are pods")?, pods.last().context("there are pods")?);
    let address = last.addresses.first().context("a pod has an address")?;
    let prefix = lab.run(&first.node, &["ip", "-j", "route", "get", "fibmatch", address])?;
    let prefix: Value = serde_json::from_str(&prefix)?;
    let prefix = prefix[0]["dst"].as_str().context("a route has a destination")?.to_owned();
    let story = lab.run(&first.node, &["underlay", "explain", &prefix, "--socket", SOCKET])?;
    super::console::print(&format!("\n$ underlay explain {prefix}        (on {})\n{story}\n", first.node))
}

fn farewell(lab: &Lab, keeps: bool) {
    let name = &lab.state().name;
    if !keeps {
        eprintln!("cargo lab quickstart --keep (or cargo lab up {name}) leaves the fabric up; then");
    }
    eprintln!(
        "look around:
  cargo lab status {name}
  cargo lab exec {name} n11 underlay peers
  cargo lab exec {name} n11 underlay routes
  cargo lab exec {name} n11 ip route
break something:
  cargo lab exec {name} spine ip link set eth2 down   # the racks lose each other
  cargo lab exec {name} n11 underlay explain 10.244.4.0/24
  cargo lab exec {name} spine ip link set eth2 up
clean up:
  cargo lab down {name}"
    );
}
