//! A network namespace with the agent in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use labs::daemon::Daemon;
use labs::wait::Look;
use labs::{Netns, Sandbox, wait};

/// How long anything may take: a few times the timers of the tests' sessions.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A node that runs the agent.
pub(super) struct Node {
    pub(super) netns: Netns,
    pub(super) agent: Daemon,
    manifests: PathBuf,
    socket: PathBuf,
}

impl Node {
    /// Starts the agent of node `name` in a namespace, with one manifest file.
    #[track_caller]
    pub(super) fn start(sandbox: &Sandbox, netns: Netns, name: &str, manifest: &str) -> Self {
        let folder = sandbox.folder().join(name);
        let (manifests, socket) = (folder.join("manifests"), folder.join("status.sock"));
        fs::create_dir_all(&manifests).unwrap();
        fs::write(manifests.join("node.yaml"), manifest).unwrap();
        let agent = spawn(sandbox, &netns, name, &manifests, &socket, None);
        Self { netns, agent, manifests, socket }
    }

    /// Ends the agent and starts it anew with a recording.
    #[track_caller]
    pub(super) fn restart_recorded(&mut self, sandbox: &Sandbox, name: &str, recording: &Path) {
        self.agent.terminate();
        self.agent = spawn(sandbox, &self.netns, name, &self.manifests, &self.socket, Some(recording));
    }

    /// Kills the agent and starts it anew.
    #[track_caller]
    pub(super) fn kill_and_restart(&mut self, sandbox: &Sandbox, name: &str) {
        self.agent.kill();
        self.restart(sandbox, name);
    }

    /// Starts another agent in the place of the one that has ended.
    #[track_caller]
    pub(super) fn restart(&mut self, sandbox: &Sandbox, name: &str) {
        self.agent = spawn(sandbox, &self.netns, name, &self.manifests, &self.socket, None);
    }

    /// Replaces the manifest as an editor does: a new file is moved over the old one.
    pub(super) fn apply(&self, manifest: &str) {
        let new = self.manifests.join(".new");
        fs::write(&new, manifest).unwrap();
        fs::rename(new, self.manifests.join("node.yaml")).unwrap();
    }

    /// What a verb of the command line prints.
    pub(super) fn ask(&self, words: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        let output =
            command.args(words.split_whitespace()).arg("--socket").arg(&self.socket).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// The routes of both families that carry our protocol number.
    pub(super) fn routes(&self) -> String {
        format!(
            "{}{}",
            self.netns.ip("-4 route show table main proto 171"),
            self.netns.ip("-6 route show table main proto 171")
        )
    }

    /// Waits until a look at this node gives a value; fails with the agent's
    /// words if it does not.
    #[track_caller]
    pub(super) fn until<L: Look>(&self, what: &str, look: impl FnMut() -> L) -> L::Value {
        match wait::attempt(what, LIMIT, look) {
            Ok(value) => value,
            Err(message) => {
                panic!("{message}\n{}\n{}\n{}", self.ask("peers"), self.routes(), self.agent.log())
            }
        }
    }

    /// Waits until the kernel has a route, or has it no longer.
    #[track_caller]
    pub(super) fn until_route(&self, route: &str, there: bool) {
        self.until(&format!("route {route} there: {there}"), || {
            let routes = self.routes();
            if routes.contains(route) == there { Ok(()) } else { Err(routes) }
        });
    }

    /// How often the log says that a session left or entered a state.
    pub(super) fn transitions(&self, to: &str) -> usize {
        let word = format!("\"to\":\"{to}\"");
        self.agent.log().lines().filter(|line| line.contains("\"session\"") && line.contains(&word)).count()
    }
}

#[track_caller]
fn spawn(
    sandbox: &Sandbox,
    netns: &Netns,
    name: &str,
    manifests: &Path,
    socket: &Path,
    recording: Option<&Path>,
) -> Daemon {
    let mut command = netns.exec(env!("CARGO_BIN_EXE_underlay"), ["agent", "--node", name]);
    command.arg("--manifests").arg(manifests).arg("--socket").arg(socket);
    command.arg("--checkpoint").arg(socket.with_file_name("checkpoint.json"));
    if let Some(recording) = recording {
        command.arg("--record").arg(recording);
    }
    sandbox.daemon(name, command)
}
