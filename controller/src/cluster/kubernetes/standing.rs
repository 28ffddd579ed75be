//! What the agent's own Node says of whether it may carry pods: its taints and the condition `NetworkUnavailable`.
//! Of other Nodes none of this is kept.

use serde_json::Value;

use super::item::{Item, Said};

/// The condition that says whether pods of a node have a network.
pub const NETWORK_UNAVAILABLE: &str = "NetworkUnavailable";

/// What a Node says of whether it may carry pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The one of all Nodes that ever had the name.
    pub uid: String,
    /// The version of this state of it, for changes that must not undo another's.
    pub resource_version: String,
    /// `spec.taints`, each as it is written.
    pub taints: Vec<Value>,
    /// The condition `NetworkUnavailable`, if somebody has set it.
    pub network_unavailable: Option<Said>,
}

impl Standing {
    /// What a Node says.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        Self {
            uid: item.metadata.uid.clone(),
            resource_version: item.metadata.resource_version.clone(),
            taints: item.taints(),
            network_unavailable: item.said(NETWORK_UNAVAILABLE),
        }
    }
}
