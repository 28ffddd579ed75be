//! A network namespace with the agent in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use labs::daemon::Daemon;
use labs::wait::Look;
use labs::{Netns, Sandbox, wait};

/// How long anything may take: a few times the timers of the tests' sessions.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A node that runs the agent.
pub(crate) struct Node {
    pub(crate) netns: Netns,
    pub(crate) agent: Daemon,
    manifests: PathBuf,
    /// Where its sockets and its checkpoint are.
    state: PathBuf,
}

impl Node {
    /// Starts the agent of node `name` in a namespace, with one manifest file.
    #[track_caller]
    pub(crate) fn start(sandbox: &Sandbox, netns: Netns, name: &str, manifest: &str) -> Self {
        let state = sandbox.folder().join(name);
        Self::start_in(sandbox, netns, name, manifest, state, &[])
    }

    /// The same with its state in a folder of its own, and further arguments.
    #[track_caller]
    pub(crate) fn start_in(
        sandbox: &Sandbox,
        netns: Netns,
        name: &str,
        manifest: &str,
        state: PathBuf,
        more: &[&str],
    ) -> Self {
        let manifests = sandbox.folder().join(name).join("manifests");
        fs::create_dir_all(&manifests).unwrap();
        fs::write(manifests.join("node.yaml"), manifest).unwrap();
        let agent = spawn(sandbox, &netns, name, &manifests, &state, more);
        Self { netns, agent, manifests, state }
    }

    /// The same under another program, such as `setpriv`, with what comes before its own.
    #[track_caller]
    pub(super) fn start_under(
        sandbox: &Sandbox,
        netns: Netns,
        name: &str,
        manifest: &str,
        under: &[&str],
    ) -> Self {
        let state = sandbox.folder().join(name);
        let manifests = state.join("manifests");
        fs::create_dir_all(&manifests).unwrap();
        fs::write(manifests.join("node.yaml"), manifest).unwrap();
        let command =
            netns.exec(under[0], under[1..].iter().copied().chain([env!("CARGO_BIN_EXE_underlay")]));
        let agent = sandbox.daemon(name, with_arguments(command, name, &manifests, &state, &[]));
        Self { netns, agent, manifests, state }
    }

    /// Ends the agent and starts it anew with a recording.
    #[track_caller]
    pub(crate) fn restart_recorded(&mut self, sandbox: &Sandbox, name: &str, recording: &Path) {
        self.agent.terminate();
        let more = ["--record", recording.to_str().unwrap()];
        self.restart_with(sandbox, name, &more);
    }

    /// Starts another agent in the place of the one that has ended, with further arguments.
    #[track_caller]
    pub(crate) fn restart_with(&mut self, sandbox: &Sandbox, name: &str, more: &[&str]) {
        self.agent = spawn(sandbox, &self.netns, name, &self.manifests, &self.state, more);
    }

    /// Kills the agent and starts it anew.
    #[track_caller]
    pub(crate) fn kill_and_restart(&mut self, sandbox: &Sandbox, name: &str) {
        self.agent.kill();
        self.restart(sandbox, name);
    }

    /// Starts another agent in the place of the one that has ended.
    #[track_caller]
    pub(crate) fn restart(&mut self, sandbox: &Sandbox, name: &str) {
        self.restart_with(sandbox, name, &[]);
    }

    /// Replaces the manifest as an editor does: a new file is moved over the old one.
    pub(crate) fn apply(&self, manifest: &str) {
        let new = self.manifests.join(".new");
        fs::write(&new, manifest).unwrap();
        fs::rename(new, self.manifests.join("node.yaml")).unwrap();
    }

    /// Runs a verb of the command line.
    pub(crate) fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(words.split_whitespace()).arg("--socket").arg(self.state.join("status.sock"));
        command.output().unwrap()
    }

    /// Where the agent answers.
    pub(super) fn socket(&self) -> PathBuf {
        self.state.join("status.sock")
    }

    /// What a verb of the command line prints.
    pub(crate) fn ask(&self, words: &str) -> String {
        let output = self.run(words);
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// The routes of both families that carry our protocol number.
    pub(crate) fn routes(&self) -> String {
        format!(
            "{}{}",
            self.netns.ip("-4 route show table main proto 171"),
            self.netns.ip("-6 route show table main proto 171")
        )
    }

    /// Waits until a look at this node gives a value; fails with the agent's
    /// words if it does not.
    #[track_caller]
    pub(crate) fn until<L: Look>(&self, what: &str, look: impl FnMut() -> L) -> L::Value {
        match wait::attempt(what, LIMIT, look) {
            Ok(value) => value,
            Err(message) => {
                panic!("{message}\n{}\n{}\n{}", self.ask("peers"), self.routes(), self.agent.log())
            }
        }
    }

    /// Waits until the kernel has a route, or has it no longer.
    #[track_caller]
    pub(crate) fn until_route(&self, route: &str, there: bool) {
        self.until(&format!("route {route} there: {there}"), || {
            let routes = self.routes();
            if routes.contains(route) == there { Ok(()) } else { Err(routes) }
        });
    }

    /// How often the log says that a session left or entered a state.
    pub(crate) fn transitions(&self, to: &str) -> usize {
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
    state: &Path,
    more: &[&str],
) -> Daemon {
    let command = netns.exec(env!("CARGO_BIN_EXE_underlay"), [""; 0]);
    sandbox.daemon(name, with_arguments(command, name, manifests, state, more))
}

fn with_arguments(
    mut command: Command,
    name: &str,
    manifests: &Path,
    state: &Path,
    more: &[&str],
) -> Command {
    command
        .args(["agent", "--node", name])
        .arg("--manifests")
        .arg(manifests)
        .arg("--socket")
        .arg(state.join("status.sock"));
    command.arg("--checkpoint").arg(state.join("checkpoint.json")).args(more);
    command
}
