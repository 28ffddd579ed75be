//! The Kubernetes objects of `underlay.dev/v1alpha1`, as types.
//!
//! Each type refuses a field that it does not know. A field that is designed
//! and not built yet stands in [`pending`] and is refused by its name. What a
//! type cannot express is a named rule in [`rule`], with its text in one place
//! for the agent and for the API server (CEL).
//!
//! ```text
//!  rule value selector    leaves: violations, scalar types, label selectors
//!  timers                 shared by both kinds
//!  reach                  how far away a peer may be
//!  policy                 import and export rules
//!  masquerade             what leaves a node under its own address
//!  service                which addresses of Services nodes originate
//!  status                 what is said of an object that people write
//!  fabric peer pool node  the kinds; target: peers that are found on each node
//!  pending                what is designed and not built
//! ```

pub mod fabric;
pub mod masquerade;
pub mod node;
pub mod peer;
pub mod pending;
pub mod policy;
pub mod pool;
pub mod reach;
pub mod restart;
pub mod rule;
pub mod selector;
pub mod service;
pub mod status;
pub mod target;
pub mod timers;
pub mod value;

pub use fabric::{Fabric, FabricSpec};
pub use node::{FabricNode, FabricNodeSpec, FabricNodeStatus};
pub use peer::{FabricPeer, FabricPeerSpec};
pub use pool::{FabricPool, FabricPoolSpec, FabricPoolStatus};
pub use rule::Violation;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// The API group of all kinds.
pub const GROUP: &str = "underlay.dev";
/// The only version.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all kinds, for the API server.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    use kube::CustomResourceExt;
    let mut definitions = vec![Fabric::crd(), FabricPeer::crd(), FabricPool::crd(), FabricNode::crd()];
    each_schema(&mut definitions, make_structural);
    definitions
}

/// What the schema's library says of a prefix is no structural schema, and an IPv4 prefix is one of both of its
/// kinds; the rest the agent says better. An empty default is none. A field that is not set is left out and not null:
/// of one that may be null, API servers that speak OpenAPI v2 alone (before 1.24) explain nothing.
fn make_structural(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if schema.one_of.take().is_some() {
        schema.title = None;
        schema.type_ = Some("string".to_owned());
        schema.pattern = Some("^[0-9A-Fa-f:.]+/[0-9]{1,3}$".to_owned());
    }
    // Formats that an API server does not know are a warning at each `kubectl apply`: the bounds say what they mean.
    let most = match schema.format.as_deref() {
        Some("uint8") => Some(u32::from(u8::MAX)),
        Some("uint16") => Some(u32::from(u16::MAX)),
        Some("uint32") => Some(u32::MAX),
        _ => None,
    };
    if let Some(most) = most {
        schema.maximum.get_or_insert(most.into());
    }
    if most.is_some() || schema.format.as_deref() == Some("ip") {
        schema.format = None;
    }
    if schema.default.as_ref().is_some_and(|default| default.0 == "") {
        schema.default = None;
    }
}

/// The definitions for an API server that knows no CEL and refuses a schema that has it: before 1.25.
#[must_use]
pub fn definitions_without_cel() -> Vec<CustomResourceDefinition> {
    let mut definitions = definitions();
    each_schema(&mut definitions, |schema| schema.x_kubernetes_validations = None);
    definitions
}

fn each_schema(definitions: &mut [CustomResourceDefinition], mut change: impl FnMut(&mut JSONSchemaProps)) {
    for version in definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            walk(schema, &mut change);
        }
    }
}

fn walk(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    change(schema);
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        walk(property, change);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        walk(items, change);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        walk(values, change);
    }
}

#[cfg(test)]
mod tests;
