//! The set of objects that a source gives, whole and consistent, and the
//! problems that it names. The set is never changed in place.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use api::crd::{FabricPeerSpec, FabricSpec};
use bgp::prefix::{Family, Prefix};

use super::few::Few;
use super::named::Named;
use super::secret::SecretData;
use super::service::{ServiceFacts, SliceFacts};

/// Everything that a source holds, by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// The `Fabric`s.
    pub fabrics: BTreeMap<String, Sourced<FabricSpec>>,
    /// The `FabricPeer`s.
    pub peers: BTreeMap<String, Sourced<FabricPeerSpec>>,
    /// The core `Node`s.
    pub nodes: Named<SourcedNode>,
    /// The core `Service`s, by namespace and name; from an API server only where a Fabric of the node wants them.
    pub services: Named<SourcedService>,
    /// The `EndpointSlice`s, by namespace and name; as the Services.
    pub slices: Named<SourcedSlice>,
    /// The core `Secret`s of the agent's own namespace.
    pub secrets: BTreeMap<String, Sourced<SecretData>>,
    /// What is dangerous about how the objects are kept.
    pub warnings: Vec<Problem>,
}

/// A value, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where; `None` for an object of the Kubernetes API.
    pub place: Option<Place>,
    /// `metadata.generation`, which counts the versions of its spec; zero where nobody counts.
    pub generation: i64,
    /// `metadata.uid`; empty where nobody gave one.
    pub uid: String,
}

/// A core `Node`, shared by all who keep it.
pub type SourcedNode = Sourced<Arc<NodeFacts>>;

/// A core `Service`, shared by all who keep it.
pub type SourcedService = Sourced<Arc<ServiceFacts>>;

/// An `EndpointSlice`, shared by all who keep it.
pub type SourcedSlice = Sourced<Arc<SliceFacts>>;

/// What matters of a core `Node`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// `metadata.uid`, the one of all Nodes that ever had the name; empty where nobody gave one.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: Few<String>,
    /// `metadata.annotations`.
    pub annotations: Few<String>,
    /// `spec.unschedulable`: the Node is cordoned.
    pub unschedulable: bool,
    /// `status.addresses` of type InternalIP, in their order.
    pub internal: Vec<IpAddr>,
    /// `spec.podCIDRs`, else `spec.podCIDR`, in their order.
    pub pod_cidrs: Vec<Prefix>,
}

impl NodeFacts {
    /// The first InternalIP of a family.
    #[must_use]
    pub fn internal(&self, family: Family) -> Option<IpAddr> {
        self.internal.iter().copied().find(|address| Family::of(*address) == family)
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's path as it was opened.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The document of a file of several, from 1.
    pub document: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match self.document {
            Some(document) => write!(f, " (document {document})"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a configuration, as one line for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Option<Place>,
    /// What, with the object's kind and name where they are known.
    pub text: String,
}

impl Problem {
    /// A problem without a place in a file.
    #[must_use]
    pub fn anywhere(text: impl Into<String>) -> Self {
        Self { place: None, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The last good set of an earlier run.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The set.
    pub objects: Arc<Objects>,
    /// Which file it is, of when and how old, for people.
    pub description: String,
}

/// What a source tells the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// What an earlier run has kept, or why that is of no use; before all else, if at all.
    Checkpoint(Result<Checkpoint, Problem>),
    /// The whole set, at first and whenever it changed.
    Objects(Arc<Objects>),
    /// The whole set, of which some objects stand as they were before or are left out.
    Partial {
        /// The set.
        objects: Arc<Objects>,
        /// Why.
        problems: Vec<Problem>,
        /// Why the node's own Node is among those; `None` where it is not.
        node: Option<Problem>,
    },
    /// The newest state is unusable; the set before stays in use.
    Broken(Vec<Problem>),
}
