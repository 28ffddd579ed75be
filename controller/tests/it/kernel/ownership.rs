//! A route of another owner is never taken and never deleted.

use controller::kernel::{Command, KernelConfig};
use labs::{Netns, wait};

use super::{Driver, LIMIT, node, prefix};

fn routes(namespace: &Netns, destination: &str) -> Vec<String> {
    let family = if destination.contains(':') { "-6" } else { "-4" };
    let output = namespace.ip(&format!("{family} -o route show {destination}"));
    output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn anothers_route_at_our_metric_stays_and_the_errno_says_so() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.10.0.0/24 via 10.0.2.2 metric 190 proto static");
        node.ip("-6 route add fd10::/64 via fd00:2::2 metric 190 proto static");
        let (four, six) = (routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64"));
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.set(1, &["10.0.1.2"]);
        driver.set(2, &["fd00:1::2"]);
        driver.set(3, &["fd00:1::2", "fd00:2::2"]);
        driver.route(&["10.10.0.0/24"], Some(1));
        driver.route(&["fd10::/64"], Some(2));
        driver.until_acked("10.10.0.0/24", libc::EEXIST);
        driver.until_acked("fd10::/64", libc::EEXIST);
        driver.route(&["fd10::/64"], Some(3));
        driver.until_acked("fd10::/64", libc::EEXIST);
        assert_eq!((routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64")), (four.clone(), six.clone()));
        driver.route(&["10.10.0.0/24", "fd10::/64"], None);
        driver.until_acked("10.10.0.0/24", 0);
        driver.until_acked("fd10::/64", 0);
        driver.handle.send(Command::Sweep);
        // Another destination, so that it is known that all before it was done.
        driver.install(1, &["10.0.1.2"], &["10.12.0.0/24"]);
        assert_eq!((routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64")), (four, six));
        driver.stop();
    });
}

#[test]
fn a_refused_route_is_written_when_the_other_owner_has_left() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.10.0.0/24 via 10.0.2.2 metric 190 proto static");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.set(1, &["10.0.1.2"]);
        driver.route(&["10.10.0.0/24"], Some(1));
        driver.until_acked("10.10.0.0/24", libc::EEXIST);
        node.ip("route del 10.10.0.0/24 metric 190 proto static");
        driver.until_acked("10.10.0.0/24", 0);
        assert!(routes(&node, "10.10.0.0/24")[0].contains("proto 171"));
        driver.stop();
    });
}

#[test]
fn anothers_route_at_another_metric_lives_beside_ours() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.10.0.0/24 via 10.0.2.2 metric 50 proto static");
        node.ip("-6 route add fd10::/64 via fd00:2::2 metric 1024 proto static");
        let (four, six) = (routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64"));
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2"], &["fd10::/64"]);
        driver.install(3, &["10.0.2.2", "10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(4, &["fd00:1::2", "fd00:2::2"], &["fd10::/64"]);
        for (destination, other) in [("10.10.0.0/24", &four), ("fd10::/64", &six)] {
            let all = routes(&node, destination);
            assert_eq!(all.len(), 2, "{all:?}");
            assert!(all.contains(&other[0]), "{all:?}");
        }
        driver.route(&["10.10.0.0/24", "fd10::/64"], None);
        driver.until_acked("10.10.0.0/24", 0);
        driver.until_acked("fd10::/64", 0);
        assert_eq!((routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64")), (four, six));
        driver.stop();
    });
}

/// IPv6 joins a route that is appended at the same metric to ours; IPv4 puts it behind ours.
#[test]
fn what_another_owner_appends_to_our_route_survives_its_withdrawal() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2"], &["fd10::/64"]);
        node.ip("route append 10.10.0.0/24 via 10.0.2.2 metric 190 proto static");
        node.ip("-6 route append fd10::/64 via fd00:2::2 metric 190 proto static");
        driver.route(&["10.10.0.0/24", "fd10::/64"], None);
        driver.until_acked("10.10.0.0/24", 0);
        driver.until_acked("fd10::/64", 0);
        wait::until("the others to be alone", LIMIT, || {
            let left = (routes(&node, "10.10.0.0/24"), routes(&node, "fd10::/64"));
            let alone = left.0 == ["10.10.0.0/24 via 10.0.2.2 dev eth2 proto static metric 190"]
                && left.1 == ["fd10::/64 via fd00:2::2 dev eth2 proto static metric 190 pref medium"];
            if alone { Ok(()) } else { Err(format!("{left:?}")) }
        });
        driver.stop();
    });
}

#[test]
fn other_tables_and_protocols_are_left_alone_by_a_sweep() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.20.0.0/24 via 10.0.2.2 metric 190 proto bird");
        node.ip("route add 10.21.0.0/24 via 10.0.2.2 table 7 metric 190 proto 171");
        node.ip("route add 10.22.0.0/24 via 10.0.2.2 tos 0x10 metric 190 proto 171");
        node.ip("route add 10.23.0.0/24 via 10.0.2.2 metric 190 proto 171");
        let config = KernelConfig { unreachable: vec![prefix("10.244.1.0/24")], ..KernelConfig::default() };
        let driver = Driver::configured(&node, config);
        driver.handle.send(Command::Sweep);
        wait::until("our own to be swept", LIMIT, || routes(&node, "10.23.0.0/24").is_empty());
        assert_eq!(routes(&node, "10.20.0.0/24").len(), 1);
        assert!(node.ip("route show table 7").contains("10.21.0.0/24"));
        assert!(node.ip("route show tos 0x10").contains("10.22.0.0/24"));
        driver.stop();
    });
}
