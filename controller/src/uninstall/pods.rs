//! Whose link a link is, as far as the plugin's file tells.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use api::netconf::{RESERVATIONS_FILE, Reservations, is_pod_link};

use crate::kernel::removal::PluginLink;

/// The kernel's name for this start of it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Pods by name where the plugin's folder tells it, else by their link.
pub(super) fn names(state: &Path, links: &[PluginLink]) -> Vec<String> {
    let held = holders(state);
    let links = links.iter().filter(|link| is_pod_link(&link.name));
    links.map(|link| held.get(&link.name).unwrap_or(&link.name).clone()).collect()
}

/// Who holds which link. What cannot be read names nobody: the link alone says that a pod is attached.
fn holders(state: &Path) -> BTreeMap<String, String> {
    let boot = fs::read_to_string(BOOT_ID).unwrap_or_default();
    let folders = fs::read_dir(state).into_iter().flatten().flatten();
    let files = folders.filter_map(|folder| fs::read(folder.path().join(RESERVATIONS_FILE)).ok());
    let files = files.filter_map(|bytes| Reservations::decode(&bytes, boot.trim()));
    let held = files.flat_map(|file| file.reservations);
    held.map(|held| (held.link.clone(), held.holder().to_owned())).collect()
}
