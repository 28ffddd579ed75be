//! What Debian does not have in the version that tests want: ExaBGP, in a virtual environment of its own.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{cache, interrupt};

/// Installs ExaBGP where it is missing, and says so.
///
/// # Errors
/// A Python without `venv`, or a package index that does not answer.
pub fn install() -> anyhow::Result<()> {
    if cache::exabgp().is_file() {
        return Ok(());
    }
    let folder = cache::exabgp_folder();
    eprintln!(
        "    installing ExaBGP {} of PyPI into {}: it is a BGP peer of the interoperability tests",
        cache::EXABGP,
        folder.display()
    );
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("the Debian package python3-venv brings it")?;
    // The program is written last: where it is, all of it is.
    let wanted = format!("exabgp=={}", cache::EXABGP);
    run(Command::new(folder.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &wanted,
    ]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = interrupt::output(command).with_context(|| format!("{command:?}"))?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", message.trim());
    Ok(())
}
