//! The lab with its programs: a copy of two-racks-bird-frr, whose manifests may be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::fault::{Fault, NODES};
use crate::interrupt;
use crate::lab::Lab;
use crate::netns::Netns;
use crate::topology::Topology;

/// Those that run this project's agent.
pub const AGENTS: [&str; 5] = ["n11", "n12", "n21", "n22", "spine"];
/// What the change of the configuration adds to a Fabric.
const ADDED: &str = "  advertise: {podCIDRs: true, prefixes: [{prefix: 10.244.200.0/24}]}\n";
/// Where it goes.
const BEFORE: &str = "  podPrefixes: [10.244.0.0/16";

/// The running lab.
#[derive(Debug)]
pub struct Fabric {
    lab: Lab,
    fabrics: PathBuf,
}

impl Fabric {
    /// Brings the lab up out of a copy in `folder`; each node has an address of its PodCIDRs.
    ///
    /// # Errors
    /// What failed of it.
    pub fn up(labs: &Path, folder: &Path) -> anyhow::Result<Self> {
        for (name, inner) in [("two-racks", "manifests"), ("two-racks-bird-frr", "")] {
            let (from, to) = (labs.join(name).join(inner), folder.join(name).join(inner));
            fs::create_dir_all(&to).with_context(|| to.display().to_string())?;
            for entry in fs::read_dir(&from).with_context(|| from.display().to_string())? {
                let entry = entry?;
                fs::copy(entry.path(), to.join(entry.file_name())).context("a copy of the lab")?;
            }
        }
        let file = folder.join("two-racks-bird-frr/two-racks-bird-frr.clab.yml");
        // A name of its own: the lab itself may be up beside it.
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let name = format!("name: endure-{}\n", std::process::id());
        fs::write(&file, text.replacen("name: two-racks-bird-frr\n", &name, 1))?;
        let lab = Lab::up(&file, &Topology::read(&file)?)?;
        for (at, node) in (1..).zip(super::fault::NODES) {
            lab.run(node, &["ip", "addr", "add", &format!("10.244.{at}.1/32"), "dev", "lo"])?;
            lab.run(node, &["ip", "addr", "add", &format!("fd00:10:244:{at}::1/128"), "dev", "lo", "nodad"])?;
        }
        Ok(Self { lab, fabrics: folder.join("two-racks/manifests/fabrics.yaml") })
    }

    /// The network namespace of a node.
    ///
    /// # Errors
    /// One that is gone.
    pub fn netns(&self, node: &str) -> anyhow::Result<Netns> {
        let state = self.lab.state().nodes.get(node).with_context(|| node.to_owned())?;
        Netns::open(&state.netns).with_context(|| state.netns.clone())
    }

    /// What a program of a node prints.
    ///
    /// # Errors
    /// A program that fails, with what it said.
    pub fn run(&self, node: &str, words: &str) -> anyhow::Result<String> {
        self.lab.run(node, &words.split_whitespace().collect::<Vec<_>>())
    }

    /// What an agent says, as JSON.
    ///
    /// # Errors
    /// An agent that does not answer, or not in JSON.
    pub fn ask(&self, node: &str, words: &str) -> anyhow::Result<Value> {
        let text = self.run(node, &format!("underlay {words} -o json"))?;
        serde_json::from_str(&text).with_context(|| format!("{node}: underlay {words}"))
    }

    /// Resident memory in kB and open descriptors of a node's program.
    ///
    /// # Errors
    /// A program that has ended.
    pub fn weight(&self, node: &str) -> anyhow::Result<(u64, u64)> {
        let pid = self.lab.program(node).with_context(|| format!("{node} runs nothing"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("a program that has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let memory = line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
        Ok((memory, fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64))
    }

    /// The end of what the programs have logged.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for node in self.lab.state().nodes.keys() {
            let log = self.lab.log(node);
            let lines: Vec<&str> = log.lines().rev().take(25).collect();
            text += &format!("--- {node}\n{}\n", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        text
    }

    /// Lets it happen; what takes time has passed when this returns.
    ///
    /// # Errors
    /// What could not be done.
    pub fn suffer(&mut self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::Kill(node) => self.replace(node, Signal::SIGKILL)?,
            Fault::Restart(node) => self.replace(node, Signal::SIGTERM)?,
            Fault::KillTwice(node) => {
                self.replace(node, Signal::SIGKILL)?;
                self.replace(node, Signal::SIGKILL)?;
            }
            Fault::Bird => self.replace("tor1", Signal::SIGKILL)?,
            Fault::Frr => drop(self.lab.run("tor2", &["vtysh", "-c", "clear bgp *"])?),
            Fault::Drain(node) => {
                self.cover(node, "add")?;
                self.run(node, "underlay drain --reason endurance")?;
                interrupt::pause(Duration::from_secs(1))?;
                self.run(node, "underlay undrain")?;
                interrupt::pause(Duration::from_secs(1))?;
                self.cover(node, "del")?;
            }
            Fault::Configure => {
                let text = fs::read_to_string(&self.fabrics)?;
                ensure!(text.contains(BEFORE), "{} has no {BEFORE}", self.fabrics.display());
                let new = if text.contains(ADDED) {
                    text.replace(ADDED, "")
                } else {
                    text.replacen(BEFORE, &format!("{ADDED}{BEFORE}"), 1)
                };
                let beside = self.fabrics.with_extension("new");
                fs::write(&beside, new)?;
                fs::rename(beside, &self.fabrics)?;
            }
            Fault::Refresh(node) => {
                for peer in self.peers(node)? {
                    self.run(node, &format!("underlay reset {peer} --soft"))?;
                }
            }
            Fault::Reset(node) => {
                let tor = self.peers(node)?.into_iter().find(|peer| peer.ends_with(".1"));
                let tor = tor.with_context(|| format!("{node} has no ToR"))?;
                self.run(node, &format!("underlay reset {tor}"))?;
            }
            Fault::Link(node, link, tenths) => {
                self.run(node, &format!("ip link set {link} down"))?;
                interrupt::pause(Duration::from_millis(100 * tenths))?;
                self.run(node, &format!("ip link set {link} up"))?;
            }
            Fault::Flush(node) => {
                self.run(node, "ip -4 route flush proto 171")?;
                self.run(node, "ip -6 route flush proto 171")?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, node: &str, signal: Signal) -> anyhow::Result<()> {
        self.lab.end_program(node, signal)?;
        self.lab.start_program(node)
    }

    /// The routes to a node at the ToR that is BIRD, once more behind its own: it deletes a route of the kernel and adds
    /// another whenever an attribute changes, and what comes between the two is lost.
    fn cover(&self, node: &str, verb: &str) -> anyhow::Result<()> {
        let at = 1 + NODES.iter().position(|it| *it == node).with_context(|| node.to_owned())?;
        let (v4, v6) = match at {
            1 | 2 => (format!("10.0.1.1{at}"), format!("fd00:0:0:1::1{at}")),
            _ => ("10.0.100.2".to_owned(), "fd00:0:0:100::2".to_owned()),
        };
        self.run("tor1", &format!("ip route {verb} 10.244.{at}.0/24 via {v4} metric 9999"))?;
        self.run("tor1", &format!("ip -6 route {verb} fd00:10:244:{at}::/64 via {v6} metric 9999"))?;
        Ok(())
    }

    /// The addresses of a node's peers.
    fn peers(&self, node: &str) -> anyhow::Result<Vec<String>> {
        let peers = self.ask(node, "peers")?;
        let peers = peers["peers"].as_array().cloned().unwrap_or_default();
        Ok(peers.iter().filter_map(|peer| peer["address"].as_str().map(str::to_owned)).collect())
    }
}
