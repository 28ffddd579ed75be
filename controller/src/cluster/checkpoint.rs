//! The last good set of objects on disk, for a start without the source.
//!
//! It holds what the source gave, as manifests, and never what was learned from
//! a peer. Passwords lie in a file of their own beside it, so that the checkpoint
//! may be shown: the values that a FabricPeer names, and no other part of a Secret.
//! Both are read by the rules of a manifest, so that no file can bring in what a
//! manifest could not.
//!
//! A file is replaced as a whole (temporary file, fsync, rename, fsync of the
//! folder) and readable by its owner alone: a crash leaves the old one or the new.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::crd::peer::SecretKeyRef;
use api::crd::{GROUP, VERSION};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::manifest;
use super::object::{Checkpoint, NodeFacts, Objects, Problem};

/// The name of the file with the passwords.
pub const PASSWORDS: &str = "passwords.json";

/// The shape of the files; another one is refused by name.
const SHAPE: u64 = 1;

/// A file larger than this is refused: ten thousand nodes are a tenth of it.
const FILE_LIMIT: u64 = 64 << 20;

/// When a write that failed is tried again: a full disk is emptied in minutes.
const RETRY: Duration = Duration::from_secs(5);

/// How much longer than a write the pause after it is, and the longest: a cluster that changes all the time keeps a
/// disk busy for a twentieth of it, and what is kept is a few seconds old at most.
const SHARE: u32 = 20;
const LONGEST: Duration = Duration::from_secs(5);

/// A file, as it is written and as it is read. Objects go through one at a time: as JSON values in memory those of
/// thousands of nodes are ten times what the file is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<T> {
    version: u64,
    node: String,
    /// RFC 3339.
    written_time: String,
    objects: T,
}

/// How the rest of a file is to be read.
#[derive(Deserialize)]
struct Shape {
    version: Option<Value>,
}

/// Objects to write, made one after the other.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item = Value>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Objects that were read, and what is wrong with them.
#[derive(Default)]
struct Read {
    objects: Objects,
    problems: Vec<Problem>,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Read, A::Error> {
        let mut read = Read::default();
        while let Some(object) = sequence.next_element::<Value>()? {
            manifest::read("checkpoint", &object.to_string(), &mut read.objects, &mut read.problems);
        }
        Ok(read)
    }
}

/// Reads the checkpoint of a node; `None` if there is no file. Passwords that cannot be read are among its
/// objects' warnings: their sessions stay down, and the others do not.
///
/// # Errors
/// A file that cannot be read, is damaged, of another node or of another version.
pub fn read(path: &Path, node: &str, now: Timestamp) -> Result<Option<Checkpoint>, Problem> {
    let mut objects = Objects::default();
    let Some(written) = load(path, node, &mut objects)? else { return Ok(None) };
    let mut secrets = Objects::default();
    match load(&path.with_file_name(PASSWORDS), node, &mut secrets) {
        Ok(_) => objects.secrets = secrets.secrets,
        Err(problem) => objects.warnings.push(problem),
    }
    let age = SignedDuration::from_secs(now.duration_since(written).as_secs().max(0));
    let description = format!("checkpoint {} of {written:.0}, {age:#} old", path.display());
    Ok(Some(Checkpoint { objects: Arc::new(objects), description }))
}

/// Reads one of the files; when it was written, or `None` if it is not there.
fn load(path: &Path, node: &str, objects: &mut Objects) -> Result<Option<Timestamp>, Problem> {
    let problem = |text: String| Problem::anywhere(format!("checkpoint {}: {text}", path.display()));
    let text = match text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(error.to_string())),
    };
    let damaged = |error: serde_json::Error| problem(format!("is damaged: {error}"));
    // The version says how all the rest is to be read.
    let shape: Option<Shape> = match text.trim_start().starts_with('{') {
        true => Some(serde_json::from_str(&text).map_err(damaged)?),
        false => serde_json::from_str::<IgnoredAny>(&text).map(|_| None).map_err(damaged)?,
    };
    match shape.and_then(|shape| shape.version).as_ref().and_then(Value::as_u64) {
        Some(SHAPE) => {}
        Some(other) => return Err(problem(format!("is of version {other}, this agent reads {SHAPE}"))),
        None => return Err(problem("is damaged: it has no version".to_owned())),
    }
    let document: Document<Read> = serde_json::from_str(&text).map_err(damaged)?;
    if document.node != node {
        return Err(problem(format!("is of node \"{}\", this is \"{node}\"", document.node)));
    }
    if let Some(first) = document.objects.problems.first() {
        return Err(problem(format!("is damaged: {}", first.text)));
    }
    *objects = document.objects.objects;
    let written: Timestamp =
        document.written_time.parse().map_err(|error| problem(format!("is damaged: {error}")))?;
    Ok(Some(written))
}

fn text(path: &Path) -> io::Result<String> {
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

/// Replaces the checkpoint, and the passwords before it.
///
/// # Errors
/// Those of the file system; each file is the one before, or the new one.
pub fn write(path: &Path, node: &str, objects: &Objects, now: Timestamp) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (passwords, secrets) = (path.with_file_name(PASSWORDS), secrets(objects));
    if secrets.is_empty() {
        match fs::remove_file(&passwords) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    } else {
        write_file(folder, &passwords, node, Each(|| secrets.iter().cloned()), now)?;
    }
    let customs = customs(objects).map_err(io::Error::other)?;
    let nodes = || objects.nodes.iter().map(|(name, node)| core_node(name, &node.value));
    write_file(folder, path, node, Each(|| customs.iter().cloned().chain(nodes())), now)
}

fn write_file(
    folder: &Path,
    path: &Path,
    node: &str,
    objects: impl Serialize,
    now: Timestamp,
) -> io::Result<()> {
    let document = Document { version: SHAPE, node: node.to_owned(), written_time: now.to_string(), objects };
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".new");
    let temporary = folder.join(name);
    // One that a crash has left; nobody else writes here.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    replace(&temporary, path, &document).inspect_err(|_| {
        // What is there of it would only take room on a disk that is full.
        let _ = fs::remove_file(&temporary);
    })?;
    File::open(folder)?.sync_all()
}

fn replace(temporary: &Path, path: &Path, document: &impl Serialize) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(temporary)?;
    let mut buffer = BufWriter::new(&file);
    serde_json::to_writer(&mut buffer, document)?;
    buffer.flush()?;
    drop(buffer);
    file.sync_all()?;
    fs::rename(temporary, path)
}

/// The passwords that FabricPeers name, as Secrets of no other value.
fn secrets(objects: &Objects) -> Vec<Value> {
    let mut values: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    let wanted = objects.peers.values().filter_map(|peer| peer.value.password_secret_ref.as_ref());
    for SecretKeyRef { name, key } in wanted {
        let secret = objects.secrets.get(name);
        if let Some(value) = secret.and_then(|secret| secret.value.value(key)) {
            values.entry(name).or_default().insert(key, STANDARD.encode(value));
        }
    }
    let secret = |(name, data): (&str, BTreeMap<&str, String>)| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
    values.into_iter().map(secret).collect()
}

/// What people write, as objects of Kubernetes: few, beside the Nodes.
fn customs(objects: &Objects) -> serde_json::Result<Vec<Value>> {
    let mut all = Vec::new();
    for (name, fabric) in &objects.fabrics {
        all.push(custom("Fabric", name, serde_json::to_value(&fabric.value)?));
    }
    for (name, peer) in &objects.peers {
        all.push(custom("FabricPeer", name, serde_json::to_value(&peer.value)?));
    }
    Ok(all)
}

fn custom(kind: &str, name: &str, mut spec: Value) -> Value {
    strip_nulls(&mut spec);
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A field that is not set is left out: to a manifest's reader a null is a value.
fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

fn core_node(name: &str, facts: &NodeFacts) -> Value {
    let NodeFacts { uid, labels, annotations, internal, pod_cidrs } = facts;
    let cidrs: Vec<String> = pod_cidrs.iter().map(ToString::to_string).collect();
    let addresses: Vec<Value> = internal
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address.to_string()}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": uid, "labels": labels, "annotations": annotations},
        "spec": {"podCIDRs": cidrs},
        "status": {"addresses": addresses},
    })
}

/// Keeps the newest of `sets` on disk, until their sender is gone and the last is written. A failure is told
/// with the file and the reason, and tried again; what is told then is that there is none. Sets that come quickly
/// are not all written: of thousands of nodes each one is megabytes.
///
/// Cancel-safe: a write that has begun goes on by itself and replaces the file as a whole or not at all.
pub async fn keep(
    path: PathBuf,
    node: String,
    mut sets: watch::Receiver<Option<Arc<Objects>>>,
    tell: impl Fn(Option<String>),
) {
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
        let (file, name) = (path.clone(), node.clone());
        let write = move || objects.map_or(Ok(()), |objects| write(&file, &name, &objects, Timestamp::now()));
        let error = match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
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
