//! Import and export rules as plain data, and which of them a path meets.
//!
//! A list is walked from its start, and the first rule that a path meets
//! decides; a path that meets none passes unchanged. What becomes of the
//! decision is [`crate::policy`]'s.
//!
//! - Pure: the same list, prefix and attributes give the same rule, and
//!   [`Condition::meets`] and [`Condition::describe`] read the same fields.
//! - The cost of one path is bounded: the lists are short, and a path pattern
//!   takes at most its length times that of the path.

mod pattern;

use alloc::sync::Arc;
use core::fmt;
use core::ops::Deref;

pub use self::pattern::{PathPattern, PatternError, Step};
use crate::id::Asn;
use crate::prefix::Prefix;
use crate::wire::as_path::AsPath;
use crate::wire::attribute::PathAttributes;
use crate::wire::community::{Community, LargeCommunity};

/// A list of rules; clones share it.
#[derive(Clone, Debug, Default, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules(Option<Arc<[Rule]>>);

impl Rules {
    /// The rules in their order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self((!rules.is_empty()).then(|| rules.into()))
    }

    /// The first rule that a path meets, and its place from zero; `None` where
    /// it meets none.
    #[must_use]
    pub fn first(&self, subject: &Subject<'_>) -> Option<(usize, &Rule)> {
        self.iter().enumerate().find(|(_, rule)| rule.when.meets(subject))
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rule {
    /// Which paths meet it.
    pub when: Condition,
    /// Whether these are refused.
    pub reject: bool,
    /// What is changed of those that are not.
    pub set: Changes,
}

/// Where a path comes from, as rules tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RouteOrigin {
    /// A PodCIDR of this node.
    PodCidr,
    /// A prefix that the configuration names.
    Static,
    /// An address of a Service.
    Service,
    /// Learned from a peer.
    Learned,
}

impl fmt::Display for RouteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PodCidr => "PodCIDR",
            Self::Static => "static",
            Self::Service => "Service",
            Self::Learned => "Learned",
        })
    }
}

/// A path as rules look at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its prefix.
    pub prefix: Prefix,
    /// Where it comes from.
    pub origin: RouteOrigin,
    /// Its attributes.
    pub attributes: &'a PathAttributes,
}

/// Prefixes inside a prefix, by their length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PrefixRange {
    /// The prefix that they lie inside.
    pub prefix: Prefix,
    /// The least length.
    pub least: u8,
    /// The greatest length.
    pub most: u8,
}

impl PrefixRange {
    /// A range as routers write it: without bounds the prefix alone, `ge` alone
    /// up to host routes, `le` alone from the prefix's own length on.
    #[must_use]
    pub fn new(prefix: Prefix, ge: Option<u8>, le: Option<u8>) -> Self {
        let own = prefix.len();
        let most = le.unwrap_or(if ge.is_some() { prefix.family().max_len() } else { own });
        Self { prefix, least: ge.unwrap_or(own), most }
    }

    /// Whether the prefix is one of these.
    #[must_use]
    pub fn holds(&self, prefix: Prefix) -> bool {
        (self.least..=self.most).contains(&prefix.len()) && self.prefix.contains(prefix)
    }
}

impl fmt::Display for PrefixRange {
    /// `10.244.0.0/16`, or `10.244.0.0/16 ge 24 le 32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if (self.least, self.most) != (self.prefix.len(), self.prefix.len()) {
            write!(f, " ge {} le {}", self.least, self.most)?;
        }
        Ok(())
    }
}

/// A standard or a large community.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AnyCommunity {
    /// RFC 1997.
    Standard(Community),
    /// RFC 8092.
    Large(LargeCommunity),
}

impl AnyCommunity {
    fn is_in(self, attributes: &PathAttributes) -> bool {
        match self {
            Self::Standard(community) => attributes.communities.contains(&community),
            Self::Large(community) => attributes.large_communities.contains(&community),
        }
    }
}

impl fmt::Display for AnyCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(community) => community.fmt(f),
            Self::Large(community) => community.fmt(f),
        }
    }
}

/// Which paths meet a rule: those that meet all of its fields. An empty list
/// and an unset field are met by any path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Condition {
    /// The prefix is one of these.
    pub prefixes: Vec<PrefixRange>,
    /// The path carries one of these.
    pub communities: Vec<AnyCommunity>,
    /// The AS_PATH is of this form.
    pub as_path: Option<PathPattern>,
    /// The path comes from there.
    pub origin: Option<RouteOrigin>,
}

impl Condition {
    /// Whether a path meets all fields.
    #[must_use]
    pub fn meets(&self, subject: &Subject<'_>) -> bool {
        let Subject { prefix, origin, attributes } = *subject;
        self.origin.is_none_or(|wanted| wanted == origin)
            && (self.prefixes.is_empty() || self.prefix(prefix).is_some())
            && (self.communities.is_empty() || self.community(attributes).is_some())
            && self.as_path.as_ref().is_none_or(|pattern| pattern.matches(&attributes.as_path))
    }

    fn prefix(&self, prefix: Prefix) -> Option<&PrefixRange> {
        self.prefixes.iter().find(|range| range.holds(prefix))
    }

    fn community(&self, attributes: &PathAttributes) -> Option<AnyCommunity> {
        self.communities.iter().copied().find(|community| community.is_in(attributes))
    }

    /// What of the path met the condition, such as `prefix 10.244.0.0/16 ge 24 le 32, community 65000:1`.
    #[must_use]
    pub fn describe(&self, subject: &Subject<'_>) -> String {
        let parts = [
            self.prefix(subject.prefix).map(|range| format!("prefix {range}")),
            self.community(subject.attributes).map(|community| format!("community {community}")),
            self.as_path.as_ref().map(|pattern| format!("AS path \"{pattern}\"")),
            self.origin.map(|origin| format!("origin {origin}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "any path".to_owned() } else { parts.join(", ") }
    }
}

/// What a rule changes of a path. Communities are first taken off, then put on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Changes {
    /// LOCAL_PREF.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// How often more an AS stands before the path: on export the own one; on
    /// import the nearest of the path, so that an empty path stays empty.
    pub prepend: u8,
    /// Communities to put on, where they are not there yet.
    pub add: Vec<AnyCommunity>,
    /// Communities to take off.
    pub remove: Vec<AnyCommunity>,
}

impl Changes {
    /// Changes attributes; `asn` is the AS to prepend, if there is one.
    pub fn apply(&self, attributes: &mut PathAttributes, asn: Option<Asn>) {
        attributes.local_preference = self.local_preference.or(attributes.local_preference);
        attributes.med = self.med.or(attributes.med);
        if let Some(asn) = asn.filter(|_| self.prepend > 0) {
            attributes.as_path = attributes.as_path.prepended(asn, usize::from(self.prepend));
        }
        if self.add.is_empty() && self.remove.is_empty() {
            return;
        }
        let mut standard = attributes.communities.to_vec();
        let mut large = attributes.large_communities.to_vec();
        for community in &self.remove {
            match community {
                AnyCommunity::Standard(gone) => standard.retain(|held| held != gone),
                AnyCommunity::Large(gone) => large.retain(|held| held != gone),
            }
        }
        for community in &self.add {
            match *community {
                AnyCommunity::Standard(new) if !standard.contains(&new) => standard.push(new),
                AnyCommunity::Large(new) if !large.contains(&new) => large.push(new),
                _ => {}
            }
        }
        attributes.communities = standard.into();
        attributes.large_communities = large.into();
    }

    /// No fewer octets than the changes add to the attributes on the wire.
    #[must_use]
    pub fn most_octets(&self) -> usize {
        // RFC 6793 §4.2.2: AS4_PATH goes beside AS_PATH; a large community is the longest.
        usize::from(self.prepend) * (2 + 4) + self.add.len() * 12
    }
}

impl fmt::Display for Changes {
    /// `local-preference 200, prepend 2, +65000:1, -65000:2`; nothing where nothing is changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name} {value}"));
        let numbers = [
            number("local-preference", self.local_preference),
            number("med", self.med),
            number("prepend", Some(self.prepend.into()).filter(|times| *times > 0)),
        ];
        let add = self.add.iter().map(|community| format!("+{community}"));
        let remove = self.remove.iter().map(|community| format!("-{community}"));
        let parts: Vec<String> = numbers.into_iter().flatten().chain(remove).chain(add).collect();
        f.write_str(&parts.join(", "))
    }
}

/// The nearest AS of a path, whatever the kind of its first segment.
#[must_use]
pub fn nearest(path: &AsPath) -> Option<Asn> {
    path.segments.first()?.asns.first().copied()
}

#[cfg(test)]
mod tests;
