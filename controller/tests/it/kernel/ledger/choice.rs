//! When routes name next-hop objects, and what one change of them costs.

use bgp::io::{NextHop, RouteChange, SetChange, SetId};
use bgp::prefix::Prefix;
use controller::kernel::ledger::Ledger;
use controller::kernel::object::{Change, What};
use controller::kernel::plan::Action;
use controller::kernel::route::{Key, Route, Target};
use controller::kernel::view::View;
use controller::kernel::{KernelConfig, NextHopGroups};

use super::kernel::Kernel;
use super::{hop, legs};

const MANY: usize = NextHopGroups::MANY;

/// A ledger over a kernel: every next hop resolves but those that are down.
struct Desk {
    ledger: Ledger,
    kernel: Kernel,
    down: Vec<NextHop>,
    /// What was written since it was last asked.
    changes: Vec<Change>,
    operations: usize,
}

impl Desk {
    fn new(groups: NextHopGroups) -> Self {
        let mut desk = Self {
            ledger: Ledger::default(),
            kernel: Kernel::default(),
            down: Vec::new(),
            changes: Vec::new(),
            operations: 0,
        };
        desk.ledger.configure(KernelConfig { next_hop_groups: groups, ..KernelConfig::default() });
        desk.dump(true);
        desk
    }

    /// One whose sweep is over.
    fn swept(groups: NextHopGroups) -> Self {
        let mut desk = Self::new(groups);
        desk.ledger.sweep();
        desk
    }

    fn dump(&mut self, supported: bool) {
        let objects = self.kernel.objects.values().cloned().collect();
        self.ledger.adopt_objects(supported.then_some(objects));
        let routes = self.kernel.dump(&[171].into());
        self.ledger.adopt(routes.into_iter().collect(), &View::default());
    }

    fn set(&mut self, id: u32, members: &[u8]) {
        let members = members.iter().map(|number| hop(*number)).collect();
        self.ledger.change_sets(vec![SetChange { id: SetId(id), members }]);
        self.resolve(false);
    }

    fn resolve(&mut self, all: bool) {
        let down = self.down.clone();
        self.ledger.resolve(all, |member| {
            let number = (0..10).find(|number| hop(*number) == member)?;
            (!down.contains(&member)).then(|| legs(number))
        });
    }

    fn route(&mut self, range: std::ops::Range<u32>, set: Option<u32>) {
        let prefix = |number: u32| -> Prefix {
            // Both families by turns.
            let (high, low) = (number / 512, number / 2 % 256);
            let text = match number % 2 {
                0 => format!("10.{high}.{low}.0/24"),
                _ => format!("fd10:{high}:{low}::/64"),
            };
            text.parse().unwrap()
        };
        let changes: Vec<_> =
            range.map(|number| RouteChange { prefix: prefix(number), set: set.map(SetId) }).collect();
        self.ledger.change_routes(&changes);
    }

    /// Writes everything; whether routes name objects then.
    #[track_caller]
    fn write(&mut self) -> bool {
        self.changes.clear();
        self.operations = 0;
        while self.ledger.backlog() > 0 {
            loop {
                let changes = self.ledger.object_batch();
                if changes.is_empty() {
                    break;
                }
                self.changes.extend(changes.iter().cloned());
                let results: Vec<_> = changes.iter().map(|change| self.kernel.change(change, 171)).collect();
                self.ledger.settle_objects(changes, &results);
            }
            let (operations, _) = self.ledger.batch(1000);
            self.operations += operations.len();
            for operation in &operations {
                // The kernel is not asked here for what it does about a route whose way it has never known.
                assert!(
                    !matches!(&operation.action, Action::Create(route) if route.target == Target::Foreign)
                );
            }
            let results: Vec<_> = operations.iter().map(|operation| self.kernel.apply(operation)).collect();
            assert!(results.iter().all(|errno| *errno == 0));
            self.ledger.settle(operations, &results);
        }
        let routes = self.kernel.dump(&[171].into());
        let named = routes.values().filter(|route| matches!(route.target, Target::Object(_))).count();
        assert!(named == 0 || named == routes.len(), "{named} of {}", routes.len());
        named > 0
    }
}

#[test]
fn auto_takes_objects_for_many_routes_and_does_not_waver() {
    let mut desk = Desk::swept(NextHopGroups::Auto);
    let many = u32::try_from(MANY).unwrap();
    desk.set(1, &[1, 2]);
    desk.route(0..many - 1, Some(1));
    assert!(!desk.write());
    desk.route(many - 1..many, Some(1));
    assert!(desk.write());
    for _ in 0..3 {
        desk.route(many / 2..many, None);
        assert!(desk.write());
        desk.route(many / 2..many, Some(1));
        assert!(desk.write());
        // Each of them went and came, and no other was written.
        assert_eq!(desk.operations, MANY / 2);
    }
    desk.route(many / 2 - 1..many, None);
    assert!(!desk.write());
    assert!(desk.kernel.objects.is_empty());
    desk.route(0..many - 1, Some(1));
    assert!(!desk.write());
}

#[test]
fn a_kernel_without_objects_gets_routes_without() {
    let mut desk = Desk::swept(NextHopGroups::Always);
    desk.dump(false);
    desk.set(1, &[1]);
    desk.route(0..10, Some(1));
    assert!(!desk.write());
    assert!(!desk.ledger.fib().supported);
    assert_eq!(desk.changes, []);
    assert_eq!(desk.kernel.ours().len(), 10);
}

#[test]
fn one_change_follows_the_end_of_a_next_hop_however_many_sets_have_it() {
    let mut desk = Desk::swept(NextHopGroups::Always);
    desk.set(1, &[1, 2]);
    desk.set(2, &[1, 3]);
    desk.set(3, &[1]);
    for (at, set) in [1, 2, 3].into_iter().enumerate() {
        let at = u32::try_from(at).unwrap() * 100;
        desk.route(at..at + 100, Some(set));
    }
    assert!(desk.write());
    assert_eq!(desk.kernel.ours().len(), 300);
    desk.down.push(hop(1));
    desk.resolve(true);
    desk.write();
    assert!(matches!(desk.changes.as_slice(), [Change::Delete(_)]), "{:?}", desk.changes);
    assert_eq!(desk.operations, 0);
    assert_eq!(desk.kernel.ours().len(), 200);
    // It comes back: a hop, two groups that get it, one that is made anew, and the routes of that one.
    desk.down.clear();
    desk.resolve(true);
    desk.write();
    assert_eq!(desk.changes.len(), 4, "{:?}", desk.changes);
    assert_eq!(desk.operations, 100);
    assert_eq!(desk.kernel.ours().len(), 300);
}

#[test]
fn a_peer_that_is_lost_takes_its_routes_along_and_leaves_those_that_move() {
    let mut desk = Desk::swept(NextHopGroups::Always);
    desk.set(1, &[1]);
    desk.set(2, &[2]);
    desk.route(0..100, Some(1));
    assert!(desk.write());
    // Some have another way, and are told of before the set is lost, but not yet written.
    desk.route(0..10, Some(2));
    desk.set(1, &[]);
    desk.route(10..100, None);
    desk.write();
    assert_eq!(desk.operations, 15, "five IPv4 routes are replaced, five IPv6 routes join and part");
    assert_eq!(desk.kernel.ours().len(), 10);
    assert!(desk.changes.iter().filter(|change| matches!(change, Change::Delete(_))).count() <= 2);
    let hops = desk.kernel.objects.values().filter(|object| matches!(object.what, What::Hop(_)));
    assert_eq!(hops.count(), 1);
}

#[test]
fn before_the_sweep_a_lost_peer_takes_its_own_routes_alone() {
    for earlier in [false, true] {
        let mut desk = Desk::new(NextHopGroups::Always);
        if earlier {
            // An earlier run's route by the same group, which nobody has asked for yet.
            let hop = desk.kernel.make(171, What::Hop(legs(1)[0]));
            let group = desk.kernel.make(171, What::Group(vec![hop]));
            let key = Key { table: 254, prefix: "10.200.0.0/16".parse().unwrap(), metric: 190 };
            let route = Route { protocol: 171, target: Target::Object(group), source: None };
            desk.kernel.insert(key, &route);
            desk.dump(true);
        }
        desk.set(1, &[1]);
        desk.route(0..100, Some(1));
        assert!(desk.write());
        desk.set(1, &[]);
        desk.route(0..100, None);
        desk.write();
        assert_eq!(desk.operations, if earlier { 100 } else { 0 });
        assert_eq!(desk.kernel.ours().len(), usize::from(earlier));
    }
}

#[test]
fn a_way_out_that_routes_name_is_being_lost_until_that_is_written() {
    let mut desk = Desk::swept(NextHopGroups::Always);
    desk.set(1, &[1, 2]);
    desk.set(2, &[3]);
    desk.route(0..10, Some(1));
    assert!(!desk.ledger.is_losing(), "nothing is written yet");
    desk.write();
    desk.set(1, &[2]);
    assert!(desk.ledger.is_losing());
    desk.write();
    assert!(!desk.ledger.is_losing());
    // A set that nothing names may go when there is time.
    desk.route(0..10, Some(2));
    desk.write();
    desk.set(1, &[]);
    assert!(!desk.ledger.is_losing());
    desk.down.push(hop(3));
    desk.resolve(true);
    assert!(desk.ledger.is_losing());
    desk.write();
    assert!(!desk.ledger.is_losing());
}
