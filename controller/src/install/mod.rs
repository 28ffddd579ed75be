//! The CNI plugin's binary, put in the place where runtimes look for it.
//!
//! ```text
//! source ─> .underlay-cni.PID.new (0755, written, fsync) ─> rename ─> underlay-cni ─> fsync of the folder
//! ```
//!
//! A runtime that starts the plugin meanwhile gets the old file or the new one, whole; one that
//! executes the old one goes on. No other file of the folder is opened, changed or removed but
//! those that an interrupted installation of ours left.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The name of the plugin's binary, which is its type in a network configuration.
pub const PLUGIN: &str = "underlay-cni";

/// Where runtimes look for plugins unless told otherwise.
pub const BIN_DIR: &str = "/opt/cni/bin";

/// Everybody may execute it, its owner alone may replace it.
const MODE: u32 = 0o755;

/// More than the binary ever has: what is larger is another file.
const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// The first bytes of a program that Linux executes itself.
const ELF: &[u8] = b"\x7fELF";

/// What an installation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The file was not there.
    New,
    /// Another one was in its place.
    Replaced,
    /// It was there already, byte for byte.
    Same,
}

/// Puts the plugin `source` into `folder`, and tells its path and what was done.
///
/// # Errors
/// A source that is no program or cannot be read; a folder that cannot be written to. What was
/// in place is in place then. The text names the file.
pub fn install(source: &Path, folder: &Path) -> io::Result<(PathBuf, Installed)> {
    let content = program(source)?;
    fs::create_dir_all(folder).map_err(|error| about(folder, &error))?;
    forget(folder)?;
    let target = folder.join(PLUGIN);
    let before = fs::read(&target);
    let executable = fs::metadata(&target).is_ok_and(|file| file.permissions().mode() & 0o111 == 0o111);
    if executable && before.as_ref().is_ok_and(|before| *before == content) {
        return Ok((target, Installed::Same));
    }
    let temporary = folder.join(format!(".{PLUGIN}.{}.new", std::process::id()));
    let written = write(&temporary, &content)
        .and_then(|()| fs::rename(&temporary, &target).map_err(|error| about(&target, &error)));
    if let Err(error) = written {
        // The error counts; what is left is taken away by the next installation.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| about(folder, &error))?;
    Ok((target, if before.is_ok() { Installed::Replaced } else { Installed::New }))
}

/// The bytes of a program.
fn program(source: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(source).map_err(|error| about(source, &error))?;
    file.take(SIZE_MAX + 1).read_to_end(&mut content).map_err(|error| about(source, &error))?;
    if !content.starts_with(ELF) || content.len() as u64 > SIZE_MAX {
        let text = format!("{}: this is not the plugin's binary", source.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(content)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        // The mode of a new file goes through the umask.
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| about(path, &error))
}

/// Removes what interrupted installations left: files that only they name so.
fn forget(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).map_err(|error| about(folder, &error))? {
        let entry = entry.map_err(|error| about(folder, &error))?;
        let name = entry.file_name();
        let of_ours = name.to_str().and_then(|name| {
            name.strip_prefix(&format!(".{PLUGIN}."))?.strip_suffix(".new")?.parse::<u32>().ok()
        });
        if of_ours.is_some() {
            fs::remove_file(entry.path()).map_err(|error| about(&entry.path(), &error))?;
        }
    }
    Ok(())
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
