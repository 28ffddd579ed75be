//! What the agent is told while the API server works, and while it does not.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use controller::cluster::kubernetes::{self, Access, Connection};
use controller::cluster::{Objects, SourceEvent};
use controller::desired::contradiction::Judge;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::server::{Mode, Server};

/// Beyond what any failure takes to be told.
const LIMIT: Duration = Duration::from_secs(30);

const NODES: &str = "/api/v1/nodes";
const FABRICS: &str = "/apis/underlay.dev/v1alpha1/fabrics";
const PEERS: &str = "/apis/underlay.dev/v1alpha1/fabricpeers";
const SECRETS: &str = "/api/v1/namespaces/underlay-system/secrets";

fn node(name: &str, cidr: &str) -> Value {
    json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "labels": {"rack": "1"},
            "annotations": {"long": "x".repeat(1000), "short": "x", "node.alpha.kubernetes.io/ttl": "0"}, "managedFields": [{"manager": "kubelet"}]},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "images": [{"names": ["a"]}]}})
}

fn fabric(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "underlay.dev/v1alpha1", "kind": "Fabric", "metadata": {"name": name, "generation": 1}, "spec": spec})
}

fn peer(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "underlay.dev/v1alpha1", "kind": "FabricPeer", "metadata": {"name": name}, "spec": spec})
}

fn filled(server: &Server) {
    server.put(NODES, node("n1", "10.244.1.0/24"));
    server.put(FABRICS, fabric("all", &json!({"asn": {"value": 64512}})));
    server.put(PEERS, peer("tor", &json!({"address": "10.0.0.9", "asn": 65000})));
}

fn judge() -> impl FnMut(&Arc<Objects>) -> controller::desired::contradiction::Contradictions {
    let mut judge = Judge::default();
    move |objects| judge.look(objects)
}

/// A source under test; its folder holds the kubeconfig.
struct Followed {
    events: mpsc::Receiver<SourceEvent>,
    _folder: tempfile::TempDir,
}

impl Followed {
    fn start(server: &Server, kept: Option<Arc<Objects>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        fs::write(&path, server.kubeconfig()).unwrap();
        let access = Access { kubeconfig: Some(path), ..Access::default() };
        let (sender, events) = mpsc::channel(1);
        tokio::spawn(kubernetes::run(
            Connection::new(access),
            "n1".into(),
            kept,
            sender,
            watch::channel(None).0,
            Box::new(judge()),
        ));
        Self { events, _folder: folder }
    }

    /// The next event: the objects if there are any, and what is wrong.
    async fn next(&mut self) -> (Option<Arc<Objects>>, Vec<String>) {
        let event = tokio::time::timeout(LIMIT, self.events.recv()).await.expect("an event in time").unwrap();
        let texts =
            |problems: Vec<controller::cluster::Problem>| problems.iter().map(ToString::to_string).collect();
        match event {
            SourceEvent::Objects(objects) => (Some(objects), Vec::new()),
            SourceEvent::Partial { objects, problems, .. } => (Some(objects), texts(problems)),
            SourceEvent::Broken(problems) => (None, texts(problems)),
            SourceEvent::Checkpoint(_) => panic!("a source keeps none"),
        }
    }

    /// The next event, which must be good.
    async fn good(&mut self) -> Arc<Objects> {
        let (objects, wrong) = self.next().await;
        assert_eq!(wrong, Vec::<String>::new());
        objects.expect("objects")
    }

    /// Why the own Node is not read, of an event with problems.
    async fn unread(&mut self) -> Option<String> {
        match tokio::time::timeout(LIMIT, self.events.recv()).await.expect("an event in time").unwrap() {
            SourceEvent::Partial { node, .. } => node.map(|problem| problem.to_string()),
            other => panic!("{other:?}"),
        }
    }

    /// That nothing is told for as long as a failure takes to be told, and a little more.
    async fn silent(&mut self) {
        let event = tokio::time::timeout(Duration::from_secs(7), self.events.recv()).await;
        assert!(event.is_err(), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_is_told_and_what_does_not_matter_is_not() {
    let server = Server::start().await;
    filled(&server);
    let mut source = Followed::start(&server, None);
    let objects = source.good().await;
    let facts = &objects.nodes.get("n1").unwrap().value;
    assert_eq!((facts.uid.as_str(), facts.labels.get("rack").unwrap().as_str()), ("uid-n1", "1"));
    assert_eq!(
        facts.annotations.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        ["short"],
        "long notes of others are not kept"
    );
    assert!(objects.fabrics.contains_key("all") && objects.peers.contains_key("tor"));

    // A heartbeat is no news: the next event is that of the second node.
    let mut beating = node("n1", "10.244.1.0/24");
    beating["status"]["conditions"] = json!([{"type": "Ready", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
    server.put(NODES, beating);
    server.put(NODES, node("n2", "10.244.2.0/24"));
    let objects = source.good().await;
    assert_eq!(objects.nodes.keys().collect::<Vec<_>>(), ["n1", "n2"]);

    // A PodCIDR that comes late, and one that changes.
    server.put(NODES, node("n2", "10.244.3.0/24"));
    assert_eq!(
        source.good().await.nodes.get("n2").unwrap().value.pod_cidrs,
        ["10.244.3.0/24".parse().unwrap()]
    );
    server.delete(NODES, "n2");
    assert_eq!(source.good().await.nodes.keys().collect::<Vec<_>>(), ["n1"]);
    server.delete(PEERS, "tor");
    assert!(source.good().await.peers.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_object_stays_as_it_was_and_the_others_are_followed() {
    let server = Server::start().await;
    filled(&server);
    let mut source = Followed::start(&server, None);
    source.good().await;

    server.put(PEERS, peer("tor", &json!({"address": "10.0.0.9", "asn": 0})));
    let (objects, wrong) = source.next().await;
    let text = "FabricPeer \"tor\": field `spec.asn`: an AS number is 1 to 4294967294, and not 23456 (AS_TRANS) \
                (usable-asn); it stays as it was";
    assert_eq!(wrong, [text]);
    assert_eq!(objects.unwrap().peers["tor"].value.asn, api::crd::value::PeerAsn::Number(65000));

    // A new one is left out; a Node is followed meanwhile.
    server.put(PEERS, peer("new", &json!({"adress": "10.0.0.8", "asn": 1})));
    let (objects, wrong) = source.next().await;
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        wrong[0].contains("field `spec.adress`: unknown field") && wrong[0].ends_with("it is left out"),
        "{wrong:?}"
    );
    assert!(!objects.unwrap().peers.contains_key("new"));
    server.put(NODES, node("n2", "10.244.2.0/24"));
    let (objects, wrong) = source.next().await;
    assert_eq!((objects.unwrap().nodes.len(), wrong.len()), (2, 2));

    server.delete(PEERS, "new");
    assert_eq!(source.next().await.1, [text]);
    server.put(PEERS, peer("tor", &json!({"address": "10.0.0.9", "asn": 65001})));
    assert_eq!(source.good().await.peers["tor"].value.asn, api::crd::value::PeerAsn::Number(65001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_node_that_is_not_read_is_told_apart_from_others() {
    let server = Server::start().await;
    filled(&server);
    server.put(NODES, node("n2", "10.244.2.0/24"));
    let mut source = Followed::start(&server, None);
    source.good().await;
    server.put(NODES, node("n2", "10.244.2.0/33"));
    assert_eq!(source.unread().await, None);
    server.put(NODES, node("n1", "10.244.1.0/33"));
    let unread = source.unread().await.expect("the own Node is wrong");
    assert!(unread.starts_with("Node \"n1\": field `spec.podCIDRs[0]`: "), "{unread}");
    server.put(NODES, node("n1", "10.244.1.0/24"));
    assert_eq!(source.unread().await, None, "the other is still wrong");
    server.put(NODES, node("n2", "10.244.2.0/24"));
    source.good().await;
    server.mode(Mode::Down);
    let unread = source.unread().await.expect("nothing is read");
    assert!(unread.contains("is not reachable"), "{unread}");
    server.mode(Mode::Well);
    while source.next().await.1 != Vec::<String>::new() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_wrong_from_the_start_stands_as_an_earlier_run_kept_it() {
    let server = Server::start().await;
    filled(&server);
    let kept = Followed::start(&server, None).good().await;
    server.put(FABRICS, fabric("all", &json!({"asn": {"value": 0}})));

    // Without an earlier run nothing is known of the Fabric, and the others would say something else.
    let (objects, wrong) = Followed::start(&server, None).next().await;
    assert!(objects.is_none() && wrong[0].ends_with("it is left out"), "{wrong:?}");

    let (objects, wrong) = Followed::start(&server, Some(kept)).next().await;
    assert!(wrong[0].ends_with("it stays as it was"), "{wrong:?}");
    assert_eq!(objects.unwrap().fabrics["all"].value.asn.as_ref().unwrap().value, Some(64512));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_secrets_that_this_node_s_peers_name_are_asked_for() {
    let server = Server::start().await;
    filled(&server);
    let secret = |name: &str| json!({"metadata": {"name": name}, "data": {"password": "aGVsbG8="}});
    server.put(SECRETS, secret("tor"));
    server.put(SECRETS, secret("other"));
    let keyed = |name: &str, selector: Value| {
        let spec = json!({"address": format!("10.0.0.{}", name.len()), "asn": 1, "nodeSelector": selector,
            "passwordSecretRef": {"name": name, "key": "password"}});
        peer(name, &spec)
    };
    server.put(PEERS, keyed("tor", json!({})));
    server.put(PEERS, keyed("other", json!({"matchLabels": {"rack": "2"}})));
    let mut source = Followed::start(&server, None);
    let objects = source.good().await;
    assert_eq!(objects.secrets.keys().collect::<Vec<_>>(), ["tor"]);
    assert_eq!(objects.secrets["tor"].value.value("password"), Some(&b"hello"[..]));

    // One that is not there yet is no reason to wait.
    server.put(PEERS, keyed("later", json!({})));
    let objects = source.good().await;
    assert!(objects.peers.contains_key("later") && !objects.secrets.contains_key("later"));
    server.put(SECRETS, secret("later"));
    assert!(source.good().await.secrets.contains_key("later"));
    server.delete(PEERS, "later");
    assert!(!source.good().await.secrets.contains_key("later"), "what nobody names is forgotten");

    let asked = server.requests();
    let secrets: Vec<&String> = asked.iter().filter(|target| target.contains("/secrets")).collect();
    assert!(!secrets.is_empty());
    let allowed = ["metadata.name%3Dtor", "metadata.name%3Dlater"];
    let wrong: Vec<_> = secrets.iter().filter(|t| !allowed.iter().any(|name| t.contains(name))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_gone_is_no_trouble_and_what_was_deleted_meanwhile_goes() {
    let server = Server::start().await;
    filled(&server);
    server.put(NODES, node("n2", "10.244.2.0/24"));
    let mut source = Followed::start(&server, None);
    assert_eq!(source.good().await.nodes.keys().collect::<Vec<_>>(), ["n1", "n2"]);
    server.mode(Mode::Down);
    server.delete(NODES, "n2");
    server.compact();
    server.mode(Mode::Well);
    let objects = source.good().await;
    assert_eq!(objects.nodes.keys().collect::<Vec<_>>(), ["n1"], "{:?}", server.requests());
}

/// Failures while objects are known: told when they last, ended when they end, and without a list again.
async fn outlives(mode: Mode, words: &str) {
    let server = Server::start().await;
    filled(&server);
    let mut source = Followed::start(&server, None);
    let before = source.good().await;
    server.requests();
    server.mode(mode);
    let (objects, wrong) = source.next().await;
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].contains(words), "{wrong:?}");
    assert!(Arc::ptr_eq(&objects.unwrap(), &before), "what was known stays");
    let asked = server.requests();
    assert!(asked.len() <= 24, "three watches, each after a longer pause: {asked:?}");
    server.put(NODES, node("n2", "10.244.2.0/24"));
    server.mode(Mode::Well);
    // Each watch comes back by itself, and the change meanwhile may come with the first or the last.
    loop {
        let (objects, wrong) = source.next().await;
        if wrong.is_empty() {
            assert_eq!(objects.unwrap().nodes.len(), 2);
            break;
        }
    }
    let asked = server.requests();
    assert!(!asked.iter().any(|target| target.contains("limit=")), "no list again: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down() {
    outlives(Mode::Down, "is not reachable").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails() {
    outlives(Mode::Status(500), "has failed (500)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_too_much() {
    outlives(Mode::Status(429), "is asked too much (429)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token() {
    outlives(Mode::Status(401), "does not accept the agent's credentials (401)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_are_missing() {
    outlives(Mode::Status(403), "forbids it (403)").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_failure_is_nobody_s_business() {
    let server = Server::start().await;
    filled(&server);
    let mut source = Followed::start(&server, None);
    source.good().await;
    server.mode(Mode::Down);
    server.mode(Mode::Well);
    source.silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_server() {
    for (mode, words) in [
        (Mode::Down, "is not reachable"),
        (Mode::Status(404), "are the definitions installed"),
        (Mode::Silent, "has not told everything yet"),
    ] {
        let server = Server::start().await;
        filled(&server);
        server.mode(mode);
        let mut source = Followed::start(&server, None);
        let (objects, wrong) = source.next().await;
        assert!(objects.is_none() && wrong[0].contains(words), "{mode:?}: {wrong:?}");
        server.mode(Mode::Well);
        while source.next().await.0.is_none() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_that_is_none_is_named_and_read_again() {
    let server = Server::start().await;
    filled(&server);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let access = Access { kubeconfig: Some(path.clone()), ..Access::default() };
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(kubernetes::run(
        Connection::new(access),
        "n1".into(),
        None,
        sender,
        watch::channel(None).0,
        Box::new(judge()),
    ));
    let mut source = Followed { events, _folder: folder };
    let (_, wrong) = source.next().await;
    assert!(wrong[0].starts_with(&format!("kubeconfig {}", path.display())), "{wrong:?}");
    fs::write(&path, server.kubeconfig()).unwrap();
    while source.next().await.0.is_none() {}
}
