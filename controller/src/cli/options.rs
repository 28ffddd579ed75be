//! What every verb that asks an agent takes.

use std::path::PathBuf;

use clap::Args;

use super::render::Format;

/// Where an agent serves StatusService unless told otherwise.
pub const SOCKET: &str = "/run/underlay/status.sock";

/// Where to ask, and how to print.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The agent's socket; repeat it (or separate by `:`) to ask several agents
    #[arg(
        long = "socket",
        env = "UNDERLAY_SOCKET",
        value_name = "PATH",
        value_delimiter = ':',
        default_value = SOCKET
    )]
    pub sockets: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
}
