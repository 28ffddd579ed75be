//! `underlay agent`: the daemon's arguments. What it does stands in
//! [`crate::agent`].

use std::path::PathBuf;

use clap::Args;

use crate::agent::Settings;

/// The arguments of the daemon.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// The name of this node, as in its Node object
    #[arg(long, env = "UNDERLAY_NODE", value_name = "NAME")]
    pub node: String,
    /// A directory of manifests to read instead of the Kubernetes API
    #[arg(long, env = "UNDERLAY_MANIFESTS", value_name = "DIR")]
    pub manifests: PathBuf,
    /// Where to serve StatusService
    #[arg(long, env = "UNDERLAY_SOCKET", value_name = "PATH", default_value = super::options::SOCKET)]
    pub socket: PathBuf,
}

impl From<AgentArgs> for Settings {
    fn from(args: AgentArgs) -> Self {
        Self { node: args.node, manifests: args.manifests, socket: args.socket }
    }
}
