//! Path Identifiers (RFC 7911) to the octet: the capability, and prefixes behind them.

use bgp::id::PathId;
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::wire::add_path::{AddPath, Mode};
use bgp::wire::attribute::NextHops;
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::frame::Framer;
use bgp::wire::nlri::{self, Nlri, Route};
use bgp::wire::notification::{Notification, UpdateError};
use bgp::wire::open::Open;
use bgp::wire::pack;
use bgp::wire::update::Update;

use super::{EXTERNAL, hex, message, prefix, update};

const BOTH: Mode = Mode { receive: true, send: true };

/// A peer that sends Path Identifiers in both families.
const SEVERAL: Codec = Codec { add_path: PerFamily { ipv4: BOTH, ipv6: BOTH }, ..EXTERNAL };

/// ORIGIN, AS_PATH 65001 and NEXT_HOP 10.0.0.1.
const BASE: &str = "40010100 4002060201 0000fde9 400304 0a000001";

fn said(capabilities: &str) -> Result<Open, Notification> {
    let capabilities = hex(capabilities);
    let len = capabilities.len() as u8;
    Open::decode(&[&hex("04 fde9 005a 0a000001")[..], &[len + 2, 2, len], &capabilities].concat())
}

fn route(id: u32, text: &str) -> Route {
    Route { id: Some(PathId(id)), prefix: prefix(text) }
}

#[test]
fn the_capability_golden() {
    let cases = [
        ("45 04 0001 01 01", vec![(1, 1, 1)]),
        ("45 08 0001 01 03 0002 01 02", vec![(1, 1, 3), (2, 1, 2)]),
        ("45 00", vec![]),
        ("45 08 0019 46 01 0001 80 07", vec![(25, 70, 1), (1, 128, 7)]),
    ];
    for (octets, families) in cases {
        let capability = Capability::AddPath(AddPath { families });
        assert_eq!(said(octets).unwrap().capabilities, core::slice::from_ref(&capability), "{octets}");
        let mut out = Vec::new();
        capability.encode(&mut out);
        assert_eq!(out, hex(octets));
    }
    for octets in ["45 01 00", "45 03 0001 01", "45 05 0001 01 01 00"] {
        assert_eq!(said(octets), Err(Notification::malformed_open()), "{octets}");
    }
}

#[test]
fn what_the_capability_says_of_a_family() {
    let (receive, send) = (Mode { receive: true, send: false }, Mode { receive: false, send: true });
    let cases = [
        ("", Mode::default(), Mode::default()),
        ("45 04 0001 01 01", receive, Mode::default()),
        ("45 08 0001 01 02 0002 01 03", send, BOTH),
        // Unknown values (RFC 7911 §4), for one family and for both.
        ("45 08 0001 01 00 0002 01 01", Mode::default(), receive),
        ("45 08 0001 01 04 0002 01 ff", Mode::default(), Mode::default()),
        // Families of another SAFI.
        ("45 08 0001 02 03 0002 80 03", Mode::default(), Mode::default()),
        // The last one counts, within a capability and over several; an unknown value is none.
        ("45 08 0001 01 01 0001 01 02", send, Mode::default()),
        ("45 04 0001 01 01 45 04 0001 01 02", send, Mode::default()),
        ("45 08 0001 01 01 0001 01 07", receive, Mode::default()),
    ];
    for (octets, ipv4, ipv6) in cases {
        let open = said(octets).unwrap();
        assert_eq!((open.add_path(Family::Ipv4), open.add_path(Family::Ipv6)), (ipv4, ipv6), "{octets}");
    }
}

#[test]
fn prefixes_golden() {
    let field = hex("00000001 18c00002 00000002 18c00002 ffffffff 00 00000000 20c0000201");
    let routes = [
        route(1, "192.0.2.0/24"),
        route(2, "192.0.2.0/24"),
        route(u32::MAX, "0.0.0.0/0"),
        route(0, "192.0.2.1/32"),
    ];
    let parsed = Nlri::parse(Family::Ipv4, true, &field).unwrap();
    assert_eq!(parsed.routes().collect::<Vec<_>>(), routes);
    assert_eq!(parsed.iter().collect::<Vec<_>>(), routes.map(|route| route.prefix));
    let mut out = Vec::new();
    routes.into_iter().for_each(|route| nlri::encode(route, &mut out));
    assert_eq!(out, field);
    assert_eq!(routes.into_iter().map(nlri::encoded_len).sum::<usize>(), field.len());
    let field = hex("18c00002");
    let parsed = Nlri::parse(Family::Ipv4, false, &field).unwrap();
    assert_eq!(parsed.routes().collect::<Vec<_>>(), [Route::from(prefix("192.0.2.0/24"))]);
}

#[test]
fn updates_golden() {
    let mut out = Vec::new();
    let base = hex(BASE);
    let next_hop = NextHops::V4("10.0.0.1".parse().unwrap());
    let routes = [route(1, "192.0.2.0/24"), route(7, "192.0.2.0/24")];
    pack::announce(&base, next_hop, Family::Ipv4, routes, pack::Longest::Plain, &mut out).unwrap();
    assert_eq!(out, message(2, &update(&[], &base, &hex("00000001 18c00002 00000007 18c00002"))));
    let parsed = Update::parse(&out[19..], &SEVERAL).unwrap();
    let announced: Vec<Route> = parsed.announced().flat_map(|announced| announced.nlri.routes()).collect();
    assert_eq!(announced, routes);

    out.clear();
    pack::withdraw(Family::Ipv4, routes, &mut out);
    assert_eq!(out, message(2, &update(&hex("00000001 18c00002 00000007 18c00002"), &[], &[])));

    out.clear();
    let routes = [route(3, "2001:db8::/32"), route(4, "::/0")];
    let next_hop = NextHops::V6 { global: "2001:db8::1".parse().unwrap(), link_local: None };
    let base = hex("40010100 4002060201 0000fde9");
    pack::announce(&base, next_hop, Family::Ipv6, routes, pack::Longest::Plain, &mut out).unwrap();
    let reach = "900e0023 0002 01 10 20010db8000000000000000000000001 00 00000003 2020010db8 00000004 00";
    assert_eq!(out, message(2, &update(&[], &[hex(reach), base].concat(), &[])));
    let parsed = Update::parse(&out[19..], &SEVERAL).unwrap();
    let announced: Vec<Route> = parsed.announced().flat_map(|announced| announced.nlri.routes()).collect();
    assert_eq!(announced, routes);

    out.clear();
    pack::withdraw(Family::Ipv6, routes, &mut out);
    let unreach = "900f0011 0002 01 00000003 2020010db8 00000004 00";
    assert_eq!(out, message(2, &update(&[], &hex(unreach), &[])));
    let parsed = Update::parse(&out[19..], &SEVERAL).unwrap();
    assert_eq!(parsed.withdrawn().flat_map(Nlri::routes).collect::<Vec<_>>(), routes);
}

#[test]
fn end_of_rib_has_no_path_identifier() {
    for (octets, family) in [("0000 0000", Family::Ipv4), ("0000 0006 800f03 0002 01", Family::Ipv6)] {
        assert_eq!(Update::parse(&hex(octets), &SEVERAL).unwrap().end_of_rib(), Some(family));
    }
}

#[test]
fn a_direction_and_a_family_at_a_time() {
    // Sent with Path Identifiers, received without; IPv6 with, IPv4 without.
    let sends = Mode { receive: false, send: true };
    let codec = Codec { add_path: PerFamily { ipv4: sends, ipv6: BOTH }, ..EXTERNAL };
    let body = update(&hex("18c00002"), &hex("800f0a 0002 01 00000009 1020 01"), &[]);
    let parsed = Update::parse(&body, &codec).unwrap();
    let withdrawn: Vec<Route> = parsed.withdrawn().flat_map(Nlri::routes).collect();
    assert_eq!(withdrawn, [Route::from(prefix("192.0.2.0/24")), route(9, "2001::/16")]);
}

#[test]
fn prefixes_that_cannot_be_located() {
    let expected = Notification::update(UpdateError::InvalidNetworkField, &[]);
    for field in ["00", "000000", "00000001", "00000001 21 0a000001 00", "00000001 18 c000", "18c00002"] {
        let field = hex(field);
        for body in [update(&field, &[], &[]), update(&[], &hex(BASE), &field)] {
            assert_eq!(Update::parse(&body, &SEVERAL).err(), Some(expected.clone()), "{field:02x?}");
        }
    }
    for attribute in ["800f05 0002 01 0000", "800f07 0002 01 00000001", "800f08 0002 01 00000001 81"] {
        let expected = Notification::update(UpdateError::OptionalAttribute, &hex(attribute));
        let body = update(&[], &hex(attribute), &[]);
        assert_eq!(Update::parse(&body, &SEVERAL).err(), Some(expected), "{attribute}");
    }
}

#[test]
fn messages_are_full() {
    for family in Family::ALL {
        let prefix = |n: u32| match family {
            Family::Ipv4 => Prefix::new(std::net::Ipv4Addr::from_bits(n << 8).into(), 24),
            Family::Ipv6 => Prefix::new(std::net::Ipv6Addr::from_bits(u128::from(n) << 64).into(), 64),
        };
        let routes: Vec<Route> =
            (0..3_000).map(|n| Route { id: Some(PathId(n)), prefix: prefix(n / 3).unwrap() }).collect();
        let mut out = Vec::new();
        pack::withdraw(family, routes.iter().copied(), &mut out);
        let (mut framer, mut rest, mut found) = (Framer::new(), out.as_slice(), Vec::new());
        while let Some(frame) = framer.next(&mut rest).unwrap() {
            found.extend(Update::parse(frame.body, &SEVERAL).unwrap().withdrawn().flat_map(Nlri::routes));
            let next = routes.get(found.len());
            let fits = next.is_some_and(|next| 19 + frame.body.len() + nlri::encoded_len(*next) <= 4096);
            assert!(!fits, "room was left");
        }
        assert_eq!(found, routes);
    }
}

#[test]
fn attributes_that_leave_room_for_a_prefix_alone() {
    let next_hop = NextHops::V4("10.0.0.1".parse().unwrap());
    let most = vec![0; 4096 - 19 - 4 - 5];
    let (mut out, plain) = (Vec::new(), pack::Longest::Plain);
    let host = route(1, "10.0.0.1/32");
    assert!(pack::announce(&most, next_hop, Family::Ipv4, [host.prefix], plain, &mut out).is_ok());
    assert!(pack::announce(&most, next_hop, Family::Ipv4, [host], plain, &mut out).is_err());
    out.clear();
    assert!(pack::announce(&most[4..], next_hop, Family::Ipv4, [host], plain, &mut out).is_ok());
    assert_eq!(out.len(), 4096);
}
