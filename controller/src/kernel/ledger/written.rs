//! Which routes of ours are believed to be in the kernel, and how many of them name each next-hop object.

use bgp::prefix::PerFamily;
use foldhash::HashMap;

use super::super::route::{Key, Route, Target};
use super::super::view::OwnRoutes;

/// The belief.
#[derive(Debug, Default)]
pub(super) struct Written {
    routes: OwnRoutes,
    users: HashMap<u32, usize>,
}

impl Written {
    /// Takes what was dumped.
    pub(super) fn replace(&mut self, routes: OwnRoutes) {
        self.users.clear();
        for route in routes.values() {
            count(&mut self.users, route);
        }
        self.routes = routes;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Route> {
        self.routes.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.routes.keys()
    }

    pub(super) fn insert(&mut self, key: Key, route: Route) {
        count(&mut self.users, &route);
        if let Some(before) = self.routes.insert(key, route) {
            discount(&mut self.users, &before);
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(before) = self.routes.remove(key) {
            discount(&mut self.users, &before);
        }
    }

    /// How many routes name an object.
    pub(super) fn users(&self, object: u32) -> usize {
        self.users.get(&object).copied().unwrap_or_default()
    }

    /// The routes that name an object.
    pub(super) fn naming(&self, object: u32) -> impl Iterator<Item = &Key> {
        let names = move |route: &Route| route.target.ways().is_some_and(|(_, ids)| ids.contains(&object));
        self.routes.iter().filter(move |(_, route)| names(route)).map(|(key, _)| key)
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
        let Self { routes, users } = self;
        routes.retain(|_, route| {
            let Some((legs, named)) = route.target.ways() else { return true };
            if !named.iter().any(|object| objects.contains(object)) {
                return true;
            }
            discount(users, route);
            let left = named.iter().filter(|object| !objects.contains(object)).copied().collect::<Vec<_>>();
            if legs.is_empty() && left.is_empty() {
                return false;
            }
            route.target = Target::of_ways(legs.to_vec(), left);
            count(users, route);
            true
        });
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    /// How many routes there are of each family.
    pub(super) fn count(&self) -> PerFamily<usize> {
        let mut counts = PerFamily::<usize>::default();
        for key in self.routes.keys() {
            counts[key.family()] += 1;
        }
        counts
    }
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
