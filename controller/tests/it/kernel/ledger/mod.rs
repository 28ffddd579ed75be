//! The ledger against a model of the kernel: whatever happens, in the end the kernel holds what is wanted, every
//! change was answered, and no other owner's route or next-hop object was touched.

mod choice;
mod kernel;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp::io::{NextHop, RouteAck, RouteChange, SetChange, SetId};
use bgp::prefix::{Family, Prefix};
use controller::kernel::command::UNREACHABLE_METRIC;
use controller::kernel::ledger::Ledger;
use controller::kernel::object::{Object, What};
use controller::kernel::route::{Key, Leg, Route, Target};
use controller::kernel::view::View;
use controller::kernel::{KernelConfig, NextHopGroups};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use kernel::Kernel;

const HOPS: u8 = 4;
const PREFIXES: u8 = 6;
const STATIC: u8 = 4;

/// Even numbers are IPv4 prefixes, odd ones IPv6.
fn prefix(number: u8) -> Prefix {
    let text =
        if number.is_multiple_of(2) { format!("10.10.{number}.0/24") } else { format!("fd10:{number}::/64") };
    text.parse().unwrap()
}

fn hop(number: u8) -> NextHop {
    NextHop { address: IpAddr::V4(Ipv4Addr::new(10, 0, 1, number)), via_default: false }
}

fn legs(number: u8) -> Arc<[Leg]> {
    Arc::new([Leg { gateway: Some(hop(number).address), ifindex: 1, onlink: false }])
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, BTreeSet<u8>),
    /// These next hops resolve, the others do not.
    Resolve(BTreeSet<u8>),
    Route(u8, Option<u8>),
    Configure {
        install: bool,
        metric: u32,
        protocol: u8,
        unreachable: BTreeSet<u8>,
        groups: NextHopGroups,
    },
    Sweep,
    Batch {
        limit: usize,
        lost: bool,
    },
    /// Somebody adds a route of their own.
    Other {
        prefix: u8,
        metric: u32,
    },
    OtherLeaves(u8),
    /// Somebody removes ours.
    Flush(BTreeSet<u8>),
    /// The hops of these ways out are gone without a word.
    Flap(BTreeSet<u8>),
    /// Somebody removes every object of ours.
    FlushObjects,
    /// Objects alone are looked at.
    Glance,
    /// The kernel makes no hops of these ways out.
    Unmade(BTreeSet<u8>),
}

fn groups() -> impl Strategy<Value = NextHopGroups> {
    prop_oneof![
        1 => Just(NextHopGroups::Auto),
        3 => Just(NextHopGroups::Always),
        1 => Just(NextHopGroups::Never),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let metric = || prop_oneof![Just(190_u32), Just(200)];
    let some = |count: u8| btree_set(0..count, 0..usize::from(count));
    let step = prop_oneof![
        3 => (0..3_u8, some(HOPS)).prop_map(|(set, members)| Step::Set(set, members)),
        2 => some(HOPS).prop_map(Step::Resolve),
        8 => (0..PREFIXES, proptest::option::of(0..3_u8)).prop_map(|(prefix, set)| Step::Route(prefix, set)),
        1 => (prop::bool::weighted(0.8), metric(), prop_oneof![Just(171_u8), Just(172)], some(2), groups())
            .prop_map(|(install, metric, protocol, unreachable, groups)| {
                Step::Configure { install, metric, protocol, unreachable, groups }
            }),
        1 => Just(Step::Sweep),
        6 => (1..8_usize, prop::bool::weighted(0.2)).prop_map(|(limit, lost)| Step::Batch { limit, lost }),
        2 => (0..PREFIXES, metric()).prop_map(|(prefix, metric)| Step::Other { prefix, metric }),
        1 => (0..PREFIXES).prop_map(Step::OtherLeaves),
        1 => some(PREFIXES).prop_map(Step::Flush),
        2 => some(HOPS).prop_map(Step::Flap),
        1 => Just(Step::FlushObjects),
        1 => Just(Step::Glance),
        1 => some(HOPS).prop_map(Step::Unmade),
    ];
    vec(step, 0..60)
}

#[derive(Default)]
struct World {
    kernel: Kernel,
    ledger: Ledger,
    resolved: BTreeSet<u8>,
    sets: BTreeMap<u8, BTreeSet<u8>>,
    wants: BTreeMap<u8, Option<u8>>,
    config: Option<KernelConfig>,
    acks: HashMap<Prefix, RouteAck>,
    swept: bool,
    stale: bool,
}

impl World {
    fn resolve(&mut self, all: bool) {
        let resolved = &self.resolved;
        self.ledger.resolve(all, |next_hop| {
            let number = (0..HOPS).find(|number| hop(*number) == next_hop)?;
            resolved.contains(&number).then(|| legs(number))
        });
    }

    fn dump(&mut self) {
        self.glance();
        let ours = self.kernel.dump(&self.ledger.ownership().protocols);
        self.ledger.adopt(ours.into_iter().collect(), &View::default());
        self.stale = false;
    }

    fn glance(&mut self) {
        self.ledger.adopt_objects(Some(self.kernel.objects.values().cloned().collect()));
    }

    fn change_objects(&mut self) {
        for _ in 0..20 {
            let changes = self.ledger.object_batch();
            if changes.is_empty() {
                return;
            }
            let protocol = self.ledger.protocol();
            let results: Vec<_> = changes.iter().map(|change| self.kernel.change(change, protocol)).collect();
            self.ledger.settle_objects(changes, &results);
        }
        panic!("the objects do not come to rest");
    }

    fn batch(&mut self, limit: usize, lost: bool) {
        if self.stale || self.ledger.is_doubtful() {
            self.dump();
        }
        self.change_objects();
        let (operations, mut acks) = self.ledger.batch(limit);
        assert!(operations.len() <= limit);
        let results: Vec<_> = operations.iter().map(|operation| self.kernel.apply(operation)).collect();
        if lost {
            self.ledger.doubt(&operations);
            self.dump();
        } else {
            acks.extend(self.ledger.settle(operations, &results));
        }
        self.acks.extend(acks.into_iter().map(|ack| (ack.prefix, ack)));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Set(set, members) => {
                // The speaker drops no set that a route names.
                if members.is_empty() && self.wants.values().any(|used| *used == Some(set)) {
                    return;
                }
                let members_of = members.iter().map(|number| hop(*number)).collect();
                self.ledger.change_sets(vec![SetChange { id: SetId(set.into()), members: members_of }]);
                self.sets.insert(set, members);
                self.resolve(false);
            }
            Step::Resolve(resolved) => {
                self.resolved = resolved;
                self.resolve(true);
            }
            Step::Route(number, set) => {
                let set = set.filter(|set| self.sets.get(set).is_some_and(|members| !members.is_empty()));
                self.wants.insert(number, set);
                let set = set.map(|set| SetId(set.into()));
                self.ledger.change_routes(&[RouteChange { prefix: prefix(number), set }]);
            }
            Step::Configure { install, metric, protocol, unreachable, groups } => {
                let unreachable = unreachable.iter().map(|number| prefix(*number)).collect();
                // An earlier run's protocol number is known by the first configuration.
                let protocol = if self.config.is_none() { 171 } else { protocol };
                let config = KernelConfig {
                    install,
                    metric,
                    protocol,
                    unreachable,
                    next_hop_groups: groups,
                    ..KernelConfig::default()
                };
                self.stale |= self.ledger.configure(config.clone());
                self.config = Some(config);
            }
            Step::Sweep => {
                self.swept = true;
                self.ledger.sweep();
            }
            Step::Batch { limit, lost } => self.batch(limit, lost),
            Step::Other { prefix: number, metric } => {
                let key = Key { table: 254, prefix: prefix(number), metric };
                let there = |own: bool| {
                    self.kernel
                        .routes
                        .iter()
                        .any(|(there, route)| *there == key && own != (route.protocol == STATIC))
                };
                // IPv4 appends it behind ours where ours is there.
                if !there(false) && (key.family() == Family::Ipv4 || !there(true)) {
                    let route = Route { protocol: STATIC, target: Target::Via(legs(9)), source: None };
                    self.kernel.routes.push((key, route));
                }
                self.stale = true;
            }
            Step::OtherLeaves(number) => {
                self.kernel
                    .routes
                    .retain(|(key, route)| key.prefix != prefix(number) || route.protocol != STATIC);
                self.stale = true;
            }
            Step::Flush(numbers) => {
                let gone = |key: &Key| numbers.iter().any(|number| prefix(*number) == key.prefix);
                self.kernel.routes.retain(|(key, route)| route.protocol == STATIC || !gone(key));
                self.stale = true;
            }
            Step::Flap(numbers) => {
                self.kernel.flap(|leg| numbers.iter().any(|number| legs(*number).contains(leg)));
                self.stale = true;
            }
            Step::FlushObjects => {
                let ours = self.kernel.objects.values().filter(|object| object.protocol != STATIC);
                for id in ours.map(|object| object.id).collect::<Vec<_>>() {
                    self.kernel.delete(id);
                }
                self.stale = true;
            }
            Step::Glance => self.glance(),
            Step::Unmade(numbers) => {
                self.kernel.unmade = numbers.iter().flat_map(|number| legs(*number).to_vec()).collect();
                // A look at the interfaces comes with it.
                self.glance();
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.dump();
            while self.ledger.backlog() > 0 {
                self.batch(5, false);
            }
            if !self.ledger.is_doubtful() {
                return;
            }
        }
        panic!("the ledger does not come to rest");
    }

    /// Routes name objects where they should and can, and no object is left that nothing needs.
    fn check_objects(&self, earlier: &BTreeSet<Key>) {
        let config = self.config.as_ref().unwrap();
        let named = |route: &Route| matches!(route.target, Target::Object(_));
        let routes = self.kernel.dump(&[171, 172].into());
        let learned = routes.iter().filter(|(key, route)| {
            route.target != Target::Unreachable && (self.swept || !earlier.contains(key))
        });
        for (key, route) in learned {
            match config.next_hop_groups {
                NextHopGroups::Never => assert!(!named(route), "{key:?} {route:?}"),
                NextHopGroups::Always if self.kernel.unmade.is_empty() => {
                    assert!(named(route), "{key:?} {route:?}");
                }
                _ => {}
            }
        }
        if !self.swept {
            return;
        }
        let ours: Vec<_> = self.kernel.objects.values().filter(|object| object.protocol != STATIC).collect();
        let groups = ours.iter().filter(|object| matches!(object.what, What::Group(_))).count();
        let sets: BTreeSet<_> = self.wants.values().flatten().collect();
        assert!(groups <= sets.len(), "{ours:?}");
        for object in &ours {
            let held = |other: &&Object| matches!(&other.what, What::Group(ids) if ids.contains(&object.id));
            assert!(
                !matches!(object.what, What::Hop(_)) || ours.iter().copied().any(|other| held(&other)),
                "{ours:?}"
            );
        }
        if config.next_hop_groups == NextHopGroups::Never || !config.install {
            assert_eq!(ours, Vec::<&Object>::new());
        }
    }

    fn wanted(&self) -> BTreeMap<Key, Route> {
        let Some(config) = self.config.as_ref().filter(|config| config.install) else {
            return BTreeMap::new();
        };
        let key = |prefix, metric| Key { table: config.table, prefix, metric };
        let route = |target| Route { protocol: config.protocol, target, source: None };
        let unreachable = config.unreachable.iter();
        let unreachable =
            unreachable.map(|prefix| (key(*prefix, UNREACHABLE_METRIC), route(Target::Unreachable)));
        let learned = self.wants.iter().filter_map(|(number, set)| {
            let members = &self.sets[&(*set)?];
            let legs: Vec<_> =
                members.intersection(&self.resolved).flat_map(|number| legs(*number).to_vec()).collect();
            (!legs.is_empty()).then(|| (key(prefix(*number), config.metric), route(Target::Via(legs.into()))))
        });
        learned.chain(unreachable).collect()
    }
}

proptest! {
    #[test]
    fn in_the_end_the_kernel_holds_what_is_wanted(steps in steps(), left in btree_set(0..PREFIXES, 0..4)) {
        let mut world = World::default();
        // What an earlier run left.
        let earlier: BTreeSet<_> =
            left.iter().map(|number| Key { table: 254, prefix: prefix(*number), metric: 190 }).collect();
        let hop = world.kernel.make(171, What::Hop(legs(1)[0]));
        let group = world.kernel.make(171, What::Group(vec![hop]));
        for (number, key) in earlier.iter().enumerate() {
            let target = if number % 2 == 0 { Target::Via(legs(1)) } else { Target::Object(group) };
            world.kernel.insert(*key, &Route { protocol: 171, target, source: None });
        }
        let hop = world.kernel.make(STATIC, What::Hop(legs(9)[0]));
        world.kernel.make(STATIC, What::Group(vec![hop]));
        let other_objects = world.kernel.other_objects();
        let mut configured = false;
        for step in steps {
            let others = world.kernel.others();
            let ours_only = matches!(step, Step::Batch { .. });
            configured |= matches!(step, Step::Configure { .. });
            world.take(step);
            if ours_only {
                prop_assert_eq!(world.kernel.others(), others);
            }
            prop_assert!(configured || world.kernel.ours().len() <= earlier.len(), "nothing before the configuration");
        }
        if !configured {
            world.take(Step::Configure { install: true, metric: 190, protocol: 171, unreachable: BTreeSet::new(), groups: NextHopGroups::Always });
        }
        let others = world.kernel.others();
        world.settle();
        prop_assert_eq!(world.kernel.others(), others.clone());
        prop_assert_eq!(world.kernel.other_objects(), other_objects);
        world.check_objects(&earlier);

        let (wanted, ours) = (world.wanted(), world.kernel.ours());
        let config = world.config.clone().unwrap();
        for (key, route) in &wanted {
            match ours.get(key) {
                Some(there) => prop_assert_eq!(there, route),
                None => prop_assert!(others.iter().any(|(other, _)| other == key), "{:?} is missing", key),
            }
        }
        for key in ours.keys().filter(|key| !wanted.contains_key(key)) {
            prop_assert!(config.install && !world.swept && earlier.contains(key), "{:?} is left over", key);
        }
        for (number, set) in &world.wants {
            let ack = world.acks[&prefix(*number)];
            prop_assert_eq!(ack.set, set.map(|set| SetId(set.into())));
            let key = Key { table: 254, prefix: prefix(*number), metric: config.metric };
            if wanted.contains_key(&key) {
                let expected = if ours.contains_key(&key) { 0 } else { libc::EEXIST };
                prop_assert_eq!(i32::from(ack.errno), expected, "{:?}", ack);
            }
        }
    }
}
