//! Where to look, and what was found there.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where things are on the host.
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
    /// Where the plugin keeps who holds which address.
    pub cni_state: PathBuf,
    /// The agent's socket.
    pub socket: PathBuf,
}

impl Places {
    /// Where a file of the host is.
    #[must_use]
    pub fn on_host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there.
    Found,
    /// It is gone.
    Removed,
    /// It could not be removed.
    Failed,
    /// It is somebody else's, and stays.
    Foreign,
}

impl State {
    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Removed => "removed",
            Self::Failed => "failed",
            Self::Foreign => "foreign",
        }
    }
}

/// A thing on the node, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is, in a word.
    pub kind: &'static str,
    /// Which one.
    pub subject: String,
    /// What became of it.
    pub state: State,
    /// Why it stays; empty for what does not.
    pub why: String,
}

impl Finding {
    /// A thing that is there.
    #[must_use]
    pub fn found(kind: &'static str, subject: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), state: State::Found, why: String::new() }
    }

    pub(super) fn ended(self, done: io::Result<()>) -> Self {
        match done {
            Ok(()) => Self { state: State::Removed, ..self },
            Err(error) => Self { state: State::Failed, why: error.to_string(), ..self },
        }
    }

    pub(super) fn failed(kind: &'static str, error: &io::Error) -> Self {
        Self::found(kind, "").ended(Err(io::Error::new(error.kind(), error.to_string())))
    }
}
