//! GoBGP as a peer: its configuration is the test's, its API listens inside the namespace alone.

use std::fs;
use std::process::Command;

use crate::daemon::Daemon;
use crate::need;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

const API: [&str; 2] = ["127.0.0.1", "50051"];

/// A running GoBGP.
#[derive(Debug)]
pub struct Gobgp {
    name: String,
    namespace: Netns,
    daemon: Daemon,
}

impl Gobgp {
    /// Starts GoBGP in `namespace` with the configuration `config` (TOML) and waits until its API answers. `name`
    /// tells several of a test apart.
    ///
    /// # Panics
    /// Where GoBGP is missing or refuses the configuration.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, namespace: &Netns, name: &str, config: &str) -> Self {
        let folder = sandbox.folder().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let file = folder.join("gobgpd.toml");
        fs::write(&file, config).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self::run(sandbox, namespace, name, &[])
    }

    /// Kills GoBGP and starts another in its place, to recover by graceful restart (`-r`). It keeps no routes of its
    /// own: `give` hands them to it anew, and until then the peers at `peers` cannot reach it, else they hear End-of-RIB
    /// first.
    ///
    /// # Panics
    /// As [`Gobgp::start`].
    #[track_caller]
    pub fn recover(&mut self, sandbox: &Sandbox, peers: &[&str], give: impl FnOnce(&Self)) {
        let way = |verb: &str, peer: &str| {
            let family = if peer.contains(':') { "-6" } else { "-4" };
            self.namespace.ip(&format!("{family} route {verb} prohibit {peer}"));
        };
        self.daemon.kill();
        peers.iter().for_each(|peer| way("add", peer));
        let next = Self::run(sandbox, &self.namespace, &self.name, &["-r"]);
        give(&next);
        peers.iter().for_each(|peer| way("del", peer));
        *self = next;
    }

    #[track_caller]
    fn run(sandbox: &Sandbox, namespace: &Netns, name: &str, more: &[&str]) -> Self {
        let file = sandbox.folder().join(name).join("gobgpd.toml");
        let program = need::find("gobgpd").unwrap_or_else(|| panic!("gobgpd is missing: package gobgpd"));
        let mut command = namespace.exec(program, ["--log-plain", "--pprof-disable"]);
        command.arg("--api-hosts").arg(API.join(":")).arg("-f").arg(&file).args(more);
        let mut daemon = sandbox.daemon(name, command);
        // The API listens before the configuration is read.
        daemon.wait_ready(|| match ask(namespace, "global -j")?.contains("\"asn\"") {
            true => Ok(()),
            false => Err("no global configuration yet".to_owned()),
        });
        Self { name: name.to_owned(), namespace: namespace.clone(), daemon }
    }

    /// What GoBGP answers to a command: `neighbor -j`, `global rib -a ipv6 -j`.
    ///
    /// # Panics
    /// Where GoBGP does not answer or refuses the command.
    #[track_caller]
    pub fn gobgp(&self, command: &str) -> String {
        ask(&self.namespace, command)
            .unwrap_or_else(|message| panic!("{}: gobgp {command}: {message}", self.name))
    }

    /// Everything that GoBGP has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// The process, to signal, end or read.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

fn ask(namespace: &Netns, words: &str) -> Result<String, String> {
    let program = need::find("gobgp").ok_or("gobgp is missing: package gobgpd")?;
    let [host, port] = API;
    let mut command: Command = namespace.exec(program, ["-u", host, "-p", port]);
    let output = command.args(words.split_whitespace()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim().to_owned())
}
