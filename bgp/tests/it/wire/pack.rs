//! Prefixes into UPDATEs: golden octets, and no message that could hold one more.

use bgp::prefix::{Family, Prefix, Prefix4, Prefix6};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::frame::{Framer, Kind};
use bgp::wire::update::Update;
use bgp::wire::{encode, nlri, pack};

use super::{EXTERNAL, hex, message, prefix, update};

const NEXT_HOP4: NextHops = NextHops::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn next_hop6(link_local: bool) -> NextHops {
    let link_local = link_local.then(|| "fe80::1".parse().unwrap());
    NextHops::V6 { global: "2001:db8::1".parse().unwrap(), link_local }
}

/// The bodies of the messages, each an UPDATE.
fn bodies(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut framer = Framer::new();
    let mut rest = octets;
    let mut bodies = Vec::new();
    while let Some(frame) = framer.next(&mut rest).unwrap() {
        assert_eq!(frame.kind, Kind::Update);
        bodies.push(frame.body.to_vec());
    }
    assert_eq!(framer.pending(), 0, "whole messages");
    bodies
}

fn attributes(family: Family, next_hop: NextHops) -> Vec<u8> {
    let mut out = Vec::new();
    encode::attributes(&PathAttributes::originated(next_hop), &EXTERNAL, family, &mut out);
    out
}

#[test]
fn golden() {
    let mut out = Vec::new();
    let prefixes = [prefix("192.0.2.0/24"), prefix("10.0.0.0/9")];
    let base = attributes(Family::Ipv4, NEXT_HOP4);
    assert_eq!(
        pack::announce(&base, NEXT_HOP4, Family::Ipv4, prefixes, pack::Longest::Plain, &mut out),
        Ok(1)
    );
    let body = hex("0000 000e 40010100 400200 400304 0a000001 18c00002 090a00");
    assert_eq!(out, message(2, &body));

    out.clear();
    let base = attributes(Family::Ipv6, next_hop6(false));
    let prefixes = [prefix("2001:db8::/32"), prefix("::/0")];
    assert_eq!(
        pack::announce(&base, next_hop6(false), Family::Ipv6, prefixes, pack::Longest::Plain, &mut out),
        Ok(1)
    );
    let body = hex(
        "0000 0026 900e001b 0002 01 10 20010db8000000000000000000000001 00 2020010db8 00 40010100 400200",
    );
    assert_eq!(out, message(2, &body));

    out.clear();
    assert_eq!(pack::withdraw(Family::Ipv4, [prefix("192.0.2.0/24")], &mut out), 1);
    assert_eq!(out, message(2, &update(&hex("18c00002"), &[], &[])));
    out.clear();
    assert_eq!(pack::withdraw(Family::Ipv6, [prefix("2001:db8::/32")], &mut out), 1);
    assert_eq!(out, message(2, &hex("0000 000c 900f0008 0002 01 2020010db8")));

    out.clear();
    pack::end_of_rib(Family::Ipv4, &mut out);
    pack::end_of_rib(Family::Ipv6, &mut out);
    let both = [message(2, &hex("0000 0000")), message(2, &hex("0000 0006 800f03 0002 01"))];
    assert_eq!(out, both.concat());
}

#[test]
fn nothing_is_no_message() {
    let mut out = Vec::new();
    let base = attributes(Family::Ipv4, NEXT_HOP4);
    let none: [Prefix; 0] = [];
    assert_eq!(pack::announce(&base, NEXT_HOP4, Family::Ipv4, none, pack::Longest::Plain, &mut out), Ok(0));
    assert_eq!(pack::withdraw(Family::Ipv6, none, &mut out), 0);
    assert!(out.is_empty());
}

/// Prefixes of every length, many.
fn many(family: Family) -> Vec<Prefix> {
    let prefix = |index: u32| match family {
        Family::Ipv4 => {
            Prefix::V4(Prefix4::new(index.wrapping_mul(0x9e37_79b9), (index % 33) as u8).unwrap())
        }
        Family::Ipv6 => {
            let bits = u128::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c83_0a1b_2c3d);
            Prefix::V6(Prefix6::new(bits, (index % 129) as u8).unwrap())
        }
    };
    (0..5000).map(prefix).collect()
}

#[test]
fn messages_are_full() {
    for (family, next_hop) in
        [(Family::Ipv4, NEXT_HOP4), (Family::Ipv6, next_hop6(false)), (Family::Ipv6, next_hop6(true))]
    {
        let prefixes = many(family);
        let base = attributes(family, next_hop);
        let mut announced = Vec::new();
        let count = pack::announce(
            &base,
            next_hop,
            family,
            prefixes.iter().copied(),
            pack::Longest::Plain,
            &mut announced,
        )
        .unwrap();
        let mut withdrawn = Vec::new();
        let withdrawals = pack::withdraw(family, prefixes.iter().copied(), &mut withdrawn);
        for (octets, count) in [(announced, count), (withdrawn, withdrawals)] {
            let bodies = bodies(&octets);
            assert_eq!(bodies.len(), count);
            let mut found = Vec::new();
            for body in &bodies {
                let parsed = Update::parse(body, &EXTERNAL).unwrap();
                let before = found.len();
                found.extend(parsed.withdrawn().flat_map(nlri::Nlri::iter));
                for announced in parsed.announced() {
                    assert_eq!(announced.next_hop, (family == Family::Ipv6).then_some(next_hop));
                    found.extend(announced.nlri.iter());
                }
                if let Some(next) = prefixes.get(found.len()) {
                    assert!(19 + body.len() + nlri::encoded_len(*next) > 4096, "room was left");
                }
                assert!(found.len() > before);
            }
            assert_eq!(found, prefixes);
        }
    }
}

#[test]
fn attributes_that_leave_no_room() {
    let mut out = vec![7];
    // 19 of the header, 4 of lengths, 5 of the longest prefix.
    let most = vec![0; 4096 - 19 - 4 - 5];
    assert_eq!(
        pack::announce(
            &most,
            NEXT_HOP4,
            Family::Ipv4,
            [prefix("10.0.0.1/32")],
            pack::Longest::Plain,
            &mut out
        ),
        Ok(1)
    );
    assert_eq!(out.len(), 1 + 4096);
    out.truncate(1);
    let more = vec![0; most.len() + 1];
    let error = pack::announce(
        &more,
        NEXT_HOP4,
        Family::Ipv4,
        [prefix("10.0.0.0/8")],
        pack::Longest::Plain,
        &mut out,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the path attributes take 4069 octets and leave no room for a prefix in a message"
    );
    assert_eq!(out, [7]);
    let most = vec![0; 4096 - 19 - 4 - 4 - 5 - 32 - 17];
    let host = [prefix("2001:db8::1/128")];
    assert_eq!(
        pack::announce(&most, next_hop6(true), Family::Ipv6, host, pack::Longest::Plain, &mut out),
        Ok(1)
    );
    assert_eq!(out.len(), 1 + 4096);
    out.truncate(1);
    let more = vec![0; most.len() + 1];
    assert!(
        pack::announce(&more, next_hop6(true), Family::Ipv6, host, pack::Longest::Plain, &mut out).is_err()
    );
}

#[test]
fn an_ipv4_next_hop_of_ipv6_is_refused() {
    let (mut out, family) = (Vec::new(), Family::Ipv6);
    let result = pack::announce(&[], NEXT_HOP4, family, many(family), pack::Longest::Plain, &mut out);
    assert_eq!(result, Err(pack::PackError::NextHopFamily));
    assert!(out.is_empty());
}

#[test]
fn long_attributes_go_in_long_messages_alone() {
    let [p, q] = [prefix("10.0.0.1/32"), prefix("10.0.0.2/32")];
    let (plain, extended) = (pack::Longest::Plain, pack::Longest::Extended);
    let mut out = Vec::new();
    let long = vec![0; 60_000];
    assert!(pack::announce(&long, NEXT_HOP4, Family::Ipv4, [p, q], plain, &mut out).is_err());
    assert_eq!(out, []);
    assert_eq!(pack::announce(&long, NEXT_HOP4, Family::Ipv4, [p, q], extended, &mut out), Ok(1));
    assert_eq!(out.len(), 19 + 4 + 60_000 + 10);
    // RFC 8654 §4: a framer that has not offered to take it does not.
    let refused = Framer::new().next(&mut &out[..]).unwrap_err();
    assert_eq!((refused.code, refused.subcode, refused.data), (1, 2, hex("ea81")));
    let mut framer = Framer::new();
    framer.extend();
    assert_eq!(framer.next(&mut &out[..]).unwrap().unwrap().body.len(), out.len() - 19);
    // Too long for any message.
    let most = vec![0; 65_535 - 19 - 4 - 5 + 1];
    assert!(pack::announce(&most, NEXT_HOP4, Family::Ipv4, [p], extended, &mut out).is_err());
    // What fits a plain message has one.
    out.clear();
    let many = (0..2_000_u32).filter_map(|host| Prefix::new(std::net::Ipv4Addr::from(host << 8).into(), 24));
    let base = attributes(Family::Ipv4, NEXT_HOP4);
    assert_eq!(pack::announce(&base, NEXT_HOP4, Family::Ipv4, many, extended, &mut out), Ok(2));
    assert!(bodies(&out).iter().all(|body| body.len() + 19 <= 4096));
}
