//! ExaBGP as a peer: its configuration is the test's, its events go to a file, its commands come by a pipe.
//!
//! It is not of Debian: `cargo lab test` puts it into a virtual environment of Python's, once.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::stat::Mode;

use crate::cache;
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// A running ExaBGP.
#[derive(Debug)]
pub struct Exabgp {
    name: String,
    events: PathBuf,
    commands: PathBuf,
    daemon: Daemon,
}

impl Exabgp {
    /// Starts ExaBGP in `namespace` with the configuration `config`, whose neighbors name the processes `events` and
    /// `commands`. `name` tells several of a test apart.
    ///
    /// # Panics
    /// Where ExaBGP is missing.
    #[track_caller]
    pub fn start(sandbox: &Sandbox, namespace: &Netns, name: &str, config: &str) -> Self {
        let folder = sandbox.folder().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let [file, events, commands] = ["exabgp.conf", "events", "commands"].map(|name| folder.join(name));
        fs::write(&events, "").unwrap_or_else(|error| panic!("{}: {error}", events.display()));
        nix::unistd::mkfifo(&commands, Mode::S_IRWXU)
            .unwrap_or_else(|error| panic!("{}: {error}", commands.display()));
        // What ExaBGP tells goes to both, and it waits for who does not read.
        let processes = format!(
            "process events {{ run /bin/sh -c \"cat >> {}\"; encoder json; }}\n\
             process commands {{ run /bin/sh -c \"exec 3<&0; cat <&3 >/dev/null & while cat {}; do :; done\"; \
             encoder text; }}\n",
            events.display(),
            commands.display()
        );
        fs::write(&file, processes + config).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { name: name.to_owned(), events, commands, daemon: run(sandbox, namespace, name) }
    }

    /// Kills it and starts another in its place, which tells its own events alone.
    ///
    /// # Panics
    /// As [`Exabgp::start`].
    #[track_caller]
    pub fn restart(&mut self, sandbox: &Sandbox, namespace: &Netns) {
        self.daemon.kill();
        fs::write(&self.events, "").unwrap_or_else(|error| panic!("{}: {error}", self.events.display()));
        self.daemon = run(sandbox, namespace, &self.name);
    }

    /// Everything that ExaBGP has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// What it told so far, one JSON document a line.
    #[must_use]
    pub fn events(&self) -> String {
        fs::read_to_string(&self.events).unwrap_or_default()
    }

    /// Gives it a command: `announce route 10.0.0.0/24 next-hop 10.0.1.1`.
    ///
    /// # Panics
    /// Where its pipe cannot be written to.
    #[track_caller]
    pub fn command(&self, command: &str) {
        let opened = fs::File::options().write(true).open(&self.commands);
        let written = opened.and_then(|mut pipe| writeln!(pipe, "{command}"));
        written.unwrap_or_else(|error| panic!("{}: {command}: {error}", self.name));
    }
}

#[track_caller]
fn run(sandbox: &Sandbox, namespace: &Netns, name: &str) -> Daemon {
    let program = cache::exabgp();
    assert!(program.is_file(), "{} is missing: `cargo lab test` brings it", program.display());
    let mut command: Command = namespace.exec(program, ["server"]);
    command.arg(sandbox.folder().join(name).join("exabgp.conf"));
    for (name, value) in
        [("daemon_user", "root"), ("api_ack", "false"), ("api_cli", "false"), ("log_destination", "stderr")]
    {
        command.env(format!("exabgp_{name}"), value);
    }
    sandbox.daemon(name, command)
}
