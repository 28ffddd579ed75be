//! Path attributes (RFC 4271 §4.3 and §5).

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::as_path::AsPath;
use super::community::{Community, ExtendedCommunity, Ipv6ExtendedCommunity, LargeCommunity};
use crate::id::{Asn, RouterId};
use crate::zone;

/// ORIGIN (RFC 4271 §5.1.1), in the order of preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// Learned by other means.
    Incomplete,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Igp => "IGP",
            Self::Egp => "EGP",
            Self::Incomplete => "INCOMPLETE",
        })
    }
}

/// The next hop of NEXT_HOP or of MP_REACH_NLRI (RFC 4271 §5.1.3, RFC 2545 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHops {
    /// Four octets.
    V4(Ipv4Addr),
    /// Sixteen octets, or thirty-two with the link-local address of the same router.
    V6 {
        /// The first sixteen octets: the global address, or a link-local one alone, with its zone.
        global: Ipv6Addr,
        /// The second sixteen octets, with their zone on a session whose link is known.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHops {
    /// The address that routes use: the link-local one where its link is known, else the global one.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        match self {
            Self::V4(address) => IpAddr::V4(address),
            Self::V6 { link_local: Some(address), .. } if zone::split6(address).1.is_some() => {
                IpAddr::V6(address)
            }
            Self::V6 { global, .. } => IpAddr::V6(global),
        }
    }

    /// What of it means something on other links, too; `None` for a link-local address alone.
    #[must_use]
    pub const fn off_link(self) -> Option<Self> {
        match self {
            Self::V6 { global, .. } if global.is_unicast_link_local() => None,
            Self::V6 { global, .. } => Some(Self::V6 { global, link_local: None }),
            Self::V4(_) => Some(self),
        }
    }

    /// Appends the four, sixteen or thirty-two octets.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Self::V4(address) => out.extend_from_slice(&address.octets()),
            Self::V6 { global, link_local } => {
                out.extend_from_slice(&zone::split6(global).0.octets());
                out.extend(link_local.into_iter().flat_map(|address| zone::split6(address).0.octets()));
            }
        }
    }
}

/// AGGREGATOR (RFC 4271 §5.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregator {
    /// The AS that aggregated.
    pub asn: Asn,
    /// The router that aggregated.
    pub router: Ipv4Addr,
}

/// An attribute that this speaker does not know; transitive, passed on with the
/// Partial bit set (RFC 4271 §5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnknownAttribute {
    /// The flags octet as received, without the Extended Length bit.
    pub flags: u8,
    /// The type code.
    pub code: u8,
    /// The value.
    pub value: Box<[u8]>,
}

/// Which of the optional transitive attributes came with the Partial bit: once
/// set by a speaker on the way it stays set (RFC 4271 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partial {
    /// AGGREGATOR.
    pub aggregator: bool,
    /// COMMUNITIES.
    pub communities: bool,
    /// EXTENDED COMMUNITIES.
    pub extended_communities: bool,
    /// IPv6 EXTENDED COMMUNITIES.
    pub ipv6_extended_communities: bool,
    /// LARGE_COMMUNITY.
    pub large_communities: bool,
    /// ONLY_TO_CUSTOMER.
    pub only_to_customers: bool,
}

/// The attributes of a path, as one UPDATE gives them to all of its prefixes.
/// Communities keep their order of arrival; unknown attributes are ordered by code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, merged with AS4_PATH (RFC 6793 §4.2.3).
    pub as_path: AsPath,
    /// The next hop.
    pub next_hop: NextHops,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF.
    pub local_preference: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, merged with AS4_AGGREGATOR.
    pub aggregator: Option<Aggregator>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Box<[Community]>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended_communities: Box<[ExtendedCommunity]>,
    /// IPv6 EXTENDED COMMUNITIES (RFC 5701).
    pub ipv6_extended_communities: Box<[Ipv6ExtendedCommunity]>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: Box<[LargeCommunity]>,
    /// ONLY_TO_CUSTOMER: the AS that sent the path down (RFC 9234 §5).
    pub only_to_customers: Option<Asn>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator: Option<RouterId>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: Box<[u32]>,
    /// Transitive attributes that this speaker does not know.
    pub unknown: Box<[UnknownAttribute]>,
    /// Where the Partial bit was set among the attributes that this speaker knows.
    pub partial: Partial,
}

impl PathAttributes {
    /// Attributes of a path that starts here: ORIGIN IGP, an empty AS_PATH.
    #[must_use]
    pub fn originated(next_hop: NextHops) -> Self {
        Self {
            origin: Origin::Igp,
            as_path: AsPath::default(),
            next_hop,
            med: None,
            local_preference: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Box::default(),
            extended_communities: Box::default(),
            ipv6_extended_communities: Box::default(),
            large_communities: Box::default(),
            only_to_customers: None,
            originator: None,
            cluster_list: Box::default(),
            unknown: Box::default(),
            partial: Partial::default(),
        }
    }
}
