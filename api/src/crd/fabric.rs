//! `Fabric`: what nodes share.
//!
//! Every field is optional, so that two objects that select one node can add
//! up; a default is applied after they were put together.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::IpNet;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::masquerade::Masquerade;
use super::restart::GracefulRestart;
use super::rule::{self, Check, Violation};
use super::selector::LabelSelector;
use super::service::{self, AdvertisedServices};
use super::status::ObjectStatus;
use super::timers::Timers;
use super::value::RouteTable;

/// What the selected nodes share: their AS, their mesh, what they advertise and accept, and how routes
/// enter the kernel.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "underlay.dev",
    version = "v1alpha1",
    kind = "Fabric",
    derive = "PartialEq",
    status = "ObjectStatus",
    category = "underlay",
    shortname = "fab",
    printcolumn(name = "ASN", type_ = "integer", json_path = ".spec.asn.value"),
    printcolumn(name = "Mesh", type_ = "string", json_path = ".spec.mesh"),
    printcolumn(name = "Transit", type_ = "boolean", json_path = ".spec.transit"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::REFLECTED_MESH.cel).message(rule::REFLECTED_MESH.text))]
pub struct FabricSpec {
    /// The nodes; empty selects every node.
    #[serde(default)]
    pub node_selector: LabelSelector,
    /// The nodes' AS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<AsnSource>,
    /// The nodes' BGP Identifiers; the IPv4 InternalIP if unset.
    #[serde(rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterIdSource>,
    /// Whether nodes of the same AS peer with each other; Full if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<Mesh>,
    /// The nodes that reflect the mesh's routes: they peer with all, the others with them alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_reflectors: Option<RouteReflectors>,
    /// The cluster's pod prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_prefixes: Vec<IpNet>,
    /// What the nodes originate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Advertise>,
    /// Prefixes, and longer ones inside, that may be learned; podPrefixes if unset, with transit any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<IpNet>>,
    /// Whether a default route may be learned; no if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_default_route: Option<bool>,
    /// Whether what was learned is sent on; no if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit: Option<bool>,
    /// How routes enter the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fib: Option<Fib>,
    /// What makes paths equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multipath: Option<Multipath>,
    /// What leaves the nodes under their own addresses; on if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masquerade: Option<Masquerade>,
    /// What is said of restarts to every peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Session timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timers: Option<Timers>,
}

/// Where a node's AS number comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::ASN_SOURCE.cel).message(rule::ASN_SOURCE.text))]
pub struct AsnSource {
    /// The number itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::ASN_USABLE.cel).message(rule::ASN_USABLE.text))]
    pub value: Option<u32>,
    /// The key of a Node label that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_label: Option<String>,
    /// The key of a Node annotation that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_annotation: Option<String>,
}

/// Where a node's BGP Identifier comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::ROUTER_ID_SOURCE.cel).message(rule::ROUTER_ID_SOURCE.text))]
pub struct RouterIdSource {
    /// An address of the Node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeAddress>,
    /// The identifier itself; for a Fabric that selects one node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::ROUTER_ID_USABLE.cel).message(rule::ROUTER_ID_USABLE.text))]
    pub value: Option<Ipv4Addr>,
    /// The key of a Node annotation that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_annotation: Option<String>,
}

/// An address that a Node has.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeAddress {
    /// `status.addresses` of type InternalIP.
    InternalIP,
}

/// Whether nodes peer with each other.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mesh {
    /// iBGP between all selected nodes of the same AS.
    Full,
    /// Only with what FabricPeers name.
    None,
}

/// The route reflectors of a mesh (RFC 4456).
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteReflectors {
    /// Which of the selected nodes they are; empty is each of them.
    pub node_selector: LabelSelector,
    /// The cluster id of all of them: they refuse what they reflect to each other; each one's router id if unset.
    #[serde(default, rename = "clusterID", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::CLUSTER_ID.cel).message(rule::CLUSTER_ID.text))]
    pub cluster_id: Option<Ipv4Addr>,
}

/// What a node originates.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Advertise {
    /// The node's PodCIDRs; yes if unset.
    #[serde(rename = "podCIDRs", default, skip_serializing_if = "Option::is_none")]
    pub pod_cidrs: Option<bool>,
    /// Further prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<AdvertisedPrefix>,
    /// Addresses of Services; the first rule that names one says how it is advertised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::ENTRY_COUNT.cel).message(rule::ENTRY_COUNT.text))]
    pub services: Vec<AdvertisedServices>,
}

/// A prefix that a node originates as it stands.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdvertisedPrefix {
    /// The prefix; host bits are cleared.
    pub prefix: IpNet,
    /// Standard communities `A:B`, large ones `A:B:C`, or well-known names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// LOCAL_PREF towards internal peers; 100 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC; not sent if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

/// How routes enter the kernel.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fib {
    /// Whether they do; yes if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install: Option<bool>,
    /// The table; main if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::FIB_TABLE.cel).message(rule::FIB_TABLE.text))]
    pub table: Option<RouteTable>,
    /// The metric; 190 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::FIB_METRIC.cel).message(rule::FIB_METRIC.text))]
    pub metric: Option<u32>,
    /// The routing protocol number that marks our routes; 171 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::FIB_PROTOCOL.cel).message(rule::FIB_PROTOCOL.text))]
    pub protocol: Option<u8>,
    /// The most next hops of a route; 16 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::MAX_PATHS.cel).message(rule::MAX_PATHS.text))]
    pub max_paths: Option<u8>,
    /// Whether routes name next-hop objects; Auto if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_groups: Option<NextHopGroups>,
}

/// Whether learned routes name next-hop objects, so that one write moves all routes of a next hop.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextHopGroups {
    /// From a thousand routes on: the kernel deletes the objects of an interface that loses its carrier, and only the agent
    /// writes them again.
    Auto,
    /// Always, where the kernel has them.
    Always,
    /// Never.
    Never,
}

/// What makes paths equal.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Multipath {
    /// Whether equal length of the AS_PATH is enough; yes if unset.
    #[serde(rename = "relaxASPath", skip_serializing_if = "Option::is_none")]
    pub relax_as_path: Option<bool>,
}

/// Whether a number may be somebody's AS.
#[must_use]
pub const fn is_usable_asn(asn: u32) -> bool {
    asn != 0 && asn != u32::MAX && asn != 23_456
}

/// Routing protocol numbers of other daemons: babel, bgp, bird, dhcp, dnrouted, eigrp, gated, isis, keepalived,
/// mrt, ntk, openr, ospf, ra, rip, xorp, zebra (linux/rtnetlink.h).
const FOREIGN_PROTOCOLS: [u8; 17] = [42, 186, 12, 16, 13, 192, 8, 187, 18, 10, 15, 99, 188, 9, 189, 14, 11];

impl FabricSpec {
    /// The rules that this object breaks.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        self.node_selector.check("spec.nodeSelector", &mut check);
        if let Some(asn) = &self.asn {
            let sources = [asn.value.is_some(), asn.from_label.is_some(), asn.from_annotation.is_some()];
            check.that(one_of(&sources), "spec.asn", rule::ASN_SOURCE);
            check.that(asn.value.is_none_or(is_usable_asn), "spec.asn.value", rule::ASN_USABLE);
        }
        if let Some(id) = &self.router_id {
            let sources = [id.from.is_some(), id.value.is_some(), id.from_annotation.is_some()];
            check.that(one_of(&sources), "spec.routerID", rule::ROUTER_ID_SOURCE);
            let usable = id.value.is_none_or(|id| !id.is_unspecified());
            check.that(usable, "spec.routerID.value", rule::ROUTER_ID_USABLE);
        }
        if let Some(reflectors) = &self.route_reflectors {
            reflectors.node_selector.check("spec.routeReflectors.nodeSelector", &mut check);
            let usable = reflectors.cluster_id.is_none_or(|id| !id.is_unspecified());
            check.that(usable, "spec.routeReflectors.clusterID", rule::CLUSTER_ID);
            check.that(self.mesh != Some(Mesh::None), "spec.routeReflectors", rule::REFLECTED_MESH);
        }
        if let Some(advertise) = &self.advertise {
            advertise.check(&mut check);
        }
        if let Some(fib) = &self.fib {
            fib.check(&mut check);
        }
        if let Some(timers) = &self.timers {
            timers.check("spec.timers", &mut check);
        }
        if let Some(restart) = &self.graceful_restart {
            restart.check("spec.gracefulRestart", &mut check);
        }
        check.finish()
    }
}

impl Advertise {
    fn check(&self, check: &mut Check) {
        let mut seen = BTreeSet::new();
        for (at, advertised) in self.prefixes.iter().enumerate() {
            let field = format!("spec.advertise.prefixes[{at}]");
            check.that(seen.insert(advertised.prefix.trunc()), &format!("{field}.prefix"), rule::ORIGIN_ONCE);
            for community in &advertised.communities {
                let known = is_community(community);
                check.that(known, &format!("{field}.communities"), rule::COMMUNITY);
            }
        }
        check.that(self.services.len() <= service::MOST, "spec.advertise.services", rule::ENTRY_COUNT);
        for (at, services) in self.services.iter().enumerate() {
            let field = format!("spec.advertise.services[{at}]");
            services.check(&field, check);
            for community in &services.communities {
                check.that(is_community(community), &format!("{field}.communities"), rule::COMMUNITY);
            }
        }
    }
}

impl Fib {
    fn check(&self, check: &mut Check) {
        if let Some(table) = self.table {
            check.that(!matches!(table.number(), 0 | 255), "spec.fib.table", rule::FIB_TABLE);
        }
        check.that(self.metric != Some(0), "spec.fib.metric", rule::FIB_METRIC);
        let free = self.protocol.is_none_or(|number| number >= 5 && !FOREIGN_PROTOCOLS.contains(&number));
        check.that(free, "spec.fib.protocol", rule::FIB_PROTOCOL);
        let fits = self.max_paths.is_none_or(|count| (1..=128).contains(&count));
        check.that(fits, "spec.fib.maxPaths", rule::MAX_PATHS);
    }
}

fn one_of(set: &[bool]) -> bool {
    set.iter().filter(|set| **set).count() == 1
}

/// Names of RFC 1997, RFC 3765, RFC 7999 and RFC 8326 for standard communities, with their numbers.
pub const WELL_KNOWN_COMMUNITIES: [(&str, u32); 6] = [
    ("graceful-shutdown", 0xffff_0000),
    ("no-export", 0xffff_ff01),
    ("no-advertise", 0xffff_ff02),
    ("no-export-subconfed", 0xffff_ff03),
    ("no-peer", 0xffff_ff04),
    ("blackhole", 0xffff_029a),
];

pub(super) fn is_community(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [_, _] => parts.iter().all(|part| part.parse::<u16>().is_ok()),
        [_, _, _] => parts.iter().all(|part| part.parse::<u32>().is_ok()),
        _ => WELL_KNOWN_COMMUNITIES.iter().any(|(name, _)| *name == text),
    }
}
