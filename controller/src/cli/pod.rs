//! The story of a pod as lines: its addresses, the node's way to each, and who is told of them.

use api::v1;

use super::advertised::sent;
use super::story::Row;

/// Letters of a container's id that tell it apart, as runtimes show it.
const ID: usize = 13;

pub(super) fn rows(story: &v1::PodExplanation) -> Vec<Row> {
    story.addresses.iter().flat_map(address).collect()
}

fn address(held: &v1::PodAddress) -> Vec<Row> {
    let container: String = held.container_id.chars().take(ID).collect();
    let what = format!("{} of container {container}, network {}", held.interface, held.network);
    let mut rows = vec![Row::new("address", &held.address, what), host_route(held)];
    rows.extend(held.covered_by.iter().flat_map(covered));
    rows
}

/// The prefix that covers an address of a pod of this node, and who is told of it.
pub(super) fn covered(covering: &v1::PrefixExplanation) -> Vec<Row> {
    let mut rows = Vec::new();
    match &covering.route {
        Some(route) => {
            let local =
                route.paths.iter().any(|path| matches!(path.source, Some(v1::path::Source::Local(_))));
            let whose = if local { "originated here" } else { "learned: NOT this node's own" };
            rows.push(Row::new("covered by", &covering.prefix, whose));
            rows.extend(sent(&covering.advertisements, &route.paths));
        }
        None => rows.push(Row::new("covered by", "-", "no prefix with a selected path")),
    }
    rows
}

fn host_route(held: &v1::PodAddress) -> Row {
    match (&held.host_route, &held.host_route_error) {
        (Some(route), _) => {
            let over = format!("over {}, protocol {}", route.interfaces.join(", "), route.protocol);
            let ill = if route.interfaces.contains(&held.link) {
                String::new()
            } else {
                format!("; NOT over the pod's link {}", held.link)
            };
            Row::new("host route", &route.prefix, over + &ill)
        }
        (None, Some(error)) => Row::new("host route", "-", format!("not known: {error}")),
        (None, None) => Row::new("host route", "-", "none: the kernel has no route to the address"),
    }
}
