//! The story of a prefix, and its one line.

use std::net::IpAddr;
use std::sync::Arc;

use api::v1;
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::view::{Explanation, KernelView, PathSource, PathView, RouteView, SentView};

use super::route::{attributes, errno_text, route, selected};
use super::scalar::next_hop;

use crate::desired::services::Withheld;
use crate::discovery::shown;

/// The story of one prefix as the node called `node` tells it. `withheld` are addresses of Services that it does not
/// originate.
#[must_use]
pub fn explanation(story: &Explanation, withheld: &Withheld, node: &str) -> v1::ExplainResponse {
    let ending = ending(story) + &unserved(&story.prefix, withheld);
    v1::ExplainResponse {
        node: node.to_owned(),
        summary: format!("{} on {node} {ending}", story.prefix),
        explanation: Some(v1::explain_response::Explanation::Prefix(prefix_story(story))),
    }
}

/// The story itself.
pub(super) fn prefix_story(story: &Explanation) -> v1::PrefixExplanation {
    let next_hops = story.next_hops.iter().map(|(address, metric)| v1::NextHopResolution {
        next_hop: Some(next_hop(address)),
        metric: *metric,
    });
    let withdrawn = story.withdrawn.iter().map(|withdrawn| v1::TreatedAsWithdrawn {
        peer: Some(v1::PeerSource { name: withdrawn.name.clone(), address: shown(withdrawn.address) }),
        detail: withdrawn.detail.clone(),
    });
    v1::PrefixExplanation {
        prefix: story.prefix.to_string(),
        route: story.route.as_ref().map(route),
        next_hops: next_hops.collect(),
        advertisements: story.sent.iter().map(advertisement).collect(),
        treated_as_withdrawn: withdrawn.collect(),
    }
}

/// The story of the prefix that covers an address.
#[must_use]
pub fn address_explanation(
    address: IpAddr,
    story: &Explanation,
    withheld: &Withheld,
    node: &str,
) -> v1::ExplainResponse {
    let told = explanation(story, withheld, node);
    let summary = match &story.route {
        Some(_) => format!("{address} is covered by {} which on {node} {}", story.prefix, ending(story)),
        None => format!("{address} on {node} is covered by no prefix with a selected path"),
    };
    let summary = summary + &unserved(&Prefix::host(address), withheld);
    v1::ExplainResponse { summary, ..told }
}

/// Why the node does not originate an address of a Service; empty where it does, or it is none.
fn unserved(prefix: &Prefix, withheld: &Withheld) -> String {
    let told = |(service, reason): &(Arc<str>, Reason)| {
        format!("; it is of Service {service} and NOT advertised: {reason}: {}", reason.says())
    };
    let found = withheld.iter().find(|(outer, _)| outer.contains(*prefix));
    found.map(|(_, why)| told(why)).unwrap_or_default()
}

fn advertisement(sent: &SentView) -> v1::Advertisement {
    let outcome = match &sent.sent {
        Ok(paths) => {
            paths.first().map(|first| v1::advertisement::Outcome::Sent(attributes(&first.attributes)))
        }
        Err(refusal) => Some(v1::advertisement::Outcome::Refused(v1::Refusal {
            reason: refusal.reason.word().to_owned(),
            detail: refusal.detail.clone(),
        })),
    };
    let several = sent.sent.iter().flatten().filter_map(|path| {
        Some(v1::SentPath { path_id: path.path_id?.0, attributes: Some(attributes(&path.attributes)) })
    });
    let peer = v1::PeerSource { name: sent.name.clone(), address: shown(sent.address) };
    v1::Advertisement { peer: Some(peer), outcome, paths: several.collect() }
}

/// What is said of the prefix after its name and the node's.
fn ending(story: &Explanation) -> String {
    let Some(route) = &story.route else {
        if let [first, ..] = story.withdrawn.as_slice() {
            return format!("is NOT installed: what {} sent of it was malformed", first.name);
        }
        return "is NOT installed: no peer sent it and the node does not originate it".to_owned();
    };
    match route.kernel {
        KernelView::Installed => format!("is installed: {}", via(route)),
        KernelView::Pending => "is NOT installed yet: a change is under way in the kernel".to_owned(),
        KernelView::Failed(errno) => {
            format!("is NOT installed: the kernel rejected it: {} (errno {errno})", errno_text(errno))
        }
        KernelView::NotRequested => unrequested(route),
    }
}

fn via(route: &RouteView) -> String {
    if route.next_hops.is_empty() {
        return "it has no next hop".to_owned();
    }
    let hops: Vec<String> = route.next_hops.iter().map(|hop| shown(hop.address)).collect();
    format!("via {}", hops.join(", "))
}

/// Why nothing was asked of the kernel.
fn unrequested(route: &RouteView) -> String {
    if let Some(best) = route.paths.iter().find(|path| selected(path)) {
        return match best.source {
            PathSource::Local => "is originated by the node itself".to_owned(),
            PathSource::Peer { .. } => {
                "is selected but NOT installed: nothing was asked of the kernel".to_owned()
            }
        };
    }
    let Some(first) = route.paths.first() else {
        return "is NOT installed: its last path was withdrawn".to_owned();
    };
    format!("is NOT installed: {}", obstacle(first, route.paths.len()))
}

/// What stands in the way of the path that came nearest to being used.
fn obstacle(first: &PathView, paths: usize) -> String {
    match first.verdict {
        Reason::NextHopUnreachable => {
            format!("next hop {} is unreachable", shown(first.attributes.next_hop.address()))
        }
        Reason::Pending => Reason::Pending.says().to_owned(),
        reason if first.accepted => format!("{reason}: {}", detail(first)),
        reason if paths == 1 => format!("its only path is rejected as {reason}"),
        reason => format!("all {paths} paths are rejected, the first as {reason}"),
    }
}

fn detail(path: &PathView) -> &str {
    if path.detail.is_empty() { path.verdict.says() } else { &path.detail }
}
