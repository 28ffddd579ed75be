//! The server of custom resources of a newer Kubernetes, alone: it takes definitions and enforces their rules in CEL.
//!
//! An API server of today has it inside. This one stands beside an [`ApiServer`] of the lab, which says who may do what,
//! and lists no groups, so that each request names its path.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::api_server::{ApiServer, said, script};
use crate::cache;
use crate::daemon::Daemon;
use crate::sandbox::Sandbox;

const LIMIT: Duration = Duration::from_secs(90);

/// A running one, on `https://127.0.0.1:6444` of the sandbox.
#[derive(Debug)]
pub struct Extensions {
    folder: PathBuf,
    // Dropped before what it asks.
    _server: Daemon,
    api: ApiServer,
}

impl Extensions {
    /// Starts one, and what it stands on.
    ///
    /// # Panics
    /// Where one of them does not become ready.
    #[track_caller]
    #[must_use]
    pub fn start(sandbox: &Sandbox) -> Self {
        let api = ApiServer::start(sandbox);
        let folder = api.folder().to_owned();
        let command = script(&folder, api.setup(), ["apiextensions-apiserver"]);
        let mut server = sandbox.daemon("apiextensions-apiserver", command);
        server.wait_ready_within(LIMIT, || kubectl(&api, &["get", "--raw=/readyz"]));
        Self { folder, _server: server, api }
    }

    /// What Debian calls its version.
    #[must_use]
    pub fn version() -> String {
        let file = cache::kubernetes().join("apiextensions-apiserver.version");
        fs::read_to_string(file).unwrap_or_default().trim().to_owned()
    }

    /// What it says to an object, JSON, that is to be created in the list at `path`
    /// (`/apis/underlay.dev/v1alpha1/fabrics`).
    ///
    /// # Errors
    /// Why it refuses.
    pub fn create(&self, path: &str, object: &str) -> Result<String, String> {
        let file = self.folder.join("created.json");
        fs::write(&file, object).map_err(|error| format!("{}: {error}", file.display()))?;
        kubectl(&self.api, &["create", "--raw", path, "--filename", &file.display().to_string()])
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// What it said.
    pub fn get(&self, path: &str) -> Result<String, String> {
        kubectl(&self.api, &["get", "--raw", path])
    }
}

fn kubectl(api: &ApiServer, words: &[&str]) -> Result<String, String> {
    let words: Vec<&str> =
        ["--server", "https://127.0.0.1:6444"].into_iter().chain(words.iter().copied()).collect();
    said(&words.join(" "), api.command(&words).output())
}
