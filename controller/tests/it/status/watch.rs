//! Watch: the present, then what changes; and readers that are slow, many or gone.

use std::time::Duration;

use api::v1;
use api::v1::WatchTopic;
use bgp::io::State;
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use bgp::view::PeerView;
use controller::status::event::{Event, EventKind};
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use super::agent::Agent;
use super::fixture;

type Answers = Streaming<v1::WatchResponse>;

fn up(id: u32, name: &str, address: &str) -> PeerView {
    fixture::established(id, name, address, 65_000, PerFamily::default())
}

fn happened(agent: &mut Agent, text: &str) {
    agent.publisher.event(Event::new(EventKind::KernelTrouble, text, fixture::at(1)));
}

async fn watch(agent: &Agent, topics: &[WatchTopic], after_revision: Option<u64>) -> Answers {
    let topics = topics.iter().map(|topic| *topic as i32).collect();
    let request = v1::WatchRequest { topics, after_revision };
    agent.client().await.watch(request).await.expect("a place").into_inner()
}

async fn next(answers: &mut Answers) -> v1::WatchResponse {
    let answer = tokio::time::timeout(Duration::from_secs(20), answers.message()).await;
    answer.expect("in time").expect("no error").expect("no end")
}

/// What is told up to a revision.
async fn until(answers: &mut Answers, revision: u64) -> Vec<v1::WatchResponse> {
    let mut told = Vec::new();
    loop {
        told.push(next(answers).await);
        if told.last().is_some_and(|last| last.revision >= revision && !last.more) {
            return told;
        }
    }
}

#[tokio::test]
async fn the_present_comes_whole_and_then_what_changed() {
    let peers = vec![up(1, "tor1", "10.0.2.1"), up(2, "tor2", "10.0.3.1"), up(3, "tor3", "10.0.4.1")];
    let mut agent = Agent::start(fixture::snapshot("worker-1", peers.clone()), vec![]);
    let mut answers = watch(&agent, &[], None).await;
    let first = next(&mut answers).await;
    assert_eq!((first.node.as_str(), first.revision, first.more), ("worker-1", 1, false));
    assert_eq!(first.peers.len(), 3);
    assert!(first.status.is_some_and(|status| status.revision == 1));

    let mut changed = peers[1..].to_vec();
    changed[0] = fixture::down("tor2", "10.0.3.1", State::Idle, Reason::HoldTimerExpired, "");
    agent.publish(fixture::snapshot("worker-1", changed.clone()));
    let second = next(&mut answers).await;
    assert_eq!(second.revision, 2);
    let names: Vec<&str> = second.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["tor2"], "one that did not change is not told again");
    assert_eq!(second.removed_peers, ["10.0.2.1"]);
    assert_eq!(second.status.and_then(|status| status.peers).map(|peers| peers.established), Some(1));

    // A snapshot that differs in nothing is not told; the next one is.
    agent.publish(fixture::snapshot("worker-1", changed.clone()));
    changed.pop();
    agent.publish(fixture::snapshot("worker-1", changed));
    let third = next(&mut answers).await;
    assert_eq!((third.revision, third.removed_peers), (4, vec!["10.0.4.1".to_owned()]));
}

#[tokio::test]
async fn a_large_present_comes_in_parts() {
    let peers = (0..1000).map(|n| up(n, "tor", &format!("10.9.{}.{}", n / 250, n % 250 + 1)));
    let agent = Agent::start(fixture::snapshot("worker-1", peers.collect()), vec![]);
    let mut answers = watch(&agent, &[WatchTopic::Status], None).await;
    let told = until(&mut answers, 1).await;
    let addresses: std::collections::BTreeSet<_> =
        told.iter().flat_map(|answer| answer.peers.iter().map(|peer| &peer.address)).collect();
    assert_eq!((told.len(), addresses.len()), (4, 1000));
    assert_eq!(told.iter().filter(|answer| answer.status.is_some()).count(), 1);
}

#[tokio::test]
async fn events_and_prefixes_come_on_request() {
    let mut agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    happened(&mut agent, "first");
    agent.publisher.prefix(fixture::prefix("10.1.0.0/16"));
    agent.publish(fixture::snapshot("worker-1", vec![]));

    let topics = [WatchTopic::Events, WatchTopic::Prefixes];
    let mut answers = watch(&agent, &topics, None).await;
    let present = next(&mut answers).await;
    assert_eq!(present.events.iter().map(|event| event.detail.as_str()).collect::<Vec<_>>(), ["first"]);
    assert_eq!((present.prefixes.len(), present.status), (0, None), "prefixes begin with the present");

    happened(&mut agent, "second");
    for third in 0..5000 {
        let prefix = format!("10.{}.{}.0/24", third / 250, third % 250);
        agent.publisher.prefix(fixture::prefix(&prefix));
    }
    agent.publish(fixture::snapshot("worker-1", vec![]));
    let told = until(&mut answers, 3).await;
    assert_eq!(told[0].events[0].detail, "second");
    assert_eq!(told.iter().map(|answer| answer.prefixes.len()).collect::<Vec<_>>(), [4096, 904]);

    let mut later = watch(&agent, &topics, Some(1)).await;
    let told = until(&mut later, 3).await;
    let events: usize = told.iter().map(|answer| answer.events.len()).sum();
    let prefixes: usize = told.iter().map(|answer| answer.prefixes.len()).sum();
    assert_eq!((events, prefixes), (2, 5001), "who asks with a revision misses nothing");
}

/// Expects the stream's end by this reason.
async fn overtaken(answers: &mut Answers) {
    let ended = async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("an end without a reason"),
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("in time");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str()), (Code::Aborted, "READER_OVERTAKEN"));
    assert!(info.metadata.contains_key("dropped_revision"), "{info:?}");
}

#[tokio::test]
async fn what_is_out_of_reach_is_told() {
    let mut agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    for _ in 0..1100 {
        happened(&mut agent, "again");
        agent.publish(fixture::snapshot("worker-1", vec![]));
    }
    overtaken(&mut watch(&agent, &[WatchTopic::Events], Some(1)).await).await;
    // A revision of another run of the agent.
    overtaken(&mut watch(&agent, &[WatchTopic::Events], Some(5000)).await).await;
    let mut anew = watch(&agent, &[WatchTopic::Events], None).await;
    let told = until(&mut anew, 1101).await;
    assert_eq!(told.iter().map(|answer| answer.events.len()).sum::<usize>(), 1024);
}

/// One that never reads, among others that do: the loop never waits, the others
/// see everything, and it is told when it reads at last.
#[tokio::test]
async fn a_reader_that_does_not_read_holds_nobody_up() {
    let text = "x".repeat(500);
    let mut agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    let mut silent = watch(&agent, &[WatchTopic::Events], None).await;
    let mut reader = watch(&agent, &[WatchTopic::Events], None).await;
    next(&mut reader).await;
    let mut seen = 0;
    for revision in 2..202 {
        (0..50).for_each(|_| happened(&mut agent, &text));
        agent.publish(fixture::snapshot("worker-1", vec![]));
        let told = until(&mut reader, revision).await;
        seen += told.iter().map(|answer| answer.events.len()).sum::<usize>();
    }
    assert_eq!(seen, 10_000, "5 MB that the other reader did not take");
    overtaken(&mut silent).await;
}

#[tokio::test]
async fn readers_are_many_and_bounded_and_one_may_go() {
    let mut agent = Agent::start(fixture::snapshot("worker-1", vec![]), vec![]);
    let mut client = agent.client().await;
    let mut readers = Vec::new();
    for reader in 0..64 {
        // No more calls on one connection than it takes.
        if reader % 16 == 0 {
            client = agent.client().await;
        }
        let mut answers = client.watch(v1::WatchRequest::default()).await.expect("a place").into_inner();
        next(&mut answers).await;
        readers.push(answers);
    }
    let mut client = agent.client().await;
    let status = client.watch(v1::WatchRequest::default()).await.expect_err("one too many");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((status.code(), info.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_READERS"));
    client.get_status(v1::GetStatusRequest {}).await.expect("other calls are answered as before");

    drop(readers.swap_remove(20));
    agent.publish(fixture::snapshot("worker-1", vec![up(1, "tor1", "10.0.2.1")]));
    for answers in &mut readers {
        let answer = next(answers).await;
        assert_eq!((answer.revision, answer.peers.len()), (2, 1));
    }
    let again = async {
        while client.watch(v1::WatchRequest::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("the place comes back");
}
