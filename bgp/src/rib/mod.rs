//! The routing information base: one table a family, and the modules over it.
//!
//! ```text
//!  attributes  source      interned attribute sets; where paths come from
//!  table                   prefix -> paths of eight octets
//!  next_hop  sets          what resolves; ECMP sets
//!  state                   what both families share, and the books
//!  path_id                 what peers call their paths where they send several
//!  place                   the place of a path that comes
//!  incoming                the door for what comes: prefixes are looked up together
//!  adj_in  decision  loc   what was announced -> what is best -> kernel, advertisement
//!  adj_out                 what was sent to whom, over `Rib`
//!  stale  restart          paths of peers that restart; selection put off after an own one
//!  due                     which decisions run, and which wait for more paths
//!  walk                    changes that concern many prefixes, bounded a turn
//! ```
//!
//! [`Rib`] is the door. A turn of its owner:
//!
//! ```text
//!  announce, withdraw, set_next_hop, acknowledge, remove_source, judge_again
//!  -> work(budget)      decisions, once a prefix; a stretch of the walk
//!  -> changed(&mut ids) entries to compare with what was sent: entry(id)
//!  -> drain(&mut effects)
//! ```
//!
//! - An [`EntryId`] out of [`Rib::changed`] is good until the drain after; the
//!   entry of a prefix of which nothing is left is freed there, and never before
//!   it was handed out. Who needs it for longer pins it.
//! - An [`AttrId`] that nothing retains is good until the next drain.
//! - No order of output comes from a hash: the same calls give the same effects.

pub mod adj_out;
pub mod attributes;
pub mod decision;
pub mod next_hop;
pub mod sets;
pub mod source;
pub mod table;

mod adj_in;
mod deferral;
mod due;
mod incoming;
mod loc;
mod long_lived;
mod look;
mod path_id;
mod place;
mod query;
mod restart;
mod stale;
mod state;
mod walk;

pub use self::adj_in::Announced;
pub use self::attributes::AttrId;
pub use self::loc::Advertise;
pub use self::query::EntryView;
pub use self::source::{MOST_PATHS, PathKey, Source, SourceCounts, SourceId, SourceKind};
pub use self::state::RibConfig;
pub use self::table::{EntryId, NEAR, Path, Spot, Spots};
pub use self::walk::Judge;

use self::attributes::Store;
use self::next_hop::HopId;
use self::source::Sources;
use self::state::State;
use self::table::{Position, Table};
use self::walk::{Met, Walk};
use std::net::IpAddr;

use crate::io::{Effects, NextHop, RouteAck};
use crate::prefix::{Family, PerFamily, Prefix, Prefix4, Prefix6};
use crate::view::{KernelCounts, RouteCursor};

/// Entries that are only looked at and cost as much as one decision.
const GLANCES: usize = 16;

/// The routing information base of a speaker.
#[derive(Clone, Debug)]
pub struct Rib {
    state: State,
    ipv4: Table<Prefix4>,
    ipv6: Table<Prefix6>,
    walk: Walk,
}

/// Runs an expression over the table of a family.
macro_rules! in_table {
    ($rib:ident, $family:expr, |mut $table:ident| $body:expr) => {
        match $family {
            Family::Ipv4 => {
                let $table = &mut $rib.ipv4;
                $body
            }
            Family::Ipv6 => {
                let $table = &mut $rib.ipv6;
                $body
            }
        }
    };
    ($rib:ident, $family:expr, |$table:ident| $body:expr) => {
        match $family {
            Family::Ipv4 => {
                let $table = &$rib.ipv4;
                $body
            }
            Family::Ipv6 => {
                let $table = &$rib.ipv6;
                $body
            }
        }
    };
}

impl Rib {
    /// An empty base.
    #[must_use]
    pub fn new(config: RibConfig) -> Self {
        Self {
            state: State::new(config),
            ipv4: Table::new(config.seed),
            ipv6: Table::new(config.seed),
            walk: Walk::default(),
        }
    }

    /// Applies another configuration; what it changes is decided anew, bounded a turn.
    pub fn reconfigure(&mut self, config: RibConfig) {
        let config = RibConfig { seed: self.state.config.seed, ..config };
        if config != self.state.config {
            self.state.config = config;
            self.walk.request_all();
        }
    }

    /// Adds a source of paths; `None` when all 65 535 handles are in use.
    pub fn add_source(&mut self, source: Source) -> Option<SourceId> {
        self.state.sources.add(source)
    }

    /// Makes the peer of a source a client of this route reflector, or no client
    /// (RFC 4456 §5): what is sent of its paths is to be looked at again.
    pub fn set_client(&mut self, source: SourceId, client: bool) {
        self.state.sources.set_client(source, client);
    }

    /// Removes a source with all of its paths. Next hops that nobody else uses
    /// leave their sets at once; the entries follow, bounded a turn. The handle
    /// is used again only when its last path is gone.
    pub fn remove_source(&mut self, id: SourceId) {
        let state = &mut self.state;
        if state.sources.is_leaving(id) {
            return;
        }
        if state.sources.is_unused(id) {
            state.sources.free(id);
            return;
        }
        for next_hop in state.tracker.exclusive(id) {
            state.sets.shrink(next_hop);
        }
        state.sources.leave(id, self.walk.request());
    }

    /// The source's paths of a family are stale: kept until they are announced
    /// again, or until [`Rib::sweep_stale`]. `yields` says whether they give way
    /// to fresh paths of other sources meanwhile, in next-hop sets at once.
    pub fn mark_stale(&mut self, source: SourceId, family: Family, yields: bool) {
        restart::mark(&mut self.state, &mut self.walk, source, family, yields);
    }

    /// Keeps the source's paths of a family that are stale at this moment for long: as a
    /// last resort, with LLGR_STALE, and without those that carry NO_LLGR (RFC 9494 §4.2).
    pub fn keep_for_long(&mut self, source: SourceId, family: Family) {
        restart::keep_for_long(&mut self.state, &mut self.walk, source, family);
    }

    /// Takes out the source's paths of a family that are stale at this moment,
    /// bounded a turn.
    pub fn sweep_stale(&mut self, source: SourceId, family: Family) {
        restart::sweep(&mut self.state, &mut self.walk, source, family);
    }

    /// How many paths of a source are stale.
    #[must_use]
    pub fn stale(&self, source: SourceId, family: Family) -> u64 {
        self.state.sources.stale(source, family).map_or(0, stale::Staleness::count)
    }

    /// Whether a path of an entry is stale.
    #[must_use]
    pub fn is_stale(&self, family: Family, path: Path) -> bool {
        self.state.is_stale(family, path)
    }

    /// Puts the selection of learned paths off (RFC 4724 §4.1), or ends that.
    pub fn defer(&mut self, family: Family, deferred: bool) {
        restart::defer(&mut self.state, family, deferred);
    }

    /// Whether the kernel has yet to speak about a next hop of an accepted path.
    #[must_use]
    pub fn awaits_next_hops(&self) -> bool {
        self.state.tracker.is_waiting()
    }

    /// Whether the first selection of a family after a start is over, and the
    /// kernel has spoken on it: its End-of-RIB may go out (RFC 4724 §4.1).
    #[must_use]
    pub fn is_selected(&self, family: Family) -> bool {
        self.state.deferral[family].is_over()
    }

    /// Forgets how many paths beyond the limits a source announced: it is
    /// asked to send all of the family again.
    pub fn forget_beyond_limit(&mut self, source: SourceId, family: Family) {
        if let Some(counts) = self.state.sources.counts_mut(source, family) {
            counts.forget_beyond_limit();
        }
    }

    /// Has [`Rib::changed`] hand out entries for paths beside the best one too, from
    /// here on, or no more.
    pub const fn tell_of_all(&mut self, all: bool) {
        self.state.tells_of_all = all;
    }

    /// Keeps what a path that was sent names, its attribute set and its handle.
    pub fn retain(&mut self, attributes: AttrId, source: SourceId) {
        self.state.attributes.retain(attributes);
        self.state.sources.retain(source);
    }

    /// Gives up what [`Rib::retain`] kept.
    pub fn release(&mut self, attributes: AttrId, source: SourceId) {
        self.state.attributes.release(attributes);
        self.state.sources.release(source);
    }

    /// Takes the kernel's view of a next hop: the metric of the route that
    /// resolves it, or `None`. One that is lost leaves every set at once; the
    /// entries are decided anew, bounded a turn.
    pub fn set_next_hop(&mut self, next_hop: NextHop, metric: Option<u32>) {
        let Some(address) = self.state.attributes.address_id(next_hop.address) else { return };
        let hop = HopId::of(address, next_hop.via_default);
        self.state.tracker.answer(hop);
        if !self.state.tracker.is_news(hop, metric) {
            return;
        }
        self.state.tracker.set_metric(hop, metric, || self.walk.request());
        if metric.is_none() {
            self.state.sets.shrink(next_hop);
        }
    }

    /// Takes the kernel's word on a batch of route changes.
    pub fn acknowledge(&mut self, acks: &[RouteAck]) {
        for &ack in acks {
            match ack.prefix {
                Prefix::V4(key) => loc::acknowledge(&mut self.ipv4, &mut self.state, key, ack),
                Prefix::V6(key) => loc::acknowledge(&mut self.ipv6, &mut self.state, key, ack),
            }
        }
    }

    /// Has the import rules judge every stored path again, of one source or of
    /// all but the local ones, bounded a turn: [`Rib::work`] is given the rules.
    pub fn judge_again(&mut self, source: Option<SourceId>) {
        let lap = self.walk.request();
        self.state.sources.judge(source, lap);
    }

    /// Runs decisions that are due, then a stretch of the walk; returns whether
    /// another turn is due: more work, or a set or a next hop that a later drain drops. `budget` is in entries decided or judged; sixteen that are
    /// merely looked at count as one.
    pub fn work(&mut self, budget: usize, judge: &mut Judge<'_>) -> bool {
        let mut left = budget.saturating_mul(GLANCES);
        let mut meanwhile = self.state.due.meanwhile();
        while left > 0 {
            if let Some((id, waited)) = self.state.due.next(meanwhile) {
                left = left.saturating_sub(GLANCES);
                meanwhile -= usize::from(waited);
                in_table!(self, id.family(), |mut table| {
                    let is_due = !waited || due::take_up(table, id.slot());
                    if is_due && !restart::put_off(table, &mut self.state, id) {
                        loc::decide(table, &mut self.state, id.slot());
                    }
                });
            } else if let Some((family, at)) = self.walk.at() {
                let met = in_table!(self, family, |mut table| table.next(at).map(|(slot, next)| {
                    self.walk.go_to(family, next);
                    walk::meet(table, &mut self.state, slot, &self.walk, judge)
                }));
                match (met, family) {
                    (Some(Met::Seen), _) => left -= 1,
                    (Some(Met::Worked), _) => left = left.saturating_sub(GLANCES),
                    (None, Family::Ipv4) => self.walk.go_to(Family::Ipv6, Position::default()),
                    (None, Family::Ipv6) => {
                        let lap = self.walk.finish();
                        self.state.sources.walked(lap);
                    }
                }
            } else {
                break;
            }
        }
        restart::look(&mut self.state);
        self.is_working() || self.state.sets.is_dropping() || self.state.tracker.is_listed()
    }

    /// Whether [`Rib::work`] has something to do.
    #[must_use]
    pub fn is_working(&self) -> bool {
        !self.state.due.is_empty() || self.walk.at().is_some()
    }

    /// Appends the next-hop sets that have lost a member since the drain before, ahead of the entries' decisions.
    pub fn tell_losses(&mut self, effects: &mut Effects) {
        self.state.sets.tell_losses(&mut effects.sets);
    }

    /// Appends what is wanted of the kernel, then frees the entries and the
    /// attribute sets that nothing needs.
    pub fn drain(&mut self, effects: &mut Effects) {
        let State { tracker, attributes, sets, .. } = &mut self.state;
        tracker.drain(attributes, |next_hop| sets.has_member(next_hop), &mut effects.tracking);
        sets.drain(&mut effects.sets);
        effects.routes.append(&mut self.state.routes);
        let retiring = core::mem::take(&mut self.state.retiring);
        for near in retiring.chunks(NEAR) {
            for &id in near {
                in_table!(self, id.family(), |table| table.touch_slot(id.slot()));
            }
            for id in near {
                in_table!(self, id.family(), |mut table| self.state.free(table, id.slot()));
            }
        }
        self.state.attributes.sweep();
    }

    /// Keeps an entry, and its number, until it is unpinned as often; false if it
    /// was freed.
    pub fn pin(&mut self, id: EntryId) -> bool {
        in_table!(self, id.family(), |mut table| {
            let found = table.used(id.slot()).is_some();
            if found {
                table.entry_mut(id.slot()).pin();
            }
            found
        })
    }

    /// Gives up a pin. The entry may be freed at the next drain.
    pub fn unpin(&mut self, id: EntryId) {
        in_table!(self, id.family(), |mut table| {
            if table.used(id.slot()).is_some() {
                table.entry_mut(id.slot()).unpin();
                self.state.retire(table, id.slot());
            }
        });
    }

    /// The attribute sets.
    #[must_use]
    pub const fn attributes(&self) -> &Store {
        &self.state.attributes
    }

    /// The attribute sets, to intern, retain and release.
    #[must_use]
    pub const fn attributes_mut(&mut self) -> &mut Store {
        &mut self.state.attributes
    }

    /// The sources.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.state.sources
    }

    /// The entry of a prefix.
    #[must_use]
    pub fn find(&self, prefix: Prefix) -> Option<EntryId> {
        let slot = match prefix {
            Prefix::V4(key) => self.ipv4.find(key),
            Prefix::V6(key) => self.ipv6.find(key),
        };
        slot.map(|slot| EntryId::new(prefix.family(), slot))
    }

    /// The entry of the longest prefix that covers an address and has a selected path.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<EntryId> {
        let family = Family::of(address);
        let slot = in_table!(self, family, |table| {
            table.longest_match(address, |slot| table.paths(slot).first().is_some_and(|path| path.is_best()))
        });
        slot.map(|slot| EntryId::new(family, slot))
    }

    /// What is known of an entry; `None` if it was freed.
    #[must_use]
    pub fn entry(&self, id: EntryId) -> Option<EntryView<'_>> {
        in_table!(self, id.family(), |table| query::view(table, &self.state, id.slot()))
    }

    /// The first entry at a cursor, in a stable order without meaning, and the
    /// cursor behind it; `None` is the start. An entry that is there throughout
    /// is met exactly once.
    #[must_use]
    pub fn next_entry(&self, cursor: Option<RouteCursor>) -> Option<(EntryId, RouteCursor)> {
        let cursor = cursor.map_or(0, |cursor| cursor.0);
        let from = Position::from_raw(cursor as u32);
        if cursor >> 32 == 0
            && let Some((slot, next)) = self.ipv4.next(from)
        {
            return Some((EntryId::new(Family::Ipv4, slot), RouteCursor(next.raw().into())));
        }
        let from = if cursor >> 32 == 0 { Position::default() } else { from };
        let (slot, next) = self.ipv6.next(from)?;
        Some((EntryId::new(Family::Ipv6, slot), RouteCursor(1 << 32 | u64::from(next.raw()))))
    }

    /// [`Rib::next_entry`] within one family.
    #[must_use]
    pub fn next_in(&self, family: Family, cursor: Option<RouteCursor>) -> Option<(EntryId, RouteCursor)> {
        let start = match family {
            Family::Ipv4 => None,
            Family::Ipv6 => Some(RouteCursor(1 << 32)),
        };
        self.next_entry(cursor.or(start)).filter(|(id, _)| id.family() == family)
    }

    /// How many prefixes and paths of a family the table holds.
    #[must_use]
    pub const fn size(&self, family: Family) -> (usize, usize) {
        in_table!(self, family, |table| (table.len(), table.path_count()))
    }

    /// How many entries the kernel holds, by its state, up to date with every call.
    #[must_use]
    pub const fn kernel_counts(&self) -> PerFamily<KernelCounts> {
        self.state.kernel
    }

    /// The counts of a source, up to date with every call.
    #[must_use]
    pub fn counts(&self, source: SourceId, family: Family) -> Option<&SourceCounts> {
        self.state.sources.counts(source, family)
    }
}
