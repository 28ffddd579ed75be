//! The end of a node: whatever the agent and the plugin have put there is named, and taken away.
//!
//! ```text
//!  agent runs? pods attached? ── yes ──> named, and nothing is touched
//!        └─ no ─> links ─> routes ─> next-hop objects ─> packet filter ─> files ─> folders that are empty then
//! ```
//!
//! No list is kept of what was installed: each look finds what is there, so that a second run finishes what a first
//! could not, and finds nothing after one that could. What has one of our names and is not ours stays.
//!
//! Not taken back: `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding`, which the plugin switches on where they are
//! off: whoever routes on this node needs them as much, and nobody knows who asked for them.

mod file;
mod finding;
mod pods;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use api::netconf::{LEARNED_ROUTE_PROTOCOL, POD_ROUTE_PROTOCOL};
use jiff::Timestamp;

use crate::cluster::checkpoint;
use crate::kernel::removal::{self, Removal};

pub use finding::{Finding, Places, State};

/// The pods that are attached, by the links that lead to them.
///
/// # Errors
/// A kernel that does not tell of its links.
pub fn attached(places: &Places) -> io::Result<Vec<String>> {
    let links = Removal::open(BTreeSet::new())?.links()?;
    Ok(pods::names(&places.on_host(&places.cni_state), &links))
}

/// Looks for everything of ours, and takes it away where `remove` says so.
#[must_use]
pub fn sweep(places: &Places, remove: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    match Removal::open(protocols(&places.on_host(&places.checkpoint))) {
        Ok(mut kernel) => in_kernel(&mut kernel, remove, &mut found),
        Err(error) => found.push(Finding::failed("route", &error)),
    }
    match removal::filter(remove) {
        Ok(names) => found.extend(names.into_iter().map(|name| {
            let finding = Finding::found("filter", name);
            if remove { finding.ended(Ok(())) } else { finding }
        })),
        Err(error) => found.push(Finding::failed("filter", &error)),
    }
    file::sweep(places, remove, &mut found);
    found
}

fn in_kernel(kernel: &mut Removal, remove: bool, found: &mut Vec<Finding>) {
    match kernel.links() {
        Ok(links) => {
            for link in links {
                let finding = Finding::found("link", &link.name);
                found.push(if remove { finding.ended(kernel.remove_link(&link)) } else { finding });
            }
        }
        Err(error) => found.push(Finding::failed("link", &error)),
    }
    match kernel.routes() {
        Ok(counts) => {
            let done = if remove && !counts.is_empty() { kernel.remove_routes() } else { Ok(()) };
            for ((protocol, table), count) in counts {
                let subject = format!("{count} of protocol {protocol} in table {table}");
                let finding = Finding::found("route", subject);
                let done = done.as_ref().copied().map_err(|error| io::Error::other(error.to_string()));
                found.push(if remove { finding.ended(done) } else { finding });
            }
        }
        Err(error) => found.push(Finding::failed("route", &error)),
    }
    match kernel.objects() {
        Ok(objects) if objects.is_empty() => {}
        Ok(objects) => {
            let finding = Finding::found("next-hop", format!("{} objects", objects.len()));
            found.push(if remove { finding.ended(kernel.remove_objects()) } else { finding });
        }
        Err(error) => found.push(Finding::failed("next-hop", &error)),
    }
}

/// The protocol numbers of our routes: the plugin's, the agent's unless a Fabric says otherwise, and what Fabrics of its
/// last good configuration say. One that cannot be read says nothing.
fn protocols(path: &Path) -> BTreeSet<u8> {
    let mut protocols = BTreeSet::from([LEARNED_ROUTE_PROTOCOL, POD_ROUTE_PROTOCOL]);
    let node = || {
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        Some(document.get("node")?.as_str()?.to_owned())
    };
    let kept = node().and_then(|node| checkpoint::read(path, &node, Timestamp::now()).ok().flatten());
    if let Some(kept) = kept {
        let fabrics = kept.objects.fabrics.values();
        protocols.extend(fabrics.filter_map(|fabric| fabric.value.fib.as_ref()?.protocol));
    }
    protocols
}
