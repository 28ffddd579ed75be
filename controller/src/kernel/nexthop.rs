//! Resolution of BGP next hops over the routes of others (RFC 4271 §9.1.2.1); pure.
//!
//! Our own routes take no part, so that a route never resolves through itself. The longest match decides, then the
//! lowest metric that has a live way out; a default route counts only where the next hop says so. A gateway that is
//! no neighbour is resolved in turn, because the kernel refuses it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::NextHop;
use bgp::zone;

use super::message::Hop;
use super::route::Leg;
use super::view::{View, is_onlink};

/// How many gateways are followed; a chain that long is a mistake in somebody's configuration.
const DEPTH: u32 = 8;

/// What a next hop resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The metric of the route that resolves it; zero where it is a neighbour.
    pub metric: u32,
    /// The ways out, ordered, each once, at least one.
    pub legs: Arc<[Leg]>,
}

/// Resolves a next hop. Each address whose route was looked up is added to `watched`.
#[must_use]
pub fn resolve(view: &View, next_hop: NextHop, watched: &mut BTreeSet<IpAddr>) -> Option<Resolution> {
    if let (gateway, Some(link)) = zone::split(next_hop.address) {
        let leg = Leg { gateway: Some(gateway), ifindex: link.0.get(), onlink: false };
        // Connected, whatever routes there are.
        let usable = view.is_up(leg.ifindex) && !view.is_local(gateway);
        return usable.then(|| Resolution { metric: 0, legs: [leg].into() });
    }
    let mut search = Search { view, watched, legs: BTreeSet::new() };
    let metric = search.follow(next_hop.address, next_hop.via_default, DEPTH)?;
    Some(Resolution { metric, legs: search.legs.into_iter().collect() })
}

struct Search<'a> {
    view: &'a View,
    watched: &'a mut BTreeSet<IpAddr>,
    legs: BTreeSet<Leg>,
}

impl Search<'_> {
    /// Adds the ways out to an address; the metric of the route that it takes, `None` if there is no way out.
    fn follow(&mut self, address: IpAddr, via_default: bool, depth: u32) -> Option<u32> {
        self.watched.insert(address);
        // Which link a link-local address is on stands in no route, but in its zone.
        if depth == 0 || self.view.is_local(address) || is_link_local(address) {
            return None;
        }
        let (prefix, routes) = self.view.longest_match(address)?;
        if prefix.is_default() && !via_default {
            return None;
        }
        for route in routes {
            if route.kind != libc::RTN_UNICAST {
                // A route that refuses packets is an answer too.
                return None;
            }
            let usable = route.hops.iter().filter(|hop| self.view.is_usable(hop));
            let mut connected = false;
            let mut found = false;
            for hop in usable.copied().collect::<Vec<_>>() {
                match hop.gateway {
                    None => {
                        let leg = Leg { gateway: Some(address), ifindex: hop.ifindex, onlink: false };
                        self.legs.insert(leg);
                        connected = true;
                    }
                    Some(gateway) => found |= self.through(gateway, &hop, depth),
                }
            }
            if connected {
                return Some(0);
            }
            if found {
                return Some(route.metric);
            }
        }
        None
    }

    /// Adds the way through a gateway.
    fn through(&mut self, gateway: IpAddr, hop: &Hop, depth: u32) -> bool {
        if is_onlink(hop) || is_link_local(gateway) || self.is_neighbour(gateway, hop.ifindex) {
            let leg = Leg { gateway: Some(gateway), ifindex: hop.ifindex, onlink: is_onlink(hop) };
            self.watched.insert(gateway);
            self.legs.insert(leg);
            return true;
        }
        self.follow(gateway, false, depth - 1).is_some()
    }

    /// Whether the route to a gateway is a connected one of this interface.
    fn is_neighbour(&self, gateway: IpAddr, ifindex: u32) -> bool {
        self.view.longest_match(gateway).is_some_and(|(_, routes)| {
            routes.iter().any(|route| {
                route.kind == libc::RTN_UNICAST
                    && route.hops.iter().any(|hop| hop.gateway.is_none() && hop.ifindex == ifindex)
            })
        })
    }
}

const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
