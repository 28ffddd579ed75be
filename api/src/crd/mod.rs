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
//!  fabric peer            the kinds
//!  pending                what is designed and not built
//! ```

pub mod fabric;
pub mod peer;
pub mod pending;
pub mod policy;
pub mod rule;
pub mod selector;
pub mod timers;
pub mod value;

pub use fabric::{Fabric, FabricSpec};
pub use peer::{FabricPeer, FabricPeerSpec};
pub use rule::Violation;

/// The API group of all kinds.
pub const GROUP: &str = "underlay.dev";
/// The only version.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all kinds, for the API server.
#[must_use]
pub fn definitions()
-> Vec<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> {
    use kube::CustomResourceExt;
    vec![Fabric::crd(), FabricPeer::crd()]
}

#[cfg(test)]
mod tests;
