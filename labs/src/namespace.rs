//! Entering namespaces: the one file of this package with unsafe code.
//!
//! A namespace belongs to a thread. What is entered here is entered by a thread made for it or by a child between
//! fork and exec, never by a thread that somebody else goes on using.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, setns};

/// Makes `command` start inside the network namespace behind `file` (`/run/netns/NAME`, `/proc/PID/ns/net`).
///
/// The file is opened here, so the namespace may lose its name before the command is spawned. Mounts stay those of
/// the caller: `/sys/class/net` shows the caller's links, `/proc/sys/net` those of the namespace.
pub fn enter_network_on_exec(command: &mut Command, file: &Path) -> io::Result<()> {
    let namespace = File::open(file)?;
    let enter = move || setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
    before_exec(command, enter);
    Ok(())
}

/// Makes `command` die with the thread that spawns it, by `SIGKILL`.
pub fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    before_exec(command, move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // The parent may have died before the line above; 0 is a parent outside of this pid namespace.
        let alive = [parent, nix::unistd::Pid::from_raw(0)].contains(&nix::unistd::getppid());
        if alive { Ok(()) } else { Err(io::Error::other("the parent is gone")) }
    });
}

#[allow(unsafe_code)]
fn before_exec(command: &mut Command, step: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: both steps above make system calls only (setns, prctl, getppid) on values made before the fork; they
    // take no lock and allocate nothing unless they fail, in which case the child ends without running the program.
    unsafe {
        command.pre_exec(step);
    }
}

/// Runs `work` on a fresh thread inside the network namespace behind `file`.
///
/// Sockets that `work` makes stay in that namespace for their life. `/proc/net` is the process's; a thread reads
/// `/proc/thread-self/net`.
///
/// # Panics
/// With the panic of `work`, and where the namespace cannot be entered.
pub fn in_network<R: Send>(file: &Path, work: impl FnOnce() -> R + Send) -> R {
    let entered = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let namespace = File::open(file)?;
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok::<R, io::Error>(work())
        });
        thread.join()
    });
    match entered {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("network namespace {}: {error}", file.display()),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
