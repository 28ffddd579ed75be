//! What a dump says: the routes of others by destination, our own routes by key, links and addresses; pure.
//!
//! A view is replaced as a whole, or its interfaces are; it is never patched.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use api::netconf::{POD_ROUTE_PROTOCOL, is_pod_link};
use bgp::prefix::{Family, PerFamily, Prefix};
use foldhash::HashMap;

use super::command::{LocalAddress, MAIN_TABLE};
use super::message::{Hop, InterfaceAddress, KernelRoute, Link};
use super::route::{Key, Leg, Route, Target};

/// `RTNH_F_DEAD`, `RTNH_F_ONLINK` and `RTNH_F_LINKDOWN` of linux/rtnetlink.h.
const DEAD: u32 = 1;
const ONLINK: u32 = 4;
const LINKDOWN: u32 = 16;

/// `RTM_F_CLONED`: a cached copy, no route.
const CLONED: u32 = 0x200;

/// Which routes are our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// The tables that we write to, or wrote to since the start.
    pub tables: BTreeSet<u32>,
    /// The protocol numbers that we write, or wrote since the start.
    pub protocols: BTreeSet<u8>,
}

impl Ownership {
    /// Whether a route is ours.
    #[must_use]
    pub fn holds(&self, route: &KernelRoute) -> bool {
        self.protocols.contains(&route.protocol) && self.tables.contains(&route.table) && route.tos == 0
    }
}

/// Our own routes by key.
pub type OwnRoutes = HashMap<Key, Route>;

/// A route of another owner in the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its metric.
    pub metric: u32,
    /// `RTN_UNICAST` and so on.
    pub kind: u8,
    /// Where it leads.
    pub hops: Vec<Hop>,
}

/// The kernel as it was when it was dumped.
#[derive(Clone, Debug, Default)]
pub struct View {
    others: HashMap<Prefix, Vec<Other>>,
    /// The lengths that occur in `others`, longest first.
    lengths: PerFamily<Vec<u8>>,
    links: BTreeMap<u32, Link>,
    /// The destinations of the plugin's routes to pods, ordered.
    hosts: Vec<Prefix>,
    addresses: Vec<LocalAddress>,
    passing: Vec<IpAddr>,
    local: HashSet<IpAddr>,
}

/// A view in the making: routes are sorted as they are read, so that a large table is there once.
#[derive(Debug, Default)]
pub struct Sorter {
    ownership: Ownership,
    own: OwnRoutes,
    others: HashMap<Prefix, Vec<Other>>,
    hosts: Vec<Prefix>,
    interned: HashSet<Arc<[Leg]>>,
}

impl Sorter {
    /// One that tells our routes from those of others.
    #[must_use]
    pub fn new(ownership: Ownership) -> Self {
        Self { ownership, ..Self::default() }
    }

    /// Takes a route.
    pub fn take(&mut self, route: KernelRoute) {
        if self.ownership.holds(&route) {
            let key = Key { table: route.table, prefix: route.prefix, metric: route.metric };
            let own_route = own_route(&route, &mut self.interned);
            match self.own.entry(key) {
                Entry::Vacant(entry) => drop(entry.insert(own_route)),
                Entry::Occupied(mut entry) if key.family() == Family::Ipv6 => {
                    join(entry.get_mut(), own_route);
                }
                Entry::Occupied(mut entry) => drop(entry.insert(own_route)),
            }
        } else if route.table == MAIN_TABLE && route.tos == 0 && route.flags & CLONED == 0 {
            if route.protocol == POD_ROUTE_PROTOCOL
                && route.kind == libc::RTN_UNICAST
                && route.prefix.is_host()
            {
                self.hosts.push(route.prefix);
            }
            let other = Other { metric: route.metric, kind: route.kind, hops: route.hops };
            self.others.entry(route.prefix).or_default().push(other);
        }
    }

    /// Forgets the routes of one table: they are read anew.
    pub fn forget(&mut self, family: Family, table: u32) {
        self.own.retain(|key, _| key.table != table || key.family() != family);
        if table == MAIN_TABLE {
            self.others.retain(|prefix, _| prefix.family() != family);
            self.hosts.retain(|prefix| prefix.family() != family);
        }
    }

    /// The view with these links and addresses, and our own routes.
    #[must_use]
    pub fn finish(self, links: Vec<Link>, addresses: &[InterfaceAddress]) -> (View, OwnRoutes) {
        let mut view = View { others: self.others, hosts: self.hosts, ..View::default() };
        view.replace_interfaces(links, addresses);
        view.hosts.sort();
        view.hosts.dedup();
        let mut lengths = PerFamily::<BTreeSet<u8>>::default();
        for (prefix, routes) in &mut view.others {
            routes.sort_by_key(|route| route.metric);
            lengths[prefix.family()].insert(prefix.len());
        }
        for family in Family::ALL {
            view.lengths[family] = lengths[family].iter().rev().copied().collect();
        }
        (view, self.own)
    }
}

impl View {
    /// Sorts a dump: the view, and our own routes.
    #[must_use]
    pub fn new(
        links: Vec<Link>,
        addresses: &[InterfaceAddress],
        routes: Vec<KernelRoute>,
        ownership: &Ownership,
    ) -> (Self, OwnRoutes) {
        let mut sorter = Sorter::new(ownership.clone());
        routes.into_iter().for_each(|route| sorter.take(route));
        sorter.finish(links, addresses)
    }

    /// Takes links and addresses as they are; routes stay as they were, and those over a link that is down do not
    /// count any more.
    pub fn replace_interfaces(&mut self, links: Vec<Link>, addresses: &[InterfaceAddress]) {
        self.links = links.into_iter().map(|link| (link.ifindex, link)).collect();
        self.local = addresses.iter().map(|address| address.address).collect();
        self.addresses = self.usable(addresses);
        // RFC 8981 and RFC 4862 §5.5.4: their end is set.
        let passes = |address: &&InterfaceAddress| {
            address.address.is_ipv6() && address.flags & (libc::IFA_F_TEMPORARY | libc::IFA_F_DEPRECATED) != 0
        };
        self.passing = addresses.iter().filter(passes).map(|address| address.address).collect();
        self.passing.sort();
    }

    /// The addresses that may be used, ordered.
    fn usable(&self, addresses: &[InterfaceAddress]) -> Vec<LocalAddress> {
        const UNFIT: u32 =
            libc::IFA_F_TEMPORARY | libc::IFA_F_DEPRECATED | libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
        let usable =
            addresses.iter().filter(|address| address.address.is_ipv4() || address.flags & UNFIT == 0);
        let mut usable: Vec<_> = usable
            .filter_map(|address| {
                let link = self.links.get(&address.ifindex)?;
                Some(LocalAddress {
                    ifindex: address.ifindex,
                    name: link.name.clone(),
                    address: address.address,
                    prefix_len: address.prefix_len,
                    up: link.up,
                })
            })
            .collect();
        usable.sort();
        usable
    }

    /// The node's addresses that may be used, ordered by interface and address.
    #[must_use]
    pub fn addresses(&self) -> &[LocalAddress] {
        &self.addresses
    }

    /// The node's temporary and deprecated IPv6 addresses, ordered.
    #[must_use]
    pub fn passing(&self) -> &[IpAddr] {
        &self.passing
    }

    /// Whether an address is the node's own and may be named as a source.
    #[must_use]
    pub fn has_source(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|local| local.address == address)
    }

    /// Whether an address is the node's own, fit for use or not.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.local.contains(&address)
    }

    /// The routes of others to the longest prefix that holds the address, best metric first.
    #[must_use]
    pub fn longest_match(&self, address: IpAddr) -> Option<(Prefix, &[Other])> {
        self.lengths[Family::of(address)].iter().find_map(|len| {
            let prefix = Prefix::new(address, *len)?;
            Some((prefix, self.others.get(&prefix)?.as_slice()))
        })
    }

    /// The gateways of others' default routes, of each family those of the least metric that packets can leave by.
    #[must_use]
    pub fn gateways(&self) -> Vec<IpAddr> {
        let mut gateways = Vec::new();
        let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        for prefix in all.into_iter().filter_map(|address| Prefix::new(address, 0)) {
            let routes = self.others.get(&prefix).into_iter().flatten();
            let mut routes = routes.filter(|route| route.kind == libc::RTN_UNICAST);
            let usable = |route: &Other| -> Vec<IpAddr> {
                route.hops.iter().filter(|hop| self.is_usable(hop)).filter_map(|hop| hop.gateway).collect()
            };
            // Several routes of one metric are how IPv6 has several gateways (RFC 4191 §3.2).
            let mut best = None;
            for route in routes.by_ref() {
                let found = usable(route);
                if found.is_empty() {
                    continue;
                }
                if best.is_some_and(|metric| metric != route.metric) {
                    break;
                }
                best = Some(route.metric);
                gateways.extend(found);
            }
        }
        gateways.sort();
        gateways.dedup();
        gateways
    }

    /// The destinations of the plugin's routes to pods, ordered.
    #[must_use]
    pub fn hosts(&self) -> &[Prefix] {
        &self.hosts
    }

    /// The smallest MTU of the interfaces by which packets leave the node: those of others' default routes, and
    /// `more`.
    #[must_use]
    pub fn uplink_mtu(&self, more: impl Iterator<Item = u32>) -> Option<u32> {
        let defaults = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        let defaults = defaults.into_iter().filter_map(|address| self.others.get(&Prefix::new(address, 0)?));
        let hops = defaults.flatten().flat_map(|route| route.hops.iter().map(|hop| hop.ifindex));
        let links = hops.chain(more).filter_map(|ifindex| self.links.get(&ifindex));
        links.filter(|link| !link.loopback && !is_pod_link(&link.name)).map(|link| link.mtu).min()
    }

    /// Whether a link is up and has a carrier.
    #[must_use]
    pub fn is_up(&self, ifindex: u32) -> bool {
        self.links.get(&ifindex).is_some_and(|link| link.up)
    }

    /// Whether packets can leave by this hop: it is alive, its link up and with a carrier.
    #[must_use]
    pub fn is_usable(&self, hop: &Hop) -> bool {
        hop.flags & (DEAD | LINKDOWN) == 0 && self.is_up(hop.ifindex)
    }
}

/// Whether a hop's gateway is a neighbour by decree.
#[must_use]
pub const fn is_onlink(hop: &Hop) -> bool {
    hop.flags & ONLINK != 0
}

fn own_route(route: &KernelRoute, interned: &mut HashSet<Arc<[Leg]>>) -> Route {
    let target = match (route.kind, route.object) {
        (libc::RTN_UNREACHABLE, None) => Target::Unreachable,
        (libc::RTN_UNICAST, Some(id)) => Target::Object(id),
        (libc::RTN_UNICAST, None) if !route.hops.is_empty() => {
            let mut legs: Vec<_> = route
                .hops
                .iter()
                .map(|hop| Leg { gateway: hop.gateway, ifindex: hop.ifindex, onlink: is_onlink(hop) })
                .collect();
            legs.sort_unstable();
            legs.dedup();
            Target::Via(intern(legs, interned))
        }
        _ => Target::Foreign,
    };
    Route { protocol: route.protocol, target, source: route.source }
}

/// To IPv6 legs and next-hop objects are routes of their own.
fn join(route: &mut Route, other: Route) {
    match (route.target.ways(), other.target.ways()) {
        (Some(one), Some(two)) if !two.1.is_empty() || !one.1.is_empty() => {
            route.target = Target::of_ways([one.0, two.0].concat(), [one.1, two.1].concat());
        }
        _ => *route = other,
    }
}

/// Thousands of routes share a few lists of legs.
fn intern(legs: Vec<Leg>, interned: &mut HashSet<Arc<[Leg]>>) -> Arc<[Leg]> {
    if let Some(known) = interned.get(legs.as_slice()) {
        return Arc::clone(known);
    }
    let legs: Arc<[Leg]> = legs.into();
    interned.insert(Arc::clone(&legs));
    legs
}
