//! SIGINT, SIGTERM and SIGHUP as an error that travels up like any other, so that everything made is removed on the
//! way.
//!
//! Children that the runner waits for are killed by the same error; a second signal changes nothing.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::wait::{self, Look};

/// Longer than any build.
pub const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
/// A lab is removed within a second; a busy machine gets more.
const GRACE: Duration = Duration::from_secs(10);

static SEEN: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on the three signals are noted and do not end the process.
///
/// # Errors
/// Where the handlers cannot be installed.
pub fn watch() -> anyhow::Result<()> {
    let seen = SEEN.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(seen))?;
    }
    Ok(())
}

/// An error once a signal has come.
///
/// # Errors
/// `interrupted`.
pub fn check() -> anyhow::Result<()> {
    if SEEN.get().is_some_and(|seen| seen.load(Ordering::Relaxed)) {
        bail!("interrupted");
    }
    Ok(())
}

/// Runs a command to its end with the caller's input and output.
///
/// # Errors
/// A command that cannot be started, and an interrupt.
pub fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    let mut child = command.spawn().with_context(|| format!("{}", command.get_program().display()))?;
    ended(&mut child)
}

/// Runs a command to its end and collects what it prints.
///
/// # Errors
/// A command that cannot be started, and an interrupt.
pub fn output(command: &mut Command) -> anyhow::Result<Output> {
    output_of(command, &[])
}

/// Like [`output`], for a command that reads a short `input`: no longer than a pipe holds.
///
/// # Errors
/// A command that cannot be started, and an interrupt.
pub fn output_of(command: &mut Command, input: &[u8]) -> anyhow::Result<Output> {
    let name = command.get_program().display().to_string();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| name.clone())?;
    if let Some(mut pipe) = child.stdin.take()
        && let Err(error) = pipe.write_all(input)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(error).context(name);
    }
    // Threads of their own, left behind by an interrupt: a grandchild may hold the pipes open for long.
    let (out, err) = (child.stdout.take().map(reader), child.stderr.take().map(reader));
    let status = ended(&mut child)?;
    let text = |reader: Option<JoinHandle<io::Result<Vec<u8>>>>| match reader.map(JoinHandle::join) {
        Some(Ok(read)) => read.with_context(|| name.clone()),
        _ => bail!("{name}: its output is lost"),
    };
    Ok(Output { status, stdout: text(out)?, stderr: text(err)? })
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).map(|_| text)
    })
}

/// Waits for a child. An interrupt asks it to end, so that it can clean up and pass the word on (sudo, the test
/// runner), and kills it where it does not.
///
/// # Errors
/// The interrupt.
pub fn ended(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let end = until("a command", FOREVER, || child.try_wait().transpose());
    match end {
        Ok(status) => Ok(status?),
        Err(error) => {
            finish(child);
            Err(error)
        }
    }
}

fn finish(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // Not waited for yet, so the number is the child's, also where it has ended.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if wait::attempt("a command to end", GRACE, || matches!(child.try_wait(), Ok(Some(_)))).is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Lets a time pass.
///
/// # Errors
/// The interrupt.
pub fn pause(time: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        check()?;
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    check()
}

/// Waits for a condition with a deadline, or for an interrupt.
///
/// # Errors
/// The deadline, with what was seen last, or the interrupt.
pub fn until<L: Look>(what: &str, limit: Duration, mut look: impl FnMut() -> L) -> anyhow::Result<L::Value> {
    let end = wait::attempt(what, limit, || match check() {
        Err(error) => Ok(Err(error)),
        Ok(()) => look().seen().map(Ok),
    });
    end.unwrap_or_else(|message| Err(anyhow::anyhow!(message)))
}
