//! What concerns pods alone: those with an address outside of the node's PodCIDRs, and what fits into uplinks.

use controller::kernel::{Command, KernelConfig};

use super::{Driver, node, prefix};

#[test]
fn pods_outside_of_the_pod_cidrs_are_told_as_they_come_and_go() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        // There before the agent is; one inside, one of another owner, one that is no host.
        node.ip("route add 203.0.113.7/32 dev eth1 proto 172");
        node.ip("route add 10.244.1.9/32 dev eth1 proto 172");
        node.ip("route add 203.0.113.8/32 dev eth1 proto static");
        node.ip("route add 198.51.100.0/24 dev eth1 proto 172");
        let config = KernelConfig { unreachable: vec![prefix("10.244.1.0/24")], ..KernelConfig::default() };
        let mut driver = Driver::configured(&node, config.clone());
        let is = |driver: &mut Driver, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(|text| prefix(text)).collect();
            driver.until(&format!("{expected:?}"), |driver| {
                if driver.hosts == expected { Ok(()) } else { Err(format!("{:?}", driver.hosts)) }
            });
        };
        is(&mut driver, &["203.0.113.7/32"]);
        node.ip("-6 route add 2001:db8:9::7/128 dev eth2 proto 172");
        is(&mut driver, &["203.0.113.7/32", "2001:db8:9::7/128"]);
        node.ip("route del 203.0.113.7/32 dev eth1 proto 172");
        is(&mut driver, &["2001:db8:9::7/128"]);
        // What goes with its link goes without a word.
        node.ip("route add 203.0.113.9/32 dev eth2 proto 172");
        is(&mut driver, &["203.0.113.9/32", "2001:db8:9::7/128"]);
        node.ip("link del eth2");
        is(&mut driver, &[]);
        // Another PodCIDR: the one that was inside is outside.
        driver.handle.send(Command::Configure(KernelConfig { unreachable: vec![], ..config }));
        is(&mut driver, &["10.244.1.9/32"]);
        driver.stop();
    });
}

#[test]
fn the_smallest_mtu_of_those_uplinks_that_carry_routes_is_told() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let pod = sandbox.netns("pod");
        sandbox.link(&node, "ul0123456789abc", &pod, "eth0");
        node.ip("link set ul0123456789abc mtu 1280");
        node.ip("link set eth1 mtu 9000");
        node.ip("link set eth2 mtu 1450");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        driver.until("the addresses", |driver| {
            if driver.adopted.is_some() { Ok(()) } else { Err("not yet".to_owned()) }
        });
        assert!(driver.mtu.is_empty(), "no interface carries routes: {:?}", driver.mtu);
        let is = |driver: &mut Driver, expected: u32| {
            driver.until(&format!("MTU {expected}"), |driver| {
                if driver.mtu.last() == Some(&expected) { Ok(()) } else { Err(format!("{:?}", driver.mtu)) }
            });
        };
        // A default route, a learned one by another interface, a change of that.
        node.ip("route add default via 10.0.1.2");
        is(&mut driver, 9000);
        driver.install(1, &["10.0.2.2"], &["10.10.0.0/24"]);
        is(&mut driver, 1450);
        node.ip("link set eth2 mtu 1400");
        is(&mut driver, 1400);
        // A default route by a pod's link is none of an uplink.
        node.ip("route add default dev ul0123456789abc metric 77");
        node.ip("link set eth2 mtu 1410");
        is(&mut driver, 1410);
        driver.stop();
    });
}
