//! ROUTE-REFRESH: golden octets and the lengths of RFC 7313 §5.

use bgp::prefix::Family;
use bgp::wire::notification::Notification;
use bgp::wire::refresh::{Refresh, Subtype};

use super::{hex, message};

#[test]
fn golden() {
    let cases = [
        (Refresh::request(Family::Ipv4), "0001 00 01", Some(Family::Ipv4)),
        (Refresh::request(Family::Ipv6), "0002 00 01", Some(Family::Ipv6)),
        (Refresh { afi: 1, safi: 1, subtype: Subtype::Begin }, "0001 01 01", Some(Family::Ipv4)),
        (Refresh { afi: 2, safi: 1, subtype: Subtype::End }, "0002 02 01", Some(Family::Ipv6)),
        (Refresh { afi: 25, safi: 70, subtype: Subtype::Unknown(9) }, "0019 09 46", None),
    ];
    for (refresh, octets, family) in cases {
        let mut out = Vec::new();
        refresh.encode(&mut out);
        assert_eq!(out, message(5, &hex(octets)));
        assert_eq!(Refresh::decode(&hex(octets)), Ok(refresh));
        assert_eq!(refresh.family(), family);
    }
}

#[test]
fn filters_after_a_request_are_ignored() {
    assert_eq!(Refresh::decode(&hex("0001 00 01 01 80 0000")), Ok(Refresh::request(Family::Ipv4)));
}

#[test]
fn lengths() {
    for (octets, length) in [("", 19), ("0001", 21), ("0001 00", 22), ("0001 07", 22)] {
        assert_eq!(Refresh::decode(&hex(octets)), Err(Notification::bad_message_length(length)));
    }
    for octets in ["0001 01", "0002 02 01 00", "0001 01 01 ffff"] {
        let whole = message(5, &hex(octets));
        let expected = Notification { code: 7, subcode: 1, data: whole };
        assert_eq!(Refresh::decode(&hex(octets)), Err(expected), "{octets}");
    }
}
