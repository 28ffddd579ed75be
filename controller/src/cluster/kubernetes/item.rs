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
        }
    }

    /// Where the API server lists them; `namespace` for those that are in one.
    #[must_use]
    pub fn path(self, namespace: &str) -> String {
        match self {
            Self::Node => "/api/v1/nodes".to_owned(),
            Self::Fabric => format!("/apis/{}/{}/fabrics", api::crd::GROUP, api::crd::VERSION),
            Self::FabricPeer => format!("/apis/{}/{}/fabricpeers", api::crd::GROUP, api::crd::VERSION),
            Self::Secret => format!("/api/v1/namespaces/{namespace}/secrets"),
        }
    }

    fn api_version(self) -> String {
        match self {
            Self::Node | Self::Secret => "v1".to_owned(),
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
    status: Option<Status>,
}

/// What is kept of an object's metadata.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name.
    pub name: String,
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

#[derive(Clone, Deserialize, Serialize)]
struct Status {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addresses: Option<Value>,
}

/// The objects of a list and the version that it is of.
#[derive(Deserialize)]
pub struct List {
    /// The version, and where the list goes on.
    #[serde(default)]
    pub metadata: ListMetadata,
    /// The objects.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// A list's own metadata.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMetadata {
    /// The version that a watch goes on from.
    pub resource_version: String,
    /// What to ask for the next part with; empty at the last.
    #[serde(rename = "continue")]
    pub more: String,
}

impl Item {
    /// Reads the object as if it stood in a manifest, into a set of its own.
    ///
    /// # Errors
    /// What is wrong with it, in the words that a manifest gets.
    pub fn read(self, kind: Kind) -> Result<Objects, Vec<Problem>> {
        let Self { mut metadata, spec, data, status } = self;
        metadata.annotations.retain(|_, value| value.len() <= ANNOTATION);
        let mut value = json!({"apiVersion": kind.api_version(), "kind": kind.name(), "metadata": metadata});
        if let Some(spec) = spec {
            value["spec"] = spec;
        }
        match kind {
            Kind::Node => {
                if let Some(Status { addresses: Some(addresses) }) = status {
                    value["status"] = json!({"addresses": addresses});
                }
            }
            Kind::Secret => value["data"] = data.unwrap_or_default(),
            Kind::Fabric | Kind::FabricPeer => {}
        }
        let mut objects = Objects::default();
        manifest::object(value, &mut objects)?;
        Ok(objects)
    }
}

impl std::fmt::Debug for Item {
    /// Without the values, of which some are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}
