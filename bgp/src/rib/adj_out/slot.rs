//! What an update group last sent, one slot an entry of the table.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::rib::source::Sources;
use crate::rib::{AttrId, EntryId, SourceId};

/// An announcement of one prefix. Each member of the group but the one that is
/// its source was sent it, so that no bitmap of members is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sent {
    /// The attribute set of the table, before export; the slot holds a use of it.
    pub(super) attributes: AttrId,
    /// Where the path came from: the handle, which tells paths of one prefix
    /// apart. The slot holds a use of it.
    pub(super) source: SourceId,
}

/// The last path that was judged within one flush, with the place of the export rule
/// that it meets if it may be sent: the prefixes of an UPDATE share it.
pub(super) type Judged = Option<(Sent, Option<Option<usize>>)>;

/// What was last announced of one prefix, ordered by handle: at most one path
/// unless the group is sent several.
pub(super) type Sents = SmallVec<[Sent; 2]>;

/// One slot: eight bytes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    attributes: Option<AttrId>,
    source: SourceId,
    flags: u16,
}

impl Slot {
    const EMPTY: Self = Self { attributes: None, source: SourceId(0), flags: 0 };

    fn sent(self) -> Option<Sent> {
        Some(Sent { attributes: self.attributes?, source: self.source })
    }
}

/// Slots of one piece: growing by pieces never holds two copies of all.
const PIECE: usize = 1 << 12;

/// The entry waits in the group's queue.
const QUEUED: u16 = 1;
/// The entry's path waits for the kernel.
const HELD: u16 = 2;
/// The entry has a path that is not sent, as the limit is reached.
const LIMITED: u16 = 4;
/// More paths of the entry are sent than the slot holds.
const MORE: u16 = 8;

/// The slots of one group, parallel to the table's entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    pieces: Vec<Box<[Slot]>>,
    /// The paths behind the first of an entry, where there are any.
    more: BTreeMap<EntryId, Box<[Sent]>>,
    filled: usize,
    /// How many of them come from each source, by its number.
    by_source: Vec<usize>,
    held: usize,
    limited: usize,
}

impl Slots {
    /// What was last sent of the entry.
    pub(super) fn sent(&self, entry: EntryId) -> Sents {
        let Some(piece) = self.pieces.get(entry.index() / PIECE) else { return Sents::new() };
        let slot = piece[entry.index() % PIECE];
        let more = if slot.flags & MORE == 0 { None } else { self.more.get(&entry) };
        slot.sent().into_iter().chain(more.into_iter().flatten().copied()).collect()
    }

    /// How many paths are announced.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// How many of the announced paths come from the source.
    pub(super) fn filled_by(&self, source: SourceId) -> usize {
        self.by_source.get(source.index()).copied().unwrap_or(0)
    }

    /// How many prefixes wait for the kernel.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Puts what is sent from here on into the slot, ordered by handle.
    pub(super) fn replace(&mut self, entry: EntryId, before: &[Sent], sents: &[Sent], sources: &Sources) {
        if before.is_empty() && sents.is_empty() {
            return;
        }
        let slot = self.slot(entry);
        let first = sents.first();
        slot.attributes = first.map(|sent| sent.attributes);
        slot.source = first.map_or(Slot::EMPTY.source, |sent| sent.source);
        let had_more = slot.flags & MORE != 0;
        slot.flags = if sents.len() > 1 { slot.flags | MORE } else { slot.flags & !MORE };
        match sents {
            [_, more @ ..] if !more.is_empty() => drop(self.more.insert(entry, more.into())),
            _ if had_more => drop(self.more.remove(&entry)),
            _ => {}
        }
        for sent in sents {
            let source = sources.owner(sent.source).index();
            if self.by_source.len() <= source {
                self.by_source.resize(source + 1, 0);
            }
            self.by_source[source] += 1;
        }
        for sent in before {
            self.by_source[sources.owner(sent.source).index()] -= 1;
        }
        self.filled = self.filled + sents.len() - before.len();
    }

    /// Marks the entry as queued; false if it was already.
    pub(super) fn queue(&mut self, entry: EntryId) -> bool {
        let slot = self.slot(entry);
        let fresh = slot.flags & QUEUED == 0;
        slot.flags |= QUEUED;
        fresh
    }

    /// Takes the entry's mark away.
    pub(super) fn unqueue(&mut self, entry: EntryId) {
        self.slot(entry).flags &= !QUEUED;
    }

    /// Notes whether the entry's path waits for the kernel; the first path that was sent of it.
    pub(super) fn hold(&mut self, entry: EntryId, held: bool) -> Option<Sent> {
        let slot = self.slot(entry);
        let before = slot.flags & HELD != 0;
        slot.flags = if held { slot.flags | HELD } else { slot.flags & !HELD };
        let sent = slot.sent();
        self.held = self.held + usize::from(held) - usize::from(before);
        sent
    }

    /// The first path that was sent of the entry: all of them, unless the group is sent several.
    pub(super) fn first(&self, entry: EntryId) -> Option<Sent> {
        self.pieces.get(entry.index() / PIECE)?[entry.index() % PIECE].sent()
    }

    /// Puts what is sent from here on into the slot of a group that is sent one path of a prefix.
    pub(super) fn put(
        &mut self,
        entry: EntryId,
        before: Option<Sent>,
        after: Option<Sent>,
        sources: &Sources,
    ) {
        let slot = self.slot(entry);
        slot.attributes = after.map(|sent| sent.attributes);
        slot.source = after.map_or(Slot::EMPTY.source, |sent| sent.source);
        let owner = |sent: Sent| sources.owner(sent.source).index();
        if let Some(source) = after.map(owner) {
            if self.by_source.len() <= source {
                self.by_source.resize(source + 1, 0);
            }
            self.by_source[source] += 1;
            self.filled += 1;
        }
        if let Some(source) = before.map(owner) {
            self.by_source[source] -= 1;
            self.filled -= 1;
        }
    }

    /// How many prefixes have a path that is not sent, as the limit is reached.
    pub(super) fn limited(&self) -> usize {
        self.limited
    }

    /// Whether the entry is one of those.
    pub(super) fn is_limited(&self, entry: EntryId) -> bool {
        let piece = self.pieces.get(entry.index() / PIECE);
        piece.is_some_and(|piece| piece[entry.index() % PIECE].flags & LIMITED != 0)
    }

    /// Notes whether a path of the entry is not sent, as the limit is reached.
    pub(super) fn limit(&mut self, entry: EntryId, limited: bool) {
        let before = self.is_limited(entry);
        if before != limited {
            let slot = self.slot(entry);
            slot.flags = if limited { slot.flags | LIMITED } else { slot.flags & !LIMITED };
            self.limited = self.limited + usize::from(limited) - usize::from(before);
        }
    }

    /// All that is sent.
    pub(super) fn all(&self) -> impl Iterator<Item = Sent> + '_ {
        let first = self.pieces.iter().flatten().filter_map(|slot| slot.sent());
        first.chain(self.more.values().flatten().copied())
    }

    fn slot(&mut self, entry: EntryId) -> &mut Slot {
        let (piece, at) = (entry.index() / PIECE, entry.index() % PIECE);
        while self.pieces.len() <= piece {
            self.pieces.push(vec![Slot::EMPTY; PIECE].into());
        }
        &mut self.pieces[piece][at]
    }
}
