//! A row a prefix: what is wanted of it, and which route of ours is believed to be in the kernel under the key that
//! learned routes have. Beside them our routes under other keys, and how many routes name each next-hop object.
//!
//! Rows lie in the order in which their prefixes came, so that a table is written and answered in the order of memory;
//! only a change looks its row up by the prefix. A row stays while something is wanted or believed of it, or while its
//! number waits in a queue.

use std::hash::BuildHasher;
use std::sync::Arc;

use bgp::io::SetId;
use bgp::prefix::{PerFamily, Prefix};
use foldhash::HashMap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::super::route::{Key, Route, Target};
use super::super::view::OwnRoutes;

/// Routes that are remembered to be shared: thousands are alike in all but their prefix.
const RECENT: usize = 8;

/// The number of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(u32);

/// What is wanted of a prefix.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Want {
    /// `None`: the route has to go.
    pub(super) set: Option<SetId>,
    /// Whether the newest change has had no answer yet.
    pub(super) unanswered: bool,
    /// The errno of the last answer.
    pub(super) told: u16,
}

/// One prefix.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) prefix: Prefix,
    pub(super) want: Option<Want>,
    /// Whether its number is in the queue.
    pub(super) queued: bool,
    have: Option<Arc<Route>>,
}

impl Row {
    /// The route that is believed to be in the kernel.
    pub(super) fn have(&self) -> Option<&Route> {
        self.have.as_deref()
    }

    const fn is_vacant(&self) -> bool {
        self.want.is_none() && self.have.is_none() && !self.queued
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Book {
    rows: Vec<Row>,
    vacant: Vec<At>,
    index: HashTable<At>,
    hasher: RandomState,
    /// The table and the metric of learned routes.
    learned: Option<(u32, u32)>,
    /// How many rows have a route.
    written: usize,
    others: HashMap<Key, Route>,
    users: HashMap<u32, usize>,
    recent: Vec<Arc<Route>>,
}

impl Book {
    /// From here on learned routes have this table and metric.
    pub(super) fn learn(&mut self, table: u32, metric: u32) {
        if self.learned == Some((table, metric)) {
            return;
        }
        let all: OwnRoutes = self.keys().filter_map(|key| Some((key, self.get(&key)?.clone()))).collect();
        self.learned = Some((table, metric));
        self.replace(all);
    }

    /// Takes what was dumped in the place of what is believed.
    pub(super) fn replace(&mut self, routes: OwnRoutes) {
        self.users.clear();
        self.recent.clear();
        self.others.clear();
        self.rows.iter_mut().for_each(|row| row.have = None);
        self.written = 0;
        for (key, route) in routes {
            self.insert(key, route);
        }
        self.tidy();
    }

    /// Whether the key is that of a learned route.
    pub(super) fn is_learned(&self, key: &Key) -> bool {
        self.learned == Some((key.table, key.metric))
    }

    /// The row of a prefix.
    pub(super) fn find(&self, prefix: Prefix) -> Option<At> {
        let hash = self.hasher.hash_one(prefix);
        self.index.find(hash, |at| self.rows[at.0 as usize].prefix == prefix).copied()
    }

    /// The row of a prefix, which is made where there is none.
    pub(super) fn make(&mut self, prefix: Prefix) -> At {
        let Self { rows, vacant, index, hasher, .. } = self;
        let hash = hasher.hash_one(prefix);
        if let Some(at) = index.find(hash, |at| rows[at.0 as usize].prefix == prefix) {
            return *at;
        }
        let row = Row { prefix, want: None, queued: false, have: None };
        let at = match vacant.pop() {
            Some(at) => {
                rows[at.0 as usize] = row;
                at
            }
            None => {
                // Fewer than 2^32 prefixes fit into any machine's memory.
                let at = At(u32::try_from(rows.len()).unwrap_or(u32::MAX));
                rows.push(row);
                at
            }
        };
        index.insert_unique(hash, at, |at| hasher.hash_one(rows[at.0 as usize].prefix));
        at
    }

    pub(super) fn row(&self, at: At) -> &Row {
        &self.rows[at.0 as usize]
    }

    pub(super) fn row_mut(&mut self, at: At) -> &mut Row {
        &mut self.rows[at.0 as usize]
    }

    /// The row of a number that was good once, if it still is the prefix's.
    pub(super) fn still(&self, at: Option<At>, prefix: Prefix) -> Option<At> {
        let is = |at: &At| self.rows.get(at.0 as usize).is_some_and(|row| row.prefix == prefix);
        at.filter(is).filter(|at| !self.row(*at).is_vacant()).or_else(|| self.find(prefix))
    }

    /// Gives a row up if nothing needs it.
    pub(super) fn release(&mut self, at: At) {
        let Self { rows, vacant, index, hasher, .. } = self;
        let row = &rows[at.0 as usize];
        if !row.is_vacant() {
            return;
        }
        if let Ok(entry) = index.find_entry(hasher.hash_one(row.prefix), |other| *other == at) {
            entry.remove();
            vacant.push(at);
        }
        if index.is_empty() {
            (*rows, *vacant, *index) = Default::default();
        }
    }

    /// Gives up all rows that nothing needs.
    pub(super) fn tidy(&mut self) {
        for at in 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX) {
            if self.rows.get(at as usize).is_some_and(Row::is_vacant) {
                self.release(At(at));
            }
        }
    }

    /// The rows by which something is wanted.
    pub(super) fn wants(&self) -> impl Iterator<Item = (At, &Row, Want)> {
        (0..).map(At).zip(&self.rows).filter_map(|(at, row)| Some((at, row, row.want?)))
    }

    /// All rows.
    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = (At, &mut Row)> {
        (0..).map(At).zip(&mut self.rows)
    }

    /// Whether something is wanted of a prefix.
    pub(super) fn wants_any(&self, prefix: Prefix) -> bool {
        self.find(prefix).is_some_and(|at| self.row(at).want.is_some())
    }

    /// The route that is believed to be in the kernel.
    pub(super) fn get(&self, key: &Key) -> Option<&Route> {
        if self.is_learned(key) { self.row(self.find(key.prefix)?).have() } else { self.others.get(key) }
    }

    /// All keys that are believed to have a route of ours.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.routes().map(|(key, _)| key)
    }

    fn routes(&self) -> impl Iterator<Item = (Key, &Route)> {
        let (table, metric) = self.learned.unwrap_or_default();
        let key = move |row: &Row| Key { table, prefix: row.prefix, metric };
        let rows = self.rows.iter().filter_map(move |row| Some((key(row), row.have()?)));
        rows.chain(self.others.iter().map(|(key, route)| (*key, route)))
    }

    pub(super) fn insert(&mut self, key: Key, route: Route) {
        if self.is_learned(&key) {
            let at = self.make(key.prefix);
            self.write(at, route);
            return;
        }
        count(&mut self.users, &route);
        if let Some(before) = self.others.insert(key, route) {
            discount(&mut self.users, &before);
        }
    }

    /// A row has this route.
    pub(super) fn write(&mut self, at: At, route: Route) {
        count(&mut self.users, &route);
        let route = self.shared(route);
        match self.row_mut(at).have.replace(route) {
            Some(before) => discount(&mut self.users, &before),
            None => self.written += 1,
        }
    }

    fn shared(&mut self, route: Route) -> Arc<Route> {
        if let Some(known) = self.recent.iter().find(|known| ***known == route) {
            return Arc::clone(known);
        }
        let route = Arc::new(route);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push(Arc::clone(&route));
        route
    }

    /// The kernel has no such route; a row that nothing needs any more goes.
    pub(super) fn remove(&mut self, key: &Key) {
        if !self.is_learned(key) {
            if let Some(before) = self.others.remove(key) {
                discount(&mut self.users, &before);
            }
            return;
        }
        let Some(at) = self.find(key.prefix) else { return };
        if let Some(before) = self.row_mut(at).have.take() {
            self.written -= 1;
            discount(&mut self.users, &before);
        }
        self.release(at);
    }

    /// How many routes name an object.
    pub(super) fn users(&self, object: u32) -> usize {
        self.users.get(&object).copied().unwrap_or_default()
    }

    /// The routes that name an object.
    pub(super) fn naming(&self, object: u32) -> impl Iterator<Item = Key> {
        let names = move |route: &Route| route.target.ways().is_some_and(|(_, ids)| ids.contains(&object));
        self.routes().filter(move |(_, route)| names(route)).map(|(key, _)| key)
    }

    /// Whether any route names an object.
    pub(super) fn names_objects(&self) -> bool {
        !self.users.is_empty()
    }

    /// The kernel has deleted these objects, and with them the routes that named them.
    pub(super) fn forget(&mut self, objects: &[u32]) {
        if objects.iter().all(|object| self.users(*object) == 0) {
            return;
        }
        let Self { rows, others, users, written, .. } = self;
        for row in rows.iter_mut() {
            let Some(left) = row.have.as_deref().and_then(|have| without(have, objects)) else { continue };
            let before = std::mem::replace(&mut row.have, left.map(Arc::new));
            before.iter().for_each(|before| discount(users, before));
            match row.have.as_deref() {
                Some(left) => count(users, left),
                None => *written -= 1,
            }
        }
        others.retain(|_, route| {
            let Some(left) = without(route, objects) else { return true };
            discount(users, route);
            let Some(left) = left else { return false };
            count(users, &left);
            *route = left;
            true
        });
        self.tidy();
    }

    pub(super) fn len(&self) -> usize {
        self.written + self.others.len()
    }

    /// How many routes there are of each family.
    pub(super) fn count(&self) -> PerFamily<usize> {
        let mut counts = PerFamily::<usize>::default();
        for key in self.keys() {
            counts[key.family()] += 1;
        }
        counts
    }
}

/// What is left of a route without these objects; `None` where it names none of them.
fn without(route: &Route, objects: &[u32]) -> Option<Option<Route>> {
    let (legs, named) = route.target.ways()?;
    if !named.iter().any(|object| objects.contains(object)) {
        return None;
    }
    let left = named.iter().filter(|object| !objects.contains(object)).copied().collect::<Vec<_>>();
    if legs.is_empty() && left.is_empty() {
        return Some(None);
    }
    Some(Some(Route { target: Target::of_ways(legs.to_vec(), left), ..route.clone() }))
}

fn count(users: &mut HashMap<u32, usize>, route: &Route) {
    for object in route.target.ways().unwrap_or_default().1 {
        *users.entry(*object).or_default() += 1;
    }
}

fn discount(users: &mut HashMap<u32, usize>, route: &Route) {
    for object in route.target.ways().unwrap_or_default().1 {
        if let Some(count) = users.get_mut(object) {
            *count -= 1;
            if *count == 0 {
                users.remove(object);
            }
        }
    }
}
