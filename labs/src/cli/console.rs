//! What every verb shares with the one who called it: standard output, and becoming root.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::{cache, debian, interrupt, program};

/// Writes a result; a reader that closed the pipe has had enough.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Namespaces need root: as somebody else, the same command runs once more by sudo and its exit code is given.
pub(super) fn by_sudo(args: &[&str]) -> anyhow::Result<Option<ExitCode>> {
    if nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    let own = program::own();
    let mut command = debian::as_root("env")?;
    // sudo starts with an environment of its own.
    if let Some(package) = std::env::var_os(program::PACKAGE) {
        command.arg(format!("{}={}", program::PACKAGE, package.display()));
    }
    command.arg(format!("{}={}", cache::VARIABLE, cache::folder().display()));
    command.arg(own);
    interrupt::watch()?;
    let status = interrupt::status(command.args(args))?;
    Ok(Some(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))))
}
