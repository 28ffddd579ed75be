//! Selection put off after an own restart (RFC 4724 §4.1): entries wait until
//! the peers have sent what they had.

use crate::rib::table::EntryId;

/// How far the first selection of a family is.
#[derive(Clone, Debug, Default)]
pub(super) enum Deferral {
    /// It is as always.
    #[default]
    Over,
    /// It is put off; these entries wait, each once.
    Deferred(Vec<EntryId>),
    /// It runs: entries wait for it, or for the kernel's word.
    Settling,
}

impl Deferral {
    /// Whether decisions are put off.
    pub(super) const fn is_deferred(&self) -> bool {
        matches!(self, Self::Deferred(_))
    }

    /// Whether nothing of it is left.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}
