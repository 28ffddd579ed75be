//! Many routes at once: each failure keeps its errno, and flaps cost one write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bgp::io::{RouteChange, SetChange, SetId};
use bgp::prefix::Prefix;
use controller::kernel::{Command, KernelConfig};
use labs::Netns;

use super::{Driver, hop, node, prefix};

fn many(count: u32) -> Vec<Prefix> {
    let four = (0..count).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x1400_0000 + (n << 8))));
    let six =
        (0..count).map(|n| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + (u128::from(n) << 64))));
    let four = four.map(|address| Prefix::new(address, 24).unwrap());
    four.chain(six.map(|address| Prefix::new(address, 64).unwrap())).collect()
}

/// How many ways out our routes have in all.
fn installed(namespace: &Netns) -> usize {
    let ways = |family| namespace.ip(&format!("{family} route show proto 171")).matches(" via ").count();
    ["-4", "-6"].into_iter().map(ways).sum()
}

fn send(driver: &Driver, prefixes: &[Prefix], set: Option<u32>) {
    let set = set.map(SetId);
    let changes = prefixes.iter().map(|prefix| RouteChange { prefix: *prefix, set }).collect();
    driver.handle.send(Command::Routes(changes));
}

#[track_caller]
fn until_answered(driver: &mut Driver, prefixes: &[Prefix], set: Option<u32>) {
    driver.until("all answers", |driver| {
        let answered = |prefix| driver.acks.get(prefix).is_some_and(|ack| ack.set == set.map(SetId));
        let left = prefixes.iter().filter(|prefix| !answered(prefix)).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    });
}

/// A set for both families: the IPv6 member carries IPv4 too.
fn both(driver: &Driver, id: u32, address: &str) {
    driver.track(&[hop(address)]);
    driver.handle.send(Command::Sets(vec![SetChange { id: SetId(id), members: vec![hop(address)] }]));
}

#[test]
fn ten_thousand_routes_come_shrink_and_go() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let all = many(10_000);
        let (four, six) = all.split_at(10_000);
        driver.set(1, &["10.0.1.2", "10.0.2.2"]);
        driver.set(2, &["fd00:1::2", "fd00:2::2"]);
        send(&driver, four, Some(1));
        send(&driver, six, Some(2));
        until_answered(&mut driver, four, Some(1));
        until_answered(&mut driver, six, Some(2));
        assert!(driver.acks.values().all(|ack| ack.errno == 0));
        assert_eq!(driver.answers, all.len());
        assert!(driver.batches <= 60, "{} batches", driver.batches);
        assert_eq!(installed(&node), 2 * all.len());
        node.ip("link set eth1 down");
        driver.until("all to move", |_| match installed(&node) {
            20_000 => Ok(()),
            count => Err(format!("{count} ways")),
        });
        // It may give up on routes that come back as fast as it removes them.
        drop(node.try_ip("route flush proto 171"));
        driver.until("all to return", |_| match installed(&node) {
            20_000 => Ok(()),
            count => Err(format!("{count} ways")),
        });
        send(&driver, &all, None);
        until_answered(&mut driver, &all, None);
        assert_eq!(installed(&node), 0);
        assert_eq!(driver.trouble, [""; 0]);
        driver.stop();
    });
}

#[test]
fn each_failed_route_of_a_batch_keeps_its_errno() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let all = many(2000);
        // Every tenth prefix is somebody else's already.
        let taken: Vec<_> = all.iter().step_by(10).copied().collect();
        let script = sandbox.folder().join("routes");
        let line = |prefix: &Prefix| {
            let gateway = if prefix.address().is_ipv4() { "10.0.2.2" } else { "fd00:2::2" };
            format!("route add {prefix} via {gateway} metric 190 proto static\n")
        };
        std::fs::write(&script, taken.iter().map(line).collect::<String>()).unwrap();
        node.ip(&format!("-batch {}", script.display()));
        let mut driver = Driver::configured(&node, KernelConfig::default());
        both(&driver, 1, "fd00:1::2");
        driver.set(2, &["203.0.113.1"]);
        let hopeless = prefix("10.77.0.0/24");
        let mut changes: Vec<_> =
            all.iter().map(|prefix| RouteChange { prefix: *prefix, set: Some(SetId(1)) }).collect();
        changes.insert(1500, RouteChange { prefix: hopeless, set: Some(SetId(2)) });
        driver.handle.send(Command::Routes(changes));
        until_answered(&mut driver, &all, Some(1));
        until_answered(&mut driver, &[hopeless], Some(2));
        for prefix in &all {
            let expected = if taken.contains(prefix) { libc::EEXIST } else { 0 };
            assert_eq!(i32::from(driver.acks[prefix].errno), expected, "{prefix}");
        }
        assert_eq!(i32::from(driver.acks[&hopeless].errno), libc::ENETUNREACH);
        assert_eq!(installed(&node), all.len() - taken.len());
        for family in ["-4", "-6"] {
            let kept = node.ip(&format!("{family} route show proto static metric 190"));
            assert_eq!(kept.lines().count(), taken.len() / 2);
        }
        driver.stop();
    });
}

#[test]
fn a_flapping_route_is_answered_once_for_its_newest_change() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        // Nothing is written before the configuration: as if the kernel were busy.
        let mut driver = Driver::start(&node);
        let all = many(500);
        both(&driver, 1, "fd00:1::2");
        both(&driver, 2, "fd00:2::2");
        for _ in 0..10 {
            send(&driver, &all, Some(1));
            send(&driver, &all, None);
            send(&driver, &all, Some(2));
        }
        driver.handle.send(Command::Configure(KernelConfig::default()));
        until_answered(&mut driver, &all, Some(2));
        driver.install(3, &["10.0.1.2"], &["10.77.0.0/24"]);
        assert_eq!(driver.answers, all.len() + 1);
        assert_eq!(installed(&node), all.len() + 1);
        driver.stop();
    });
}

#[test]
fn without_installation_nothing_is_written_and_nothing_waits() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut config = KernelConfig { install: false, ..KernelConfig::default() };
        let mut driver = Driver::configured(&node, config.clone());
        let all = many(100);
        both(&driver, 1, "fd00:1::2");
        send(&driver, &all, Some(1));
        until_answered(&mut driver, &all, Some(1));
        assert!(driver.acks.values().all(|ack| ack.errno == 0));
        assert_eq!(installed(&node), 0);
        config.install = true;
        driver.handle.send(Command::Configure(config));
        driver.until("the routes", |_| match installed(&node) {
            200 => Ok(()),
            count => Err(format!("{count} ways")),
        });
        driver.stop();
    });
}
