//! What is said of an object that people write, in the object itself.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What is said of a Fabric or a FabricPeer. What one node makes of it stands in its FabricNode.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// Accepted: whether the object by itself is one that agents apply.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
