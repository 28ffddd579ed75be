//! Which file is written, and when: a change is a line of the journal, and a whole set is written where there is
//! nothing to add to, or the journal has become long beside it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::object::Objects;
use super::document::{self, Document, Each};
use super::file::{self, PASSWORDS, SHAPE};
use super::journal::{self, Line};

/// When a write that failed is tried again: a full disk is emptied in minutes.
const RETRY: Duration = Duration::from_secs(5);

/// How much longer than a write the pause after it is, and the longest: a cluster that changes all the time keeps a
/// disk busy for a twentieth of it, and what is kept is a few seconds old at most.
const SHARE: u32 = 20;
const LONGEST: Duration = Duration::from_secs(5);

/// A journal as long as this is no burden beside any checkpoint.
const SHORT: u64 = 64 << 10;

/// Writes the files of one checkpoint; nobody else does.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    node: String,
    /// What is on disk; `None` where that is not known, as after a failure.
    kept: Option<Kept>,
}

/// What is on disk.
#[derive(Debug)]
struct Kept {
    objects: Arc<Objects>,
    /// When the checkpoint was written: by that its journal knows it.
    base: Timestamp,
    /// The checkpoint's file, and its length.
    file: (u64, u64),
    /// The journal's length; zero where there is none.
    journal: u64,
}

impl Keeper {
    /// Of a checkpoint of which nothing is known yet.
    #[must_use]
    pub const fn new(path: PathBuf, node: String) -> Self {
        Self { path, node, kept: None }
    }

    /// Keeps a set; how many bytes were written. What that takes hangs on what has changed since the last one.
    ///
    /// # Errors
    /// Those of the file system; what can be read is a set of before, or this one.
    pub fn keep(&mut self, objects: &Arc<Objects>, now: Timestamp) -> io::Result<u64> {
        let Some(mut kept) = self.kept.take().filter(|kept| self.stands(kept)) else {
            return self.begin(objects, now);
        };
        let secrets = document::secrets(objects);
        let mut bytes = 0;
        if secrets != document::secrets(&kept.objects) {
            bytes += self.passwords(&secrets, now)?;
        }
        let line = Line::between(&kept.objects, objects, now).map_err(io::Error::other)?;
        if !line.is_empty() {
            let path = file::journal(&self.path);
            let more = journal::append(&path, kept.journal, (&self.node, kept.base), &line)?;
            kept.journal += more;
            bytes += more;
            if kept.journal > SHORT.max(kept.file.1 / 2) {
                return Ok(bytes + self.begin(objects, now)?);
            }
        }
        self.kept = Some(Kept { objects: Arc::clone(objects), ..kept });
        Ok(bytes)
    }

    /// Writes the set as a whole, and goes on from there.
    fn begin(&mut self, objects: &Arc<Objects>, now: Timestamp) -> io::Result<u64> {
        let bytes = self.whole(objects, now)?;
        let metadata = fs::metadata(&self.path)?;
        let file = (metadata.ino(), metadata.len());
        self.kept = Some(Kept { objects: Arc::clone(objects), base: now, file, journal: 0 });
        Ok(bytes)
    }

    /// Writes the set as a whole, the passwords first; the journal of the one before goes last, and says nothing of
    /// the new one should it stay.
    pub(super) fn whole(&mut self, objects: &Objects, now: Timestamp) -> io::Result<u64> {
        DirBuilder::new().recursive(true).mode(0o700).create(file::folder(&self.path))?;
        let passwords = self.passwords(&document::secrets(objects), now)?;
        let customs = document::customs(objects).map_err(io::Error::other)?;
        let nodes = || objects.nodes.iter().map(|(name, node)| document::core_node(name, &node.value));
        let services = || objects.services.iter().map(|(name, it)| document::core_service(name, &it.value));
        let slices = || objects.slices.iter().map(|(name, it)| document::endpoint_slice(name, &it.value));
        let all = || customs.iter().cloned().chain(nodes()).chain(services()).chain(slices());
        let written = self.write(&self.path, Each(all), now)?;
        file::remove(&file::journal(&self.path))?;
        Ok(passwords + written)
    }

    fn passwords(&self, secrets: &[Value], now: Timestamp) -> io::Result<u64> {
        let path = self.path.with_file_name(PASSWORDS);
        if secrets.is_empty() {
            return file::remove(&path).map(|()| 0);
        }
        self.write(&path, Each(|| secrets.iter().cloned()), now)
    }

    fn write(&self, path: &Path, objects: impl serde::Serialize, now: Timestamp) -> io::Result<u64> {
        let node = self.node.clone();
        file::replace(path, &Document { version: SHAPE, node, written_time: now.to_string(), objects })?;
        Ok(fs::metadata(path)?.len())
    }

    /// Whether the files are those that were written: a line behind anything else would be read by nobody.
    fn stands(&self, kept: &Kept) -> bool {
        let file = fs::metadata(&self.path).is_ok_and(|file| (file.ino(), file.len()) == kept.file);
        let journal = fs::metadata(file::journal(&self.path));
        file && journal.map_or(kept.journal == 0, |journal| journal.len() == kept.journal)
    }
}

/// Keeps the newest of `sets` on disk, until their sender is gone and the last is written. A failure is told
/// with the file and the reason, and tried again; what is told then is that there is none. Sets that come quickly
/// are not all written.
///
/// Cancel-safe: a write that has begun goes on by itself; what it leaves is a set of before or the new one.
pub async fn keep(
    path: PathBuf,
    node: String,
    mut sets: watch::Receiver<Option<Arc<Objects>>>,
    tell: impl Fn(Option<String>),
) {
    let mut keeper = Some(Keeper::new(path.clone(), node.clone()));
    // When the disk is free for the next one, and when the next one is to be written, if there is one.
    let (mut free_at, mut due) = (Instant::now(), None);
    loop {
        let open = tokio::select! {
            changed = sets.changed() => {
                if changed.is_ok() {
                    due.get_or_insert(free_at);
                }
                changed.is_ok()
            }
            () = sleep_until(due.unwrap_or(free_at)), if due.is_some() => true,
        };
        match due {
            None if !open => return,
            Some(due) if !open || due <= Instant::now() => {}
            _ => continue,
        }
        let began_at = Instant::now();
        let objects = sets.borrow_and_update().clone();
        // A write that has panicked has taken it along.
        let mut own = keeper.take().unwrap_or_else(|| Keeper::new(path.clone(), node.clone()));
        let write = move || {
            let done = objects.map_or(Ok(0), |objects| own.keep(&objects, Timestamp::now()));
            (own, done)
        };
        let error = match tokio::task::spawn_blocking(write).await {
            Ok((own, done)) => {
                keeper = Some(own);
                done.err().map(|error| error.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        free_at = Instant::now() + (began_at.elapsed() * SHARE).min(LONGEST);
        due = error.is_some().then(|| Instant::now() + RETRY);
        tell(error.map(|error| format!("{}: {error}", path.display())));
        if !open {
            return;
        }
    }
}
