//! Next-hop objects in the kernel: who owns them, what goes with them, and how they come back.

use std::collections::BTreeSet;

use bgp::io::{RouteChange, SetChange, SetId};
use bgp::prefix::{PerFamily, Prefix};
use controller::kernel::{Command, Fib, KernelConfig, NextHopGroups};
use labs::Netns;

use super::{Driver, hop, node};

const FOUR: [&str; 2] = ["10.0.1.2", "10.0.2.2"];
const SIX: [&str; 2] = ["fd00:1::2", "fd00:2::2"];
const PREFIXES: [&str; 4] = ["10.10.1.0/24", "10.10.2.0/24", "fd10:1::/64", "fd10:2::/64"];

fn always() -> KernelConfig {
    KernelConfig { next_hop_groups: NextHopGroups::Always, ..KernelConfig::default() }
}

/// Both families: the first prefix of each by two ways, the second by the first way alone.
fn install(driver: &mut Driver) {
    driver.install(1, &FOUR, &PREFIXES[..1]);
    driver.install(2, &FOUR[..1], &PREFIXES[1..2]);
    driver.install(3, &SIX, &PREFIXES[2..3]);
    driver.install(4, &SIX[..1], &PREFIXES[3..]);
}

/// The objects of a protocol number.
fn objects(namespace: &Netns, protocol: &str) -> Vec<String> {
    let output = namespace.ip("nexthop show");
    let ours = output.lines().filter(|line| line.contains(&format!("proto {protocol} ")));
    ours.map(|line| line.trim().to_owned()).collect()
}

/// Our routes: the destination, the object and the gateways.
fn routes(namespace: &Netns) -> BTreeSet<(String, Option<String>, BTreeSet<String>)> {
    let mut routes = BTreeSet::new();
    for family in ["-4", "-6"] {
        for line in namespace.ip(&format!("{family} -o route show proto 171")).lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let after = |word: &str| {
                let words = words.iter().copied().filter(|word| *word != "inet6").collect::<Vec<_>>();
                let pairs = words.windows(2).filter(|pair| pair[0] == word);
                pairs.map(|pair| pair[1].to_owned()).collect::<BTreeSet<_>>()
            };
            routes.insert((words[0].to_owned(), after("nhid").pop_first(), after("via")));
        }
    }
    routes
}

/// Waits until each route has its ways out, with an object or without.
#[track_caller]
fn until_whole(driver: &mut Driver, namespace: &Netns, named: bool) {
    let ways = |ways: &[&str]| ways.iter().map(|way| (*way).to_owned()).collect::<BTreeSet<_>>();
    let wanted = [ways(&FOUR), ways(&FOUR[..1]), ways(&SIX), ways(&SIX[..1])];
    driver.until("all routes with all of their ways", |_| {
        let routes = routes(namespace);
        let whole = routes.len() == 4
            && routes.iter().zip(PREFIXES.iter().zip(&wanted)).all(|(route, (prefix, ways))| {
                route.0 == *prefix && route.1.is_some() == named && route.2 == *ways
            });
        if whole { Ok(()) } else { Err(format!("{routes:?}")) }
    });
}

#[test]
fn objects_carry_our_number_and_others_keep_theirs() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("nexthop add id 7 via 10.0.1.2 dev eth1 proto static");
        node.ip("nexthop add id 8 group 7 proto static");
        node.ip("route add 10.99.0.0/24 nhid 8 proto static");
        let others = (objects(&node, "static"), node.ip("route show proto static"));
        assert_eq!(others.0.len(), 2);
        let mut driver = Driver::configured(&node, always());
        install(&mut driver);
        until_whole(&mut driver, &node, true);
        // Four ways out, four groups.
        assert_eq!(objects(&node, "171").len(), 8);
        let fib = Fib { objects: true, supported: true, hops: 4, groups: 4 };
        driver.until("the driver to say so", |driver| match driver.fib {
            Some(told) if told == fib => Ok(()),
            told => Err(format!("{told:?}")),
        });
        let before = routes(&node);
        // Somebody else names a group of ours.
        let named = before.first().and_then(|route| route.1.as_deref()).expect("an object");
        node.ip(&format!("route add 10.98.0.0/24 nhid {named} proto 201"));
        let guest = || node.ip("-o route show proto 201");
        driver.handle.send(Command::Sweep);
        // One way out of both ECMP sets ends: two hops are deleted, and no route is written.
        driver.set(1, &FOUR[..1]);
        driver.set(3, &SIX[..1]);
        driver.until("the groups to shrink", |_| match objects(&node, "171") {
            left if left.len() == 6 => Ok(()),
            left => Err(format!("{left:?}")),
        });
        let after = routes(&node);
        assert!(before.iter().zip(&after).all(|(one, two)| one.0 == two.0 && one.1 == two.1), "{after:?}");
        assert!(after.iter().all(|route| route.2.len() == 1), "{after:?}");
        assert!(guest().contains(&format!("10.98.0.0/24 nhid {named} via {} ", FOUR[0])), "{}", guest());
        for prefix in PREFIXES {
            driver.route(&[prefix], None);
            driver.until_acked(prefix, 0);
        }
        driver.until("nothing of ours to be left", |_| match (routes(&node), objects(&node, "171")) {
            (routes, objects) if routes.is_empty() && objects.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
        assert_eq!((objects(&node, "static"), node.ip("route show proto static")), others);
        // The kernel has taken the guest along.
        assert_eq!(guest(), "");
        driver.stop();
    });
}

#[test]
fn objects_that_go_with_a_link_come_back_with_it() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        for namespace in [&node, &tor] {
            namespace.sysctl("net.ipv6.conf.all.keep_addr_on_down", "1");
        }
        let mut driver = Driver::configured(&node, always());
        install(&mut driver);
        until_whole(&mut driver, &node, true);
        for _ in 0..3 {
            // The carrier alone, there and back at once; then for as long as it takes to notice; then the interface.
            tor.ip("link set eth1 down");
            tor.ip("link set eth1 up");
            until_whole(&mut driver, &node, true);
            tor.ip("link set eth1 down");
            driver.until("the ways by the other link alone", |_| match routes(&node) {
                left if left.len() == 2 && left.iter().all(|route| route.2.len() == 1) => Ok(()),
                left => Err(format!("{left:?}")),
            });
            tor.ip("link set eth1 up");
            until_whole(&mut driver, &node, true);
            node.ip("link set eth1 down");
            node.ip("link set eth1 up");
            until_whole(&mut driver, &node, true);
        }
        driver.stop();
    });
}

#[test]
fn what_another_program_flushes_comes_back() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, always());
        install(&mut driver);
        driver.handle.send(Command::Sweep);
        let number = |line: &String| line.split_whitespace().nth(1).map(str::to_owned);
        let numbers = || objects(&node, "171").iter().filter_map(number).collect::<BTreeSet<_>>();
        let before = numbers();
        // It deletes hops first, and then does not find the groups that went with them.
        drop(node.try_ip("nexthop flush proto 171"));
        until_whole(&mut driver, &node, true);
        assert!(before.is_disjoint(&numbers()), "{before:?} are gone");
        // `ip route flush` is no way: it names gateways beside objects, and the kernel refuses that.
        for prefix in PREFIXES {
            node.ip(&format!("route del {prefix} metric 190 proto 171"));
            until_whole(&mut driver, &node, true);
        }
        // There and back between routes with objects and without.
        let config = |next_hop_groups| KernelConfig { next_hop_groups, ..KernelConfig::default() };
        driver.handle.send(Command::Configure(config(NextHopGroups::Never)));
        until_whole(&mut driver, &node, false);
        driver.until("the objects to go", |_| match objects(&node, "171") {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
        driver.handle.send(Command::Configure(always()));
        until_whole(&mut driver, &node, true);
        driver.stop();
    });
}

#[test]
fn the_next_run_takes_objects_over_as_they_are_and_sweeps_the_rest() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, always());
        install(&mut driver);
        driver.install(5, &["10.0.2.2"], &["10.10.9.0/24"]);
        let (left, with) = (objects(&node, "171"), routes(&node));
        driver.stop();
        // Under Auto, too, though there are few: that many were there before.
        let auto = KernelConfig { next_hop_groups: NextHopGroups::Auto, ..KernelConfig::default() };
        let mut driver = Driver::configured(&node, auto);
        // The sets have other numbers now.
        for (id, members, at) in
            [(24, &SIX[..1], 3), (23, &SIX[..], 2), (22, &FOUR[..1], 1), (21, &FOUR[..], 0)]
        {
            driver.install(id, members, &PREFIXES[at..=at]);
        }
        assert_eq!((objects(&node, "171"), routes(&node)), (left, with));
        driver.handle.send(Command::Configure(always()));
        driver.handle.send(Command::Sweep);
        driver.until("the rest to be swept", |_| match objects(&node, "171") {
            left if left.len() == 8 => Ok(()),
            left => Err(format!("{left:?}")),
        });
        until_whole(&mut driver, &node, true);
        driver.stop();
    });
}

#[test]
fn few_routes_outlive_a_flap_while_no_agent_runs() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        install(&mut driver);
        until_whole(&mut driver, &node, false);
        driver.stop();
        let before = routes(&node);
        tor.ip("link set eth1 down");
        labs::wait::until("the carrier to go", super::LIMIT, || {
            node.ip("link show eth1").contains("NO-CARRIER")
        });
        tor.ip("link set eth1 up");
        labs::wait::until("the carrier to return", super::LIMIT, || {
            !node.ip("link show eth1").contains("NO-CARRIER")
        });
        assert_eq!(routes(&node), before);
        assert_eq!(objects(&node, "171"), [""; 0]);
    });
}

/// A thousand and more prefixes of each family.
fn many() -> Vec<Prefix> {
    let four = (0..1500).map(|number| format!("20.{}.{}.0/24", number / 256, number % 256));
    let six = (0..1500).map(|number| format!("2001:db8:{number:x}::/64"));
    four.chain(six).map(|text| text.parse().unwrap()).collect()
}

#[test]
fn many_routes_name_objects_and_move_without_being_written() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.set(1, &SIX);
        let all = many();
        let send = |driver: &Driver, set: Option<u32>| {
            let changes =
                all.iter().map(|prefix| RouteChange { prefix: *prefix, set: set.map(SetId) }).collect();
            driver.handle.send(Command::Routes(changes));
        };
        send(&driver, Some(1));
        driver.until("all answers", |driver| match driver.acks.len() {
            3000 => Ok(()),
            count => Err(format!("{count} answers")),
        });
        driver.handle.send(Command::Sweep);
        let shape = |count: usize, ways: usize| {
            let node = &node;
            move |_: &mut Driver| {
                let found = routes(node);
                let right = |route: &(String, Option<String>, BTreeSet<String>)| {
                    route.1.is_some() && route.2.len() == ways
                };
                let right = found.iter().filter(|route| right(route)).count();
                if right == count && found.len() == count { Ok(()) } else { Err(format!("{right} right")) }
            }
        };
        driver.until("routes of two ways", shape(3000, 2));
        let answers = driver.answers;
        // One of two peers is lost, and then the other; the speaker tells of each route behind that.
        driver.handle.send(Command::Sets(vec![SetChange { id: SetId(1), members: vec![hop(SIX[0])] }]));
        driver.until("routes of one way", shape(3000, 1));
        driver.handle.send(Command::Sets(vec![SetChange { id: SetId(1), members: vec![] }]));
        driver.until("no routes", shape(0, 0));
        assert_eq!(driver.answers, answers);
        assert_eq!(objects(&node, "171"), [""; 0]);
        send(&driver, None);
        driver.until("the rest of the answers", |driver| match driver.answers - answers {
            3000 => Ok(()),
            count => Err(format!("{count} answers")),
        });
        driver.stop();
    });
}

#[test]
fn ways_out_that_are_lost_in_the_midst_of_dumps_leave_the_kernel_as_it_is_wanted() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, always());
        let prefixes: Vec<Prefix> = (0..6000_u32)
            .map(|n| format!("10.{}.{}.0/24", 100 + n / 256, n % 256).parse().unwrap())
            .collect();
        let send = |driver: &Driver, set| {
            let change = |prefix: &Prefix| RouteChange { prefix: *prefix, set };
            driver.handle.send(Command::Routes(prefixes.iter().map(change).collect()));
        };
        for round in 0..20_u32 {
            let both = SetId(2 * round);
            driver.set(both.0, &FOUR);
            send(&driver, Some(both));
            driver.until("all routes by both ways", |driver| {
                let named = |prefix| driver.acks.get(prefix).is_some_and(|ack| ack.set == Some(both));
                let left = prefixes.iter().filter(|prefix| !named(prefix)).count();
                if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
            });
            // Another configuration asks for a dump, and the loss stands behind more commands than the driver takes
            // before that: it is met in the midst of it.
            let preferred_source = PerFamily { ipv4: format!("203.0.113.{round}").parse().ok(), ipv6: None };
            driver.handle.send(Command::Configure(KernelConfig { preferred_source, ..always() }));
            (0..100).for_each(|_| driver.track(&[]));
            let left = FOUR[round as usize % 2];
            driver.handle.send(Command::Sets(vec![SetChange { id: both, members: vec![hop(left)] }]));
            driver.until("all routes by the way that is left", |_| {
                let output = node.ip("-4 -o route show proto 171");
                let ways = output.matches(&format!("via {left} ")).count();
                if ways == prefixes.len() && output.matches("via ").count() == ways {
                    Ok(())
                } else {
                    Err(format!("{ways} of {}", output.lines().count()))
                }
            });
        }
        assert_eq!(driver.trouble, [""; 0]);
        driver.stop();
    });
}
