//! A program that a test starts and ends.
//!
//! Its output goes to a file. It is killed when dropped, and a test that is failing at that moment keeps the file
//! in `target/failures/TEST/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{self, Look};

/// A started program is given this long to become ready, and to end when asked.
const LIMIT: Duration = Duration::from_secs(20);

/// A running program.
#[derive(Debug)]
pub struct Daemon {
    test: String,
    name: String,
    log: PathBuf,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Daemon {
    /// Starts `command`; both its outputs are appended to `NAME.log` in `folder`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[track_caller]
    pub fn spawn(test: &str, folder: &Path, name: &str, mut command: Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let open = || File::options().create(true).append(true).open(&log);
        let started = open()
            .and_then(|out| Ok((out, open()?)))
            .and_then(|(out, err)| command.stdin(Stdio::null()).stdout(out).stderr(err).spawn());
        let child = started.unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        Self { test: test.to_owned(), name: name.to_owned(), log, child, ended: None }
    }

    /// Waits until `look` gives a value.
    ///
    /// # Panics
    /// Where the program ends before that, or after twenty seconds; with the end of its output.
    #[track_caller]
    pub fn wait_ready<L: Look>(&mut self, look: impl FnMut() -> L) -> L::Value {
        self.wait_ready_within(LIMIT, look)
    }

    /// Like [`Daemon::wait_ready`], for a program that needs longer on a busy machine.
    ///
    /// # Panics
    /// Where the program ends before that, or after `limit`; with the end of its output.
    #[track_caller]
    pub fn wait_ready_within<L: Look>(&mut self, limit: Duration, mut look: impl FnMut() -> L) -> L::Value {
        let what = format!("{} to be ready", self.name);
        let mut died = false;
        let ready = wait::attempt(&what, limit, || {
            if let Some(status) = self.status() {
                died = true;
                return Ok(Err(format!("it ended: {status}")));
            }
            look().seen().map(Ok)
        });
        match ready.and_then(|value| value) {
            Ok(value) => value,
            Err(message) => panic!("{}: {message}\n{}", self.name, self.tail()),
        }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Everything that the program has printed.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Sends `signal`; a program that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id fits an i32"));
            // It may end between the two lines; it is a zombie then, never another process.
            let _ = kill(pid, signal);
        }
    }

    /// Asks the program to end (`SIGTERM`) and waits for it.
    ///
    /// # Panics
    /// Where it has not ended after twenty seconds.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let what = format!("{} to end", self.name);
        wait::until(&what, LIMIT, || self.status())
    }

    /// Ends the program at once (`SIGKILL`) and waits for it.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let folder = crate::program::failure_folder(&self.test);
            let kept = folder.join(format!("{}.log", self.name));
            match fs::create_dir_all(&folder).and_then(|()| fs::copy(&self.log, &kept)) {
                Ok(_) => eprintln!("output of {} is in {}", self.name, kept.display()),
                Err(error) => eprintln!("output of {} is lost: {error}", self.name),
            }
        }
    }
}
