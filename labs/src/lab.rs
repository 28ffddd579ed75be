//! A lab that is up: brought up from a topology, and removed when dropped unless it was told to stay.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::image::Image;
use crate::netns::Netns;
use crate::process::Process;
use crate::state::{self, NodeState, State};
use crate::topology::{Bind, Link, Node, Topology};
use crate::{interrupt, node};

/// What a machine of a Kubernetes has on its disk, and where.
const OWN: [(&str, &str); 6] = [
    ("agent", "/etc/underlay"),
    ("lib", "/var/lib"),
    ("log", "/var/log"),
    ("networks", "/etc/cni/net.d"),
    ("plugins", "/opt/cni/bin"),
    ("static-pods", "/etc/kubernetes/manifests"),
];

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    state: State,
    stays: bool,
}

impl Lab {
    /// Brings up the lab of `file`: namespaces, links, the nodes' commands, their programs, in this order.
    ///
    /// # Errors
    /// What failed, with the node and the command. Nothing is left then.
    pub fn up(file: &Path, topology: &Topology) -> anyhow::Result<Self> {
        let lock = state::lock()?;
        sweep()?;
        if State::load(&topology.name)?.is_some() {
            bail!("lab {0} is up; cargo lab down {0} removes it", topology.name);
        }
        let nodes = topology.nodes.iter().map(|(name, node)| {
            let netns = format!("{}-{name}", topology.name);
            ensure!(
                Netns::open(&netns).is_err(),
                "a network namespace {netns} is there and is not this lab's"
            );
            let (image, env) = (node.image.clone(), node.env.clone());
            Ok((name.clone(), NodeState { netns, image, init: None, daemon: None, env }))
        });
        let nodes = nodes.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let state =
            State { name: topology.name.clone(), file: file.to_owned(), owner: Process::own(), nodes };
        state.save()?;
        // From here on a failure removes what was made.
        let mut lab = Self { state, stays: false };
        drop(lock);
        lab.make(topology)?;
        Ok(lab)
    }

    fn make(&mut self, topology: &Topology) -> anyhow::Result<()> {
        for (name, wanted) in &topology.nodes {
            interrupt::check()?;
            let made = Netns::create(&self.node(name)?.netns).map_err(anyhow::Error::from);
            made.and_then(|namespace| self.start(name, &namespace, wanted))
                .with_context(|| format!("node {name}"))?;
        }
        self.state.save()?;
        for link in &topology.links {
            self.wire(link)?;
        }
        for (name, wanted) in &topology.nodes {
            self.prepare(name, wanted)?;
        }
        for (name, wanted) in &topology.nodes {
            interrupt::check()?;
            self.run_program(name, wanted)?;
        }
        self.state.save()
    }

    fn node(&mut self, name: &str) -> anyhow::Result<&mut NodeState> {
        self.state.nodes.get_mut(name).context("a state has every node")
    }

    /// The node's first process, in its namespaces.
    fn start(&mut self, name: &str, namespace: &Netns, wanted: &Node) -> anyhow::Result<()> {
        let mut wanted = wanted.clone();
        if self.node(name)?.image().is_some_and(Image::is_kubernetes) {
            let folder = state::folder(&self.state.name);
            let own = OWN.map(|(own, target)| (folder.join("disks").join(name).join(own), target));
            for (source, target) in own.into_iter().chain([(folder.join("shared"), "/run/lab")]) {
                std::fs::create_dir_all(&source).with_context(|| source.display().to_string())?;
                if wanted.binds.iter().all(|bind| bind.target != Path::new(target)) {
                    wanted.binds.push(Bind { source, target: target.into(), read_only: false });
                }
            }
        }
        self.node(name)?.init = Some(node::start(name, namespace, &wanted)?);
        Ok(())
    }

    fn prepare(&self, name: &str, wanted: &Node) -> anyhow::Result<()> {
        wanted.exec.iter().try_for_each(|words| self.run(name, words).map(drop))
    }

    fn run_program(&mut self, name: &str, wanted: &Node) -> anyhow::Result<()> {
        if let Some(run) = &wanted.run {
            let daemon = self.launch(name, &run.program, &run.args)?;
            self.node(name)?.daemon = Some(daemon);
        }
        Ok(())
    }

    /// Takes a node's power away: everything in it ends at once, and its links have no carrier. The disk of a machine
    /// of a Kubernetes stays; anything else that was written in the node is gone.
    ///
    /// # Errors
    /// No such node, or what does not end.
    pub fn power_off(&mut self, name: &str) -> anyhow::Result<()> {
        let namespace = self.namespace(name)?;
        for interface in self.interfaces(name)? {
            namespace.try_ip(&format!("link set {interface} down")).map_err(anyhow::Error::msg)?;
        }
        let node = self.node(name)?;
        node.end()?;
        (node.init, node.daemon) = (None, None);
        self.state.save()
    }

    /// Gives a node its power back: it starts as it did when the lab came up, and nothing of its kernel's state is left.
    ///
    /// # Errors
    /// No such node, or what failed of its start.
    pub fn power_on(&mut self, name: &str) -> anyhow::Result<()> {
        let topology = Topology::read(&self.state.file)?;
        let wanted = topology.nodes.get(name).with_context(|| format!("no node {name}"))?;
        let old = self.namespace(name)?;
        // Two kernels never have one name at a time.
        let other = old.name().strip_suffix('+').map_or_else(|| format!("{}+", old.name()), str::to_owned);
        let namespace = Netns::create(&other).with_context(|| other.clone())?;
        let interfaces = self.interfaces(name)?;
        for interface in &interfaces {
            old.try_ip(&format!("link set {interface} netns {other}")).map_err(anyhow::Error::msg)?;
        }
        self.node(name)?.netns.clone_from(&other);
        self.state.save()?;
        old.remove().with_context(|| old.name().to_owned())?;
        self.start(name, &namespace, wanted).with_context(|| format!("node {name}"))?;
        for interface in &interfaces {
            namespace.try_ip(&format!("link set {interface} up")).map_err(anyhow::Error::msg)?;
        }
        self.prepare(name, wanted)?;
        self.run_program(name, wanted)?;
        self.state.save()
    }

    /// The number of the process that is a node's program: the child of the one that went into the node for it.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<u32> {
        let pid = self.state.nodes.get(name)?.daemon?.pid;
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Ends a node's program by `signal`, and waits until it has ended; the node goes on without it.
    ///
    /// # Errors
    /// A node without a program, or one that does not end.
    pub fn end_program(&mut self, name: &str, signal: Signal) -> anyhow::Result<()> {
        let nothing = || format!("{name} runs nothing");
        let daemon = self.node(name)?.daemon.with_context(nothing)?;
        // Who brings it into the node may not have come to that yet.
        let program = interrupt::until("the program to run", Duration::from_secs(20), || {
            self.program(name).with_context(nothing)
        })?;
        self.node(name)?.daemon = None;
        let pid = i32::try_from(program).context("a number of a process")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("the program of {name}"))?;
        // Who brought it into the node ends after it.
        interrupt::until("the program to end", Duration::from_secs(20), || !daemon.alive())?;
        self.state.save()
    }

    /// Starts a node's program, as when the lab came up.
    ///
    /// # Errors
    /// No such node, or what failed of its start.
    pub fn start_program(&mut self, name: &str) -> anyhow::Result<()> {
        let topology = Topology::read(&self.state.file)?;
        let wanted = topology.nodes.get(name).with_context(|| format!("no node {name}"))?;
        self.run_program(name, wanted)?;
        self.state.save()
    }

    /// The node's ends of the links.
    fn interfaces(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let topology = Topology::read(&self.state.file)?;
        let ends = topology.links.into_iter().flat_map(|link| link.ends);
        Ok(ends.filter(|end| end.node == name).map(|end| end.interface).collect())
    }

    fn wire(&self, link: &Link) -> anyhow::Result<()> {
        let [a, b] = &link.ends;
        let (near, far) = (self.namespace(&a.node)?, self.namespace(&b.node)?);
        near.link(&a.interface, &far, &b.interface).map_err(anyhow::Error::msg)?;
        if let Some(mtu) = link.mtu {
            for (namespace, end) in [(&near, a), (&far, b)] {
                let words = format!("link set {} mtu {mtu}", end.interface);
                namespace.try_ip(&words).map_err(anyhow::Error::msg)?;
            }
        }
        Ok(())
    }

    fn namespace(&self, node: &str) -> anyhow::Result<Netns> {
        let state = self
            .state
            .nodes
            .get(node)
            .with_context(|| format!("lab {} has no node {node}", self.state.name))?;
        Netns::open(&state.netns).with_context(|| state.netns.clone())
    }

    /// Runs a command inside a node and gives what it prints.
    ///
    /// # Errors
    /// A command that fails, with what it said.
    pub fn run(&self, node: &str, words: &[impl AsRef<str>]) -> anyhow::Result<String> {
        let words: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        let [program, args @ ..] = &words[..] else { bail!("node {node}: an empty command") };
        let output = interrupt::output(&mut self.command(node, program, args)?)?;
        let text = [&output.stderr[..], &output.stdout[..]].concat();
        let text = String::from_utf8_lossy(&text);
        ensure!(output.status.success(), "node {node}: {}: {}", words.join(" "), text.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn launch(&self, node: &str, program: &str, args: &[String]) -> anyhow::Result<Process> {
        let log = state::folder(&self.state.name).join(format!("{node}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut command = self.command(node, program, args)?;
        // A group of its own: Ctrl-C at the terminal is for the runner.
        command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("node {node}: {program}"))?;
        Process::of(child.id())
            .with_context(|| format!("node {node}: {program} ended at once, see {}", log.display()))
    }

    /// The lab `name`, which is up; it stays.
    ///
    /// # Errors
    /// No such lab.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        let state = State::load(name)?.with_context(|| format!("lab {name} is not up"))?;
        Ok(Self { state, stays: true })
    }

    /// What is known of the lab.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A command inside a node.
    ///
    /// # Errors
    /// No such node, or a node that has ended.
    pub fn command(&self, node: &str, program: &str, args: &[String]) -> anyhow::Result<Command> {
        let Some(state) = self.state.nodes.get(node) else {
            let names: Vec<&str> = self.state.nodes.keys().map(String::as_str).collect();
            bail!("lab {} has no node {node}; it has {}", self.state.name, names.join(", "));
        };
        let init = state.init.with_context(|| format!("node {node} was never started"))?;
        node::command(init, &state.env, program, args).with_context(|| format!("node {node}"))
    }

    /// A path inside a node as it is reached from outside.
    #[must_use]
    pub fn outside(&self, node: &str, path: &str) -> Option<PathBuf> {
        let init = self.state.nodes.get(node)?.init?;
        Some(PathBuf::from(format!("/proc/{}/root{path}", init.pid)))
    }

    /// Whether the node's program runs; `None` where it has none.
    #[must_use]
    pub fn runs(&self, node: &str) -> Option<bool> {
        self.state.nodes.get(node)?.daemon.map(Process::alive)
    }

    /// The end of what the node's program has printed.
    #[must_use]
    pub fn log(&self, node: &str) -> String {
        let path = state::folder(&self.state.name).join(format!("{node}.log"));
        std::fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// Leaves the lab up when this value is dropped and when this process ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn stay(mut self) -> anyhow::Result<Self> {
        self.state.owner = None;
        self.state.save()?;
        self.stays = true;
        Ok(self)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.stays
            && let Err(error) = down(&self.state)
        {
            eprintln!("lab {}: {error:#}", self.state.name);
        }
    }
}

/// Removes a lab.
///
/// # Errors
/// What could not be removed.
pub fn down(state: &State) -> anyhow::Result<()> {
    let _lock = state::lock()?;
    state.remove()
}

/// Removes labs whose owner is gone. The caller holds the lock.
///
/// # Errors
/// What could not be removed.
pub fn sweep() -> anyhow::Result<()> {
    for left in state::all()?.iter().filter(|state| state.is_left()) {
        eprintln!("lab {}: removing what an interrupted run left", left.name);
        left.remove()?;
    }
    Ok(())
}
