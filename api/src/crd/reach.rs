//! How far away a peer may be, and from where it is connected to.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::rule;

/// That packets of the peer have come no further than so many hops (RFC 5082).
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TtlSecurity {
    /// How many: 1 is a neighbour.
    #[x_kube(validation = Rule::new(rule::TTL_HOPS.cel).message(rule::TTL_HOPS.text))]
    pub hops: u8,
}

/// The own address that a peer is connected to from; the peer knows this node by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected InternalIP, {interface: NAME} or {nodeAnnotation: KEY}, and nothing beside it"
)]
pub enum SourceAddress {
    /// An address of the Node.
    Node(InternalAddress),
    /// The first address of an interface.
    Interface(OfInterface),
    /// Addresses in an annotation of the Node, with commas between them; the first of the peer's family counts.
    Annotation(OfAnnotation),
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfInterface {
    /// Its name.
    pub interface: String,
}

/// An annotation of the Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OfAnnotation {
    /// Its key.
    pub node_annotation: String,
}

/// The one kind of address that a Node has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InternalAddress {
    /// The InternalIP of the peer's family.
    InternalIP,
}

/// A text or an object: a structural schema has no word for that, so that the agent checks it.
impl JsonSchema for SourceAddress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SourceAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
    }
}
