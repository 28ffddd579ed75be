//! No address is given twice: random histories of several controllers that each believe to lead, lists that are old by
//! the time they are used, writes that arrive late or never, restarts, and people who change Services meanwhile.
//!
//! The API server of the model does two things: it replaces an object of one version and no other, and it lists all
//! Services at one moment. Anybody may take the Lease at any time, as if every clock were wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use controller::pool::claim::Claim;
use controller::pool::plan::{Pool, Write, plan};
use proptest::prelude::*;

use super::{claim, pool};

const CONTROLLERS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody makes a Service, deletes it, changes its type, asks for an address, or changes something else.
    Make(u8),
    Delete(u8),
    Retype(u8),
    Ask(u8, u8),
    Touch(u8),
    /// A controller takes the Lease.
    Take(usize),
    /// It lists all Services.
    List(usize),
    /// It plans, and writes down in the Lease what it will do.
    Plan(usize),
    /// One of its writes arrives.
    Arrive(usize, prop::sample::Index),
    /// One of them is lost.
    Lose(usize, prop::sample::Index),
    /// It starts anew; what is under way still is.
    Restart(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (service, who) = (0..6_u8, 0..CONTROLLERS);
    prop_oneof![
        2 => service.clone().prop_map(Step::Make),
        1 => service.clone().prop_map(Step::Delete),
        1 => service.clone().prop_map(Step::Retype),
        1 => (service.clone(), 0..4_u8).prop_map(|(service, last)| Step::Ask(service, last)),
        1 => service.prop_map(Step::Touch),
        2 => who.clone().prop_map(Step::Take),
        4 => who.clone().prop_map(Step::List),
        4 => who.clone().prop_map(Step::Plan),
        6 => (who.clone(), any::<prop::sample::Index>()).prop_map(|(who, which)| Step::Arrive(who, which)),
        1 => (who.clone(), any::<prop::sample::Index>()).prop_map(|(who, which)| Step::Lose(who, which)),
        1 => who.prop_map(Step::Restart),
    ]
}

/// A controller, as far as it differs from every other.
#[derive(Default)]
struct Controller {
    /// The version of the Lease that it wrote last, and the intents in it, while it believes to lead.
    leads: Option<(u64, Vec<Write>)>,
    /// What it listed since it took the Lease, or since it last wrote.
    listed: Option<Vec<Claim>>,
    under_way: Vec<Write>,
}

struct World {
    pools: Vec<Pool>,
    services: BTreeMap<String, Claim>,
    version: u64,
    lease: (u64, Vec<Write>),
    controllers: Vec<Controller>,
    /// How many writes changed a status.
    given: usize,
    /// Whether controllers heed the intents that they find.
    heeds: bool,
}

impl World {
    fn new(heeds: bool) -> Self {
        let controllers = (0..CONTROLLERS).map(|_| Controller::default()).collect();
        let pools = vec![pool("a", "addresses: [192.0.2.0/30]")];
        Self {
            pools,
            services: BTreeMap::new(),
            version: 0,
            lease: (0, Vec::new()),
            controllers,
            given: 0,
            heeds,
        }
    }

    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn change(&mut self, number: u8, change: impl FnOnce(&mut Claim)) {
        let version = self.next();
        if let Some(service) = self.services.get_mut(&format!("shop/s{number}")) {
            change(service);
            service.version = version.to_string();
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Make(number) => {
                let version = self.next();
                let name = format!("s{number}");
                let made = Claim { uid: version.to_string(), version: version.to_string(), ..claim(&name) };
                self.services.entry(made.name.clone()).or_insert(made);
            }
            Step::Delete(number) => drop(self.services.remove(&format!("shop/s{number}"))),
            Step::Retype(number) => self.change(number, |service| {
                service.wants = !service.wants;
                service.releases = !service.wants;
            }),
            Step::Ask(number, last) => self.change(number, |service| {
                service.requested = Ok(vec![IpAddr::from([192, 0, 2, last])]);
            }),
            Step::Touch(number) => self.change(number, |_| {}),
            Step::Take(who) => {
                // Whoever holds it; the version is the one that was just read.
                let intents = if self.heeds { self.lease.1.clone() } else { Vec::new() };
                self.lease = (self.next(), intents);
                self.controllers[who].leads = Some(self.lease.clone());
                self.controllers[who].listed = None;
            }
            Step::List(who) => {
                if self.controllers[who].leads.is_some() {
                    self.controllers[who].listed = Some(self.services.values().cloned().collect());
                }
            }
            Step::Plan(who) => self.plan(who),
            Step::Arrive(who, which) => {
                if let Some(write) = self.remove(who, which) {
                    self.arrive(&write);
                }
            }
            Step::Lose(who, which) => drop(self.remove(who, which)),
            Step::Restart(who) => {
                self.controllers[who].leads = None;
                self.controllers[who].listed = None;
            }
        }
    }

    fn plan(&mut self, who: usize) {
        let controller = &mut self.controllers[who];
        let (Some((version, intents)), Some(listed)) = (&controller.leads, controller.listed.take()) else {
            return;
        };
        let plan = plan(&self.pools, &listed, intents);
        if self.lease.0 != *version {
            controller.leads = None;
            return;
        }
        self.version += 1;
        self.lease = (self.version, plan.intents);
        controller.leads = Some(self.lease.clone());
        controller.under_way.extend(plan.writes);
    }

    fn remove(&mut self, who: usize, which: prop::sample::Index) -> Option<Write> {
        let under_way = &mut self.controllers[who].under_way;
        (!under_way.is_empty()).then(|| under_way.remove(which.index(under_way.len())))
    }

    fn arrive(&mut self, write: &Write) {
        let version = self.next();
        if let Some(service) = self.services.get_mut(&write.service)
            && service.uid == write.uid
            && service.version == write.version
        {
            service.held.clone_from(&write.addresses);
            service.version = version.to_string();
            self.given += 1;
        }
    }

    /// Two Services with the same address.
    fn twice(&self) -> Option<(IpAddr, [String; 2])> {
        let mut holders = BTreeMap::<IpAddr, &Claim>::new();
        for service in self.services.values() {
            for address in &service.held {
                if let Some(other) = holders.insert(*address, service) {
                    return Some((*address, [other.name.clone(), service.name.clone()]));
                }
            }
        }
        None
    }

    /// Everything arrives, and one controller goes on alone.
    fn settle(&mut self) {
        for who in 0..CONTROLLERS {
            for write in std::mem::take(&mut self.controllers[who].under_way) {
                self.arrive(&write);
            }
        }
        for _ in 0..4 {
            self.take(Step::Take(0));
            self.take(Step::List(0));
            self.take(Step::Plan(0));
            for write in std::mem::take(&mut self.controllers[0].under_way) {
                self.arrive(&write);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_address_is_given_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new(true);
        for step in steps {
            world.take(step);
            prop_assert_eq!(world.twice(), None);
        }
        world.settle();
        prop_assert_eq!(world.twice(), None);
        // And nobody goes without for the sake of an intent that comes to nothing.
        let wants = world.services.values().filter(|service| service.wants).count();
        let has = world.services.values().filter(|service| service.wants && !service.held.is_empty()).count();
        prop_assert!(has == wants.min(4) || world.services.values().any(|service| service.requested != Ok(Vec::new())));
    }
}

/// A leader is stopped between the Lease and the Service, and goes on after somebody else has led for long. The model
/// finds it out where intents are not heeded.
#[test]
fn a_leader_that_wakes_up_late_gives_nothing_twice() {
    let story = |heeds: bool| {
        let mut world = World::new(heeds);
        world.take(Step::Make(1));
        for step in [Step::Take(0), Step::List(0), Step::Plan(0)] {
            world.take(step);
        }
        assert_eq!(world.controllers[0].under_way.len(), 1);
        // It sleeps. A Service that came first wants the same address.
        world.take(Step::Make(0));
        for step in [Step::Take(1), Step::List(1), Step::Plan(1)] {
            world.take(step);
        }
        let first = world.controllers[1].under_way.remove(0);
        world.arrive(&first);
        let late = world.controllers[0].under_way.remove(0);
        world.arrive(&late);
        (world.twice().is_some(), world.given)
    };
    assert_eq!(story(true), (false, 2));
    assert_eq!(story(false), (true, 2), "the model tells the difference");
}
