//! Whom a verb asks: agents behind sockets of this host, or those of a cluster, each in its pod.
//!
//! ```text
//! ClusterArgs ─> Targets::find ─┬─> Socket   a unix socket
//!                               └─> Agent    pods/exec of `underlay relay`: the same gRPC by its stdin and stdout
//!
//!  cluster   which cluster, and which agents there are in it
//!  tunnel    one agent's socket, by a program that runs beside it
//! ```
//!
//! What is asked and answered is the same on both ways, so that no verb knows which one it is.

mod cluster;
mod tunnel;

use std::path::{Path, PathBuf};

pub use cluster::{Agent, Cluster, ClusterArgs};
pub use tunnel::{GREETING, Tunnel};

use super::failure::Failure;

/// Where an agent serves StatusService unless told otherwise.
pub const SOCKET: &str = "/run/underlay/status.sock";

/// One agent to ask.
#[derive(Clone, Debug)]
pub enum Target {
    /// Behind a socket of this host.
    Socket(PathBuf),
    /// In a pod of a cluster.
    Agent(Agent),
}

impl Target {
    /// A failure with whom it is about, where it does not say so yet.
    #[must_use]
    pub fn blamed(&self, failure: Failure) -> Failure {
        match self {
            _ if failure.socket.is_some() || failure.node.is_some() => failure,
            Self::Socket(socket) => failure.at(socket),
            Self::Agent(agent) => failure.on(&agent.node),
        }
    }

    /// The node of an agent in a cluster.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Socket(_) => None,
            Self::Agent(agent) => Some(&agent.node),
        }
    }

    /// Looks which pod the agent of the node is in by now; a socket stays where it is.
    pub async fn look_again(&mut self) {
        if let Self::Agent(agent) = self {
            agent.look_again().await;
        }
    }
}

/// All agents to ask.
#[derive(Debug)]
pub struct Targets {
    /// The agents, in the order of the sockets or of the nodes' names.
    pub each: Vec<Target>,
    /// Whether programs read a list, however many answer.
    pub is_list: bool,
    /// The cluster, where it is one.
    pub cluster: Option<Cluster>,
    /// What people are told beside the answers.
    pub hint: Option<String>,
}

impl Targets {
    /// The agents that the arguments mean: those of a cluster where one of its arguments is there, or where this host
    /// is no node and has a kubeconfig; else those behind sockets.
    ///
    /// # Errors
    /// A cluster that cannot be asked for its agents, or that lacks a node that was named.
    pub async fn find(sockets: &[PathBuf], args: &ClusterArgs) -> Result<Self, Failure> {
        let implied = sockets.is_empty() && !is_node() && cluster::has_kubeconfig();
        if args.is_meant() || implied {
            let cluster = Cluster::reach(args).await?;
            let hint = implied && !args.is_meant();
            let hint =
                hint.then(|| format!("no agent on this host: asking those of {}", cluster.description()));
            let agents = cluster.agents(&args.nodes).await?;
            return Ok(Self {
                is_list: agents.len() > 1 || args.nodes.is_empty(),
                each: agents.into_iter().map(Target::Agent).collect(),
                cluster: Some(cluster),
                hint,
            });
        }
        Ok(Self::sockets(sockets))
    }

    /// The agents behind these sockets of this host; that of its own agent where none is named.
    #[must_use]
    pub fn sockets(sockets: &[PathBuf]) -> Self {
        let sockets = match sockets {
            [] => vec![PathBuf::from(SOCKET)],
            sockets => sockets.to_vec(),
        };
        let is_list = sockets.len() > 1;
        Self { each: sockets.into_iter().map(Target::Socket).collect(), is_list, cluster: None, hint: None }
    }
}

/// Whether this host has, or had, an agent.
fn is_node() -> bool {
    Path::new(SOCKET).parent().is_some_and(Path::exists)
}
