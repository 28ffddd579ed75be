//! nf_tables as the kernel speaks it: messages as bytes, replies as plain data. No socket, no state.
//!
//! It stands here because one kernel's rule set is a boundary between two of our processes: the plugin keeps the
//! port mappings of pods there, the agent the masquerading of a node, and each must know what is the other's.
//! Both carry what is made here over sockets of their own.
//!
//! ```text
//!  attribute            netlink attributes, written and walked
//!  rule                 one rule: expressions, verdict, comment
//!  object               sets, elements, chains
//!  batch                changes that the kernel makes all at once or not at all
//!  dump                 questions, and what the kernel answers
//!  table                what shall stand, and whether it does
//! ```
//!
//! A rule's comment ends in a digest of its expressions, so that reading comments back tells whether a table is
//! the one wanted: the kernel's own form of expressions is not the form in which they were sent.

pub mod attribute;
pub mod batch;
pub mod dump;
pub mod object;
pub mod rule;
pub mod table;

pub use batch::{Batch, Message};
pub use dump::{Question, SeenChain, SeenElement, SeenRule};
pub use object::{Chain, Element, Hook, Kind, Set};
pub use rule::{Family, Rule, Verdict};
pub use table::Table;
