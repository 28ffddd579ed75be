//! IPv6 next hops of IPv4 prefixes (RFC 8950), and link-local ones, to the octet.

use bgp::prefix::{Family, Prefix};
use bgp::wire::attribute::NextHops;
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::extended_next_hop::ExtendedNextHop;
use bgp::wire::notification::{Notification, UpdateError};
use bgp::wire::open::Open;
use bgp::wire::update::Update;
use bgp::wire::{encode, pack};
use bgp::zone::{self, Zone};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{EXTERNAL, INTERNAL, hex, message, prefix, strategy, update};

/// A peer to which we said that we take IPv6 next hops.
const EXTENDED: Codec = Codec { extended_next_hop: true, ..EXTERNAL };
/// The same on link number 7.
const UNNUMBERED: Codec = Codec { zone: Zone::new(7), ..EXTENDED };
/// ORIGIN and AS_PATH 65001.
const BASE: &str = "40010100 4002060201 0000fde9";
const GLOBAL: &str = "20010db8000000000000000000000001";
const LINK_LOCAL: &str = "fe800000000000000000000000000009";

fn next_hops(text: &str, link_local: Option<&str>) -> NextHops {
    NextHops::V6 { global: text.parse().unwrap(), link_local: link_local.map(|text| text.parse().unwrap()) }
}

/// fe80::9 on link number 7.
fn linked() -> NextHops {
    let seven = Zone::new(7).unwrap();
    NextHops::V6 { global: zone::within("fe80::9".parse().unwrap(), seven).unwrap(), link_local: None }
}

#[test]
fn the_capability_golden() {
    let cases = [
        ("05 06 0001 0001 0002", vec![(1, 1, 2)], true),
        ("05 00", vec![], false),
        ("05 0c 0001 0080 0002 0001 0001 0002", vec![(1, 128, 2), (1, 1, 2)], true),
        ("05 06 0001 0002 0002", vec![(1, 2, 2)], false),
        ("05 06 0001 0001 0001", vec![(1, 1, 1)], false),
        // A SAFI of two octets, unlike elsewhere: 257 is not 1.
        ("05 06 0001 0101 0002", vec![(1, 257, 2)], false),
    ];
    for (octets, triples, has) in cases {
        let capability = Capability::ExtendedNextHop(ExtendedNextHop { triples });
        let said = hex(octets);
        let len = said.len() as u8;
        let open = [&hex("04 fde9 005a 0a000001")[..], &[len + 2, 2, len], &said].concat();
        let open = Open::decode(&open).unwrap();
        assert_eq!(open.capabilities, core::slice::from_ref(&capability), "{octets}");
        assert_eq!(open.takes_extended_next_hop(), has, "{octets}");
        let mut out = Vec::new();
        capability.encode(&mut out);
        assert_eq!(out, hex(octets));
    }
    let mut ours = Vec::new();
    Capability::ExtendedNextHop(ExtendedNextHop::ipv4_by_ipv6()).encode(&mut ours);
    assert_eq!(ours, hex("05 06 0001 0001 0002"));
}

#[test]
fn an_update_golden() {
    let base = hex(BASE);
    for (next_hop, written) in [
        (next_hops("2001:db8::1", None), format!("10 {GLOBAL}")),
        (next_hops("2001:db8::1", Some("fe80::9")), format!("20 {GLOBAL} {LINK_LOCAL}")),
        // The link stays at home.
        (linked(), format!("10 {LINK_LOCAL}")),
    ] {
        let mut out = Vec::new();
        let prefixes = [prefix("192.0.2.0/24"), prefix("0.0.0.0/0")];
        pack::announce(&base, next_hop, Family::Ipv4, prefixes, pack::Longest::Plain, &mut out).unwrap();
        let mut reach = hex(&format!("900e0000 0001 01 {written} 00 18c00002 00"));
        reach[3] = reach.len() as u8 - 4;
        assert_eq!(out, message(2, &update(&[], &[reach, base.clone()].concat(), &[])));
        let codec = if next_hop == linked() { UNNUMBERED } else { EXTENDED };
        let parsed = Update::parse(&out[19..], &codec).unwrap();
        let announced: Vec<_> = parsed.announced().collect();
        assert_eq!(announced[0].next_hop, Some(next_hop));
        assert_eq!(announced[0].nlri.iter().collect::<Vec<_>>(), prefixes);
        let refused = Update::parse(&out[19..], &EXTERNAL).expect_err("refused where we did not say so");
        assert_eq!((refused.code, refused.subcode), (3, 9));
    }
}

#[test]
fn what_routers_write_on_a_link_without_addresses() {
    let zeros = "00000000000000000000000000000000";
    let other = "fe800000000000000000000000000008";
    // A zone has no place on the wire, and is not taken from there.
    let zoned = "fe800000000000050000000000000009";
    let plain = next_hops("fe80::9", None);
    for (octets, on_link, elsewhere) in [
        // RFC 2545 §3, which FRR and BIRD keep to where the interface has a global address.
        (
            format!("{GLOBAL}{LINK_LOCAL}"),
            "2001:db8::1 and fe80::9%7",
            next_hops("2001:db8::1", Some("fe80::9")),
        ),
        (GLOBAL.to_owned(), "2001:db8::1", next_hops("2001:db8::1", None)),
        // GoBGP, and this speaker.
        (LINK_LOCAL.to_owned(), "fe80::9%7", plain),
        // FRR without a global address.
        (format!("{LINK_LOCAL}{LINK_LOCAL}"), "fe80::9%7", next_hops("fe80::9", Some("fe80::9"))),
        // BIRD without one.
        (format!("{zeros}{LINK_LOCAL}"), "fe80::9%7", next_hops("::", Some("fe80::9"))),
        (format!("{other}{LINK_LOCAL}"), "fe80::9%7", next_hops("fe80::8", Some("fe80::9"))),
        (format!("{LINK_LOCAL}{zeros}"), "fe80::9%7", next_hops("fe80::9", Some("::"))),
        (zoned.to_owned(), "fe80::9%7", plain),
        (format!("{GLOBAL}{GLOBAL}"), "2001:db8::1", next_hops("2001:db8::1", Some("2001:db8::1"))),
    ] {
        let (len, afi) = (octets.len() / 2, [("0001", "18c00002"), ("0002", "2020010db8")]);
        for (afi, nlri) in afi {
            let mut reach = hex(&format!("800e00 {afi} 01 {len:02x} {octets} 00 {nlri}"));
            reach[2] = reach.len() as u8 - 3;
            let body = update(&[], &[reach, hex(BASE)].concat(), &[]);
            let read = |codec: &Codec| {
                let parsed = Update::parse(&body, codec).unwrap();
                let announced = parsed.announced().next().unwrap();
                let identity = parsed.identity(&announced, &mut Vec::new()).to_vec();
                (announced.next_hop.unwrap(), identity)
            };
            let (linked, here) = read(&UNNUMBERED);
            let (unlinked, there) = read(&EXTENDED);
            assert_eq!(unlinked, elsewhere, "{octets}");
            let shown = |address| zone::shown(address, |_| None);
            let address = shown(linked.address());
            let shown = match linked {
                NextHops::V6 { global, link_local: Some(second) } if zone::split6(second).1.is_some() => {
                    format!("{} and {address}", shown(global.into()))
                }
                _ => address,
            };
            assert_eq!(shown, on_link, "{octets}");
            // What is read once is not taken for what the same octets say on another link.
            let third = read(&Codec { zone: Zone::new(8), ..EXTENDED });
            let differ = zone::of(linked.address()).is_some();
            assert_eq!((here != there, here != third.1), (differ, differ), "{octets}");
        }
    }
}

#[test]
fn zones() {
    let seven = Zone::new(7).unwrap();
    let within = zone::within("fe80::1:2:3:4".parse().unwrap(), seven).unwrap();
    assert_eq!(zone::split(within.into()), ("fe80::1:2:3:4".parse().unwrap(), Some(seven)));
    assert_eq!(zone::shown(within.into(), |_| Some("eth1".to_owned())), "fe80::1:2:3:4%eth1");
    assert_eq!(zone::shown(within.into(), |_| None), "fe80::1:2:3:4%7");
    let socket = zone::socket(within.into(), 179);
    assert_eq!(socket.to_string(), "[fe80::1:2:3:4%7]:179");
    assert_eq!(zone::of_socket(socket), within);
    for text in ["10.0.0.1", "2001:db8::1", "fe80::1", "::"] {
        let address = text.parse().unwrap();
        assert_eq!(zone::split(address), (address, None));
        assert_eq!(zone::of_socket(zone::socket(address, 179)), address);
    }
    // Who takes an address on link 8 that looks like one of link 7 is nobody of link 7.
    for scope in [0, 8] {
        let forged = std::net::SocketAddrV6::new(within, 179, 0, scope).into();
        assert_eq!(zone::of(zone::of_socket(forged)), None, "{scope}");
    }
    // Only what RFC 4291 §2.5.6 calls link-local has room for one.
    for text in ["2001:db8::1", "fe80:1::1", "fe80:0:0:1::1", "febf::1", "::1", "ff02::1"] {
        assert_eq!(zone::within(text.parse().unwrap(), seven), None, "{text}");
    }
    assert_eq!(Zone::new(0), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn ipv4_by_ipv6_comes_back(
        attributes in strategy::attributes(Family::Ipv6),
        prefixes in vec(strategy::prefix(Family::Ipv4), 1..900),
    ) {
        let codec = Codec { extended_next_hop: true, ..INTERNAL };
        let next_hop = attributes.next_hop;
        let (mut raw, mut out, mut found) = (Vec::new(), Vec::new(), Vec::<Prefix>::new());
        encode::attributes(&attributes, &codec, Family::Ipv4, &mut raw);
        pack::announce(&raw, next_hop, Family::Ipv4, prefixes.iter().copied(), pack::Longest::Plain, &mut out).unwrap();
        let (mut framer, mut rest) = (bgp::wire::frame::Framer::new(), out.as_slice());
        while let Some(frame) = framer.next(&mut rest).unwrap() {
            prop_assert!(frame.body.len() + 19 <= 4096);
            let update = Update::parse(frame.body, &codec).unwrap();
            for announced in update.announced() {
                prop_assert_eq!(announced.next_hop, Some(next_hop));
                found.extend(announced.nlri.iter());
            }
            // RFC 7606 §7.11: to a speaker that did not say so, the length is another one than expected.
            let refused = Update::parse(frame.body, &INTERNAL).err();
            let expected = Notification::update(UpdateError::OptionalAttribute, &[]);
            prop_assert_eq!(refused.map(|refused| (refused.code, refused.subcode)), Some((expected.code, expected.subcode)));
        }
        prop_assert_eq!(found, prefixes);
    }
}
