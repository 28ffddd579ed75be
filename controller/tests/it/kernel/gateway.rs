//! Default gateways, as peers are derived from them.

use std::net::IpAddr;

use controller::kernel::KernelConfig;

use super::{Driver, LIMIT, node};

#[track_caller]
fn until(driver: &mut Driver, gateways: &[&str]) {
    let expected: Vec<IpAddr> = gateways.iter().map(|text| text.parse().unwrap()).collect();
    driver.until(&format!("the gateways {gateways:?}"), |driver| {
        if driver.gateways == expected { Ok(()) } else { Err(format!("{:?}", driver.gateways)) }
    });
}

#[test]
fn gateways_are_those_of_others_best_default_routes() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        node.ip("-4 route add default via 10.0.1.2 metric 100");
        let mut driver = Driver::configured(&node, KernelConfig::default());
        until(&mut driver, &["10.0.1.2"]);

        // Equal-cost gateways in both families, as each of the two has them.
        node.ip("-4 route replace default metric 100 nexthop via 10.0.1.2 nexthop via 10.0.2.2");
        node.ip("-6 route add default via fd00:1::2 metric 1024");
        node.ip("-6 route append default via fd00:2::2 metric 1024");
        until(&mut driver, &["10.0.1.2", "10.0.2.2", "fd00:1::2", "fd00:2::2"]);

        // What we have learned ourselves, and what is worse, is none.
        node.ip("-4 route add default via 10.0.2.1 metric 50 proto 171");
        node.ip("-4 route add default via 10.0.1.9 metric 200");
        node.ip("-4 route replace default via 10.0.2.2 metric 100");
        until(&mut driver, &["10.0.2.2", "fd00:1::2", "fd00:2::2"]);
        node.ip("link set eth2 down");
        until(&mut driver, &["10.0.1.9", "fd00:1::2"]);
        driver.stop();
    });
}

#[test]
fn addresses_that_pass_are_told_apart() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (node, _tor) = node(sandbox);
        let mut driver = Driver::configured(&node, KernelConfig::default());
        let of = |driver: &Driver, text: &str| {
            let address: IpAddr = text.parse().unwrap();
            let lasting = driver.addresses.iter().any(|own| own.address == address);
            (lasting, driver.passing.contains(&address))
        };
        let until = |driver: &mut Driver, expected: (bool, bool)| {
            driver.until(&format!("fd00:7::1 {expected:?}"), |driver| {
                let found = of(driver, "fd00:7::1");
                if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
            });
        };
        // As a router does that renumbers: a prefix is good, is deprecated, and goes.
        node.ip("addr add fd00:7::1/64 dev eth2 nodad");
        until(&mut driver, (true, false));
        node.ip("addr change fd00:7::1/64 dev eth2 preferred_lft 0");
        until(&mut driver, (false, true));
        node.ip("addr del fd00:7::1/64 dev eth2");
        until(&mut driver, (false, false));

        // RFC 8981: beside an address that asks for them, the kernel makes temporary ones by itself.
        node.sysctl("net.ipv6.conf.eth2.use_tempaddr", "2");
        node.ip("addr add fd00:8::1/64 dev eth2 nodad mngtmpaddr valid_lft 7200 preferred_lft 3600");
        let temporary = || {
            let shown = node.ip("-o addr show dev eth2 temporary");
            let prefix = shown.split_whitespace().find(|word| word.starts_with("fd00:8:"))?;
            prefix.split_once('/').map(|(address, _)| address.to_owned())
        };
        let temporary = labs::wait::until("a temporary address", LIMIT, || temporary().ok_or("none"));
        driver.until(&format!("{temporary} told apart"), |driver| {
            let found = [of(driver, "fd00:8::1"), of(driver, &temporary)];
            if found == [(true, false), (false, true)] { Ok(()) } else { Err(format!("{found:?}")) }
        });
        driver.stop();
    });
}
