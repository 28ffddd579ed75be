//! Out of service, and back, by what becomes of the Node.

use std::sync::Arc;

use bgp::io::{State, Transport};
use bgp::time::Duration;
use controller::cluster::{Objects, Problem, SourceEvent, manifest};
use controller::drain::Drain;
use controller::event::Event;
use controller::kernel::Command;
use jiff::{SignedDuration, Timestamp};

use super::fake::{World, manifests};

const PEERS: [(&str, u32); 1] = [("10.0.1.1", 65100)];

/// The cluster without Node `n1`: another one is there, or none.
fn without(other: bool) -> String {
    let mine = manifests(&PEERS, "");
    let documents = mine.split("---\n");
    let kept = documents.filter(|document| other || !document.contains("kind: Node"));
    let text = kept.collect::<Vec<_>>().join("---\n");
    text.replace("name: n1", "name: n2").replace("10.244.1.0", "10.244.2.0").replace("10.0.1.2}", "10.0.1.3}")
}

/// Whether the node is in service, why not, and how many prefixes its peer was sent.
fn service(world: &mut World) -> (Option<String>, usize) {
    world.run_for(Duration::from_millis(200));
    let snapshot = world.snapshot();
    let peer = &snapshot.peers[0];
    assert_eq!((peer.state, peer.established_count), (State::Established, 1), "the session stays");
    (snapshot.drain.as_ref().map(|drain| drain.reason.clone()), peer.counts.ipv4.sent as usize)
}

/// The node among its Services, one of them with an address; `says` are annotations of the Node, which is cordoned if
/// there are any.
fn serving(says: &str) -> String {
    let text = manifests(&PEERS, ", advertise: {services: [{addresses: [ExternalIP]}]}");
    let (named, spec) = ("metadata: {name: n1}", "spec: {podCIDRs");
    assert!(text.contains(named) && text.contains(spec));
    text.replace(named, &format!("metadata: {{name: n1, annotations: {{{says}}}}}"))
        .replace(spec, &format!("spec: {{unschedulable: {}, podCIDRs", !says.is_empty()))
        + "---\napiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: web}\n\
           spec: {clusterIPs: [10.96.0.1], externalIPs: [10.200.0.1]}\n\
           ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
           metadata: {namespace: shop, name: web, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n\
           endpoints: [{addresses: [10.244.1.5], nodeName: n1, conditions: {ready: true}}]\nports: []\n"
}

/// An agent that begins with what an earlier run has kept, an operator's drain and the Node's.
fn resumed(operator: Option<Drain>, node: Option<Drain>, says: &str) -> World {
    let mut world = World::new();
    world.agent.begin_drained(operator, node);
    world.manifests(&serving(says));
    let conn = world.connecting("10.0.1.1:179");
    // No hold time: the peer need say nothing more.
    world.establish(conn, 65100, 0);
    world
}

/// How many seconds the wait for peers takes from here on.
fn waits(world: &mut World) -> u64 {
    let began_at = world.now();
    while service(world).1 == 2 {
        assert!(world.now().since(began_at) < Duration::from_secs(120), "services are never withdrawn");
    }
    assert_eq!(service(world).1, 1, "the PodCIDR stays");
    world.now().since(began_at).as_secs()
}

fn in_service() -> World {
    let mut world = World::new();
    world.manifests(&manifests(&PEERS, ""));
    let conn = world.connecting("10.0.1.1:179");
    world.establish(conn, 65100, 9);
    assert_eq!(service(&mut world), (None, 1));
    world
}

#[test]
fn a_node_that_is_deleted_is_left_and_one_that_returns_is_in_service() {
    let mut world = in_service();
    world.manifests(&without(true));
    assert_eq!(service(&mut world), (Some("its Node was deleted".to_owned()), 0));
    world.manifests(&manifests(&PEERS, ""));
    assert_eq!(service(&mut world), (None, 1));
    // A source that has lost all Nodes says nothing of this one.
    world.manifests(&without(false));
    assert_eq!(service(&mut world), (None, 1));
}

#[test]
fn the_agent_of_a_deleted_node_takes_its_routes_along_and_says_why() {
    let mut world = in_service();
    world.manifests(&without(true));
    assert_eq!(service(&mut world).1, 0);
    world.told();
    world.agent.stop(false);
    let told = world.told();
    let said = told.iter().any(|(_, effect)| match effect {
        // RFC 9003: the text of a Cease.
        Transport::Write { bytes, .. } => String::from_utf8_lossy(bytes).contains("its Node was deleted"),
        _ => false,
    });
    assert!(said, "{told:?}");
    let last = world.agent.drivers().kernel.iter().rev().find_map(|command| match command {
        Command::Configure(config) => Some((config.install, config.unreachable.len())),
        _ => None,
    });
    assert_eq!(last, Some((false, 0)));
}

/// A drain that was ordered some seconds ago, with a wait of 30 s.
fn drain_of(ago: i64, reason: &str) -> Drain {
    let since = Timestamp::now() - SignedDuration::from_secs(ago);
    let services = Some(since + SignedDuration::from_secs(30));
    Drain { pods: false, reason: reason.to_owned(), since, until: None, services }
}

#[test]
fn services_go_when_the_wait_is_over_and_a_restart_does_not_begin_it_anew() {
    let says = "underlay.dev/drain: 'true'";
    let mut world = resumed(None, None, "");
    assert_eq!(service(&mut world), (None, 2));
    world.manifests(&serving(says));
    assert_eq!(service(&mut world).1, 2, "shunned, and sent");
    assert!((28..=30).contains(&waits(&mut world)));
    let kept = world.agent.drivers().cordoned.clone().expect("kept for the next run");
    assert_eq!(kept.reason, "its Node is cordoned and annotated");
    world.manifests(&serving(""));
    assert_eq!((service(&mut world), &world.agent.drivers().cordoned), ((None, 2), &None));

    // An operator's, and the Node's, of which most is over.
    let mut world = resumed(Some(drain_of(20, "disk")), None, "");
    assert!((6..=10).contains(&waits(&mut world)));
    let mut world = resumed(None, Some(drain_of(20, &kept.reason)), says);
    assert!((6..=10).contains(&waits(&mut world)));
    // What is over is over: they are never sent.
    let mut world = resumed(None, Some(drain_of(60, &kept.reason)), says);
    assert_eq!(service(&mut world), (Some(kept.reason.clone()), 1));
    // The Node does not say so any more.
    let mut world = resumed(None, Some(drain_of(60, &kept.reason)), "");
    assert_eq!(service(&mut world), (None, 2));
    // Where nothing is known of a wait, it has no end.
    let mut world = resumed(Some(Drain { services: None, ..drain_of(60, "damaged") }), None, "");
    assert_eq!(service(&mut world), (Some("damaged".to_owned()), 2));
}

/// What is impaired, and what was told of that since the start.
fn impaired(world: &mut World) -> (Vec<String>, Vec<&'static str>) {
    world.run_for(Duration::from_millis(200));
    let snapshot = world.snapshot();
    let words = snapshot.events.iter().map(|(_, event)| event.kind.word());
    (snapshot.impairments.clone(), words.filter(|word| ["impaired", "recovered"].contains(word)).collect())
}

/// The objects of a source that could read all but those that a problem is about.
fn partial(world: &mut World, text: &str, node: Option<&str>) {
    let (mut objects, mut problems) = (Objects::default(), Vec::new());
    manifest::read("a.yaml", text, &mut objects, &mut problems);
    assert_eq!(problems, []);
    let problems = vec![Problem::anywhere("Fabric \"f\": is wrong")];
    let node = node.map(Problem::anywhere);
    world.put(Event::Source(SourceEvent::Partial { objects: Arc::new(objects), problems, node }));
    world.run();
}

#[test]
fn an_annotation_that_means_nothing_impairs_until_it_means_something() {
    let wait = "annotation `underlay.dev/drain-wait` of Node \"n1\": `soon` is not a time such as 30s or 5m; taken as 30s";
    let mut world = resumed(None, None, "underlay.dev/drain: 'true', underlay.dev/drain-wait: soon");
    assert_eq!(service(&mut world).0.as_deref(), Some("its Node is cordoned and annotated"));
    assert_eq!(impaired(&mut world), (vec![format!("cordon: {wait}")], vec!["impaired"]));
    assert_eq!(world.snapshot().source.errors, Vec::<String>::new(), "said once");
    world.manifests(&serving("underlay.dev/drain: 'true', underlay.dev/drain-wait: 5m"));
    assert_eq!(impaired(&mut world), (vec![], vec!["impaired", "recovered"]));
    // Told of while it can still be mended.
    let uncordoned = serving("").replace("annotations: {}", "annotations: {underlay.dev/drain-wait: soon}");
    world.manifests(&uncordoned);
    assert_eq!((service(&mut world).0, impaired(&mut world).0), (None, vec![format!("cordon: {wait}")]));
}

#[test]
fn a_node_that_is_not_read_impairs_and_what_it_said_last_holds() {
    let (says, reason) = ("underlay.dev/drain: 'true'", "its Node is cordoned and annotated");
    let mut world = resumed(None, None, says);
    assert_eq!(impaired(&mut world), (vec![], vec![]));
    world.broken("the API is not reachable");
    let line = "cordon: the Node is not read: the API is not reachable; what it said last holds";
    assert_eq!(impaired(&mut world), (vec![line.to_owned()], vec!["impaired"]));
    assert_eq!(service(&mut world).0.as_deref(), Some(reason));
    // Others are not read, and this Node is.
    partial(&mut world, &serving(""), None);
    assert_eq!(impaired(&mut world), (vec![], vec!["impaired", "recovered"]));
    assert_eq!(service(&mut world), (None, 2));
    partial(&mut world, &serving(""), Some("Node \"n1\": is wrong"));
    let line = "cordon: the Node is not read: Node \"n1\": is wrong; what it said last holds";
    assert_eq!(impaired(&mut world).0, [line]);
    world.manifests(&serving(says));
    assert_eq!(impaired(&mut world).0, Vec::<String>::new());
    assert_eq!(service(&mut world).0.as_deref(), Some(reason));
}

#[test]
fn a_cordon_is_heeded_though_the_configuration_is_refused() {
    let mut world = resumed(None, None, "");
    assert_eq!(service(&mut world), (None, 2));
    let other = "---\napiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {name: g}\nspec: {asn: {value: 65002}}\n";
    let refused = |says| serving(says) + other;
    world.manifests(&refused("underlay.dev/drain: 'true'"));
    assert_eq!(service(&mut world).0.as_deref(), Some("its Node is cordoned and annotated"));
    assert_ne!(world.snapshot().source.errors, Vec::<String>::new());
    let waited = waits(&mut world);
    assert!((28..=30).contains(&waited), "{waited}");
    world.manifests(&refused(""));
    assert_eq!(service(&mut world), (None, 2));
}

#[test]
fn what_an_earlier_run_has_kept_is_removed_where_the_node_is_in_service() {
    let mut world = World::new();
    // It could not be read; had it been, nothing else would follow.
    world.agent.begin_drained(None, None);
    world.agent.drivers().cordoned = Some(drain_of(60, "damaged"));
    world.manifests(&serving(""));
    world.run();
    assert_eq!(world.agent.drivers().cordoned, None);
}
