//! The peers of the library: each starts, is asked, and exchanges a route with BIRD in both directions.

use std::time::Duration;

use labs::bird::Bird;
use labs::frr::Frr;
use labs::gobgp::Gobgp;
use labs::openbgpd::Openbgpd;
use labs::{Netns, Sandbox, wait};

const LIMIT: Duration = Duration::from_secs(30);
/// What BIRD announces, and what the other does.
const FROM_BIRD: &str = "198.51.100.0/24";
const TO_BIRD: &str = "203.0.113.0/24";

/// BIRD with address 192.0.2.1 and AS 65001, and the namespace of its neighbour: 192.0.2.2, AS 65002.
fn beside_bird(sandbox: &Sandbox) -> (Bird, Netns) {
    let (near, far) = (sandbox.netns("near"), sandbox.netns("far"));
    sandbox.link(&near, "eth0", &far, "eth0");
    near.ip("addr add 192.0.2.1/24 dev eth0");
    far.ip("addr add 192.0.2.2/24 dev eth0");
    let config = format!(
        "router id 192.0.2.1; protocol device {{}}
         protocol static {{ ipv4; route {FROM_BIRD} unreachable; }}
         protocol bgp far {{ local as 65001; neighbor 192.0.2.2 as 65002; direct;
           error wait time 1,1; connect delay time 1; connect retry time 2;
           ipv4 {{ import all; export all; }}; }}"
    );
    (Bird::start(sandbox, &near, "bird", &config), far)
}

/// Waits until BIRD has the neighbour's route and `ask` shows BIRD's.
#[track_caller]
fn exchanged(bird: &Bird, ask: impl Fn() -> String) {
    wait::until("the route at BIRD", LIMIT, || {
        let table = bird.birdc("show route all");
        let there = table.contains(TO_BIRD) && table.contains("BGP.as_path: 65002");
        if there { Ok(()) } else { Err(table) }
    });
    wait::until("BIRD's route at its neighbour", LIMIT, || {
        let table = ask();
        if table.contains(FROM_BIRD) { Ok(()) } else { Err(table) }
    });
}

#[test]
fn frr_exchanges_a_route_and_is_configured_while_it_runs() {
    labs::require!("root", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let (bird, far) = beside_bird(sandbox);
        let config = format!(
            "router bgp 65002
             bgp router-id 192.0.2.2
             no bgp ebgp-requires-policy
             no bgp network import-check
             neighbor 192.0.2.1 remote-as 65001
             neighbor 192.0.2.1 timers connect 1
             neighbor 192.0.2.1 advertisement-interval 0
             address-family ipv4 unicast
              network {TO_BIRD}"
        );
        let mut frr = Frr::start(sandbox, &far, "frr", &config);
        exchanged(&bird, || frr.vtysh("show bgp ipv4 unicast json"));
        frr.configure(&["router bgp 65002", "address-family ipv4 unicast", &format!("no network {TO_BIRD}")]);
        wait::until("the withdrawal at BIRD", LIMIT, || {
            let table = bird.birdc("show route");
            if table.contains(TO_BIRD) { Err(table) } else { Ok(()) }
        });
        let summary = frr.vtysh("show bgp summary json");
        assert!(summary.contains("\"state\":\"Established\""), "{summary}");
        assert!(frr.bgpd().status().is_none(), "it runs");
    });
}

#[test]
fn a_configuration_that_frr_refuses_is_named() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let namespace = sandbox.netns("far");
        let start = || Frr::start(sandbox, &namespace, "frr", "router bgp 65002\n no such thing\n");
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(start)).unwrap_err();
        let message = *panic.downcast::<String>().unwrap();
        assert!(
            message.contains("line 2: % Unknown command") && message.contains("no such thing"),
            "{message}"
        );
    });
}

#[test]
fn gobgp_exchanges_a_route() {
    labs::require!("root", "bird", "gobgp");
    labs::sandbox!(|sandbox| {
        let (bird, far) = beside_bird(sandbox);
        let config = r#"
            [global.config]
            as = 65002
            router-id = "192.0.2.2"
            [[neighbors]]
            [neighbors.config]
            neighbor-address = "192.0.2.1"
            peer-as = 65001
            [neighbors.timers.config]
            connect-retry = 1
            idle-hold-time-after-reset = 1
        "#;
        let mut gobgp = Gobgp::start(sandbox, &far, "gobgp", config);
        gobgp.gobgp(&format!("global rib add {TO_BIRD}"));
        exchanged(&bird, || gobgp.gobgp("global rib -j"));
        assert!(gobgp.daemon().status().is_none(), "it runs");
    });
}

#[test]
fn openbgpd_exchanges_a_route() {
    labs::require!("root", "bird", "openbgpd");
    labs::sandbox!(|sandbox| {
        let (bird, far) = beside_bird(sandbox);
        let config = format!(
            "AS 65002
             router-id 192.0.2.2
             fib-update no
             connect-retry 1
             network {TO_BIRD}
             neighbor 192.0.2.1 {{ remote-as 65001 }}
             allow from any
             allow to any\n"
        );
        let mut openbgpd = Openbgpd::start(sandbox, &far, "openbgpd", &config);
        exchanged(&bird, || openbgpd.bgpctl("show rib"));
        assert!(openbgpd.daemon().status().is_none(), "it runs");
    });
}
