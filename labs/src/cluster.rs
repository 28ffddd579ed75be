//! What a lab's manifests say of its nodes, as far as the runner needs it: each node's pod prefixes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde_json::Value;

/// The pod prefixes by node name, from the core `Node` objects in the manifests of `folder`. Nodes without any (the
/// routers) are there too, with an empty list.
///
/// # Errors
/// A file that cannot be read, with its path.
pub fn pod_prefixes(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut nodes = BTreeMap::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())?;
        for document in documents.iter().filter(|document| document["kind"] == "Node") {
            let name = document["metadata"]["name"].as_str();
            let name = name.with_context(|| format!("{}: a Node without a name", file.display()))?;
            let prefixes = document["spec"]["podCIDRs"].as_array().map_or(&[][..], Vec::as_slice);
            let prefixes = prefixes.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            nodes.insert(name.to_owned(), prefixes);
        }
    }
    ensure!(!nodes.is_empty(), "{} holds no Node", folder.display());
    Ok(nodes)
}
