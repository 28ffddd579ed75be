//! The marker of a running agent: a file below /run that says in which boot and
//! in which network namespace it ran. The next agent that finds it restarts; one
//! that does not, starts cold (RFC 4724 §4.1: what a peer keeps is of use only
//! while the kernel has kept the routes). It names the peers that were up, since
//! there is nothing to wait for from the others.
//!
//! A marker that cannot be read, or is another's, is none: a cold start costs a
//! moment of routes, a restart that is none costs a black hole.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Where this boot's number stands.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The network namespace of this thread.
const NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Where and when an agent ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Marker {
    boot_id: String,
    /// Device and inode of the network namespace.
    network_namespace: (u64, u64),
    node: String,
    /// The peers that were up; not known of an agent that has ended before it knew any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) peers: Option<BTreeSet<IpAddr>>,
}

impl Marker {
    /// The marker of this process.
    pub(super) fn here(node: &str) -> io::Result<Self> {
        let boot_id = fs::read_to_string(BOOT_ID)?.trim().to_owned();
        let namespace = fs::metadata(NAMESPACE)?;
        let network_namespace = (namespace.dev(), namespace.ino());
        Ok(Self { boot_id, network_namespace, node: node.to_owned(), peers: None })
    }

    /// The marker that an agent of this node has left in this boot and network namespace.
    pub(super) fn earlier(&self, path: &Path) -> Option<Self> {
        let found = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok())?;
        (Self { peers: self.peers.clone(), ..found.clone() } == *self).then_some(found)
    }

    /// The marker with the peers that are up.
    pub(super) fn with(self, peers: Option<BTreeSet<IpAddr>>) -> Self {
        Self { peers, ..self }
    }

    /// Leaves the marker, whole or not at all.
    pub(super) fn leave(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::from)?;
        let draft = path.with_extension("new");
        fs::write(&draft, text)?;
        fs::rename(&draft, path)
    }
}

/// Writes the marker with the peers that are up, whenever those change, until the sender is gone. The first failure is
/// told, since the next start waits for the wrong peers then.
pub(super) async fn keep(
    marker: Marker,
    path: PathBuf,
    mut peers: watch::Receiver<Option<BTreeSet<IpAddr>>>,
) {
    let mut failed = false;
    while peers.changed().await.is_ok() {
        let marker = marker.clone().with(peers.borrow_and_update().clone());
        let to = path.clone();
        let left = tokio::task::spawn_blocking(move || marker.leave(&to)).await;
        let left = left.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = left
            && !std::mem::replace(&mut failed, true)
        {
            let text =
                format!("{}: {error}; the next start waits for peers that may be away", path.display());
            tracing::warn!(event = "marker", reason = text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_boot_namespace_and_node_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("restart.json");
        let here = Marker::here("n1").unwrap();
        assert_eq!(here.earlier(&path), None, "no marker");
        here.leave(&path).unwrap();
        assert_eq!(Marker::here("n1").unwrap().earlier(&path), Some(here.clone()));
        let peers = Some(BTreeSet::from(["10.0.1.1".parse().unwrap(), "fd00::1".parse().unwrap()]));
        let up = Marker { peers, ..here.clone() };
        up.leave(&path).unwrap();
        assert_eq!(here.earlier(&path), Some(up));
        let others = [
            Marker { boot_id: "another".into(), ..here.clone() },
            Marker { network_namespace: (1, 2), ..here.clone() },
            Marker { node: "n2".into(), ..here.clone() },
        ];
        for other in others {
            other.leave(&path).unwrap();
            assert_eq!(here.earlier(&path), None, "{other:?}");
        }
        fs::write(&path, "{\"bootId\": ").unwrap();
        assert_eq!(here.earlier(&path), None, "damaged");
    }
}
