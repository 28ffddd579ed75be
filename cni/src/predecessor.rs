//! What host-local keeps of the same network: pods that were there before we were.
//!
//! Owns reading its folder, a file an address, and removing the files of a container that goes.
//! Makes none. A file from before this boot is of a pod that is gone.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::attachment::Attachment;

/// Where host-local keeps its networks unless told otherwise.
const FOLDER: &str = "/var/lib/cni/networks";

/// Where the kernel tells when it started.
const STAT: &str = "/proc/stat";

/// An address that host-local gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The address.
    pub address: IpAddr,
    file: PathBuf,
}

/// Every address that host-local holds of `network`. A folder that cannot be read holds none:
/// what its pods have is live in the kernel.
pub fn held(network: &str) -> Vec<Held> {
    in_folder(&Path::new(FOLDER).join(network), started_at)
}

fn in_folder(folder: &Path, started_at: fn() -> i64) -> Vec<Held> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files: Vec<Held> = entries
        .flatten()
        .filter_map(|entry| {
            let address = entry.file_name().to_str()?.parse().ok()?;
            Some(Held { address, file: entry.path() })
        })
        .collect();
    if files.is_empty() {
        return files;
    }
    let start = started_at();
    let of_this_boot = |held: &Held| fs::metadata(&held.file).is_ok_and(|file| file.mtime() >= start);
    files.into_iter().filter(of_this_boot).collect()
}

impl Held {
    /// Container id and interface; the latter is missing in files of old releases.
    pub fn holder(&self) -> Option<(String, Option<String>)> {
        let text = fs::read_to_string(&self.file).ok()?;
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        Some((lines.next()?, lines.next().filter(|line| !line.is_empty())))
    }

    /// Whether the attachment holds it.
    pub fn is_of(&self, attachment: &Attachment) -> bool {
        self.holder().is_some_and(|(container, interface)| {
            container == attachment.container()
                && interface.is_none_or(|interface| interface == attachment.interface())
        })
    }
}

/// Removes the files of those that are `gone`; best effort, as host-local itself may do it.
pub fn release(network: &str, gone: impl Fn(&Held) -> bool) {
    for held in held(network).iter().filter(|held| gone(held)) {
        let _ = fs::remove_file(&held.file);
    }
}

/// Seconds since the epoch; the end of time if the kernel does not tell, so that no file counts.
fn started_at() -> i64 {
    let text = fs::read_to_string(STAT).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_named_after_addresses_count() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in
            [("10.0.0.5", "c5\r\neth0"), ("fd00::5", "c6"), ("lock", ""), ("last_reserved_ip.0", "10.0.0.5")]
        {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let mut held = in_folder(dir.path(), || 0);
        held.sort_by_key(|held| held.address);
        let addresses: Vec<String> = held.iter().map(|held| held.address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.5", "fd00::5"]);
        assert_eq!(held[0].holder(), Some(("c5".into(), Some("eth0".into()))));
        let attachment = |id: &str, interface: &str| Attachment::new(id, interface).unwrap();
        assert!(held[0].is_of(&attachment("c5", "eth0")) && !held[0].is_of(&attachment("c5", "eth1")));
        assert!(held[1].is_of(&attachment("c6", "eth7")));
        assert!(in_folder(dir.path(), || i64::MAX).is_empty(), "all of another boot");
        assert!(in_folder(&dir.path().join("none"), || 0).is_empty());
    }
}
