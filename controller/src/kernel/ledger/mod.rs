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

mod objects;
mod resolution;
mod set;
mod written;

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
use set::Set;
use written::Written;

/// The errno of a route whose next hops resolve to nothing.
const NO_NEXT_HOP: u16 = libc::ENETUNREACH as u16;

#[derive(Debug)]
struct Want {
    /// `None`: the route has to go.
    set: Option<SetId>,
    queued: bool,
    /// Whether the newest change has had no answer yet.
    unanswered: bool,
    /// The errno of the last answer.
    told: u16,
}

/// The ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    config: Option<KernelConfig>,
    source: PerFamily<Option<IpAddr>>,
    ownership: Ownership,
    sets: HashMap<SetId, Set>,
    wants: HashMap<Prefix, Want>,
    queue: VecDeque<Prefix>,
    /// How many of the queue have to be written before the next look at the objects, and nothing else with them.
    first: usize,
    /// The groups that those leave.
    leaving: BTreeSet<u32>,
    /// Work on keys other than those of the learned routes.
    others: BTreeSet<Key>,
    written: Written,
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
        if let Some(before) = self.config.replace(config) {
            if self.config.as_ref().is_some_and(|config| config.protocol != before.protocol) {
                self.claims.clear();
                self.sets.values_mut().for_each(|set| set.group = None);
            }
            let learned = self.wants.keys().map(|prefix| learned_key(&before, *prefix));
            let gone =
                learned.chain(before.unreachable.iter().map(|prefix| unreachable_key(&before, *prefix)));
            let gone = gone.filter(|key| self.written.get(key).is_some() && self.wanted(key).is_none());
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
            let want = self.wants.entry(*prefix).or_insert(Want {
                set: None,
                queued: false,
                unanswered: false,
                told: 0,
            });
            let before = std::mem::replace(&mut want.set, *set);
            want.unanswered = true;
            if !std::mem::replace(&mut want.queued, true) {
                self.queue.push_back(*prefix);
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
        self.written.replace(written);
        self.doubtful = false;
        self.queue.clear();
        let Some(config) = &self.config else { return };
        for family in Family::ALL {
            self.source[family] = config.preferred_source[family].filter(|source| view.has_source(*source));
        }
        let unreachable = config.unreachable.iter().map(|prefix| unreachable_key(config, *prefix));
        let differing = unreachable.filter(|key| self.differs(key)).collect::<Vec<_>>();
        let mut queue = Vec::new();
        for (prefix, want) in &self.wants {
            if want.unanswered
                || want.told != 0
                || want.set.is_none()
                || self.differs(&learned_key(config, *prefix))
            {
                // What has no answer yet comes first: a failure that lasts must not hold it up.
                queue.push((!want.unanswered, *prefix));
            }
        }
        queue.sort_unstable();
        self.others.extend(differing);
        self.queue.extend(queue.into_iter().map(|(_, prefix)| prefix));
        for want in self.wants.values_mut() {
            want.queued = false;
        }
        for prefix in &self.queue {
            if let Some(want) = self.wants.get_mut(prefix) {
                want.queued = true;
            }
        }
        self.queue_surplus();
    }

    /// How many routes of ours are believed to be written.
    #[must_use]
    pub fn written(&self) -> PerFamily<usize> {
        self.written.count()
    }

    /// How many routes of ours there are in all.
    #[must_use]
    pub fn written_total(&self) -> usize {
        self.written.len()
    }

    /// The protocol number that marks what is written.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.config.as_ref().map_or(0, |config| config.protocol)
    }

    fn differs(&self, key: &Key) -> bool {
        self.written.get(key) != self.wanted(key).as_ref()
    }

    /// Queues our routes that are not wanted, once they may go.
    fn queue_surplus(&mut self) {
        let Some(config) = &self.config else { return };
        if self.swept || !config.install {
            let surplus: Vec<_> =
                self.written.keys().filter(|key| self.wanted(key).is_none()).copied().collect();
            self.others.extend(surplus);
        }
    }

    /// The route that a key should have.
    fn wanted(&self, key: &Key) -> Option<Route> {
        let config = self.config.as_ref().filter(|config| config.install && config.table == key.table)?;
        let route = |target, source| Route { protocol: config.protocol, target, source };
        if key.metric == UNREACHABLE_METRIC && config.unreachable.contains(&key.prefix) {
            return Some(route(Target::Unreachable, None));
        }
        if key.metric != config.metric {
            return None;
        }
        let set = self.wants.get(&key.prefix)?.set?;
        let set = self.sets.get(&set)?;
        let legs = set.legs.as_ref()?;
        let target = match set.group {
            Some(group) if self.objects => Target::Object(group),
            _ => Target::Via(Arc::clone(legs)),
        };
        Some(route(target, self.source[key.family()]))
    }

    /// Whether a change of a route of any owner to this destination can concern ours.
    #[must_use]
    pub fn concerns(&self, prefix: Prefix) -> bool {
        self.wants.contains_key(&prefix)
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
        if self.config.is_none() {
            return (operations, acks);
        }
        while operations.len() < limit
            && let Some(key) = self.others.pop_first()
        {
            if let Some(action) = step(key.family(), self.written.get(&key), self.wanted(&key)) {
                operations.push(Operation { key, action });
            }
        }
        let mut left = if self.first > 0 { std::mem::take(&mut self.first) } else { usize::MAX };
        while operations.len() < limit
            && acks.len() < limit
            && left > 0
            && let Some(prefix) = self.queue.pop_front()
        {
            left -= 1;
            let Some(config) = &self.config else { break };
            let key = learned_key(config, prefix);
            if let Some(want) = self.wants.get_mut(&prefix) {
                want.queued = false;
            }
            match step(key.family(), self.written.get(&key), self.wanted(&key)) {
                Some(action) => operations.push(Operation { key, action }),
                None => acks.extend(self.answer(prefix, 0)),
            }
        }
        (operations, acks)
    }

    /// Takes the kernel's word on the operations of a batch; the answers that follow from it.
    pub fn settle(&mut self, operations: Vec<Operation>, results: &[u16]) -> Vec<RouteAck> {
        let mut acks = Vec::new();
        for (Operation { key, action }, errno) in operations.into_iter().zip(results) {
            let code = i32::from(*errno);
            let gone = matches!(code, libc::ESRCH | libc::ENOENT);
            // What was written whole is what is wanted: nothing has changed since the batch was made.
            let whole = code == 0 && matches!(action, Action::Create(_) | Action::Replace(_));
            let errno = match action {
                Action::Create(route) | Action::Replace(route) | Action::Join { result: route, .. }
                    if code == 0 =>
                {
                    self.written.insert(key, route);
                    self.surplus = true;
                    self.refused.remove(&key);
                    0
                }
                // A way that is not there, or is another owner's, is none of ours.
                Action::Part { result, way } if code == 0 || gone => {
                    // Where the leg was not there, the kernel has taken a route with an object for it.
                    let named = result.target.ways().is_some_and(|(_, ids)| !ids.is_empty());
                    self.doubtful |= named && matches!(way, Target::Via(_));
                    self.written.insert(key, result);
                    self.surplus = true;
                    0
                }
                Action::Delete(_) if code == 0 || gone => {
                    self.written.remove(&key);
                    self.surplus = true;
                    // Gone already, or not quite what it was believed to be.
                    self.doubtful |= gone;
                    0
                }
                Action::Replace(_) if gone => {
                    self.written.remove(&key);
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
            let learned = self.is_learned(&key);
            if errno == 0 && !whole && self.differs(&key) {
                self.enqueue(key, learned);
            } else if learned {
                acks.extend(self.answer(key.prefix, errno));
            }
        }
        acks
    }

    /// Takes a batch back whose result was lost; a dump is due.
    pub fn doubt(&mut self, operations: &[Operation]) {
        self.doubtful = true;
        for operation in operations {
            self.enqueue(operation.key, self.is_learned(&operation.key));
        }
    }

    /// Whether the key is that of a learned route.
    fn is_learned(&self, key: &Key) -> bool {
        self.config.as_ref().is_some_and(|config| learned_key(config, key.prefix) == *key)
    }

    fn enqueue(&mut self, key: Key, learned: bool) {
        match self.wants.get_mut(&key.prefix) {
            Some(want) if learned => {
                if !std::mem::replace(&mut want.queued, true) {
                    self.queue.push_back(key.prefix);
                }
            }
            _ => {
                self.others.insert(key);
            }
        }
    }

    /// The answer for a prefix: to its newest change, or because its state has changed since the last answer.
    fn answer(&mut self, prefix: Prefix, errno: u16) -> Option<RouteAck> {
        let install = self.config.as_ref().is_some_and(|config| config.install);
        let want = self.wants.get_mut(&prefix)?;
        let resolves = want.set.is_none_or(|set| self.sets.get(&set).is_some_and(|set| set.legs.is_some()));
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
            self.wants.remove(&prefix);
        }
        news.then_some(RouteAck { prefix, set, errno })
    }
}

const fn learned_key(config: &KernelConfig, prefix: Prefix) -> Key {
    Key { table: config.table, prefix, metric: config.metric }
}

const fn unreachable_key(config: &KernelConfig, prefix: Prefix) -> Key {
    Key { table: config.table, prefix, metric: UNREACHABLE_METRIC }
}
