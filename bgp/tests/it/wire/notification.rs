//! NOTIFICATION: golden octets, data fields, words, shutdown texts.

use bgp::wire::frame::Kind;
use bgp::wire::notification::{Cease, Notification, Unexpected, UpdateError};

use super::{hex, message};

fn body(notification: &Notification) -> Vec<u8> {
    let mut out = Vec::new();
    notification.encode(&mut out);
    let decoded = Notification::decode(&out[19..]).unwrap();
    assert_eq!(&decoded, notification);
    assert_eq!(out, message(3, &out[19..]), "header");
    out.split_off(19)
}

#[test]
fn golden() {
    let cases = [
        (Notification::not_synchronized(), "01 01", "Message Header Error/Connection Not Synchronized (1/1)"),
        (
            Notification::bad_message_length(4097),
            "01 02 1001",
            "Message Header Error/Bad Message Length (1/2), data 10 01",
        ),
        (
            Notification::bad_message_type(7),
            "01 03 07",
            "Message Header Error/Bad Message Type (1/3), data 07",
        ),
        (Notification::malformed_open(), "02 00", "OPEN Message Error (2/0)"),
        (
            Notification::unsupported_version(),
            "02 01 0004",
            "OPEN Message Error/Unsupported Version Number (2/1), data 00 04",
        ),
        (Notification::bad_peer_as(), "02 02", "OPEN Message Error/Bad Peer AS (2/2)"),
        (Notification::bad_bgp_identifier(), "02 03", "OPEN Message Error/Bad BGP Identifier (2/3)"),
        (
            Notification::unsupported_optional_parameter(),
            "02 04",
            "OPEN Message Error/Unsupported Optional Parameter (2/4)",
        ),
        (Notification::unacceptable_hold_time(), "02 06", "OPEN Message Error/Unacceptable Hold Time (2/6)"),
        (
            Notification::unsupported_capability(&hex("0104 0002 00 01")),
            "02 07 010400020001",
            "OPEN Message Error/Unsupported Capability (2/7), data 01 04 00 02 00 01",
        ),
        (
            Notification::update(UpdateError::MalformedAttributeList, &[1]),
            "03 01",
            "UPDATE Message Error/Malformed Attribute List (3/1)",
        ),
        (
            Notification::update(UpdateError::MissingWellKnownAttribute, &[2]),
            "03 03 02",
            "UPDATE Message Error/Missing Well-known Attribute (3/3), data 02",
        ),
        (
            Notification::update(UpdateError::InvalidOrigin, &hex("40010107")),
            "03 06 40010107",
            "UPDATE Message Error/Invalid ORIGIN Attribute (3/6), data 40 01 01 07",
        ),
        (Notification::hold_timer_expired(), "04 00", "Hold Timer Expired (4/0)"),
        (Notification::fsm_error(), "05 00", "Finite State Machine Error (5/0)"),
        (
            Notification::unexpected_message(Unexpected::InOpenConfirm, Kind::Update),
            "05 02 02",
            "Finite State Machine Error/Receive Unexpected Message in OpenConfirm State (5/2), data 02",
        ),
        (
            Notification::cease(Cease::ConnectionCollision),
            "06 07",
            "Cease/Connection Collision Resolution (6/7)",
        ),
        (
            Notification::maximum_prefixes(2, 1, 100),
            "06 01 0002 01 00000064",
            "Cease/Maximum Number of Prefixes Reached (6/1), data 00 02 01 00 00 00 64",
        ),
        (
            Notification::administrative_shutdown("rack 7"),
            "06 02 06 7261636b2037",
            "Cease/Administrative Shutdown (6/2): \"rack 7\"",
        ),
        (
            Notification::administrative_shutdown(""),
            "06 02 00",
            "Cease/Administrative Shutdown (6/2), data 00",
        ),
        (
            Notification::administrative_reset("a\u{1b}b"),
            "06 04 03 611b62",
            "Cease/Administrative Reset (6/4): \"a\\u{1b}b\"",
        ),
        (Notification::send_hold_timer_expired(), "08 00", "Send Hold Timer Expired (8/0)"),
        (Notification { code: 99, subcode: 3, data: vec![] }, "63 03", "Unknown Error (99/3)"),
    ];
    for (notification, octets, words) in cases {
        assert_eq!(body(&notification), hex(octets), "{words}");
        assert_eq!(notification.to_string(), words);
    }
}

#[test]
fn shutdown_text_is_cut_between_characters() {
    // 255 octets hold 127 of these two-octet characters, and a half.
    let notification = Notification::administrative_shutdown(&"é".repeat(200));
    assert_eq!(notification.text(), Some("é".repeat(127).as_str()));
    assert_eq!(body(&notification).len(), 2 + 1 + 254);
}

#[test]
fn shutdown_text_of_another_length_or_encoding_is_data() {
    for data in ["", "00", "05 616263", "02 616263", "02 c328"] {
        let notification = Notification { code: 6, subcode: 2, data: hex(data) };
        assert_eq!(notification.text(), None, "{data}");
    }
    let elsewhere = Notification { code: 6, subcode: 3, data: hex("03 616263") };
    assert_eq!(elsewhere.text(), None);
}

#[test]
fn data_never_outgrows_a_message() {
    let notification = Notification::bad_refresh_length(&[7; 5000]);
    assert_eq!(notification.data.len(), 4096 - 21);
    let mut out = Vec::new();
    Notification { code: 3, subcode: 9, data: vec![7; 60_000] }.encode(&mut out);
    assert_eq!((out.len(), &out[16..18]), (4096, hex("1000").as_slice()));
    assert!(notification.to_string().ends_with("07 and 4011 octets more"));
}

#[test]
fn a_body_without_subcode_is_too_short() {
    assert_eq!(Notification::decode(&[6]), Err(Notification::bad_message_length(20)));
    assert_eq!(Notification::decode(&[]), Err(Notification::bad_message_length(19)));
}
