//! Where paths come from: this node itself, or one session of a peer. A path
//! names its source by a handle of two octets.
//!
//! Owns the handles and the counts of each source, which are kept with every
//! path that comes, goes or is judged again. A source that sends several paths of
//! a prefix (RFC 7911) has a handle for each place among them, so that within an
//! entry a handle names one path: `owner` gives the source of any of them.
//!
//! A source's handles are used again only after its last path is gone from the
//! table, and from what was sent.

use std::net::IpAddr;

use crate::id::{Asn, PathId, PeerId, RouterId};
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

/// What tells a path of a prefix from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKey {
    /// The source.
    pub source: SourceId,
    /// Which of the source's paths it is; `None` where it sends one a prefix (RFC 7911 §5).
    pub id: Option<PathId>,
}

impl From<SourceId> for PathKey {
    fn from(source: SourceId) -> Self {
        Self { source, id: None }
    }
}

/// The most paths of one prefix that a source may have: more than an ECMP set
/// holds, and few enough to look through for every one that comes.
pub const MOST_PATHS: usize = 64;

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
    /// counts one, a withdrawal of a prefix that is not stored takes one off. So
    /// it is with paths beyond [`MOST_PATHS`] ([`Reason::PathLimit`]).
    pub rejected: Vec<(Reason, u64)>,
    /// Whether a path went from a prefix that had no room for more.
    pub(super) has_path_room: bool,
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
        self.received() - self.rejected_as(Reason::PrefixLimit) - self.rejected_as(Reason::PathLimit)
    }

    /// Whether paths that found no room beside others of their prefix may find some.
    #[must_use]
    pub fn has_path_room(&self) -> bool {
        self.has_path_room && self.rejected_as(Reason::PathLimit) > 0
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

    pub(super) fn forget_beyond_limit(&mut self) {
        self.rejected.retain(|(held, _)| !matches!(held, Reason::PrefixLimit | Reason::PathLimit));
        self.has_path_room = false;
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

#[derive(Clone, Debug)]
struct Slot {
    source: Source,
    counts: PerFamily<SourceCounts>,
    /// The lap of the walk that takes its paths out, once it was removed.
    leaving: Option<u32>,
    /// The lap of the walk that judges its paths again.
    judging: Option<u32>,
    /// Which of its paths are stale.
    stale: PerFamily<Staleness>,
    /// The handles of further paths of a prefix, behind its own.
    lanes: Vec<SourceId>,
    /// Whether Path Identifiers came with paths.
    has_ids: bool,
    /// How much of what was sent names one of its handles.
    uses: u32,
    /// Whether its last path is gone from the table.
    freed: bool,
}

/// A source as the decision sees it.
pub(super) struct Look<'a> {
    pub(super) source: &'a Source,
    /// Whether its paths are on their way out.
    pub(super) leaving: bool,
    pub(super) stale: &'a Staleness,
    /// Whether paths of it may have Path Identifiers.
    pub(super) has_ids: bool,
}

/// What a handle stands for.
#[derive(Clone, Debug)]
enum Handle {
    Free,
    Source(Box<Slot>),
    /// A further path of a prefix.
    Lane(SourceId),
}

/// The sources by handle.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    handles: Vec<Handle>,
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
            lanes: Vec::new(),
            has_ids: false,
            uses: 0,
            freed: false,
        };
        self.take(Handle::Source(Box::new(slot)))
    }

    fn take(&mut self, handle: Handle) -> Option<SourceId> {
        if let Some(id) = self.free.pop() {
            self.handles[usize::from(id)] = handle;
            return Some(SourceId(id));
        }
        let id = u16::try_from(self.handles.len()).ok().filter(|&id| id < u16::MAX)?;
        self.handles.push(handle);
        Some(SourceId(id))
    }

    /// The source of a handle: itself, but for one of several paths of a prefix.
    #[must_use]
    pub fn owner(&self, id: SourceId) -> SourceId {
        match self.handles.get(id.index()) {
            Some(Handle::Lane(owner)) => *owner,
            _ => id,
        }
    }

    /// The handle of a source's path at a place among those of one prefix; `None`
    /// when all 65 535 are in use.
    pub(super) fn lane(&mut self, source: SourceId, place: usize) -> Option<SourceId> {
        let Some(further) = place.checked_sub(1) else { return Some(source) };
        while self.slot(source)?.lanes.len() <= further {
            let lane = self.take(Handle::Lane(source))?;
            self.slot_mut(source)?.lanes.push(lane);
        }
        self.slot(source)?.lanes.get(further).copied()
    }

    fn slot(&self, id: SourceId) -> Option<&Slot> {
        match self.handles.get(id.index())? {
            Handle::Source(slot) => Some(slot),
            Handle::Lane(owner) => match self.handles.get(owner.index())? {
                Handle::Source(slot) => Some(slot),
                _ => None,
            },
            Handle::Free => None,
        }
    }

    /// What the books and the decision need of a source, found once.
    pub(super) fn look(&self, id: SourceId, family: Family) -> Option<Look<'_>> {
        let slot = self.slot(id)?;
        let Slot { source, leaving, stale, has_ids, .. } = slot;
        Some(Look { source, leaving: leaving.is_some(), stale: &stale[family], has_ids: *has_ids })
    }

    /// The source itself with its books of a family.
    pub(super) fn books_mut(
        &mut self,
        id: SourceId,
        family: Family,
    ) -> Option<(&Source, &mut SourceCounts, &mut Staleness)> {
        let Slot { source, counts, stale, .. } = self.slot_mut(id)?;
        Some((source, &mut counts[family], &mut stale[family]))
    }

    fn slot_mut(&mut self, id: SourceId) -> Option<&mut Slot> {
        let owner = self.owner(id);
        match self.handles.get_mut(owner.index()) {
            Some(Handle::Source(slot)) => Some(slot),
            _ => None,
        }
    }

    /// The slots in the order of their handles.
    fn slots_mut(&mut self) -> impl Iterator<Item = (SourceId, &mut Slot)> {
        self.handles.iter_mut().enumerate().filter_map(|(index, handle)| match handle {
            Handle::Source(slot) => Some((SourceId(index as u16), &mut **slot)),
            _ => None,
        })
    }

    /// Whether paths of the source may have Path Identifiers.
    pub(super) fn has_ids(&self, id: SourceId) -> bool {
        self.slot(id).is_some_and(|slot| slot.has_ids)
    }

    /// A Path Identifier came from the source.
    pub(super) fn note_ids(&mut self, id: SourceId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.has_ids = true;
        }
    }

    /// Something that was sent names the handle.
    pub(super) fn retain(&mut self, id: SourceId) {
        if let Some(slot) = self.slot_mut(id) {
            slot.uses += 1;
        }
    }

    /// What was sent names the handle no more.
    pub(super) fn release(&mut self, id: SourceId) {
        let owner = self.owner(id);
        if let Some(slot) = self.slot_mut(owner) {
            slot.uses -= 1;
            if slot.freed {
                self.free(owner);
            }
        }
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

    /// Frees the handles of a source that has no path in the table, once nothing
    /// that was sent names them.
    pub(super) fn free(&mut self, id: SourceId) {
        let Some(slot) = self.slot_mut(id) else { return };
        slot.leaving.get_or_insert(0);
        slot.freed = true;
        if slot.uses > 0 {
            return;
        }
        let lanes = core::mem::take(&mut slot.lanes);
        for handle in core::iter::once(id).chain(lanes) {
            self.handles[handle.index()] = Handle::Free;
            self.free.push(handle.0);
        }
    }

    /// Marks the paths of one source, or of all, to be judged in a lap.
    pub(super) fn judge(&mut self, id: Option<SourceId>, lap: u32) {
        for (_, slot) in self.slots_mut().filter(|(source, _)| id.is_none_or(|wanted| wanted == *source)) {
            slot.judging = Some(lap);
        }
    }

    /// After a lap over the whole table: frees the sources whose paths it took out.
    pub(super) fn walked(&mut self, lap: u32) {
        let mut gone = Vec::new();
        for (id, slot) in self.slots_mut() {
            for family in Family::ALL {
                slot.stale[family].walked(lap);
            }
            if !slot.freed && slot.leaving.is_some_and(|leaving| leaving <= lap) {
                gone.push(id);
            }
        }
        gone.into_iter().for_each(|id| self.free(id));
    }

    /// The sources in the order of their handles, those on their way out excepted.
    pub fn iter(&self) -> impl Iterator<Item = (SourceId, &Source)> {
        self.handles.iter().enumerate().filter_map(|(index, handle)| match handle {
            Handle::Source(slot) if slot.leaving.is_none() => Some((SourceId(index as u16), &slot.source)),
            _ => None,
        })
    }
}
