//! Resolution over a made-up table, against a search that looks at every route.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::io::NextHop;
use bgp::prefix::Prefix;
use controller::kernel::message::{Hop, KernelRoute, Link};
use controller::kernel::nexthop::resolve;
use controller::kernel::view::{Ownership, View};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{hop, prefix};

const MAIN: u32 = 254;
const LINKS: u32 = 3;

fn ownership() -> Ownership {
    Ownership { tables: [MAIN].into(), protocols: [171].into() }
}

fn route(text: &str, metric: u32, hops: &[(Option<&str>, u32)]) -> KernelRoute {
    let hops = hops.iter().map(|(gateway, ifindex)| Hop {
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        ifindex: *ifindex,
        flags: 0,
    });
    KernelRoute {
        prefix: prefix(text),
        tos: 0,
        table: MAIN,
        metric,
        protocol: 4,
        kind: libc::RTN_UNICAST,
        flags: 0,
        source: None,
        hops: hops.collect(),
        object: None,
    }
}

/// A view in which link 3 is down.
fn view(routes: Vec<KernelRoute>) -> View {
    let links = (1..=LINKS).map(|ifindex| Link {
        ifindex,
        name: format!("eth{ifindex}"),
        up: ifindex != 3,
        loopback: false,
        mtu: 1500,
    });
    View::new(links.collect(), &[], routes, &ownership()).0
}

fn resolved(view: &View, next_hop: NextHop) -> Option<(u32, Vec<(IpAddr, u32)>)> {
    let resolution = resolve(view, next_hop, &mut BTreeSet::new())?;
    let legs = resolution.legs.iter().map(|leg| (leg.gateway.unwrap(), leg.ifindex)).collect();
    Some((resolution.metric, legs))
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn gateways_are_followed_to_a_neighbour() {
    let view = view(vec![
        route("10.0.1.0/24", 0, &[(None, 1)]),
        route("10.0.2.0/24", 0, &[(None, 2)]),
        route("10.0.3.0/24", 0, &[(None, 3)]),
        route("192.0.2.0/24", 9, &[(Some("10.0.9.9"), 1), (Some("10.0.3.9"), 3), (Some("10.0.2.9"), 2)]),
        route("10.0.9.0/24", 5, &[(Some("10.0.1.9"), 1)]),
        route("198.51.100.0/24", 1, &[(Some("10.0.3.9"), 3)]),
        route("198.51.100.0/24", 2, &[(Some("10.0.2.8"), 2)]),
    ]);
    let both = vec![(at("10.0.1.9"), 1), (at("10.0.2.9"), 2)];
    assert_eq!(resolved(&view, hop("192.0.2.1")), Some((9, both)));
    // The route with the better metric leads over a link that is down.
    assert_eq!(resolved(&view, hop("198.51.100.1")), Some((2, vec![(at("10.0.2.8"), 2)])));
    assert_eq!(resolved(&view, hop("10.0.3.1")), None);
    assert_eq!(resolved(&view, hop("203.0.113.1")), None);
}

#[test]
fn a_circle_of_gateways_ends() {
    let view = view(vec![
        route("10.0.1.0/24", 0, &[(None, 1)]),
        route("192.0.2.0/24", 1, &[(Some("198.51.100.1"), 1)]),
        route("198.51.100.0/24", 1, &[(Some("192.0.2.1"), 1)]),
        route("203.0.113.0/24", 1, &[(Some("203.0.113.1"), 1)]),
    ]);
    assert_eq!(resolved(&view, hop("192.0.2.1")), None);
    assert_eq!(resolved(&view, hop("203.0.113.9")), None);
    assert_eq!(resolved(&view, hop("10.0.1.7")), Some((0, vec![(at("10.0.1.7"), 1)])));
}

#[test]
fn a_gateway_is_not_resolved_by_a_default_route() {
    let view = view(vec![
        route("0.0.0.0/0", 3, &[(Some("10.0.1.9"), 1)]),
        route("10.0.1.0/24", 0, &[(None, 1)]),
        route("192.0.2.0/24", 1, &[(Some("198.51.100.1"), 1)]),
    ]);
    let lenient = |address: &str| NextHop { address: at(address), via_default: true };
    assert_eq!(resolved(&view, lenient("203.0.113.1")), Some((3, vec![(at("10.0.1.9"), 1)])));
    assert_eq!(resolved(&view, lenient("192.0.2.1")), None);
}

fn tables() -> impl Strategy<Value = Vec<KernelRoute>> {
    let address = (0..8_u32).prop_map(|n| IpAddr::from((0x0a00_0000 | n << 28 | n).to_be_bytes()));
    let gateway = proptest::option::of(address.clone());
    let hop = (gateway, 1..=LINKS).prop_map(|(gateway, ifindex)| Hop { gateway, ifindex, flags: 0 });
    let len = prop_oneof![Just(0_u8), Just(4), Just(24), Just(31), Just(32)];
    let route = (address, len, 0..4_u32, vec(hop, 1..3), prop::bool::weighted(0.1)).prop_map(
        |(address, len, metric, hops, own)| KernelRoute {
            prefix: Prefix::new(address, len).unwrap(),
            hops,
            protocol: if own { 171 } else { 4 },
            ..route("0.0.0.0/0", metric, &[])
        },
    );
    vec(route, 0..24)
}

proptest! {
    #[test]
    fn each_leg_is_a_neighbour_on_a_live_link_by_others_routes(table in tables(), number in 0..8_u32, via_default: bool) {
        let address = IpAddr::from((0x0a00_0000 | number << 28 | number).to_be_bytes());
        let view = view(table.clone());
        let mut watched = BTreeSet::new();
        let resolution = resolve(&view, NextHop { address, via_default }, &mut watched);
        prop_assert!(watched.contains(&address));
        let others: Vec<_> = table.iter().filter(|route| route.protocol != 171).collect();
        // The longest match, found by looking at every route.
        let longest = |address| {
            let matches = others.iter().filter(|route| route.prefix.covers(address));
            let mut by_len = BTreeMap::<u8, Vec<_>>::new();
            matches.for_each(|route| by_len.entry(route.prefix.len()).or_default().push(*route));
            by_len.pop_last().map(|(_, routes)| routes).unwrap_or_default()
        };
        let first = longest(address);
        let Some(resolution) = resolution else { return Ok(()) };
        prop_assert!(!first.is_empty());
        prop_assert!(via_default || !first[0].prefix.is_default());
        prop_assert!(resolution.metric == 0 || first.iter().any(|route| route.metric == resolution.metric));
        prop_assert!(!resolution.legs.is_empty() && resolution.legs.is_sorted());
        for leg in resolution.legs.iter() {
            prop_assert!(leg.ifindex != 3, "link 3 is down");
            let gateway = leg.gateway.unwrap();
            prop_assert!(watched.contains(&gateway));
            let connected = longest(gateway).iter().any(|route| {
                route.hops.iter().any(|hop| hop.gateway.is_none() && hop.ifindex == leg.ifindex)
            });
            prop_assert!(connected, "{:?} is no neighbour", leg);
        }
    }
}
