//! Configuration of the container runtime, of networkd and of NetworkManager.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::places::Places;
use crate::check::fact::{Facts, Network, Setting};
use crate::install::PLUGIN;

/// What ends the name of a network configuration.
const ENDINGS: [&str; 3] = ["conf", "conflist", "json"];

/// No configuration is larger.
const LIMIT: u64 = 1 << 20;

/// Files that say where a runtime looks, and the settings that name folders of binaries and of configurations.
const RUNTIMES: [&str; 2] = ["/etc/containerd/config.toml", "/etc/crio/crio.conf"];
const BINARIES: [&str; 3] = ["bin_dir", "bin_dirs", "plugin_dirs"];
const NETWORKS: [&str; 2] = ["conf_dir", "network_dir"];

pub(super) fn managers(places: &Places, facts: &mut Facts) {
    let folders = ["/usr/lib", "/usr/local/lib", "/run", "/etc"];
    let main = PathBuf::from("/etc/systemd/networkd.conf");
    for (section, key, value) in settings(places, &main, &folders, "systemd/networkd.conf.d") {
        if section == "Network" {
            facts.networkd.insert(key, value);
        }
    }
    let main = PathBuf::from("/etc/NetworkManager/NetworkManager.conf");
    for (_, key, value) in settings(places, &main, &folders, "NetworkManager/conf.d") {
        if key.trim_end_matches('+') == "unmanaged-devices" {
            facts.unmanaged.push(value);
        }
    }
}

/// Section, key and value of each line of a file and of what is in folders beside it, in the order of names.
fn settings(places: &Places, main: &Path, folders: &[&str], drop_in: &str) -> Vec<(String, String, String)> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let folder = places.on_host(&Path::new(folder).join(drop_in));
        files.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|ending| ending == "conf"));
    // Of the same name the last folder's comes last, and counts.
    files.sort_by_key(|file| file.file_name().map(ToOwned::to_owned));
    files.insert(0, places.on_host(main));
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = read(&file) else { continue };
        let mut section = String::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                found.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
            }
        }
    }
    found
}

pub(super) fn runtime(places: &Places, facts: &mut Facts) {
    let runtime = &mut facts.runtime;
    runtime.networks_folder = places.networks.display().to_string();
    let plugin = places.binaries.join(PLUGIN);
    runtime.plugin = plugin.display().to_string();
    runtime.plugin_fault = plugin_fault(&places.on_host(&plugin));
    let folder = places.on_host(&places.networks);
    match fs::read_dir(&folder) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            let ends = |file: &PathBuf| {
                file.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known))
            };
            files.retain(ends);
            files.sort();
            runtime.networks = files.iter().map(|file| network(file)).collect();
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => facts.unread.push(("cni-order", format!("{}: {error}", folder.display()))),
    }
    for file in RUNTIMES {
        let Ok(text) = read(&places.on_host(Path::new(file))) else { continue };
        let mut texts = vec![(file.to_owned(), text)];
        texts.extend(imported(places, Path::new(file), &texts[0].1));
        // What is imported counts, and the last of it.
        let said = |keys| {
            let mut settings =
                texts.iter().map(|(file, text)| Setting { file: file.clone(), folders: named(text, keys) });
            settings.rfind(|setting| !setting.folders.is_empty())
        };
        (runtime.binaries, runtime.networks_at) = (said(&BINARIES), said(&NETWORKS));
        break;
    }
}

/// The files that a file of containerd imports, in the order in which they count. Of a pattern only the file's name
/// may be one; folders of CRI-O are not named anywhere.
fn imported(places: &Places, file: &Path, text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for pattern in named(text, &["imports"]) {
        let pattern = file.with_file_name(pattern);
        let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else { continue };
        let name = name.to_string_lossy();
        let (start, ending) = name.split_once('*').unwrap_or((&name, ""));
        let entries = fs::read_dir(places.on_host(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let fits = |other: &str| {
            other == name || (name.contains('*') && other.starts_with(start) && other.ends_with(ending))
        };
        names.retain(|name| fits(name));
        names.sort();
        for name in names {
            let path = folder.join(name);
            found.extend(read(&places.on_host(&path)).ok().map(|text| (path.display().to_string(), text)));
        }
    }
    found
}

fn plugin_fault(path: &Path) -> Option<String> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Some("is not there".to_owned()),
        Err(error) => return Some(error.to_string()),
    };
    match file.metadata() {
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            return Some("may not be executed".to_owned());
        }
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    let mut first = [0; 4];
    let whole = file.read_exact(&mut first).is_ok() && first == *b"\x7fELF";
    (!whole).then(|| "is no program".to_owned())
}

fn network(path: &Path) -> Network {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let fault = |fault: String| Network { file: file.clone(), fault: Some(fault), ..Network::default() };
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => return fault(error.to_string()),
    };
    let value: Value = match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => return fault(format!("no JSON: {error}")),
    };
    let plugins: Vec<&Value> = match value.get("plugins").and_then(Value::as_array) {
        Some(plugins) => plugins.iter().collect(),
        None => vec![&value],
    };
    let kind = |plugin: &&Value| plugin.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mtu = plugins.first().and_then(|plugin| plugin.get("mtu")).and_then(Value::as_u64);
    Network {
        name: value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        plugins: plugins.iter().map(kind).collect(),
        mtu: mtu.and_then(|mtu| u32::try_from(mtu).ok()),
        fault: None,
        file,
    }
}

/// The texts in quotes on the lines of TOML that set one of these.
fn named(text: &str, keys: &[&str]) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    let ours = lines.filter(|(key, _)| keys.contains(&key.trim()));
    let quoted =
        ours.flat_map(|(_, value)| value.split(['"', '\'']).skip(1).step_by(2).map(ToOwned::to_owned));
    let mut found: Vec<String> = quoted.filter(|text| !text.is_empty()).collect();
    found.dedup();
    found
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}
