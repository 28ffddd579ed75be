//! The Kubernetes API as a source: the same objects as in manifests, one watch
//! a kind, and of Secrets only those that this node's FabricPeers name.
//!
//! ```text
//!  connection ─┐
//!              ├─> feed (a task a kind) ─> Change ─> store (pure) ─> SourceEvent
//!  backoff ────┘         item, trouble               source (the task)
//!
//!  connection   where the API server is and who the agent is; read anew when that is refused
//!  backoff      when the next attempt is: later each time, never at the same time as others'
//!  item         what is kept of an object, as it is read from the wire
//!  standing     what the own Node says of whether it may carry pods
//!  trouble      why a request failed, in words that stay the same while it lasts
//!  feed         lists and watches one kind
//!  store        the objects as they are, and as they were while they were good
//!  verdict      whether a Fabric or a FabricPeer is accepted, written into it by one agent
//!  version      what the API server lacks, told once
//!  source       the task: feeds and store, and what the agent is told
//! ```
//!
//! What one object's author wrote wrongly concerns that object: it stands as it was when it was good, and all
//! others are followed. A server that cannot be reached concerns the whole: everything stands as it was.

pub mod backoff;
pub mod connection;
pub mod item;
pub mod standing;
pub mod store;
pub mod trouble;
pub mod verdict;

mod feed;
mod source;
mod version;

pub use connection::{Access, Connection};
pub use source::{Contradict, run};
pub use standing::Standing;
