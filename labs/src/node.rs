//! One node of a lab: a named network namespace, and namespaces for mounts, processes, host name and IPC.
//!
//! The first process of the node does nothing but hold the latter; the kernel ends everything in the node with it.
//! `/run` and `/var/lib` are the node's own and empty; the rest of the file system is the machine's. A bind whose
//! target the machine does not have gets a layer over the top folder (`/etc`), so that no file is made outside.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::cache;
use crate::netns::Netns;
use crate::process::Process;
use crate::topology::{Bind, Node};
use crate::{need, program, sandbox};

/// The first process. It ignores its children's ends, so that the kernel reaps what is left to it.
const INIT: &str =
    "mount -t proc proc /proc && trap '' CHLD && echo ready && exec sleep infinity >/dev/null 2>&1";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Starts the node's first process with all mounts in place.
///
/// # Errors
/// What the kernel refuses, with the mount or the step.
pub fn start(name: &str, namespace: &Netns, node: &Node) -> anyhow::Result<Process> {
    for (key, value) in &node.sysctls {
        namespace.try_sysctl(key, value)?;
    }
    let pid = std::thread::scope(|scope| {
        let thread = scope.spawn(|| first(name, namespace, node));
        thread.join().map_err(|_| anyhow!("the thread that makes the node panicked"))?
    })?;
    Process::of(pid).context("the first process ended at once")
}

/// Runs on a thread made for it: everything below is that thread's and its child's alone.
fn first(name: &str, namespace: &Netns, node: &Node) -> anyhow::Result<u32> {
    let network = File::open(namespace.path())?;
    setns(network.as_fd(), CloneFlags::CLONE_NEWNET)?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    nix::unistd::sethostname(name)?;
    // Opened in the new mount namespace, as binding demands, and before empty file systems hide what lies below them.
    let sources = node.binds.iter().map(|bind| File::open(&bind.source).context(shown(bind)));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    sandbox::private_mounts().context("private mounts")?;
    layers(&node.binds)?;
    for (source, bind) in sources.iter().zip(&node.binds) {
        show(source, bind).with_context(|| shown(bind))?;
    }
    let mut command = Command::new("sh");
    command.args(["-c", INIT]).process_group(0).current_dir("/");
    let mut init = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut line = String::new();
    BufReader::new(init.stdout.take().context("the pipe was asked for")?).read_line(&mut line)?;
    if line != "ready\n" {
        bail!("the first process ended: {}", init.wait()?);
    }
    Ok(init.id())
}

fn shown(bind: &Bind) -> String {
    format!("bind {} at {}", bind.source.display(), bind.target.display())
}

/// A writable layer in the node's own memory over each top folder in which a target is missing.
fn layers(binds: &[Bind]) -> anyhow::Result<()> {
    let missing = binds.iter().filter(|bind| !bind.target.exists());
    let tops: BTreeSet<PathBuf> = missing.map(|bind| bind.target.iter().take(2).collect()).collect();
    for top in tops.into_iter().filter(|top| top != Path::new("/run")) {
        ensure!(top.is_dir(), "bind targets below {} need that folder on this machine", top.display());
        let layer = Path::new("/run/layers").join(top.strip_prefix("/")?);
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        fs::create_dir_all(&upper)?;
        fs::create_dir_all(&work)?;
        let options =
            format!("lowerdir={},upperdir={},workdir={}", top.display(), upper.display(), work.display());
        mount(Some("overlay"), &top, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("layer over {}", top.display()))?;
    }
    Ok(())
}

fn show(source: &File, bind: &Bind) -> anyhow::Result<()> {
    if source.metadata()?.is_dir() {
        fs::create_dir_all(&bind.target)?;
    } else if !bind.target.exists() {
        fs::create_dir_all(bind.target.parent().context("a target has a parent")?)?;
        File::create(&bind.target)?;
    }
    let none = None::<&str>;
    let opened = format!("/proc/thread-self/fd/{}", source.as_raw_fd());
    mount(Some(opened.as_str()), &bind.target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    if bind.read_only {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(none, &bind.target, none, flags, none)?;
    }
    Ok(())
}

/// A command inside the node. The programs of this build come first on its `PATH`.
///
/// # Errors
/// A program of this build that is missing.
pub fn command<'a>(
    init: Process,
    env: impl IntoIterator<Item = (&'a String, &'a String)>,
    program: &str,
    args: &[String],
) -> anyhow::Result<Command> {
    ensure!(init.alive(), "the node's first process {} is gone", init.pid);
    let build = program::build_folder();
    let built = build.join(program);
    let own = matches!(program, "underlay" | "underlay-cni");
    ensure!(!own || built.is_file(), "{} is not built: cargo build --bin {program}", built.display());
    let program = if own { built } else { need::find(program).unwrap_or_else(|| program.into()) };
    let mut command = Command::new("nsenter");
    command.arg(format!("--target={}", init.pid)).args(["--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
    command.arg(program).args(args);
    let kubernetes = cache::kubernetes();
    command.env("PATH", format!("{}:{PATH}:{}", build.display(), kubernetes.display())).envs(env);
    Ok(command)
}
