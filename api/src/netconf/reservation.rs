//! The file in which the plugin keeps who holds which address, for those who only read it.
//!
//! `STATE_DIR/NETWORK/reservations.json`. The plugin alone writes it, as a whole, by rename, so
//! that a reader needs no lock: it finds the state before a call or the one after it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::Route;

/// Name of the file in a network's folder.
pub const RESERVATIONS_FILE: &str = "reservations.json";

/// Layout number of the file. A file with another number is as good as lost.
pub const RESERVATIONS_LAYOUT: u32 = 1;

/// Where the reservations of `network` are kept below `state_dir`.
pub fn reservations_path(state_dir: &Path, network: &str) -> PathBuf {
    state_dir.join(network).join(RESERVATIONS_FILE)
}

/// One network's reservations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservations {
    /// Always [`RESERVATIONS_LAYOUT`].
    pub layout: u32,
    /// Boot in which the reservations were made; after another boot there is no pod left of them.
    #[serde(rename = "bootID")]
    pub boot_id: String,
    /// Last address handed out, by family (`IPv4`, `IPv6`); outlives a boot.
    pub last: BTreeMap<String, IpAddr>,
    /// In the order in which they were made.
    pub reservations: Vec<Reservation>,
}

/// What one attachment holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// Container id.
    #[serde(rename = "containerID")]
    pub container: String,
    /// Name of the interface in the container.
    pub interface: String,
    /// Name of the host end.
    pub link: String,
    /// MAC address that the container's end was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// MTU that the link was made with, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// One address a family.
    pub addresses: Vec<IpAddr>,
    /// Routes in the container, where they are others than the default routes of its families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Route>>,
    /// `namespace/name` of the pod, where the runtime told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What else the attachment has (port mappings, shapers, …): the feature's name and what it
    /// needs in order to find its own objects again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Value>,
}

impl Reservation {
    /// The pod's name if known, else the container id.
    pub fn holder(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.container)
    }

    /// Namespace and name of the pod, where the runtime told.
    pub fn pod_name(&self) -> Option<(&str, &str)> {
        self.pod.as_deref().and_then(|pod| pod.split_once('/'))
    }
}

impl Reservations {
    /// Nobody holds anything.
    pub fn new(boot_id: &str) -> Self {
        Self {
            layout: RESERVATIONS_LAYOUT,
            boot_id: boot_id.into(),
            last: BTreeMap::new(),
            reservations: Vec::new(),
        }
    }

    /// The file's content as it counts in the boot `boot_id`: reservations of another boot are
    /// void. None if the bytes are no such file.
    pub fn decode(bytes: &[u8], boot_id: &str) -> Option<Self> {
        let mut file: Self = serde_json::from_slice(bytes).ok()?;
        if file.layout != RESERVATIONS_LAYOUT {
            return None;
        }
        if file.boot_id != boot_id {
            file.boot_id = boot_id.into();
            file.reservations.clear();
        }
        Some(file)
    }

    /// The content of the file.
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_the_later_fields_is_read() {
        let text = br#"{"layout":1,"bootID":"b","last":{"IPv4":"10.0.0.7"},"reservations":[
            {"containerID":"c","interface":"eth0","link":"ul1","addresses":["10.0.0.7"],"pod":"ns/web-0"}]}"#;
        let file = Reservations::decode(text, "b").unwrap();
        let [only] = file.reservations.as_slice() else { panic!("{file:?}") };
        assert_eq!((only.pod_name(), only.holder()), (Some(("ns", "web-0")), "ns/web-0"));
        assert_eq!(Reservations::decode(&file.encode(), "b"), Some(file.clone()));
        let later = Reservations::decode(text, "c").unwrap();
        assert!(later.reservations.is_empty() && later.last == file.last);
    }
}
