//! Goldens of everything that the verbs print, from fixed values.

use api::v1;
use bgp::config::{LongLived, PeerRestart};
use bgp::io::State;
use bgp::prefix::PerFamily;
use bgp::reason::Reason;
use bgp::view::{Explanation, KernelView, RouteFilter, RoutePage};
use bgp::wire::add_path::Mode;
use controller::cli::drain::{Drained, Undrained};
use controller::cli::explain::Explanations;
use controller::cli::peers::Peers;
use controller::cli::render::{Format, Render, Style, render};
use controller::cli::reset::Resets;
use controller::cli::routes::Routes;
use controller::cli::status::Statuses;
use controller::desired::services::Withheld;
use controller::kernel::Fib;
use controller::status::convert;
use controller::status::snapshot::{ConditionKind, Snapshot};

use crate::status::fixture::{self, moment};

fn peers(snapshots: &[Snapshot]) -> Peers {
    let response = |snapshot: &Snapshot| v1::ListPeersResponse {
        node: snapshot.node.clone(),
        revision: snapshot.revision,
        peers: snapshot.peers.iter().map(|peer| convert::peer(peer, &moment())).collect(),
    };
    Peers(snapshots.iter().map(response).collect())
}

fn statuses(snapshots: &[Snapshot]) -> Statuses {
    let response =
        |snapshot: &Snapshot| v1::GetStatusResponse { status: Some(convert::node(snapshot, &moment())) };
    Statuses(snapshots.iter().map(response).collect())
}

fn routes() -> Routes {
    let stories = [fixture::unreachable_story(), fixture::installed_story()];
    let mut routes: Vec<_> = stories.into_iter().filter_map(|story| story.route).collect();
    routes.insert(0, fixture::local_route());
    let page = RoutePage { routes, next: None };
    Routes(vec![v1::ListRoutesResponse {
        node: "worker-1".to_owned(),
        routes: convert::page(page, RouteFilter::All),
        next_page_token: String::new(),
    }])
}

fn explain(story: &Explanation) -> Explanations {
    Explanations(vec![convert::explanation(story, &Withheld::default(), "worker-1")])
}

/// As a pipe gets it.
fn printed(what: &impl Render, format: Format) -> String {
    let several = what.documents().len() > 1;
    let text = render(what, format, Style::new(format, false), several).expect("it can be printed");
    assert!(text.ends_with('\n'), "the last line is ended");
    if format == Format::Table {
        for line in text.lines() {
            // The last column may be a reason, and a reason is never cut.
            let columns = line.rfind("  ").map_or(line, |end| &line[..end]);
            assert!(columns.chars().count() <= 100, "longer than 100 columns: {line}");
            assert_eq!(line, line.trim_end(), "blanks at the end");
        }
    }
    text
}

#[test]
fn peers_are_those_of_the_design() {
    let table = printed(&peers(&fixture::three_nodes()), Format::Table);
    let expected = "\
NODE      PEER  ADDRESS   ASN    STATE        SINCE  RECEIVED  ACCEPTED  SENT  NOTE
worker-1  tor1  10.0.2.1  65000  Established  3h12m  14        12        3     2 rejected: as-loop
worker-2  tor1  10.0.3.1  65000  Connect      48s    -         -         -     connection refused, retry in 12s
worker-3  tor1  10.0.4.1  65000  Idle         5m02s  -         -         -     peer AS is 65010, expected 65000
";
    assert_eq!(table, expected);
}

#[test]
fn peers_in_every_form() {
    let three = peers(&fixture::three_nodes());
    insta::assert_snapshot!("peers_wide", printed(&three, Format::Wide));
    insta::assert_snapshot!("peers_json", printed(&three, Format::Json));
    insta::assert_snapshot!("peers_jsonl", printed(&three, Format::Jsonl));
    let one = peers(&fixture::three_nodes()[..1]);
    insta::assert_snapshot!("peers_yaml", printed(&one, Format::Yaml));
}

#[test]
fn peers_sum_families_and_reasons() {
    let counts = PerFamily {
        ipv4: fixture::counts(10, 2, &[(Reason::AsLoop, 2), (Reason::NotAccepted, 1)]),
        ipv6: fixture::counts(5, 1, &[(Reason::AsLoop, 3)]),
    };
    let mut both = fixture::established(1, "tor1", "fd00:0:2::1", 4_200_000_000, counts);
    both.malformed = (3, Some("ORIGIN of 2 octets".to_owned()));
    let disabled = fixture::down("spare", "10.0.9.1", State::Idle, Reason::Disabled, "disabled");
    let mut hostile = fixture::down("tor\x1b[31m", "10.0.9.2", State::Active, Reason::Connecting, "");
    hostile.asn = None;
    let nodes = [fixture::snapshot("worker-1", vec![both, disabled, hostile])];
    let peers = peers(&nodes);
    insta::assert_snapshot!("peers_dual_stack", printed(&peers, Format::Table));
    assert_eq!(peers.ills(), ["worker-1: tor\x1b[31m 10.0.9.2 is Active: connecting"]);
    assert_eq!(nodes[0].peer_counts(), (2, 1));
}

#[test]
fn state_alone_is_coloured() {
    let colour = Style { limit: Some(100), colour: true };
    let text = peers(&fixture::three_nodes()).text(colour);
    assert_eq!(text.matches("\x1b[").count(), 6, "{text}");
    for painted in ["\x1b[32mEstablished\x1b[0m", "\x1b[33mConnect\x1b[0m", "\x1b[31mIdle\x1b[0m"] {
        assert!(text.contains(painted), "{text}");
    }
    let plain = text.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[31m", "");
    let plain = plain.replace("\x1b[0m", "");
    assert_eq!(plain, printed(&peers(&fixture::three_nodes()), Format::Table));
}

#[test]
fn status_in_every_form() {
    let mut nodes = fixture::three_nodes();
    nodes[1].source.errors = vec!["fabric.yaml:4: spec.asn: must be 1 to 4294967295".to_owned()];
    let ready = nodes[2].conditions.iter_mut().find(|condition| condition.kind == ConditionKind::Ready);
    let ready = ready.expect("the fixture has it");
    (ready.holds, ready.reason) = (Some(false), "peers-down");
    nodes[2].identity = None;
    nodes[2].source.loaded_at = None;
    nodes[2].impairments = vec!["checkpoint: /var/lib/underlay: No space left on device".to_owned()];
    nodes[0].fib = Some(Fib { objects: true, supported: true, hops: 3, groups: 2 });
    nodes[1].fib = Some(Fib { objects: false, supported: true, hops: 0, groups: 0 });
    let all = statuses(&nodes);
    insta::assert_snapshot!("status_table", printed(&all, Format::Table));
    insta::assert_snapshot!("status_wide", printed(&all, Format::Wide));
    insta::assert_snapshot!("status_json", printed(&all, Format::Json));
    assert_eq!(
        all.ills(),
        [
            "worker-2: configuration: fabric.yaml:4: spec.asn: must be 1 to 4294967295",
            "worker-3: not Ready: peers-down",
            "worker-3: impaired: checkpoint: /var/lib/underlay: No space left on device",
        ]
    );
}

#[test]
fn orders_say_what_follows() {
    let drain = |pods, reason: &str, until_seconds| v1::Drain {
        pods,
        reason: reason.to_owned(),
        since_seconds: 3_725,
        until_seconds,
        ..v1::Drain::default()
    };
    let node = || "worker-1".to_owned();
    let plain = v1::DrainResponse { node: node(), drain: Some(drain(false, "", None)) };
    let pods = v1::DrainResponse { node: node(), drain: Some(drain(true, "new disk", Some(1_800))) };
    insta::assert_snapshot!("drain", printed(&Drained(vec![plain.clone(), pods]), Format::Table));
    insta::assert_snapshot!("drain_json", printed(&Drained(vec![plain]), Format::Json));
    let none = v1::UndrainResponse { node: node(), drain: None, remains: None };
    let ended =
        v1::UndrainResponse { node: node(), drain: Some(drain(true, "new disk", None)), remains: None };
    let stays =
        v1::UndrainResponse { remains: Some(drain(true, "its Node was deleted", None)), ..none.clone() };
    insta::assert_snapshot!("undrain", printed(&Undrained(vec![none, ended, stays]), Format::Table));
    let peer = Some(v1::PeerSource { name: "tor1".to_owned(), address: "10.0.2.1".to_owned() });
    let before = v1::SessionState::Established.into();
    let hard = v1::ResetPeerResponse { node: node(), peer, before, soft: false };
    let soft = v1::ResetPeerResponse { soft: true, ..hard.clone() };
    insta::assert_snapshot!("reset", printed(&Resets(vec![hard, soft]), Format::Table));
}

#[test]
fn routes_in_every_form() {
    insta::assert_snapshot!("routes_table", printed(&routes(), Format::Table));
    let mut long = routes();
    let path = &mut long.0[0].routes[1].paths[0];
    let segments = &mut path.attributes.as_mut().expect("the fixture has them").as_path;
    segments[0].asns = (65_000..65_030).collect();
    let table = printed(&long, Format::Table);
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(table.contains(" 65000 65001 65002"), "{table}");
    insta::assert_snapshot!("routes_wide", printed(&routes(), Format::Wide));
    insta::assert_snapshot!("routes_json", printed(&routes(), Format::Json));
}

#[test]
fn explanations_tell_the_story() {
    let story = fixture::unreachable_story();
    let expected = "\
10.244.3.0/24 on worker-1 is NOT installed: next hop 10.0.9.1 is unreachable

  heard from   tor1 10.0.2.1   path 65000 65013         accepted
               tor2 10.0.3.1   path 65000 65001 65013   rejected  as-loop: own AS 65001 in path (RFC 4271 9.1.2)
  decision     -               no usable path: next hop 10.0.9.1 unreachable
  next hop     10.0.9.1        unresolved: no route to it (a default route does not count)
  kernel       -               not requested
  sent to      -               not advertised: nothing selected
";
    assert_eq!(printed(&explain(&story), Format::Table), expected);
    insta::assert_snapshot!("explain_unreachable_json", printed(&explain(&story), Format::Json));
    let story = fixture::installed_story();
    insta::assert_snapshot!("explain_installed", printed(&explain(&story), Format::Table));
}

/// A peer that is away for longer than its restart time, what is kept of it, and several paths a prefix.
#[test]
fn what_is_kept_for_long_and_how_paths_are_exchanged() {
    let long = |seconds| Some(LongLived { forwarding: true, seconds });
    let mut up = fixture::established(1, "tor1", "10.0.2.1", 65_000, PerFamily::default());
    up.restart = Some(PeerRestart {
        restarting: false,
        seconds: 120,
        notification: false,
        families: PerFamily { ipv4: Some(true), ipv6: Some(true) },
        long_lived: PerFamily { ipv4: long(3_600), ipv6: None },
    });
    up.add_path.ipv4 = Mode { receive: true, send: true };
    up.add_path.ipv6.receive = true;
    let mut away =
        fixture::down("tor2", "10.0.3.1", State::Active, Reason::ConnectFailed, "connection refused");
    away.failures = 4;
    away.stale.ipv4 = 12;
    away.retry_at = Some(fixture::at(4 * 3600 + 12));
    away.long_lived_until.ipv4 = away.retry_at;
    away.kept_until = away.retry_at;
    let wide = printed(&peers(&[fixture::snapshot("worker-1", vec![up, away.clone()])]), Format::Wide);
    let columns = |line: &str| {
        line.rsplit("  ")
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .take(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = wide.lines().map(columns).collect();
    assert_eq!(lines[0], ["ADD-PATH", "STALE", "RESTART"], "{wide}");
    assert_eq!(lines[1], ["IPv4 both, IPv6 receive", "-", "120s+1h00m"], "{wide}");
    assert_eq!(lines[2], ["-", "12 for 12s long-lived", "-"], "{wide}");
    let told = convert::peer_explanation(&away, &fixture::config(away.id), "worker-1", &moment());
    let told = printed(&Explanations(vec![told]), Format::Table);
    assert!(told.contains("after 4 failures") && told.contains("in 12s"), "{told}");
    assert!(told.contains("12 paths, kept for 12s as a last resort"), "{told}");

    let mut story = fixture::installed_story();
    let route = story.route.as_mut().expect("the fixture has one");
    let path = &mut route.paths[0];
    path.stale = Some(Reason::LongLivedStale);
    path.attributes.only_to_customers = Some(bgp::id::Asn(65_000));
    let told = printed(&explain(&story), Format::Table);
    assert!(told.contains(", OTC 65000") && told.contains("accepted, long-lived-stale"), "{told}");
}

#[test]
fn explanations_of_the_simple_cases() {
    let mut sent = fixture::unreachable_story().sent;
    if let Err(refusal) = &mut sent[0].sent {
        refusal.reason = Reason::SessionDown;
    }
    let prefix = fixture::prefix("192.0.2.0/24");
    let nobody = Explanation { prefix, route: None, next_hops: Vec::new(), withdrawn: Vec::new(), sent };
    insta::assert_snapshot!("explain_nobody", printed(&explain(&nobody), Format::Table));
    let own = fixture::local_route();
    let own = Explanation {
        prefix: own.prefix,
        route: Some(own),
        next_hops: Vec::new(),
        withdrawn: Vec::new(),
        sent: Vec::new(),
    };
    insta::assert_snapshot!("explain_own", printed(&explain(&own), Format::Table));
}

/// The one line for each state that a route can be in.
#[test]
fn summaries() {
    let summary = |change: &dyn Fn(&mut Explanation)| {
        let mut story = fixture::installed_story();
        change(&mut story);
        convert::explanation(&story, &Withheld::default(), "n").summary
    };
    let route = |story: &mut Explanation, kernel| {
        story.route.as_mut().expect("the fixture has one").kernel = kernel;
    };
    let all = [
        summary(&|_| {}),
        summary(&|story| route(story, KernelView::Pending)),
        summary(&|story| route(story, KernelView::Failed(101))),
        summary(&|story| route(story, KernelView::NotRequested)),
        summary(&|story| *story = fixture::unreachable_story()),
        summary(&|story| {
            *story = fixture::unreachable_story();
            story.route.as_mut().expect("the fixture has one").paths.remove(0);
        }),
        summary(&|story| story.route = None),
        summary(&|story| story.route = Some(fixture::local_route())),
    ];
    insta::assert_snapshot!("explain_summaries", all.join("\n"));
}

/// What a program may rely on: no null lists, whole numbers as numbers.
#[test]
fn json_keeps_its_promises() {
    let mut up = fixture::established(1, "tor1", "10.0.2.1", 65_000, PerFamily::default());
    up.updates = (u64::MAX, 0);
    let json = printed(&peers(&[fixture::snapshot("worker-1", vec![up])]), Format::Json);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let peer = &json["peers"][0];
    assert_eq!(peer["updates_received"].as_u64(), Some(u64::MAX));
    assert_eq!(peer["since_time"], "2026-11-22T03:48:00Z");
    assert_eq!(peer["since_seconds"], 11_520);
    assert_eq!(peer["state"], "Established");
    assert_eq!(peer["families"][0]["rejected"], serde_json::json!([]));
    assert_eq!(peer["down"], serde_json::Value::Null);
    assert!(peer.as_object().expect("an object").contains_key("down"), "absent is null and not left out");

    let empty = printed(&peers(&[fixture::snapshot("worker-1", vec![])]), Format::Json);
    let empty: serde_json::Value = serde_json::from_str(&empty).expect("JSON");
    assert_eq!(empty["peers"], serde_json::json!([]));
}

fn explain_peer(peer: &bgp::view::PeerView) -> Explanations {
    let config = fixture::config(peer.id);
    Explanations(vec![convert::peer_explanation(peer, &config, "worker-1", &moment())])
}

#[test]
fn explanations_of_peers() {
    let counts = PerFamily {
        ipv4: fixture::counts(14, 3, &[(Reason::AsLoop, 2), (Reason::NotAccepted, 1)]),
        ipv6: fixture::counts(5, 1, &[]),
    };
    let mut up = fixture::established(1, "tor1", "10.0.2.1", 65_000, counts);
    up.malformed = (3, Some("ORIGIN of 2 octets".to_owned()));
    insta::assert_snapshot!("explain_peer_up", printed(&explain_peer(&up), Format::Table));
    insta::assert_snapshot!("explain_peer_up_json", printed(&explain_peer(&up), Format::Json));
    let mut down =
        fixture::down("tor1", "10.0.4.1", State::Idle, Reason::BadPeerAs, "peer AS is 65010, expected 65000");
    down.retry_at = Some(fixture::at(4 * 3600 + 12));
    insta::assert_snapshot!("explain_peer_down", printed(&explain_peer(&down), Format::Table));
}

#[test]
fn explanation_of_an_address_names_it() {
    let story = fixture::installed_story();
    let address = fixture::address("10.244.4.7");
    let summary = convert::address_explanation(address, &story, &Withheld::default(), "n").summary;
    assert_eq!(
        summary,
        "10.244.4.7 is covered by 10.244.4.0/24 which on n is installed: via 10.0.2.1, 10.0.3.1"
    );
}
