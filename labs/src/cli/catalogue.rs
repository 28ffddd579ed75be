//! The labs of this workspace: a folder each, with a topology file of the same name.

use std::path::PathBuf;

use anyhow::Context;

use crate::program;

/// The topology file of a lab: of this workspace by its name, or any by its path.
pub(super) fn topology_file(name: &str) -> anyhow::Result<PathBuf> {
    if name.ends_with(".yml") || name.ends_with(".yaml") {
        return std::fs::canonicalize(name).with_context(|| name.to_owned());
    }
    let labs = program::workspace().join("labs");
    let file = labs.join(name).join(format!("{name}.clab.yml"));
    if file.is_file() {
        return Ok(file);
    }
    let mut known: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(&labs).with_context(|| labs.display().to_string())? {
        let entry = entry?;
        let other = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join(format!("{other}.clab.yml")).is_file() {
            known.push(other);
        }
    }
    known.sort();
    anyhow::bail!("there is no lab {name}; there are {}", known.join(", "))
}
