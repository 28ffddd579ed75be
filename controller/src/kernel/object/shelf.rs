//! Which next-hop objects of ours the kernel has; pure.

use std::collections::BTreeMap;

use super::super::route::Leg;
use super::{Change, Object, What};

/// The objects of our protocol numbers, as the last dump and what was written since say.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    objects: BTreeMap<u32, Object>,
    /// Hops by protocol number and way.
    hops: BTreeMap<(u8, Leg), u32>,
}

impl Shelf {
    /// Takes a dump in the place of everything; the groups that are not there any more.
    pub fn replace(&mut self, objects: impl Iterator<Item = Object>) -> Vec<u32> {
        let before = std::mem::take(&mut self.objects);
        self.hops.clear();
        for object in objects {
            self.insert(object);
        }
        let group = |object: &Object| !matches!(object.what, What::Hop(_));
        before
            .into_values()
            .filter(|old| group(old) && !self.objects.get(&old.id).is_some_and(group))
            .map(|old| old.id)
            .collect()
    }

    /// All objects, ordered by number.
    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    /// Whether there is an object of this number.
    #[must_use]
    pub fn has(&self, id: u32) -> bool {
        self.objects.contains_key(&id)
    }

    /// The hop that leads there, of this protocol number.
    #[must_use]
    pub fn hop(&self, leg: &Leg, protocol: u8) -> Option<u32> {
        self.hops.get(&(protocol, *leg)).copied()
    }

    /// Where a hop leads.
    #[must_use]
    pub fn leg(&self, id: u32) -> Option<&Leg> {
        match &self.objects.get(&id)?.what {
            What::Hop(leg) => Some(leg),
            _ => None,
        }
    }

    /// The hops of a group.
    #[must_use]
    pub fn members(&self, id: u32) -> Option<&[u32]> {
        match &self.objects.get(&id)?.what {
            What::Group(members) => Some(members),
            _ => None,
        }
    }

    /// The groups of this protocol number that consist of these hops.
    pub fn alike<'a>(&'a self, members: &'a [u32], protocol: u8) -> impl Iterator<Item = u32> + 'a {
        let alike = move |object: &&Object| {
            object.protocol == protocol && matches!(&object.what, What::Group(there) if there == members)
        };
        self.objects.values().filter(alike).map(|object| object.id)
    }

    /// The groups that have this hop.
    pub fn holders(&self, hop: u32) -> impl Iterator<Item = u32> {
        let holds =
            move |object: &&Object| matches!(&object.what, What::Group(there) if there.contains(&hop));
        self.objects.values().filter(holds).map(|object| object.id)
    }

    /// Takes in that a change was made, of an object of this number; the groups that are gone because of it.
    pub fn settle(&mut self, change: Change, id: u32, protocol: u8) -> Vec<u32> {
        let what = match change {
            Change::Hop(leg) => What::Hop(leg),
            Change::Group(members) | Change::Regroup(_, members) => What::Group(members),
            Change::Delete(_) => return self.remove(id),
        };
        self.insert(Object { id, protocol, what });
        Vec::new()
    }

    fn insert(&mut self, object: Object) {
        if let What::Hop(leg) = &object.what {
            self.hops.insert((object.protocol, *leg), object.id);
        }
        self.objects.insert(object.id, object);
    }

    fn remove(&mut self, id: u32) -> Vec<u32> {
        let mut gone = Vec::new();
        let removed = self.objects.remove(&id);
        if let Some(Object { what: What::Hop(leg), protocol, .. }) = removed {
            // There may be a second one that leads there.
            self.hops.retain(|way, hop| *way != (protocol, leg) || *hop != id);
        } else if removed.is_some() {
            gone.push(id);
        }
        for object in self.objects.values_mut() {
            if let What::Group(members) = &mut object.what {
                let before = members.len();
                members.retain(|member| *member != id);
                if members.is_empty() && before > 0 {
                    gone.push(object.id);
                }
            }
        }
        self.objects.retain(|id, _| !gone.contains(id));
        gone
    }
}
