//! Next hops are resolved by longest match over the routes of others, and again on each change.

use std::net::IpAddr;

use bgp::io::{NextHop, Tracking};
use controller::kernel::{Command, KernelConfig};

use super::{Driver, hop, node};

#[test]
fn a_neighbour_resolves_with_metric_zero() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.track(&[hop("10.0.1.2"), hop("fd00:2::2"), hop("10.0.3.2"), hop("10.0.1.1"), hop("fe80::1")]);
        driver.until_resolved(hop("10.0.1.2"), Some(0));
        driver.until_resolved(hop("fd00:2::2"), Some(0));
        driver.until_resolved(hop("10.0.3.2"), None);
        // An own address and a link-local one lead nowhere.
        driver.until_resolved(hop("10.0.1.1"), None);
        driver.until_resolved(hop("fe80::1"), None);
        driver.stop();
    });
}

#[test]
fn a_next_hop_comes_and_goes_with_address_link_and_carrier() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let (four, six) = (hop("10.0.1.2"), hop("fd00:1::2"));
        driver.track(&[four, six]);
        driver.until_resolved(four, Some(0));
        driver.until_resolved(six, Some(0));
        node.ip("link set eth1 down");
        driver.until_resolved(four, None);
        driver.until_resolved(six, None);
        node.ip("link set eth1 up");
        node.ip("addr add fd00:1::1/64 dev eth1 nodad");
        driver.until_resolved(four, Some(0));
        driver.until_resolved(six, Some(0));
        tor.ip("link set eth1 down");
        driver.until_resolved(four, None);
        driver.until_resolved(six, None);
        tor.ip("link set eth1 up");
        driver.until_resolved(four, Some(0));
        driver.until_resolved(six, Some(0));
        node.ip("addr del 10.0.1.1/24 dev eth1");
        driver.until_resolved(four, None);
        node.ip("addr del fd00:1::1/64 dev eth1");
        driver.until_resolved(six, None);
        driver.stop();
    });
}

/// While a dump of a large table has to wait, a glance at the interfaces tells what is lost.
#[test]
fn a_lost_link_is_told_in_a_storm_of_changes() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let (lost, kept) = (hop("10.0.1.2"), hop("10.0.2.2"));
        driver.track(&[lost, kept]);
        driver.until_resolved(lost, Some(0));
        driver.until_resolved(kept, Some(0));
        for _ in 0..20 {
            for command in ["addr add 10.0.8.1/24 dev eth2", "addr del 10.0.8.1/24 dev eth2"] {
                node.ip(command);
            }
            node.ip("link set eth1 down");
            driver.until_resolved(lost, None);
            node.ip("link set eth1 up");
            driver.until_resolved(lost, Some(0));
        }
        assert_eq!((driver.told[&lost], driver.told[&kept]), (41, 1));
        driver.stop();
    });
}

#[test]
fn the_longest_match_decides_then_the_metric() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let far = hop("192.0.2.1");
        driver.track(&[far]);
        driver.until_resolved(far, None);
        node.ip("route add 192.0.2.0/24 via 10.0.1.2 metric 30");
        driver.until_resolved(far, Some(30));
        driver.install(1, &["192.0.2.1"], &["10.10.0.0/24"]);
        assert!(node.ip("route show 10.10.0.0/24").contains("via 10.0.1.2 dev eth1"));
        node.ip("route add 192.0.2.0/24 via 10.0.2.2 metric 20");
        driver.until_resolved(far, Some(20));
        node.ip("route add 192.0.2.0/28 via 10.0.1.2 metric 40");
        driver.until_resolved(far, Some(40));
        // A route that refuses packets is the longest match all the same.
        node.ip("route add unreachable 192.0.2.1/32 metric 5");
        driver.until_resolved(far, None);
        node.ip("route del unreachable 192.0.2.1/32 metric 5");
        driver.until_resolved(far, Some(40));
        node.ip("route del 192.0.2.0/28 metric 40");
        driver.until_resolved(far, Some(20));
        labs::wait::until("the route to follow", super::LIMIT, || {
            node.ip("route show 10.10.0.0/24").contains("via 10.0.2.2 dev eth2")
        });
        driver.stop();
    });
}

#[test]
fn a_default_route_counts_only_where_it_may() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add default via 10.0.1.2 metric 7");
        node.ip("-6 route add default via fd00:2::2 metric 8");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        for (address, metric) in [("192.0.2.1", 7), ("2001:db8::1", 8)] {
            let address: IpAddr = address.parse().unwrap();
            let (strict, lenient) =
                (NextHop { address, via_default: false }, NextHop { address, via_default: true });
            driver.track(&[strict, lenient]);
            driver.until_resolved(lenient, Some(metric));
            driver.until_resolved(strict, None);
        }
        driver.stop();
    });
}

#[test]
fn several_gateways_are_flattened() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("route add 192.0.2.0/24 metric 3 nexthop via 10.0.1.2 nexthop via 10.0.2.2");
        node.ip("-6 route add 2001:db8::/64 metric 3 nexthop via fd00:1::2 nexthop via fd00:2::2");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["192.0.2.1", "10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["2001:db8::1"], &["fd10::/64"]);
        for show in ["-4 route show 10.10.0.0/24", "-6 route show fd10::/64"] {
            let route = node.ip(show);
            assert_eq!(route.matches("nexthop via").count(), 2, "{route}");
        }
        assert_eq!(driver.next_hops[&hop("192.0.2.1")], Some(3));
        driver.stop();
    });
}

#[test]
fn a_gateway_that_is_no_neighbour_any_more_is_resolved_in_turn() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        // A second address keeps the route alive when the gateway's subnet goes.
        node.ip("addr add 10.0.3.1/24 dev eth1");
        node.ip("route add 192.0.2.0/24 via 10.0.3.2 metric 9");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["192.0.2.1"], &["10.10.0.0/24"]);
        assert!(node.ip("route show 10.10.0.0/24").contains("via 10.0.3.2 dev eth1"));
        node.ip("addr del 10.0.3.1/24 dev eth1");
        driver.until_resolved(hop("192.0.2.1"), None);
        assert!(node.ip("route show 192.0.2.0/24").contains("via 10.0.3.2"), "the kernel keeps it");
        node.ip("route add 10.0.3.0/24 via 10.0.2.2");
        driver.until_resolved(hop("192.0.2.1"), Some(9));
        labs::wait::until("the route to follow", super::LIMIT, || {
            node.ip("route show 10.10.0.0/24").contains("via 10.0.2.2 dev eth2")
        });
        driver.stop();
    });
}

/// Another program's next-hop object takes its routes along without a notification of them.
#[test]
fn a_route_by_a_next_hop_object_goes_with_the_object() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("nexthop add id 7 via 10.0.1.2 dev eth1");
        node.ip("route add 192.0.2.0/24 nhid 7 metric 3 proto static");
        node.ip("route add 192.0.0.0/16 via 10.0.2.2 metric 4 proto static");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["192.0.2.1"], &["10.10.0.0/24"]);
        assert_eq!(driver.next_hops[&hop("192.0.2.1")], Some(3));
        node.ip("nexthop del id 7");
        driver.until_resolved(hop("192.0.2.1"), Some(4));
        labs::wait::until("the route to follow", super::LIMIT, || {
            node.ip("route show 10.10.0.0/24").contains("via 10.0.2.2 dev eth2")
        });
        driver.stop();
    });
}

#[test]
fn our_own_routes_resolve_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2"], &["192.0.2.0/24"]);
        driver.track(&[hop("192.0.2.1")]);
        driver.until_resolved(hop("192.0.2.1"), None);
        driver.stop();
    });
}

#[test]
fn a_next_hop_that_moves_to_another_interface_is_followed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("addr add 10.0.5.1/24 dev eth1");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.5.2"], &["10.10.0.0/24"]);
        assert!(node.ip("route show 10.10.0.0/24").contains("via 10.0.5.2 dev eth1"));
        node.ip("addr add 10.0.5.1/24 dev eth2");
        node.ip("addr del 10.0.5.1/24 dev eth1");
        labs::wait::until("the route to follow", super::LIMIT, || {
            node.ip("route show 10.10.0.0/24").contains("via 10.0.5.2 dev eth2")
        });
        driver.stop();
    });
}

#[test]
fn what_is_not_tracked_any_more_is_not_told() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let (kept, dropped) = (hop("10.0.1.2"), hop("10.0.1.3"));
        driver.track(&[kept, dropped]);
        driver.until_resolved(dropped, Some(0));
        driver.handle.send(Command::Tracking(vec![Tracking::Stop(dropped)]));
        let told = driver.told[&dropped];
        node.ip("link set eth1 down");
        driver.until_resolved(kept, None);
        assert_eq!(driver.told[&dropped], told);
        // Each start is answered, be the answer the same.
        let told = driver.told[&kept];
        driver.track(&[kept]);
        driver.until(
            "another answer",
            |driver| if driver.told[&kept] > told { Ok(()) } else { Err("none".into()) },
        );
        driver.stop();
    });
}

#[test]
fn addresses_are_told_at_first_and_on_change() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        let mut driver = Driver::start(&node);
        let find = |driver: &Driver, text: &str| {
            let address: IpAddr = text.parse().unwrap();
            driver.addresses.iter().find(|local| local.address == address).cloned()
        };
        driver.until("the addresses", |driver| find(driver, "fd00:2::1").map(drop).ok_or("absent".into()));
        let local = find(&driver, "10.0.1.1").unwrap();
        assert_eq!((local.name.as_str(), local.prefix_len, local.up), ("eth1", 24, true));
        node.ip("addr add 10.0.7.1/31 dev eth2");
        // Set by hand as deprecated: not to be picked.
        node.ip("addr add fd00:7::1/64 dev eth2 nodad preferred_lft 0");
        driver.until("the new address", |driver| find(driver, "10.0.7.1").map(drop).ok_or("absent".into()));
        tor.ip("link set eth2 down");
        driver.until("the lost carrier", |driver| match find(driver, "10.0.7.1") {
            Some(local) if !local.up => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert_eq!(find(&driver, "fd00:7::1"), None);
        node.ip("addr del 10.0.7.1/31 dev eth2");
        driver.until("its end", |driver| match find(driver, "10.0.7.1") {
            None => Ok(()),
            some => Err(format!("{some:?}")),
        });
        driver.stop();
    });
}
