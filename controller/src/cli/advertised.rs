//! To whom a prefix is sent, as lines of a story.

use api::v1;
use api::v1::advertisement::Outcome as Sent;
use bgp::wire::community::Community;

use super::render::text;
use super::story::Row;

/// `as-loop: own AS 65001 in path`, or the word alone.
pub(super) fn reasoned(reason: &str, detail: &str) -> String {
    if detail.is_empty() { reason.to_owned() } else { format!("{reason}: {detail}") }
}

pub(super) fn as_path(attributes: Option<&v1::PathAttributes>) -> String {
    let otc = attributes.and_then(|attributes| attributes.only_to_customers);
    let otc = otc.map(|asn| format!(", OTC {asn}")).unwrap_or_default();
    match text::as_path(attributes).as_str() {
        "" => format!("path empty{otc}"),
        path => format!("path {path}{otc}"),
    }
}

pub(super) fn sent(advertisements: &[v1::Advertisement], paths: &[v1::Path]) -> Vec<Row> {
    match advertisements {
        [] => vec![Row::new("sent to", "-", "not advertised: no peers")],
        // Then it is so for every peer, whatever else stands in the way.
        _ if !paths.iter().any(|path| path.selected) => {
            vec![Row::new("sent to", "-", "not advertised: nothing selected")]
        }
        several => several.iter().flat_map(advertisement).collect(),
    }
}

/// A row a path.
fn advertisement(sent: &v1::Advertisement) -> Vec<Row> {
    let peer = sent.peer.as_ref().map(text::peer).unwrap_or_default();
    match &sent.outcome {
        Some(Sent::Sent(attributes)) if sent.paths.is_empty() => vec![path(peer, attributes)],
        Some(Sent::Sent(_)) => {
            let one = |sent: &v1::SentPath| {
                let attributes = sent.attributes.clone().unwrap_or_default();
                path(text::with_path_id(&peer, Some(sent.path_id)), &attributes)
            };
            sent.paths.iter().map(one).collect()
        }
        Some(Sent::Refused(refusal)) => {
            let why = reasoned(&refusal.reason, &refusal.detail);
            vec![Row::new("sent to", peer, format!("not advertised: {why}"))]
        }
        None => vec![Row::new("sent to", peer, "-")],
    }
}

fn path(peer: String, attributes: &v1::PathAttributes) -> Row {
    let shunned = attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN.to_string());
    let shunned = if shunned { ", GRACEFUL_SHUTDOWN" } else { "" };
    Row::new("sent to", peer, as_path(Some(attributes)))
        .end(format!("next hop {}{shunned}", attributes.next_hop))
}
