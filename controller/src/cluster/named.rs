//! Values by name, in a map whose copies share what they hold: of thousands of Nodes one changes at a time, and
//! whoever keeps a set, the agent, the checkpoint's writer, keeps it whole.
//!
//! A treap: ordered by name, and from the top down by a hash of the name. So the same names always hang in the same
//! shape, and what differs between two copies is found along the way to it, past everything that they share.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Values by name. A copy costs nothing, a change some `log n` small copies.
#[derive(Clone)]
pub struct Named<V> {
    root: Tree<V>,
    len: usize,
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

/// A value that two maps have differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference<V> {
    /// Its name.
    pub name: Arc<str>,
    /// As it is in the one.
    pub before: Option<Arc<V>>,
    /// As it is in the other.
    pub after: Option<Arc<V>>,
}

type Tree<V> = Option<Arc<Branch<V>>>;

struct Branch<V> {
    name: Arc<str>,
    weight: u64,
    entry: Arc<V>,
    left: Tree<V>,
    right: Tree<V>,
}

impl<V> Clone for Branch<V> {
    fn clone(&self) -> Self {
        let Self { name, weight, entry, left, right } = self;
        let (left, right) = (left.clone(), right.clone());
        Self { name: Arc::clone(name), weight: *weight, entry: Arc::clone(entry), left, right }
    }
}

impl<V> Branch<V> {
    /// Whether this stands above the other.
    fn is_above(&self, other: &Self) -> bool {
        (self.weight, &self.name) > (other.weight, &other.name)
    }
}

impl<V> Named<V> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&V> {
        let mut at = self.root.as_ref();
        while let Some(branch) = at {
            at = match name.cmp(&branch.name) {
                std::cmp::Ordering::Less => branch.left.as_ref(),
                std::cmp::Ordering::Equal => return Some(&branch.entry),
                std::cmp::Ordering::Greater => branch.right.as_ref(),
            };
        }
        None
    }

    /// Whether there is one of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Puts a value in, in the place of one of the same name.
    pub fn insert(&mut self, name: &str, entry: V) {
        self.len += usize::from(!self.contains_key(name));
        let new = Branch {
            weight: weight(name),
            name: name.into(),
            entry: Arc::new(entry),
            left: None,
            right: None,
        };
        put(&mut self.root, new);
    }

    /// Takes a value out; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let there = self.contains_key(name);
        if there {
            self.len -= 1;
            take(&mut self.root, name);
        }
        there
    }

    /// Takes the first value out.
    pub fn pop_first(&mut self) -> Option<(String, V)>
    where
        V: Clone,
    {
        let (name, entry) = self.iter().next().map(|(name, entry)| (name.to_owned(), entry.clone()))?;
        self.remove(&name);
        Some((name, entry))
    }

    /// The values in the order of their names.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, V> {
        let mut iter = Iter { path: Vec::new() };
        iter.descend(&self.root);
        iter
    }

    /// The names in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values without their names, in the order of those.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, entry)| entry)
    }

    /// What differs in a later map, in the order of the names. It costs some `log n` a difference where the one has
    /// come of the other.
    #[must_use]
    pub fn differences(&self, later: &Self) -> Vec<Difference<V>>
    where
        V: PartialEq,
    {
        let mut found = Vec::new();
        differ(&self.root, &later.root, &mut found);
        found
    }
}

/// The values in the order of their names.
pub struct Iter<'a, V> {
    /// Those whose left side is done.
    path: Vec<&'a Branch<V>>,
}

impl<'a, V> Iter<'a, V> {
    fn descend(&mut self, mut at: &'a Tree<V>) {
        while let Some(branch) = at {
            self.path.push(branch);
            at = &branch.left;
        }
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a str, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let branch = self.path.pop()?;
        self.descend(&branch.right);
        Some((&branch.name, &branch.entry))
    }
}

impl<'a, V> IntoIterator for &'a Named<V> {
    type Item = (&'a str, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

impl<V: PartialEq> PartialEq for Named<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.differences(other).is_empty()
    }
}

impl<V: fmt::Debug> fmt::Debug for Named<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// The same for the same name in each process: the shape hangs on it, and nothing else.
fn weight(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

fn put<V>(tree: &mut Tree<V>, mut new: Branch<V>) {
    match tree {
        Some(branch) if branch.name == new.name => Arc::make_mut(branch).entry = new.entry,
        Some(branch) if branch.is_above(&new) => {
            let branch = Arc::make_mut(branch);
            let side = if new.name < branch.name { &mut branch.left } else { &mut branch.right };
            put(side, new);
        }
        // One of the name would stand above what is here.
        _ => {
            (new.left, new.right) = split(tree.take(), &new.name);
            *tree = Some(Arc::new(new));
        }
    }
}

fn take<V>(tree: &mut Tree<V>, name: &str) {
    let Some(branch) = tree else { return };
    if *branch.name == *name {
        let (left, right) = (branch.left.clone(), branch.right.clone());
        *tree = join(left, right);
        return;
    }
    let branch = Arc::make_mut(branch);
    take(if *name < *branch.name { &mut branch.left } else { &mut branch.right }, name);
}

/// What stands before a name and what stands behind it; the name itself is not in the tree.
fn split<V>(tree: Tree<V>, name: &str) -> (Tree<V>, Tree<V>) {
    let Some(mut top) = tree else { return (None, None) };
    let branch = Arc::make_mut(&mut top);
    if *branch.name < *name {
        let (before, behind) = split(branch.right.take(), name);
        branch.right = before;
        (Some(top), behind)
    } else {
        let (before, behind) = split(branch.left.take(), name);
        branch.left = behind;
        (before, Some(top))
    }
}

/// One tree of two, of which the first stands before the second.
fn join<V>(left: Tree<V>, right: Tree<V>) -> Tree<V> {
    match (left, right) {
        (Some(mut left), Some(right)) if left.is_above(&right) => {
            let branch = Arc::make_mut(&mut left);
            branch.right = join(branch.right.take(), Some(right));
            Some(left)
        }
        (Some(left), Some(mut right)) => {
            let branch = Arc::make_mut(&mut right);
            branch.left = join(Some(left), branch.left.take());
            Some(right)
        }
        (left, right) => left.or(right),
    }
}

fn differ<V: PartialEq>(before: &Tree<V>, after: &Tree<V>, found: &mut Vec<Difference<V>>) {
    match (before, after) {
        (None, None) => {}
        (Some(one), Some(other)) if Arc::ptr_eq(one, other) => {}
        (Some(one), Some(other)) if one.name == other.name => {
            differ(&one.left, &other.left, found);
            if !Arc::ptr_eq(&one.entry, &other.entry) && one.entry != other.entry {
                let (before, after) = (Some(Arc::clone(&one.entry)), Some(Arc::clone(&other.entry)));
                found.push(Difference { name: Arc::clone(&one.name), before, after });
            }
            differ(&one.right, &other.right, found);
        }
        // What stands above all of the other side is not in it.
        (Some(one), other) if other.as_ref().is_none_or(|other| one.is_above(other)) => {
            let (left, right) = split(other.clone(), &one.name);
            differ(&one.left, &left, found);
            let before = Some(Arc::clone(&one.entry));
            found.push(Difference { name: Arc::clone(&one.name), before, after: None });
            differ(&one.right, &right, found);
        }
        (one, Some(other)) => {
            let (left, right) = split(one.clone(), &other.name);
            differ(&left, &other.left, found);
            let after = Some(Arc::clone(&other.entry));
            found.push(Difference { name: Arc::clone(&other.name), before: None, after });
            differ(&right, &other.right, found);
        }
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn map(values: &Named<u8>) -> BTreeMap<String, u8> {
        values.iter().map(|(name, value)| (name.to_owned(), *value)).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_and_its_copies_stand(changes in prop::collection::vec((0..40_u8, prop::option::of(0..3_u8)), 0..120)) {
            let (mut nodes, mut model) = (Named::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (name, change) in changes {
                copies.push((nodes.clone(), model.clone()));
                let name = format!("n{name}");
                match change {
                    Some(value) => {
                        nodes.insert(&name, value);
                        model.insert(name, value);
                    }
                    None => prop_assert_eq!(nodes.remove(&name), model.remove(&name).is_some()),
                }
            }
            prop_assert_eq!(map(&nodes), model.clone());
            prop_assert_eq!(nodes.len(), model.len());
            for (copy, before) in copies {
                prop_assert_eq!(map(&copy), before.clone());
                let names = before.keys().chain(model.keys()).collect::<std::collections::BTreeSet<_>>();
                let differ = names.into_iter().filter(|name| before.get(*name) != model.get(*name));
                let expected: Vec<_> = differ
                    .map(|name| (name.clone(), before.get(name).copied(), model.get(name).copied()))
                    .collect();
                let found = copy.differences(&nodes).into_iter();
                let found: Vec<_> = found
                    .map(|it| (it.name.to_string(), it.before.as_deref().copied(), it.after.as_deref().copied()))
                    .collect();
                prop_assert_eq!(found, expected);
                prop_assert_eq!(copy == nodes, before == model);
            }
        }
    }

    #[test]
    fn a_change_copies_the_way_to_it_and_shares_the_rest() {
        let mut nodes = Named::default();
        for number in 0..4_000 {
            nodes.insert(&format!("worker-{number}"), 0_u8);
        }
        let before = nodes.clone();
        nodes.insert("worker-1234", 1);
        fn branches(tree: &Tree<u8>, into: &mut Vec<*const Branch<u8>>) {
            if let Some(branch) = tree {
                into.push(Arc::as_ptr(branch));
                branches(&branch.left, into);
                branches(&branch.right, into);
            }
        }
        let (mut old, mut new) = (Vec::new(), Vec::new());
        branches(&before.root, &mut old);
        branches(&nodes.root, &mut new);
        let old: std::collections::BTreeSet<_> = old.into_iter().collect();
        let copied = new.iter().filter(|branch| !old.contains(*branch)).count();
        // Twice the logarithm of the number is what a treap's paths have, give or take.
        assert!(copied <= 48, "{copied} of {}", new.len());
        assert_eq!(before.differences(&nodes).len(), 1);
    }
}
