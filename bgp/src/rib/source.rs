//! Where paths come from: this node itself, or one session of a peer. A path
//! names its source by a handle of two octets.
//!
//! Owns the handles and the counts of each source, which are kept with every
//! path that comes, goes or is judged again. A handle is used again only after
//! its last path is gone from the table.

use std::net::IpAddr;

use crate::id::{Asn, PeerId, RouterId};
pub use crate::policy::SourceKind;
use crate::prefix::{Family, PerFamily};
use crate::reason::Reason;
use crate::rib::stale::{Epoch, Staleness};
use crate::rule::RouteOrigin;

/// The handle of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(super) u16);

impl SourceId {
    /// A dense index from zero, for what others keep beside the sources.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A source of paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its kind.
    pub kind: SourceKind,
    /// Where its paths come from, as export rules tell.
    pub origin: RouteOrigin,
    /// The peer; `None` for a local source.
    pub peer: Option<PeerId>,
    /// The peer's address; `None` for a local source.
    pub address: Option<IpAddr>,
    /// The BGP Identifier of the peer, or the own one.
    pub router_id: RouterId,
    /// The peer's AS, or the own one.
    pub asn: Asn,
    /// Whether its next hops may resolve by a default route.
    pub via_default: bool,
    /// Whether the peer is a client of this route reflector (RFC 4456 §5).
    pub client: bool,
}

/// How many prefixes of one family a source announced and did not withdraw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Those that were let in.
    pub accepted: u64,
    /// The others by reason, ordered by reason. Of prefixes beyond the receive
    /// limit ([`Reason::PrefixLimit`]) only the number is kept: an announcement
    /// counts one, a withdrawal of a prefix that is not stored takes one off.
    pub rejected: Vec<(Reason, u64)>,
}

impl SourceCounts {
    /// All prefixes that were announced and not withdrawn.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.accepted + self.rejected.iter().map(|&(_, count)| count).sum::<u64>()
    }

    /// Those refused for one reason.
    #[must_use]
    pub fn rejected_as(&self, reason: Reason) -> u64 {
        self.rejected
            .binary_search_by_key(&reason, |&(reason, _)| reason)
            .map_or(0, |found| self.rejected[found].1)
    }

    /// Those that are in the table: all but those beyond the receive limit.
    #[must_use]
    pub fn stored(&self) -> u64 {
        self.received() - self.rejected_as(Reason::PrefixLimit)
    }

    pub(super) fn add(&mut self, refusal: Option<Reason>) {
        let Some(reason) = refusal else {
            self.accepted += 1;
            return;
        };
        match self.rejected.binary_search_by_key(&reason, |&(reason, _)| reason) {
            Ok(found) => self.rejected[found].1 += 1,
            Err(at) => self.rejected.insert(at, (reason, 1)),
        }
    }

    pub(super) fn forget(&mut self, reason: Reason) {
        self.rejected.retain(|&(held, _)| held != reason);
    }

    pub(super) fn remove(&mut self, refusal: Option<Reason>) {
        let Some(reason) = refusal else {
            self.accepted -= 1;
            return;
        };
        if let Ok(found) = self.rejected.binary_search_by_key(&reason, |&(reason, _)| reason) {
            self.rejected[found].1 -= 1;
            if self.rejected[found].1 == 0 {
                self.rejected.remove(found);
            }
        }
    }
}

#[derive(Debug)]
struct Slot {
    source: Source,
    counts: PerFamily<SourceCounts>,
    /// The lap of the walk that takes its paths out, once it was removed.
    leaving: Option<u32>,
    /// The lap of the walk that judges its paths again.
    judging: Option<u32>,
    /// Which of its paths are stale.
    stale: PerFamily<Staleness>,
}

/// The sources by handle.
#[derive(Debug, Default)]
pub struct Sources {
    slots: Vec<Option<Slot>>,
    free: Vec<u16>,
}

impl Sources {
    /// Adds a source; `None` when all 65 535 handles are in use.
    pub(super) fn add(&mut self, source: Source) -> Option<SourceId> {
        let slot = Slot {
            source,
            counts: PerFamily::default(),
            leaving: None,
            judging: None,
            stale: PerFamily::default(),
        };
        if let Some(id) = self.free.pop() {
            self.slots[usize::from(id)] = Some(slot);
            return Some(SourceId(id));
        }
        let id = u16::try_from(self.slots.len()).ok().filter(|&id| id < u16::MAX)?;
        self.slots.push(Some(slot));
        Some(SourceId(id))
    }

    fn slot(&self, id: SourceId) -> Option<&Slot> {
        self.slots.get(id.index()).and_then(Option::as_ref)
    }

    fn slot_mut(&mut self, id: SourceId) -> Option<&mut Slot> {
        self.slots.get_mut(id.index()).and_then(Option::as_mut)
    }

    /// The source of a handle, those on their way out included.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.slot(id).map(|slot| &slot.source)
    }

    /// Makes the peer of a source a client of this route reflector, or no client.
    pub(super) fn set_client(&mut self, id: SourceId, client: bool) {
        if let Some(slot) = self.slot_mut(id) {
            slot.source.client = client;
        }
    }

    /// The counts of a source.
    #[must_use]
    pub fn counts(&self, id: SourceId, family: Family) -> Option<&SourceCounts> {
        self.slot(id).map(|slot| &slot.counts[family])
    }

    pub(super) fn counts_mut(&mut self, id: SourceId, family: Family) -> Option<&mut SourceCounts> {
        self.slot_mut(id).map(|slot| &mut slot.counts[family])
    }

    /// Which paths of a source are stale.
    pub(super) fn stale(&self, id: SourceId, family: Family) -> Option<&Staleness> {
        self.slot(id).map(|slot| &slot.stale[family])
    }

    pub(super) fn stale_mut(&mut self, id: SourceId, family: Family) -> Option<&mut Staleness> {
        self.slot_mut(id).map(|slot| &mut slot.stale[family])
    }

    /// The epoch that a path of the source has which comes at this moment.
    pub(super) fn epoch(&self, id: SourceId, family: Family) -> Epoch {
        self.stale(id, family).map(Staleness::epoch).unwrap_or_default()
    }

    /// Whether paths of the source are neither taken nor considered.
    pub(super) fn is_leaving(&self, id: SourceId) -> bool {
        self.slot(id).is_none_or(|slot| slot.leaving.is_some())
    }

    pub(super) fn is_judging(&self, id: SourceId, lap: u32) -> bool {
        self.slot(id).is_some_and(|slot| slot.judging == Some(lap))
    }

    /// Whether the source has no path in the table.
    pub(super) fn is_unused(&self, id: SourceId) -> bool {
        let unused = |slot: &Slot| Family::ALL.iter().all(|&family| slot.counts[family].stored() == 0);
        self.slot(id).is_none_or(unused)
    }

    /// Marks a source as on its way out, by the end of a lap.
    pub(super) fn leave(&mut self, id: SourceId, lap: u32) {
        if let Some(slot) = self.slot_mut(id) {
            slot.leaving = Some(lap);
        }
    }

    /// Frees the handle of a source that has no path in the table.
    pub(super) fn free(&mut self, id: SourceId) {
        if self.slots.get_mut(id.index()).and_then(Option::take).is_some() {
            self.free.push(id.0);
        }
    }

    /// Marks the paths of one source, or of all, to be judged in a lap.
    pub(super) fn judge(&mut self, id: Option<SourceId>, lap: u32) {
        let wanted = id.map(SourceId::index);
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_mut().filter(|_| wanted.is_none_or(|wanted| wanted == index)) {
                slot.judging = Some(lap);
            }
        }
    }

    /// After a lap over the whole table: frees the sources whose paths it took out.
    pub(super) fn walked(&mut self, lap: u32) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            for family in Family::ALL {
                if let Some(slot) = slot {
                    slot.stale[family].walked(lap);
                }
            }
            if slot.as_ref().is_some_and(|slot| slot.leaving.is_some_and(|leaving| leaving <= lap)) {
                *slot = None;
                self.free.push(index as u16);
            }
        }
    }

    /// The sources in the order of their handles, those on their way out excepted.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let slot = slot.as_ref().filter(|slot| slot.leaving.is_none())?;
            Some((SourceId(index as u16), &slot.source))
        })
    }
}
