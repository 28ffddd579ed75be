//! The marker of a running agent: a file below /run that says in which boot and
//! in which network namespace it ran. The next agent that finds it restarts; one
//! that does not, starts cold (RFC 4724 §4.1: what a peer keeps is of use only
//! while the kernel has kept the routes).
//!
//! A marker that cannot be read, or is another's, is none: a cold start costs a
//! moment of routes, a restart that is none costs a black hole.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

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
}

impl Marker {
    /// The marker of this process.
    pub(super) fn here(node: &str) -> io::Result<Self> {
        let boot_id = fs::read_to_string(BOOT_ID)?.trim().to_owned();
        let namespace = fs::metadata(NAMESPACE)?;
        let network_namespace = (namespace.dev(), namespace.ino());
        Ok(Self { boot_id, network_namespace, node: node.to_owned() })
    }

    /// Whether an agent of this node has run in this boot and network namespace.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let found = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Self>(&text).ok());
        found.as_ref() == Some(self)
    }

    /// Leaves the marker, whole or not at all.
    pub(super) fn leave(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::from)?;
        let draft = path.with_extension("new");
        fs::write(&draft, text)?;
        fs::rename(&draft, path)
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
        assert!(!here.is_at(&path), "no marker");
        here.leave(&path).unwrap();
        assert!(Marker::here("n1").unwrap().is_at(&path));
        let others = [
            Marker { boot_id: "another".into(), ..here.clone() },
            Marker { network_namespace: (1, 2), ..here.clone() },
            Marker { node: "n2".into(), ..here.clone() },
        ];
        for other in others {
            other.leave(&path).unwrap();
            assert!(!here.is_at(&path), "{other:?}");
        }
        fs::write(&path, "{\"bootId\": ").unwrap();
        assert!(!here.is_at(&path), "damaged");
    }
}
