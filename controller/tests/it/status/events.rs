//! ListEvents: which events, of whom, since when.

use api::v1;
use bgp::id::{Asn, PeerId};
use bgp::io::{Downfall, Note, State};
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use controller::status::event::{Event, EventKind};
use controller::status::snapshot::Snapshot;
use tonic::Code;
use tonic_types::StatusExt;

use super::agent::Agent;
use super::fixture;

/// A session that is lost.
pub(crate) fn lost(name: &str, address: &str) -> Event {
    let note = Note {
        peer: PeerId(1),
        name: name.to_owned(),
        address: fixture::address(address),
        asn: Some(Asn(65_000)),
        from: State::Established,
        to: State::Idle,
        cause: Some(Downfall {
            reason: Reason::HoldTimerExpired,
            text: "nothing was heard for 9 s".to_owned(),
        }),
    };
    Event::session(&note, fixture::at(60))
}

/// An agent with three events, two of them of peers.
pub(crate) fn eventful() -> Agent {
    let peer = |id, name, address| fixture::established(id, name, address, 65_000, PerFamily::default());
    let peers = vec![peer(1, "tor1", "10.0.2.1"), peer(2, "tor2", "fd00::2")];
    let snapshot: Snapshot = fixture::snapshot("worker-1", peers);
    let mut agent = Agent::start(snapshot.clone(), vec![]);
    agent.publisher.event(Event::new(EventKind::Configured, "AS 65001", fixture::at(1)));
    agent.publish(snapshot.clone());
    agent.publisher.event(lost("tor1", "10.0.2.1"));
    agent.publisher.event(lost("gone", "10.0.9.9"));
    agent.publish(snapshot);
    agent
}

async fn list(agent: &Agent, request: v1::ListEventsRequest) -> Vec<String> {
    let answer = agent.client().await.list_events(request).await.expect("an answer").into_inner();
    let about = |event: &v1::Event| event.peer.as_ref().map(|peer| peer.name.clone()).unwrap_or_default();
    answer.events.iter().map(|event| format!("{} {} {}", event.revision, event.kind, about(event))).collect()
}

#[tokio::test]
async fn events_pass_what_is_asked_for() {
    let agent = eventful();
    let all = ["2 configured ", "3 session tor1", "3 session gone"];
    let request = v1::ListEventsRequest::default;
    assert_eq!(list(&agent, request()).await, all);
    assert_eq!(list(&agent, v1::ListEventsRequest { after_revision: 2, ..request() }).await, all[1..]);
    assert_eq!(list(&agent, v1::ListEventsRequest { limit: 1, ..request() }).await, all[2..], "the newest");
    let of = |peer: &str| v1::ListEventsRequest { peer: Some(peer.to_owned()), ..request() };
    assert_eq!(list(&agent, of("tor1")).await, all[1..2]);
    assert_eq!(list(&agent, of("10.0.9.9")).await, all[2..], "a peer that was, while its events are held");
    assert!(list(&agent, of("fd00:0::2")).await.is_empty(), "a peer without events");
    // The fixture's events are of the agent's first minute, which has hardly begun.
    let within = |seconds| v1::ListEventsRequest { within_seconds: Some(seconds), ..request() };
    assert_eq!(list(&agent, within(u64::MAX)).await, all);
    let status = agent.client().await.list_events(of("tr1")).await.expect_err("a typo");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((status.code(), info.metadata["nearest"].as_str()), (Code::NotFound, "tor1, tor2"));
}

#[tokio::test]
async fn a_session_is_told_with_states_and_cause() {
    let agent = eventful();
    let request = v1::ListEventsRequest { peer: Some("tor1".to_owned()), ..Default::default() };
    let answer = agent.client().await.list_events(request).await.expect("an answer").into_inner();
    let event = &answer.events[0];
    assert_eq!((event.from(), event.to()), (v1::SessionState::Established, v1::SessionState::Idle));
    assert_eq!(event.reason.as_deref(), Some("hold-timer-expired"));
    assert_eq!(event.detail, "nothing was heard for 9 s");
    assert_eq!(event.asn, Some(65_000));
    assert_eq!((answer.revision, answer.dropped_revision), (3, 0));
}

#[test]
fn texts_are_bounded() {
    let event = Event::new(EventKind::ConfigurationRefused, &"ü".repeat(10_000), fixture::at(1));
    assert_eq!(event.text.chars().count(), 512);
}
