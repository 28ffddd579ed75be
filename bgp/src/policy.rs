//! Import and export: which path is let in, and what is sent of it. Pure
//! functions of stored inputs; the table keeps the verdict, and an explanation
//! calls the same function again for the particulars.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{NextHopMode, OwnNextHop, PeerConfig, Protected, SpeakerConfig};
use crate::id::Asn;
use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::view::Refusal;
use crate::wire::attribute::{NextHops, PathAttributes};
use crate::wire::community::Community;

/// Octets that attributes may take, beside a header, an MP_REACH_NLRI with both
/// next hops and a prefix, in a message of 4 096 octets.
const ATTRIBUTE_ROOM: usize = 4_096 - 128;

/// LOCAL_PREF of a path that brings none (RFC 4271 §9.1.1 leaves the number open).
pub const DEFAULT_LOCAL_PREFERENCE: u32 = 100;

/// Whose path, and by whose rules, is judged.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The speaker's configuration.
    pub speaker: &'a SpeakerConfig,
    /// The configuration of the peer that sent the path.
    pub peer: &'a PeerConfig,
}

impl Import<'_> {
    /// Why the path is refused; `None` if it is let in. Attributes are judged
    /// before the prefix.
    #[must_use]
    pub fn judge(&self, prefix: Prefix, attributes: &PathAttributes) -> Option<Reason> {
        self.judge_attributes(prefix.family(), attributes).or_else(|| self.judge_prefix(prefix))
    }

    /// The part of the verdict that all prefixes of an UPDATE share.
    #[must_use]
    pub fn judge_attributes(&self, family: Family, attributes: &PathAttributes) -> Option<Reason> {
        // RFC 4271 §9.1.2: a route whose AS_PATH holds the own AS is not considered.
        if attributes.as_path.contains(self.speaker.asn) {
            return Some(Reason::AsLoop);
        }
        // RFC 4456 §8.
        if attributes.originator == Some(self.speaker.router_id) {
            return Some(Reason::OriginatorLoop);
        }
        let usable = usable_next_hop(family, attributes.next_hop, &self.speaker.protected.addresses);
        (!usable).then_some(Reason::InvalidNextHop)
    }

    /// The part of the verdict that depends on the prefix.
    #[must_use]
    pub fn judge_prefix(&self, prefix: Prefix) -> Option<Reason> {
        if prefix.is_default() {
            return (!self.peer.accept_default).then_some(Reason::DefaultRoute);
        }
        if is_martian(prefix) {
            return Some(Reason::Martian);
        }
        if !self.speaker.transit
            && let Some(reason) = touches(&self.speaker.protected, prefix)
        {
            return Some(reason);
        }
        match &self.peer.accept {
            Some(accept) if !accept.iter().any(|outer| outer.contains(prefix)) => Some(Reason::NotAccepted),
            _ => None,
        }
    }

    /// A refusal with its particulars.
    #[must_use]
    pub fn detail(&self, reason: Reason, prefix: Prefix, attributes: &PathAttributes) -> String {
        let protected = &self.speaker.protected;
        let inside = |list: &[Prefix]| list.iter().find(|outer| outer.contains(prefix)).copied();
        match reason {
            Reason::AsLoop => format!("own AS {} in path (RFC 4271 9.1.2)", self.speaker.asn),
            Reason::OriginatorLoop => {
                format!("own router id {} is the ORIGINATOR_ID (RFC 4456 8)", self.speaker.router_id)
            }
            Reason::InvalidNextHop => {
                format!("next hop {}", invalid_next_hop(attributes.next_hop, protected))
            }
            Reason::OwnPrefix => inside(&protected.own)
                .map_or_else(|| reason.says().to_owned(), |own| format!("lies inside this node's own {own}")),
            Reason::ConnectedPrefix => inside(&protected.connected).map_or_else(
                || reason.says().to_owned(),
                |subnet| format!("lies inside the connected subnet {subnet}"),
            ),
            Reason::NotAccepted => match &self.peer.accept {
                Some(accept) if !accept.is_empty() => format!("outside of accept {}", list(accept)),
                _ => "nothing is accepted from this peer".to_owned(),
            },
            Reason::PrefixLimit => format!("limit is {} prefixes", self.peer.receive_limit),
            _ => reason.says().to_owned(),
        }
    }
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(", ")
}

/// What of the node the prefix would take over; a shorter prefix that only
/// covers it takes nothing, since longest match protects what is inside.
fn touches(protected: &Protected, prefix: Prefix) -> Option<Reason> {
    if protected.own.iter().any(|own| own.contains(prefix)) {
        return Some(Reason::OwnPrefix);
    }
    if prefix.is_host() {
        let address = prefix.address();
        if protected.addresses.contains(&address) || protected.hosts.contains(&address) {
            return Some(Reason::ProtectedAddress);
        }
    }
    protected.connected.iter().any(|subnet| subnet.contains(prefix)).then_some(Reason::ConnectedPrefix)
}

/// Blocks that are never routed between hosts (RFC 6890, RFC 4291).
const MARTIANS_V4: [(Ipv4Addr, u8); 5] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Loopback and unspecified, v4-mapped, link-local, multicast.
const MARTIANS_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::UNSPECIFIED, 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];

/// Whether the prefix lies inside a block that is never routed; the default route does not.
fn is_martian(prefix: Prefix) -> bool {
    let inside = |address: IpAddr, len| Prefix::new(address, len).is_some_and(|outer| outer.contains(prefix));
    match prefix {
        Prefix::V4(_) => MARTIANS_V4.iter().any(|&(address, len)| inside(address.into(), len)),
        Prefix::V6(_) => MARTIANS_V6.iter().any(|&(address, len)| inside(address.into(), len)),
    }
}

/// RFC 4271 §6.3: the next hop is a host's address, not ours, of the prefix's family.
fn usable_next_hop(family: Family, next_hop: NextHops, own: &[IpAddr]) -> bool {
    let address = next_hop.address();
    Family::of(address) == family && !is_martian(Prefix::host(address)) && !own.contains(&address)
}

fn invalid_next_hop(next_hop: NextHops, protected: &Protected) -> String {
    let address = next_hop.address();
    let why = if protected.addresses.contains(&address) {
        "is this node's own address"
    } else if is_martian(Prefix::host(address)) {
        "is not a routable address"
    } else {
        "is of another family than the prefix"
    };
    format!("{address} {why}")
}

/// No fewer octets than the attributes take on the wire, to a peer of either
/// AS width (RFC 6793 §4.2.2: AS4_PATH goes beside AS_PATH).
fn most_octets(attributes: &PathAttributes) -> usize {
    let segment = |asns: usize| 2 * 2 + asns * (2 + 4);
    let path: usize = attributes.as_path.segments.iter().map(|s| segment(s.asns.len() + 1)).sum();
    let unknown: usize = attributes.unknown.iter().map(|unknown| 4 + unknown.value.len()).sum();
    path + unknown
        + 4 * attributes.communities.len()
        + 8 * attributes.extended_communities.len()
        + 12 * attributes.large_communities.len()
        + 4 * attributes.cluster_list.len()
        // Headers of all known attributes, and the values of those of fixed length.
        + 128
}

/// Where a path comes from, as far as rules ask; in the order of preference
/// (RFC 4271 §9.1.2.2 d).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// This speaker originates it.
    Local,
    /// A peer of another AS.
    External,
    /// A peer of the own AS.
    Internal,
}

/// All that export asks of a peer: peers with equal rules get equal attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Export {
    /// The speaker's AS.
    pub asn: Asn,
    /// Whether the peer is external.
    pub external: bool,
    /// Whether learned paths are sent on.
    pub transit: bool,
    /// How the next hop is chosen.
    pub next_hop: NextHopMode,
    /// The own addresses to name.
    pub own_next_hop: OwnNextHop,
}

impl Export {
    /// Why the path is not sent; `None` if it is.
    #[must_use]
    pub fn refuses(&self, family: Family, kind: SourceKind, attributes: &PathAttributes) -> Option<Reason> {
        if kind != SourceKind::Local && !self.transit {
            return Some(Reason::NotTransit);
        }
        // RFC 4271 §9.2: what an internal peer sent is not sent to another one.
        if kind == SourceKind::Internal && !self.external {
            return Some(Reason::IbgpSplitHorizon);
        }
        let carries = |community| attributes.communities.contains(&community);
        if kind != SourceKind::Local && carries(Community::NO_ADVERTISE) {
            return Some(Reason::NoAdvertise);
        }
        // RFC 1997: outside of confederations the two say the same.
        let kept_inside = carries(Community::NO_EXPORT) || carries(Community::NO_EXPORT_SUBCONFED);
        if kind != SourceKind::Local && self.external && kept_inside {
            return Some(Reason::NoExport);
        }
        if self.choose_next_hop(family, kind, attributes).is_none() {
            return Some(Reason::NoNextHop);
        }
        (most_octets(attributes) > ATTRIBUTE_ROOM).then_some(Reason::TooLong)
    }

    /// The attributes as they are sent (RFC 4271 §5.1); `Err` as [`Export::refuses`] says.
    ///
    /// # Errors
    /// The reason why the path is not sent.
    pub fn apply(
        &self,
        family: Family,
        kind: SourceKind,
        attributes: &PathAttributes,
    ) -> Result<PathAttributes, Reason> {
        if let Some(reason) = self.refuses(family, kind, attributes) {
            return Err(reason);
        }
        let mut sent = attributes.clone();
        sent.next_hop = self.choose_next_hop(family, kind, attributes).ok_or(Reason::NoNextHop)?;
        if self.external {
            // RFC 4271 §5.1.2 b.
            sent.as_path = sent.as_path.prepended(self.asn, 1);
            // RFC 4271 §5.1.5: LOCAL_PREF stays inside the AS.
            sent.local_preference = None;
            // RFC 4271 §5.1.4: a MED that was received is not sent to other ASes.
            if kind != SourceKind::Local {
                sent.med = None;
            }
            // RFC 4456 §8: both are non-transitive.
            sent.originator = None;
            sent.cluster_list = Box::default();
        } else {
            sent.local_preference = sent.local_preference.or(Some(DEFAULT_LOCAL_PREFERENCE));
        }
        Ok(sent)
    }

    /// The next hop to name: ours, or the one that came with the path.
    fn choose_next_hop(
        &self,
        family: Family,
        kind: SourceKind,
        attributes: &PathAttributes,
    ) -> Option<NextHops> {
        let own = match family {
            Family::Ipv4 => self.own_next_hop.ipv4.map(NextHops::V4),
            Family::Ipv6 => self.own_next_hop.ipv6.map(|global| NextHops::V6 { global, link_local: None }),
        };
        let keep = match self.next_hop {
            NextHopMode::Auto => !self.external,
            NextHopMode::Own => false,
            NextHopMode::Unchanged => true,
        };
        if kind == SourceKind::Local || !keep {
            return own;
        }
        match attributes.next_hop {
            NextHops::V4(address) => Some(NextHops::V4(address)),
            // The link-local half names a router on a link that the peer need not share (RFC 2545 §3).
            NextHops::V6 { global, .. } => Some(NextHops::V6 { global, link_local: None }),
        }
    }

    /// A refusal with its particulars.
    #[must_use]
    pub fn refusal(reason: Reason, family: Family) -> Refusal {
        let detail = match reason {
            Reason::NoNextHop => format!("no own {family} address to name as next hop"),
            _ => reason.says().to_owned(),
        };
        Refusal { reason, detail }
    }
}
