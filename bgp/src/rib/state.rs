//! What both families' tables share: configuration, attribute sets, sources,
//! next hops, ECMP sets, and the lists of work that is due. Holds the books: a
//! path that comes or goes is counted here, and nowhere else.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::id::PathId;
use crate::io::{NextHop, RouteChange};
use crate::prefix::{Family, PerFamily};
use crate::reason::Reason;
use crate::rib::attributes::Store;
use crate::rib::decision::{Candidate, Ladder, Multipath};
use crate::rib::deferral::Deferral;
use crate::rib::due::Due;
use crate::rib::next_hop::{HopId, Tracker};
use crate::rib::path_id::PathIds;
use crate::rib::sets::Sets;
use crate::rib::source::{Look, SourceKind, Sources};
use crate::rib::stale::Staleness;
use crate::rib::table::{Entry, EntryId, Flags, Key, Path, Table};
use crate::view::KernelCounts;

/// What the tables depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RibConfig {
    /// Feeds the hashes; of the first configuration alone.
    pub seed: u64,
    /// The most next hops of an ECMP set, at least 1.
    pub max_paths: u8,
    /// Whether ECMP asks for equal AS_PATH length only, not for equal paths.
    pub relax_as_path: bool,
    /// Whether selected paths are handed to the kernel, and its word awaited.
    pub install: bool,
}

/// What both tables share.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) config: RibConfig,
    pub(super) attributes: Store,
    pub(super) sources: Sources,
    pub(super) tracker: Tracker,
    pub(super) sets: Sets,
    /// Entries whose decision is to run.
    pub(super) due: Due,
    /// Entries whose advertisement may have changed, each once.
    pub(super) changed: Vec<EntryId>,
    /// Entries that were vacant; freed at the next drain if they still are.
    pub(super) retiring: Vec<EntryId>,
    pub(super) routes: Vec<RouteChange>,
    /// Why the kernel rejected the newest change of an entry; looked up, never walked.
    pub(super) failures: HashMap<EntryId, u16, FixedState>,
    /// Entries by what the kernel holds of them, up to date with every call.
    pub(super) kernel: PerFamily<KernelCounts>,
    pub(super) scratch: Scratch,
    /// How far the first selection is after an own restart.
    pub(super) deferral: PerFamily<Deferral>,
    /// What peers call their paths where they send several of a prefix.
    pub(super) path_ids: PathIds,
    /// Whether entries are handed out as changed for paths beside the best one too.
    pub(super) tells_of_all: bool,
}

/// Room for one decision, kept for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub(super) ladder: Ladder,
    pub(super) candidates: Vec<Candidate>,
    /// Where in the entry each candidate is.
    pub(super) places: Vec<u32>,
    pub(super) verdicts: Vec<Reason>,
    pub(super) members: Vec<NextHop>,
}

impl State {
    pub(super) fn new(config: RibConfig) -> Self {
        let seed = config.seed;
        Self {
            config,
            attributes: Store::new(seed),
            sources: Sources::default(),
            tracker: Tracker::new(seed),
            sets: Sets::new(seed),
            due: Due::default(),
            changed: Vec::new(),
            retiring: Vec::new(),
            routes: Vec::new(),
            failures: HashMap::with_hasher(FixedState::with_seed(seed)),
            kernel: PerFamily::default(),
            scratch: Scratch::default(),
            deferral: PerFamily::default(),
            path_ids: PathIds::new(seed),
            tells_of_all: false,
        }
    }

    pub(super) const fn multipath(&self) -> Multipath {
        Multipath { max_paths: self.config.max_paths, relax_as_path: self.config.relax_as_path }
    }

    /// The next hop of a path; `None` for a local one.
    pub(super) fn hop(&self, path: Path) -> Option<HopId> {
        let source = self.sources.get(path.source())?;
        if source.kind == SourceKind::Local {
            return None;
        }
        Some(HopId::of(self.attributes.facts(path.attrs()).next_hop, source.via_default))
    }

    /// Whether a path's next hop resolves, as far as the kernel has spoken; a local path has none to resolve.
    pub(super) fn resolves(&self, path: Path) -> bool {
        let Some(source) = self.sources.get(path.source()) else { return false };
        let hop = HopId::of(self.attributes.facts(path.attrs()).next_hop, source.via_default);
        source.kind == SourceKind::Local || self.tracker.metric(hop).is_some()
    }

    /// The next hop of a path as the kernel driver knows it; `None` for a local one.
    pub(super) fn next_hop(&self, path: Path) -> Option<NextHop> {
        let source = self.sources.get(path.source()).filter(|source| source.kind != SourceKind::Local)?;
        let address = self.attributes.address(self.attributes.facts(path.attrs()).next_hop);
        Some(NextHop { address, via_default: source.via_default })
    }

    /// Whether a path is about to be taken out, and counts for nothing.
    pub(super) fn is_gone(&self, family: Family, path: Path) -> bool {
        self.sources.look(path.source(), family).is_none_or(|Look { leaving, stale, .. }| {
            leaving
                || stale.is_swept(path.epoch())
                // RFC 9494 §4.2: such a path is not kept for long.
                || (stale.is_long_lived(path.epoch()) && self.attributes.facts(path.attrs()).never_long_lived)
        })
    }

    /// Whether a path is kept for long (RFC 9494 §4.2).
    pub(super) fn is_long_lived(&self, family: Family, path: Path) -> bool {
        self.sources.stale(path.source(), family).is_some_and(|stale| stale.is_long_lived(path.epoch()))
    }

    /// Whether a path has to give way to fresh ones.
    pub(super) fn has_to_yield(&self, family: Family, path: Path) -> bool {
        let yields = |stale: &Staleness| stale.has_to_yield(path.epoch());
        self.sources.stale(path.source(), family).is_some_and(yields)
    }

    /// The Path Identifier of a path.
    pub(super) fn path_id(&self, entry: EntryId, path: Path) -> Option<PathId> {
        if !self.sources.has_ids(path.source()) {
            return None;
        }
        self.path_ids.of(entry, path.source())
    }

    /// Whether a path is to be sent again by its peer, or goes.
    pub(super) fn is_stale(&self, family: Family, path: Path) -> bool {
        self.sources.stale(path.source(), family).is_some_and(|stale| stale.is_stale(path.epoch()))
    }

    /// What the ladder compares of a path.
    pub(super) fn candidate(&self, entry: EntryId, path: Path) -> Option<Candidate> {
        let Look { source, stale, has_ids, .. } = self.sources.look(path.source(), entry.family())?;
        let facts = self.attributes.facts(path.attrs());
        let hop = HopId::of(facts.next_hop, source.via_default);
        let metric = match source.kind {
            SourceKind::Local => Some(0),
            SourceKind::External | SourceKind::Internal => self.tracker.metric(hop),
        };
        Some(Candidate {
            metric,
            long_lived: facts.long_lived && source.kind != SourceKind::Local,
            stale: stale.has_to_yield(path.epoch()),
            kind: source.kind,
            local_preference: facts.local_preference,
            hops: facts.hops,
            origin: facts.origin,
            neighbor: facts.neighbor,
            med: facts.med,
            router_id: facts.originator.unwrap_or(source.router_id),
            cluster_len: facts.cluster_len,
            address: source.address,
            tie: self.sources.owner(path.source()).0,
            path_id: if has_ids { self.path_ids.of(entry, path.source()) } else { None },
            next_hop: hop.number(),
        })
    }

    /// Counts a path that comes.
    pub(super) fn book(&mut self, family: Family, path: Path) {
        let Self { attributes, sources, tracker, .. } = self;
        attributes.retain(path.attrs());
        let owner = sources.owner(path.source());
        let Some((source, counts, stale)) = sources.books_mut(owner, family) else { return };
        counts.add(path.refusal());
        stale.book(path.epoch(), true);
        if path.is_accepted() && source.kind != SourceKind::Local {
            let (address, via_default) = (attributes.facts(path.attrs()).next_hop, source.via_default);
            let next_hop = || NextHop { address: attributes.address(address), via_default };
            tracker.add(owner, HopId::of(address, via_default), next_hop);
        }
    }

    /// Counts a path that goes.
    pub(super) fn unbook(&mut self, family: Family, path: Path) {
        let Self { attributes, sources, tracker, .. } = self;
        let owner = sources.owner(path.source());
        if let Some((source, counts, stale)) = sources.books_mut(owner, family) {
            counts.remove(path.refusal());
            stale.book(path.epoch(), false);
            if path.is_accepted() && source.kind != SourceKind::Local {
                let address = attributes.facts(path.attrs()).next_hop;
                tracker.remove(owner, HopId::of(address, source.via_default));
            }
        }
        attributes.release(path.attrs());
    }

    /// Lists an entry for the decision.
    pub(super) fn mark_dirty<K: Key>(&mut self, table: &mut Table<K>, slot: u32) {
        let entry = table.entry_mut(slot);
        if !entry.has(Flags::DIRTY) || entry.has(Flags::WAITING) {
            entry.set_flag(Flags::DIRTY);
            entry.clear_flag(Flags::WAITING);
            self.due.push(EntryId::new(K::FAMILY, slot));
        }
    }

    /// Lists an entry for a decision that may wait while several peers are sending.
    pub(super) fn mark_waiting<K: Key>(&mut self, table: &mut Table<K>, slot: u32) {
        if !self.due.is_patient() {
            return self.mark_dirty(table, slot);
        }
        let entry = table.entry_mut(slot);
        if !entry.has(Flags::DIRTY) {
            entry.set_flag(Flags::DIRTY);
            entry.set_flag(Flags::WAITING);
            self.due.push_waiting(EntryId::new(K::FAMILY, slot));
        }
    }

    /// Lists an entry for those who advertise it.
    pub(super) fn mark_changed<K: Key>(&mut self, table: &mut Table<K>, slot: u32) {
        let entry = table.entry_mut(slot);
        if !entry.has(Flags::CHANGED) {
            entry.set_flag(Flags::CHANGED);
            self.changed.push(EntryId::new(K::FAMILY, slot));
        }
    }

    /// Counts an entry whose kernel state was `before` and is `after`.
    pub(super) fn recount<K: Key>(&mut self, before: &Entry<K>, after: &Entry<K>) {
        let counts = &mut self.kernel[K::FAMILY];
        for (entry, step) in [(before, u64::MAX), (after, 1)] {
            let count = if entry.has(Flags::PENDING) {
                &mut counts.pending
            } else if entry.has(Flags::FAILED) {
                &mut counts.failed
            } else if entry.has(Flags::INSTALLED) {
                &mut counts.installed
            } else {
                continue;
            };
            *count = count.wrapping_add(step);
        }
    }

    /// Lists an entry to be freed at the next drain, if it is vacant then too.
    pub(super) fn retire<K: Key>(&mut self, table: &Table<K>, slot: u32) {
        if table.entry(slot).is_vacant() {
            self.retiring.push(EntryId::new(K::FAMILY, slot));
        }
    }

    /// Frees an entry if nothing is known, wanted, awaited or to be told of it.
    pub(super) fn free<K: Key>(&mut self, table: &mut Table<K>, slot: u32) {
        let Some(entry) = table.used(slot) else { return };
        if entry.is_vacant() && !entry.has(Flags::CHANGED) {
            if entry.has(Flags::FAILED) {
                self.failures.remove(&EntryId::new(K::FAMILY, slot));
            }
            let entry = *entry;
            self.recount(&entry, &Entry::default());
            table.free(slot);
        }
    }
}
