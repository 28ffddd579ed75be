//! Routes are written, changed, taken away and repaired.

use bgp::zone::{self, Zone};
use controller::kernel::{KernelConfig, NextHopGroups};
use labs::{Netns, wait};

use super::{Driver, LIMIT, node, prefix};

/// Our routes as `ip` shows them, both families, one a line, legs in order.
fn ours(namespace: &Netns) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        let routes = namespace.ip(&format!("{family} -o route show proto 171"));
        for line in routes.lines() {
            let mut parts: Vec<_> =
                line.split('\\').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            parts[1..].sort();
            lines.push(parts.join(" "));
        }
    }
    lines
}

#[track_caller]
fn until_ours(namespace: &Netns, expected: &[&str]) {
    wait::until(&format!("routes {expected:?}"), LIMIT, || {
        let ours = ours(namespace);
        if ours == expected { Ok(()) } else { Err(format!("{ours:?}")) }
    });
}

#[test]
fn a_route_comes_changes_and_goes_in_both_families() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.set(1, &["10.0.1.2"]);
        driver.install(2, &["fd00:1::2"], &["fd10::/64"]);
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        assert_eq!(
            ours(&node),
            [
                "10.10.0.0/24 via 10.0.1.2 dev eth1 metric 190",
                "fd10::/64 via fd00:1::2 dev eth1 metric 190 pref medium"
            ]
        );
        driver.install(3, &["10.0.2.2"], &["10.10.0.0/24"]);
        driver.install(4, &["fd00:2::2"], &["fd10::/64"]);
        assert_eq!(
            ours(&node),
            [
                "10.10.0.0/24 via 10.0.2.2 dev eth2 metric 190",
                "fd10::/64 via fd00:2::2 dev eth2 metric 190 pref medium"
            ]
        );
        driver.route(&["10.10.0.0/24", "fd10::/64"], None);
        driver.until_acked("10.10.0.0/24", 0);
        driver.until_acked("fd10::/64", 0);
        assert_eq!(ours(&node), [""; 0]);
        assert_eq!(driver.trouble, [""; 0]);
        driver.stop();
    });
}

#[test]
fn several_next_hops_share_a_route_and_one_can_leave() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2", "10.0.2.2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2", "fd00:2::2"], &["fd10::/64"]);
        let both = [
            "10.10.0.0/24 metric 190 nexthop via 10.0.1.2 dev eth1 weight 1 nexthop via 10.0.2.2 dev eth2 weight 1",
            "fd10::/64 metric 190 pref medium nexthop via fd00:1::2 dev eth1 weight 1 nexthop via fd00:2::2 dev eth2 weight 1",
        ];
        assert_eq!(ours(&node), both);
        // The set shrinks, and with it the routes, which nobody has to name.
        driver.set(1, &["10.0.2.2"]);
        driver.set(2, &["fd00:2::2"]);
        until_ours(
            &node,
            &[
                "10.10.0.0/24 via 10.0.2.2 dev eth2 metric 190",
                "fd10::/64 via fd00:2::2 dev eth2 metric 190 pref medium",
            ],
        );
        driver.set(1, &["10.0.1.2", "10.0.2.2"]);
        driver.set(2, &["fd00:1::2", "fd00:2::2"]);
        until_ours(&node, &both);
        driver.route(&["fd10::/64", "10.10.0.0/24"], None);
        driver.until_acked("10.10.0.0/24", 0);
        driver.until_acked("fd10::/64", 0);
        assert_eq!(ours(&node), [""; 0]);
        driver.stop();
    });
}

/// Both families by the neighbour on a link, beside one with an address, and beside another of the same address on the
/// other link; as the kernel has it, and again by a driver that finds it there. Plainly, and by next-hop objects.
#[test]
fn a_link_local_next_hop_is_on_its_link() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        let linked = ["eth1", "eth2"].map(|link| {
            tor.ip(&format!("addr add fe80::99/64 dev {link} nodad"));
            let shown = node.ip(&format!("-o link show dev {link}"));
            let ifindex = shown.split(':').next().expect("an index").parse().expect("a number");
            let zone = Zone::new(ifindex).expect("an index");
            zone::within("fe80::99".parse().unwrap(), zone).unwrap().to_string()
        });
        let all = [
            "10.10.0.0/24 metric 190 nexthop via 10.0.2.2 dev eth2 weight 1 nexthop via inet6 fe80::99 dev eth1 weight 1",
            "10.11.0.0/24 via inet6 fe80::99 dev eth1 metric 190",
            "fd10::/64 metric 190 pref medium nexthop via fd00:2::2 dev eth2 weight 1 nexthop via fe80::99 dev eth1 weight 1",
            "fd11::/64 metric 190 pref medium nexthop via fe80::99 dev eth1 weight 1 nexthop via fe80::99 dev eth2 weight 1",
        ];
        let wanted = |driver: &mut Driver| {
            driver.install(1, &["10.0.2.2", &linked[0]], &["10.10.0.0/24"]);
            driver.install(2, &[&linked[0]], &["10.11.0.0/24"]);
            driver.install(3, &["fd00:2::2", &linked[0]], &["fd10::/64"]);
            driver.install(4, &[&linked[0], &linked[1]], &["fd11::/64"]);
        };
        for next_hop_groups in [NextHopGroups::Never, NextHopGroups::Always] {
            let config = KernelConfig { next_hop_groups, ..KernelConfig::default() };
            let until = |expected: &[&str]| {
                wait::until(&format!("routes {expected:?}, {next_hop_groups:?}"), LIMIT, || {
                    let ours = ours(&node);
                    let named = |line: &String| line.contains(" nhid ");
                    let right =
                        ours.iter().all(|line| named(line) == (next_hop_groups == NextHopGroups::Always));
                    let plain = ours.iter().map(|line| without_object(line));
                    if right && plain.eq(expected.iter().copied()) {
                        Ok(())
                    } else {
                        Err(format!("{ours:?}"))
                    }
                });
            };
            let mut driver = Driver::configured(&node, config.clone());
            wanted(&mut driver);
            until(&all);
            // Somebody takes one away, and the link goes and comes back.
            node.ip("route del 10.11.0.0/24 metric 190");
            until(&all);
            tor.ip("link set eth1 down");
            until(&[
                "10.10.0.0/24 via 10.0.2.2 dev eth2 metric 190",
                "fd10::/64 via fd00:2::2 dev eth2 metric 190 pref medium",
                "fd11::/64 via fe80::99 dev eth2 metric 190 pref medium",
            ]);
            tor.ip("link set eth1 up");
            tor.ip("addr replace fe80::99/64 dev eth1 nodad");
            until(&all);
            driver.stop();
            let left = ours(&node);
            let mut driver = Driver::configured(&node, config);
            wanted(&mut driver);
            assert_eq!(ours(&node), left);
            driver.stop();
        }
    });
}

/// A route that names an object as it is shown where it names none: there a single next hop is no list.
fn without_object(line: &str) -> String {
    let mut words: Vec<_> = line.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "nhid") {
        words.drain(at..at + 2);
    }
    let line = words.join(" ");
    let parts: Vec<_> = line.split(" nexthop ").collect();
    match parts[..] {
        [route, way] => {
            let (destination, rest) = route.split_once(' ').expect("a metric");
            format!("{destination} {} {rest}", way.trim_end_matches(" weight 1"))
        }
        _ => line,
    }
}

#[test]
fn ipv4_goes_by_an_ipv6_next_hop() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["fd00:1::2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2", "10.0.2.2"], &["10.11.0.0/24"]);
        assert_eq!(
            ours(&node),
            [
                "10.10.0.0/24 via inet6 fd00:1::2 dev eth1 metric 190",
                "10.11.0.0/24 metric 190 nexthop via 10.0.2.2 dev eth2 weight 1 nexthop via inet6 fd00:1::2 dev eth1 weight 1",
            ]
        );
        driver.stop();
    });
}

#[test]
fn learned_routes_prefer_the_source_that_the_node_has() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut config = KernelConfig::default();
        config.preferred_source.ipv4 = Some("10.255.0.1".parse().unwrap());
        config.preferred_source.ipv6 = Some("fd00:255::1".parse().unwrap());
        let mut driver = Driver::configured(&node, config);
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2"], &["fd10::/64"]);
        let without = [
            "10.10.0.0/24 via 10.0.1.2 dev eth1 metric 190",
            "fd10::/64 via fd00:1::2 dev eth1 metric 190 pref medium",
        ];
        until_ours(&node, &without);
        node.ip("addr add 10.255.0.1/32 dev lo");
        node.ip("addr add fd00:255::1/128 dev lo");
        let with = [
            "10.10.0.0/24 via 10.0.1.2 dev eth1 src 10.255.0.1 metric 190",
            "fd10::/64 via fd00:1::2 dev eth1 src fd00:255::1 metric 190 pref medium",
        ];
        until_ours(&node, &with);
        // The kernel takes an IPv4 route away together with its preferred source.
        node.ip("addr del 10.255.0.1/32 dev lo");
        node.ip("addr del fd00:255::1/128 dev lo");
        until_ours(&node, &without);
        driver.stop();
    });
}

#[test]
fn own_prefixes_are_unreachable_but_for_what_is_more_specific() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut config = KernelConfig {
            unreachable: vec![prefix("10.244.1.0/24"), prefix("fd00:10:244:1::/64")],
            ..KernelConfig::default()
        };
        let driver = Driver::configured(&node, config.clone());
        until_ours(
            &node,
            &[
                "unreachable 10.244.1.0/24 metric 2147483647",
                "unreachable fd00:10:244:1::/64 dev lo metric 2147483647 pref medium",
            ],
        );
        node.ip("route add 10.244.1.7/32 dev eth1");
        assert!(node.ip("route get 10.244.1.7").contains("dev eth1"));
        assert!(node.try_ip("route get 10.244.1.8").is_err());
        config.unreachable = vec![prefix("10.244.2.0/24")];
        driver.handle.send(controller::kernel::Command::Configure(config.clone()));
        until_ours(&node, &["unreachable 10.244.2.0/24 metric 2147483647"]);
        config.install = false;
        driver.handle.send(controller::kernel::Command::Configure(config));
        until_ours(&node, &[]);
        driver.stop();
    });
}

#[test]
fn a_configuration_applies_to_routes_that_are_there() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut config = KernelConfig::default();
        let mut driver = Driver::configured(&node, config.clone());
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["fd00:1::2"], &["fd10::/64"]);
        config.metric = 200;
        driver.handle.send(controller::kernel::Command::Configure(config.clone()));
        until_ours(
            &node,
            &[
                "10.10.0.0/24 via 10.0.1.2 dev eth1 metric 200",
                "fd10::/64 via fd00:1::2 dev eth1 metric 200 pref medium",
            ],
        );
        config.table = 1000;
        driver.handle.send(controller::kernel::Command::Configure(config.clone()));
        until_ours(&node, &[]);
        wait::until("the route in its table", LIMIT, || {
            node.ip("route show table all proto 171")
                .contains("10.10.0.0/24 via 10.0.1.2 dev eth1 table 1000 metric 200")
        });
        config.protocol = 172;
        driver.handle.send(controller::kernel::Command::Configure(config.clone()));
        wait::until("the other protocol", LIMIT, || {
            node.ip("route show table all proto 171").is_empty()
                && node
                    .ip("route show table 1000 proto 172")
                    .contains("10.10.0.0/24 via 10.0.1.2 dev eth1 metric 200")
        });
        config.install = false;
        driver.handle.send(controller::kernel::Command::Configure(config));
        wait::until("nothing", LIMIT, || node.ip("route show table all proto 172").is_empty());
        driver.stop();
    });
}

#[test]
fn flushed_routes_are_written_again() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let config = KernelConfig { unreachable: vec![prefix("10.244.1.0/24")], ..KernelConfig::default() };
        let mut driver = Driver::configured(&node, config);
        driver.install(1, &["10.0.1.2", "10.0.2.2"], &["10.10.0.0/24", "10.11.0.0/24"]);
        driver.install(2, &["fd00:1::2", "fd00:2::2"], &["fd10::/64", "fd11::/64"]);
        let all = ours(&node);
        assert_eq!(all.len(), 5, "{all:?}");
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        let answers = driver.answers;
        for family in ["-4", "-6"] {
            node.ip(&format!("{family} route flush proto 171"));
        }
        until_ours(&node, &all);
        node.ip("route del 10.10.0.0/24 metric 190");
        node.ip("route replace 10.11.0.0/24 via 10.0.1.2 metric 190 proto 171");
        node.ip("-6 route del fd10::/64 metric 190");
        until_ours(&node, &all);
        // A repair is nobody's answer.
        driver.hear();
        assert_eq!(driver.answers, answers);
        driver.stop();
    });
}

#[test]
fn routes_come_back_with_their_link_and_move_off_it_meanwhile() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.install(1, &["10.0.1.2"], &["10.10.0.0/24"]);
        driver.install(2, &["10.0.1.2", "10.0.2.2"], &["10.11.0.0/24"]);
        driver.install(3, &["fd00:2::2", "fd00:1::2"], &["fd11::/64"]);
        let all = ours(&node);
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        let moved = [
            "10.11.0.0/24 via 10.0.2.2 dev eth2 metric 190",
            "fd11::/64 via fd00:2::2 dev eth2 metric 190 pref medium",
        ];
        // Taken down on purpose: IPv4 routes vanish without a word.
        node.ip("link set eth1 down");
        until_ours(&node, &moved);
        node.ip("link set eth1 up");
        node.ip("addr add fd00:1::1/64 dev eth1 nodad");
        until_ours(&node, &all);
        // Carrier lost: the kernel keeps the routes.
        tor.ip("link set eth1 down");
        until_ours(&node, &moved);
        tor.ip("link set eth1 up");
        until_ours(&node, &all);
        // The address goes, and with it the subnet.
        node.ip("addr del 10.0.1.1/24 dev eth1");
        node.ip("addr del fd00:1::1/64 dev eth1");
        until_ours(&node, &moved);
        node.ip("addr add 10.0.1.1/24 dev eth1");
        node.ip("addr add fd00:1::1/64 dev eth1 nodad");
        until_ours(&node, &all);
        driver.stop();
    });
}

#[test]
fn a_set_whose_next_hops_are_gone_takes_no_route() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.set(1, &["10.0.9.2"]);
        driver.route(&["10.10.0.0/24"], Some(1));
        driver.until_acked("10.10.0.0/24", libc::ENETUNREACH);
        assert_eq!(ours(&node), [""; 0]);
        // What could not be written is written when it can be, and that is told.
        node.ip("addr add 10.0.9.1/24 dev eth1");
        driver.until_acked("10.10.0.0/24", 0);
        assert_eq!(ours(&node), ["10.10.0.0/24 via 10.0.9.2 dev eth1 metric 190"]);
        driver.stop();
    });
}
