//! Our files and folders. A file goes by its name and, where others may have one of that name, by what is in it; a
//! folder goes when nothing is in it any more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use api::netconf::{PLUGIN_TYPE, READY_FILE, RESERVATIONS_FILE};
use serde_json::Value;

use super::finding::{Finding, Places, State};
use crate::cluster::checkpoint::{PASSWORDS, journal};
use crate::drain;
use crate::install::PLUGIN;
use crate::netconf::LIST;
use crate::operator::service::socket_beside;

/// What the plugin says of itself, and no other program does.
const SAYS: &[u8] = b"usage: underlay-cni list";

/// What the agent keeps beside its socket, and what it is called while it is written.
const MARKERS: [&str; 2] = ["restart.json", "restart.new"];

/// What a network's folder holds besides its reservations.
const BESIDE: [&str; 3] = ["reservations.json.new", "reservations.json.unreadable", "lock"];

pub(super) fn sweep(places: &Places, remove: bool, found: &mut Vec<Finding>) {
    let list = places.on_host(&places.networks.join(LIST));
    shared(&list, is_list, remove, found);
    own(&with(&list, "new"), remove, found);
    let plugin = places.on_host(&places.binaries.join(PLUGIN));
    shared(&plugin, is_plugin, remove, found);
    for left in entries(&places.on_host(&places.binaries)).filter(|path| is_half_installed(path)) {
        own(&left, remove, found);
    }

    let state = places.on_host(&places.cni_state);
    for network in entries(&state).filter(|path| path.is_dir()) {
        for name in [RESERVATIONS_FILE].iter().chain(&BESIDE) {
            own(&network.join(name), remove, found);
        }
        folder(&network, remove, found);
    }
    folder(&state, remove, found);

    let kept = places.on_host(&places.checkpoint);
    let beside = [PASSWORDS, drain::FILE, drain::NODE_FILE].map(|name| kept.with_file_name(name));
    for file in [journal(&kept), kept.clone()].iter().chain(&beside) {
        own(file, remove, found);
        own(&with(file, "new"), remove, found);
    }
    let socket = places.on_host(&places.socket);
    let ready = places.on_host(Path::new(READY_FILE));
    let markers = MARKERS.map(|name| socket.with_file_name(name));
    for file in markers.iter().chain(&[socket_beside(&socket), ready.clone(), socket.clone()]) {
        own(file, remove, found);
        own(&with(file, "new"), remove, found);
    }
    let mut folders: Vec<&Path> =
        [&kept, &socket, &ready].into_iter().filter_map(|file| file.parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    for path in folders {
        folder(path, remove, found);
    }
}

/// A name with something behind it.
fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{end}"));
    path.with_file_name(name)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.sort_unstable();
    all.into_iter()
}

/// A file whose name is ours alone.
fn own(path: &Path, remove: bool, found: &mut Vec<Finding>) {
    match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => {}
        Err(error) => found.push(named("file", path).ended(Err(error))),
        Ok(_) => {
            let finding = named("file", path);
            found.push(if remove { finding.ended(gone(fs::remove_file(path))) } else { finding });
        }
    }
}

/// A file in a folder of others.
fn shared(path: &Path, is_ours: fn(&[u8]) -> bool, remove: bool, found: &mut Vec<Finding>) {
    match fs::read(path) {
        Ok(content) if is_ours(&content) => own(path, remove, found),
        Ok(_) => {
            let why = "has our name and is not ours".to_owned();
            found.push(Finding { state: State::Foreign, why, ..named("file", path) });
        }
        Err(error) if is_absent(&error) => {}
        Err(error) => found.push(named("file", path).ended(Err(error))),
    }
}

/// A folder of ours, when nothing of others is in it.
fn folder(path: &Path, remove: bool, found: &mut Vec<Finding>) {
    if !path.is_dir() {
        return;
    }
    let finding = named("folder", path);
    if !remove {
        found.push(finding);
        return;
    }
    match fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            let names =
                entries(path).filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            let names = names.collect::<Vec<_>>().join(", ");
            found.push(Finding { state: State::Foreign, why: format!("holds {names}"), ..finding });
        }
        done => found.push(finding.ended(gone(done))),
    }
}

fn named(kind: &'static str, path: &Path) -> Finding {
    Finding::found(kind, path.display().to_string())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What somebody else has removed meanwhile is gone.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if is_absent(&error) => Ok(()),
        done => done,
    }
}

/// Whether a network configuration list is one for our plugin.
fn is_list(content: &[u8]) -> bool {
    let list: Value = serde_json::from_slice(content).unwrap_or_default();
    list.pointer("/plugins/0/type").and_then(Value::as_str) == Some(PLUGIN_TYPE)
}

fn is_plugin(content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF") && content.windows(SAYS.len()).any(|part| part == SAYS)
}

/// What an installation of the plugin that was interrupted has left.
fn is_half_installed(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix(&format!(".{PLUGIN}.")).and_then(|rest| rest.strip_suffix(".new"));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}
