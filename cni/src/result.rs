//! The result of ADD in the shape of each version, and the `prevResult` that comes back.
//!
//! | field | 0.3.1, 0.4.0 | 1.0.0 | 1.1.0 |
//! |---|---|---|---|
//! | `ips[].version` | yes | no | no |
//! | `interfaces[].mtu` | no | no | yes |
//! | `routes[].mtu`, `advmss`, `priority`, `table`, `scope` | no | no | yes |

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::hop::{Hop, gateway};
use crate::ipam::Family;
use crate::plan::Pair;
use crate::version::Version;

/// Index of the pod's end among the result's interfaces; the host's end is the first.
const POD: usize = 1;

/// The specification's DNS section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Addresses of name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// The local domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Resolver options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A result that a runtime hands back, as far as we look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PrevResult {
    /// The interfaces of every plugin so far.
    #[serde(default)]
    pub interfaces: Vec<PrevInterface>,
    /// The addresses of every plugin so far.
    #[serde(default)]
    pub ips: Vec<PrevIp>,
    /// Routes, passed on unread.
    #[serde(default)]
    pub routes: Vec<Value>,
    /// Name servers, passed on.
    #[serde(default)]
    pub dns: Dns,
}

/// An interface of a [`PrevResult`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PrevInterface {
    /// Its name.
    pub name: String,
    /// Its MAC address; empty if the plugin did not tell.
    #[serde(default)]
    pub mac: String,
    /// Its MTU, from 1.1.0 on.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// The namespace's path; empty on the host.
    #[serde(default)]
    pub sandbox: String,
}

/// An address of a [`PrevResult`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PrevIp {
    /// The address and its prefix length.
    pub address: IpNet,
    /// Index into the interfaces.
    #[serde(default)]
    pub interface: Option<usize>,
}

/// What ADD made.
#[derive(Debug)]
pub struct Added<'a> {
    /// The version to write in.
    pub version: Version,
    /// The link.
    pub pair: &'a Pair,
    /// `CNI_NETNS`, verbatim.
    pub sandbox: &'a str,
    /// The pod's addresses, IPv4 first.
    pub addresses: &'a [IpAddr],
    /// Gateways other than ours, at most one a family.
    pub gateways: &'a [IpAddr],
    /// Routes of the pod.
    pub hops: &'a [Hop],
    /// Name servers for the container.
    pub dns: &'a Dns,
    /// Routes that were in the `prevResult`.
    pub routes: &'a [Value],
}

impl Added<'_> {
    /// The JSON for stdout.
    pub fn to_json(&self) -> Value {
        let mut host = json!({"name": self.pair.host, "mac": self.pair.host_mac.to_string()});
        let mut pod =
            json!({"name": self.pair.pod, "mac": self.pair.pod_mac.to_string(), "sandbox": self.sandbox});
        if self.version >= Version::V1_1_0 {
            host["mtu"] = self.pair.mtu.into();
            pod["mtu"] = self.pair.mtu.into();
        }
        let ips: Vec<Value> = self.addresses.iter().map(|address| self.ip(*address)).collect();
        let ours = self.hops.iter().map(|hop| self.route(hop));
        let routes: Vec<Value> = self.routes.iter().cloned().chain(ours).collect();
        json!({
            "cniVersion": self.version.as_str(),
            "interfaces": [host, pod],
            "ips": ips,
            "routes": routes,
            "dns": self.dns,
        })
    }

    fn route(&self, hop: &Hop) -> Value {
        let route = &hop.route;
        let mut json = json!({"dst": route.dst, "gw": hop.gateway});
        if self.version >= Version::V1_1_0 {
            let numbers = [
                ("mtu", route.mtu),
                ("advmss", route.advmss),
                ("priority", route.priority),
                ("table", route.table),
                ("scope", route.scope.map(u32::from)),
            ];
            for (key, number) in numbers {
                if let Some(number) = number {
                    json[key] = number.into();
                }
            }
        }
        json
    }

    fn ip(&self, address: IpAddr) -> Value {
        let family = Family::of(address);
        let mut ip = json!({
            "address": format!("{address}/{}", family.bits()),
            "gateway": gateway(family, self.gateways),
            "interface": POD,
        });
        if self.version < Version::V1_0_0 {
            ip["version"] = if family == Family::V4 { "4" } else { "6" }.into();
        }
        ip
    }
}

/// The result of VERSION. It names the version of the request, whatever that is.
pub fn versions(requested: &str) -> Value {
    json!({"cniVersion": requested, "supportedVersions": Version::ALL.map(Version::as_str)})
}

#[cfg(test)]
mod tests {
    use api::netconf::Route;

    use super::*;
    use crate::attachment::Mac;
    use crate::hop::{GATEWAY_V4, GATEWAY_V6};

    fn added(version: Version) -> Value {
        let pair = Pair {
            host: "ul01".into(),
            pod: "eth0".into(),
            host_mac: Mac([2, 0, 0, 0, 0, 1]),
            pod_mac: Mac([2, 0, 0, 0, 0, 2]),
            mtu: 1450,
        };
        let addresses = ["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let hops = [("0.0.0.0/0", GATEWAY_V4), ("::/0", GATEWAY_V6)].map(|(dst, gateway)| {
            let route = Route { mtu: Some(1400), priority: Some(7), ..Route::to(dst.parse().unwrap()) };
            Hop { gateway, route }
        });
        let dns = Dns { nameservers: vec!["10.0.0.53".into()], ..Dns::default() };
        let added = Added {
            version,
            pair: &pair,
            sandbox: "/run/netns/x",
            addresses: &addresses,
            gateways: &[],
            hops: &hops,
            dns: &dns,
            routes: &[],
        };
        added.to_json()
    }

    #[test]
    fn shape_of_1_0_0() {
        assert_eq!(
            added(Version::V1_0_0),
            json!({
                "cniVersion": "1.0.0",
                "interfaces": [
                    {"name": "ul01", "mac": "02:00:00:00:00:01"},
                    {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/x"}],
                "ips": [
                    {"address": "10.0.0.5/32", "gateway": "169.254.1.1", "interface": 1},
                    {"address": "fd00::5/128", "gateway": "fe80::1", "interface": 1}],
                "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}],
                "dns": {"nameservers": ["10.0.0.53"]},
            })
        );
    }

    #[test]
    fn other_versions_differ_only_as_the_table_says() {
        for version in [Version::V0_3_1, Version::V0_4_0] {
            let mut expected = added(Version::V1_0_0);
            expected["cniVersion"] = version.as_str().into();
            expected["ips"][0]["version"] = "4".into();
            expected["ips"][1]["version"] = "6".into();
            assert_eq!(added(version), expected);
        }
        let mut expected = added(Version::V1_0_0);
        expected["cniVersion"] = "1.1.0".into();
        expected["interfaces"][0]["mtu"] = 1450.into();
        expected["interfaces"][1]["mtu"] = 1450.into();
        for n in 0..2 {
            expected["routes"][n]["mtu"] = 1400.into();
            expected["routes"][n]["priority"] = 7.into();
        }
        assert_eq!(added(Version::V1_1_0), expected);
    }

    #[test]
    fn our_own_result_is_a_readable_prev_result() {
        for version in Version::ALL {
            let prev: PrevResult = serde_json::from_value(added(version)).unwrap();
            assert_eq!(prev.interfaces[1].sandbox, "/run/netns/x");
            assert_eq!(prev.ips[1].address, "fd00::5/128".parse().unwrap());
            assert_eq!(prev.ips[1].interface, Some(POD));
        }
    }

    #[test]
    fn versions_echo_the_request() {
        let json = versions("9.9.9");
        assert_eq!(json["cniVersion"], "9.9.9");
        assert_eq!(json["supportedVersions"], json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    }
}
