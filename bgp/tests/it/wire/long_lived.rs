//! The Long-Lived Graceful Restart Capability (RFC 9494 §3.1) to the octet.

use bgp::prefix::Family;
use bgp::wire::capability::Capability;
use bgp::wire::long_lived::{LongLivedFamily, LongLivedRestart, MOST_SECONDS};
use bgp::wire::notification::Notification;
use bgp::wire::open::Open;

use super::hex;

/// The Graceful Restart Capability, which it goes beside.
const BESIDE: &str = "40 02 0078";

fn open(capabilities: &str) -> Result<Open, Notification> {
    let capabilities = hex(capabilities);
    let len = capabilities.len() as u8;
    Open::decode(&[&hex("04 fde9 005a 0a000001")[..], &[len + 2, 2, len], &capabilities].concat())
}

const fn family(afi: u16, safi: u8, forwarding: bool, seconds: u32) -> LongLivedFamily {
    LongLivedFamily { afi, safi, forwarding, seconds }
}

#[test]
fn golden() {
    let cases = [
        ("47 00", vec![]),
        ("47 07 0001 01 00 000e10", vec![family(1, 1, false, 3_600)]),
        (
            "47 0e 0001 01 80 000001 0002 01 80 ffffff",
            vec![family(1, 1, true, 1), family(2, 1, true, MOST_SECONDS)],
        ),
        ("47 07 0019 46 80 010000", vec![family(25, 70, true, 65_536)]),
    ];
    for (octets, families) in cases {
        let expected = LongLivedRestart { families };
        let said = open(&format!("{BESIDE} {octets}")).expect("an OPEN");
        assert_eq!(said.long_lived_restart(), Some(&expected), "{octets}");
        let mut out = Vec::new();
        Capability::LongLivedRestart(expected).encode(&mut out);
        assert_eq!(out, hex(octets));
    }
    let mut out = Vec::new();
    let beyond = LongLivedRestart { families: vec![family(1, 1, false, u32::MAX)] };
    Capability::LongLivedRestart(beyond).encode(&mut out);
    assert_eq!(out, hex("47 07 0001 01 00 ffffff"), "the field holds no more");
}

#[test]
fn without_the_graceful_restart_capability_it_says_nothing() {
    let alone = open("47 07 0001 01 80 000e10").expect("an OPEN");
    assert_eq!(alone.long_lived_restart(), None);
    assert_eq!(alone.capabilities.len(), 1, "and is no error");
}

#[test]
fn reserved_bits_are_ignored_and_the_last_one_counts() {
    let said = |capabilities: &str| {
        let open = open(&format!("{BESIDE} {capabilities}")).expect("an OPEN");
        open.long_lived_restart().and_then(|said| said.family(Family::Ipv4))
    };
    assert_eq!(said("47 07 0001 01 7f 000e10"), Some(family(1, 1, false, 3_600)));
    assert_eq!(said("47 07 0001 01 80 000e10 47 07 0001 01 00 000001"), Some(family(1, 1, false, 1)));
    assert_eq!(said("47 0e 0001 01 80 000e10 0001 01 00 000002"), Some(family(1, 1, false, 2)));
    assert_eq!(said("47 07 0002 01 80 000e10"), None);
}

#[test]
fn lengths() {
    for octets in ["47 01 00", "47 06 0001 01 00 0e10", "47 08 0001 01 00 000e10 00"] {
        assert_eq!(open(&format!("{BESIDE} {octets}")), Err(Notification::malformed_open()), "{octets}");
    }
}
