//! `underlay agent`: the daemon's arguments. What it does stands in
//! [`crate::agent`].

use std::path::PathBuf;

use clap::Args;

use crate::agent::Settings;

/// Where the last good configuration is kept unless the arguments name another place.
const CHECKPOINT: &str = "/var/lib/underlay/checkpoint.json";

/// The arguments of the daemon.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// The name of this node, as in its Node object
    #[arg(long, env = "UNDERLAY_NODE", value_name = "NAME")]
    pub node: String,
    /// A directory of manifests to read instead of the Kubernetes API
    #[arg(long, env = "UNDERLAY_MANIFESTS", value_name = "DIR")]
    pub manifests: PathBuf,
    /// Where to keep the last good configuration, for a start without its source
    #[arg(long, env = "UNDERLAY_CHECKPOINT", value_name = "PATH", default_value = CHECKPOINT)]
    pub checkpoint: PathBuf,
    /// Where to serve StatusService
    #[arg(long, env = "UNDERLAY_SOCKET", value_name = "PATH", default_value = super::options::SOCKET)]
    pub socket: PathBuf,
    /// Write what the speaker is told to a new file, for `underlay replay`; it stops at 1 GiB
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl From<AgentArgs> for Settings {
    fn from(args: AgentArgs) -> Self {
        let AgentArgs { node, manifests, checkpoint, socket, record } = args;
        Self { node, manifests, checkpoint, socket, record }
    }
}
