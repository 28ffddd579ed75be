//! What is kept of an object of the API, as it is read from the wire. The rest,
//! such as a Node's images and the fields' managers, is skipped while it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::manifest;
use super::super::object::{Objects, Problem};

/// An annotation that is longer than this is none that a Fabric can refer to: those hold a number or a few
/// addresses, and others' notes on a Node fill more memory than all the rest of it.
const ANNOTATION: usize = 512;

/// Where the API server tells which versions of EndpointSlices it has.
pub(super) const DISCOVERY: &str = "/apis/discovery.k8s.io";

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// core `Node`
    Node,
    /// `Fabric`
    Fabric,
    /// `FabricPeer`
    FabricPeer,
    /// core `Secret`
    Secret,
    /// core `Service`
    Service,
    /// `EndpointSlice` of discovery.k8s.io
    EndpointSlice,
}

impl Kind {
    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Fabric => "Fabric",
            Self::FabricPeer => "FabricPeer",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }

    /// Whether objects of several namespaces are watched.
    pub(super) const fn is_namespaced(self) -> bool {
        matches!(self, Self::Service | Self::EndpointSlice)
    }

    /// Where the API server lists them; `namespace` for those of the agent's own. An EndpointSlice is of the `version`
    /// that the server has.
    #[must_use]
    pub fn path(self, namespace: &str, version: &str) -> String {
        match self {
            Self::Node => "/api/v1/nodes".to_owned(),
            Self::Fabric => format!("/apis/{}/{}/fabrics", api::crd::GROUP, api::crd::VERSION),
            Self::FabricPeer => format!("/apis/{}/{}/fabricpeers", api::crd::GROUP, api::crd::VERSION),
            Self::Secret => format!("/api/v1/namespaces/{namespace}/secrets"),
            Self::Service => "/api/v1/services".to_owned(),
            Self::EndpointSlice => format!("{DISCOVERY}/{version}/endpointslices"),
        }
    }

    fn api_version(self) -> String {
        match self {
            Self::Node | Self::Secret | Self::Service => "v1".to_owned(),
            Self::EndpointSlice => "discovery.k8s.io/v1".to_owned(),
            Self::Fabric | Self::FabricPeer => format!("{}/{}", api::crd::GROUP, api::crd::VERSION),
        }
    }
}

/// An object of any of the kinds.
#[derive(Clone, Deserialize)]
pub struct Item {
    /// Its name and what it is selected by.
    pub metadata: Metadata,
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    endpoints: Option<Value>,
    #[serde(default, rename = "addressType")]
    address_type: Option<Value>,
    #[serde(default)]
    status: Option<Status>,
}

/// What is kept of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// The namespace, of what is in one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The one of all objects that ever had the name.
    pub uid: String,
    /// The version of this state of the object.
    #[serde(skip_serializing)]
    pub resource_version: String,
    /// Counts the versions of the spec.
    pub generation: i64,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    addresses: Option<Value>,
    #[serde(default)]
    load_balancer: Option<Value>,
    #[serde(default)]
    conditions: Vec<Said>,
}

/// A condition that an object carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// The version of the object that it is about.
    pub observed_generation: i64,
    /// The particulars.
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: String,
}

impl Said {
    /// Whether the condition holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.status == "True"
    }
}

/// The objects of a list and the version that it is of.
#[derive(Deserialize)]
pub struct List {
    /// The version, and where the list goes on.
    pub metadata: ListMetadata,
    /// The objects. An answer without them is no list: it must not pass for one that is empty.
    pub items: Vec<Item>,
}

/// A list's own metadata.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMetadata {
    /// The version that a watch goes on from.
    pub resource_version: String,
    /// What to ask for the next part with; empty at the last.
    #[serde(rename = "continue", default)]
    pub more: String,
}

impl Item {
    /// Its name, behind its namespace where objects of several are watched.
    #[must_use]
    pub fn name(&self, kind: Kind) -> String {
        match kind.is_namespaced() {
            true => format!("{}/{}", self.metadata.namespace, self.metadata.name),
            false => self.metadata.name.clone(),
        }
    }

    /// What the object says of itself, of the condition of that type.
    #[must_use]
    pub fn said(&self, kind: &str) -> Option<Said> {
        self.status.as_ref()?.conditions.iter().find(|said| said.kind == kind).cloned()
    }

    /// `spec.taints` of a Node, each as it is written.
    #[must_use]
    pub fn taints(&self) -> Vec<Value> {
        let taints = self.spec.as_ref().and_then(|spec| spec["taints"].as_array());
        taints.cloned().unwrap_or_default()
    }

    /// Reads the object as if it stood in a manifest, into a set of its own.
    ///
    /// # Errors
    /// What is wrong with it, in the words that a manifest gets.
    pub fn read(self, kind: Kind) -> Result<Objects, Vec<Problem>> {
        let Self { mut metadata, spec, data, endpoints, address_type, status } = self;
        metadata.annotations.retain(|key, value| value.len() <= ANNOTATION && !is_of_kubernetes(key));
        let mut value = json!({"apiVersion": kind.api_version(), "kind": kind.name(), "metadata": metadata});
        if let Some(spec) = spec {
            value["spec"] = spec;
        }
        match kind {
            Kind::Node => {
                if let Some(Status { addresses: Some(addresses), .. }) = status {
                    value["status"] = json!({"addresses": addresses});
                }
            }
            Kind::Secret => value["data"] = data.unwrap_or_default(),
            Kind::Service => {
                if let Some(Status { load_balancer: Some(balancer), .. }) = status {
                    value["status"] = json!({"loadBalancer": balancer});
                }
            }
            Kind::EndpointSlice => {
                value["endpoints"] = endpoints.unwrap_or_default();
                value["addressType"] = address_type.unwrap_or_else(|| "".into());
            }
            Kind::Fabric | Kind::FabricPeer => {}
        }
        let mut objects = Objects::default();
        manifest::object(value, &mut objects)?;
        Ok(objects)
    }
}

/// Whether an annotation is one of Kubernetes' own, which hold no AS and no address of a router.
fn is_of_kubernetes(key: &str) -> bool {
    let domain = key.split_once('/').map(|(domain, _)| domain).unwrap_or_default();
    ["kubernetes.io", "k8s.io"].iter().any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
}

impl std::fmt::Debug for Item {
    /// Without the values, of which some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
