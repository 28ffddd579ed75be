//! `FabricPool`: addresses for Services of type LoadBalancer.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]
#![allow(clippy::duplicated_attributes, reason = "printer columns of one type")]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check, Violation};
use super::selector::LabelSelector;

/// The most ranges of a pool.
const MOST: usize = 64;

/// Addresses that the pool controller gives to Services of type LoadBalancer. Nodes advertise them where a Fabric says
/// so.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "underlay.dev",
    version = "v1alpha1",
    kind = "FabricPool",
    derive = "PartialEq",
    status = "FabricPoolStatus",
    category = "underlay",
    shortname = "fpool",
    printcolumn(name = "Addresses", type_ = "string", json_path = ".spec.addresses"),
    printcolumn(name = "Given", type_ = "integer", json_path = ".status.given"),
    printcolumn(name = "Free", type_ = "string", json_path = ".status.free"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(
        name = "Exhausted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Exhausted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FabricPoolSpec {
    /// The addresses: prefixes such as 192.0.2.0/28, ranges such as 192.0.2.10-192.0.2.20, and single addresses, of
    /// either family.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(rule::POOL_RANGES.cel).message(rule::POOL_RANGES.text))]
    pub addresses: Vec<AddressRange>,
    /// The Services that may have them, by their labels; empty selects every Service.
    #[serde(default)]
    pub service_selector: LabelSelector,
    /// The namespaces of those Services, by their labels; empty selects every namespace.
    #[serde(default)]
    pub namespace_selector: LabelSelector,
    /// Whether Services that ask for neither an address nor this pool get one of it; true if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// Whether IPv4 addresses that end in .0 and .255 are left out, which some networks drop; false if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avoid_edges: Option<bool>,
}

/// What the pool controller says of a pool.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FabricPoolStatus {
    /// How many of its addresses Services have.
    #[serde(default)]
    pub given: u32,
    /// How many it has left; more than a number holds are "many".
    #[serde(default)]
    pub free: String,
    /// Accepted: whether the pool is one that can be used. Exhausted: whether a Service wants an address that it does
    /// not have any more. Conflicting: whether a Service has an address that another one has, too.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl FabricPoolSpec {
    /// The rules that the types alone cannot hold and that this breaks.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        let some = (1..=MOST).contains(&self.addresses.len());
        check.that(some, "spec.addresses", rule::POOL_RANGES);
        self.service_selector.check("spec.serviceSelector", &mut check);
        self.namespace_selector.check("spec.namespaceSelector", &mut check);
        check.finish()
    }
}

/// Addresses from the first to the last, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    /// The first.
    pub first: IpAddr,
    /// The last, of the same family and not before the first.
    pub last: IpAddr,
}

impl AddressRange {
    /// Whether it holds an address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// How many addresses it holds; the most that the number holds if there are more.
    #[must_use]
    pub fn size(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Its addresses in order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let is_ipv4 = self.first.is_ipv4();
        (number(self.first)..=number(self.last)).map(move |number| address(number, is_ipv4))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(number: u128, is_ipv4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is neither a prefix nor an address nor a range FIRST-LAST");
        let one = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| wrong());
        if text.contains('/') {
            let net = text.parse::<IpNet>().map_err(|_| wrong())?;
            let (first, last) = (net.network(), net.broadcast());
            return Ok(Self { first, last });
        }
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (one(first)?, one(last)?),
            None => (one(text)?, one(text)?),
        };
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(format!(
                "`{text}` is no range: its last address is before the first, or of another family"
            ));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for AddressRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for AddressRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AddressRange".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 96,
            "pattern": "^[0-9A-Fa-f:.]+(/[0-9]{1,3}|-[0-9A-Fa-f:.]+)?$",
        })
    }
}
