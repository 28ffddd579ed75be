//! The pods of this node, out of the files in which the CNI plugin keeps who holds which address. Read when somebody
//! asks, and never written; no call of the plugin waits for that.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use api::netconf::{RESERVATIONS_FILE, Reservation, Reservations};
use tonic::Status;

use super::error::Fault;
use super::nearest;
use crate::kernel::lookup::{self, Found};

/// The most networks that are looked at; a node has one or a few.
const NETWORKS: usize = 64;

/// A file larger than this is none of the plugin's: thousands of pods are a tenth of it.
const FILE_LIMIT: u64 = 16 << 20;

/// Where the kernel tells which boot this is: addresses of another boot are nobody's.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where the plugin keeps its files.
#[derive(Clone, Debug)]
pub struct Pods(PathBuf);

/// One address of a pod.
#[derive(Clone, Debug)]
pub struct PodAddress {
    /// The address.
    pub address: IpAddr,
    /// The CNI network.
    pub network: String,
    /// Who holds it.
    pub reservation: Reservation,
    /// The kernel's route there; `None` if there is none.
    pub route: Result<Option<Found>, String>,
}

impl Pods {
    /// Pods whose addresses are kept below this folder.
    #[must_use]
    pub const fn new(state_dir: PathBuf) -> Self {
        Self(state_dir)
    }

    /// The addresses of the pod `namespace/name`. Blocks.
    pub(super) fn find(&self, pod: &str, node: &str) -> Result<Vec<PodAddress>, Status> {
        let all = self.reservations().map_err(|why| {
            let message = format!("no pod `{pod}` is known on {node}: {why}; ask by the pod's address");
            Fault::UnknownPod.status_with(message, [("nearest", String::new())])
        })?;
        let mut found = Vec::new();
        for (network, reservation) in all.iter().filter(|(_, entry)| entry.pod.as_deref() == Some(pod)) {
            for address in &reservation.addresses {
                let route = lookup::find(*address).map_err(|error| error.to_string());
                let (network, reservation) = (network.clone(), reservation.clone());
                found.push(PodAddress { address: *address, network, reservation, route });
            }
        }
        if found.is_empty() {
            let known = all.into_iter().filter_map(|(_, entry)| entry.pod);
            let nearest = nearest::words(pod, known).join(", ");
            let hint = if nearest.is_empty() {
                format!("; the CNI plugin has told of no pod in {}", self.0.display())
            } else {
                format!("; nearest: {nearest}")
            };
            let message = format!("no pod `{pod}` has an address on {node}{hint}");
            return Err(Fault::UnknownPod.status_with(message, [("nearest", nearest)]));
        }
        Ok(found)
    }

    /// Every reservation with its network, by the order of networks.
    fn reservations(&self) -> Result<Vec<(String, Reservation)>, String> {
        let problem = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let boot_id = fs::read_to_string(BOOT_ID).map_err(|error| problem(Path::new(BOOT_ID), error))?;
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|error| problem(&self.0, error))?.take(NETWORKS) {
            folders.push(entry.map_err(|error| problem(&self.0, error))?.path());
        }
        folders.sort();
        let mut all = Vec::new();
        for folder in folders {
            let path = folder.join(RESERVATIONS_FILE);
            let mut bytes = Vec::new();
            let read = File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes));
            match read {
                Ok(_) => {}
                // A folder of something else, or of a network without pods.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err(problem(&path, error)),
            }
            let network = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What the plugin does not take for its file either holds nothing.
            let file = Reservations::decode(&bytes, boot_id.trim());
            let held = file.into_iter().flat_map(|file| file.reservations);
            all.extend(held.map(|reservation| (network.clone(), reservation)));
        }
        Ok(all)
    }
}
