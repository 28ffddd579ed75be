//! The plugin's table in the packet filter, as data. Pure.
//!
//! ```text
//!  table inet underlay-cni
//!    set guarded, set free            host ends of our pods: sources are checked, or not
//!    chain loopback  (raw)            a pod reaches no 127.0.0.1 or ::1 but its own
//!    chain sources   (raw)            a guarded pod's IPv6 source leads back to it, or is link-local
//!    map [address-]port4, port6       protocol and port of the node -> address and port of a pod
//!    chain incoming, outgoing (nat)   to this host -> jump mapped
//!    chain mapped                     one look-up a packet that opens a connection
//!    set itself4, itself6             pods that may reach themselves by the node
//!    chain returning (nat)            such packets, and those from loopback, get an answer
//!    set masq4-NET, masq6-NET         addresses of pods that a network hides behind its node
//!    set keep4-NET, keep6-NET         destinations that see the pods' own
//!    chain masq-NET  (nat)
//! ```
//!
//! IPv4 sources are the kernel's to check, by `rp_filter` of the host end.
//!
//! No name is a word of `nft`'s own language, so that what it lists can be read by it again.
//!
//! Invariants: a chain's rules depend on the network's name alone, never on pods; every
//! element's comment says whose it is; each pod has an element in `guarded` or `free`, so the
//! table may go when both are empty. Without port mappings and masquerading no chain of type
//! `nat` stands, and connections are not tracked for our sake.

use std::net::IpAddr;

use api::nft::rule::Address;
use api::nft::{Chain, Element, Family as Packets, Hook, Kind, Rule, Set, Table, Verdict, object::prefixes};
use ipnet::IpNet;

use crate::attachment::LINK_PREFIX;
use crate::hop::GATEWAY_V4;
use crate::ipam::Family;
use crate::portmap::{Map, hairpins, octets};

/// The table's family and name.
pub const TABLE: (Packets, &str) = (Packets::Inet, "underlay-cni");

/// Host ends whose sources are checked.
pub const GUARDED: &str = "guarded";
/// Host ends whose sources are not.
pub const FREE: &str = "free";

/// Chains of port mappings, those that jump before the one jumped to.
pub const PORT_CHAINS: [&str; 4] = ["incoming", "outgoing", "returning", "mapped"];

/// `NF_IP_PRI_RAW`, before connections are looked at.
const RAW: i32 = -300;
/// Just before `NF_IP_PRI_NAT_DST`, where services are: a port of the node that a pod asked for is the pod's.
const REDIRECT: i32 = -101;
/// Just before `NF_IP_PRI_NAT_SRC`, where others masquerade.
const RETURN: i32 = 99;
/// `NF_IP_PRI_NAT_SRC`.
const MASQUERADE: i32 = 100;

/// Destinations that are never masqueraded for: multicast, and what follows it in IPv4.
const NEVER: [&str; 2] = ["224.0.0.0/3", "ff00::/8"];

/// What of the table an attachment needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs<'a> {
    /// Port mappings.
    pub ports: bool,
    /// The network that masquerades.
    pub masquerade: Option<&'a str>,
}

/// Whose an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The host end's name.
    pub link: &'a str,
    /// The network's name.
    pub network: &'a str,
    /// Pod or container id.
    pub holder: &'a str,
}

impl<'a> Owner<'a> {
    /// The comment of each of its elements.
    pub fn comment(self) -> String {
        format!("{} {} {}", self.link, self.network, self.holder)
    }

    /// The owner in a comment; none in a foreign one.
    pub fn of(comment: &'a str) -> Option<Self> {
        let mut parts = comment.splitn(3, ' ');
        Some(Self { link: parts.next()?, network: parts.next()?, holder: parts.next()? })
    }
}

/// Packets of a family.
pub fn packets(family: Family) -> Packets {
    match family {
        Family::V4 => Packets::Ip,
        Family::V6 => Packets::Ip6,
    }
}

/// The table as far as `needs` goes.
pub fn table(needs: Needs<'_>) -> Table {
    let names = |name: &str| Set {
        name: name.into(),
        key: vec![Kind::Interface],
        value: Vec::new(),
        intervals: false,
    };
    let mut sets = vec![names(GUARDED), names(FREE)];
    let mut chains = vec![loopback(), sources()];
    if needs.ports {
        sets.extend(Map::ALL.map(Map::set));
        sets.extend(Family::ALL.map(hairpins));
        chains.extend(ports());
    }
    if let Some(network) = needs.masquerade {
        sets.extend(Family::ALL.iter().flat_map(|family| {
            [(source_set(network, *family), false), (keep_set(network, *family), true)]
                .map(|(name, intervals)| addresses(name, *family, intervals))
        }));
        chains.push(masquerade(network));
    }
    Table { family: TABLE.0, name: TABLE.1.into(), sets, chains }
}

/// Name of the chain that masquerades for a network.
pub fn masquerade_chain(network: &str) -> String {
    format!("masq-{network}")
}

/// Name of the set of pods that a network masquerades.
pub fn source_set(network: &str, family: Family) -> String {
    format!("masq{}-{network}", digit(family))
}

/// Name of the set of destinations that see a network's pods as they are.
pub fn keep_set(network: &str, family: Family) -> String {
    format!("keep{}-{network}", digit(family))
}

/// The elements of [`keep_set`] for these destinations.
pub fn kept(except: &[IpNet], family: Family) -> Vec<Element> {
    let never = NEVER.iter().filter_map(|text| text.parse::<IpNet>().ok());
    let all = except.iter().copied().chain(never).filter(|net| Family::of(net.addr()) == family);
    prefixes(all.map(|net| (octets(net.network()), net.prefix_len())))
}

/// The element that stands for a host end.
pub fn end(link: &str, comment: &str) -> Element {
    let key = api::nft::rule::interface(link).to_vec();
    Element { key, value: Vec::new(), end: false, comment: comment.into() }
}

/// The element of an address in a set of addresses.
pub fn member(address: IpAddr, comment: &str) -> Element {
    Element { key: octets(address), value: Vec::new(), end: false, comment: comment.into() }
}

fn digit(family: Family) -> char {
    if family == Family::V4 { '4' } else { '6' }
}

fn addresses(name: String, family: Family, intervals: bool) -> Set {
    let kind = if family == Family::V4 { Kind::Address4 } else { Kind::Address6 };
    Set { name, key: vec![kind], value: Vec::new(), intervals }
}

fn chain(name: &str, hook: Option<(&'static str, u32, i32)>, rules: Vec<Rule>) -> Chain {
    let hook = hook.map(|(kind, number, priority)| Hook { kind, number, priority });
    Chain { name: name.into(), hook, rules }
}

/// `route_localnet` and the route to ::1 let in what comes back to a port mapping on loopback;
/// at this hook its destination is not loopback yet. What is, was not asked for.
fn loopback() -> Chain {
    let rule = |text| Rule::new(text).from_interfaces(LINK_PREFIX);
    let one = [&[0; 15][..], &[1]].concat();
    let mut rules = Vec::new();
    for (which, text) in [
        (Address::Destination, "no way to the node's loopback"),
        (Address::Source, "loopback is nobody's source"),
    ] {
        let v4 = rule(text).family(Packets::Ip).address_starts(Packets::Ip, which, &[127]);
        let v6 = rule(text).family(Packets::Ip6).address_starts(Packets::Ip6, which, &one);
        rules.extend([v4, v6].map(|rule| rule.verdict(Verdict::Drop)));
    }
    chain("loopback", Some(("filter", Hook::PREROUTING, RAW)), rules)
}

fn sources() -> Chain {
    let guarded = |text| Rule::new(text).family(Packets::Ip6).from_interface_in(GUARDED);
    let link_local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    chain(
        "sources",
        Some(("filter", Hook::PREROUTING, RAW)),
        vec![
            guarded("neighbour discovery, and no router forwards it")
                .address_within(Packets::Ip6, Address::Source, &link_local, 10)
                .verdict(Verdict::Accept),
            guarded("a host without an address yet")
                .address_starts(Packets::Ip6, Address::Source, &[0; 16])
                .verdict(Verdict::Accept),
            guarded("a source that the pod does not own")
                .from_where_no_route_leads()
                .counter()
                .verdict(Verdict::Drop),
        ],
    )
}

fn ports() -> [Chain; 4] {
    let into = |text| vec![Rule::new(text).to_this_host().verdict(Verdict::Jump("mapped"))];
    let mapped = Map::ALL
        .iter()
        .map(|map| {
            let packets = packets(map.family);
            Rule::new("to the pod").family(packets).redirect(packets, map.name(), map.one_address)
        })
        .collect();
    let gateway = octets(GATEWAY_V4);
    let loops = |text, packets: Packets| Rule::new(text).family(packets);
    let one = [&[0; 15][..], &[1]].concat();
    // The pod's gateway is nobody's address, but what is sent there comes to this host, and is
    // led back before it is routed: so there need not be an IPv4 address on this node.
    let returning = vec![
        loops("a pod to itself", Packets::Ip)
            .addresses_in(Packets::Ip, &hairpins(Family::V4).name)
            .source_becomes(Packets::Ip, &gateway),
        loops("a pod to itself", Packets::Ip6)
            .addresses_in(Packets::Ip6, &hairpins(Family::V6).name)
            .masquerade(),
        loops("from 127.0.0.0/8", Packets::Ip)
            .address_starts(Packets::Ip, Address::Source, &[127])
            .to_interfaces(LINK_PREFIX)
            .of_changed_destination()
            .source_becomes(Packets::Ip, &gateway),
        loops("from ::1", Packets::Ip6)
            .address_starts(Packets::Ip6, Address::Source, &one)
            .to_interfaces(LINK_PREFIX)
            .of_changed_destination()
            .masquerade(),
    ];
    [
        chain("mapped", None, mapped),
        chain("incoming", Some(("nat", Hook::PREROUTING, REDIRECT)), into("a port of this node")),
        chain("outgoing", Some(("nat", Hook::OUTPUT, REDIRECT)), into("a port of this node, from itself")),
        chain("returning", Some(("nat", Hook::POSTROUTING, RETURN)), returning),
    ]
}

fn masquerade(network: &str) -> Chain {
    let rules = Family::ALL
        .iter()
        .map(|family| {
            let packets = packets(*family);
            Rule::new("out of the pods' network")
                .family(packets)
                .address_in(packets, Address::Source, &source_set(network, *family), true)
                .address_in(packets, Address::Destination, &keep_set(network, *family), false)
                .masquerade()
        })
        .collect();
    chain(&masquerade_chain(network), Some(("nat", Hook::POSTROUTING, MASQUERADE)), rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_back() {
        let owner = Owner { link: "ul01", network: "net", holder: "default/web 1" };
        assert_eq!(Owner::of(&owner.comment()), Some(owner));
        assert_eq!(Owner::of("somebody's"), None);
    }

    #[test]
    fn connections_are_tracked_only_for_those_who_asked() {
        let nat = |needs| {
            table(needs)
                .chains
                .iter()
                .filter(|chain| chain.hook.is_some_and(|hook| hook.kind == "nat"))
                .count()
        };
        assert_eq!(nat(Needs::default()), 0);
        assert_eq!(nat(Needs { ports: true, masquerade: None }), 3);
        assert_eq!(nat(Needs { ports: true, masquerade: Some("net") }), 4);
    }
}
