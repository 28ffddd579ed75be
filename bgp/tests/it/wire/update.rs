//! UPDATE taken apart: golden octets, what is located beside what is bad, End-of-RIB.

use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::wire::attribute::NextHops;
use bgp::wire::codec::Codec;
use bgp::wire::notification::{Notification, UpdateError};
use bgp::wire::update::Update;

use super::{EXTERNAL, hex, prefix, update};

/// ORIGIN, AS_PATH 65001 and NEXT_HOP 10.0.0.1.
const BASE: &str = "40010100 4002060201 0000fde9 400304 0a000001";
/// The same without NEXT_HOP.
const BASE6: &str = "40010100 4002060201 0000fde9";
/// MP_REACH_NLRI: 2001:db8::/32 and ::/0 by 2001:db8::1.
const REACH: &str = "800e1b 0002 01 10 20010db8000000000000000000000001 00 2020010db8 00";
/// MP_UNREACH_NLRI: 2001:db8:1::/48.
const UNREACH: &str = "800f0a 0002 01 3020010db80001";

fn withdrawn(update: &Update<'_>) -> Vec<Prefix> {
    update.withdrawn().flat_map(bgp::wire::nlri::Nlri::iter).collect()
}

fn announced(update: &Update<'_>) -> Vec<(Option<NextHops>, Vec<Prefix>)> {
    update.announced().map(|announced| (announced.next_hop, announced.nlri.iter().collect())).collect()
}

fn global(text: &str) -> NextHops {
    NextHops::V6 { global: text.parse().unwrap(), link_local: None }
}

fn error(error: UpdateError, attribute: &str) -> Option<Notification> {
    Some(Notification::update(error, &hex(attribute)))
}

#[test]
fn ipv4_golden() {
    let body = hex("0008 18c00002 12 0a0040 0000");
    // 192.0.2.0/24, then 10.0.64.0/18 with no attribute.
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    assert_eq!(withdrawn(&parsed), [prefix("192.0.2.0/24"), prefix("10.0.64.0/18")]);
    let body = update(&[], &hex(BASE), &hex("20 cb007101 18 cb0071 11 0a0080 00"));
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    let prefixes = ["203.0.113.1/32", "203.0.113.0/24", "10.0.128.0/17", "0.0.0.0/0"].map(prefix);
    assert_eq!(announced(&parsed), [(None, prefixes.to_vec())]);
    assert_eq!(parsed.key(&mut Vec::new()), hex(BASE));
    assert!(withdrawn(&parsed).is_empty() && parsed.end_of_rib().is_none());
}

#[test]
fn ipv6_golden() {
    let body = update(&[], &hex(&format!("{REACH} {UNREACH} {BASE6}")), &[]);
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    assert_eq!(withdrawn(&parsed), [prefix("2001:db8:1::/48")]);
    let prefixes = ["2001:db8::/32", "::/0"].map(prefix).to_vec();
    assert_eq!(announced(&parsed), [(Some(global("2001:db8::1")), prefixes)]);
    assert_eq!(parsed.key(&mut Vec::new()), hex(BASE6));
}

#[test]
fn next_hop_with_link_local() {
    let reach =
        "800e2a 0002 01 20 20010db8000000000000000000000001 fe800000000000000000000000000009 00 2020010db8";
    let body = update(&[], &hex(&format!("{reach} {BASE6}")), &[]);
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    let next_hop =
        NextHops::V6 { global: "2001:db8::1".parse().unwrap(), link_local: Some("fe80::9".parse().unwrap()) };
    assert_eq!(announced(&parsed), [(Some(next_hop), vec![prefix("2001:db8::/32")])]);
}

#[test]
fn ipv4_in_mp_reach() {
    let body = update(&[], &hex(&format!("800e0d 0001 01 04 0a000001 00 18c00002 {BASE6}")), &[]);
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    let next_hop = NextHops::V4("10.0.0.1".parse().unwrap());
    assert_eq!(announced(&parsed), [(Some(next_hop), vec![prefix("192.0.2.0/24")])]);
}

#[test]
fn all_four_fields_at_once() {
    let attributes = format!("40010100 {UNREACH} 4002060201 0000fde9 {REACH} 400304 0a000001");
    let body = update(&hex("08 0a"), &hex(&attributes), &hex("18 c00002"));
    let parsed = Update::parse(&body, &EXTERNAL).unwrap();
    assert_eq!(withdrawn(&parsed), [prefix("10.0.0.0/8"), prefix("2001:db8:1::/48")]);
    let (next_hops, prefixes): (Vec<_>, Vec<_>) = announced(&parsed).into_iter().unzip();
    assert_eq!(next_hops, [None, Some(global("2001:db8::1"))]);
    assert_eq!(prefixes.concat(), ["192.0.2.0/24", "2001:db8::/32", "::/0"].map(prefix));
    // The MP attributes are cut out wherever they lie.
    assert_eq!(parsed.key(&mut Vec::new()), hex(BASE));
}

#[test]
fn identity_tells_next_hops_apart_and_nothing_else() {
    let identity = |attributes: String, nlri: &str| {
        let body = update(&[], &hex(&attributes), &hex(nlri));
        let parsed = Update::parse(&body, &EXTERNAL).unwrap();
        let announced = parsed.announced().last().unwrap();
        (announced.flavour(&EXTERNAL), parsed.identity(&announced, &mut vec![1, 2, 3]).to_vec())
    };
    let first = identity(format!("{REACH} {BASE6}"), "");
    assert_eq!(first, identity(format!("{BASE6} {UNREACH} {REACH}"), ""));
    let other = REACH.replace("0001 00 20", "0002 00 20");
    assert_ne!(first, identity(format!("{other} {BASE6}"), ""));
    let classic = identity(BASE.to_owned(), "08 0a");
    assert_eq!(classic.1, hex(BASE));
    assert_ne!(first.0, classic.0);
    let in_mp = identity(format!("800e0b 0001 01 04 0a000001 00 080a {BASE6}"), "");
    assert_ne!((in_mp.0, in_mp.0), (first.0, classic.0));
}

#[test]
fn end_of_rib() {
    let cases = [
        ("0000 0000", Some(Family::Ipv4)),
        ("0000 0006 800f03 0002 01", Some(Family::Ipv6)),
        ("0000 0006 800f03 0001 01", Some(Family::Ipv4)),
        ("0000 0007 900f0003 0002 01", Some(Family::Ipv6)),
        // A family that is not carried, a withdrawal, another attribute beside.
        ("0000 0006 800f03 0019 46", None),
        ("0000 000d 800f0a 0002 01 3020010db80001", None),
        ("0002 080a 0000", None),
        ("0000 000a 800f03 0002 01 40010100", None),
        ("0002 080a 0006 800f03 0002 01", None),
    ];
    for (octets, expected) in cases {
        assert_eq!(Update::parse(&hex(octets), &EXTERNAL).unwrap().end_of_rib(), expected, "{octets}");
    }
}

#[test]
fn families_that_were_not_negotiated_are_ignored() {
    let four = Codec { families: PerFamily { ipv4: true, ipv6: false }, ..EXTERNAL };
    let six = Codec { families: PerFamily { ipv4: false, ipv6: true }, ..EXTERNAL };
    let attributes = hex(&format!("{REACH} {UNREACH} {BASE}"));
    let body = update(&hex("08 0a"), &attributes, &hex("18 c00002"));
    let parsed = Update::parse(&body, &four).unwrap();
    assert_eq!(withdrawn(&parsed), [prefix("10.0.0.0/8")]);
    assert_eq!(announced(&parsed), [(None, vec![prefix("192.0.2.0/24")])]);
    let parsed = Update::parse(&body, &six).unwrap();
    assert_eq!(withdrawn(&parsed), [prefix("2001:db8:1::/48")]);
    assert_eq!(announced(&parsed).len(), 1);
    // Prefixes of a family without a name here are located by nobody and harm nobody.
    let vpn = "800e0f 0001 80 04 0a000001 00 ffffffffffff";
    let body = update(&[], &hex(&format!("{vpn} 40010107")), &[]);
    assert!(announced(&Update::parse(&body, &EXTERNAL).unwrap()).is_empty());
}

#[test]
fn lengths_that_leave_no_room() {
    for body in ["", "00", "0000", "0000 00", "0001 0000", "0003 0000 00", "0000 0001", "0000 0005 400101 00"]
    {
        let expected = error(UpdateError::MalformedAttributeList, "");
        assert_eq!(Update::parse(&hex(body), &EXTERNAL).err(), expected, "{body}");
    }
}

#[test]
fn prefixes_that_cannot_be_located() {
    let expected = error(UpdateError::InvalidNetworkField, "");
    for field in ["21 0a000001 00", "ff", "18 c000", "20", "080a 18 c00002 10 0a"] {
        let field = hex(field);
        for body in [update(&field, &[], &[]), update(&[], &hex(BASE), &field)] {
            assert_eq!(Update::parse(&body, &EXTERNAL).err(), expected);
        }
    }
}

#[test]
fn mp_attributes_that_are_bad() {
    let reset = |attribute: &str, expected: UpdateError| {
        let body = update(&[], &hex(&format!("{attribute} {BASE6}")), &[]);
        let found = Update::parse(&body, &EXTERNAL).err();
        assert_eq!(found, error(expected, attribute), "{attribute}");
    };
    // RFC 7606 §5.3: lengths of prefixes, of the attribute, flags.
    reset("800e17 0002 01 10 20010db8000000000000000000000001 00 8120", UpdateError::OptionalAttribute);
    reset("800e17 0002 01 10 20010db8000000000000000000000001 00 2020", UpdateError::OptionalAttribute);
    reset("800f05 0002 01 8120", UpdateError::OptionalAttribute);
    reset("800f05 0002 01 2020", UpdateError::OptionalAttribute);
    reset("800e04 0002 01 00", UpdateError::OptionalAttribute);
    reset("800f02 0002", UpdateError::OptionalAttribute);
    reset("800f00", UpdateError::OptionalAttribute);
    reset("c00f03 0002 01", UpdateError::AttributeFlags);
    reset("400e0a 0001 01 04 0a000001 00 00", UpdateError::AttributeFlags);
    // RFC 7606 §3 j: an attribute without an end hides its prefixes.
    for beyond in ["800fff 0002 01", "900e 00ff 0002 01 10"] {
        let body = update(&[], &hex(&format!("{BASE} {beyond}")), &hex("080a"));
        let expected = error(UpdateError::OptionalAttribute, beyond);
        assert_eq!(Update::parse(&body, &EXTERNAL).err(), expected, "{beyond}");
    }
    // RFC 7606 §7.11: the next hop's length.
    reset("800e0b 0002 01 04 0a000001 00 0820", UpdateError::OptionalAttribute);
    reset("800e05 0002 01 00 00", UpdateError::OptionalAttribute);
    reset("800e15 0001 01 10 20010db8000000000000000000000001 00", UpdateError::OptionalAttribute);
    reset("800e08 0002 01 10 20010db8", UpdateError::OptionalAttribute);
}

#[test]
fn mp_attributes_that_come_twice() {
    for twice in [format!("{REACH} {REACH}"), format!("{UNREACH} 40010100 {UNREACH}")] {
        let body = update(&[], &hex(&format!("{twice} {BASE6}")), &[]);
        let expected = error(UpdateError::MalformedAttributeList, "");
        assert_eq!(Update::parse(&body, &EXTERNAL).err(), expected);
    }
}

#[test]
fn an_attribute_beyond_the_end_does_not_hide_prefixes() {
    // RFC 7606 §4: Total Attribute Length says where the prefixes begin.
    for tail in ["40", "4001", "5002 00", "400105 00", "50 02 ffff 00"] {
        let body = update(&[], &hex(&format!("{REACH} {BASE} {tail}")), &hex("18 c00002"));
        let parsed = Update::parse(&body, &EXTERNAL).unwrap();
        assert_eq!(announced(&parsed).len(), 2, "{tail}");
        assert_eq!(parsed.key(&mut Vec::new()), hex(&format!("{BASE} {tail}")));
    }
}

#[test]
fn attribute_errors_without_prefixes_reset() {
    // RFC 7606 §5.2.
    let cases = [
        ("40010107", error(UpdateError::InvalidOrigin, "40010107")),
        ("400102 0000", error(UpdateError::AttributeLength, "400102 0000")),
        ("c0010100", error(UpdateError::AttributeFlags, "c0010100")),
        ("40020302010a", error(UpdateError::MalformedAsPath, "")),
        ("400105 00", error(UpdateError::MalformedAttributeList, "")),
        ("406300", error(UpdateError::UnrecognizedWellKnownAttribute, "406300")),
        // An error that asks for attribute-discard alone, and none at all.
        ("40060101", None),
        ("40010100 40010101", None),
        ("40010100", None),
        ("c06300", None),
    ];
    for (attributes, expected) in cases {
        for mp in [UNREACH, "800e15 0002 01 10 20010db8000000000000000000000001 00"] {
            let body = update(&hex("080a"), &hex(&format!("{mp} {attributes}")), &[]);
            assert_eq!(Update::parse(&body, &EXTERNAL).err(), expected, "{mp} {attributes}");
        }
    }
}
