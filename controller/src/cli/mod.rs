//! The command line: one file a verb.

pub mod agent;

pub use agent::AgentArgs;

/// Where an agent serves StatusService unless told otherwise.
pub const SOCKET: &str = "/run/underlay/status.sock";
