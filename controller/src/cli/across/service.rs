//! The whole story of a Service: its addresses and the rules that name them, where its endpoints are, which nodes
//! advertise it to whom, and why the others do not.

use api::v1;
use api::v1::advertisement::Outcome as Sent;
use api::v1::explain_request::Subject;
use api::v1::explain_response::Explanation;
use k8s_openapi::api::core::v1::Service;

use super::whole::{outcome, unanswered};
use crate::cli::advertised::reasoned;
use crate::cli::client::{self, Answers};
use crate::cli::options::Options;
use crate::cli::outcome::Outcome;
use crate::cli::render::text;
use crate::cli::service::{endpoints, rule};
use crate::cli::story::Row;
use crate::cli::target::Targets;
use crate::cli::way::{installed, source, story};

pub(super) async fn explain(targets: &Targets, name: &str, service: &Service, options: &Options) -> Outcome {
    let request = v1::ExplainRequest { subject: Some(Subject::Service(name.to_owned())) };
    let mut told =
        client::ask_nodes(targets, async |_, agent| Ok(vec![story(agent, request.clone()).await?])).await;
    let without = set_aside(&mut told);
    let stories: Vec<(&str, &v1::ServiceExplanation)> =
        told.answers.iter().flatten().filter_map(known).collect();
    let mut rows = vec![Row::new("service", "-", kind(service))];
    let mut addresses = Vec::<(&str, String)>::new();
    for address in stories.iter().flat_map(|(_, story)| &story.addresses) {
        let one = (address.address.as_str(), rule(address));
        if !addresses.contains(&one) {
            addresses.push(one);
        }
    }
    if addresses.is_empty() {
        rows.push(Row::new("address", "-", "none that a node knows"));
    }
    rows.extend(addresses.into_iter().map(|(address, rule)| Row::new("address", address, rule)));
    if let Some((_, story)) = stories.first() {
        rows.extend(endpoints(&story.endpoints));
    }
    let mut advertising = 0;
    for (node, story) in &stories {
        let ways: Vec<(String, bool)> = story.addresses.iter().filter_map(way).collect();
        advertising += usize::from(ways.iter().any(|(_, is_advertised)| *is_advertised));
        rows.extend(ways.into_iter().map(|(what, _)| Row::new("on", *node, what)));
    }
    rows.extend(without.iter().map(|node| Row::new("on", node, "follows no Services, or not this one")));
    rows.extend(unanswered(&told));
    let asked = stories.len() + without.len();
    let of = match told.failures.len() {
        0 => format!("{asked} nodes"),
        silent => format!("{asked} nodes that answered; {silent} did not"),
    };
    let summary = match advertising {
        0 => format!("{name} is advertised by NONE of {of}"),
        some => format!("{name} is advertised by {some} of {of}"),
    };
    told.answers.extend(without.iter().map(|_| Vec::new()));
    outcome(told, summary, rows, options)
}

/// Takes out the nodes that know no such Service: they have answered, too.
fn set_aside(told: &mut Answers<Vec<v1::ExplainResponse>>) -> Vec<String> {
    let is_answer = |reason: &str| reason == "UNKNOWN_SERVICE";
    let nodes = told.failures.iter().filter(|failure| is_answer(&failure.reason));
    let nodes = nodes.filter_map(|failure| failure.node.clone()).collect();
    told.failures.retain(|failure| !is_answer(&failure.reason));
    nodes
}

fn known(told: &v1::ExplainResponse) -> Option<(&str, &v1::ServiceExplanation)> {
    match &told.explanation {
        Some(Explanation::Service(story)) => Some((&told.node, story)),
        _ => None,
    }
}

/// What the API server says of the Service.
fn kind(service: &Service) -> String {
    let spec = service.spec.clone().unwrap_or_default();
    let mut said = vec![spec.type_.unwrap_or_else(|| "ClusterIP".to_owned())];
    if let Some(policy) = spec.external_traffic_policy {
        said.push(format!("externalTrafficPolicy {policy}"));
    }
    if let Some(class) = spec.load_balancer_class {
        said.push(format!("loadBalancerClass {class}"));
    }
    let status = service.status.clone().unwrap_or_default().load_balancer.unwrap_or_default();
    if said.first().is_some_and(|kind| kind == "LoadBalancer")
        && status.ingress.unwrap_or_default().is_empty()
    {
        said.push("NO address is assigned yet".to_owned());
    }
    said.join(", ")
}

/// What a node does with an address that a rule names, and whether it tells anybody.
fn way(address: &v1::ServiceAddress) -> Option<(String, bool)> {
    let story = address.advertised_as.as_ref()?;
    let prefix = &story.prefix;
    if let Some(refusal) = &address.withheld {
        let why = reasoned(&refusal.reason, &refusal.detail);
        return Some((format!("{prefix} NOT advertised: {why}{}", elsewhere(story)), false));
    }
    let to = story.advertisements.iter().filter(|one| matches!(one.outcome, Some(Sent::Sent(_))));
    let to: Vec<String> = to.filter_map(|one| one.peer.as_ref().map(text::peer)).collect();
    if to.is_empty() {
        return Some((format!("{prefix} sent to NO peer"), false));
    }
    let shunned = if address.terminating { ", with GRACEFUL_SHUTDOWN" } else { "" };
    Some((format!("{prefix} sent to {}{shunned}", to.join(", ")), true))
}

/// The way that a node has to a prefix that it does not advertise.
fn elsewhere(story: &v1::PrefixExplanation) -> String {
    let Some(route) = &story.route else { return String::new() };
    let from: Vec<String> = route.paths.iter().filter(|path| path.selected).map(source).collect();
    if from.is_empty() {
        return String::new();
    }
    format!("; here from {}, {}", from.join(", "), installed(Some(route)))
}
