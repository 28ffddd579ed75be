//! What the kernel driver takes for a table of routes, beside the writes alone: `cargo bench -p controller --bench fib`.
//!
//! Needs root. Each row is the median of [`RUNS`]; `SIZE` sets another number of routes.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on has failed")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use bgp::io::{NextHop, RouteChange, SetChange, SetId, Tracking};
use bgp::prefix::{Family, Prefix};
use controller::kernel::message;
use controller::kernel::netlink::{Netlink, Outcome};
use controller::kernel::object::Change;
use controller::kernel::plan::{Action, Operation};
use controller::kernel::request;
use controller::kernel::route::{Key, Leg, Route, Target};
use controller::kernel::{Command, Handle, KernelConfig, KernelEvent, NextHopGroups, spawn};
use labs::{Netns, Sandbox};
use tokio::sync::mpsc;

const RUNS: usize = 3;

/// Routes a command: what the agent sends in a turn.
const CHUNK: usize = 1000;

fn main() {
    labs::sandbox::run("fib", |sandbox| {
        let size = std::env::var("SIZE").ok().and_then(|size| size.parse().ok()).unwrap_or(100_000);
        println!("{size} routes, seconds, median of {RUNS}:\n");
        println!("| family | next hops | work | seconds | floor | ratio |");
        println!("|---|---|---|---|---|---|");
        for family in Family::ALL {
            for objects in [false, true] {
                let mut runs: Vec<Vec<(&str, f64, Option<f64>)>> =
                    (0..RUNS).map(|run| one(sandbox, family, objects, size, run)).collect();
                for at in 0..runs[0].len() {
                    runs.sort_by(|one, two| one[at].1.total_cmp(&two[at].1));
                    let (work, seconds, _) = runs[RUNS / 2][at];
                    let mut floors: Vec<f64> = runs.iter().filter_map(|run| run[at].2).collect();
                    floors.sort_by(f64::total_cmp);
                    let floor = floors.get(floors.len() / 2);
                    let text =
                        floor.map_or("- | -".into(), |floor| format!("{floor:.4} | {:.2}", seconds / floor));
                    let ways = if objects { "objects" } else { "plain" };
                    println!("| {family:?} | {ways} | {work} | {seconds:.4} | {text} |");
                }
            }
        }
    });
}

fn prefix(family: Family, number: usize) -> Prefix {
    let number = u32::try_from(number).unwrap();
    match family {
        Family::Ipv4 => Prefix::new(IpAddr::V4(Ipv4Addr::from_bits(0x1400_0000 + (number << 8))), 24),
        Family::Ipv6 => {
            let address = (0x2001_0db8_u128 << 96) + (u128::from(number) << 64);
            Prefix::new(IpAddr::V6(Ipv6Addr::from_bits(address)), 64)
        }
    }
    .unwrap()
}

fn node(sandbox: &Sandbox, run: &str) -> (Netns, Netns) {
    let (node, tor) = (sandbox.netns(&format!("node{run}")), sandbox.netns(&format!("tor{run}")));
    for (number, link) in [(1, "eth1"), (2, "eth2")] {
        sandbox.link(&node, link, &tor, link);
        node.ip(&format!("addr add 10.0.{number}.1/24 dev {link}"));
        node.ip(&format!("addr add fd00:{number}::1/64 dev {link} nodad"));
    }
    (node, tor)
}

fn members(family: Family) -> [NextHop; 2] {
    let texts = match family {
        Family::Ipv4 => ["10.0.1.2", "10.0.2.2"],
        Family::Ipv6 => ["fd00:1::2", "fd00:2::2"],
    };
    texts.map(|text| NextHop { address: text.parse().unwrap(), via_default: false })
}

/// How many routes the calling thread's namespace has, without a dump.
fn count(family: Family) -> usize {
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap();
    match family {
        Family::Ipv4 => {
            let text = read("fib_triestat");
            let (_, main) = text.split_once("Main:").unwrap();
            let line = main.lines().find_map(|line| line.trim().strip_prefix("Prefixes:")).unwrap();
            line.trim().parse().unwrap()
        }
        Family::Ipv6 => {
            usize::from_str_radix(read("rt6_stats").split_whitespace().nth(3).unwrap(), 16).unwrap()
        }
    }
}

#[track_caller]
fn until(mut there: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_mins(2);
    while !there() {
        assert!(Instant::now() < limit, "not there after two minutes");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The work of one run in a namespace of its own: what, its seconds, and the floor where there is one.
fn one(
    sandbox: &Sandbox,
    family: Family,
    objects: bool,
    size: usize,
    run: usize,
) -> Vec<(&'static str, f64, Option<f64>)> {
    let label = format!("{family:?}{}{run}", u8::from(objects)).to_lowercase();
    let (floor_node, floor_tor) = node(sandbox, &format!("f{label}"));
    let floor = floor_node.enter(|| floor(family, objects, size));
    let (node, tor) = node(sandbox, &label);
    let figures = node.enter(|| drive(&node, family, objects, size, &floor));
    for namespace in [floor_node, floor_tor, node, tor] {
        namespace.remove().unwrap();
    }
    figures
}

/// The writes alone: install, shrink, remove.
fn floor(family: Family, objects: bool, size: usize) -> [Option<f64>; 3] {
    let mut netlink = Netlink::open().unwrap();
    let links = netlink.dump(request::dump_links, message::link).unwrap();
    let ifindex = |name: &str| links.iter().find(|link| link.name == name).unwrap().ifindex;
    let legs: Vec<Leg> = members(family)
        .iter()
        .zip(["eth1", "eth2"])
        .map(|(member, link)| Leg { gateway: Some(member.address), ifindex: ifindex(link), onlink: false })
        .collect();
    let mut hops = Vec::new();
    let target = if objects {
        let made = netlink.change(&[Change::Hop(legs[0]), Change::Hop(legs[1])], 171).unwrap();
        hops = made.into_iter().map(Result::unwrap).collect::<Vec<u32>>();
        let group = netlink.change(&[Change::Group(hops.clone())], 171).unwrap()[0].unwrap();
        Target::Object(group)
    } else {
        Target::Via(legs.into())
    };
    let operations: Vec<Operation> = (0..size)
        .map(|number| Operation {
            key: Key { table: 254, prefix: prefix(family, number), metric: 190 },
            action: Action::Create(Route { protocol: 171, target: target.clone(), source: None }),
        })
        .collect();
    let began = Instant::now();
    for chunk in operations.chunks(CHUNK) {
        match netlink.write(chunk) {
            Outcome::Known(results) => assert!(results.iter().all(|errno| *errno == 0)),
            Outcome::Unknown(error) => panic!("{error}"),
        }
    }
    let installed = began.elapsed().as_secs_f64();
    let mut times = hops.iter().map(|hop| {
        let began = Instant::now();
        netlink.change(&[Change::Delete(*hop)], 171).unwrap()[0].unwrap();
        began.elapsed().as_secs_f64()
    });
    let (shrunk, gone) = (times.next(), times.next());
    [Some(installed), shrunk, gone]
}

/// What the driver takes for the same, and to write again what another program flushes.
fn drive(
    node: &Netns,
    family: Family,
    objects: bool,
    size: usize,
    floor: &[Option<f64>; 3],
) -> Vec<(&'static str, f64, Option<f64>)> {
    let (sender, mut events) = mpsc::channel(1024);
    let handle = spawn(sender).unwrap();
    let groups = if objects { NextHopGroups::Always } else { NextHopGroups::Never };
    handle.send(Command::Configure(KernelConfig { next_hop_groups: groups, ..KernelConfig::default() }));
    let members = members(family);
    handle.send(Command::Tracking(members.map(Tracking::Start).to_vec()));
    set(&handle, &members);
    handle.send(Command::Sweep);
    let mut resolved = 0;
    while resolved < 2 {
        let event = events.blocking_recv().unwrap();
        resolved += usize::from(matches!(event, KernelEvent::NextHop { metric: Some(_), .. }));
    }
    let before = count(family);
    let mut figures = Vec::new();
    let mut timed = |what, floor: Option<f64>, work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        figures.push((what, began.elapsed().as_secs_f64(), floor));
    };

    timed("install", floor[0], &mut || {
        send(&handle, family, size, Some(SetId(1)));
        acked(&mut events, size);
    });
    // To IPv6 each leg is a route.
    let whole = if family == Family::Ipv6 && !objects { 2 * size } else { size };
    assert_eq!(count(family) - before, whole);
    timed("repair after all routes are deleted", None, &mut || {
        flush(family, size);
        until(|| count(family) - before == whole);
    });
    if objects {
        timed("repair after `ip nexthop flush`", None, &mut || {
            drop(node.try_ip("nexthop flush proto 171"));
            until(|| count(family) - before == whole);
        });
    }
    // What follows is about a driver at rest.
    std::thread::sleep(Duration::from_secs(1));
    let (mut first, mut second) = (0.0, 0.0);
    for (members, seconds) in [(&members[..1], &mut first), (&members[..0], &mut second)] {
        let began = Instant::now();
        set(&handle, members);
        // Each look begins where the one before ended: the last of these to move is what counts.
        let mut samples =
            (0..size).step_by((size / 64).max(1)).map(|number| prefix(family, number).address());
        let mut sample = samples.next();
        let mut netlink = Netlink::open().unwrap();
        until(|| {
            if members.is_empty() {
                return count(family) == before;
            }
            while let Some(address) = sample {
                let route = netlink.ask(|sequence| request::lookup(address, sequence), message::route);
                if route.ok().flatten().is_none_or(|route| route.hops.len() != 1) {
                    return false;
                }
                sample = samples.next();
            }
            true
        });
        *seconds = began.elapsed().as_secs_f64();
    }
    figures.push(("one of two next hops is lost", first, floor[1]));
    figures.push(("the other is lost, too", second, floor[2]));
    drop(events);
    handle.join();
    figures
}

/// What another program does that wants the table empty, as fast as it can be done.
fn flush(family: Family, size: usize) {
    let mut netlink = Netlink::open().unwrap();
    let route = Route { protocol: 171, target: Target::Foreign, source: None };
    let operations: Vec<Operation> = (0..size)
        .map(|number| Operation {
            key: Key { table: 254, prefix: prefix(family, number), metric: 190 },
            action: Action::Delete(route.clone()),
        })
        .collect();
    for chunk in operations.chunks(CHUNK) {
        assert!(matches!(netlink.write(chunk), Outcome::Known(_)));
    }
}

fn set(handle: &Handle, members: &[NextHop]) {
    handle.send(Command::Sets(vec![SetChange { id: SetId(1), members: members.to_vec() }]));
}

fn send(handle: &Handle, family: Family, size: usize, set: Option<SetId>) {
    for start in (0..size).step_by(CHUNK) {
        let changes = (start..size.min(start + CHUNK))
            .map(|number| RouteChange { prefix: prefix(family, number), set })
            .collect();
        handle.send(Command::Routes(changes));
    }
}

fn acked(events: &mut mpsc::Receiver<KernelEvent>, size: usize) {
    let mut answers = 0;
    while answers < size {
        if let KernelEvent::Acks(acks) = events.blocking_recv().unwrap() {
            assert!(acks.iter().all(|ack| ack.errno == 0));
            answers += acks.len();
        }
    }
}
