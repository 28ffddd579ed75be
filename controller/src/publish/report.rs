//! A snapshot as the status of a FabricNode. Pure; times are whole seconds and
//! come from the snapshot alone, so that the same state gives the same status.

use api::crd::FabricNodeStatus;
use api::crd::node::{MOST, Observed, PeerDown};
use bgp::io::State;
use bgp::prefix::Family;
use bgp::reason::Reason;
use bgp::view::PeerView;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as ApiCondition, Time};

use crate::cluster::Objects;
use crate::discovery::shown;
use crate::status::snapshot::{Condition, Snapshot};

/// The most letters of one line: the rest stands in the log.
const LINE: usize = 512;

/// The status of a node, and of the objects those that are in use.
#[must_use]
pub fn status(snapshot: &Snapshot, objects: Option<&Objects>) -> FabricNodeStatus {
    let (configured, established) = snapshot.peer_counts();
    let installed: u64 = Family::ALL.into_iter().map(|family| snapshot.kernel[family].installed).sum();
    let down = snapshot.peers.iter().filter(|peer| is_down(peer));
    let problems = snapshot.source.errors.iter().chain(&snapshot.impairments);
    FabricNodeStatus {
        asn: snapshot.identity.map(|identity| identity.asn.0),
        router_id: snapshot.identity.map(|identity| identity.router_id.to_string()),
        peers: format!("{established}/{configured}"),
        routes: u32::try_from(installed).unwrap_or(u32::MAX),
        version: snapshot.version.clone(),
        source: snapshot.source.description.clone(),
        conditions: snapshot
            .conditions
            .iter()
            .map(|condition| self::condition(condition, snapshot))
            .collect(),
        problems: problems.take(MOST).map(|text| text.chars().take(LINE).collect()).collect(),
        peers_down: down.take(MOST).map(peer_down).collect(),
        observed: objects.map(observed).unwrap_or_default(),
    }
}

fn is_down(peer: &PeerView) -> bool {
    peer.state != State::Established && peer.down.as_ref().is_none_or(|down| down.reason != Reason::Disabled)
}

/// The state on the way up changes with each attempt, and is left to `underlay peers`.
fn peer_down(peer: &PeerView) -> PeerDown {
    let down = peer.down.as_ref();
    PeerDown {
        name: peer.name.clone(),
        address: shown(peer.address),
        reason: down.map(|down| down.reason.word().to_owned()).unwrap_or_default(),
        message: down.map(|down| down.text.chars().take(LINE).collect()).unwrap_or_default(),
    }
}

fn condition(condition: &Condition, snapshot: &Snapshot) -> ApiCondition {
    let since = snapshot.clock.moment().time_of_day(condition.since);
    let since =
        Timestamp::try_from(since).ok().and_then(|since| Timestamp::from_second(since.as_second()).ok());
    ApiCondition {
        type_: condition.kind.name().to_owned(),
        status: match condition.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
        .to_owned(),
        reason: camel_case(condition.reason),
        message: message(condition),
        last_transition_time: Time(since.unwrap_or_default()),
        observed_generation: None,
    }
}

/// A condition's message is a sentence for people; the reason's words where there are no particulars.
fn message(condition: &Condition) -> String {
    if condition.message.is_empty() {
        return condition.reason.replace('-', " ");
    }
    condition.message.chars().take(LINE).collect()
}

/// A word in kebab-case as a condition's reason is written.
#[must_use]
pub fn camel_case(word: &str) -> String {
    let capital = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    word.split('-').map(capital).collect()
}

fn observed(objects: &Objects) -> Vec<Observed> {
    let of = |kind: &str, name: &String, generation| Observed {
        kind: kind.into(),
        name: name.clone(),
        generation,
    };
    let fabrics = objects.fabrics.iter().map(|(name, fabric)| of("Fabric", name, fabric.generation));
    let peers = objects.peers.iter().map(|(name, peer)| of("FabricPeer", name, peer.generation));
    fabrics.chain(peers).take(4 * MOST).collect()
}
