//! The Graceful Restart Capability (RFC 4724 §3, RFC 8538 §2) to the octet.

use bgp::prefix::Family;
use bgp::wire::capability::Capability;
use bgp::wire::notification::{Cease, Notification};
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;

use super::hex;

/// The body of an OPEN with these capabilities.
fn open(capabilities: &str) -> Vec<u8> {
    let capabilities = hex(capabilities);
    let len = capabilities.len() as u8;
    [&hex("04 fde9 005a 0a000001")[..], &[len + 2, 2, len], &capabilities].concat()
}

fn said(capabilities: &str) -> GracefulRestart {
    let open = Open::decode(&open(capabilities)).expect("an OPEN");
    open.graceful_restart().expect("the capability").clone()
}

#[test]
fn golden() {
    let both = |forwarding| vec![(1, 1, forwarding), (2, 1, forwarding)];
    let cases = [
        ("40 02 0000", (false, false, 0, vec![])),
        ("40 02 4fff", (false, true, 4095, vec![])),
        ("40 0a 0078 0001 01 00 0002 01 00", (false, false, 120, both(false))),
        ("40 0a 8078 0001 01 80 0002 01 80", (true, false, 120, both(true))),
        ("40 06 c001 0019 46 80", (true, true, 1, vec![(25, 70, true)])),
    ];
    for (octets, (restarting, notification, seconds, families)) in cases {
        let restart = GracefulRestart { restarting, notification, seconds, families };
        assert_eq!(said(octets), restart, "{octets}");
        let mut out = Vec::new();
        Capability::GracefulRestart(restart).encode(&mut out);
        assert_eq!(out, hex(octets));
    }
    assert_eq!(said("40 06 0078 0002 01 80").forwarding(Family::Ipv6), Some(true));
    assert_eq!(said("40 06 0078 0002 01 80").forwarding(Family::Ipv4), None);
}

#[test]
fn reserved_bits_are_ignored_and_the_last_one_counts() {
    assert_eq!(said("40 06 3078 0001 01 7f"), said("40 06 0078 0001 01 00"));
    assert_eq!(said("40 02 0078 40 02 0009").seconds, 9);
}

#[test]
fn lengths() {
    for octets in ["40 00", "40 01 00", "40 03 0078 00", "40 05 0078 0001 01"] {
        assert_eq!(Open::decode(&open(octets)), Err(Notification::malformed_open()), "{octets}");
    }
}

#[test]
fn a_hard_reset_says_what_it_stands_for() {
    let inner = Notification::administrative_shutdown("back at noon");
    let hard = Notification::hard_reset(&inner);
    assert_eq!((hard.code, hard.subcode), (6, 9));
    assert_eq!(hard.data[..3], [6, 2, 12]);
    assert_eq!(hard.inner(), Some(inner));
    assert_eq!(
        hard.to_string(),
        "Cease/Hard Reset (6/9): Cease/Administrative Shutdown (6/2): \"back at noon\""
    );
    assert_eq!(Notification::cease(Cease::HardReset).inner(), None);
    let twice = Notification::hard_reset(&Notification::hard_reset(&hard));
    assert!(twice.to_string().starts_with("Cease/Hard Reset (6/9), data 06 09"), "{twice}");
}
