//! What the agent is started with.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cluster::kubernetes::Connection;

/// What the agent is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this node, as in its Node object.
    pub node: String,
    /// Where its objects come from.
    pub source: Source,
    /// Where the last good configuration is kept.
    pub checkpoint: PathBuf,
    /// Where the CNI plugin keeps who holds which address.
    pub cni_state: PathBuf,
    /// Where to serve StatusService.
    pub socket: PathBuf,
    /// The container runtime's folder of network configurations, if pods are connected here.
    pub networks: Option<PathBuf>,
    /// The MTU of pods' links in bytes; `None` for that of the smallest uplink.
    pub pod_mtu: Option<u32>,
    /// Where to serve metrics; `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where to record what the speaker is told.
    pub record: Option<PathBuf>,
}

/// Where objects come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A directory of manifests.
    Manifests(PathBuf),
    /// The Kubernetes API.
    Kubernetes(Connection),
}
