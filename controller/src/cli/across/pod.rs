//! The whole path to a pod: its addresses, its node's way to each and whom that node tells, and what every other node has
//! selected and installed towards it.

use api::v1;
use api::v1::explain_request::Subject;
use api::v1::explain_response::Explanation;
use k8s_openapi::api::core::v1::Pod;

use super::whole::{outcome, unanswered};
use crate::cli::client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::options::Options;
use crate::cli::outcome::Outcome;
use crate::cli::pod::{self, covered};
use crate::cli::story::Row;
use crate::cli::target::Targets;
use crate::cli::way::{installed, source, story};

pub(super) async fn explain(targets: &Targets, name: &str, pod: &Pod, options: &Options) -> Outcome {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_else(|| "of unknown phase".to_owned());
    let addresses = status.pod_ips.unwrap_or_default();
    let addresses: Vec<String> = addresses.into_iter().map(|address| address.ip).collect();
    let (Some(home), false) = (spec.node_name, addresses.is_empty()) else {
        let failure = Failure::new(Exit::Failed, format!("pod {name} is {phase} and has no address yet"));
        return Outcome::failed(&failure, options);
    };
    let host_network = spec.host_network.unwrap_or_default();
    let told = client::ask_nodes(targets, async |node, agent| {
        let tell = async |subject| story(agent.clone(), v1::ExplainRequest { subject: Some(subject) }).await;
        if node == home && !host_network {
            match tell(Subject::Pod(name.to_owned())).await {
                // One whose addresses are not the plugin's has them all the same.
                Err(failure) if failure.reason == "UNKNOWN_POD" => {}
                told => return Ok(vec![told?]),
            }
        }
        let mut stories = Vec::new();
        for address in &addresses {
            stories.push(tell(Subject::Address(address.clone())).await?);
        }
        Ok(stories)
    })
    .await;
    let network = if host_network { ", in the network of its node" } else { "" };
    let mut rows = vec![Row::new("pod", &home, format!("{phase}, {}{network}", addresses.join(", ")))];
    let mut reached = Vec::new();
    let is_home = |stories: &&Vec<v1::ExplainResponse>| stories.iter().any(|story| story.node == home);
    let others = told.answers.iter().filter(|stories| !is_home(stories));
    for stories in told.answers.iter().filter(is_home).chain(others) {
        let all = stories.iter().flat_map(|story| way(story, &home, &mut rows));
        reached.push((stories.first().map(|story| story.node.clone()), all.collect::<Vec<bool>>()));
    }
    reached.retain(|(node, _)| node.as_ref() != Some(&home));
    let all = reached.iter().filter(|(_, ways)| ways.iter().all(|way| *way)).count();
    rows.extend(unanswered(&told));
    let of = match told.failures.len() {
        0 => format!("{} other nodes", reached.len()),
        silent => format!("{} other nodes that answered; {silent} did not", reached.len()),
    };
    let summary = format!("{name} on {home} is reached by {all} of {of}");
    outcome(told, summary, rows, options)
}

/// Adds what a node does with an address; whether it has a way there, where it is another node.
fn way(told: &v1::ExplainResponse, home: &str, rows: &mut Vec<Row>) -> Option<bool> {
    match &told.explanation {
        Some(Explanation::Pod(story)) => {
            rows.extend(pod::rows(story));
            None
        }
        Some(Explanation::Prefix(story)) if told.node == home => {
            rows.extend(covered(story));
            None
        }
        Some(Explanation::Prefix(story)) => {
            let (what, is_installed) = selected(told, story);
            rows.push(Row::new("on", &told.node, what));
            Some(is_installed)
        }
        // The address is that of a peer, which is on a subnet of the node.
        _ => {
            rows.push(Row::new("on", &told.node, &told.summary));
            Some(true)
        }
    }
}

/// What a node has selected for a prefix, and whether it is in the kernel.
pub(super) fn selected(told: &v1::ExplainResponse, story: &v1::PrefixExplanation) -> (String, bool) {
    let Some(route) = story.route.as_ref().filter(|route| route.paths.iter().any(|path| path.selected))
    else {
        return (told.summary.clone(), false);
    };
    let from: Vec<String> = route.paths.iter().filter(|path| path.selected).map(source).collect();
    let is_installed =
        route.kernel.as_ref().is_some_and(|kernel| kernel.state() == v1::KernelState::Installed);
    (format!("{} from {}, {}", story.prefix, from.join(", "), installed(Some(route))), is_installed)
}
