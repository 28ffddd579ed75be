//! The metrics as a scraper gets them.

use std::sync::Arc;

use bgp::bfd;
use bgp::id::Asn;
use bgp::io::State;
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use controller::metrics::{family, serve, text};
use controller::status::counter::{Counters, Operation};
use controller::status::snapshot::{Publisher, Snapshot};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::status::fixture::{address, counts, down, established, snapshot};

/// A node with two routers, one of which is away, and a mesh of three.
fn node() -> Snapshot {
    let of_v4 = |counts| PerFamily { ipv4: counts, ..PerFamily::default() };
    let tor = established(1, "tor1", "10.0.2.1", 65_000, of_v4(counts(14, 3, &[(Reason::AsLoop, 2)])));
    let away = down("tor\"2", "10.0.3.1", State::Connect, Reason::ConnectFailed, "connection refused");
    let mesh = |at: u32| {
        let peer = format!("10.0.0.{at}");
        established(10 + at, &format!("n{at}"), &peer, 65_001, of_v4(counts(1, 1, &[])))
    };
    let mut node = snapshot("n1", vec![tor, away, mesh(1), mesh(2), mesh(3)]);
    assert_eq!(node.identity.map(|own| own.asn), Some(Asn(65_001)));
    let mut counters = Counters::default();
    let transitions = [
        ("10.0.2.1", State::Established, None, 1),
        ("10.0.3.1", State::Idle, Some(Reason::BfdDown), 4),
        ("10.0.0.1", State::Established, None, 2),
        ("10.0.0.3", State::Established, None, 5),
        ("10.9.9.9", State::Established, None, 7),
    ];
    counters.transitions =
        transitions.into_iter().map(|(peer, to, why, count)| ((address(peer), to, why), count)).collect();
    counters.bfd.insert((address("10.0.3.1"), bfd::State::Down), 4);
    counters.operations.insert((Operation::Install, true), 20);
    counters.operations.insert((Operation::Install, false), 2);
    counters.update_to_kernel.observe(bgp::time::Duration::from_micros(1500));
    node.counters = Arc::new(counters);
    node
}

#[test]
fn a_page_says_what_the_status_says() {
    let page = text::page(Arc::new(node())).expect("a page");
    for line in [
        "# TYPE underlay_bgp_session_up gauge",
        "underlay_build_info{version=\"0.1.0\"} 1",
        "underlay_impairments 0",
        "underlay_condition{type=\"Ready\",status=\"True\"} 1",
        "underlay_bgp_sessions{kind=\"external\",state=\"up\"} 1",
        "underlay_bgp_sessions{kind=\"external\",state=\"down\"} 1",
        "underlay_bgp_sessions{kind=\"internal\",state=\"up\"} 3",
        "underlay_bgp_session_up{peer=\"tor1\"} 1",
        "underlay_bgp_session_up{peer=\"tor\\\"2\"} 0",
        "# TYPE underlay_bgp_session_transitions counter",
        "underlay_bgp_session_transitions_total{peer=\"tor1\",to=\"Established\",reason=\"\"} 1",
        "underlay_bgp_session_transitions_total{peer=\"tor\\\"2\",to=\"Idle\",reason=\"bfd-down\"} 4",
        "underlay_bgp_session_transitions_total{peer=\"(internal)\",to=\"Established\",reason=\"\"} 7",
        "underlay_bgp_routes{peer=\"tor1\",family=\"ipv4\",table=\"received\"} 14",
        "underlay_bgp_routes{peer=\"tor1\",family=\"ipv4\",table=\"accepted\"} 12",
        "underlay_bgp_routes{peer=\"(internal)\",family=\"ipv4\",table=\"sent\"} 3",
        "underlay_bgp_rejected_routes{peer=\"tor1\",reason=\"as-loop\"} 2",
        "underlay_bfd_session_transitions_total{peer=\"tor\\\"2\",to=\"Down\"} 4",
        "underlay_fib_routes{family=\"ipv6\",state=\"failed\"} 2",
        "underlay_fib_operations_total{op=\"install\",result=\"failed\"} 2",
        "underlay_update_to_kernel_seconds_bucket{le=\"0.001\"} 0",
        "underlay_update_to_kernel_seconds_bucket{le=\"0.002\"} 1",
        "underlay_update_to_kernel_seconds_bucket{le=\"+Inf\"} 1",
        "underlay_update_to_kernel_seconds_sum 0.0015",
        "underlay_update_to_kernel_seconds_count 1",
    ] {
        assert!(page.lines().any(|there| there == line), "{line}\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
    // A mesh has no series of its own for each node of it.
    assert!(!page.contains("\"n1\"") && !page.contains("10.0.0."), "{page}");
    assert!(!page.contains(" 10.9.9.9"), "who is no peer has none:\n{page}");
}

/// Each name is in the table of the README, and its samples have the labels that stand there.
#[test]
fn the_readme_lists_every_metric() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- metrics -->\n").expect("the table's beginning");
    let (there, _) = rest.split_once("<!-- end of metrics -->").expect("its end");
    let expected = text::table();
    assert_eq!(there, expected, "the table between the two comments is to be\n{expected}");
    let page = text::page(Arc::new(node())).expect("a page");
    for metric in &family::METRICS {
        let samples = page.lines().filter(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            [metric.name, &format!("{}_total", metric.name)]
                .iter()
                .any(|own| name == format!("underlay_{own}"))
        });
        for sample in samples {
            assert_eq!(sample.matches('=').count(), metric.labels.len(), "{sample}");
        }
    }
}

#[test]
fn what_is_asked_for_wrongly_is_told_so() {
    let answer = |method, path| serve::answer(&method, path, Arc::new(node()));
    assert_eq!(answer(Method::GET, "/ready").status(), StatusCode::OK);
    assert_eq!(answer(Method::GET, "/").status(), StatusCode::NOT_FOUND);
    assert_eq!(answer(Method::GET, "/").body(), "there are /metrics and /ready\n");
    assert_eq!(answer(Method::POST, "/metrics").status(), StatusCode::METHOD_NOT_ALLOWED);
    let mut early = node();
    early.conditions[0].holds = Some(false);
    early.conditions[0].reason = "converging";
    let answer = serve::answer(&Method::GET, "/ready", Arc::new(early));
    assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "converging\n"));
}

/// Over TCP, beside a reader who says nothing and one who has hung up.
#[tokio::test]
async fn a_scraper_gets_one_page_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let (_publisher, snapshots) = Publisher::new(node(), bgp::time::Instant::default());
    let serving = tokio::spawn(serve::serve(listener, snapshots));
    let _silent = TcpStream::connect(address).await.expect("a connection");
    drop(TcpStream::connect(address).await.expect("a connection"));
    let mut scraper = TcpStream::connect(address).await.expect("a connection");
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n").await.expect("it is read");
    let mut page = String::new();
    scraper.read_to_string(&mut page).await.expect("an answer, and the end");
    let page = page.to_ascii_lowercase();
    assert!(page.starts_with("http/1.1 200 ok\r\n"), "{page}");
    assert!(
        page.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{page}"
    );
    assert!(page.ends_with("# eof\n"), "{page}");
    serving.abort();
}
