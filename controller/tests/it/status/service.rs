//! StatusService as a client with the proto files sees it.

use std::time::Duration;

use api::v1;
use api::v1::list_routes_request::Filter;
use bgp::prefix::{Family, Prefix};
use bgp::view::{Explanation, KernelView};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use super::agent::Agent;
use super::fixture;

/// Distinct prefixes, each the story of the fixture.
fn stories(count: u32) -> Vec<Explanation> {
    let story = fixture::installed_story();
    let stories = (0..count).map(|index| {
        let address = std::net::Ipv4Addr::from_bits(0x0b00_0000 + (index << 8)).into();
        let prefix = Prefix::new(address, 24).expect("a length of IPv4");
        let mut story = story.clone();
        story.prefix = prefix;
        story.route.as_mut().expect("the fixture has one").prefix = prefix;
        story
    });
    stories.collect()
}

fn worker() -> controller::status::snapshot::Snapshot {
    let counts = bgp::prefix::PerFamily { ipv4: fixture::counts(2, 1, &[]), ..Default::default() };
    let peers = vec![
        fixture::established(1, "tor1", "10.0.2.1", 65_000, counts.clone()),
        fixture::established(2, "tor2", "10.0.3.1", 65_000, counts.clone()),
        fixture::established(4, "leaf4", "10.0.8.1", 65_008, counts.clone()),
        fixture::established(5, "twin", "10.0.9.1", 65_008, counts.clone()),
        fixture::established(6, "twin", "fd00::9", 65_008, counts),
    ];
    fixture::snapshot("worker-1", peers)
}

fn request(filter: Option<Filter>) -> v1::ListRoutesRequest {
    v1::ListRoutesRequest { filter, ..Default::default() }
}

fn of(peer: &str) -> v1::PeerFilter {
    v1::PeerFilter { peer: peer.to_owned() }
}

/// Code, ErrorInfo's reason and domain.
fn fault(status: &Status) -> (Code, String, String) {
    let info = status.get_details_error_info().expect("an ErrorInfo");
    (status.code(), info.reason, info.domain)
}

#[tokio::test]
async fn status_and_peers_are_the_newest_snapshot() {
    let mut agent = Agent::start(worker(), vec![]);
    let mut client = agent.client().await;
    let status = client.get_status(v1::GetStatusRequest {}).await.expect("an answer").into_inner();
    let status = status.status.expect("a status");
    assert_eq!((status.node.as_str(), status.revision, status.asn), ("worker-1", 1, Some(65_001)));
    assert_eq!(status.peers, Some(v1::PeerSummary { configured: 5, established: 5 }));
    let routes = &status.routes[0];
    assert_eq!((routes.received, routes.sent, routes.installed), (10, 5, 12), "{:?}", Family::ALL);

    agent.publisher.changed();
    let later = agent.publisher.deadline().expect("something changed");
    assert!(agent.publisher.publish(|| fixture::snapshot("renamed", vec![]), later));
    let peers = client.list_peers(v1::ListPeersRequest {}).await.expect("an answer").into_inner();
    assert_eq!((peers.node.as_str(), peers.revision, peers.peers.len()), ("renamed", 2, 0));
}

#[tokio::test]
async fn pages_hold_every_route_once() {
    let agent = Agent::start(worker(), stories(2500));
    let mut client = agent.client().await;
    let mut request = v1::ListRoutesRequest { page_size: 5000, ..Default::default() };
    let (mut sizes, mut prefixes) = (Vec::new(), std::collections::BTreeSet::new());
    loop {
        let page = client.list_routes(request.clone()).await.expect("a page").into_inner();
        sizes.push(page.routes.len());
        prefixes.extend(page.routes.into_iter().map(|route| route.prefix));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(sizes, [1000, 1000, 500], "a page is bounded whatever is asked for");
    assert_eq!(prefixes.len(), 2500);

    let page = client.list_routes(v1::ListRoutesRequest::default()).await.expect("a page").into_inner();
    assert_eq!(page.routes.len(), 100, "the size if none is asked for");
    let mut other = self::request(Some(Filter::Installed(v1::InstalledFilter {})));
    other.page_token = page.next_page_token;
    let status = client.list_routes(other).await.expect_err("a token of another filter");
    assert_eq!(fault(&status).1, "INVALID_PAGE_TOKEN");
}

#[tokio::test]
async fn filters_show_the_paths_they_name() {
    let rejected = fixture::unreachable_story();
    let agent = Agent::start(worker(), vec![rejected, fixture::installed_story()]);
    let mut client = agent.client().await;
    let mut paths = async |filter| {
        let page = client.list_routes(request(Some(filter))).await.expect("a page").into_inner();
        let paths = page.routes.iter().flat_map(|route| route.paths.iter().map(move |path| (route, path)));
        let words = paths.map(|(route, path)| format!("{} {}", route.prefix, path.verdict));
        words.collect::<Vec<String>>()
    };
    assert_eq!(paths(Filter::Rejected(v1::RejectedFilter {})).await, ["10.244.3.0/24 as-loop"]);
    let received = ["10.244.3.0/24 next-hop-unreachable", "10.244.4.0/24 best"];
    assert_eq!(paths(Filter::Received(of("tor1"))).await, received);
    assert_eq!(paths(Filter::Received(of("10.0.2.1"))).await, received, "the same by address");
    assert_eq!(paths(Filter::Sent(of("leaf4"))).await, ["10.244.4.0/24 best"]);
    assert!(paths(Filter::Sent(of("tor1"))).await.is_empty());
    let installed = ["10.244.4.0/24 best", "10.244.4.0/24 multipath"];
    assert_eq!(paths(Filter::Installed(v1::InstalledFilter {})).await, installed);
}

#[tokio::test]
async fn one_prefix_passes_the_filter_or_not() {
    let agent = Agent::start(worker(), vec![fixture::unreachable_story(), fixture::installed_story()]);
    let mut client = agent.client().await;
    let mut count = async |prefix: &str, filter| {
        let request = v1::ListRoutesRequest { prefix: Some(prefix.to_owned()), ..request(filter) };
        client.list_routes(request).await.expect("a page").into_inner().routes.len()
    };
    assert_eq!(count("10.244.4.0/24", None).await, 1);
    assert_eq!(count("10.244.4.9/24", None).await, 1, "host bits do not matter");
    assert_eq!(count("10.244.99.0/24", None).await, 0);
    assert_eq!(count("10.244.4.0/24", Some(Filter::Sent(of("leaf4")))).await, 1);
    assert_eq!(count("10.244.4.0/24", Some(Filter::Sent(of("tor1")))).await, 0);
    assert_eq!(count("10.244.4.0/24", Some(Filter::Rejected(v1::RejectedFilter {}))).await, 0);
    assert_eq!(count("10.244.3.0/24", Some(Filter::Rejected(v1::RejectedFilter {}))).await, 1);
    assert_eq!(count("10.244.3.0/24", Some(Filter::Installed(v1::InstalledFilter {}))).await, 0);
}

#[tokio::test]
async fn explanation_carries_every_part() {
    let mut failed = fixture::installed_story();
    failed.route.as_mut().expect("the fixture has one").kernel = KernelView::Failed(101);
    let agent = Agent::start(worker(), vec![failed]);
    let subject = v1::explain_request::Subject::Prefix("10.244.4.0/24".to_owned());
    let request = v1::ExplainRequest { subject: Some(subject) };
    let answer = agent.client().await.explain(request).await.expect("an answer").into_inner();
    assert_eq!(
        answer.summary,
        "10.244.4.0/24 on worker-1 is NOT installed: the kernel rejected it: Network is unreachable (errno 101)"
    );
    let Some(v1::explain_response::Explanation::Prefix(story)) = answer.explanation else {
        panic!("the story of a prefix")
    };
    let kernel = story.route.as_ref().and_then(|route| route.kernel.clone()).expect("a kernel state");
    assert_eq!((kernel.state(), kernel.errno), (v1::KernelState::Failed, Some(101)));
    assert_eq!(story.next_hops[2].metric, Some(20));
    let outcomes: Vec<bool> = story
        .advertisements
        .iter()
        .map(|sent| matches!(sent.outcome, Some(v1::advertisement::Outcome::Sent(_))))
        .collect();
    assert_eq!(outcomes, [false, true]);
    let path = &story.route.expect("a route").paths[0];
    let attributes = path.attributes.as_ref().expect("attributes");
    assert_eq!(attributes.communities, ["65000:1", "65535:0"]);
    assert_eq!(attributes.large_communities, ["4200000000:1:2"]);
    assert_eq!((attributes.med, attributes.local_preference), (Some(0), Some(100)));
}

#[tokio::test]
async fn errors_have_an_error_info() {
    let agent = Agent::start(worker(), vec![]);
    let mut client = agent.client().await;
    let domain = || "underlay.dev".to_owned();
    let subject = |text: &str| Some(v1::explain_request::Subject::Prefix(text.to_owned()));

    for text in ["10.0.0.0", "10.0.0.0/33", "", "tor1", "fd00::/129", "10.0.0.0/24/24"] {
        let request = v1::ExplainRequest { subject: subject(text) };
        let status = client.explain(request).await.expect_err("not a prefix");
        assert_eq!(fault(&status), (Code::InvalidArgument, "INVALID_PREFIX".to_owned(), domain()), "{text}");
        let request = v1::ListRoutesRequest { prefix: Some(text.to_owned()), ..request_all() };
        let status = client.list_routes(request).await.expect_err("not a prefix");
        assert_eq!(fault(&status).1, "INVALID_PREFIX", "{text}");
    }

    let status = client.explain(v1::ExplainRequest { subject: None }).await.expect_err("nothing");
    assert_eq!(fault(&status), (Code::InvalidArgument, "MISSING_SUBJECT".to_owned(), domain()));

    let status = client.list_routes(request(Some(Filter::Sent(of("tr1"))))).await.expect_err("a typo");
    assert_eq!(fault(&status), (Code::NotFound, "UNKNOWN_PEER".to_owned(), domain()));
    let nearest = status.get_details_error_info().expect("an ErrorInfo").metadata["nearest"].clone();
    assert_eq!(nearest, "tor1, tor2");
    assert_eq!(status.message(), "no peer `tr1` on worker-1; nearest: tor1, tor2");

    let status = client.list_routes(request(Some(Filter::Received(of("twin"))))).await.expect_err("two");
    assert_eq!(fault(&status), (Code::InvalidArgument, "AMBIGUOUS_PEER".to_owned(), domain()));
    let by_address = client.list_routes(request(Some(Filter::Received(of("fd00:0::9"))))).await;
    assert!(by_address.is_ok(), "an address in any form names one peer");

    // One on a link is named as it is shown, and never by how it is kept.
    let kept = "fe80:0:0:1::1";
    let spine = fixture::established(1, "spine1", kept, 65_000, bgp::prefix::PerFamily::default());
    let agent = Agent::start(fixture::snapshot("worker-1", vec![spine]), vec![]);
    let mut on_link = agent.client().await;
    let by_address = on_link.list_routes(request(Some(Filter::Received(of("fe80::1%lo"))))).await;
    assert!(by_address.is_ok(), "{by_address:?}");
    let status = on_link.list_routes(request(Some(Filter::Received(of(kept))))).await.expect_err("nobody's");
    assert_eq!(fault(&status).1, "UNKNOWN_PEER");
    let status =
        on_link.list_routes(request(Some(Filter::Received(of("fe80::2%lo"))))).await.expect_err("no");
    assert_eq!(status.message(), "no peer `fe80::2%lo` on worker-1; nearest: fe80::1%lo");

    let mut broken = request_all();
    broken.page_token = "not-a-token".to_owned();
    let status = client.list_routes(broken).await.expect_err("not a token");
    assert_eq!(fault(&status), (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned(), domain()));
}

fn request_all() -> v1::ListRoutesRequest {
    v1::ListRoutesRequest::default()
}

#[tokio::test]
async fn health_is_served() {
    let agent = Agent::start(worker(), vec![]);
    let mut client = HealthClient::new(agent.channel().await);
    for service in ["", "underlay.v1.StatusService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let request = HealthCheckRequest { service: "underlay.v1.NoService".to_owned() };
    assert_eq!(client.check(request).await.expect_err("no such service").code(), Code::NotFound);
}

/// A call that never ends must not hold up the agent's end.
#[tokio::test]
async fn shutdown_does_not_wait_for_an_endless_call() {
    let agent = Agent::start(worker(), vec![]);
    let mut client = HealthClient::new(agent.channel().await);
    let watching = client.watch(HealthCheckRequest::default()).await.expect("a watch");
    let mut watching = watching.into_inner();
    watching.message().await.expect("the first state").expect("the first state");
    let (socket, stopped) = (agent.socket(), tokio::time::timeout(Duration::from_secs(20), agent.stop()));
    let _directory = stopped.await.expect("the server ends although the watch goes on");
    assert!(!socket.exists(), "the socket's file goes with the server");
}

/// More connections, one after the other, than there are places for at a time.
#[tokio::test]
async fn connections_give_their_places_back() {
    let agent = Agent::start(worker(), vec![]);
    for _ in 0..100 {
        let mut client = agent.client().await;
        client.get_status(v1::GetStatusRequest {}).await.expect("an answer");
    }
    // Those who never say anything are served as well, and in the way of nobody.
    let idle: Vec<_> =
        (0..60).map(|_| std::os::unix::net::UnixStream::connect(agent.socket()).expect("a place")).collect();
    agent.client().await.get_status(v1::GetStatusRequest {}).await.expect("an answer");
    drop(idle);
}
