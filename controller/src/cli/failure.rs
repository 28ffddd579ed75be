//! What can go wrong, its exit code, and its words for people and programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::render::Format;
use super::render::text::printable;

/// How a run of the program ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All that was asked for was done.
    #[default]
    Done = 0,
    /// Something failed, or some of several agents did not answer.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Not healthy, under `--check`.
    Unhealthy = 3,
    /// The named thing does not exist.
    Missing = 4,
    /// No agent was reached.
    Unreachable = 5,
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code that it asks for.
    pub exit: Exit,
    /// The word for programs.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
    /// The agent's socket, if it is about one agent.
    pub socket: Option<PathBuf>,
    /// The node, if it is about the agent of one in a cluster.
    pub node: Option<String>,
    /// More for programs, from the agent's ErrorInfo.
    pub metadata: BTreeMap<String, String>,
}

impl Failure {
    /// A failure of the program itself.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let reason = match exit {
            Exit::Done | Exit::Failed => "FAILED",
            Exit::Usage => "USAGE",
            Exit::Unhealthy => "UNHEALTHY",
            Exit::Missing => "NOT_FOUND",
            Exit::Unreachable => "AGENT_UNREACHABLE",
        };
        Self {
            exit,
            reason: reason.to_owned(),
            message: message.into(),
            socket: None,
            node: None,
            metadata: BTreeMap::new(),
        }
    }

    /// The same about the agent behind a socket.
    #[must_use]
    pub fn at(mut self, socket: &Path) -> Self {
        self.socket = Some(socket.to_owned());
        self
    }

    /// The same about the agent of a node in a cluster.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// What an agent answered when it could not answer.
    #[must_use]
    pub fn answered(status: &Status) -> Self {
        let info = status.get_details_error_info();
        let exit = match (status.code(), &info) {
            (Code::NotFound, _) => Exit::Missing,
            (Code::InvalidArgument, Some(_)) => Exit::Usage,
            (Code::Unavailable, _) => Exit::Unreachable,
            // Without ErrorInfo it is not the agent that speaks but the way to it.
            (Code::Cancelled | Code::Unknown | Code::DeadlineExceeded, None) => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let message = match (status.message(), status.code()) {
            (_, Code::Unimplemented) => "the agent does not know this call: it has another version",
            ("", code) => code.description(),
            (message, _) => message,
        };
        let mut failure = Self::new(exit, message);
        if let Some(info) = info {
            failure.reason = info.reason;
            failure.metadata = info.metadata.into_iter().collect();
        }
        failure
    }

    /// The failure as it goes to stderr: a line of words, or of JSON where a
    /// program reads the output.
    #[must_use]
    pub fn line(&self, format: Format) -> String {
        if format.is_structured() {
            let error = ErrorLine {
                reason: &self.reason,
                message: &self.message,
                exit_code: self.exit as u8,
                socket: self.socket.as_deref(),
                node: self.node.as_deref(),
                metadata: &self.metadata,
            };
            // Strings and numbers alone cannot fail to serialise.
            return serde_json::to_string(&Envelope { error }).unwrap_or_default() + "\n";
        }
        let message = printable(&self.message);
        match (&self.socket, &self.node) {
            (Some(socket), _) => format!("underlay: {}: {message}\n", socket.display()),
            (None, Some(node)) => format!("underlay: {}: {message}\n", printable(node)),
            (None, None) => format!("underlay: {message}\n"),
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorLine<'a>,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    reason: &'a str,
    message: &'a str,
    exit_code: u8,
    socket: Option<&'a Path>,
    node: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
}
