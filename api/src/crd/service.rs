//! Which addresses of Services nodes originate.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, Check};
use super::selector::LabelSelector;

/// The most rules of a Fabric.
pub(super) const MOST: usize = 64;

/// Services whose addresses nodes originate, and how. A Service is advertised while it has a ready endpoint; one with
/// `externalTrafficPolicy: Local` by the nodes that have one themselves. While all that is left of its endpoints are
/// terminating ones that still serve, it is advertised with GRACEFUL_SHUTDOWN (RFC 8326). A node with the label
/// node.kubernetes.io/exclude-from-external-load-balancers advertises none.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdvertisedServices {
    /// The Services, by their labels; empty selects every Service.
    #[serde(default)]
    pub selector: LabelSelector,
    /// Which of their addresses.
    #[x_kube(validation = Rule::new(rule::SERVICE_ADDRESSES.cel).message(rule::SERVICE_ADDRESSES.text))]
    #[schemars(length(max = 3))]
    pub addresses: Vec<ServiceAddress>,
    /// The prefixes around the addresses that are advertised in their place, by length; host routes if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// Standard communities `A:B`, large ones `A:B:C`, or well-known names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub communities: Vec<String>,
    /// LOCAL_PREF towards internal peers; 100 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_preference: Option<u32>,
}

/// A kind of address of a Service.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ServiceAddress {
    /// `status.loadBalancer.ingress`, but for `ipMode: Proxy`.
    LoadBalancerIP,
    /// `spec.externalIPs`.
    ExternalIP,
    /// `spec.clusterIPs`.
    ClusterIP,
}

/// Lengths of prefixes.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::AGGREGATE_LENGTH.cel).message(rule::AGGREGATE_LENGTH.text))]
pub struct Aggregate {
    /// Of IPv4; 32 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<u8>,
    /// Of IPv6; 128 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<u8>,
}

impl AdvertisedServices {
    /// Checks what the types alone cannot hold.
    pub(super) fn check(&self, field: &str, check: &mut Check) {
        self.selector.check(&format!("{field}.selector"), check);
        let some = (1..=3).contains(&self.addresses.len());
        check.that(some, &format!("{field}.addresses"), rule::SERVICE_ADDRESSES);
        let Aggregate { v4, v6 } = self.aggregate.unwrap_or_default();
        let fits =
            v4.is_none_or(|len| (1..=32).contains(&len)) && v6.is_none_or(|len| (1..=128).contains(&len));
        check.that(fits, &format!("{field}.aggregate"), rule::AGGREGATE_LENGTH);
    }
}
