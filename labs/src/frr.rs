//! FRR as a peer: zebra and bgpd in the foreground, all their files in one folder of the sandbox.
//!
//! Its bgpd shares its name with OpenBGPD's, so both are started by path. The folder belongs to user `frr`, to whom
//! they drop their privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::daemon::Daemon;
use crate::need;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// Where Debian and FRR's own packages put the daemons.
pub const FOLDER: &str = "/usr/lib/frr";
const USER: &str = "frr";

/// A running FRR.
#[derive(Debug)]
pub struct Frr {
    name: String,
    folder: PathBuf,
    bgpd: Daemon,
    bfdd: Option<Daemon>,
    // Dropped after bgpd: it withdraws nothing then that a test looks at.
    _zebra: Daemon,
}

impl Frr {
    /// Starts zebra and bgpd in `namespace`, waits until both answer and applies `config`, a `frr.conf` for both.
    /// `name` tells several of a test apart.
    ///
    /// # Panics
    /// Where FRR is missing or refuses the configuration.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, namespace: &Netns, name: &str, config: &str) -> Self {
        let folder = sandbox.folder().join(name);
        owned(&folder).unwrap_or_else(|message| panic!("{name}: {message}"));
        let zebra = daemon(sandbox, namespace, name, &folder, "zebra", "/dev/null");
        let bgpd = daemon(sandbox, namespace, name, &folder, "bgpd", "/dev/null");
        let frr = Self { name: name.to_owned(), folder, bgpd, bfdd: None, _zebra: zebra };
        // vtysh reads its own settings from the folder too.
        for (file, text) in [("vtysh.conf", ""), ("frr.conf", config)] {
            let file = frr.folder.join(file);
            fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let applied = ask(&frr.folder, &["-b"]);
        applied.unwrap_or_else(|message| panic!("{name}: frr.conf: {message}"));
        frr
    }

    /// What FRR answers to one command: `show bgp ipv6 unicast json`, `clear bgp * soft`.
    ///
    /// # Panics
    /// Where FRR does not answer or refuses the command.
    #[track_caller]
    pub fn vtysh(&self, command: &str) -> String {
        self.words(&["-c", command])
    }

    /// Changes the running configuration by these lines, in order: `router bgp 65100`, `no network 10.0.0.0/8`.
    ///
    /// # Panics
    /// Where FRR refuses one of them.
    #[track_caller]
    pub fn configure(&self, lines: &[&str]) {
        let mut words = vec!["-c", "configure terminal"];
        words.extend(lines.iter().flat_map(|line| ["-c", line]));
        self.words(&words);
    }

    #[track_caller]
    fn words(&self, words: &[&str]) -> String {
        ask(&self.folder, words)
            .unwrap_or_else(|message| panic!("{}: vtysh {}: {message}", self.name, words.join(" ")))
    }

    /// Everything that bgpd has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.bgpd.log()
    }

    /// Kills bgpd and starts it anew with the same configuration. Its first one is kept in its folder; what was changed
    /// since is lost, as with a router whose configuration was not saved.
    ///
    /// # Panics
    /// As [`Frr::start`].
    #[track_caller]
    pub fn restart_bgpd(&mut self, sandbox: &Sandbox, namespace: &Netns) {
        self.bgpd.kill();
        // bgpd alone reads it, at once: it is configured before it says anything to anybody.
        self.bgpd = daemon(sandbox, namespace, &self.name, &self.folder, "bgpd", "frr.conf");
    }

    /// Starts bfdd beside the others, and configures it by these lines: `bfd`, `peer 192.0.2.1`.
    ///
    /// # Panics
    /// Where it is missing or refuses one of them.
    #[track_caller]
    pub fn start_bfdd(&mut self, sandbox: &Sandbox, namespace: &Netns, lines: &[&str]) {
        self.bfdd = Some(daemon(sandbox, namespace, &self.name, &self.folder, "bfdd", "/dev/null"));
        self.configure(lines);
    }

    /// bgpd's process, to signal, end or read.
    pub fn bgpd(&mut self) -> &mut Daemon {
        &mut self.bgpd
    }
}

/// An empty folder of user `frr`.
fn owned(folder: &Path) -> Result<(), String> {
    let user = nix::unistd::User::from_name(USER).ok().flatten();
    let user = user.ok_or_else(|| format!("there is no user {USER}: package frr"))?;
    let made = fs::create_dir_all(folder);
    let given = made
        .and_then(|()| std::os::unix::fs::chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())));
    given.map_err(|error| format!("{}: {error}", folder.display()))
}

/// Starts one daemon with a configuration of the folder or none, and waits until it answers.
#[track_caller]
fn daemon(
    sandbox: &Sandbox,
    namespace: &Netns,
    name: &str,
    folder: &Path,
    program: &str,
    config: &str,
) -> Daemon {
    let path = Path::new(FOLDER).join(program);
    assert!(path.is_file(), "{} is missing: package frr", path.display());
    // At first its own file stays empty: what it is to be comes by vtysh, as in an installation with one frr.conf.
    let mut command = namespace.exec(path, ["-P", "0", "--log", "stdout", "-f"]);
    command.arg(folder.join(config));
    command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api"));
    command.arg("-i").arg(folder.join(format!("{program}.pid")));
    let mut daemon = sandbox.daemon(&format!("{name}-{program}"), command);
    daemon.wait_ready(|| ask(folder, &["-d", program, "-c", "show version"]));
    daemon
}

/// What vtysh prints; a refusal is an error.
fn ask(folder: &Path, words: &[&str]) -> Result<String, String> {
    let program = need::find("vtysh").ok_or("vtysh is missing: package frr")?;
    let mut command = Command::new(program);
    command.arg("--vty_socket").arg(folder).arg("--config_dir").arg(folder).args(words);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim().to_owned())
}
