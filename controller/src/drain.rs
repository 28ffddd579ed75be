//! How a node is taken out of service, and the file that remembers it.
//!
//! The file lies beside the checkpoint and not in a runtime directory: a node that is drained for its maintenance is
//! mostly rebooted in the course of it, and is to come up as it went down. It is replaced as a whole (temporary
//! file, fsync, rename) and goes when the drain ends.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bgp::config;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the file.
pub const FILE: &str = "drain.json";

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
}

impl Drain {
    /// The same for the speaker.
    #[must_use]
    pub const fn level(drain: Option<&Self>) -> config::Drain {
        match drain {
            None => config::Drain::No,
            Some(Self { pods: false, .. }) => config::Drain::Shunned,
            Some(Self { pods: true, .. }) => config::Drain::Withheld,
        }
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
    let Document { pods, reason, .. } = document;
    let drain = Drain { pods, reason, since: time(&document.since)?, until };
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
    let Drain { pods, reason, since, until } = drain;
    let (since, until) = (since.to_string(), until.map(|until| until.to_string()));
    let document = Document { version: SHAPE, pods: *pods, reason: reason.clone(), since, until };
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
        let drain = Drain { pods: true, reason: "a \"new\" disk".into(), since: noon, until: None };
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
