//! The files' names, their shape, and how they are replaced as a whole, and read if they are files and not too large.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::object::Problem;

/// The name of the file with the passwords.
pub const PASSWORDS: &str = "passwords.json";

/// The shape of the files; another one is refused by name.
pub(super) const SHAPE: u64 = 1;

/// A file larger than this is refused: ten thousand nodes are a tenth of it.
const FILE_LIMIT: u64 = 64 << 20;

/// The journal beside a checkpoint.
#[must_use]
pub fn journal(checkpoint: &Path) -> PathBuf {
    checkpoint.with_extension("journal")
}

/// A problem of one of the files.
pub(super) fn problem(path: &Path, text: &str) -> Problem {
    Problem::anywhere(format!("checkpoint {}: {text}", path.display()))
}

pub(super) fn text(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        // Reading a pipe would wait for a writer.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    if metadata.len() > FILE_LIMIT {
        let text = format!("{} bytes are more than {FILE_LIMIT}", metadata.len());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    fs::read_to_string(path)
}

/// Puts a document in the place of a file.
pub(super) fn replace(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    // One that a crash has left; nobody else writes here.
    remove(&temporary)?;
    write(&temporary, path, document).inspect_err(|_| {
        // What is there of it would only take room on a disk that is full.
        let _ = fs::remove_file(&temporary);
    })?;
    sync_folder(path)
}

fn write(temporary: &Path, path: &Path, document: &impl Serialize) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut buffer = BufWriter::new(&file);
    serde_json::to_writer(&mut buffer, document)?;
    buffer.flush()?;
    drop(buffer);
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// Takes a file away, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes what has become of names in a file's folder last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
