//! What leaves a node under the node's own address.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packets of pods to somewhere that does not know of pods leave under an address of their node. They keep their own
/// towards podPrefixes and the Nodes' PodCIDRs, the Nodes' addresses, what is in accept (a default route is not), and
/// `except`.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Masquerade {
    /// Whether they do; yes if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Further destinations that see pods' own addresses; `0.0.0.0/0` or `::/0` for all of a family.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<IpNet>,
    /// Whether learned prefixes are such destinations too, but for a default route; no if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except_learned: Option<bool>,
}
