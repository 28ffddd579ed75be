//! The file behind a network's [`Ledger`]: lock, temporary file, fsync, rename.
//!
//! Invariants: a [`Store`] holds the lock of its network from opening to drop, so what
//! happens between is one step for every other process of ours. The file is replaced as
//! a whole: a reader finds the old content or the new one. A file that is missing, empty
//! or foreign counts as an empty ledger; a foreign one is set aside for people to see.
//! That is safe because nobody hands out an address that is live in the kernel.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use api::netconf::RESERVATIONS_FILE;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result};
use crate::ledger::Ledger;

const LEDGER: &str = RESERVATIONS_FILE;
const LEDGER_NEW: &str = "reservations.json.new";
const LEDGER_FOREIGN: &str = "reservations.json.unreadable";
const LOCK: &str = "lock";

/// Where the kernel tells which boot this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// This boot's id, without white space.
///
/// # Errors
/// [`Code::Io`](crate::error::Code::Io) if the kernel does not tell it.
pub fn boot_id() -> Result<String> {
    let text = fs::read_to_string(BOOT_ID).map_err(|e| Error::io(format_args!("read {BOOT_ID}"), &e))?;
    Ok(text.trim().to_owned())
}

/// A network's ledger, locked.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    ledger: Ledger,
    // Held, never used: closing it gives the lock back.
    _lock: Flock<File>,
}

impl Store {
    /// Takes the lock of `network` below `state_dir`, waiting for it, and reads the ledger.
    ///
    /// # Errors
    /// [`Code::Io`](crate::error::Code::Io) if the folder cannot be made, locked or read.
    pub fn open(state_dir: &Path, network: &str, boot_id: &str) -> Result<Self> {
        let dir = folder(state_dir, network)?;
        let lock = lock(&dir)?;
        let path = dir.join(LEDGER);
        let ledger = match fs::read(&path) {
            Ok(bytes) => Ledger::decode(&bytes, boot_id).unwrap_or_else(|| {
                if !bytes.is_empty() {
                    // Best effort: what cannot be set aside is overwritten by the next save.
                    let _ = fs::rename(&path, dir.join(LEDGER_FOREIGN));
                }
                Ledger::new(boot_id)
            }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ledger::new(boot_id),
            Err(e) => return Err(Error::io(format_args!("read {}", path.display()), &e)),
        };
        Ok(Self { dir, ledger, _lock: lock })
    }

    /// The ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger, to change before [`Store::save`].
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Makes the ledger as it is here the one that the next process reads, and that the disk has.
    ///
    /// # Errors
    /// [`Code::Io`](crate::error::Code::Io); the file is then the one before.
    pub fn save(&self) -> Result<()> {
        self.replace(true)
    }

    /// Like [`Store::save`] after reservations were freed, without waiting for the disk: one that
    /// comes back is found dead when its address is needed, and none outlives a boot.
    ///
    /// # Errors
    /// [`Code::Io`](crate::error::Code::Io); the file is then the one before.
    pub fn save_release(&self) -> Result<()> {
        self.replace(false)
    }

    fn replace(&self, sync: bool) -> Result<()> {
        let path = self.dir.join(LEDGER_NEW);
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(&self.ledger.encode())?;
            if sync {
                // Without it a power failure may leave an empty file under the final name. The
                // folder itself needs none: after such a failure every reservation is void.
                file.sync_data()?;
            }
            fs::rename(&path, self.dir.join(LEDGER))
        };
        write().map_err(|e| {
            // What is there of it would only take room on a disk that is full.
            let _ = fs::remove_file(&path);
            Error::io(format_args!("write {}", path.display()), &e)
        })
    }
}

/// Makes the folder of `network` and proves that a file can be made in it.
///
/// # Errors
/// [`Code::Io`](crate::error::Code::Io) if not.
pub fn probe(state_dir: &Path, network: &str) -> Result<()> {
    let dir = folder(state_dir, network)?;
    nix::unistd::access(&dir, nix::unistd::AccessFlags::W_OK)
        .map_err(|e| Error::io(format_args!("write to {}", dir.display()), &e.into()))
}

fn folder(state_dir: &Path, network: &str) -> Result<PathBuf> {
    let dir = state_dir.join(network);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| Error::io(format_args!("make {}", dir.display()), &e))?;
    Ok(dir)
}

/// The lock on the file that has the lock's name: if somebody removed the folder while we
/// waited, the lock that we got is on a file that nobody else will find.
fn lock(dir: &Path) -> Result<Flock<File>> {
    let path = dir.join(LOCK);
    let fail = |e: &std::io::Error| Error::io(format_args!("lock {}", path.display()), e);
    loop {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| fail(&e))?;
        let file = match OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(fail(&e)),
        };
        let mut file = file;
        let lock = loop {
            match Flock::lock(file, FlockArg::LockExclusive) {
                Ok(lock) => break lock,
                Err((again, nix::errno::Errno::EINTR)) => file = again,
                Err((_, e)) => return Err(fail(&e.into())),
            }
        };
        let held = lock.metadata().map_err(|e| fail(&e))?;
        match fs::metadata(&path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(lock),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(fail(&e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::ledger::Reservation;

    fn reservation(n: u8) -> Reservation {
        Reservation {
            container: format!("c{n}"),
            interface: "eth0".into(),
            link: format!("ul{n}"),
            addresses: vec![IpAddr::from([10, 0, 0, n])],
            ..Reservation::default()
        }
    }

    #[test]
    fn what_was_saved_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), "net", "b").unwrap();
        store.ledger_mut().reserve(reservation(2));
        store.save().unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path(), "net", "b").unwrap().ledger().reservations(), [reservation(2)]);
        assert!(Store::open(dir.path(), "other", "b").unwrap().ledger().reservations().is_empty());
        assert!(Store::open(dir.path(), "net", "another-boot").unwrap().ledger().reservations().is_empty());
    }

    #[test]
    fn empty_and_foreign_files_are_an_empty_ledger() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("net")).unwrap();
        let path = dir.path().join("net").join(LEDGER);
        for content in [&b""[..], b"10.0.0.1\n"] {
            fs::write(&path, content).unwrap();
            assert!(Store::open(dir.path(), "net", "b").unwrap().ledger().reservations().is_empty());
        }
        assert_eq!(fs::read(dir.path().join("net").join(LEDGER_FOREIGN)).unwrap(), b"10.0.0.1\n");
    }

    #[test]
    fn a_store_is_exclusive() {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let writers: Vec<_> = (0..50)
            .map(|n| {
                let dir = dir.clone();
                thread::spawn(move || {
                    let mut store = Store::open(dir.path(), "net", "b").unwrap();
                    store.ledger_mut().reserve(reservation(n));
                    store.save().unwrap();
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(Store::open(dir.path(), "net", "b").unwrap().ledger().reservations().len(), 50);
    }

    #[test]
    fn a_folder_removed_under_the_lock_does_not_give_two_locks() {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let first = Store::open(dir.path(), "net", "b").unwrap();
        fs::remove_dir_all(dir.path().join("net")).unwrap();
        let second = Store::open(dir.path(), "net", "b").unwrap();
        second.save().unwrap();
        drop(first);
        let path = dir.path().join("net").join(LOCK);
        let other = Flock::lock(File::open(path).unwrap(), FlockArg::LockExclusiveNonblock);
        assert!(other.is_err(), "the second store holds the lock that others find");
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_an_io_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("net"), "").unwrap();
        assert_eq!(Store::open(dir.path(), "net", "b").unwrap_err().code, crate::error::Code::Io);
        assert!(probe(dir.path(), "net").is_err());
        probe(dir.path(), "net2").unwrap();
    }
}
