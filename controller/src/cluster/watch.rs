//! A task that reads a directory of manifests again whenever it changed, and
//! tells the agent what it holds.
//!
//! A file that is being written is waited for: data without the closing of the
//! file is half a manifest. The wait ends with the close, with the file's end,
//! or after `PATIENCE`. A directory that vanished is looked for once a
//! `RETRY`, because nothing announces a path's return.
//!
//! Cancel-safe: dropping the task ends the watch and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::directory;
use super::object::{Problem, SourceEvent};

/// How long a file may stay open for writing before it is read as it stands.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a directory that cannot be watched is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// How long the word of a change may be on its way.
const LAG: Duration = Duration::from_millis(20);

/// The end of writing a file.
const CLOSED: AccessKind = AccessKind::Close(AccessMode::Write);

type Notices = mpsc::UnboundedReceiver<notify::Result<notify::Event>>;

/// Watches until the receiver of `events` is gone.
pub async fn run(path: PathBuf, events: mpsc::Sender<SourceEvent>) {
    let mut told = Told { last: None, events };
    loop {
        // The watch comes first and the reading second, so that no change falls between them.
        let Ok(mut watched) = watch(&path) else {
            if told.tell(read(&path).await).await.is_err() {
                return;
            }
            tokio::select! {
                () = told.events.closed() => return,
                () = tokio::time::sleep(RETRY) => continue,
            }
        };
        while watched.is_of(&path) {
            let event = read(&path).await;
            // What changed while it was read was perhaps read in halves. The word of it comes by another thread.
            tokio::time::sleep(LAG).await;
            if !watched.has_news() && told.tell(event).await.is_err() {
                return;
            }
            tokio::select! {
                () = told.events.closed() => return,
                settled = watched.settled() => if settled.is_err() { break },
            }
        }
    }
}

async fn read(path: &Path) -> SourceEvent {
    let directory = path.to_owned();
    let broken = |text| SourceEvent::Broken(vec![Problem::anywhere(text)]);
    match tokio::task::spawn_blocking(move || directory::read(&directory)).await {
        Ok(Ok(objects)) => SourceEvent::Objects(Arc::new(objects)),
        Ok(Err(problems)) => SourceEvent::Broken(problems),
        Err(error) => broken(format!("directory {}: {error}", path.display())),
    }
}

/// What the agent was told last, and the way to it.
struct Told {
    last: Option<SourceEvent>,
    events: mpsc::Sender<SourceEvent>,
}

impl Told {
    /// Tells what is news.
    async fn tell(&mut self, event: SourceEvent) -> Result<(), mpsc::error::SendError<SourceEvent>> {
        if self.last.as_ref() == Some(&event) {
            return Ok(());
        }
        self.last = Some(event.clone());
        self.events.send(event).await
    }
}

/// A watch on one directory, named by what it is and not by its path.
struct Watch {
    identity: Option<(u64, u64)>,
    notices: Notices,
    writing: BTreeSet<PathBuf>,
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn watch(path: &Path) -> notify::Result<Watch> {
    let (sender, notices) = mpsc::unbounded_channel();
    let identity = identity(path);
    let mut watcher = notify::recommended_watcher(move |notice: notify::Result<notify::Event>| {
        // Whoever reads, we among them, changes nothing.
        let reads = |kind| matches!(kind, EventKind::Access(access) if access != CLOSED);
        if !notice.as_ref().is_ok_and(|notice| reads(notice.kind)) {
            // The receiver goes with the watch alone.
            let _ = sender.send(notice);
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(Watch { identity, notices, writing: BTreeSet::new(), _watcher: watcher })
}

/// The watch broke: it has to be made again.
struct Broke;

impl Watch {
    /// Whether the path still leads to what is watched.
    fn is_of(&self, path: &Path) -> bool {
        self.identity.is_some() && identity(path) == self.identity
    }

    /// Whether something happened that [`Watch::settled`] has not seen.
    fn has_news(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Waits for a change, and until no file is open for writing.
    async fn settled(&mut self) -> Result<(), Broke> {
        let mut changed = false;
        let mut patience: Option<Instant> = None;
        loop {
            let due = patience.unwrap_or_else(|| Instant::now() + PATIENCE);
            let notice = tokio::select! {
                notice = self.notices.recv() => notice.ok_or(Broke)?.map_err(|_| Broke)?,
                () = tokio::time::sleep_until(due), if patience.is_some() => {
                    self.writing.clear();
                    return Ok(());
                }
            };
            changed |= self.note(&notice);
            while let Ok(notice) = self.notices.try_recv() {
                changed |= self.note(&notice.map_err(|_| Broke)?);
            }
            if changed && self.writing.is_empty() {
                return Ok(());
            }
            if patience.is_none() && !self.writing.is_empty() {
                patience = Some(due);
            }
        }
    }

    /// Whether the notice means that a file is whole, new or gone.
    fn note(&mut self, notice: &notify::Event) -> bool {
        if notice.need_rescan() {
            self.writing.clear();
            return true;
        }
        match notice.kind {
            EventKind::Access(access) => {
                self.writing.retain(|path| !notice.paths.contains(path));
                access == CLOSED
            }
            EventKind::Modify(ModifyKind::Data(_)) => {
                self.writing.extend(notice.paths.iter().cloned());
                false
            }
            // Names and permissions change at once, not in pieces.
            EventKind::Remove(_) | EventKind::Modify(_) => {
                self.writing.retain(|path| !notice.paths.contains(path));
                true
            }
            // A new file is closed later, unless it is a link to a whole one.
            EventKind::Create(_) | EventKind::Any | EventKind::Other => {
                let empty =
                    |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0);
                let open: Vec<PathBuf> = notice.paths.iter().filter(|path| empty(path)).cloned().collect();
                let whole = open.is_empty();
                self.writing.extend(open);
                whole
            }
        }
    }
}
