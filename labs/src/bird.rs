//! BIRD 2 as a peer: its configuration is the test's, its control socket lies in the sandbox's folder.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::daemon::Daemon;
use crate::need;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    name: String,
    config: PathBuf,
    control: PathBuf,
    daemon: Daemon,
}

impl Bird {
    /// Starts BIRD in `namespace` with the configuration `config` and waits until its control socket answers.
    /// `name` tells several of a test apart.
    ///
    /// # Panics
    /// Where BIRD is missing or refuses the configuration.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, namespace: &Netns, name: &str, config: &str) -> Self {
        let folder = sandbox.folder().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let file = folder.join("bird.conf");
        fs::write(&file, config).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::run(sandbox, namespace, name, &[])
    }

    /// Starts another BIRD in the place of one that has ended, to recover by graceful restart (`-R`).
    ///
    /// # Panics
    /// As [`Bird::start`].
    #[track_caller]
    pub fn recover(&mut self, sandbox: &Sandbox, namespace: &Netns) {
        *self = Self::run(sandbox, namespace, &self.name, &["-R"]);
    }

    #[track_caller]
    fn run(sandbox: &Sandbox, namespace: &Netns, name: &str, more: &[&str]) -> Self {
        let folder = sandbox.folder().join(name);
        let (file, control, pid) = (folder.join("bird.conf"), folder.join("ctl"), folder.join("pid"));
        let program = need::find("bird").unwrap_or_else(|| panic!("bird is missing: package bird2"));
        let mut command = namespace.exec(program, ["-f"]);
        command.args(more);
        command.arg("-c").arg(&file).arg("-s").arg(&control).arg("-P").arg(pid);
        let mut daemon = sandbox.daemon(name, command);
        daemon.wait_ready(|| ask(&control, "show status"));
        Self { name: name.to_owned(), config: file, control, daemon }
    }

    /// What BIRD answers to a command: `show route all`, `disable tor1`, `show protocols all`.
    ///
    /// # Panics
    /// Where BIRD does not answer or refuses the command.
    #[track_caller]
    pub fn birdc(&self, command: &str) -> String {
        ask(&self.control, command)
            .unwrap_or_else(|message| panic!("{}: birdc {command}: {message}", self.name))
    }

    /// Replaces the configuration of the running daemon.
    ///
    /// # Panics
    /// Where BIRD refuses it.
    #[track_caller]
    pub fn configure(&self, config: &str) {
        fs::write(&self.config, config).unwrap_or_else(|error| panic!("{}: {error}", self.config.display()));
        let answer = self.birdc("configure");
        assert!(answer.contains("Reconfigured") || answer.contains("in progress"), "{}: {answer}", self.name);
    }

    /// Everything that BIRD has logged to its standard error.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The process, to signal, end or read.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

/// BIRD's answer without its banner. A refusal is an error: `birdc` itself exits with 0 then.
fn ask(control: &PathBuf, command: &str) -> Result<String, String> {
    let program = need::find("birdc").ok_or("birdc is missing: package bird2")?;
    let output = Command::new(program).arg("-s").arg(control).args(command.split_whitespace()).output();
    let output = output.map_err(|error| error.to_string())?;
    check(&output)
}

fn check(output: &Output) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let refused = ["syntax error", "Access denied"].iter().find(|word| text.contains(*word));
    if output.status.success() && refused.is_none() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim().to_owned())
}
