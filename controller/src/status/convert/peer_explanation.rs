//! The story of a peer, and its one line.

use api::v1;
use bgp::config::{PeerAs, PeerConfig};
use bgp::io::State;
use bgp::prefix::Family;
use bgp::view::PeerView;

use super::peer::peer;
use super::scalar::family;
use crate::discovery::shown;
use crate::status::clock::Moment;

/// The story of one peer as the node called `node` tells it.
#[must_use]
pub fn peer_explanation(
    view: &PeerView,
    config: &PeerConfig,
    node: &str,
    moment: &Moment,
) -> v1::ExplainResponse {
    let story = v1::PeerExplanation { peer: Some(peer(view, moment)), configured: Some(settings(config)) };
    v1::ExplainResponse {
        node: node.to_owned(),
        summary: format!("{} {} on {node} {}", view.name, shown(view.address), ending(view)),
        explanation: Some(v1::explain_response::Explanation::Peer(story)),
    }
}

fn settings(config: &PeerConfig) -> v1::PeerSettings {
    let families = Family::ALL.into_iter().filter(|family| config.families[*family]);
    let accept = config.accept.iter().flatten();
    v1::PeerSettings {
        asn: match config.asn {
            PeerAs::Exactly(asn) => asn.0.to_string(),
            PeerAs::External => "external".to_owned(),
            PeerAs::Internal => "internal".to_owned(),
            PeerAs::Any => "any".to_owned(),
        },
        port: config.port.into(),
        source_address: config.source.map(|source| source.to_string()),
        passive: config.passive,
        disabled: config.disabled,
        families: families.map(family).collect(),
        hold_seconds: config.timers.hold.as_secs(),
        keepalive_seconds: config.timers.keepalive.as_secs(),
        connect_retry_seconds: config.timers.connect_retry.as_secs(),
        accept_any: config.accept.is_none(),
        accept: accept.map(ToString::to_string).collect(),
        accept_default_route: config.accept_default,
        receive_limit: config.receive.most,
        long_lived_seconds: config.restart.long_lived,
        add_path_receive: config.add_path.receive,
        add_path_send: config.add_path.send.into(),
    }
}

/// What is said of the peer after its name and the node's.
fn ending(view: &PeerView) -> String {
    match &view.down {
        _ if view.state == State::Established => "is Established".to_owned(),
        Some(down) if down.text.is_empty() => {
            format!("is NOT Established but {}: {}", view.state.name(), down.reason.says())
        }
        Some(down) => format!("is NOT Established but {}: {}", view.state.name(), down.text),
        None => format!("is NOT Established but {}", view.state.name()),
    }
}
