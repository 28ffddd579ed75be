//! Prefixes and communities as people write them, as the speaker has them.

use api::crd::fabric::WELL_KNOWN_COMMUNITIES;
use bgp::prefix::Prefix;
use bgp::rule::AnyCommunity;
use bgp::wire::community::{Community, LargeCommunity};
use ipnet::IpNet;

/// A prefix as the speaker has it, without host bits.
pub(super) fn prefix(net: IpNet) -> Prefix {
    match Prefix::new(net.addr(), net.prefix_len()) {
        Some(prefix) => prefix,
        // `IpNet` holds no length beyond its family's.
        None => Prefix::host(net.addr()),
    }
}

/// A community from `A:B`, `A:B:C` or a well-known name.
pub(super) fn community(text: &str) -> Option<AnyCommunity> {
    let parts: Vec<Option<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(upper @ 0..=0xffff), Some(lower @ 0..=0xffff)] => {
            Some(AnyCommunity::Standard(Community(upper << 16 | lower)))
        }
        [Some(global), Some(local1), Some(local2)] => {
            Some(AnyCommunity::Large(LargeCommunity { global, local1, local2 }))
        }
        _ => {
            let (_, number) = WELL_KNOWN_COMMUNITIES.iter().find(|(name, _)| *name == text)?;
            Some(AnyCommunity::Standard(Community(*number)))
        }
    }
}
