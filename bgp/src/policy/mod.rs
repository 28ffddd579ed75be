//! Import and export: which path is let in, and what is sent of it. Pure
//! functions of stored inputs; the table keeps the verdict, and an explanation
//! calls the same function again for the particulars.
//!
//! ```text
//!  import: attributes -> prefix -> accept -> import rules      (each can only refuse more)
//!  export: where from -> communities -> export rules -> next hop -> room in a message
//! ```
//!
//! Deviation: RFC 8212 §2 wants no route to pass an external session without explicit
//! policies. Here `accept` is the policy in, and what is originated the policy out: a
//! peer without rules is heard within `accept`, and sent own prefixes and, with
//! `transit` alone, what was learned. Nothing else passes.

mod export;
mod import;
mod source;

pub use self::export::{Export, Outgoing};
pub use self::import::Import;
pub use self::source::{DEFAULT_LOCAL_PREFERENCE, SourceKind};
