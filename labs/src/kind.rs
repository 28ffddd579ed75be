//! A cluster of kind, as its own configuration file describes it: which containers it has, and what they are.
//!
//! Owns the file's meaning and the names that kind gives. What this runner does not honour is refused by name, as in
//! a topology.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// A container's port in Docker's network `kind`.
pub const INTERFACE: &str = "eth0";

/// What the kernel of a container does, and of Docker's network.
pub const SYSCTLS: [(&str, &str); 3] = [
    ("net.ipv4.ip_forward", "1"),
    ("net.ipv6.conf.all.disable_ipv6", "0"),
    ("net.ipv6.conf.all.forwarding", "1"),
];

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its containers, the control plane first.
    pub containers: Vec<Container>,
    /// The prefixes of its pods, `IPV4,IPV6`.
    pub pods: String,
    /// The prefixes of its Services, `IPV4,IPV6`.
    pub services: String,
}

/// A container, which is a Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name, and that of the Node: `CLUSTER-control-plane`, `CLUSTER-worker`, `CLUSTER-worker2` and so on.
    pub name: String,
    /// Whether the control plane runs in it.
    pub control_plane: bool,
    /// The labels of the Node.
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    kind: String,
    api_version: String,
    nodes: Vec<Machine>,
    networking: Networking,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    role: Role,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Role {
    ControlPlane,
    Worker,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Networking {
    #[serde(default, rename = "disableDefaultCNI")]
    disable_default_cni: bool,
    #[serde(default = "ipv4")]
    ip_family: String,
    #[serde(default = "pods")]
    pod_subnet: String,
    #[serde(default = "services")]
    service_subnet: String,
}

fn ipv4() -> String {
    "ipv4".to_owned()
}

/// What kind takes for `ipFamily: dual`.
fn pods() -> String {
    "10.244.0.0/16,fd00:10:244::/56".to_owned()
}

/// As [`pods`].
fn services() -> String {
    "10.96.0.0/16,fd00:10:96::/112".to_owned()
}

impl Cluster {
    /// Reads the configuration of the cluster `name`.
    ///
    /// # Errors
    /// What is wrong with it, or what this runner has no other form of, with the file.
    pub fn read(name: &str, file: &Path) -> Result<Self, String> {
        let wrong = |message: String| format!("{}: {message}", file.display());
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        Self::parse(name, &text).map_err(wrong)
    }

    /// As [`Cluster::read`], from a text.
    ///
    /// # Errors
    /// As there, without the file.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
        let Document { kind, api_version, nodes, networking } = document;
        if (kind.as_str(), api_version.as_str()) != ("Cluster", "kind.x-k8s.io/v1alpha4") {
            return Err(format!("`{kind}` of `{api_version}` is not a Cluster of kind.x-k8s.io/v1alpha4"));
        }
        if !networking.disable_default_cni {
            return Err("networking.disableDefaultCNI is not true: two would give pods their network".into());
        }
        if networking.ip_family != "dual" {
            let family = networking.ip_family;
            return Err(format!("networking.ipFamily is `{family}`; this runner's Kubernetes is `dual`"));
        }
        let mut containers = Vec::new();
        let mut workers = 0;
        for Machine { role, labels } in nodes {
            let control_plane = role == Role::ControlPlane;
            workers += usize::from(!control_plane);
            let name = match (control_plane, workers) {
                (true, _) => format!("{name}-control-plane"),
                (false, 1) => format!("{name}-worker"),
                (false, number) => format!("{name}-worker{number}"),
            };
            containers.push(Container { name, control_plane, labels });
        }
        // kind starts them in this order too.
        containers.sort_by_key(|container| !container.control_plane);
        let count = containers.iter().filter(|container| container.control_plane).count();
        if count != 1 {
            return Err(format!(
                "nodes have {count} of role control-plane; this runner knows clusters of one"
            ));
        }
        Ok(Self { containers, pods: networking.pod_subnet, services: networking.service_subnet })
    }

    /// What a container's programs are told.
    #[must_use]
    pub fn environment(&self, container: &Container) -> BTreeMap<String, String> {
        let labels: Vec<String> =
            container.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut told = vec![
            ("ADDRESS", address(0).0),
            ("INTERFACE", INTERFACE.to_owned()),
            ("LABELS", labels.join(",")),
            ("PODS", self.pods.clone()),
            ("SERVICES", self.services.clone()),
        ];
        if container.control_plane {
            told.push(("KUBECONFIG", "/run/lab/admin.kubeconfig".to_owned()));
        }
        told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Container {
    /// What stands for it.
    #[must_use]
    pub fn image(&self) -> &'static str {
        if self.control_plane { "kubernetes-all-in-one" } else { "kubernetes-node" }
    }
}

/// The addresses of a container in Docker's network, of both families. Docker gives them as the containers start.
fn address(number: usize) -> (String, String) {
    (format!("172.18.0.{}", number + 2), format!("fc00:f853:ccd:e793::{:x}", number + 2))
}

/// Commands that make Docker's network, a bridge.
#[must_use]
pub fn network() -> Vec<String> {
    ["link add kind type bridge", "link set kind up", "addr add 172.18.0.1/16 dev kind"]
        .map(|words| format!("ip {words}"))
        .into_iter()
        .chain(["ip addr add fc00:f853:ccd:e793::1/64 dev kind nodad".to_owned()])
        .collect()
}

/// Commands that put a port into it.
#[must_use]
pub fn plugged(port: &str) -> Vec<String> {
    vec![format!("ip link set {port} master kind")]
}

/// Commands that give the container `number`, from 0, its addresses and its default routes.
#[must_use]
pub fn addresses(number: usize) -> Vec<String> {
    let (v4, v6) = address(number);
    vec![
        format!("ip addr add {v4}/16 dev {INTERFACE}"),
        format!("ip addr add {v6}/64 dev {INTERFACE} nodad"),
        "ip route add default via 172.18.0.1".to_owned(),
        "ip -6 route add default via fc00:f853:ccd:e793::1".to_owned(),
    ]
}
