//! What rules, paths and communities say.

use bgp::config::{PeerConfig, SpeakerConfig};
use bgp::id::Asn;
use bgp::prefix::Prefix;
use bgp::rule::{AnyCommunity, Changes, Condition, RouteOrigin};
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::PathAttributes;

pub(super) fn inside(outer: &str, prefix: Prefix) -> bool {
    outer.parse::<Prefix>().expect("a prefix").contains(prefix)
}

/// RFC 6890: "Forwardable" and "Destination" are false; RFC 4291 §2.4 for IPv6.
pub(super) fn never_routed(prefix: Prefix) -> bool {
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"]
        .into_iter()
        .chain(["::/96", "::ffff:0:0/96", "fe80::/10", "ff00::/8"])
        .any(|outer| inside(outer, prefix))
}

pub(super) fn carries(attributes: &PathAttributes, community: AnyCommunity) -> bool {
    match community {
        AnyCommunity::Standard(one) => attributes.communities.contains(&one),
        AnyCommunity::Large(one) => attributes.large_communities.contains(&one),
    }
}

/// A rule speaks of a path if each of its fields is unset or met.
pub(super) fn meets(
    when: &Condition,
    prefix: Prefix,
    origin: RouteOrigin,
    attributes: &PathAttributes,
) -> bool {
    let ranges = &when.prefixes;
    let in_range = ranges.iter().any(|range| {
        range.prefix.contains(prefix) && prefix.len() >= range.least && prefix.len() <= range.most
    });
    let tagged = when.communities.iter().any(|community| carries(attributes, *community));
    (ranges.is_empty() || in_range)
        && (when.communities.is_empty() || tagged)
        && (when.origin.is_none() || when.origin == Some(origin))
        && when.as_path.as_ref().is_none_or(|pattern| pattern.matches(&attributes.as_path))
}

pub(super) fn prepend(path: &AsPath, asn: Asn, times: u8) -> AsPath {
    let mut segments = path.segments.clone();
    for _ in 0..times {
        // RFC 4271 §5.1.2 b 1 and 2: to the leftmost AS_SEQUENCE, or to a new one.
        match segments.first_mut() {
            Some(first) if first.kind == SegmentKind::Sequence => first.asns.insert(0, asn),
            _ => segments.insert(0, Segment { kind: SegmentKind::Sequence, asns: vec![asn] }),
        }
    }
    AsPath { segments }
}

pub(super) fn change(set: &Changes, attributes: &mut PathAttributes, prepended: Option<Asn>) {
    if set.local_preference.is_some() {
        attributes.local_preference = set.local_preference;
    }
    if set.med.is_some() {
        attributes.med = set.med;
    }
    if let Some(asn) = prepended {
        attributes.as_path = prepend(&attributes.as_path, asn, set.prepend);
    }
    let mut communities = attributes.communities.to_vec();
    let mut large = attributes.large_communities.to_vec();
    communities.retain(|held| !set.remove.contains(&AnyCommunity::Standard(*held)));
    large.retain(|held| !set.remove.contains(&AnyCommunity::Large(*held)));
    for community in &set.add {
        match community {
            AnyCommunity::Standard(new) if !communities.contains(new) => communities.push(*new),
            AnyCommunity::Large(new) if !large.contains(new) => large.push(*new),
            _ => {}
        }
    }
    attributes.communities = communities.into();
    attributes.large_communities = large.into();
}

/// The first AS of a path that begins with a sequence.
pub(super) fn leftmost(path: &AsPath) -> Option<Asn> {
    let first = path.segments.first()?;
    (first.kind == SegmentKind::Sequence).then(|| first.asns[0])
}

/// RFC 7705 §3.1: the AS of "My Autonomous System" in the OPEN of one session.
pub(super) fn session_as(own: &SpeakerConfig, peer: &PeerConfig) -> Asn {
    peer.local_as.map_or(own.asn, |local| local.asn)
}
