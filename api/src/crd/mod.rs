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
//!  policy                 import and export rules
//!  status                 what is said of an object that people write
//!  fabric peer node       the kinds
//!  pending                what is designed and not built
//! ```

pub mod fabric;
pub mod node;
pub mod peer;
pub mod pending;
pub mod policy;
pub mod restart;
pub mod rule;
pub mod selector;
pub mod status;
pub mod timers;
pub mod value;

pub use fabric::{Fabric, FabricSpec};
pub use node::{FabricNode, FabricNodeSpec, FabricNodeStatus};
pub use peer::{FabricPeer, FabricPeerSpec};
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
    vec![Fabric::crd(), FabricPeer::crd(), FabricNode::crd()]
}

/// The definitions for an API server that knows no CEL and refuses a schema that has it: before 1.25.
#[must_use]
pub fn definitions_without_cel() -> Vec<CustomResourceDefinition> {
    let mut definitions = definitions();
    for version in definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            strip_cel(schema);
        }
    }
    definitions
}

fn strip_cel(schema: &mut JSONSchemaProps) {
    schema.x_kubernetes_validations = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(strip_cel);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        strip_cel(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        strip_cel(values);
    }
}

#[cfg(test)]
mod tests;
