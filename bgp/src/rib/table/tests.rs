use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::prefix::{Prefix4, Prefix6};
use crate::rib::attributes::AttrId;
use crate::rib::source::SourceId;

/// What a route costs in memory starts here.
#[test]
fn sizes() {
    assert_eq!(size_of::<Path>(), 8);
    assert_eq!(size_of::<Entry<Prefix4>>(), 20);
    assert_eq!(size_of::<Entry<Prefix6>>(), 32);
    assert_eq!(size_of::<EntryId>(), 4);
}

fn path(source: u16) -> Path {
    let attrs = AttrId::from_raw(u32::from(source) + 1).expect("not zero");
    Path::new(attrs, SourceId(source), None)
}

fn sources<K: Key>(table: &Table<K>, slot: u32) -> BTreeSet<u16> {
    table.paths(slot).iter().map(|path| path.source().0).collect()
}

#[test]
fn paths_of_a_prefix_grow_and_shrink_through_every_size() {
    let mut table = Table::<Prefix6>::new(1);
    let key = Prefix6::new(0x2001_0db8 << 96, 32).expect("a prefix");
    let slot = table.find_or_insert(key);
    let other = table.find_or_insert(Prefix6::new(0, 0).expect("a prefix"));
    for source in 0..5_000 {
        table.push_path(slot, path(source));
        if source % 7 == 0 {
            table.push_path(other, path(source));
        }
    }
    assert_eq!(sources(&table, slot).len(), 5_000);
    for gone in 0..5_000 {
        let at = table.paths(slot).iter().position(|path| path.source().0 == gone).expect("there");
        assert_eq!(table.remove_path(slot, at), path(gone));
        assert_eq!(table.paths(slot).len(), usize::from(4_999 - gone));
    }
    assert!(table.entry(slot).is_empty());
    assert_eq!(sources(&table, other), (0..5_000).step_by(7).collect());
}

#[derive(Clone, Debug)]
enum Step {
    Push(u32, u16),
    Remove(u32, usize),
    Free(u32),
    Walk(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..600u32, any::<u16>()).prop_map(|(key, source)| Step::Push(key, source)),
        3 => (0..600u32, any::<usize>()).prop_map(|(key, at)| Step::Remove(key, at)),
        2 => (0..600u32).prop_map(Step::Free),
        2 => (0..64usize).prop_map(Step::Walk),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The table beside a map; a walk that is interrupted by all of this meets
    /// what is there throughout exactly once.
    #[test]
    fn a_table_is_a_map(steps in prop::collection::vec(step(), 0..2000)) {
        let key = |n: u32| Prefix4::new(n << 16, 16).expect("a prefix");
        let mut table = Table::<Prefix4>::new(3);
        let mut map: BTreeMap<u32, (u32, Vec<u16>)> = BTreeMap::new();
        let mut at = Position::default();
        let mut met = Vec::new();
        let mut throughout: BTreeSet<u32> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Push(n, source) => {
                    let slot = table.find_or_insert(key(n));
                    let held = map.entry(n).or_insert((slot, Vec::new()));
                    prop_assert_eq!(held.0, slot, "an entry keeps its number");
                    table.push_path(slot, path(source));
                    held.1.push(source);
                }
                Step::Remove(n, which) => {
                    if let Some((slot, held)) = map.get_mut(&n).filter(|(_, held)| !held.is_empty()) {
                        let which = which % held.len();
                        prop_assert_eq!(table.remove_path(*slot, which).source().0, held.swap_remove(which));
                    }
                }
                Step::Free(n) => {
                    if let Some((slot, _)) = map.get(&n).filter(|(_, held)| held.is_empty()) {
                        table.free(*slot);
                        prop_assert!(table.used(*slot).is_none());
                        map.remove(&n);
                        throughout.remove(&n);
                    }
                }
                Step::Walk(count) => {
                    for _ in 0..count {
                        let Some((slot, next)) = table.next(at) else {
                            prop_assert!(throughout.iter().all(|n| met.iter().filter(|m| *m == n).count() == 1));
                            at = Position::default();
                            met.clear();
                            throughout = map.keys().copied().collect();
                            break;
                        };
                        met.push(table.entry(slot).key().bits() >> 16);
                        at = next;
                    }
                }
            }
        }
        prop_assert_eq!(table.len(), map.len());
        prop_assert_eq!(table.path_count(), map.values().map(|(_, held)| held.len()).sum::<usize>());
        for n in 0..600 {
            let found = table.find(key(n));
            prop_assert_eq!(found, map.get(&n).map(|(slot, _)| *slot));
            if let Some((slot, held)) = map.get(&n) {
                let paths: Vec<u16> = table.paths(*slot).iter().map(|path| path.source().0).collect();
                prop_assert_eq!(&paths, held);
            }
        }
    }
}

/// Hashes of which many share a bucket and a tag, so that places go by full buckets, and back.
fn crowded() -> impl Strategy<Value = u64> {
    (0..4u64, 0..40u64).prop_map(|(tag, bucket)| tag << 56 | bucket << 26)
}

proptest! {
    #[test]
    fn an_index_is_a_map_however_crowded(steps in prop::collection::vec((crowded(), any::<bool>()), 0..600)) {
        let mut index = Index::new();
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        for (place, (hash, comes)) in (0..).zip(steps) {
            if comes {
                if index.is_full() {
                    index.enlarge();
                    model.iter().for_each(|(&place, &hash)| index.insert(hash, place));
                }
                index.insert(hash, place);
                model.insert(place, hash);
            } else if let Some((&gone, &hash)) = model.iter().find(|(_, held)| **held >= hash) {
                index.remove(hash, gone);
                model.remove(&gone);
                prop_assert_eq!(index.find(hash, |place| place == gone), None);
            }
            for (&place, &hash) in &model {
                prop_assert_eq!(index.find(hash, |found| found == place), Some(place));
            }
        }
    }
}
