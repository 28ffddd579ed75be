//! Events.

use api::v1;

use super::peer::state;
use super::scalar::timestamp;
use crate::discovery::shown;
use crate::status::clock::Moment;
use crate::status::event::Event;

/// One event, as the status of `revision` was the first to show it.
#[must_use]
pub fn event(event: &Event, revision: u64, moment: &Moment) -> v1::Event {
    let peer = event.peer.as_ref();
    v1::Event {
        revision,
        event_time: Some(timestamp(event.at, moment)),
        event_seconds: moment.seconds_since(event.at),
        kind: event.kind.word().to_owned(),
        peer: peer.map(|peer| v1::PeerSource { name: peer.name.clone(), address: shown(peer.address) }),
        asn: peer.and_then(|peer| peer.asn).map(|asn| asn.0),
        from: event.states.map(|(from, _)| state(from).into()),
        to: event.states.map(|(_, to)| state(to).into()),
        reason: event.reason.map(str::to_owned),
        detail: event.text.clone(),
    }
}
