//! Peers that are found on each node, instead of being named by one address.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check};

/// An address family.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4 unicast.
    IPv4,
    /// IPv6 unicast.
    IPv6,
}

/// Where on a node the addresses of its peers are found; exactly one of them.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::ADDRESS_SOURCE.cel).message(rule::ADDRESS_SOURCE.text))]
pub struct AddressFrom {
    /// The gateways of the node's default route of a family, each of equal cost. A peer that was found stays until
    /// another gateway has taken its place for a minute. Not for addresses that two routers share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_gateway: Option<Family>,
    /// The key of a Node label that holds an IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_label: Option<String>,
    /// The key of a Node annotation that holds addresses, with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_annotation: Option<String>,
    /// Hosts of the subnet that the node's InternalIP is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_host: Option<SubnetHost>,
    /// The other address of the /31 or /127 of each of these interfaces; where one has both, that of the first family
    /// which the session carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new(rule::OTHER_END.cel).message(rule::OTHER_END.text))]
    pub other_end: Option<Vec<String>>,
}

/// Hosts of the subnet that the node's InternalIP is on.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubnetHost {
    /// The family of the InternalIP.
    pub family: Family,
    /// The hosts' numbers: 1 is the first address after the subnet's own.
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(rule::SUBNET_HOSTS.cel).message(rule::SUBNET_HOSTS.text))]
    pub hosts: Vec<u32>,
}

/// A key of a Node label or annotation is not empty.
fn is_key(key: Option<&String>) -> bool {
    key.is_none_or(|key| !key.is_empty())
}

impl AddressFrom {
    /// Checks that there is one source, and one that can give something.
    pub(crate) fn check(&self, field: &str, check: &mut Check) {
        let Self { default_gateway, node_label, node_annotation, subnet_host, other_end } = self;
        let sources = [
            default_gateway.is_some(),
            node_label.is_some(),
            node_annotation.is_some(),
            subnet_host.is_some(),
            other_end.is_some(),
        ];
        let one = sources.iter().filter(|set| **set).count() == 1;
        let named = is_key(node_label.as_ref()) && is_key(node_annotation.as_ref());
        check.that(one && named, field, rule::ADDRESS_SOURCE);
        if let Some(SubnetHost { hosts, .. }) = subnet_host {
            let fits = (1..=8).contains(&hosts.len()) && hosts.iter().all(|host| *host >= 1);
            check.that(fits, &format!("{field}.subnetHost.hosts"), rule::SUBNET_HOSTS);
        }
        if let Some(names) = other_end {
            let each_once =
                (1..).zip(names).all(|(next, name)| !name.is_empty() && !names[next..].contains(name));
            let fits = (1..=16).contains(&names.len()) && each_once;
            check.that(fits, &format!("{field}.otherEnd"), rule::OTHER_END);
        }
    }
}
