//! `FabricNode`: what one node reports. Its agent alone writes it, and reads
//! nothing out of it.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of each list of a FabricNode: a mesh has hundreds of peers, and an object that all of them
/// are in is written by every node at every change. `underlay peers` shows them all.
pub const MOST: usize = 16;

/// What one node reports of its routing; there is nothing in it to be set.
#[derive(CustomResource, JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "underlay.dev",
    version = "v1alpha1",
    kind = "FabricNode",
    status = "FabricNodeStatus",
    derive = "PartialEq",
    category = "underlay",
    shortname = "fn",
    printcolumn(name = "ASN", type_ = "integer", json_path = ".status.asn"),
    printcolumn(name = "Peers", type_ = "string", json_path = ".status.peers"),
    printcolumn(name = "Routes", type_ = "integer", json_path = ".status.routes"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FabricNodeSpec {}

/// What the node's agent last reported.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FabricNodeStatus {
    /// The node's AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// The node's BGP Identifier.
    #[serde(rename = "routerID", default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// How many peers are Established of those that are meant to be, such as 3/4.
    #[serde(default)]
    pub peers: String,
    /// How many routes the kernel holds of what was learned.
    #[serde(default)]
    pub routes: u32,
    /// The version of the agent.
    #[serde(default)]
    pub version: String,
    /// Where the agent's configuration comes from.
    #[serde(default)]
    pub source: String,
    /// Ready, Converged, KernelInSync and PodNetworkReady.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// What is wrong with the configuration; the last good one stays in use.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Peers that are meant to be Established and are not, the first 16.
    #[serde(default)]
    pub peers_down: Vec<PeerDown>,
    /// The Fabrics and FabricPeers in use, and which generation of each.
    #[serde(default)]
    pub observed: Vec<Observed>,
}

/// A peer that is not Established.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerDown {
    /// The peer's name.
    pub name: String,
    /// The peer's address.
    pub address: String,
    /// Why, a word of the program's list of reasons.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, with the particulars.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// An object that is in use.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Observed {
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// The `metadata.generation` of what is in use.
    pub generation: i64,
}
