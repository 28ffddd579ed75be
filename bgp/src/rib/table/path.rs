//! One path in eight octets: an attribute set, a source, flags, a verdict.

use crate::reason::Reason;
use crate::rib::attributes::AttrId;
use crate::rib::source::SourceId;
use crate::rib::stale::Epoch;

/// The path was refused by the import rules: kept, never considered.
const REFUSED: u8 = 1 << 0;
/// The epoch in which the path came: which paths of its source are stale.
const EPOCH: u8 = 0b0111_1110;
const EPOCH_SHIFT: u32 = EPOCH.trailing_zeros();

/// A path of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// An [`AttrId`]; zero where there is no path.
    pub(super) attrs: u32,
    pub(super) source: u16,
    pub(super) flags: u8,
    pub(super) verdict: u8,
}

impl Path {
    /// A path that waits for the decision, or was refused.
    #[must_use]
    pub const fn new(attrs: AttrId, source: SourceId, refusal: Option<Reason>) -> Self {
        let (flags, verdict) = match refusal {
            Some(reason) => (REFUSED, reason),
            None => (0, Reason::Pending),
        };
        Self { attrs: attrs.raw(), source: source.0, flags, verdict: verdict as u8 }
    }

    /// The path's attributes.
    ///
    /// # Panics
    ///
    /// Never on a path out of the table.
    #[must_use]
    pub const fn attrs(self) -> AttrId {
        AttrId::from_raw(self.attrs).expect("a path in the table has attributes")
    }

    /// The path's source.
    #[must_use]
    pub const fn source(self) -> SourceId {
        SourceId(self.source)
    }

    /// The import refusal or the rung of the ladder.
    #[must_use]
    pub const fn verdict(self) -> Reason {
        Reason::ALL[self.verdict as usize]
    }

    /// Whether the import rules let the path in.
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        self.flags & REFUSED == 0
    }

    /// The import refusal.
    #[must_use]
    pub const fn refusal(self) -> Option<Reason> {
        if self.is_accepted() { None } else { Some(self.verdict()) }
    }

    /// Whether the path is the best one, as of the last decision.
    #[must_use]
    pub const fn is_best(self) -> bool {
        self.verdict == Reason::Best as u8
    }

    /// Whether the path is the best one or used beside it, as of the last decision.
    #[must_use]
    pub const fn is_selected(self) -> bool {
        self.is_best() || self.verdict == Reason::Multipath as u8
    }

    /// The epoch in which the path came.
    pub(in crate::rib) const fn epoch(self) -> Epoch {
        Epoch::new((self.flags & EPOCH) >> EPOCH_SHIFT)
    }

    /// The path, having come in another epoch.
    pub(in crate::rib) const fn of_epoch(mut self, epoch: Epoch) -> Self {
        self.flags = self.flags & !EPOCH | epoch.number() << EPOCH_SHIFT;
        self
    }

    /// Sets the rung of an accepted path.
    pub(in crate::rib) const fn set_verdict(&mut self, verdict: Reason) {
        self.verdict = verdict as u8;
    }
}
