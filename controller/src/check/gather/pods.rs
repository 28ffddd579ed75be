//! The pods' prefixes: as told, by the agent's last good configuration, or by what the plugin is told.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bgp::prefix::Prefix;
use jiff::Timestamp;
use serde_json::Value;

use super::places::Places;
use crate::check::fact::Facts;
use crate::cluster::checkpoint;

pub(super) fn prefixes(places: &Places, facts: &mut Facts) {
    let mut pods = places.pods.clone();
    if pods.is_empty() {
        match kept(&places.on_host(&places.checkpoint)) {
            Ok(kept) => pods = kept,
            Err(why) => facts.unread.push(("foreign-route", why)),
        }
    }
    if pods.is_empty() {
        pods = told(places, facts);
    }
    pods.sort();
    pods.dedup();
    facts.pods = pods;
}

/// Those that Fabrics and Nodes name; none where there is no checkpoint.
fn kept(path: &Path) -> Result<Vec<Prefix>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(named(&error)),
    };
    let document: Value = serde_json::from_str(&text).map_err(|error| named(&error))?;
    let node = document.get("node").and_then(Value::as_str).unwrap_or_default();
    let kept = checkpoint::read(path, node, Timestamp::now()).map_err(|problem| problem.to_string())?;
    let Some(kept) = kept else { return Ok(Vec::new()) };
    let fabrics = kept.objects.fabrics.values().flat_map(|fabric| &fabric.value.pod_prefixes);
    let mut found: Vec<Prefix> =
        fabrics.filter_map(|prefix| Prefix::new(prefix.addr(), prefix.prefix_len())).collect();
    found.extend(kept.objects.nodes.values().flat_map(|node| node.value.pod_cidrs.iter().copied()));
    Ok(found)
}

/// The subnets of our network configuration.
fn told(places: &Places, facts: &Facts) -> Vec<Prefix> {
    let ours = facts.runtime.networks.iter().find(|network| network.is_ours());
    let path = ours.map(|network| places.on_host(&places.networks.join(&network.file)));
    let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let list: Value = serde_json::from_str(&text).unwrap_or_default();
    let subnets = list.pointer("/plugins/0/subnets").and_then(Value::as_array);
    let subnets = subnets.into_iter().flatten().filter_map(Value::as_str);
    subnets.filter_map(|text| text.parse().ok()).collect()
}
