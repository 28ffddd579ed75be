//! Where configuration comes from: facts about nodes, and the objects that
//! people write. Nothing in here decides what they mean; that is
//! [`crate::desired`].
//!
//! ```text
//!  named                  a map by name whose copies share what they hold
//!  few                    values by text, of which there are few
//!  object                 the set of objects, and what is wrong with one
//!  secret                 a Secret's values, which nothing prints
//!  service                what matters of a Service and of an EndpointSlice
//!  tree decode            YAML with lines -> typed values, errors with line and field
//!  manifest               one file -> objects
//!  directory              all files -> the set
//!  checkpoint             the last good set on disk, for a start without the source
//!  watch                  a task: the directory again whenever it changed
//!  kubernetes             the same objects from the Kubernetes API
//! ```

pub mod checkpoint;
pub mod directory;
pub mod few;
pub mod kubernetes;
pub mod manifest;
pub mod named;
pub mod object;
pub mod secret;
pub mod service;
pub mod watch;

mod decode;
mod tree;

pub use object::{Checkpoint, Objects, Place, Problem, SourceEvent};
