//! A file that is there as a whole or not at all: temporary file, fsync, rename, fsync of the folder.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes `path` hold `content`, readable by everybody, and says whether it did not before. What is there already is
/// not written again: a reader that watches the folder is not woken for nothing.
///
/// # Errors
/// Those of the file system; the file before is whole then.
pub(super) fn hold(path: &Path, content: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|held| held == content) {
        return Ok(false);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    // A name that no runtime takes for a configuration: they look at what a name ends with.
    let mut temporary = name.to_owned();
    temporary.push(".new");
    let temporary = folder.join(temporary);
    let written = fresh(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| {
        // What is there of it would only take room on a disk that is full.
        let _ = fs::remove_file(&temporary);
    })?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

fn fresh(temporary: &Path, content: &[u8]) -> io::Result<()> {
    // One that a crash has left; nobody else writes here.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(temporary)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.d/10-underlay.conflist");
        assert!(hold(&path, b"one").unwrap());
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.permissions().mode() & 0o777, 0o644);
        assert!(!hold(&path, b"one").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());
        // What a crash has left is in nobody's way.
        fs::write(path.with_file_name("10-underlay.conflist.new"), b"half").unwrap();
        assert!(hold(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_ne!(fs::metadata(&path).unwrap().ino(), first.ino());
        let names: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["10-underlay.conflist"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        hold(&path, b"one").unwrap();
        // A folder with something in it stands where the temporary file would.
        let temporary = folder.path().join("ready.new");
        fs::create_dir_all(temporary.join("full")).unwrap();
        assert!(hold(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
