//! The last good set of objects on disk, for a start without the source.
//!
//! It holds what the source gave, as manifests, and never what was learned from
//! a peer. Passwords lie in a file of their own beside it, so that the checkpoint
//! may be shown: the values that a FabricPeer names, and no other part of a Secret.
//! All is read by the rules of a manifest, so that no file can bring in what a
//! manifest could not.
//!
//! ```text
//!  checkpoint.json     a whole set
//!  checkpoint.journal  what has become of its objects since, a line a change; of that checkpoint and of no other
//!  passwords.json      the passwords
//!
//!  document  a whole file, and objects as manifests say them
//!  file      files that are replaced as a whole
//!  journal   lines behind each other
//!  keeper    which of them is written, and when
//! ```
//!
//! A file is replaced as a whole (temporary file, fsync, rename, fsync of the
//! folder) and readable by its owner alone: a crash leaves the old one or the new.
//! The journal grows by whole lines; of one that a crash has cut nothing is read.

mod document;
mod file;
mod journal;
mod keeper;

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::object::{Checkpoint, Objects, Problem};

pub use file::{PASSWORDS, journal};
pub use keeper::{Keeper, keep};

/// Reads the checkpoint of a node; `None` if there is no file. Passwords that cannot be read are among its
/// objects' warnings: their sessions stay down, and the others do not. So is what of the journal cannot be read:
/// the set is what it was before that.
///
/// # Errors
/// A file that cannot be read, is damaged, of another node or of another version.
pub fn read(path: &Path, node: &str, now: Timestamp) -> Result<Option<Checkpoint>, Problem> {
    let mut objects = Objects::default();
    let Some(base) = document::load(path, node, &mut objects)? else { return Ok(None) };
    let mut warnings = Vec::new();
    let written = match journal::replay(&journal(path), node, base, &mut objects) {
        Ok(written) => written,
        Err((written, problem)) => {
            warnings.push(problem);
            written
        }
    };
    let mut secrets = Objects::default();
    match document::load(&path.with_file_name(PASSWORDS), node, &mut secrets) {
        Ok(_) => objects.secrets = secrets.secrets,
        Err(problem) => warnings.push(problem),
    }
    objects.warnings = warnings;
    let age = SignedDuration::from_secs(now.duration_since(written).as_secs().max(0));
    let description = format!("checkpoint {} of {written:.0}, {age:#} old", path.display());
    Ok(Some(Checkpoint { objects: Arc::new(objects), description }))
}

/// Replaces the checkpoint, and the passwords before it.
///
/// # Errors
/// Those of the file system; each file is the one before, or the new one.
pub fn write(path: &Path, node: &str, objects: &Objects, now: Timestamp) -> io::Result<()> {
    Keeper::new(path.to_owned(), node.to_owned()).whole(objects, now).map(drop)
}
