//! What both directions know of where a path comes from.

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
