//! The CNI network configuration: what the agent writes and `underlay-cni` reads.
//!
//! Owns the names, defaults and numbers that both sides must agree on. It never
//! validates what came from a runtime: the plugin does that field by field, so
//! that its error can name the field.
//!
//! The list is written with `cniVersion` 1.0.0 and the versions beside it: a bare
//! 1.1.0 makes runtimes that know only 1.0.0 fail each sandbox.

mod reservation;
mod route;

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use reservation::{RESERVATIONS_FILE, RESERVATIONS_LAYOUT, Reservation, Reservations, reservations_path};
pub use route::Route;

/// The plugin's `type`, which is also the name of its binary.
pub const PLUGIN_TYPE: &str = "underlay-cni";

/// Versions of the CNI specification that the plugin speaks, oldest first.
pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The `cniVersion` of a list that every supported runtime accepts.
pub const LIST_VERSION: &str = "1.0.0";

/// Folder of the plugin's reservations, one folder a network below it.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/underlay/cni";

/// File that holds the boot id once the agent has this node's network in place;
/// the plugin's STATUS answers 50 until it does. The content is that of
/// `/proc/sys/kernel/random/boot_id`; white space around it does not count.
pub const READY_FILE: &str = "/run/underlay/ready";

/// Routing protocol number of the host routes to this node's pods.
///
/// It is not the number of the routes that the agent learns (171 by default):
/// the agent sweeps those, and must neither adopt nor sweep a pod's route.
pub const POD_ROUTE_PROTOCOL: u8 = 172;

/// Routing protocol number of the routes that the agent installs unless a Fabric says
/// otherwise; a link that carries one is an uplink.
pub const LEARNED_ROUTE_PROTOCOL: u8 = 171;

/// Whether the plugin gives such a name to the host end of a pod's link.
#[must_use]
pub fn is_pod_link(name: &str) -> bool {
    name.strip_prefix("ul")
        .is_some_and(|digits| digits.len() == 13 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// What the plugin takes from a runtime by `runtimeConfig`.
pub const CAPABILITIES: [&str; 4] = ["bandwidth", "ips", "mac", "portMappings"];

/// A network configuration list, the content of a `.conflist` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkList {
    /// Version of the specification that the runtime shall use.
    pub cni_version: String,
    /// All versions that the plugins speak; a newer runtime takes the highest that it knows.
    pub cni_versions: Vec<String>,
    /// Name of the network; reservations are kept under it.
    pub name: String,
    /// The chain, ours first.
    pub plugins: Vec<Network>,
}

impl NetworkList {
    /// The list with our plugin alone in it.
    pub fn new(name: impl Into<String>, network: Network) -> Self {
        Self {
            cni_version: LIST_VERSION.into(),
            cni_versions: VERSIONS.iter().map(ToString::to_string).collect(),
            name: name.into(),
            plugins: vec![network],
        }
    }
}

/// Our plugin's entry in a [`NetworkList`]. What is unset is not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Always [`PLUGIN_TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The node's prefixes; a pod gets one address of each family in them.
    pub subnets: Vec<IpNet>,
    /// MTU of the link in bytes; unset, the plugin takes the smallest of the uplinks that carry routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Unset, [`DEFAULT_STATE_DIR`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// Unset, [`READY_FILE`]; the empty string is for a network that no agent serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_file: Option<String>,
    /// Capabilities that the runtime shall pass in `runtimeConfig`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, bool>,
}

impl Network {
    /// A network on `subnets` with every default.
    pub fn new(subnets: Vec<IpNet>) -> Self {
        Self {
            kind: PLUGIN_TYPE.into(),
            subnets,
            mtu: None,
            state_dir: None,
            ready_file: None,
            capabilities: CAPABILITIES.map(|name| (name.to_owned(), true)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_has_the_shape_that_runtimes_accept() {
        let subnets = vec!["10.244.1.0/24".parse().unwrap(), "fd00:10:244:1::/64".parse().unwrap()];
        let list = NetworkList::new("underlay", Network { mtu: Some(1450), ..Network::new(subnets) });
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "cniVersion": "1.0.0", "cniVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
                "name": "underlay",
                "plugins": [{"type": "underlay-cni", "subnets": ["10.244.1.0/24", "fd00:10:244:1::/64"],
                             "mtu": 1450, "capabilities": {"bandwidth": true, "ips": true, "mac": true, "portMappings": true}}]
            })
        );
        assert_eq!(serde_json::from_value::<NetworkList>(json).unwrap(), list);
    }
}
