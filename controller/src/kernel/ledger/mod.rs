//! What is wanted, what is believed to be written, and what is still to be answered; pure.
//!
//! Changes are kept by prefix, so that the newest wins and a route that flaps while the kernel is busy costs one
//! write. A dump ([`Ledger::adopt`]) replaces every belief. Work is handed out in batches and its result is brought
//! back before the next batch.
//!
//! ```text
//!  change ─> wants ─┐
//!  dump ─> written ─┴─ differ? ─> queue ─ batch ─> kernel ─ settle ─> written, acks
//! ```
//!
//! A set of next hops has a group of next-hop objects where routes name those (`objects`); whatever then happens to the
//! set is a write to its group, and none to its routes.
//!
//! Before the sweep a route that nobody asked for stays: it is what an earlier run left, and its time has not come.

mod book;
mod objects;
mod resolution;
mod set;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::{RouteAck, RouteChange, SetId};
use bgp::prefix::{Family, PerFamily, Prefix};
use foldhash::HashMap;

use super::command::{KernelConfig, UNREACHABLE_METRIC};
use super::object::shelf::Shelf;
use super::plan::{Action, Operation, step};
use super::route::{Key, Leg, Route, Target};
use super::view::{OwnRoutes, Ownership, View};
use book::{At, Book, Want};
use set::Set;

/// The errno of a route whose next hops resolve to nothing.
const NO_NEXT_HOP: u16 = libc::ENETUNREACH as u16;

/// The ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    config: Option<KernelConfig>,
    source: PerFamily<Option<IpAddr>>,
    ownership: Ownership,
    sets: HashMap<SetId, Set>,
    /// What is wanted, and what is believed to be written.
    book: Book,
    queue: VecDeque<At>,
    /// The rows of the batch that was handed out last, for each operation; none of a key that is not a learned route's.
    handed: Vec<Option<At>>,
    /// How many of the queue have to be written before the next look at the objects, and nothing else with them.
    first: usize,
    /// The groups that those leave.
    leaving: BTreeSet<u32>,
    /// Work on keys other than those of the learned routes.
    others: BTreeSet<Key>,
    swept: bool,
    doubtful: bool,
    refused: BTreeSet<Key>,
    /// How many routes name a set.
    routes: usize,
    /// Whether routes are to name next-hop objects.
    objects: bool,
    /// Whether the kernel has such.
    supported: bool,
    shelf: Shelf,
    /// Whose each group is.
    claims: HashMap<u32, SetId>,
    /// Sets whose group may not be as it should.
    due: BTreeSet<SetId>,
    /// Whether there may be objects that nothing needs.
    surplus: bool,
    /// Since the last dump: ways out and groups that the kernel refused to make.
    unmade: BTreeSet<Leg>,
    ungrouped: BTreeSet<Vec<u32>>,
    /// Objects that the kernel refused to delete.
    kept: BTreeSet<u32>,
    /// Whether the last change of a group was refused.
    baffled: bool,
}

impl Ledger {
    /// Takes a configuration; whether a dump is due because of it.
    pub fn configure(&mut self, config: KernelConfig) -> bool {
        if self.config.as_ref() == Some(&config) {
            return false;
        }
        self.ownership.tables.insert(config.table);
        self.ownership.protocols.insert(config.protocol);
        self.book.learn(config.table, config.metric);
        if let Some(before) = self.config.replace(config) {
            if self.config.as_ref().is_some_and(|config| config.protocol != before.protocol) {
                self.claims.clear();
                self.sets.values_mut().for_each(|set| set.group = None);
            }
            let learned = self.book.wants().map(|(_, row, _)| learned_key(&before, row.prefix));
            let gone =
                learned.chain(before.unreachable.iter().map(|prefix| unreachable_key(&before, *prefix)));
            let gone = gone.filter(|key| self.book.get(key).is_some() && self.wanted(key).is_none());
            let gone: Vec<_> = gone.collect();
            self.others.extend(gone);
        }
        self.refused.clear();
        self.kept.clear();
        self.due.extend(self.sets.keys().copied());
        self.surplus = true;
        true
    }

    /// Whether there was a configuration, without which nobody knows which routes are ours.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.config.is_some()
    }

    /// Which routes are ours.
    #[must_use]
    pub const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Takes changes of routes.
    pub fn change_routes(&mut self, changes: &[RouteChange]) {
        for RouteChange { prefix, set } in changes {
            let at = self.book.make(*prefix);
            let row = self.book.row_mut(at);
            let want = row.want.get_or_insert_default();
            let before = std::mem::replace(&mut want.set, *set);
            want.unanswered = true;
            if !std::mem::replace(&mut row.queued, true) {
                self.queue.push_back(at);
            }
            if before == *set {
                continue;
            }
            if let Some(id) = set {
                let set = self.sets.entry(*id).or_default();
                set.users += 1;
                self.routes += 1;
                if set.users == 1 {
                    self.due.insert(*id);
                }
            }
            self.release(before);
        }
    }

    /// From here on routes of ours that nobody asked for go.
    pub fn sweep(&mut self) {
        self.swept = true;
        self.queue_surplus();
    }

    /// Replaces what is believed to be written by what was dumped, and queues what differs.
    pub fn adopt(&mut self, written: OwnRoutes, view: &View) {
        self.queue.clear();
        self.book.rows_mut().for_each(|(_, row)| row.queued = false);
        self.book.replace(written);
        self.doubtful = false;
        let Some(config) = &self.config else { return };
        for family in Family::ALL {
            self.source[family] = config.preferred_source[family].filter(|source| view.has_source(*source));
        }
        let unreachable = config.unreachable.iter().map(|prefix| unreachable_key(config, *prefix));
        let differing = unreachable.filter(|key| self.differs(key)).collect::<Vec<_>>();
        let mut queue = Vec::new();
        for (at, row, want) in self.book.wants() {
            if want.unanswered
                || want.told != 0
                || want.set.is_none()
                || row.have() != self.wanted_of(row.prefix.family(), Some(want)).as_ref()
            {
                // What has no answer yet comes first: a failure that lasts must not hold it up.
                queue.push((!want.unanswered, row.prefix, at));
            }
        }
        queue.sort_unstable_by_key(|(answered, prefix, _)| (*answered, *prefix));
        self.others.extend(differing);
        self.queue.extend(queue.into_iter().map(|(.., at)| at));
        for at in &self.queue {
            self.book.row_mut(*at).queued = true;
        }
        self.queue_surplus();
    }

    /// How many routes of ours are believed to be written.
    #[must_use]
    pub fn written(&self) -> PerFamily<usize> {
        self.book.count()
    }

    /// How many routes of ours there are in all.
    #[must_use]
    pub fn written_total(&self) -> usize {
        self.book.len()
    }

    /// The protocol number that marks what is written.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.config.as_ref().map_or(0, |config| config.protocol)
    }

    fn differs(&self, key: &Key) -> bool {
        self.book.get(key) != self.wanted(key).as_ref()
    }

    /// Queues our routes that are not wanted, once they may go.
    fn queue_surplus(&mut self) {
        let Some(config) = &self.config else { return };
        if self.swept || !config.install {
            let surplus: Vec<_> = self.book.keys().filter(|key| self.wanted(key).is_none()).collect();
            self.others.extend(surplus);
        }
    }

    /// The route that a key should have.
    fn wanted(&self, key: &Key) -> Option<Route> {
        let config = self.config.as_ref().filter(|config| config.install && config.table == key.table)?;
        if key.metric == UNREACHABLE_METRIC && config.unreachable.contains(&key.prefix) {
            return Some(Route { protocol: config.protocol, target: Target::Unreachable, source: None });
        }
        if key.metric != config.metric {
            return None;
        }
        self.wanted_of(key.family(), self.book.row(self.book.find(key.prefix)?).want)
    }

    /// The route that a prefix should have of whom this is wanted.
    fn wanted_of(&self, family: Family, want: Option<Want>) -> Option<Route> {
        let config = self.config.as_ref().filter(|config| config.install)?;
        let set = self.sets.get(&want?.set?)?;
        let legs = set.legs.as_ref()?;
        let target = match set.group {
            Some(group) if self.objects => Target::Object(group),
            _ => Target::Via(Arc::clone(legs)),
        };
        Some(Route { protocol: config.protocol, target, source: self.source[family] })
    }

    /// Whether a change of a route of any owner to this destination can concern ours.
    #[must_use]
    pub fn concerns(&self, prefix: Prefix) -> bool {
        self.book.wants_any(prefix)
            || self.config.as_ref().is_some_and(|config| config.unreachable.contains(&prefix))
    }

    /// Whether a prefix lies within the node's PodCIDRs.
    #[must_use]
    pub fn holds_pod(&self, prefix: Prefix) -> bool {
        self.config.as_ref().is_some_and(|config| config.unreachable.iter().any(|pods| pods.contains(prefix)))
    }

    /// How many prefixes wait to be written.
    #[must_use]
    pub fn backlog(&self) -> usize {
        if self.config.is_none() {
            return 0;
        }
        self.queue.len() + self.others.len() + usize::from(self.has_object_work())
    }

    /// Whether what is believed to be written has become doubtful, so that a dump is due.
    #[must_use]
    pub const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// The next operations, at most `limit`, and answers to changes that ask for none.
    pub fn batch(&mut self, limit: usize) -> (Vec<Operation>, Vec<RouteAck>) {
        let (mut operations, mut acks) = (Vec::new(), Vec::new());
        self.handed.clear();
        if self.config.is_none() {
            return (operations, acks);
        }
        while operations.len() < limit
            && let Some(key) = self.others.pop_first()
        {
            if let Some(action) = step(key.family(), self.book.get(&key), self.wanted(&key)) {
                operations.push(Operation { key, action });
                self.handed.push(None);
            }
        }
        let mut left = if self.first > 0 { std::mem::take(&mut self.first) } else { usize::MAX };
        while operations.len() < limit
            && acks.len() < limit
            && left > 0
            && let Some(at) = self.queue.pop_front()
        {
            left -= 1;
            let Some(config) = &self.config else { break };
            let row = self.book.row_mut(at);
            row.queued = false;
            let (key, want) = (learned_key(config, row.prefix), row.want);
            match step(key.family(), self.book.row(at).have(), self.wanted_of(key.family(), want)) {
                Some(action) => {
                    operations.push(Operation { key, action });
                    self.handed.push(Some(at));
                }
                None => {
                    acks.extend(self.answer(at, 0));
                    self.book.release(at);
                }
            }
        }
        (operations, acks)
    }

    /// Takes the kernel's word on the operations of a batch; the answers that follow from it.
    pub fn settle(&mut self, operations: Vec<Operation>, results: &[u16]) -> Vec<RouteAck> {
        let mut acks = Vec::new();
        let handed = std::mem::take(&mut self.handed);
        for (number, (Operation { key, action }, errno)) in operations.into_iter().zip(results).enumerate() {
            let at = self.row_of(&key, handed.get(number).copied().flatten());
            let code = i32::from(*errno);
            let gone = matches!(code, libc::ESRCH | libc::ENOENT);
            // What was written whole is what is wanted: nothing has changed since the batch was made.
            let whole = code == 0 && matches!(action, Action::Create(_) | Action::Replace(_));
            let errno = match action {
                Action::Create(route) | Action::Replace(route) | Action::Join { result: route, .. }
                    if code == 0 =>
                {
                    self.write(key, at, route);
                    self.surplus = true;
                    self.refused.remove(&key);
                    0
                }
                // A way that is not there, or is another owner's, is none of ours.
                Action::Part { result, way } if code == 0 || gone => {
                    // Where the leg was not there, the kernel has taken a route with an object for it.
                    let named = result.target.ways().is_some_and(|(_, ids)| !ids.is_empty());
                    self.doubtful |= named && matches!(way, Target::Via(_));
                    self.write(key, at, result);
                    self.surplus = true;
                    0
                }
                Action::Delete(_) if code == 0 || gone => {
                    self.book.remove(&key);
                    self.surplus = true;
                    // Gone already, or not quite what it was believed to be.
                    self.doubtful |= gone;
                    0
                }
                Action::Replace(_) if gone => {
                    self.book.remove(&key);
                    0
                }
                // The object may have gone without a word: the dump shows it, and the route is written once more.
                Action::Create(Route { target: Target::Object(_), .. })
                | Action::Replace(Route { target: Target::Object(_), .. })
                | Action::Join { way: Target::Object(_), .. }
                    if code == libc::EINVAL && self.refused.insert(key) =>
                {
                    self.doubtful = true;
                    continue;
                }
                // A refusal is looked into, because IPv6 can lose the old route before it finds a leg of the new one
                // wrong; but once, or a lasting refusal would keep the driver dumping.
                _ => {
                    self.doubtful |= self.refused.insert(key);
                    *errno
                }
            };
            if errno == 0 && !whole && self.differs(&key) {
                self.enqueue(key);
            } else if let Some(at) = self.row_of(&key, at) {
                acks.extend(self.answer(at, errno));
                self.book.release(at);
            }
        }
        acks
    }

    /// Takes a batch back whose result was lost; a dump is due.
    pub fn doubt(&mut self, operations: &[Operation]) {
        self.doubtful = true;
        for operation in operations {
            self.enqueue(operation.key);
        }
    }

    /// The row of a learned route's key, which may be this one.
    fn row_of(&self, key: &Key, at: Option<At>) -> Option<At> {
        self.book.is_learned(key).then(|| self.book.still(at, key.prefix)).flatten()
    }

    /// A route is written.
    fn write(&mut self, key: Key, at: Option<At>, route: Route) {
        match at {
            Some(at) => self.book.write(at, route),
            None => self.book.insert(key, route),
        }
    }

    fn enqueue(&mut self, key: Key) {
        let at = self.row_of(&key, None).filter(|at| self.book.row(*at).want.is_some());
        let Some(at) = at else {
            self.others.insert(key);
            return;
        };
        if !std::mem::replace(&mut self.book.row_mut(at).queued, true) {
            self.queue.push_back(at);
        }
    }

    /// The answer for a prefix: to its newest change, or because its state has changed since the last answer.
    fn answer(&mut self, at: At, errno: u16) -> Option<RouteAck> {
        let install = self.config.as_ref().is_some_and(|config| config.install);
        let Self { book, sets, .. } = self;
        let row = book.row_mut(at);
        let want = row.want.as_mut()?;
        let resolves = want.set.is_none_or(|set| sets.get(&set).is_some_and(|set| set.legs.is_some()));
        let set = want.set;
        let errno = match errno {
            // Who tracks the next hop hears of it by its event; every route again would be told for nothing.
            0 if !resolves && install && !want.unanswered => return None,
            0 if !resolves && install => NO_NEXT_HOP,
            errno => errno,
        };
        let news = want.unanswered || want.told != errno;
        want.unanswered = false;
        want.told = errno;
        if set.is_none() && errno == 0 {
            row.want = None;
        }
        news.then_some(RouteAck { prefix: row.prefix, set, errno })
    }
}

const fn learned_key(config: &KernelConfig, prefix: Prefix) -> Key {
    Key { table: config.table, prefix, metric: config.metric }
}

const fn unreachable_key(config: &KernelConfig, prefix: Prefix) -> Key {
    Key { table: config.table, prefix, metric: UNREACHABLE_METRIC }
}
