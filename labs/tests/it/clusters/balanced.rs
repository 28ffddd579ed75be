//! The address of a Service of type LoadBalancer, given from a pool, and reached from beyond the ToRs by way of every
//! node that has an endpoint. The agents are pods. What a proxy for Services does on a node, one rule of nftables does
//! here.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use labs::kubernetes::{Cluster, Pod};
use labs::namespace::in_network;
use labs::wait;
use nix::sys::socket::{Shutdown, shutdown};

use super::run::{LIMIT, Run};

const PORT: u16 = 7000;
/// So many connections that a way that is one of three is surely among theirs.
const CONNECTIONS: usize = 48;
const CLIENT: &str = "/run/netns/kubernetes-client";
/// Elsewhere: no part of what knows of pods.
const SPINE: (&str, &str) = ("/run/netns/kubernetes-spine", "10.0.100.2");

const OBJECTS: &str = "apiVersion: underlay.dev/v1alpha1\nkind: FabricPool\nmetadata: {name: public}\n\
    spec: {addresses: [198.51.100.16/30]}\n---\n\
    apiVersion: v1\nkind: Service\nmetadata: {name: balanced, namespace: default}\n\
    spec: {type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 7000}]}\n";

const ADVERTISING: &str =
    "{\"spec\": {\"advertise\": {\"services\": [{\"addresses\": [\"LoadBalancerIP\"]}]}}}";

const CONTROLLER: &str = "cd /run/mine/manifests/pool-controller && cat service-account.yaml && echo --- && cat rights.yaml && \
    echo --- && cat deployment.yaml";

/// In a pod: says the node's name to whoever connects, and what it hears.
struct Endpoint {
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    fn start(pod: &Pod) -> Self {
        let listener = in_network(&pod.namespace, || TcpListener::bind(("0.0.0.0", PORT))).unwrap();
        let (listener, node) = (Arc::new(listener), pod.node.clone());
        let accepting = Arc::clone(&listener);
        let thread = std::thread::spawn(move || {
            while let Ok((tcp, _)) = accepting.accept() {
                let node = node.clone();
                std::thread::spawn(move || echo(tcp, &node));
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Who waits for a connection is told that none will come.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Until the client is gone.
fn echo(mut tcp: TcpStream, node: &str) {
    let Ok(heard) = tcp.try_clone() else { return };
    let mut said = format!("{node}\n");
    let mut lines = BufReader::new(heard);
    while tcp.write_all(said.as_bytes()).is_ok() {
        said.clear();
        if !matches!(lines.read_line(&mut said), Ok(octets) if octets > 0) {
            return;
        }
    }
}

/// A connection of the client's, and the node whose endpoint has it.
struct Connection {
    tcp: BufReader<TcpStream>,
    node: String,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, String> {
        let tcp = in_network(Path::new(CLIENT), || TcpStream::connect_timeout(&address, LIMIT));
        let tcp = tcp.map_err(|error| error.to_string())?;
        tcp.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
        let mut connection = Self { tcp: BufReader::new(tcp), node: String::new() };
        connection.node = connection.hear()?;
        Ok(connection)
    }

    fn hear(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.tcp.read_line(&mut line).map_err(|error| error.to_string())?;
        Ok(line.trim().to_owned())
    }

    #[track_caller]
    fn still_answers(&mut self) {
        self.tcp.get_mut().write_all(b"still\n").unwrap();
        assert_eq!(self.hear().as_deref(), Ok("still"), "a connection to {}", self.node);
    }
}

/// The client's connections, by way of exactly these nodes.
#[track_caller]
fn connect(address: SocketAddr, nodes: &[&str]) -> Vec<Connection> {
    let all: Vec<Connection> = (0..CONNECTIONS).map(|_| Connection::open(address).unwrap()).collect();
    let by: BTreeSet<&str> = all.iter().map(|connection| connection.node.as_str()).collect();
    assert_eq!(by, nodes.iter().copied().collect());
    all
}

/// Those to one of `nodes` go on.
#[track_caller]
fn kept(connections: &mut [Connection], nodes: &[&str]) {
    for connection in connections.iter_mut().filter(|one| nodes.contains(&one.node.as_str())) {
        connection.still_answers();
    }
}

/// The EndpointSlice of the Service: an endpoint on each of these nodes.
fn slice(pods: &[Pod], nodes: &[&str]) -> String {
    let there = pods.iter().filter(|pod| nodes.contains(&pod.node.as_str()));
    let endpoints: Vec<String> = there
        .map(|pod| {
            format!(
                "{{addresses: [{}], conditions: {{ready: true}}, topology: {{kubernetes.io/hostname: {}}}}}",
                pod.addresses[0], pod.node
            )
        })
        .collect();
    format!(
        "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {{name: balanced-1, namespace: default, labels: \
         {{kubernetes.io/service-name: balanced}}}}\naddressType: IPv4\nports: [{{port: {PORT}}}]\nendpoints: [{}]\n",
        endpoints.join(", ")
    )
}

fn apply(cluster: &Cluster, objects: &str) {
    let script = format!("cat > /run/balanced.yaml <<'OBJECTS'\n{objects}OBJECTS\n");
    cluster.run(cluster.control(), &["sh", "-c", &script]).unwrap();
    cluster.kubectl(&["apply", "--filename", "/run/balanced.yaml"]).unwrap();
}

/// Waits until a router has these ways to the address and no other.
#[track_caller]
fn until_ways(cluster: &Cluster, router: &str, address: IpAddr, ways: &[&str]) {
    wait::until(&format!("{router} to have {ways:?} to {address}"), LIMIT, || {
        let shown = cluster.run(router, &["ip", "route", "show", &address.to_string()]);
        let shown = shown.map_err(|error| error.to_string())?;
        let has: BTreeSet<&str> = shown
            .split_whitespace()
            .skip_while(|word| *word != "via")
            .collect::<Vec<_>>()
            .windows(2)
            .filter(|pair| pair[0] == "via")
            .map(|pair| pair[1])
            .collect();
        if has == ways.iter().copied().collect() { Ok(()) } else { Err(shown) }
    });
}

/// Whose address a connection from a pod has at the far end.
fn seen_from(pod: &Pod, far: (&str, &str)) -> IpAddr {
    let (namespace, address) = (PathBuf::from(far.0), far.1);
    let listener = in_network(&namespace, || TcpListener::bind((address, PORT + 1))).unwrap();
    let target = listener.local_addr().unwrap();
    let _near = in_network(&pod.namespace, || TcpStream::connect_timeout(&target, LIMIT)).unwrap();
    listener.accept().unwrap().1.ip()
}

pub(super) fn an_address_is_reached_from_beyond(run: &Run<'_>) {
    let cluster = &run.cluster;
    let pods = cluster.until_pods("web", cluster.nodes()).unwrap();
    let endpoints: Vec<Endpoint> = pods.iter().map(Endpoint::start).collect();
    apply(cluster, &cluster.run(cluster.control(), &["sh", "-c", CONTROLLER]).unwrap());
    apply(cluster, &(OBJECTS.to_owned() + "---\n" + &slice(&pods, &["n11", "n12", "n21"])));
    cluster.kubectl(&["patch", "fabric", "nodes", "--type=merge", "--patch", ADVERTISING]).unwrap();
    let address: IpAddr = wait::until("the Service to have an address", LIMIT, || {
        let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
        let said = cluster.kubectl(&["get", "service", "balanced", "--output", path]);
        said.map_err(|error| error.to_string())?.parse().map_err(|error| format!("{error}"))
    });
    for pod in &pods {
        let rule = format!(
            "table ip proxy {{ chain balanced {{ type nat hook prerouting priority dstnat; \
             ip daddr {address} tcp dport {PORT} dnat to {}; }}; }}",
            pod.addresses[0]
        );
        cluster.run(&pod.node, &["nft", &rule]).unwrap();
    }
    let (tor1, tor2) = ("10.0.100.3", "10.0.100.5");
    let service = SocketAddr::new(address, PORT);
    until_ways(cluster, "spine", address, &[tor1, tor2]);
    until_ways(cluster, "tor1", address, &["10.0.1.11", "10.0.1.12"]);
    let mut connections = connect(service, &["n11", "n12", "n21"]);

    // An endpoint moves away: its node takes no more packets, and the others keep theirs.
    apply(cluster, &slice(&pods, &["n11", "n21"]));
    until_ways(cluster, "tor1", address, &["10.0.1.11"]);
    kept(&mut connections, &["n11", "n21"]);
    let mut connections = connect(service, &["n11", "n21"]);

    cluster.run("n21", &["underlay", "drain", "--wait", "0s"]).unwrap();
    until_ways(cluster, "spine", address, &[tor1]);
    kept(&mut connections, &["n11"]);
    drop(connect(service, &["n11"]));
    cluster.run("n21", &["underlay", "undrain"]).unwrap();
    until_ways(cluster, "spine", address, &[tor1, tor2]);

    // Who knows of pods sees the pod, and who does not its node.
    let pod = pods.iter().find(|pod| pod.node == "n11").unwrap();
    assert_eq!(seen_from(pod, (CLIENT, "10.0.9.20")).to_string(), pod.addresses[0]);
    assert_eq!(seen_from(pod, SPINE).to_string(), "10.0.1.11");

    drop(endpoints);
    cluster.kubectl(&["delete", "service/balanced", "fabricpool/public"]).unwrap();
    until_ways(cluster, "spine", address, &[]);
    let controller = ["deployment/underlay-pool-controller", "--wait"];
    cluster.kubectl(&[&["-n", "underlay-system", "delete"], &controller[..]].concat()).unwrap();
    wait::until("the controllers' pods to be gone", LIMIT, || {
        let words = ["-n", "underlay-system", "get", "pods", "--output=name", "--selector"];
        let left = cluster.kubectl(&[&words[..], &["app.kubernetes.io/component=pool-controller"]].concat());
        let left = left.map_err(|error| error.to_string())?;
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
    for pod in &pods {
        cluster.run(&pod.node, &["nft", "delete table ip proxy"]).unwrap();
    }
}
