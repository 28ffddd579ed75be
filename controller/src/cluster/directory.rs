//! A directory of manifests as one set of objects: every `*.yaml`, `*.yml` and
//! `*.json` directly in it, hidden names left out. One bad file spoils the set,
//! because a set without that file is one that nobody wrote.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::manifest;
use super::object::{Objects, Problem};

/// A file larger than this is refused: it is not a manifest of this project,
/// and YAML in memory is many times its size.
const FILE_LIMIT: u64 = 16 << 20;

/// Reads the directory.
///
/// # Errors
/// Every problem of every file, ordered by file; an unreadable, vanished or
/// empty directory.
pub fn read(directory: &Path) -> Result<Objects, Vec<Problem>> {
    let files = files(directory)
        .map_err(|error| vec![Problem::anywhere(format!("directory {}: {error}", directory.display()))])?;
    if files.is_empty() {
        let text = format!("directory {} holds no *.yaml, *.yml or *.json", directory.display());
        return Err(vec![Problem::anywhere(text)]);
    }
    let mut objects = Objects::default();
    let mut problems = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match text(&file) {
            Ok(text) => {
                let before = objects.secrets.len();
                manifest::read(&name, &text, &mut objects, &mut problems);
                let mode = fs::metadata(&file).map_or(0, |metadata| metadata.mode());
                if objects.secrets.len() > before && mode & 0o007 != 0 {
                    let text = format!(
                        "{name}: holds a Secret, and its mode {:04o} lets everybody at it",
                        mode & 0o7777
                    );
                    objects.warnings.push(Problem::anywhere(text));
                }
            }
            Err(error) => problems.push(Problem::anywhere(format!("{name}: {error}"))),
        }
    }
    let empty = objects.secrets.is_empty()
        && objects.fabrics.is_empty()
        && objects.peers.is_empty()
        && objects.nodes.is_empty()
        && objects.services.is_empty()
        && objects.slices.is_empty();
    if problems.is_empty() && empty {
        let text = format!("the files of directory {} hold no object", directory.display());
        problems.push(Problem::anywhere(text));
    }
    if problems.is_empty() { Ok(objects) } else { Err(problems) }
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let known = matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json"));
        // A link counts as what it points to: a mounted ConfigMap is made of links.
        if !hidden && known && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(file: &Path) -> io::Result<String> {
    let metadata = fs::metadata(file)?;
    if !metadata.is_file() {
        // Reading a pipe would wait for a writer.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
    }
    let size = metadata.len();
    if size > FILE_LIMIT {
        let text = format!("{size} bytes are more than the {FILE_LIMIT} that a manifest may have");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let bytes = fs::read(file)?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}
