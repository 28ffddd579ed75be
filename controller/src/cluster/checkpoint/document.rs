//! A whole file, and objects as the manifests that say them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use api::crd::peer::SecretKeyRef;
use api::crd::{GROUP, VERSION};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::super::manifest;
use super::super::object::{NodeFacts, Objects, Problem};
use super::super::service::{SERVICE_NAME, ServiceFacts, Serving, SliceFacts};
use super::file::{self, SHAPE};

/// A file, as it is written and as it is read. Objects go through one at a time: as JSON values in memory those of
/// thousands of nodes are ten times what the file is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<T> {
    pub(super) version: u64,
    pub(super) node: String,
    /// RFC 3339.
    pub(super) written_time: String,
    pub(super) objects: T,
}

/// How the rest of a file is to be read.
#[derive(Deserialize)]
struct Shape {
    version: Option<Value>,
}

/// Objects to write, made one after the other.
pub(super) struct Each<F>(pub(super) F);

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

/// Reads one of the files; when it was written, or `None` if it is not there.
pub(super) fn load(path: &Path, node: &str, objects: &mut Objects) -> Result<Option<Timestamp>, Problem> {
    let problem = |text: String| file::problem(path, &text);
    let text = match file::text(path) {
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

/// The passwords that FabricPeers name, as Secrets of no other value.
pub(super) fn secrets(objects: &Objects) -> Vec<Value> {
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
pub(super) fn customs(objects: &Objects) -> serde_json::Result<Vec<Value>> {
    let mut all = Vec::new();
    for (name, fabric) in &objects.fabrics {
        all.push(custom("Fabric", name, serde_json::to_value(&fabric.value)?));
    }
    for (name, peer) in &objects.peers {
        all.push(custom("FabricPeer", name, serde_json::to_value(&peer.value)?));
    }
    Ok(all)
}

pub(super) fn custom(kind: &str, name: &str, mut spec: Value) -> Value {
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

/// A Service, as far as it is kept.
pub(super) fn core_service(name: &str, facts: &ServiceFacts) -> Value {
    let ServiceFacts { labels, cluster, external, load_balancer, local, internal_local } = facts;
    let policy = |local: bool| if local { "Local" } else { "Cluster" };
    let ingress: Vec<Value> = load_balancer.iter().map(|address| json!({"ip": address})).collect();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(name, labels),
        "spec": {
            "clusterIPs": cluster, "externalIPs": external,
            "externalTrafficPolicy": policy(*local), "internalTrafficPolicy": policy(*internal_local),
        },
        "status": {"loadBalancer": {"ingress": ingress}},
    })
}

/// An EndpointSlice, as far as it is kept.
pub(super) fn endpoint_slice(name: &str, facts: &SliceFacts) -> Value {
    let endpoint = |(node, serving): (&str, &Serving)| {
        let ready = *serving == Serving::Ready;
        json!({"nodeName": node, "conditions": {"ready": ready, "serving": true, "terminating": !ready}})
    };
    let family = facts.family.map_or("FQDN".to_owned(), |family| family.to_string());
    let labels = BTreeMap::from([(SERVICE_NAME.to_owned(), facts.service.clone())]);
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata(name, &labels),
        "addressType": family, "endpoints": facts.nodes.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn metadata(full: &str, labels: &impl Serialize) -> Value {
    let (namespace, name) = full.split_once('/').unwrap_or(("default", full));
    json!({"namespace": namespace, "name": name, "labels": labels})
}

pub(super) fn core_node(name: &str, facts: &NodeFacts) -> Value {
    let NodeFacts { uid, labels, annotations, unschedulable, internal, pod_cidrs } = facts;
    let cidrs: Vec<String> = pod_cidrs.iter().map(ToString::to_string).collect();
    let addresses: Vec<Value> = internal
        .iter()
        .map(|address| json!({"type": "InternalIP", "address": address.to_string()}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": uid, "labels": labels, "annotations": annotations},
        "spec": {"podCIDRs": cidrs, "unschedulable": unschedulable},
        "status": {"addresses": addresses},
    })
}
