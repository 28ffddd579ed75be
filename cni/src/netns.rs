//! The container's network namespace: opened, proven to be one, entered by a thread of its own.
//!
//! Invariant: the calling thread never changes its namespace, so nothing can be left in the
//! wrong one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};

use crate::error::{Code, Error, Result};

/// The calling thread's own namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    shown: String,
}

/// Why a path gives no namespace.
#[derive(Debug)]
pub enum Missing {
    /// Nothing is there, or what is there is no namespace: it has been deleted.
    Gone(Error),
    /// It may be there, but cannot be opened.
    Unknown(Error),
}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Gone(error) | Missing::Unknown(error) => error,
        }
    }
}

impl Namespace {
    /// The namespace at `path`.
    ///
    /// # Errors
    /// Code 8 for anything that is not a namespace's file.
    pub fn open(path: &Path) -> std::result::Result<Self, Missing> {
        let shown = path.display().to_string();
        let fail = |why: &str, details: String| {
            Error::new(Code::Namespace, format!("CNI_NETNS {shown} {why}")).with_details(details)
        };
        // Without O_NONBLOCK a FIFO of that name would block for ever.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|e| {
            let error = fail("cannot be opened", e.to_string());
            let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&e.kind());
            if gone { Missing::Gone(error) } else { Missing::Unknown(error) }
        })?;
        let kind = fstatfs(&file).map_err(|e| Missing::Unknown(fail("cannot be examined", e.to_string())))?;
        if kind.filesystem_type() != NSFS_MAGIC {
            return Err(Missing::Gone(fail("is not a network namespace", String::new())));
        }
        Ok(Self { file, shown })
    }

    /// An interface in our own namespace would be one of the node.
    ///
    /// # Errors
    /// Code 8 if this is ours.
    pub fn refuse_own(&self) -> Result<()> {
        if self.is_own()? {
            return Err(Error::new(Code::Namespace, "CNI_NETNS is the plugin's own network namespace")
                .with_details("set CNI_NETNS_OVERRIDE=1 if that is meant"));
        }
        Ok(())
    }

    /// Whether it is the namespace that this thread is in.
    fn is_own(&self) -> Result<bool> {
        let read = || Ok((std::fs::metadata(OWN)?, self.file.metadata()?));
        let (own, this) = read().map_err(|e: io::Error| Error::io(format_args!("examine {OWN}"), &e))?;
        Ok((own.dev(), own.ino()) == (this.dev(), this.ino()))
    }

    /// Runs `work` inside, on a thread of its own.
    ///
    /// # Errors
    /// Code 8 if it cannot be entered: another kind of namespace, or no permission.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.file, CloneFlags::CLONE_NEWNET).map_err(|e| {
                    Error::new(Code::Namespace, format!("CNI_NETNS {} cannot be entered", self.shown))
                        .with_details(e.desc())
                })?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|_| Err(Error::new(Code::Io, "the thread in CNI_NETNS panicked")))
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
