//! Masquerading as a table of the packet filter. Pure.
//!
//! ```text
//!  table inet underlay
//!    set pods4, pods6       prefixes of this node's pods
//!    set keep4, keep6       destinations that see pods as they are
//!    set named4, named6     interfaces with an address
//!    chain outgoing (nat, postrouting)
//!      from pods, not to keep, out of named   -> masquerade
//!      from pods, not to keep                 -> the node's InternalIP
//! ```
//!
//! Two rules a family, however many pods, nodes or routes there are: those are elements, found by one look-up each.

use std::net::IpAddr;

use api::nft::object::prefixes;
use api::nft::rule::{Address, interface};
use api::nft::{Chain, Element, Family as Packets, Hook, Kind, Rule, Set, Table};
use bgp::prefix::{Family, Prefix};

use super::wanted::Masquerade;

/// The table's family and name.
pub const TABLE: (Packets, &str) = (Packets::Inet, "underlay");

/// The one chain.
const CHAIN: &str = "outgoing";

/// `NF_IP_PRI_NAT_SRC`.
const PRIORITY: i32 = 100;

/// Destinations that nobody answers from by name: multicast, and what follows it in IPv4.
const NEVER: [&str; 2] = ["224.0.0.0/3", "ff00::/8"];

/// A table, and the elements of its sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// The table.
    pub table: Table,
    /// For each of its sets, in their order, what is in it.
    pub elements: Vec<Vec<Element>>,
}

/// The table that hides what is wanted; `None` where there is nothing to hide.
#[must_use]
pub fn rule_set(wanted: &Masquerade) -> Option<RuleSet> {
    let (mut sets, mut elements, mut rules) = (Vec::new(), Vec::new(), Vec::new());
    for family in Family::ALL {
        if !wanted.pods.iter().any(|pods| pods.family() == family) {
            continue;
        }
        let names = Names::of(family);
        let never = NEVER.iter().filter_map(|text| text.parse().ok());
        let keep: Vec<Prefix> = wanted.keep.iter().chain(&wanted.learned).copied().chain(never).collect();
        sets.extend([
            set(&names.pods, address_kind(family), true),
            set(&names.keep, address_kind(family), true),
            set(&names.named, Kind::Interface, false),
        ]);
        elements.extend([
            intervals(family, wanted.pods.iter().copied()),
            intervals(family, keep.into_iter()),
            wanted.addressed[family].iter().map(|name| element(interface(name).to_vec())).collect(),
        ]);
        let packets = packets(family);
        let out = |text: &str| {
            Rule::new(text)
                .family(packets)
                .address_in(packets, Address::Source, &names.pods, true)
                .address_in(packets, Address::Destination, &names.keep, false)
        };
        rules.push(out("out by an interface with an address").to_interface_in(&names.named).masquerade());
        let other = out("out by another interface");
        rules.push(match wanted.source[family] {
            Some(source) => other.source_becomes(packets, &octets(source)),
            None => other.masquerade(),
        });
    }
    if rules.is_empty() {
        return None;
    }
    let hook = Hook { kind: "nat", number: Hook::POSTROUTING, priority: PRIORITY };
    let chains = vec![Chain { name: CHAIN.into(), hook: Some(hook), rules }];
    Some(RuleSet { table: Table { family: TABLE.0, name: TABLE.1.into(), sets, chains }, elements })
}

/// The names of a family's sets.
struct Names {
    pods: String,
    keep: String,
    named: String,
}

impl Names {
    fn of(family: Family) -> Self {
        let digit = if family == Family::Ipv4 { '4' } else { '6' };
        Self { pods: format!("pods{digit}"), keep: format!("keep{digit}"), named: format!("named{digit}") }
    }
}

/// What has to go of a set and what has to come, for it to hold what it shall: intervals as wholes, whose two ends the
/// kernel keeps as two elements. `None` where what is seen is not made of intervals, though the set is.
#[must_use]
pub fn difference(set: &Set, seen: &[Element], wanted: &[Element]) -> Option<(Vec<Element>, Vec<Element>)> {
    let (seen, wanted) = (spans(set, seen)?, spans(set, wanted)?);
    let without = |these: &[Span<'_>], others: &[Span<'_>]| -> Vec<Element> {
        let alone = these.iter().filter(|span| others.binary_search(span).is_err());
        let bound = |key: &[u8], end| Element { end, ..element(key.to_vec()) };
        alone
            .flat_map(|(first, end)| [Some(bound(first, false)), end.map(|end| bound(end, true))])
            .flatten()
            .collect()
    };
    Some((without(&seen, &wanted), without(&wanted, &seen)))
}

/// A key, and for an interval what ends it, unless it reaches the last key.
type Span<'a> = (&'a [u8], Option<&'a [u8]>);

/// The elements as spans, in order.
fn spans<'a>(set: &Set, elements: &'a [Element]) -> Option<Vec<Span<'a>>> {
    let mut bounds: Vec<(&[u8], bool)> =
        elements.iter().map(|element| (element.key.as_slice(), !element.end)).collect();
    // Where one interval ends and another begins, the end is first.
    bounds.sort_unstable();
    let mut spans: Vec<Span<'_>> = Vec::with_capacity(bounds.len());
    for (key, begins) in bounds {
        match spans.last_mut() {
            Some((_, None)) if begins && set.intervals => return None,
            _ if begins => spans.push((key, None)),
            Some((_, end @ None)) if set.intervals => *end = Some(key),
            _ => return None,
        }
    }
    Some(spans)
}

fn set(name: &str, key: Kind, intervals: bool) -> Set {
    Set { name: name.into(), key: vec![key], value: Vec::new(), intervals }
}

fn intervals(family: Family, all: impl Iterator<Item = Prefix>) -> Vec<Element> {
    prefixes(
        all.filter(|prefix| prefix.family() == family).map(|prefix| (octets(prefix.address()), prefix.len())),
    )
}

fn element(key: Vec<u8>) -> Element {
    Element { key, value: Vec::new(), end: false, comment: String::new() }
}

const fn address_kind(family: Family) -> Kind {
    match family {
        Family::Ipv4 => Kind::Address4,
        Family::Ipv6 => Kind::Address6,
    }
}

const fn packets(family: Family) -> Packets {
    match family {
        Family::Ipv4 => Packets::Ip,
        Family::Ipv6 => Packets::Ip6,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
