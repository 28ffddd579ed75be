//! The ledger against a model of the kernel: whatever happens, in the end the kernel holds what is wanted, every
//! change was answered, and no other owner's route was touched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bgp::io::{NextHop, RouteAck, RouteChange, SetChange, SetId};
use bgp::prefix::{Family, Prefix};
use controller::kernel::KernelConfig;
use controller::kernel::command::UNREACHABLE_METRIC;
use controller::kernel::ledger::Ledger;
use controller::kernel::plan::{Action, Operation};
use controller::kernel::route::{Key, Leg, Route, Target};
use controller::kernel::view::View;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

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
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let metric = || prop_oneof![Just(190_u32), Just(200)];
    let some = |count: u8| btree_set(0..count, 0..usize::from(count));
    let step = prop_oneof![
        3 => (0..3_u8, some(HOPS)).prop_map(|(set, members)| Step::Set(set, members)),
        2 => some(HOPS).prop_map(Step::Resolve),
        8 => (0..PREFIXES, proptest::option::of(0..3_u8)).prop_map(|(prefix, set)| Step::Route(prefix, set)),
        1 => (prop::bool::weighted(0.8), metric(), prop_oneof![Just(171_u8), Just(172)], some(2))
            .prop_map(|(install, metric, protocol, unreachable)| Step::Configure { install, metric, protocol, unreachable }),
        1 => Just(Step::Sweep),
        6 => (1..8_usize, prop::bool::weighted(0.2)).prop_map(|(limit, lost)| Step::Batch { limit, lost }),
        2 => (0..PREFIXES, metric()).prop_map(|(prefix, metric)| Step::Other { prefix, metric }),
        1 => (0..PREFIXES).prop_map(Step::OtherLeaves),
        1 => some(PREFIXES).prop_map(Step::Flush),
    ];
    vec(step, 0..60)
}

/// The kernel's table, in the order of arrival. For IPv4 an entry is a route, for IPv6 a leg of one.
#[derive(Clone, Debug, Default)]
struct Kernel(Vec<(Key, Route)>);

impl Kernel {
    fn insert(&mut self, key: Key, route: &Route) {
        match &route.target {
            Target::Via(legs) if key.family() == Family::Ipv6 => self.0.extend(
                legs.iter()
                    .map(|leg| (key, Route { target: Target::Via(Arc::new([*leg])), ..route.clone() })),
            ),
            _ => self.0.push((key, route.clone())),
        }
    }

    /// Removes entries of this protocol; for IPv6 those with one of the legs.
    fn remove(&mut self, key: Key, protocol: u8, legs: &[Leg]) -> i32 {
        let meant = |(there, route): &(Key, Route)| {
            let leg = match &route.target {
                Target::Via(own) if key.family() == Family::Ipv6 => own.iter().all(|leg| legs.contains(leg)),
                _ => true,
            };
            *there == key && route.protocol == protocol && leg
        };
        let before = self.0.len();
        self.0.retain(|entry| !meant(entry));
        if self.0.len() < before { 0 } else { libc::ESRCH }
    }

    fn apply(&mut self, Operation { key, action }: &Operation) -> u16 {
        let first = self.0.iter().position(|(there, _)| there == key);
        let errno = match (action, first) {
            (Action::Create(_), Some(_)) => libc::EEXIST,
            (Action::Create(route), None) => {
                self.insert(*key, route);
                0
            }
            (Action::Replace(_), None) => libc::ENOENT,
            (Action::Replace(route), Some(at)) if key.family() == Family::Ipv4 => {
                self.0[at].1 = route.clone();
                0
            }
            (Action::Replace(route), Some(_)) => {
                self.0.retain(|(there, _)| there != key);
                self.insert(*key, route);
                0
            }
            (Action::Join { legs, result }, _) => {
                assert_eq!(key.family(), Family::Ipv6);
                self.insert(*key, &Route { target: Target::Via(Arc::clone(legs)), ..result.clone() });
                0
            }
            (Action::Part { legs, result }, _) => {
                assert_eq!(key.family(), Family::Ipv6);
                self.remove(*key, result.protocol, legs)
            }
            (Action::Delete(route), _) => {
                let legs: &[Leg] = if let Target::Via(legs) = &route.target { legs } else { &[] };
                self.remove(*key, route.protocol, legs)
            }
        };
        u16::try_from(errno).unwrap()
    }

    /// The routes of these protocols, IPv6 legs as one route with the protocol of the first.
    fn dump(&self, protocols: &BTreeSet<u8>) -> BTreeMap<Key, Route> {
        let mut routes = BTreeMap::<Key, Route>::new();
        for (key, route) in &self.0 {
            let seen = routes.entry(*key).or_insert_with(|| route.clone());
            if let (Target::Via(all), Target::Via(legs)) = (&seen.target, &route.target)
                && key.family() == Family::Ipv6
            {
                let all: BTreeSet<_> = all.iter().chain(legs.iter()).copied().collect();
                seen.target = Target::Via(all.into_iter().collect());
            }
        }
        routes.retain(|_, route| protocols.contains(&route.protocol));
        routes
    }

    fn ours(&self) -> BTreeMap<Key, Route> {
        self.dump(&[171, 172].into())
    }

    fn others(&self) -> Vec<(Key, Route)> {
        self.0.iter().filter(|(_, route)| route.protocol == STATIC).cloned().collect()
    }
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
        let ours = self.kernel.dump(&self.ledger.ownership().protocols);
        self.ledger.adopt(ours.into_iter().collect(), &View::default());
        self.stale = false;
    }

    fn batch(&mut self, limit: usize, lost: bool) {
        if self.stale || self.ledger.is_doubtful() {
            self.dump();
        }
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
            Step::Configure { install, metric, protocol, unreachable } => {
                let unreachable = unreachable.iter().map(|number| prefix(*number)).collect();
                // An earlier run's protocol number is known by the first configuration.
                let protocol = if self.config.is_none() { 171 } else { protocol };
                let config =
                    KernelConfig { install, metric, protocol, unreachable, ..KernelConfig::default() };
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
                        .0
                        .iter()
                        .any(|(there, route)| *there == key && own != (route.protocol == STATIC))
                };
                // IPv4 appends it behind ours where ours is there.
                if !there(false) && (key.family() == Family::Ipv4 || !there(true)) {
                    let route = Route { protocol: STATIC, target: Target::Via(legs(9)), source: None };
                    self.kernel.0.push((key, route));
                }
                self.stale = true;
            }
            Step::OtherLeaves(number) => {
                self.kernel.0.retain(|(key, route)| key.prefix != prefix(number) || route.protocol != STATIC);
                self.stale = true;
            }
            Step::Flush(numbers) => {
                let gone = |key: &Key| numbers.iter().any(|number| prefix(*number) == key.prefix);
                self.kernel.0.retain(|(key, route)| route.protocol == STATIC || !gone(key));
                self.stale = true;
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
        for key in &earlier {
            world.kernel.insert(*key, &Route { protocol: 171, target: Target::Via(legs(1)), source: None });
        }
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
            world.take(Step::Configure { install: true, metric: 190, protocol: 171, unreachable: BTreeSet::new() });
        }
        let others = world.kernel.others();
        world.settle();
        prop_assert_eq!(world.kernel.others(), others.clone());

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
