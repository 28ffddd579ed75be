//! Where the host's files are.

use std::path::{Path, PathBuf};

use bgp::prefix::Prefix;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder that the host's files are below; `/` on the host itself.
    pub root: PathBuf,
    /// The runtime's folder of network configurations.
    pub networks: PathBuf,
    /// The runtime's folder of plugins.
    pub binaries: PathBuf,
    /// The agent's last good configuration.
    pub checkpoint: PathBuf,
    /// The pods' prefixes; empty for those of the checkpoint.
    pub pods: Vec<Prefix>,
}

impl Places {
    /// Where a file of the host is.
    pub(super) fn on_host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}
