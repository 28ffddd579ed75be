//! A model of the kernel's routes and next-hop objects, with the deletions that it makes without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::prefix::Family;
use controller::kernel::object::{Change, Object, What};
use controller::kernel::plan::{Action, Operation};
use controller::kernel::route::{Key, Leg, Route, Target};

use super::STATIC;

/// The routes in the order of arrival, for IPv4 as they are, for IPv6 each leg and each object by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    pub(super) routes: Vec<(Key, Route)>,
    pub(super) objects: BTreeMap<u32, Object>,
    last: u32,
    /// Ways out of which it makes no hop.
    pub(super) unmade: BTreeSet<Leg>,
}

impl Kernel {
    pub(super) fn insert(&mut self, key: Key, route: &Route) {
        match &route.target {
            Target::Via(legs) if key.family() == Family::Ipv6 => self.routes.extend(
                legs.iter()
                    .map(|leg| (key, Route { target: Target::Via(Arc::new([*leg])), ..route.clone() })),
            ),
            Target::Mixed { .. } => panic!("no message says that"),
            _ => self.routes.push((key, route.clone())),
        }
    }

    /// Removes the first entry that a delete of this protocol and way means.
    fn remove(&mut self, key: Key, protocol: u8, way: &Target) -> i32 {
        let six = key.family() == Family::Ipv6;
        let first = |kernel: &mut Self, leg: Option<&Leg>| {
            let at = kernel.routes.iter().position(|(there, route)| {
                *there == key
                    && route.protocol == protocol
                    && match (&route.target, way) {
                        _ if !six => true,
                        (Target::Object(there), Target::Object(id)) => there == id,
                        (_, Target::Object(_)) => false,
                        // Whoever names a gateway and no object takes the first route with an object.
                        (Target::Object(_), _) => true,
                        (Target::Via(there), _) => leg.is_none_or(|leg| there.contains(leg)),
                        _ => true,
                    }
            });
            at.map(|at| drop(kernel.routes.remove(at))).is_some()
        };
        let found = match way {
            Target::Via(legs) if six => legs.iter().map(|leg| first(self, Some(leg))).min() == Some(true),
            _ => first(self, None),
        };
        if found { 0 } else { libc::ESRCH }
    }

    fn replace(&mut self, key: Key, route: &Route) {
        let first = self.routes.iter().position(|(there, _)| *there == key).unwrap();
        if key.family() == Family::Ipv4 {
            self.routes[first].1 = route.clone();
            return;
        }
        // Legs take the place of legs, an object of an object; where there is none, of what is first.
        let legs = |route: &Route| matches!(route.target, Target::Via(_));
        let alike = self.routes.iter().position(|(there, old)| *there == key && legs(old) == legs(route));
        let at = alike.unwrap_or(first);
        if legs(&self.routes[at].1) {
            self.routes.retain(|(there, old)| *there != key || !legs(old));
        } else {
            self.routes.remove(at);
        }
        self.insert(key, route);
    }

    pub(super) fn apply(&mut self, Operation { key, action }: &Operation) -> u16 {
        let there = self.routes.iter().any(|(there, _)| there == key);
        let way = match action {
            Action::Create(route) | Action::Replace(route) => Some(&route.target),
            Action::Join { way, .. } => Some(way),
            Action::Part { .. } | Action::Delete(_) => None,
        };
        if let Some(Target::Object(id)) = way
            && !self.objects.contains_key(id)
        {
            return libc::EINVAL as u16;
        }
        let errno = match action {
            Action::Create(_) if there => libc::EEXIST,
            Action::Create(route) => {
                self.insert(*key, route);
                0
            }
            Action::Replace(_) if !there => libc::ENOENT,
            Action::Replace(route) => {
                self.replace(*key, route);
                0
            }
            Action::Join { way, result } => {
                assert_eq!(key.family(), Family::Ipv6);
                self.insert(*key, &Route { target: way.clone(), ..result.clone() });
                0
            }
            Action::Part { way, result } => {
                assert_eq!(key.family(), Family::Ipv6);
                self.remove(*key, result.protocol, way)
            }
            Action::Delete(route) => self.remove(*key, route.protocol, &route.target),
        };
        u16::try_from(errno).unwrap()
    }

    /// Makes a change of objects for this protocol.
    pub(super) fn change(&mut self, change: &Change, protocol: u8) -> Result<u32, u16> {
        let known = |members: &[u32]| {
            members.iter().all(|id| matches!(self.objects.get(id), Some(Object { what: What::Hop(_), .. })))
        };
        match change {
            Change::Hop(leg) if self.unmade.contains(leg) => Err(libc::ENETUNREACH as u16),
            Change::Group(members) | Change::Regroup(_, members) if members.is_empty() || !known(members) => {
                Err(libc::EINVAL as u16)
            }
            Change::Regroup(id, _) | Change::Delete(id) if !self.objects.contains_key(id) => {
                Err(libc::ENOENT as u16)
            }
            Change::Hop(leg) => Ok(self.make(protocol, What::Hop(*leg))),
            Change::Group(members) => Ok(self.make(protocol, What::Group(members.clone()))),
            Change::Regroup(id, members) => {
                let object = self.objects.get_mut(id).unwrap();
                assert_ne!(object.protocol, STATIC, "another owner's object");
                assert!(matches!(object.what, What::Group(_)));
                object.what = What::Group(members.clone());
                Ok(*id)
            }
            Change::Delete(id) => {
                assert_ne!(self.objects[id].protocol, STATIC, "another owner's object");
                self.delete(*id);
                Ok(*id)
            }
        }
    }

    pub(super) fn make(&mut self, protocol: u8, what: What) -> u32 {
        self.last += 1;
        self.objects.insert(self.last, Object { id: self.last, protocol, what });
        self.last
    }

    /// Deletes an object, groups that are empty without it, and the routes of these.
    pub(super) fn delete(&mut self, id: u32) {
        let mut gone = BTreeSet::from([id]);
        self.objects.remove(&id);
        for object in self.objects.values_mut() {
            if let What::Group(members) = &mut object.what {
                members.retain(|member| *member != id);
                if members.is_empty() {
                    gone.insert(object.id);
                }
            }
        }
        self.objects.retain(|id, _| !gone.contains(id));
        self.routes.retain(|(_, route)| !matches!(route.target, Target::Object(id) if gone.contains(&id)));
    }

    /// An interface loses its carrier for a moment: the hops that lead there are gone.
    pub(super) fn flap(&mut self, away: impl Fn(&Leg) -> bool) {
        let hops = self.objects.values().filter(|object| matches!(&object.what, What::Hop(leg) if away(leg)));
        for id in hops.map(|object| object.id).collect::<Vec<_>>() {
            self.delete(id);
        }
    }

    /// The routes of these protocols. IPv6 legs are one route with the protocol of the first; beside it stand those
    /// with an object, each with its own.
    pub(super) fn dump(&self, protocols: &BTreeSet<u8>) -> BTreeMap<Key, Route> {
        let mut routes = BTreeMap::<(Key, u32), Route>::new();
        for (key, route) in &self.routes {
            let object = if let Target::Object(id) = route.target { id } else { 0 };
            let object = if key.family() == Family::Ipv6 { object } else { 0 };
            let seen = routes.entry((*key, object)).or_insert_with(|| route.clone());
            if let (Target::Via(all), Target::Via(legs)) = (&seen.target, &route.target)
                && key.family() == Family::Ipv6
            {
                let all: BTreeSet<_> = all.iter().chain(legs.iter()).copied().collect();
                seen.target = Target::Via(all.into_iter().collect());
            }
        }
        routes.retain(|_, route| protocols.contains(&route.protocol));
        let mut dump = BTreeMap::<Key, Route>::new();
        for ((key, _), route) in routes {
            match dump.get_mut(&key) {
                None => drop(dump.insert(key, route)),
                Some(seen) => {
                    let (one, two) = (seen.target.ways().unwrap(), route.target.ways().unwrap());
                    seen.target = Target::of_ways([one.0, two.0].concat(), [one.1, two.1].concat());
                }
            }
        }
        dump
    }

    /// Our routes, objects followed to where they lead.
    pub(super) fn ours(&self) -> BTreeMap<Key, Route> {
        let mut routes = self.dump(&[171, 172].into());
        for route in routes.values_mut() {
            if let Target::Object(id) = route.target {
                let What::Group(members) = &self.objects[&id].what else {
                    panic!("a route that names a hop")
                };
                let legs = members.iter().map(|member| match &self.objects[member].what {
                    What::Hop(leg) => *leg,
                    what => panic!("{what:?} in a group"),
                });
                route.target = Target::of_ways(legs.collect(), Vec::new());
            }
        }
        routes
    }

    pub(super) fn others(&self) -> Vec<(Key, Route)> {
        self.routes.iter().filter(|(_, route)| route.protocol == STATIC).cloned().collect()
    }

    pub(super) fn other_objects(&self) -> Vec<Object> {
        self.objects.values().filter(|object| object.protocol == STATIC).cloned().collect()
    }
}
