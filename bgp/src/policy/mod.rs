//! Import and export: which path is let in, and what is sent of it. Pure
//! functions of stored inputs; the table keeps the verdict, and an explanation
//! calls the same function again for the particulars.
//!
//! ```text
//!  import: attributes -> prefix -> accept -> import rules      (each can only refuse more)
//!  export: where from -> communities -> export rules -> next hop -> room in a message
//! ```

mod export;
mod import;

pub use self::export::{Export, Outgoing};
pub use self::import::Import;

/// LOCAL_PREF of a path that brings none (RFC 4271 §9.1.1 leaves the number open).
pub const DEFAULT_LOCAL_PREFERENCE: u32 = 100;

/// Where a path comes from, as far as rules ask; in the order of preference
/// (RFC 4271 §9.1.2.2 d).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// This speaker originates it.
    Local,
    /// A peer of another AS.
    External,
    /// A peer of the own AS.
    Internal,
}
