//! Who runs, who listens on the port of BGP, and what the agent may do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::check::fact::{Capabilities, Facts, Listener};

/// The port of BGP (RFC 4271 §8), and `TCP_LISTEN`.
const PORT: u16 = 179;
const LISTENS: &str = "0A";

struct Process {
    pid: u32,
    /// Whether it is in our network namespace, or that cannot be told.
    here: bool,
    name: String,
    folder: PathBuf,
}

pub(super) fn look(facts: &mut Facts) {
    let processes = processes();
    let here = || processes.iter().filter(|process| process.here);
    facts.programs = here().map(|process| process.name.clone()).collect();
    listeners(&processes, facts);
    let agent = here().find(|process| process.name == "underlay" && is_agent(process));
    let (whose, folder) = match agent {
        Some(process) => (format!("agent {}", process.pid), process.folder.clone()),
        None => ("this process".to_owned(), PathBuf::from("/proc/self")),
    };
    match effective(&folder) {
        Some(effective) => facts.capabilities = Some(Capabilities { whose, effective }),
        None => facts.unread.push(("capabilities", format!("{}/status cannot be read", folder.display()))),
    }
}

/// All processes that can be seen: a socket of our namespace may be held from another one.
fn processes() -> Vec<Process> {
    let namespace = |folder: &Path| fs::read_link(folder.join("ns/net")).ok();
    let own = namespace(Path::new("/proc/self"));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<Process> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path();
            let name = fs::read_to_string(folder.join("comm")).ok()?.trim().to_owned();
            let theirs = namespace(&folder);
            let here = theirs.is_none() || theirs == own;
            Some(Process { pid, here, name, folder })
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

fn is_agent(process: &Process) -> bool {
    fs::read(process.folder.join("cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).nth(1) == Some(b"agent"))
}

fn effective(folder: &Path) -> Option<u64> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn listeners(processes: &[Process], facts: &mut Facts) {
    let mut sockets: BTreeMap<String, String> = BTreeMap::new();
    for file in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let Ok(text) = fs::read_to_string(file) else { continue };
        sockets.extend(text.lines().skip(1).filter_map(listening));
    }
    if sockets.is_empty() {
        return;
    }
    let owners = owners(processes, &sockets.keys().cloned().collect());
    facts.listeners = sockets
        .into_iter()
        .map(|(socket, at)| Listener { at, program: owners.get(&socket).cloned() })
        .collect();
}

/// The inode and the address of a socket that listens on our port.
fn listening(line: &str) -> Option<(String, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if port != PORT || *fields.get(3)? != LISTENS {
        return None;
    }
    Some(((*fields.get(9)?).to_owned(), SocketAddr::new(address_of(address)?, port).to_string()))
}

/// An address as `/proc/net/tcp` writes it: words of 32 bits in the host's order.
fn address_of(text: &str) -> Option<IpAddr> {
    let mut octets = Vec::new();
    for at in (0..text.len()).step_by(8) {
        octets.extend(u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(octets.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(octets.as_slice()).ok().map(|six| Ipv6Addr::from(six).into())
}

/// Which programs hold sockets with these inodes.
fn owners(processes: &[Process], inodes: &BTreeSet<String>) -> BTreeMap<String, (String, u32)> {
    let mut found = BTreeMap::new();
    for process in processes {
        for entry in fs::read_dir(process.folder.join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            if let Some(inode) = inode.filter(|inode| inodes.contains(*inode)) {
                found.entry(inode.to_owned()).or_insert((process.name.clone(), process.pid));
            }
        }
    }
    found
}
