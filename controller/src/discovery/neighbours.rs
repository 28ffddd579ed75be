//! The neighbour on each link: one, as long as it is there; pure.
//!
//! A neighbour that was heard once stays: a router need not advertise itself more often
//! than every half an hour (RFC 4861 §6.2.1), and whether it lives BGP finds out. Another
//! router takes its place when the first has no session and was not heard for a minute,
//! or when the link was down in between.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::time::{Duration, Instant};
use bgp::zone::{self, Zone};

/// How long a neighbour without session has to be silent before another router takes its place.
const SILENT: Duration = Duration::from_mins(1);

/// Routers of one link that are named and ignored; of more nothing is said.
const NAMED: usize = 8;

/// What an advertisement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The link has a neighbour that was not known.
    Neighbour,
    /// Nothing new.
    Known,
    /// A second router, told of for the first time; the first one, which stays.
    Second(IpAddr),
}

#[derive(Debug)]
struct Neighbour {
    address: IpAddr,
    /// When it was last heard; `None` since the link went down.
    heard_at: Option<Instant>,
    /// The others on the link that were told of.
    named: Vec<IpAddr>,
}

/// The neighbours by link.
#[derive(Debug, Default)]
pub struct Neighbours {
    links: BTreeMap<Zone, Neighbour>,
}

impl Neighbours {
    /// A router, with its zone, has shown that it is there. `is_up` tells of an address whether
    /// there is a session with it.
    pub fn hear(&mut self, address: IpAddr, is_up: impl FnOnce(IpAddr) -> bool, now: Instant) -> Finding {
        let Some(zone) = zone::of(address) else { return Finding::Known };
        let new = Neighbour { address, heard_at: Some(now), named: Vec::new() };
        let Some(held) = self.links.get_mut(&zone) else {
            self.links.insert(zone, new);
            return Finding::Neighbour;
        };
        if held.address == address {
            held.heard_at = Some(now);
            return Finding::Known;
        }
        let silent = held.heard_at.is_none_or(|at| now.since(at) >= SILENT);
        if silent && !is_up(held.address) {
            *held = new;
            return Finding::Neighbour;
        }
        if held.named.contains(&address) || held.named.len() >= NAMED {
            return Finding::Known;
        }
        held.named.push(address);
        Finding::Second(held.address)
    }

    /// The link went down: whoever is heard first behind it is the neighbour.
    pub fn lose(&mut self, zone: Zone) {
        if let Some(held) = self.links.get_mut(&zone) {
            held.heard_at = None;
            held.named.clear();
        }
    }

    /// The neighbours, ordered by link.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.links.values().map(|held| held.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(text: &str, link: u32) -> IpAddr {
        zone::within(text.parse().unwrap(), Zone::new(link).unwrap()).unwrap().into()
    }

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_router_is_the_neighbour_while_it_is_there() {
        let (first, second) = (router("fe80::1", 3), router("fe80::2", 3));
        let mut neighbours = Neighbours::default();
        let mut hear = |address, up, seconds| neighbours.hear(address, |_| up, at(seconds));
        assert_eq!(hear(first, false, 0), Finding::Neighbour);
        assert_eq!(hear(first, false, 50), Finding::Known);
        // Named once.
        assert_eq!(hear(second, false, 60), Finding::Second(first));
        assert_eq!(hear(second, false, 70), Finding::Known);
        // Silent, and yet there is a session.
        assert_eq!(hear(second, true, 1_000), Finding::Known);
        assert_eq!(hear(second, false, 1_010), Finding::Neighbour);
        assert_eq!(hear(first, false, 1_020), Finding::Second(second));
        assert!(neighbours.addresses().eq([second]));
    }

    #[test]
    fn each_link_has_its_own_and_a_link_that_was_down_may_have_another() {
        let (first, second, elsewhere) = (router("fe80::1", 3), router("fe80::2", 3), router("fe80::1", 4));
        let mut neighbours = Neighbours::default();
        for address in [first, elsewhere] {
            assert_eq!(neighbours.hear(address, |_| false, at(0)), Finding::Neighbour);
        }
        neighbours.lose(Zone::new(3).unwrap());
        assert!(neighbours.addresses().eq([first, elsewhere]), "a link that is down is no other neighbour");
        assert_eq!(neighbours.hear(second, |_| true, at(1)), Finding::Second(first));
        assert_eq!(neighbours.hear(second, |_| false, at(1)), Finding::Neighbour);
        assert!(neighbours.addresses().eq([second, elsewhere]));
    }

    #[test]
    fn a_link_full_of_routers_is_told_of_in_a_few_lines() {
        let mut neighbours = Neighbours::default();
        let heard = (1..1_000).map(|n| neighbours.hear(router(&format!("fe80::{n:x}"), 3), |_| true, at(n)));
        assert_eq!(heard.filter(|finding| matches!(finding, Finding::Second(_))).count(), NAMED);
    }
}
