//! `underlay agent`: the daemon's arguments. What it does stands in
//! [`crate::agent`].

use std::net::SocketAddr;
use std::path::PathBuf;

use api::netconf;
use clap::Args;

use crate::agent::{Settings, Source};
use crate::cluster::kubernetes::{Access, Connection};

/// Where the last good configuration is kept unless the arguments name another place.
pub(super) const CHECKPOINT: &str = "/var/lib/underlay/checkpoint.json";

/// Where metrics are served unless the arguments name another place: to this host alone.
const METRICS: &str = "127.0.0.1:9179";

/// Where metrics are served; `None` for nowhere.
#[derive(Clone, Copy, Debug)]
pub struct Metrics(pub Option<SocketAddr>);

fn metrics(text: &str) -> Result<Metrics, String> {
    if text == "off" {
        return Ok(Metrics(None));
    }
    // A pod that is given its node's address puts a port after it, and knows no brackets.
    let bare = || {
        let (address, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(address.parse().ok()?, port.parse().ok()?))
    };
    let says = || format!("is no address with a port, such as {METRICS} or [::1]:9179, and not `off`");
    text.parse().ok().or_else(bare).map(|address| Metrics(Some(address))).ok_or_else(says)
}

/// The arguments of the daemon.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// The name of this node, as in its Node object
    #[arg(long, env = "UNDERLAY_NODE", value_name = "NAME")]
    pub node: String,
    /// A directory of manifests to read instead of the Kubernetes API
    #[arg(long, env = "UNDERLAY_MANIFESTS", value_name = "DIR", conflicts_with_all = ["kubeconfig", "api_server"])]
    pub manifests: Option<PathBuf>,
    /// How to reach the Kubernetes API; a pod needs none
    #[arg(long, env = "UNDERLAY_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's own address, instead of a Service's that needs a proxy on the node
    #[arg(long, env = "UNDERLAY_API_SERVER", value_name = "URL")]
    pub api_server: Option<String>,
    /// The namespace of the Secrets, instead of the agent's own
    #[arg(long, env = "UNDERLAY_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// Where to keep the last good configuration, for a start without its source
    #[arg(long, env = "UNDERLAY_CHECKPOINT", value_name = "PATH", default_value = CHECKPOINT)]
    pub checkpoint: PathBuf,
    /// Where the CNI plugin keeps who holds which address, for `explain POD`
    #[arg(long, env = "UNDERLAY_CNI_STATE", value_name = "DIR", default_value = netconf::DEFAULT_STATE_DIR)]
    pub cni_state: PathBuf,
    /// Where to serve StatusService
    #[arg(long, env = "UNDERLAY_SOCKET", value_name = "PATH", default_value = super::target::SOCKET)]
    pub socket: PathBuf,
    /// Where to serve metrics by HTTP, for Prometheus, and /ready; or `off`
    #[arg(long, env = "UNDERLAY_METRICS", value_name = "ADDRESS:PORT", default_value = METRICS, value_parser = metrics)]
    pub metrics: Metrics,
    /// The container runtime's directory of network configurations, to be told how pods are connected
    #[arg(long, env = "UNDERLAY_CNI_CONF_DIR", value_name = "DIR")]
    pub cni_conf_dir: Option<PathBuf>,
    /// The MTU of pods' links, instead of that of the smallest uplink that carries routes
    #[arg(long, env = "UNDERLAY_POD_MTU", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1280..=65535))]
    pub pod_mtu: Option<u32>,
    /// Write what the speaker is told to a new file, for `underlay replay`; it stops at 1 GiB
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl From<AgentArgs> for Settings {
    fn from(args: AgentArgs) -> Self {
        let AgentArgs {
            node,
            manifests,
            kubeconfig,
            api_server,
            namespace,
            checkpoint,
            cni_state,
            socket,
            metrics: Metrics(metrics),
            cni_conf_dir,
            pod_mtu,
            record,
        } = args;
        let access = Access { kubeconfig, server: api_server, namespace };
        let kubernetes = || Source::Kubernetes(Connection::new(access));
        let source = manifests.map_or_else(kubernetes, Source::Manifests);
        Self { node, source, checkpoint, cni_state, socket, networks: cni_conf_dir, pod_mtu, metrics, record }
    }
}
