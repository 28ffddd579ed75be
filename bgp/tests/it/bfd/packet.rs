//! Octets of control packets (RFC 5880 §4.1), and each reason to discard one (§6.8.6).

use bgp::bfd::{Diagnostic, Discard, Packet, State};
use bgp::time::Duration;
use proptest::prelude::*;

use super::packet;

#[test]
fn golden_octets() {
    let down =
        [0x20, 0x40, 3, 24, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0x04, 0x93, 0xe0, 0, 0, 0, 0];
    assert_eq!(packet().encode(), down);
    let up = Packet {
        diagnostic: Diagnostic::NEIGHBOR_SIGNALED_DOWN,
        state: State::Up,
        poll: true,
        your: 0xdead_beef,
        desired_min_tx: Duration::from_millis(50),
        ..packet()
    };
    let octets = up.encode();
    assert_eq!(octets[..4], [0x23, 0xe0, 3, 24]);
    assert_eq!(octets[8..16], [0xde, 0xad, 0xbe, 0xef, 0, 0, 0xc3, 0x50]);
}

#[test]
fn each_reason_to_discard() {
    let change = |at: usize, octet: u8| {
        let mut octets = packet().encode().to_vec();
        octets[at] = octet;
        octets
    };
    let longer = |octets: Vec<u8>| [octets, vec![0; 2]].concat();
    for (octets, expected) in [
        (Vec::new(), Discard::Truncated),
        (packet().encode()[..23].to_vec(), Discard::Truncated),
        (change(0, 0x00), Discard::Version(0)),
        (change(0, 0x40), Discard::Version(2)),
        (change(3, 23), Discard::Length(23)),
        (change(3, 25), Discard::Truncated),
        // Authentication: two more octets are the least, and it is not in use.
        (longer(change(1, 0x44)), Discard::Length(24)),
        (
            {
                let mut octets = longer(change(1, 0x44));
                octets[3] = 26;
                octets
            },
            Discard::Authenticated,
        ),
        (change(2, 0), Discard::Multiplier),
        (change(1, 0x41), Discard::Multipoint),
        (change(7, 0), Discard::Discriminator),
        (change(1, 0x80), Discard::Unaddressed),
        (change(1, 0xc0), Discard::Unaddressed),
    ] {
        assert_eq!(Packet::decode(&octets), Err(expected), "{octets:02x?}");
        assert!(!expected.to_string().is_empty());
    }
    // What follows the length that the packet says is padding; AdminDown needs no discriminator.
    assert_eq!(Packet::decode(&longer(packet().encode().to_vec())), Ok(packet()));
    assert_eq!(Packet::decode(&change(1, 0x00)).map(|packet| packet.state), Ok(State::AdminDown));
}

proptest! {
    #[test]
    fn any_octets_are_read_or_discarded(octets in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(read) = Packet::decode(&octets) {
            let again = read.encode();
            prop_assert_eq!(Packet::decode(&again), Ok(read));
            // All fields but the length, which may have covered more.
            prop_assert_eq!(&again[..3], &octets[..3]);
            prop_assert_eq!(&again[4..], &octets[4..24]);
        }
    }
}
