//! What has become of a checkpoint's objects since it was written: a head that names the checkpoint, and a line for each
//! set that was kept after it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::manifest;
use super::super::named::Named;
use super::super::object::{Objects, Problem, Sourced};
use super::document;
use super::file::{self, SHAPE, problem};

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u64,
    node: String,
    /// When the checkpoint was written, RFC 3339.
    base: String,
}

/// What one set has that the one before had not, and the other way round.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    /// RFC 3339.
    written_time: String,
    /// Objects as they have become.
    put: Vec<Value>,
    gone: Vec<Gone>,
}

/// An object that is there no longer.
#[derive(Serialize, Deserialize)]
struct Gone {
    kind: String,
    name: String,
}

impl Line {
    /// What leads from one set to another.
    pub(super) fn between(before: &Objects, after: &Objects, now: Timestamp) -> serde_json::Result<Self> {
        let mut line = Self { written_time: now.to_string(), put: Vec::new(), gone: Vec::new() };
        line.few("Fabric", &before.fabrics, &after.fabrics)?;
        line.few("FabricPeer", &before.peers, &after.peers)?;
        line.many("Node", &before.nodes, &after.nodes, document::core_node);
        line.many("Service", &before.services, &after.services, document::core_service);
        line.many("EndpointSlice", &before.slices, &after.slices, document::endpoint_slice);
        Ok(line)
    }

    /// Takes in objects of which there may be thousands.
    fn many<T: PartialEq>(
        &mut self,
        kind: &str,
        before: &Named<Sourced<Arc<T>>>,
        after: &Named<Sourced<Arc<T>>>,
        object: impl Fn(&str, &T) -> Value,
    ) {
        for change in before.differences(after) {
            let old = change.before.as_ref().map(|it| &it.value);
            match change.after {
                // It is written elsewhere.
                Some(it) if old == Some(&it.value) => {}
                Some(it) => self.put.push(object(&change.name, &it.value)),
                None => self.gone.push(Gone { kind: kind.to_owned(), name: change.name.to_string() }),
            }
        }
    }

    /// Takes in objects that people write: few, so that all are looked at.
    fn few<T: PartialEq + Serialize>(
        &mut self,
        kind: &str,
        before: &BTreeMap<String, Sourced<T>>,
        after: &BTreeMap<String, Sourced<T>>,
    ) -> serde_json::Result<()> {
        for (name, object) in after {
            if before.get(name).is_none_or(|before| before.value != object.value) {
                self.put.push(document::custom(kind, name, serde_json::to_value(&object.value)?));
            }
        }
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        self.gone.extend(gone.map(|name| Gone { kind: kind.to_owned(), name: name.clone() }));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.gone.is_empty()
    }

    fn apply(self, objects: &mut Objects) -> Result<(), String> {
        for Gone { kind, name } in &self.gone {
            let gone = match kind.as_str() {
                "Fabric" => objects.fabrics.remove(name).is_some(),
                "FabricPeer" => objects.peers.remove(name).is_some(),
                "Node" => objects.nodes.remove(name),
                "Service" => objects.services.remove(name),
                "EndpointSlice" => objects.slices.remove(name),
                _ => return Err(format!("kind {kind} is not kept")),
            };
            if !gone {
                return Err(format!("{kind} \"{name}\" goes and was not there"));
            }
        }
        for object in self.put {
            let word = |at: &str| object["metadata"][at].as_str().unwrap_or_default();
            let (name, full) = (word("name"), format!("{}/{}", word("namespace"), word("name")));
            // The reader of manifests takes a name once.
            match object["kind"].as_str() {
                Some("Fabric") => drop(objects.fabrics.remove(name)),
                Some("FabricPeer") => drop(objects.peers.remove(name)),
                Some("Service") => drop(objects.services.remove(&full)),
                Some("EndpointSlice") => drop(objects.slices.remove(&full)),
                _ => drop(objects.nodes.remove(name)),
            }
            let mut problems = Vec::new();
            manifest::read("checkpoint", &object.to_string(), objects, &mut problems);
            if let Some(first) = problems.first() {
                return Err(first.text.clone());
            }
        }
        Ok(())
    }
}

/// Adds a line to the journal of a checkpoint, which is so long, or makes one; how many bytes. A failure may leave a part
/// of the line, behind which nothing must be written.
pub(super) fn append(path: &Path, len: u64, of: (&str, Timestamp), line: &Line) -> io::Result<u64> {
    let mut bytes = Vec::new();
    let mut options = File::options();
    let mut file = if len == 0 {
        let (node, base) = of;
        serde_json::to_writer(
            &mut bytes,
            &Head { version: SHAPE, node: node.to_owned(), base: base.to_string() },
        )?;
        bytes.push(b'\n');
        file::remove(path)?;
        options.write(true).create_new(true).mode(0o600).open(path)?
    } else {
        options.append(true).open(path)?
    };
    serde_json::to_writer(&mut bytes, line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_all()?;
    if len == 0 {
        file::sync_folder(path)?;
    }
    Ok(bytes.len() as u64)
}

/// Takes in what has become of a checkpoint's objects since; when they were so. A journal of another checkpoint says
/// nothing of this one, and neither does a line that was not written to its end.
pub(super) fn replay(
    path: &Path,
    node: &str,
    base: Timestamp,
    objects: &mut Objects,
) -> Result<Timestamp, (Timestamp, Problem)> {
    let mut written = base;
    let text = match file::text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(base),
        Err(error) => return Err((base, problem(path, &error.to_string()))),
    };
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let damaged = |why: String| problem(path, &format!("is damaged: {why}"));
    let Some(head) = lines.next() else { return Ok(base) };
    match serde_json::from_str::<Head>(head) {
        Ok(head) if head.base != base.to_string() => return Ok(base),
        Ok(head) if head.version == SHAPE && head.node == node => {}
        Ok(_) => return Err((base, damaged("it is of another node or version".to_owned()))),
        Err(error) => return Err((base, damaged(error.to_string()))),
    }
    for (number, text) in lines.enumerate() {
        let mut next = objects.clone();
        let taken = serde_json::from_str::<Line>(text).map_err(|error| error.to_string()).and_then(|line| {
            let at = line.written_time.parse::<Timestamp>().map_err(|error| error.to_string())?;
            line.apply(&mut next)?;
            Ok(at)
        });
        match taken {
            Ok(at) => written = at,
            Err(why) => {
                let why = format!("line {}: {why}; what follows is not read", number + 2);
                return Err((written, damaged(why)));
            }
        }
        *objects = next;
    }
    Ok(written)
}
