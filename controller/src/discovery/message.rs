//! Router advertisements and solicitations (RFC 4861 §4.1 and §4.2); pure.
//!
//! Whoever is on the link can send anything: what RFC 4861 §6.1 wants looked at is
//! looked at, nothing is believed beyond who sent it. The kernel has checked the
//! checksum.

use std::net::Ipv6Addr;

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Type, code and checksum, and four octets more.
const SOLICITATION_LEN: usize = 8;
/// The fixed part of an advertisement.
const ADVERTISEMENT_LEN: usize = 16;
/// Hops that a packet has which no router has forwarded (RFC 4861 §6.1.1).
const UNFORWARDED: i32 = 255;

/// An ICMPv6 packet as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: Ipv6Addr,
    /// The hop limit of its IPv6 header, where the kernel told it.
    pub hop_limit: Option<i32>,
    /// The message.
    pub octets: &'a [u8],
}

/// What a router, or somebody who looks for one, says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A router is there.
    Advertisement,
    /// Somebody wants to hear who is there.
    Solicitation,
}

/// Why a message is dropped (RFC 4861 §6.1.1 and §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A router in between may have forwarded it, or nobody knows.
    #[error("its hop limit is not 255: it is not of a neighbour")]
    HopLimit,
    /// An advertisement of no link-local address.
    #[error("it does not come from a link-local address")]
    Source,
    /// A code that is not zero.
    #[error("its code is not 0")]
    Code,
    /// Shorter than its fixed part.
    #[error("it is too short")]
    Short,
    /// An option of length zero, or one that is longer than the rest.
    #[error("an option has no length, or ends beyond the message")]
    Options,
}

/// Reads a message; `None` for all other messages of ICMPv6.
///
/// # Errors
/// Why a router's message, or one to routers, is dropped.
pub fn read(packet: &Packet<'_>) -> Result<Option<Heard>, Flaw> {
    let Packet { source, hop_limit, octets } = *packet;
    let (heard, fixed) = match octets.first() {
        Some(&SOLICITATION) => (Heard::Solicitation, SOLICITATION_LEN),
        Some(&ADVERTISEMENT) => (Heard::Advertisement, ADVERTISEMENT_LEN),
        _ => return Ok(None),
    };
    if hop_limit != Some(UNFORWARDED) {
        return Err(Flaw::HopLimit);
    }
    if heard == Heard::Advertisement && !source.is_unicast_link_local() {
        return Err(Flaw::Source);
    }
    let options = octets.get(fixed..).ok_or(Flaw::Short)?;
    if octets.get(1) != Some(&0) {
        return Err(Flaw::Code);
    }
    walk(options).ok_or(Flaw::Options)?;
    Ok(Some(heard))
}

/// Walks the options, each of a type, a length in units of eight octets, and a value (RFC 4861 §4.6).
fn walk(mut options: &[u8]) -> Option<()> {
    while !options.is_empty() {
        // RFC 4861 §4.6: a message with an option of length zero is dropped.
        let len = options.get(1).map(|units| usize::from(*units) * 8).filter(|len| *len > 0)?;
        options = options.get(len..)?;
    }
    Some(())
}

/// Who is asked for on the link.
#[must_use]
pub const fn solicitation() -> [u8; SOLICITATION_LEN] {
    [SOLICITATION, 0, 0, 0, 0, 0, 0, 0]
}

/// That this node is there: no default router (its lifetime is zero), and nothing else to tell
/// hosts (RFC 4861 §4.2). The kernel fills in the checksum.
#[must_use]
pub const fn advertisement() -> [u8; ADVERTISEMENT_LEN] {
    [ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Verdict = Result<Option<Heard>, Flaw>;

    /// What it is, the packet, and what is to be made of it.
    type Row<'a> = (&'a str, Ipv6Addr, Option<i32>, &'a [u8], Verdict);

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    fn heard(source: Ipv6Addr, hop_limit: Option<i32>, octets: &[u8]) -> Verdict {
        read(&Packet { source, hop_limit, octets })
    }

    #[test]
    fn what_is_heard_and_what_is_dropped() {
        let bare = advertisement();
        let with = |options: &[u8]| [&bare[..], options].concat();
        // Source link-layer address, MTU, and a prefix: what FRR sends, and radvd.
        let rich = with(
            &[&[1, 1, 2, 0, 0, 0, 0, 1][..], &[5, 1, 0, 0, 0, 0, 5, 0xdc], &[3, 4, 64, 0xc0], &[0; 28]]
                .concat(),
        );
        let (asked, nobody) = (solicitation(), Ipv6Addr::UNSPECIFIED);
        let (advertised, solicited) = (Ok(Some(Heard::Advertisement)), Ok(Some(Heard::Solicitation)));
        let global = "2001:db8::1".parse().unwrap();
        let code = [&[134, 1][..], &bare[2..]].concat();
        let table: [Row<'_>; 20] = [
            ("bare", ROUTER, Some(255), &bare, advertised),
            ("with options", ROUTER, Some(255), &rich, advertised),
            ("an unknown option", ROUTER, Some(255), &with(&[200, 1, 0, 0, 0, 0, 0, 0]), advertised),
            ("a solicitation", ROUTER, Some(255), &asked, solicited),
            ("of a host without address", nobody, Some(255), &asked, solicited),
            ("forwarded", ROUTER, Some(254), &bare, Err(Flaw::HopLimit)),
            ("forwarded solicitation", ROUTER, Some(64), &asked, Err(Flaw::HopLimit)),
            ("who knows", ROUTER, None, &bare, Err(Flaw::HopLimit)),
            ("global source", global, Some(255), &bare, Err(Flaw::Source)),
            ("no source", nobody, Some(255), &bare, Err(Flaw::Source)),
            ("15 octets", ROUTER, Some(255), &bare[..15], Err(Flaw::Short)),
            ("1 octet", ROUTER, Some(255), &bare[..1], Err(Flaw::Short)),
            ("7 octets", ROUTER, Some(255), &asked[..7], Err(Flaw::Short)),
            ("code 1", ROUTER, Some(255), &code, Err(Flaw::Code)),
            ("option of length 0", ROUTER, Some(255), &with(&[1, 0, 0, 0, 0, 0, 0, 0]), Err(Flaw::Options)),
            (
                "option beyond the end",
                ROUTER,
                Some(255),
                &with(&[1, 2, 0, 0, 0, 0, 0, 0]),
                Err(Flaw::Options),
            ),
            ("half an option", ROUTER, Some(255), &with(&[1]), Err(Flaw::Options)),
            ("cut option", ROUTER, Some(255), &with(&[1, 1, 0]), Err(Flaw::Options)),
            ("neighbour solicitation", ROUTER, Some(1), &[135, 0, 0, 0], Ok(None)),
            ("nothing", ROUTER, Some(255), &[], Ok(None)),
        ];
        for (what, source, hop_limit, octets, expected) in table {
            assert_eq!(heard(source, hop_limit, octets), expected, "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read(octets: Vec<u8>, source: u128, hop_limit: Option<i32>, kind in 133..135_u8) {
            let _ = heard(Ipv6Addr::from_bits(source), hop_limit, &octets);
            let nearly = [&[kind, 0][..], &octets].concat();
            // What is taken has a whole number of eights behind its fixed part.
            if heard(ROUTER, Some(255), &nearly).is_ok() {
                proptest::prop_assert!(nearly.len().is_multiple_of(8));
            }
        }
    }
}
