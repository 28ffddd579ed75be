//! OPEN: golden octets, capabilities in any arrangement, the errors of RFC 4271 §6.2.

use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, PerFamily};
use bgp::wire::capability::Capability;
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;

use super::{hex, message};

fn open(asn: u32, capabilities: Vec<Capability>) -> Open {
    Open { asn: Asn(asn), hold_seconds: 90, router_id: RouterId(0x0a00_0001), capabilities }
}

fn all(asn: u32) -> Vec<Capability> {
    vec![
        Capability::multiprotocol(Family::Ipv4),
        Capability::multiprotocol(Family::Ipv6),
        Capability::RouteRefresh,
        Capability::FourOctetAs(Asn(asn)),
    ]
}

#[test]
fn golden() {
    let cases = [
        (open(65001, vec![]), "04 fde9 005a 0a000001 00"),
        (
            open(65001, all(65001)),
            "04 fde9 005a 0a000001 16 02 14 0104 0001 00 01 0104 0002 00 01 0200 4104 0000fde9",
        ),
        (
            open(4_200_000_001, all(4_200_000_001)),
            "04 5ba0 005a 0a000001 16 02 14 0104 0001 00 01 0104 0002 00 01 0200 4104 fa56ea01",
        ),
        (open(1, vec![Capability::Role(3)]), "04 0001 005a 0a000001 05 02 03 0901 03"),
        (
            open(1, vec![Capability::Unknown { code: 73, value: hex("8078").into() }]),
            "04 0001 005a 0a000001 06 02 04 4902 8078",
        ),
    ];
    for (open, octets) in cases {
        let mut out = Vec::new();
        open.encode(&mut out);
        assert_eq!(out, message(1, &hex(octets)));
        assert_eq!(Open::decode(&hex(octets)), Ok(open));
    }
}

#[test]
fn capabilities_that_one_octet_does_not_count_go_extended() {
    let value: Box<[u8]> = [7; 250].into();
    let wide = open(
        1,
        vec![
            Capability::Unknown { code: 200, value: value.clone() },
            Capability::Unknown { code: 201, value },
        ],
    );
    let mut out = Vec::new();
    wide.encode(&mut out);
    // RFC 9072 §2: 255, 255, the length, then parameters with lengths of two octets.
    assert_eq!(out[28..35], hex("ff ff 01fb 02 01f8"));
    assert_eq!(Open::decode(&out[19..]), Ok(wide));
    let edge = open(1, vec![Capability::Unknown { code: 200, value: [7; 251].into() }]);
    out.clear();
    edge.encode(&mut out);
    assert_eq!(out[28..31], hex("ff 02 fd"));
    assert_eq!(Open::decode(&out[19..]), Ok(edge));
}

#[test]
fn capabilities_in_any_arrangement() {
    let expected = Ok(open(65001, all(65001)));
    let fixed = "04 fde9 005a 0a000001";
    for (case, parameters) in [
        ("one a parameter", "1c 0206 0104000100 01 0206 0104000200 01 0202 0200 0206 4104 0000fde9"),
        ("two a parameter", "18 020c 010400010001 010400020001 0208 0200 4104 0000fde9"),
        ("repeated", "1a 020c 010400010001 010400020001 020a 0200 4104 0000fde9 0200"),
        ("reserved octet set", "16 0214 01040001ff01 010400020001 0200 4104 0000fde9"),
        ("extended", "ff ff 0017 02 0014 010400010001 010400020001 0200 4104 0000fde9"),
        ("extended, another length", "01 ff 0017 02 0014 010400010001 010400020001 0200 4104 0000fde9"),
    ] {
        let octets = hex(&format!("{fixed} {parameters}"));
        assert_eq!(Open::decode(&octets), expected, "{case}");
    }
}

#[test]
fn errors() {
    let bare = |code, subcode, data: &str| Notification { code, subcode, data: hex(data) };
    let cases = [
        ("version 3", "03 fde9 005a 0a000001 00", bare(2, 1, "0004")),
        ("version 5", "05 fde9 005a 0a000001 00", bare(2, 1, "0004")),
        ("AS 0", "04 0000 005a 0a000001 00", bare(2, 2, "")),
        ("AS 0 in the capability", "04 5ba0 005a 0a000001 08 0206 4104 00000000", bare(2, 2, "")),
        ("two ASes", "04 fde9 005a 0a000001 08 0206 4104 0000fdea", bare(2, 2, "")),
        ("identifier 0", "04 fde9 005a 00000000 00", bare(2, 3, "")),
        ("hold time 1", "04 fde9 0001 0a000001 00", bare(2, 6, "")),
        ("hold time 2", "04 fde9 0002 0a000001 00", bare(2, 6, "")),
        ("authentication", "04 fde9 005a 0a000001 04 0102 0000", bare(2, 4, "")),
        ("parameter 99", "04 fde9 005a 0a000001 02 6300", bare(2, 4, "")),
        ("parameters beyond the message", "04 fde9 005a 0a000001 08 0202 0200", bare(2, 0, "")),
        ("octets after the parameters", "04 fde9 005a 0a000001 04 0202 0200 00", bare(2, 0, "")),
        ("parameter beyond the parameters", "04 fde9 005a 0a000001 04 0208 0200", bare(2, 0, "")),
        ("half a parameter", "04 fde9 005a 0a000001 05 0202 0200 02", bare(2, 0, "")),
        ("capability beyond its parameter", "04 fde9 005a 0a000001 04 0202 0204", bare(2, 0, "")),
        ("half a capability", "04 fde9 005a 0a000001 05 0203 0200 41", bare(2, 0, "")),
        ("family of 3 octets", "04 fde9 005a 0a000001 07 0205 0103 000100", bare(2, 0, "")),
        ("AS of 2 octets", "04 fde9 005a 0a000001 06 0204 4102 fde9", bare(2, 0, "")),
        ("refresh with a value", "04 fde9 005a 0a000001 05 0203 0201 00", bare(2, 0, "")),
        ("extended beyond the message", "04 fde9 005a 0a000001 ff ff 0009 02 0002 0200", bare(2, 0, "")),
        ("extended parameter beyond", "04 fde9 005a 0a000001 ff ff 0005 02 0008 0200", bare(2, 0, "")),
        ("nothing", "", bare(1, 2, "0013")),
        ("no parameter length", "04 fde9 005a 0a000001", bare(1, 2, "001c")),
    ];
    for (case, octets, expected) in cases {
        assert_eq!(Open::decode(&hex(octets)), Err(expected), "{case}");
    }
}

#[test]
fn what_is_offered() {
    let plain = open(65001, vec![]);
    assert_eq!(plain.families(), PerFamily { ipv4: true, ipv6: false });
    assert!(!plain.four_octet());
    let both = open(65001, all(65001));
    assert_eq!(both.families(), PerFamily { ipv4: true, ipv6: true });
    assert!(both.four_octet() && both.offers(&Capability::RouteRefresh));
    let six = open(65001, vec![Capability::multiprotocol(Family::Ipv6)]);
    assert_eq!(six.families(), PerFamily { ipv4: false, ipv6: true });
    // A family that is not carried is still one that was named.
    let vpn = open(65001, vec![Capability::Multiprotocol { afi: 1, safi: 128 }]);
    assert_eq!(vpn.families(), PerFamily { ipv4: false, ipv6: false });
}
