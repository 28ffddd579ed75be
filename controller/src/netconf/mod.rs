//! What this node's container runtime and our plugin are told: how pods are connected, and that they may be.
//!
//! ```text
//!  status cell ─> PodNetworkReady? ─> /run/underlay/ready       this boot: the plugin's STATUS says yes
//!                                 └─> 10-underlay.conflist      last: with it the runtime says that the node is ready
//! ```
//!
//! Nothing is ever removed, and nothing is written before the network of pods is there: a restart of the agent does
//! not make a node unready. After a reboot the list is still there, the ready file is not.

mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::netconf::{Network, NetworkList, READY_FILE};
use bgp::prefix::Prefix;

use crate::status::snapshot::{Condition, ConditionKind, Snapshot, Snapshots};

/// The name of the list: runtimes take the first in the order of names.
pub const LIST: &str = "10-underlay.conflist";
/// The network's name; reservations are kept under it.
const NETWORK: &str = "underlay";
/// The kernel's name for this start of it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// When a write that failed is tried again: a full disk is emptied in minutes.
const RETRY: Duration = Duration::from_secs(5);

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder of the runtime's network configurations.
    pub networks: PathBuf,
    /// The file that holds the boot id.
    pub ready: PathBuf,
    /// The MTU of pods' links in bytes; `None` for that of the smallest uplink.
    pub mtu: Option<u32>,
}

impl Places {
    /// The list in `networks`, and the ready file where our plugin looks for it.
    #[must_use]
    pub fn new(networks: PathBuf, mtu: Option<u32>) -> Self {
        Self { networks, ready: READY_FILE.into(), mtu }
    }
}

/// Writes both files once pods can be connected, and the list again when the node's prefixes or the MTU of its uplinks change. Ends with the
/// status cell; `told` gets why a file cannot be written, and `None` once it can.
pub async fn run(places: Places, mut snapshots: Snapshots, told: impl Fn(Option<String>)) {
    // What the files hold of what was asked for, and whether the last attempt failed.
    let (mut held, mut failed) = (None, false);
    loop {
        let mut pods = pods(&snapshots.borrow_and_update());
        if let Some((_, mtu)) = &mut pods {
            *mtu = places.mtu.or(*mtu);
        }
        if pods.is_some() && pods != held {
            let (places, (prefixes, mtu)) = (places.clone(), pods.clone().unwrap_or_default());
            let written = tokio::task::spawn_blocking(move || places.write(&prefixes, mtu)).await;
            match written.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(changed) => {
                    if changed {
                        let prefixes: Vec<String> =
                            pods.iter().flat_map(|(all, _)| all).map(Prefix::to_string).collect();
                        tracing::info!(event = "pod-network-ready", prefixes = prefixes.join(" "));
                    }
                    if std::mem::take(&mut failed) {
                        told(None);
                    }
                    held = pods;
                }
                Err(error) => {
                    failed = true;
                    told(Some(error));
                }
            }
        }
        let closed = if failed {
            tokio::time::sleep(RETRY).await;
            snapshots.has_changed().is_err()
        } else {
            snapshots.changed().await.is_err()
        };
        if closed {
            return;
        }
    }
}

/// The node's prefixes and the MTU of its uplinks, once pods can be connected.
fn pods(snapshot: &Snapshot) -> Option<(Vec<Prefix>, Option<u32>)> {
    let ready = |condition: &Condition| {
        condition.kind == ConditionKind::PodNetworkReady && condition.holds == Some(true)
    };
    let ready = snapshot.conditions.iter().any(ready) && !snapshot.pods.is_empty();
    ready.then(|| (snapshot.pods.clone(), snapshot.pod_mtu))
}

impl Places {
    /// Whether the network of pods was there already, in this boot.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let (ready, boot) = (fs::read_to_string(&self.ready), fs::read_to_string(BOOT_ID));
        matches!((ready, boot), (Ok(ready), Ok(boot)) if ready.trim() == boot.trim())
    }

    /// Writes what is not there yet, and says whether anything was not.
    fn write(&self, pods: &[Prefix], mtu: Option<u32>) -> Result<bool, String> {
        let named = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
        let boot = fs::read_to_string(BOOT_ID).map_err(|error| named(Path::new(BOOT_ID), &error))?;
        let marked = file::hold(&self.ready, boot.as_bytes()).map_err(|error| named(&self.ready, &error))?;
        let path = self.networks.join(LIST);
        // The kernel tells of uplinks a moment after a start: until then what the list says stands, so that an agent
        // which restarts does not write it twice.
        let mtu = mtu.or_else(|| mtu_of(&path));
        let listed = file::hold(&path, &list(pods, mtu)?).map_err(|error| named(&path, &error))?;
        Ok(marked || listed)
    }
}

/// The MTU in a list that is there.
fn mtu_of(list: &Path) -> Option<u32> {
    let list: serde_json::Value = serde_json::from_slice(&fs::read(list).ok()?).ok()?;
    list["plugins"][0]["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok())
}

/// The network configuration list for these prefixes; without an MTU the plugin looks for uplinks itself.
fn list(pods: &[Prefix], mtu: Option<u32>) -> Result<Vec<u8>, String> {
    let subnets = pods.iter().map(|prefix| prefix.to_string().parse());
    let subnets: Vec<_> = subnets.collect::<Result<_, _>>().map_err(|error| format!("{pods:?}: {error}"))?;
    let list = NetworkList::new(NETWORK, Network { mtu, ..Network::new(subnets) });
    let mut text = serde_json::to_vec_pretty(&list).map_err(|error| error.to_string())?;
    text.push(b'\n');
    Ok(text)
}
