//! The story of a Service as lines: its addresses, what a node makes of each, and whom it tells.

use api::v1;

use super::advertised::{reasoned, sent};
use super::render::text;
use super::story::Row;

pub(super) fn rows(story: &v1::ServiceExplanation) -> Vec<Row> {
    let mut rows: Vec<Row> = story.addresses.iter().flat_map(address).collect();
    rows.extend(endpoints(&story.endpoints));
    rows
}

fn address(address: &v1::ServiceAddress) -> Vec<Row> {
    let mut rows = vec![Row::new("address", &address.address, rule(address))];
    let Some(advertised) = &address.advertised_as else { return rows };
    if let Some(refusal) = &address.withheld {
        let why = reasoned(&refusal.reason, &refusal.detail);
        rows.push(Row::new("withheld", &advertised.prefix, why));
        return rows;
    }
    let what = if address.terminating {
        "originated here, with GRACEFUL_SHUTDOWN: its endpoints are terminating"
    } else {
        "originated here"
    };
    rows.push(Row::new("advertised", &advertised.prefix, what));
    let paths = advertised.route.as_ref().map(|route| route.paths.as_slice()).unwrap_or_default();
    rows.extend(sent(&advertised.advertisements, paths));
    rows
}

/// Which rule says how an address is advertised.
pub(super) fn rule(address: &v1::ServiceAddress) -> String {
    match (&address.rule, &address.advertised_as) {
        (Some(rule), Some(story)) => {
            let v1::ServiceRule { fabric, number } = rule;
            format!("{}, as {} by rule {number} of Fabric {fabric}", address.kind, story.prefix)
        }
        _ => format!("{}, which no rule of a Fabric names", address.kind),
    }
}

/// On which Nodes there are endpoints.
pub(super) fn endpoints(endpoints: &[v1::ServiceEndpoint]) -> Vec<Row> {
    if endpoints.is_empty() {
        return vec![Row::new("endpoints", "-", "none is ready")];
    }
    let row = |endpoint: &v1::ServiceEndpoint| {
        let state = if endpoint.terminating { "terminating" } else { "ready" };
        Row::new("endpoints", &endpoint.node, format!("{} {state}", text::family(endpoint.family())))
    };
    endpoints.iter().map(row).collect()
}
