//! The events that a request asks for, out of the ring.

use std::net::IpAddr;

use api::v1;
use bgp::time::Duration;
use tonic::Status;

use super::event::Event;
use super::snapshot::Snapshot;
use super::{convert, peer};
use crate::discovery;

/// The events that pass the request, the oldest first.
pub(super) fn list(
    request: &v1::ListEventsRequest,
    snapshot: &Snapshot,
) -> Result<v1::ListEventsResponse, Status> {
    let moment = snapshot.clock.moment();
    let about = request.peer.as_deref().map(|text| About::new(text, snapshot)).transpose()?;
    let since = request.within_seconds.map(|seconds| {
        let span = Duration::from_secs(seconds);
        u64::try_from(span.as_nanos()).map_or(0, |span| moment.now.0.saturating_sub(span))
    });
    let limit = match usize::try_from(request.limit) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let passes = |(revision, event): &(u64, &Event)| {
        *revision > request.after_revision
            && since.is_none_or(|since| event.at.0 >= since)
            && about.as_ref().is_none_or(|about| about.holds(event))
    };
    let newest = snapshot.events.iter().rev().filter(passes).take(limit);
    let mut events: Vec<v1::Event> =
        newest.map(|(revision, event)| convert::event(event, revision, &moment)).collect();
    events.reverse();
    Ok(v1::ListEventsResponse {
        node: snapshot.node.clone(),
        revision: snapshot.revision,
        events,
        dropped_revision: snapshot.events.dropped_revision(),
    })
}

/// The peer that events are asked for: one that is configured, or one that was
/// while its events are held.
struct About<'a> {
    name: &'a str,
    address: Option<IpAddr>,
}

impl<'a> About<'a> {
    fn new(text: &'a str, snapshot: &Snapshot) -> Result<Self, Status> {
        let about = Self { name: text, address: discovery::parse(text) };
        let configured = snapshot.peers.iter().any(|peer| about.is(&peer.name, peer.address));
        if configured || snapshot.events.iter().any(|(_, event)| about.holds(event)) {
            Ok(about)
        } else {
            Err(peer::unknown(text, snapshot))
        }
    }

    fn is(&self, name: &str, address: IpAddr) -> bool {
        name == self.name || Some(address) == self.address
    }

    fn holds(&self, event: &Event) -> bool {
        event.peer.as_ref().is_some_and(|peer| self.is(&peer.name, peer.address))
    }
}
