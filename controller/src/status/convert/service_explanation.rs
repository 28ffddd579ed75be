//! The story of a Service, and its one line.

use std::net::IpAddr;

use api::crd::service::ServiceAddress;
use api::v1;
use bgp::view::Explanation;

use super::explanation::prefix_story;
use super::scalar::family;
use crate::cluster::service::Serving;
use crate::desired::services::{Served, ServiceStory};

/// The story of a Service as the node called `node` tells it; with each address that a rule names goes the story of the
/// prefix that is advertised for it.
#[must_use]
pub fn service_explanation(
    service: &str,
    story: &ServiceStory,
    told: &[Option<Explanation>],
    node: &str,
) -> v1::ExplainResponse {
    let addresses = story.addresses.iter().zip(told);
    let endings: Vec<String> =
        addresses.clone().map(|((_, _, served), told)| ending(served.as_ref(), told.as_ref())).collect();
    let all_alike = endings.iter().all(|ending| Some(ending) == endings.first());
    let summary = match endings.first() {
        None => format!("{service} on {node} has no address that could be advertised"),
        Some(ending) if all_alike => {
            let all: Vec<String> = story.addresses.iter().map(|(address, ..)| address.to_string()).collect();
            format!("{service} on {node} has {}: {ending}", all.join(", "))
        }
        Some(_) => {
            let each = story.addresses.iter().zip(&endings);
            let each: Vec<String> =
                each.map(|((address, ..), ending)| format!("{address} {ending}")).collect();
            format!("{service} on {node}: {}", each.join("; "))
        }
    };
    let addresses =
        addresses.map(|((address, kind, served), told)| one(*address, *kind, served.as_ref(), told.as_ref()));
    let endpoints = story.endpoints.iter().map(|(node, of, serving)| v1::ServiceEndpoint {
        node: node.clone(),
        family: family(*of),
        terminating: *serving == Serving::Terminating,
    });
    let explanation = v1::ServiceExplanation {
        service: service.to_owned(),
        addresses: addresses.collect(),
        endpoints: endpoints.collect(),
    };
    v1::ExplainResponse {
        node: node.to_owned(),
        summary,
        explanation: Some(v1::explain_response::Explanation::Service(explanation)),
    }
}

/// What is said of an address.
fn ending(served: Option<&Served>, told: Option<&Explanation>) -> String {
    let Some(served) = served else { return "NOT advertised: no rule of a Fabric names it".to_owned() };
    if let Err(reason) = served.serving {
        return format!("NOT advertised: {reason}: {}", reason.says());
    }
    match told.map_or(0, |story| story.sent.iter().filter(|sent| sent.sent.is_ok()).count()) {
        0 => format!("announced as {} to NO peer", served.prefix),
        1 => format!("announced as {} to one peer", served.prefix),
        peers => format!("announced as {} to {peers} peers", served.prefix),
    }
}

fn one(
    address: IpAddr,
    kind: ServiceAddress,
    served: Option<&Served>,
    told: Option<&Explanation>,
) -> v1::ServiceAddress {
    let kind = match kind {
        ServiceAddress::LoadBalancerIP => "LoadBalancerIP",
        ServiceAddress::ExternalIP => "ExternalIP",
        ServiceAddress::ClusterIP => "ClusterIP",
    };
    let rule = served.map(|served| v1::ServiceRule {
        fabric: served.fabric.to_string(),
        number: u32::try_from(served.rule).unwrap_or(u32::MAX),
    });
    let withheld = served
        .and_then(|served| served.serving.err())
        .map(|reason| v1::Refusal { reason: reason.word().to_owned(), detail: reason.says().to_owned() });
    v1::ServiceAddress {
        address: address.to_string(),
        kind: kind.to_owned(),
        rule,
        withheld,
        terminating: served.is_some_and(|served| served.serving == Ok(Serving::Terminating)),
        advertised_as: told.map(prefix_story),
    }
}
