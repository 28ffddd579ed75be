//! How a node is taken out of service, and the file that remembers it.
//!
//! The file lies beside the checkpoint and not in a runtime directory: a node that is drained for its maintenance is
//! mostly rebooted in the course of it, and is to come up as it went down. It is replaced as a whole (temporary
//! file, fsync, rename) and goes when the drain ends.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the file of an operator's drain.
pub const FILE: &str = "drain.json";

/// The name of the file of the Node's.
pub const NODE_FILE: &str = "cordon.json";

/// How long addresses of Services are shunned before they are withdrawn, if nothing is said of it: peers have gone
/// elsewhere in a second or two, and what they pass on takes as long again at each further router.
pub const WAIT: Duration = Duration::from_secs(30);

/// The shape of the file; another one is refused by name.
const SHAPE: u64 = 1;

/// The most letters of a reason: one line for people.
pub const REASON: usize = 200;

/// A file larger than this is none of ours.
const FILE_LIMIT: u64 = 64 << 10;

/// How a node is taken out of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Whether the prefixes of its pods are withdrawn, too.
    pub pods: bool,
    /// Why, in an operator's words; may be empty.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// When the addresses of Services are withdrawn; `None` for never.
    pub services: Option<Timestamp>,
}

impl Drain {
    /// How much of the wait for peers to go elsewhere is left at `now`, no more than all of it; `None` for a wait
    /// without end.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let whole = self.services?.duration_since(self.since);
        let left = self.services?.duration_since(now).min(whole);
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// The drain that takes the place of `before`: what that has withdrawn of Services stays so.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let withdrawn = before.and_then(|before| before.services).filter(|at| *at <= self.since);
        Self { services: withdrawn.or(self.services), ..self }
    }

    /// The drain in one line, such as `drained of its pods: kernel upgrade`.
    #[must_use]
    pub fn line(&self) -> String {
        let what = if self.pods { "drained of its pods" } else { "drained" };
        if self.reason.is_empty() { what.to_owned() } else { format!("{what}: {}", self.reason) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u64,
    pods: bool,
    reason: String,
    /// RFC 3339.
    since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Not there in what an agent before these has kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    services: Option<String>,
}

/// Reads the drain that holds; `None` if there is no file, or if its time is over at `now`.
///
/// # Errors
/// What is wrong with the file, with its path.
pub fn read(path: &Path, now: Timestamp) -> Result<Option<Drain>, String> {
    let problem = |text: String| format!("{}: {text}", path.display());
    let text = match fs::metadata(path) {
        Ok(file) if !file.is_file() => return Err(problem("is not a regular file".to_owned())),
        Ok(file) if file.len() > FILE_LIMIT => return Err(problem("is too large".to_owned())),
        Ok(_) => fs::read_to_string(path).map_err(|error| problem(error.to_string()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(error.to_string())),
    };
    let damaged = |error: &dyn std::fmt::Display| problem(format!("is damaged: {error}"));
    let document: Document = serde_json::from_str(&text).map_err(|error| damaged(&error))?;
    if document.version != SHAPE {
        return Err(problem(format!("is of version {}, and {SHAPE} is read", document.version)));
    }
    let time = |text: &str| text.parse::<Timestamp>().map_err(|error| damaged(&error));
    let until = document.until.as_deref().map(time).transpose()?;
    let since = time(&document.since)?;
    let services = document.services.as_deref().map(time).transpose()?;
    let services = services.or_else(|| since.checked_add(WAIT).ok());
    let Document { pods, reason, .. } = document;
    let drain = Drain { pods, reason, since, until, services };
    Ok(Some(drain).filter(|drain| drain.until.is_none_or(|until| until > now)))
}

/// Keeps a drain, or forgets the one that was kept.
///
/// # Errors
/// Those of the file system; what was kept before is kept then.
pub fn keep(path: &Path, drain: Option<&Drain>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match drain {
        Some(drain) => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            write(path, drain)?;
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        },
    }
    File::open(folder)?.sync_all()
}

fn write(path: &Path, drain: &Drain) -> io::Result<()> {
    let Drain { pods, reason, since, until, services } = drain;
    let text = |at: &Option<Timestamp>| at.map(|at| at.to_string());
    let (since, until, services) = (since.to_string(), text(until), text(services));
    let document = Document { version: SHAPE, pods: *pods, reason: reason.clone(), since, until, services };
    let text = serde_json::to_string(&document).map_err(io::Error::other)?;
    let temporary = path.with_extension("json.new");
    let replace = || {
        let mut options = File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    replace().inspect_err(|_| {
        // What is there of it would only take room on a disk that is full.
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn what_was_kept_is_read_until_its_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep").join(FILE);
        let (noon, one) = (time("2026-01-01T12:00:00Z"), time("2026-01-01T13:00:00Z"));
        assert_eq!(read(&path, noon), Ok(None));
        let drain = Drain {
            pods: true,
            reason: "a \"new\" disk".into(),
            since: noon,
            until: None,
            services: Some(one),
        };
        keep(&path, Some(&drain)).expect("kept");
        assert_eq!(read(&path, one), Ok(Some(drain.clone())));
        let drain = Drain { pods: false, until: Some(one), ..drain };
        keep(&path, Some(&drain)).expect("kept");
        assert_eq!(read(&path, noon), Ok(Some(drain)));
        assert_eq!(read(&path, one), Ok(None));
        keep(&path, None).expect("forgotten");
        keep(&path, None).expect("again");
        assert_eq!(read(&path, noon), Ok(None));
    }

    #[test]
    fn the_wait_goes_on_where_it_was_and_is_not_begun_anew() {
        let [noon, half, one] = ["12:00", "12:30", "13:00"].map(|at| time(&format!("2026-01-01T{at}:00Z")));
        let drain = |since, services| Drain {
            pods: false,
            reason: String::new(),
            since,
            until: None,
            services: Some(services),
        };
        let first = drain(noon, half);
        let minutes = |drain: &Drain, at| drain.wait(at).map(|left| left.as_secs() / 60);
        assert_eq!(minutes(&first, noon), Some(30));
        assert_eq!(minutes(&first, time("2026-01-01T12:20:00Z")), Some(10));
        assert_eq!(minutes(&first, one), Some(0));
        // The clock was set back meanwhile.
        assert_eq!(minutes(&first, time("2026-01-01T01:00:00Z")), Some(30));
        assert_eq!(minutes(&Drain { services: None, ..first.clone() }, one), None);
        // Withdrawn stays withdrawn; what is not withdrawn yet gets the new wait.
        assert_eq!(minutes(&drain(half, one).after(Some(&first)), half), Some(0));
        assert_eq!(minutes(&drain(noon, one).after(Some(&first)), noon), Some(60));
        // An agent before these has kept nothing of a wait.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let text = r#"{"version":1,"pods":false,"reason":"","since":"2026-01-01T12:00:00Z"}"#;
        fs::write(&path, text).expect("written");
        let read = read(&path, noon).expect("read").expect("a drain");
        assert_eq!(read.wait(noon), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        for (text, flaw) in [
            ("", "is damaged: "),
            ("{}", "is damaged: missing field"),
            (r#"{"version":1,"pods":true,"reason":"","since":"noon"}"#, "is damaged: "),
            (r#"{"version":2,"pods":true,"reason":"","since":""}"#, "is of version 2, and 1 is read"),
        ] {
            fs::write(&path, text).expect("written");
            let error = read(&path, Timestamp::now()).expect_err(text);
            assert!(error.starts_with(&path.display().to_string()) && error.contains(flaw), "{error}");
        }
        assert!(read(folder.path(), Timestamp::now()).expect_err("a folder").ends_with("not a regular file"));
    }
}
