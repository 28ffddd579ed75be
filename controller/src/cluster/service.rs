//! What matters of a core Service and of an EndpointSlice.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::prefix::Family;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::few::Few;

/// The label of an EndpointSlice that names its Service.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Where discovery.k8s.io/v1beta1 says an endpoint's Node.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What matters of a core `Service`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFacts {
    /// `metadata.labels`.
    pub labels: Few<String>,
    /// `spec.clusterIPs`, else `spec.clusterIP`; none of a headless Service.
    pub cluster: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external: Vec<IpAddr>,
    /// `status.loadBalancer.ingress`, but for what a load balancer keeps to itself (`ipMode: Proxy`).
    pub load_balancer: Vec<IpAddr>,
    /// `externalTrafficPolicy: Local`: a node hands packets from outside to endpoints of its own alone.
    pub local: bool,
    /// `internalTrafficPolicy: Local`: the same of packets to a cluster IP.
    pub internal_local: bool,
}

/// What matters of an `EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceFacts {
    /// The name of its Service, in its own namespace; empty where it has none.
    pub service: String,
    /// The family of its endpoints' addresses; `None` where those are names.
    pub family: Option<Family>,
    /// The best of the endpoints on each Node; of those on no Node under an empty name.
    pub nodes: Few<Serving>,
}

/// How far endpoints serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Serving {
    /// They still do, and are about to end.
    Terminating,
    /// They do.
    Ready,
}

/// An `EndpointSlice` of discovery.k8s.io, v1 or v1beta1, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    metadata: ObjectMeta,
    #[serde(default)]
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    conditions: Option<Conditions>,
    #[serde(default)]
    node_name: Option<String>,
    /// Of v1beta1.
    #[serde(default)]
    topology: Option<BTreeMap<String, String>>,
}

/// A condition that is not said: ready is true, serving what ready is, terminating is false.
#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl Conditions {
    fn serving(&self) -> Option<Serving> {
        let ready = self.ready.unwrap_or(true);
        if ready {
            return Some(Serving::Ready);
        }
        let ends = self.terminating.unwrap_or(false) && self.serving.unwrap_or(false);
        ends.then_some(Serving::Terminating)
    }
}

/// What matters of an EndpointSlice.
pub(super) fn slice(slice: Slice) -> SliceFacts {
    let family = match slice.address_type.as_str() {
        "IPv4" => Some(Family::Ipv4),
        "IPv6" => Some(Family::Ipv6),
        _ => None,
    };
    let mut nodes = BTreeMap::new();
    for endpoint in slice.endpoints.unwrap_or_default() {
        let Some(serving) = endpoint.conditions.unwrap_or_default().serving() else { continue };
        let host = endpoint.topology.and_then(|mut topology| topology.remove(HOSTNAME));
        let node = endpoint.node_name.or(host).unwrap_or_default();
        let best = nodes.entry(node).or_insert(serving);
        *best = serving.max(*best);
    }
    let service = slice.metadata.labels.and_then(|mut labels| labels.remove(SERVICE_NAME));
    SliceFacts { service: service.unwrap_or_default(), family, nodes: nodes.into() }
}

/// What matters of a Service, or the field that is wrong and why.
pub(super) fn service(service: Service) -> Result<ServiceFacts, (String, String)> {
    let spec = service.spec.unwrap_or_default();
    let is_local = |policy: Option<String>| policy.is_some_and(|policy| policy == "Local");
    let (path, cluster) = match (spec.cluster_ips, spec.cluster_ip) {
        (Some(all), _) if !all.is_empty() => ("spec.clusterIPs", all),
        (_, one) => ("spec.clusterIP", one.into_iter().collect()),
    };
    let named = cluster.into_iter().filter(|address| !address.is_empty() && address != "None");
    let balancer = service.status.and_then(|status| status.load_balancer);
    let ingress = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default().into_iter();
    let ingress = ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
    Ok(ServiceFacts {
        labels: service.metadata.labels.unwrap_or_default().into(),
        cluster: addresses(path, named)?,
        external: addresses("spec.externalIPs", spec.external_ips.unwrap_or_default().into_iter())?,
        load_balancer: addresses("status.loadBalancer.ingress", ingress.filter_map(|ingress| ingress.ip))?,
        local: is_local(spec.external_traffic_policy),
        internal_local: is_local(spec.internal_traffic_policy),
    })
}

fn addresses(path: &str, texts: impl Iterator<Item = String>) -> Result<Vec<IpAddr>, (String, String)> {
    let parse =
        |text: String| text.parse().map_err(|_| (path.to_owned(), format!("`{text}` is not an IP address")));
    texts.map(parse).collect()
}
