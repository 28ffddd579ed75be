//! The story of a pod, and its one line.

use std::net::IpAddr;

use api::v1;
use bgp::view::Explanation;

use super::explanation::prefix_story;
use crate::status::pods::PodAddress;

/// The story of a pod as the node called `node` tells it; with each address goes the story of the prefix that
/// covers it.
#[must_use]
pub fn pod_explanation(
    pod: &str,
    addresses: &[(PodAddress, Explanation)],
    node: &str,
) -> v1::ExplainResponse {
    let all: Vec<String> = addresses.iter().map(|(held, _)| held.address.to_string()).collect();
    let ending = addresses.iter().find_map(|(held, story)| obstacle(held, story));
    let ending = ending.unwrap_or_else(|| "reached by this node, and announced".to_owned());
    let explanation = v1::PodExplanation {
        pod: pod.to_owned(),
        addresses: addresses.iter().map(|(held, story)| address(held, story)).collect(),
    };
    v1::ExplainResponse {
        node: node.to_owned(),
        summary: format!("{pod} on {node} has {}: {ending}", all.join(", ")),
        explanation: Some(v1::explain_response::Explanation::Pod(explanation)),
    }
}

/// What keeps an address from being reached.
fn obstacle(held: &PodAddress, story: &Explanation) -> Option<String> {
    let address = held.address;
    match &held.route {
        Ok(None) => return Some(format!("this node has NO route to {address}")),
        Ok(Some(found)) if !found.interfaces.contains(&held.reservation.link) => {
            let (prefix, link) = (found.route.prefix, &held.reservation.link);
            return Some(format!("this node's route to {address}, {prefix}, does NOT lead over {link}"));
        }
        // What could not be looked up stands in the story.
        Ok(Some(_)) | Err(_) => {}
    }
    if story.route.is_none() {
        return Some(format!("NO prefix that covers {address} is announced"));
    }
    let sent = story.sent.iter().filter(|sent| sent.sent.is_ok()).count();
    (sent == 0).then(|| format!("{}, which covers {address}, is announced to NO peer", story.prefix))
}

fn address(held: &PodAddress, story: &Explanation) -> v1::PodAddress {
    let PodAddress { address, network, reservation, route } = held;
    let host_route = route.as_ref().ok().and_then(Option::as_ref).map(|found| v1::HostRoute {
        prefix: found.route.prefix.to_string(),
        interfaces: found.interfaces.clone(),
        protocol: found.route.protocol.into(),
    });
    v1::PodAddress {
        address: IpAddr::to_string(address),
        interface: reservation.interface.clone(),
        link: reservation.link.clone(),
        network: network.clone(),
        container_id: reservation.container.clone(),
        host_route,
        host_route_error: route.as_ref().err().cloned(),
        covered_by: Some(prefix_story(story)),
    }
}
