//! One manifest file: its documents, their objects, and what is wrong with
//! them. Pure: text in, objects or problems out.

use std::net::IpAddr;
use std::sync::Arc;

use api::crd::{Fabric, FabricPeer, GROUP, VERSION, Violation, pending};
use bgp::prefix::Prefix;
use k8s_openapi::api::core::v1::Node as CoreNode;
use serde::de::DeserializeOwned;

use super::decode::{self, Flaw};
use super::object::{NodeFacts, Objects, Place, Problem, Sourced};
use super::secret;
use super::service;
use super::tree::{Node, Value};

/// Adds the objects of one file to a set; names every problem of the file.
pub fn read(file: &str, text: &str, objects: &mut Objects, problems: &mut Vec<Problem>) {
    // YAML 1.2: a node may be named `n` or `on`.
    let options = serde_saphyr::options! { strict_booleans: true };
    let documents = split(text);
    let several = documents.iter().filter(|(_, text)| !is_blank(text)).count() > 1;
    let mut number = 0;
    for (first_line, text) in documents {
        if is_blank(text) {
            continue;
        }
        number += 1;
        let document = several.then_some(number);
        let place = |line| Some(Place { file: file.to_owned(), line, document });
        // Blank lines in front keep the file's own line numbers.
        let padded = "\n".repeat(first_line) + text;
        let node: Node = match serde_saphyr::from_str_with_options(&padded, options.clone()) {
            Ok(node) => node,
            Err(error) => {
                let error = error.without_snippet();
                let line = error.location().map_or(first_line as u64 + 1, |location| location.line());
                problems.push(Problem { place: place(line), text: one_line(&error.to_string()) });
                continue;
            }
        };
        if matches!(node.value, Value::Null) {
            continue;
        }
        let reader = Reader { node: &node, place: &place };
        if let Err(mut found) = reader.object(objects) {
            problems.append(&mut found);
        }
    }
}

/// The documents of a file, each with the number of lines before it. A line
/// `---` ends a document wherever it stands (YAML 1.2 §9.1.2).
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_end();
        if content == "---" || line.starts_with("--- ") || content == "..." {
            documents.push((start_line, &text[start..at]));
            // What follows `---` on its line belongs to the document.
            let marker = 3.min(line.len());
            (start, start_line) = (at + marker, number);
        }
        at += line.len();
    }
    documents.push((start_line, &text[start..]));
    documents
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds one object that came without a file to a set.
///
/// # Errors
/// Every problem of the object.
pub(super) fn object(value: serde_json::Value, objects: &mut Objects) -> Result<(), Vec<Problem>> {
    let node = Node::from(value);
    Reader { node: &node, place: &|_| None }.object(objects)
}

struct Reader<'a> {
    node: &'a Node,
    place: &'a dyn Fn(u64) -> Option<Place>,
}

impl Reader<'_> {
    fn object(&self, objects: &mut Objects) -> Result<(), Vec<Problem>> {
        let version = self.node.text("apiVersion").unwrap_or_default();
        let Some(kind) = self.node.text("kind") else {
            return Err(vec![self.problem(self.node.line, "not an object: field `kind` is missing".into())]);
        };
        let core = matches!(kind, "Node" | "Secret" | "Service" | "EndpointSlice");
        let expected = match kind {
            "EndpointSlice" => "discovery.k8s.io/v1".to_owned(),
            _ if core => "v1".to_owned(),
            _ => format!("{GROUP}/{VERSION}"),
        };
        if !core && !matches!(kind, "Fabric" | "FabricPeer") {
            let of = if version.is_empty() { String::new() } else { format!(" of {version}") };
            let text = format!(
                "kind {kind}{of} is not read; Fabric, FabricPeer, Node, Secret, Service and EndpointSlice are"
            );
            return Err(vec![self.problem(self.line_of(&["kind"]), text)]);
        }
        let older = kind == "EndpointSlice" && version == "discovery.k8s.io/v1beta1";
        if version != expected && !older {
            let text = format!("field `apiVersion`: {kind} is of {expected}, not of `{version}`");
            return Err(vec![self.problem(self.line_of(&["apiVersion"]), text)]);
        }
        let metadata = self.node.member("metadata").map(|(_, node)| node);
        let name = metadata.and_then(|metadata| metadata.text("name")).unwrap_or_default();
        if name.is_empty() {
            let text = format!("{kind} without a name: field `metadata.name` is missing or not a text");
            return Err(vec![self.problem(self.node.line, text)]);
        }
        if !core {
            self.refuse_pending(kind, name)?;
        }
        let namespace = metadata.and_then(|metadata| metadata.text("namespace")).unwrap_or("default");
        let full = format!("{namespace}/{name}");
        match kind {
            "Fabric" => {
                let fabric: Fabric = self.decode(kind, name)?;
                self.rules(kind, name, fabric.spec.violations())?;
                self.insert(kind, name, &mut objects.fabrics, fabric.spec)
            }
            "FabricPeer" => {
                let peer: FabricPeer = self.decode(kind, name)?;
                self.rules(kind, name, peer.spec.violations())?;
                self.insert(kind, name, &mut objects.peers, peer.spec)
            }
            "Secret" => {
                let data = secret::read(self.node).map_err(|(line, field, text)| {
                    vec![self.problem(line, format!("{kind} \"{name}\": field `{field}` {text}"))]
                })?;
                self.insert(kind, name, &mut objects.secrets, data)
            }
            "Service" => {
                let facts = service::service(self.decode(kind, &full)?)
                    .map_err(|(path, text)| vec![self.named(kind, &full, &path, &text)])?;
                let found = self.sourced(kind, &full, objects.services.get(&full), Arc::new(facts))?;
                objects.services.insert(&full, found);
                Ok(())
            }
            "EndpointSlice" => {
                let facts = service::slice(self.decode(kind, &full)?);
                let found = self.sourced(kind, &full, objects.slices.get(&full), Arc::new(facts))?;
                objects.slices.insert(&full, found);
                Ok(())
            }
            _ => {
                let facts = facts(self.decode(kind, name)?)
                    .map_err(|(path, text)| vec![self.named(kind, name, &path, &text)])?;
                let node = self.sourced(kind, name, objects.nodes.get(name), Arc::new(facts))?;
                objects.nodes.insert(name, node);
                Ok(())
            }
        }
    }

    /// Every field of the object that is designed and not built.
    fn refuse_pending(&self, kind: &str, name: &str) -> Result<(), Vec<Problem>> {
        let mut found = Vec::new();
        for path in pending::fields(kind) {
            let mut at = self.node.member("spec");
            for element in *path {
                at = at.and_then(|(_, node)| node.member(element));
            }
            if let Some((key, _)) = at {
                found.push(self.problem(key.line, pending::refusal(kind, name, path)));
            }
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn decode<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<T, Vec<Problem>> {
        decode::decode(self.node).map_err(|flaw: Flaw| {
            let text = format!("{kind} \"{name}\": {flaw}");
            vec![self.problem(flaw.line, text)]
        })
    }

    fn rules(&self, kind: &str, name: &str, violations: Vec<Violation>) -> Result<(), Vec<Problem>> {
        if violations.is_empty() {
            return Ok(());
        }
        let problem = |violation: Violation| {
            let path: Vec<&str> = violation.field.split('.').collect();
            self.problem(self.line_of(&path), format!("{kind} \"{name}\": {violation}"))
        };
        Err(violations.into_iter().map(problem).collect())
    }

    fn insert<T>(
        &self,
        kind: &str,
        name: &str,
        into: &mut std::collections::BTreeMap<String, Sourced<T>>,
        value: T,
    ) -> Result<(), Vec<Problem>> {
        let value = self.sourced(kind, name, into.get(name), value)?;
        into.insert(name.to_owned(), value);
        Ok(())
    }

    /// A value with where it is written; `first` is one of the same kind and name.
    fn sourced<T>(
        &self,
        kind: &str,
        name: &str,
        first: Option<&Sourced<T>>,
        value: T,
    ) -> Result<Sourced<T>, Vec<Problem>> {
        let place = (self.place)(self.node.line);
        if let Some(first) = first {
            let first =
                first.place.as_ref().map_or_else(String::new, |place| format!("; it is also in {place}"));
            return Err(vec![Problem { place, text: format!("{kind} \"{name}\" is there twice{first}") }]);
        }
        let metadata = self.node.member("metadata").map(|(_, node)| node);
        let generation = match metadata.and_then(|metadata| metadata.member("generation")) {
            Some((_, Node { value: Value::Unsigned(number), .. })) => i64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let uid = metadata.and_then(|metadata| metadata.text("uid")).unwrap_or_default().to_owned();
        Ok(Sourced { value, place, generation, uid })
    }

    fn named(&self, kind: &str, name: &str, path: &str, text: &str) -> Problem {
        let elements: Vec<&str> = path.split('.').collect();
        self.problem(self.line_of(&elements), format!("{kind} \"{name}\": field `{path}`: {text}"))
    }

    /// The line of the deepest part of a path that is there; `name[2]` goes
    /// into a list.
    fn line_of(&self, path: &[&str]) -> u64 {
        let mut line = self.node.line;
        let mut node = self.node;
        for element in path {
            let (name, index) = match element.split_once('[') {
                Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
                None => (*element, None),
            };
            let Some((key, member)) = node.member(name) else { break };
            (line, node) = (key.line, member);
            if let (Some(index), Value::List(nodes)) = (index, &member.value)
                && let Some(element) = nodes.get(index)
            {
                (line, node) = (element.line, element);
            }
        }
        line
    }

    fn problem(&self, line: u64, text: String) -> Problem {
        Problem { place: (self.place)(line), text }
    }
}

/// What matters of a core Node, or the field that is wrong and why.
fn facts(node: CoreNode) -> Result<NodeFacts, (String, String)> {
    let mut facts = NodeFacts {
        uid: node.metadata.uid.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default().into(),
        annotations: node.metadata.annotations.unwrap_or_default().into(),
        ..NodeFacts::default()
    };
    let spec = node.spec.unwrap_or_default();
    facts.unschedulable = spec.unschedulable.unwrap_or_default();
    let (path, cidrs) = match (spec.pod_cidrs, spec.pod_cidr) {
        (Some(cidrs), _) if !cidrs.is_empty() => ("spec.podCIDRs", cidrs),
        (_, Some(cidr)) if !cidr.is_empty() => ("spec.podCIDR", vec![cidr]),
        _ => ("spec.podCIDRs", Vec::new()),
    };
    for (at, cidr) in cidrs.iter().enumerate() {
        let path = if path.ends_with('s') { format!("{path}[{at}]") } else { path.to_owned() };
        let prefix: Prefix = cidr.parse().map_err(|error| (path, format!("{error}")))?;
        facts.pod_cidrs.push(prefix);
    }
    let addresses = node.status.and_then(|status| status.addresses).unwrap_or_default();
    for (at, address) in addresses.into_iter().enumerate() {
        if address.type_ != "InternalIP" {
            continue;
        }
        let parsed: IpAddr = address.address.parse().map_err(|_| {
            (format!("status.addresses[{at}].address"), format!("`{}` is not an IP address", address.address))
        })?;
        facts.internal.push(parsed);
    }
    Ok(facts)
}
