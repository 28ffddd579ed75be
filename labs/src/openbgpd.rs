//! OpenBGPD as a peer: its configuration is the test's, its control socket lies in the sandbox's folder.
//!
//! Its bgpd shares its name with FRR's. It separates its privileges in `/run/openbgpd`, which a sandbox has.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::Daemon;
use crate::need;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// Where its package puts the daemon.
pub const PROGRAM: &str = "/usr/sbin/bgpd";

/// A running OpenBGPD.
#[derive(Debug)]
pub struct Openbgpd {
    name: String,
    control: PathBuf,
    daemon: Daemon,
}

impl Openbgpd {
    /// Starts OpenBGPD in `namespace` with the configuration `config` and waits until its control socket, which is
    /// added to it, answers. `name` tells several of a test apart.
    ///
    /// # Panics
    /// Where OpenBGPD is missing or refuses the configuration.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, namespace: &Netns, name: &str, config: &str) -> Self {
        let folder = sandbox.folder().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let (file, control) = (folder.join("bgpd.conf"), folder.join("ctl"));
        let text = format!("socket \"{}\"\n{config}", control.display());
        private(&file, &text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(Path::new(PROGRAM).is_file(), "{PROGRAM} is missing: package openbgpd");
        let mut command = namespace.exec(PROGRAM, ["-d", "-f"]);
        command.arg(&file);
        let mut daemon = sandbox.daemon(name, command);
        daemon.wait_ready(|| ask(&control, "show summary"));
        Self { name: name.to_owned(), control, daemon }
    }

    /// What OpenBGPD answers to a command: `show neighbor`, `show rib detail`.
    ///
    /// # Panics
    /// Where OpenBGPD does not answer or refuses the command.
    #[track_caller]
    pub fn bgpctl(&self, command: &str) -> String {
        ask(&self.control, command)
            .unwrap_or_else(|message| panic!("{}: bgpctl {command}: {message}", self.name))
    }

    /// Everything that OpenBGPD has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The process, to signal, end or read.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

/// Writes a file that nobody else may read: OpenBGPD refuses any other.
fn private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = fs::File::options();
    options.create(true).truncate(true).write(true).mode(0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn ask(control: &Path, words: &str) -> Result<String, String> {
    let program = need::find("bgpctl").ok_or("bgpctl is missing: package openbgpd")?;
    let mut command = Command::new(program);
    command.arg("-s").arg(control).args(words.split_whitespace());
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim().to_owned())
}
