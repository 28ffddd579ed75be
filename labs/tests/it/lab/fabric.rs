//! A lab of this package with agents in it and a pod on each of its nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use labs::lab::Lab;
use labs::namespace::in_network;
use labs::pod::{self, Pod};
use labs::topology::Topology;
use labs::{cluster, wait};
use serde_json::Value;

/// Above the hold time of nine seconds, on a machine that does other things too.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// Enough that the share of a way is near to what it should be: of 256 fair coins fewer than 64 heads never happen.
pub(super) const FLOWS: usize = 256;

pub(super) struct Fabric {
    pub(super) lab: Lab,
    /// One a node, in the order of the nodes' names.
    pub(super) pods: Vec<Pod>,
    /// The pod prefixes of the nodes that have some.
    prefixes: BTreeMap<String, Vec<String>>,
}

/// The folder of a lab.
pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

impl Fabric {
    /// Brings up the lab `name`, waits until each node has a route of underlay's to each other node's pods, and adds
    /// the pods. `manifests` is the lab whose folder of that name is read.
    pub(super) fn up(name: &str, manifests: &str) -> Self {
        let file = folder(name).join(format!("{name}.clab.yml"));
        let mut prefixes = cluster::pod_prefixes(&folder(manifests).join("manifests")).unwrap();
        prefixes.retain(|_, prefixes| !prefixes.is_empty());
        let lab = Lab::up(&file, &Topology::read(&file).unwrap()).unwrap();
        let mut fabric = Self { lab, pods: Vec::new(), prefixes };
        fabric.until("every route", Self::routed);
        let plugin = labs::program("underlay-cni");
        for (node, subnets) in &fabric.prefixes {
            let name = format!("{node}-pod1");
            fabric.pods.push(Pod::add(&fabric.lab, &plugin, node, &name, subnets).unwrap());
        }
        fabric
    }

    /// Waits until `look` succeeds; fails with what every program of the lab has printed last.
    #[track_caller]
    pub(super) fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Result<T, String>) -> T {
        wait::attempt(what, LIMIT, || look(self)).unwrap_or_else(|message| {
            for node in self.lab.state().nodes.keys() {
                let log = self.lab.log(node);
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("--- {node}\n{}", lines[lines.len().saturating_sub(12)..].join("\n"));
            }
            panic!("{message}")
        })
    }

    fn routed(&self) -> Result<(), String> {
        for node in self.prefixes.keys() {
            for (other, prefixes) in self.prefixes.iter().filter(|(other, _)| *other != node) {
                for prefix in prefixes {
                    if self.ways(node, prefix).is_empty() {
                        return Err(format!("{node} has no route to {prefix} of {other}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The interfaces by which underlay's route of a node to a prefix leaves; empty where there is no such route.
    pub(super) fn ways(&self, node: &str, prefix: &str) -> BTreeSet<String> {
        let family = if prefix.contains(':') { "-6" } else { "-4" };
        let words = ["ip", "-j", family, "route", "show", prefix, "proto", "171"];
        let routes: Value = serde_json::from_str(&self.lab.run(node, &words).unwrap()).unwrap();
        let routes = routes.as_array().unwrap().iter().filter(|route| route["type"] != "unreachable");
        let ways = routes.flat_map(|route| match route["nexthops"].as_array() {
            Some(hops) => hops.clone(),
            None => vec![route.clone()],
        });
        // An interface without carrier or put down still stands in the route for a moment.
        let alive = |way: &Value| {
            let flags = way["flags"].as_array().cloned().unwrap_or_default();
            !flags.iter().any(|flag| flag == "dead" || flag == "linkdown")
        };
        ways.filter(alive).map(|way| way["dev"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until `node` leaves by exactly these interfaces for each of the prefixes of `other`.
    #[track_caller]
    pub(super) fn until_ways(&self, node: &str, other: &str, interfaces: &[&str]) {
        let wanted: BTreeSet<String> = interfaces.iter().map(|name| (*name).to_owned()).collect();
        self.until(&format!("{node} to reach {other} by {interfaces:?}"), |fabric| {
            for prefix in &fabric.prefixes[other] {
                let found = fabric.ways(node, prefix);
                if found != wanted {
                    return Err(format!("{prefix} by {found:?}"));
                }
            }
            Ok(())
        });
    }

    /// Pings along every pair of pods, once.
    pub(super) fn ping_all(&self) {
        let pings = pod::ping_all(&self.lab, &self.pods).unwrap();
        assert_eq!(pings, self.pods.len() * (self.pods.len() - 1) * 2);
        for Pod { node, name, addresses } in &self.pods {
            let pod = format!("default/{name}");
            let story = self.lab.run(node, &["underlay", "explain", &pod]).unwrap();
            let all = addresses.join(", ");
            let summary = format!("{pod} on {node} has {all}: reached by this node, and announced");
            assert!(story.starts_with(&summary), "{story}");
        }
    }

    /// The pod on a node.
    pub(super) fn pod(&self, node: &str) -> &Pod {
        self.pods.iter().find(|pod| pod.node == node).unwrap()
    }

    /// Sends [`FLOWS`] datagrams, each from a port of its own, and gives how many arrived.
    pub(super) fn flows(&self, from: &Pod, to: &Pod, address: &str) -> usize {
        let namespace = |pod: &Pod| self.lab.outside(&pod.node, &format!("/run/netns/{}", pod.name)).unwrap();
        let target =
            format!("{}:7000", if address.contains(':') { format!("[{address}]") } else { address.into() });
        let receiver = in_network(&namespace(to), || UdpSocket::bind(&target)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
        let senders: Vec<UdpSocket> =
            in_network(&namespace(from), || (0..FLOWS).map(|_| UdpSocket::bind(any).unwrap()).collect());
        for sender in &senders {
            // Without a route the kernel says so at once: a datagram that is lost like any other.
            let _ = sender.send_to(b"flow", &target);
        }
        let mut ports = BTreeSet::new();
        let mut buffer = [0; 16];
        while ports.len() < FLOWS
            && let Ok((_, sender)) = receiver.recv_from(&mut buffer)
        {
            ports.insert(sender.port());
        }
        ports.len()
    }

    /// Waits until every flow between the pods of two nodes arrives, both families and both directions.
    #[track_caller]
    pub(super) fn until_flows(&self, one: &str, other: &str) {
        for (from, to) in [(one, other), (other, one)] {
            let (from, to) = (self.pod(from), self.pod(to));
            for address in &to.addresses {
                self.until(&format!("every flow from {} to {address}", from.name), |fabric| {
                    let arrived = fabric.flows(from, to, address);
                    if arrived == FLOWS { Ok(()) } else { Err(format!("{arrived} of {FLOWS}")) }
                });
            }
        }
    }

    /// How many packets a node has sent by an interface.
    pub(super) fn sent(&self, node: &str, interface: &str) -> u64 {
        let text = self.lab.run(node, &["ip", "-j", "-s", "link", "show", "dev", interface]).unwrap();
        let links: Value = serde_json::from_str(&text).unwrap();
        links[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
    }
}
