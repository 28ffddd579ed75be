//! A test's private machine: it runs once more in a child with namespaces of its own.
//!
//! ```text
//! test process ── thread: unshare(net, mnt, pid, uts, ipc), mounts ── child = pid 1: the same test, alone
//!      ^                                                                     │
//!      └── "finished" over a socket, exit status, output as it comes ────────┘
//! ```
//!
//! The child has an empty `/run` and `/var/lib`, its own `/proc`, loopback up and no other link, so names of
//! namespaces, sockets and state never collide between tests or with the machine. It dies with its parent, and the
//! kernel ends every process of its pid namespace with it: nothing has to be cleaned up, whatever happens.
//! A child that did not run the test to its end (a wrong name, an early exit) is a failure.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::daemon::Daemon;
use crate::namespace;
use crate::netns::Netns;

/// Names the test that the child has to run; set in the child alone.
const VARIABLE: &str = "UNDERLAY_SANDBOX";
const FINISHED: &str = "finished";

/// Runs the test that it stands in inside a sandbox: `labs::sandbox!(|sandbox| { … })`.
///
/// What stands before it (`labs::require!`) runs in both processes, what stands behind it only outside.
#[macro_export]
macro_rules! sandbox {
    ($body:expr) => {{
        fn here() {}
        let test = $crate::need::test_name(::std::any::type_name_of_val(&here));
        $crate::sandbox::run(&test, $body)
    }};
}

/// The private machine, seen from inside.
#[derive(Debug)]
pub struct Sandbox {
    test: String,
    folder: PathBuf,
}

/// Runs `body` in a sandbox. `test` is the full name of the calling test; [`sandbox!`](crate::sandbox!) knows it.
///
/// # Panics
/// Where the test fails in the sandbox, or the sandbox cannot be made (it takes root).
#[track_caller]
pub fn run(test: &str, body: impl FnOnce(&Sandbox)) {
    if std::env::var(VARIABLE).is_ok_and(|name| name == test) {
        let (sandbox, mut parent) = Sandbox::inside(test).unwrap_or_else(|error| panic!("{test}: {error}"));
        body(&sandbox);
        parent.write_all(FINISHED.as_bytes()).unwrap_or_else(|error| panic!("{test}: parent: {error}"));
        // What follows in the test is the parent's to run.
        std::process::exit(0);
    }
    // The child dies with the thread that made it, and the namespaces are that thread's.
    let ended = std::thread::scope(|scope| scope.spawn(|| outside(test)).join());
    match ended {
        Ok(Ok((status, word))) if status.success() && word == FINISHED => {}
        Ok(Ok((status, _))) if status.success() => panic!("{test}: no test of this name ran in the sandbox"),
        Ok(Ok((status, _))) => panic!("{test}: failed in its sandbox: {}", describe(status)),
        Ok(Err(error)) => panic!("{test}: sandbox: {error}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn describe(status: ExitStatus) -> String {
    status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"))
}

fn outside(test: &str) -> io::Result<(ExitStatus, String)> {
    let failures = crate::program::failure_folder(test);
    if failures.exists() {
        fs::remove_dir_all(&failures)?;
    }
    unshare(
        CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )?;
    private_mounts()?;
    let (mut socket, far) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]).env(VARIABLE, test).stdin(Stdio::from(OwnedFd::from(far)));
    namespace::die_with_parent(&mut command);
    let mut child = command.spawn()?;
    drop(command);
    let status = child.wait()?;
    let mut word = String::new();
    socket.shutdown(Shutdown::Write)?;
    socket.read_to_string(&mut word)?;
    Ok((status, word))
}

/// Mounts of the calling thread's own mount namespace: nothing propagates back, `/run` and `/var/lib` are empty.
pub(crate) fn private_mounts() -> io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let kept = program_folders_below(&["/run", "/var/lib"])?;
    for folder in ["/run", "/var/lib"] {
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=755"),
        )?;
    }
    for (handle, path) in kept {
        fs::create_dir_all(&path)?;
        let source = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
        mount(Some(source.as_str()), &path, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    // Sockets and pid files of the daemons that tests start: their folders are compiled in.
    for folder in ["/run/netns", "/run/lock", "/run/bird", "/run/frr", "/run/openbgpd"] {
        fs::create_dir_all(folder)?;
    }
    if crate::need::met("frr") {
        // Each daemon of FRR makes a folder in there, and one that is killed leaves it.
        let folder = "/var/tmp/frr";
        fs::create_dir_all(folder)?;
        mount(
            Some("tmpfs"),
            folder,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=755"),
        )?;
    }
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none)?;
    Ok(())
}

/// The build's own folder where an empty file system would hide it, held open across the mount.
fn program_folders_below(hidden: &[&str]) -> io::Result<Vec<(fs::File, PathBuf)>> {
    let build = crate::program::build_folder();
    let covered = hidden.iter().any(|folder| build.starts_with(folder));
    if covered { Ok(vec![(fs::File::open(&build)?, build)]) } else { Ok(Vec::new()) }
}

impl Sandbox {
    fn inside(test: &str) -> io::Result<(Self, UnixStream)> {
        let parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        // What the test starts must not hold the socket.
        nix::unistd::dup2_stdin(fs::File::open("/dev/null")?)?;
        Ok((Self::here(test)?, parent))
    }

    /// A private machine out of the calling process, which `unshare` started with network, mount and pid namespaces
    /// of its own, as their first process. `name` stands for the test's.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn adopt(name: &str) -> io::Result<Self> {
        private_mounts()?;
        Self::here(name)
    }

    fn here(test: &str) -> io::Result<Self> {
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
        if !up.success() {
            return Err(io::Error::other("ip link set lo up failed"));
        }
        let folder = PathBuf::from("/run/sandbox");
        fs::create_dir_all(&folder)?;
        Ok(Self { test: test.to_owned(), folder })
    }

    /// The full name of the test.
    #[must_use]
    pub fn test(&self) -> &str {
        &self.test
    }

    /// An empty folder of the test's own; gone afterwards.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new network namespace; see [`Netns::create`].
    ///
    /// # Panics
    /// Where it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn netns(&self, name: &str) -> Netns {
        Netns::create(name).unwrap_or_else(|error| panic!("network namespace {name}: {error}"))
    }

    /// A new network namespace that forwards both families; see [`Netns::forward`].
    ///
    /// # Panics
    /// Where it cannot be made.
    #[track_caller]
    #[must_use]
    pub fn router(&self, name: &str) -> Netns {
        let namespace = self.netns(name);
        namespace.forward();
        namespace
    }

    /// Wires `a` and `b` by a veth pair, both ends up.
    ///
    /// # Panics
    /// Where it cannot be made, with the command that failed.
    #[track_caller]
    pub fn link(&self, a: &Netns, a_end: &str, b: &Netns, b_end: &str) {
        a.link(a_end, b, b_end).unwrap_or_else(|message| panic!("{message}"));
    }

    /// Starts `command` as a daemon with its output in this sandbox's folder.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[track_caller]
    pub fn daemon(&self, name: &str, command: Command) -> Daemon {
        Daemon::spawn(&self.test, &self.folder, name, command)
    }
}
