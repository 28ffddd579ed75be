//! Routes of an earlier run are adopted without a gap, and go when it is said that they are stale.

use controller::kernel::{Command, KernelConfig};
use labs::wait;

use super::{Driver, LIMIT, node, prefix};

#[test]
fn a_restart_changes_nothing_until_the_sweep() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let config = KernelConfig { unreachable: vec![prefix("10.244.1.0/24")], ..KernelConfig::default() };
        let mut first = Driver::configured(&node, config.clone());
        first.install(1, &["10.0.1.2"], &["10.10.0.0/24", "10.11.0.0/24", "10.12.0.0/24"]);
        first.install(2, &["fd00:1::2", "fd00:2::2"], &["fd10::/64", "fd11::/64"]);
        first.stop();
        let before = node.ip("route show proto 171");
        assert_eq!(before.lines().count(), 4, "{before}");

        let log = sandbox.folder().join("monitor.log");
        let monitor = sandbox.daemon("monitor", node.exec("ip", ["monitor", "route"]));
        // The monitor is there once it reports something.
        wait::until("the monitor", LIMIT, || {
            node.ip("route add 10.99.0.0/24 via 10.0.1.2");
            node.ip("route del 10.99.0.0/24");
            std::fs::read_to_string(&log).unwrap().contains("10.99.0.0/24")
        });

        let mut second = Driver::configured(&node, config);
        second.install(7, &["10.0.1.2"], &["10.10.0.0/24", "10.11.0.0/24"]);
        second.install(8, &["fd00:1::2", "fd00:2::2"], &["fd10::/64"]);
        second.install(9, &["10.0.2.2"], &["10.13.0.0/24"]);
        assert_eq!(node.ip("route show proto 171").lines().count(), 5);
        wait::until("the new route in the log", LIMIT, || {
            std::fs::read_to_string(&log).unwrap().contains("10.13.0.0/24")
        });
        let seen = std::fs::read_to_string(&log).unwrap();
        for untouched in ["10.10.0.0/24", "10.11.0.0/24", "10.12.0.0/24", "fd10::", "fd11::", "10.244.1.0/24"]
        {
            assert!(!seen.contains(untouched), "{seen}");
        }
        second.handle.send(Command::Sweep);
        wait::until("the stale routes to go", LIMIT, || {
            let (four, six) = (node.ip("route show proto 171"), node.ip("-6 route show proto 171"));
            !four.contains("10.12.0.0/24") && !six.contains("fd11::/64")
        });
        let four = node.ip("route show proto 171");
        for kept in ["10.10.0.0/24", "10.11.0.0/24", "10.13.0.0/24", "10.244.1.0/24"] {
            assert!(four.contains(kept), "{four}");
        }
        assert!(node.ip("-6 route show proto 171").contains("fd10::/64"));
        drop(monitor);
        second.stop();
    });
}

#[test]
fn an_adopted_route_that_leads_elsewhere_is_changed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.10.0.0/24 via 10.0.1.2 metric 190 proto 171");
        node.ip("route add 10.11.0.0/24 via 10.0.1.2 metric 190 proto 171");
        node.ip("route add blackhole 10.12.0.0/24 metric 190 proto 171");
        node.ip("-6 route add blackhole fd12::/64 metric 190 proto 171");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.2.2"], &["10.10.0.0/24", "10.12.0.0/24"]);
        driver.install(2, &["fd00:2::2"], &["fd12::/64"]);
        for destination in ["10.10.0.0/24", "10.12.0.0/24"] {
            let route = node.ip(&format!("route show {destination}"));
            assert!(route.contains("via 10.0.2.2 dev eth2") && route.lines().count() == 1, "{route}");
        }
        assert!(node.ip("-6 route show fd12::/64").contains("via fd00:2::2 dev eth2"));
        // One that an earlier run left can be withdrawn by name before the sweep.
        driver.route(&["10.11.0.0/24"], None);
        driver.until_acked("10.11.0.0/24", 0);
        assert_eq!(node.ip("route show 10.11.0.0/24"), "");
        driver.stop();
    });
}

#[test]
fn what_differs_in_metric_alone_is_an_earlier_configurations() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 10.10.0.0/24 via 10.0.1.2 metric 191 proto 171");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        assert_eq!(node.ip("route show 10.10.0.0/24").lines().count(), 2);
        driver.handle.send(Command::Sweep);
        wait::until("the older one to go", LIMIT, || node.ip("route show 10.10.0.0/24").lines().count() == 1);
        assert!(node.ip("route show 10.10.0.0/24").contains("metric 190"));
        driver.stop();
    });
}
