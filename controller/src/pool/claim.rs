//! What matters of a Service to who gives addresses. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::prefix::Family;
use k8s_openapi::api::core::v1::{Service, ServiceSpec};

/// The annotation that asks for addresses, separated by commas.
pub const ADDRESSES: &str = "underlay.dev/addresses";
/// The annotation that names the pool.
pub const POOL: &str = "underlay.dev/pool";
/// The annotation by which Services of a namespace share an address, where their ports differ.
pub const SHARING_KEY: &str = "underlay.dev/sharing-key";

/// A Service, as far as it concerns addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Namespace and name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The version of the object.
    pub version: String,
    /// When it was made, in seconds: who came first has what several want.
    pub created: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Those of its namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// Whether it wants addresses of us; one that is being deleted does not.
    pub wants: bool,
    /// Whether what it has is ours to take away, as it wants none of anybody.
    pub releases: bool,
    /// The families, the first one first.
    pub families: Vec<Family>,
    /// Whether it wants all of them or none.
    pub requires_all: bool,
    /// The addresses that it asks for, or what is wrong with how it asks.
    pub requested: Result<Vec<IpAddr>, String>,
    /// The pool that it names.
    pub pool: Option<String>,
    /// What it shares by.
    pub sharing_key: Option<String>,
    /// Protocols and ports.
    pub ports: BTreeSet<(String, i32)>,
    /// Whether packets stay on the node, and for which pods they are: Services that share an address agree on both.
    pub local: bool,
    /// The pods.
    pub selector: BTreeMap<String, String>,
    /// The addresses in its status.
    pub held: Vec<IpAddr>,
    /// Addresses that others are not to be given though they are not of the status: `spec.externalIPs`.
    pub external: Vec<IpAddr>,
}

impl Claim {
    /// What a Service says. `class` is the loadBalancerClass that is ours; Services without one are, too, if `default`.
    #[must_use]
    pub fn of(
        service: &Service,
        namespaces: &BTreeMap<String, BTreeMap<String, String>>,
        class: &str,
        default: bool,
    ) -> Self {
        let metadata = service.metadata.clone();
        let spec = service.spec.clone().unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        let namespace = metadata.namespace.unwrap_or_default();
        let ingress =
            service.status.clone().and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
        let text = |key: &str| annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let is_balanced = spec.type_.as_deref() == Some("LoadBalancer");
        let is_ours = match spec.load_balancer_class.as_deref() {
            Some(named) => named == class,
            None => default,
        };
        // Names alone are what another balancer gives.
        let is_elsewhere = !ingress.is_empty() && ingress.iter().all(|one| one.ip.is_none());
        let ports = spec.ports.iter().flatten();
        Self {
            name: format!("{namespace}/{}", metadata.name.unwrap_or_default()),
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
            labels: metadata.labels.unwrap_or_default(),
            namespace_labels: namespaces.get(&namespace).cloned().unwrap_or_default(),
            wants: is_balanced && is_ours && !is_elsewhere && metadata.deletion_timestamp.is_none(),
            releases: !is_balanced,
            families: families(&spec),
            requires_all: spec.ip_family_policy.as_deref() == Some("RequireDualStack"),
            requested: requested(text(ADDRESSES), spec.load_balancer_ip.as_deref()),
            pool: text(POOL).map(str::to_owned),
            sharing_key: text(SHARING_KEY).map(str::to_owned),
            ports: ports
                .map(|port| (port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()), port.port))
                .collect(),
            local: spec.external_traffic_policy.as_deref() == Some("Local"),
            selector: spec.selector.clone().unwrap_or_default(),
            held: ingress.iter().filter_map(|one| one.ip.as_ref()?.parse().ok()).collect(),
            external: spec.external_ips.iter().flatten().filter_map(|one| one.parse().ok()).collect(),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.name.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Whether it and another Service may have the same address.
    #[must_use]
    pub fn shares_with(&self, other: &Self) -> bool {
        let agree =
            (!self.local && !other.local) || (self.local == other.local && self.selector == other.selector);
        self.sharing_key.is_some()
            && self.sharing_key == other.sharing_key
            && self.namespace() == other.namespace()
            && self.ports.is_disjoint(&other.ports)
            && agree
    }
}

/// The families that a Service wants addresses of: those that the API server settled on; of an older one, those of its
/// cluster IPs.
fn families(spec: &ServiceSpec) -> Vec<Family> {
    let named: Vec<Family> = spec
        .ip_families
        .iter()
        .flatten()
        .filter_map(|family| match family.as_str() {
            "IPv4" => Some(Family::Ipv4),
            "IPv6" => Some(Family::Ipv6),
            _ => None,
        })
        .collect();
    if !named.is_empty() {
        return named;
    }
    let ips = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let mut found = Vec::new();
    for family in ips.filter_map(|ip| ip.parse::<IpAddr>().ok()).map(Family::of) {
        if !found.contains(&family) {
            found.push(family);
        }
    }
    if found.is_empty() { vec![Family::Ipv4] } else { found }
}

/// What the annotation asks for, else `spec.loadBalancerIP`.
fn requested(annotation: Option<&str>, field: Option<&str>) -> Result<Vec<IpAddr>, String> {
    let text = annotation.or(field).unwrap_or_default();
    let mut asked = Vec::<IpAddr>::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let address: IpAddr = one.parse().map_err(|_| format!("`{one}` is no address"))?;
        if asked.iter().any(|other| Family::of(*other) == Family::of(address)) {
            return Err(format!("`{text}` asks for two addresses of a family"));
        }
        asked.push(address);
    }
    Ok(asked)
}
