//! Which labs are up: one folder each in `/run/underlay-labs`, gone with a reboot as the labs are.
//!
//! A state is written before anything is made, so that whatever is left of a lab can be found again. A lab that is
//! on its way up, or that lives as long as a command, names its owner; where the owner is gone, the lab is a leftover
//! and is removed by the next command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::image::Image;
use crate::netns::Netns;
use crate::process::Process;
use crate::wait;

const FOLDER: &str = "/run/underlay-labs";

/// One lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The lab's name.
    pub name: String,
    /// The topology file.
    pub file: PathBuf,
    /// The process that the lab must not outlive; none once it is up to stay.
    pub owner: Option<Process>,
    /// The nodes by name.
    pub nodes: BTreeMap<String, NodeState>,
}

/// One node of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeState {
    /// The name of its network namespace.
    pub netns: String,
    /// Its image.
    pub image: String,
    /// The process that holds its other namespaces, once started.
    pub init: Option<Process>,
    /// Its program, where its image has one, once started.
    pub daemon: Option<Process>,
    /// The environment of what runs in it.
    pub env: BTreeMap<String, String>,
}

/// The folder of the lab `name`.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// Only one command makes or removes labs at a time; the lock goes with the file.
///
/// # Errors
/// Those of the file system.
pub fn lock() -> anyhow::Result<File> {
    fs::create_dir_all(FOLDER).context(FOLDER)?;
    let path = Path::new(FOLDER).join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}

/// Every lab that is up or was left.
///
/// # Errors
/// A state that cannot be read, with its path.
pub fn all() -> anyhow::Result<Vec<State>> {
    let mut names = BTreeSet::new();
    match fs::read_dir(FOLDER) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    names.insert(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(FOLDER),
    }
    names.iter().filter_map(|name| State::load(name).transpose()).collect()
}

impl State {
    /// The lab `name`, if it is up or was left.
    ///
    /// # Errors
    /// A state that cannot be read, with its path.
    pub fn load(name: &str) -> anyhow::Result<Option<Self>> {
        let path = folder(name).join("state.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        serde_json::from_slice(&text).map(Some).with_context(|| path.display().to_string())
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self) -> anyhow::Result<()> {
        let folder = folder(&self.name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let (fresh, path) = (folder.join("state.json.new"), folder.join("state.json"));
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&fresh, &path).with_context(|| path.display().to_string())
    }

    /// Whether the lab's owner died before it could remove the lab.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.owner.is_some_and(|owner| !owner.alive())
    }

    /// Ends every process of the lab, takes its namespaces' names away and forgets it.
    ///
    /// # Errors
    /// What could not be removed; the state stays, so that it can be tried again.
    pub fn remove(&self) -> anyhow::Result<()> {
        for node in self.nodes.values() {
            let Ok(namespace) = Netns::open(&node.netns) else { continue };
            node.end()?;
            namespace.remove().with_context(|| node.netns.clone())?;
        }
        let folder = folder(&self.name);
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
    }
}

impl NodeState {
    /// What its image is to the runner.
    #[must_use]
    pub fn image(&self) -> Option<Image> {
        Image::known(&self.image).ok()
    }

    /// Ends everything in the node, at once.
    ///
    /// # Errors
    /// What does not end.
    pub fn end(&self) -> anyhow::Result<()> {
        let Ok(namespace) = Netns::open(&self.netns) else { return Ok(()) };
        end_all(&namespace).with_context(|| self.netns.clone())?;
        if self.image().is_some_and(Image::is_node) {
            // Pods have network namespaces of their own; all of them are in the node's control group.
            sweep_control_groups(Some(fs::metadata(namespace.path())?.ino()))?;
        }
        Ok(())
    }
}

/// Removes the control groups that nodes of a Kubernetes left: those that no process is in. That of the node whose
/// network namespace is `ended` is waited for.
///
/// # Errors
/// A script that cannot be run, or processes of the node that do not end.
pub fn sweep_control_groups(ended: Option<u64>) -> anyhow::Result<()> {
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(cache::script("lab.sh")).arg("sweep");
    command.args(ended.map(|node| node.to_string()));
    let output = command.output().context("unshare")?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "lab.sh sweep: {}", message.trim());
    Ok(())
}

/// Kills what runs in the namespace, the node's first process among it: the kernel ends the rest of the node with it.
fn end_all(namespace: &Netns) -> anyhow::Result<()> {
    let look = || {
        let left = inside(namespace).map_err(|error| error.to_string())?;
        for pid in &left {
            // It may have ended between the two looks.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?} still run")) }
    };
    match wait::attempt("the processes to end", Duration::from_secs(10), look) {
        Ok(()) => Ok(()),
        Err(message) => bail!(message),
    }
}

fn inside(namespace: &Netns) -> io::Result<Vec<Pid>> {
    let wanted = fs::metadata(namespace.path())?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ended meanwhile has no namespace, and neither has a zombie.
        let Ok(own) = fs::metadata(format!("/proc/{pid}/ns/net")) else { continue };
        if (own.dev(), own.ino()) == (wanted.dev(), wanted.ino()) {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}
