//! What every verb that asks an agent takes.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use super::render::Format;
use super::target::{ClusterArgs, Targets};

/// Where to ask, and how to print.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The agent's socket, /run/underlay/status.sock if unset; repeat it (or separate by `:`) to ask several agents
    #[arg(long = "socket", env = "UNDERLAY_SOCKET", value_name = "PATH", value_delimiter = ':')]
    pub sockets: Vec<PathBuf>,
    /// The agents of a cluster instead
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
}

impl Options {
    /// Whom they mean.
    ///
    /// # Errors
    /// See [`Targets::find`].
    pub async fn targets(&self) -> Result<Targets, Failure> {
        Targets::find(&self.sockets, &self.cluster).await
    }
}
