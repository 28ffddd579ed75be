//! What must hold over the whole network once it is at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::io::State;
use bgp::prefix::{Family, Prefix};
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::view::{Explanation, KernelView, PathSource, PathView, PeerView, RouteFilter, RouteView, SentPath};
use bgp::wire::attribute::PathAttributes;

use super::network::{Network, address};
use super::watch::Violation;
use crate::explain::book::{self, Kernel, Neighbor, Route, Sender};

/// What each router says of itself.
struct Picture<'a> {
    network: &'a Network,
    peers: Vec<Vec<PeerView>>,
    stories: Vec<BTreeMap<Prefix, Explanation>>,
    /// Prefixes that a kernel refused: their routes stop there.
    refused: &'a BTreeSet<Prefix>,
}

/// Paths in an order that says nothing.
fn sorted(sent: Result<Vec<PathAttributes>, Reason>) -> Result<Vec<PathAttributes>, Reason> {
    sent.map(|mut sent| {
        sent.sort();
        sent
    })
}

type Verdict = Result<(), Violation>;

fn ensure(holds: bool, invariant: &'static str, text: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { invariant, text: text() }) }
}

/// Looks at everything, or at some prefixes in a large network.
pub(super) fn at_rest(network: &mut Network, refused: &BTreeSet<Prefix>, some: Option<usize>) -> Verdict {
    let mut prefixes: BTreeSet<Prefix> =
        (0..network.routers.len()).flat_map(|router| network.prefixes(router, RouteFilter::All)).collect();
    if let Some(some) = some.filter(|_| !prefixes.is_empty()) {
        let all: Vec<Prefix> = prefixes.iter().copied().collect();
        prefixes = (0..some).map(|_| network.chance.pick(&all)).collect();
    }
    let stories = network
        .routers
        .iter()
        .map(|router| prefixes.iter().map(|&prefix| (prefix, router.speaker.explain(prefix))).collect());
    let picture = Picture {
        stories: stories.collect(),
        peers: network.routers.iter().map(|router| router.speaker.peers()).collect(),
        network,
        refused,
    };
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let verdict = picture.look(&mut |invariant| *counts.entry(invariant).or_default() += 1);
    for (invariant, count) in counts {
        *network.checked.0.entry(invariant).or_default() += count;
    }
    verdict
}

impl Picture<'_> {
    fn look(&self, count: &mut impl FnMut(&'static str)) -> Verdict {
        for router in 0..self.network.routers.len() {
            self.sessions(router, count)?;
            self.connections(router, count)?;
            for prefix in self.stories[router].keys() {
                self.settled(router, *prefix, count)?;
                self.by_the_book(router, *prefix, count)?;
                self.kernel(router, *prefix, count)?;
            }
            self.agreement(router, count)?;
        }
        count("one-connection-a-session");
        let (open, held) = (self.network.ends.connections(), self.peers.iter().map(Vec::len).sum::<usize>());
        ensure(open * 2 == held, "one-connection-a-session", || {
            format!("{held} ends of sessions, and {open} connections")
        })?;
        for prefix in self.stories.first().into_iter().flat_map(BTreeMap::keys) {
            self.forwarding(*prefix, count)?;
        }
        Ok(())
    }

    fn route(&self, router: usize, prefix: Prefix) -> Option<&RouteView> {
        self.stories[router].get(&prefix)?.route.as_ref()
    }

    /// The other router of a peer, and how that one sees this one.
    fn other(&self, router: usize, view: &PeerView) -> Option<(usize, &PeerView)> {
        let other = self.network.router_of(view.address)?;
        let own = super::network::address(router);
        Some((other, self.peers[other].iter().find(|back| back.address == own)?))
    }

    /// Each session is Established on both sides, and each side has told all that it had.
    fn sessions(&self, router: usize, count: &mut impl FnMut(&'static str)) -> Verdict {
        for view in &self.peers[router] {
            count("sessions-established");
            ensure(view.state == State::Established, "sessions-established", || {
                format!("router {router}, {}: {:?}, {:?}", view.name, view.state, view.down)
            })?;
            for family in Family::ALL {
                count("end-of-rib");
                ensure(view.end_of_rib[family] == view.families[family], "end-of-rib", || {
                    format!("router {router} knows of no {family} End-of-RIB of {}", view.name)
                })?;
            }
        }
        Ok(())
    }

    /// One connection a session, and none that nobody owns.
    fn connections(&self, router: usize, count: &mut impl FnMut(&'static str)) -> Verdict {
        count("one-connection-a-session");
        let held = self.network.routers[router].conns.len();
        let sessions = self.peers[router].len();
        ensure(held == sessions, "one-connection-a-session", || {
            format!("router {router} has {sessions} sessions and {held} connections")
        })
    }

    /// AdjRibOut(A→B) = AdjRibIn(B←A), attribute by attribute.
    fn agreement(&self, router: usize, count: &mut impl FnMut(&'static str)) -> Verdict {
        for view in &self.peers[router] {
            let Some((other, _)) = self.other(router, view) else { continue };
            for (prefix, story) in &self.stories[router] {
                count("sent-is-received");
                let sent = story.sent.iter().find(|sent| sent.address == view.address);
                let sent = sent.and_then(|sent| sent.sent.as_ref().ok()).into_iter().flatten();
                let mut sent: Vec<_> = sent.map(|sent| (sent.path_id, &sent.attributes)).collect();
                sent.sort();
                let from = super::network::address(router);
                let is_ours = |path: &&PathView| matches!(path.source, PathSource::Peer { address, .. } if address == from);
                let route = self.route(other, *prefix);
                let received = route.into_iter().flat_map(|route| &route.paths).filter(is_ours);
                let mut received: Vec<_> = received.map(|path| (path.path_id, &path.attributes)).collect();
                received.sort();
                ensure(sent == received, "sent-is-received", || {
                    format!("{prefix} from {router} to {other}: sent {sent:?}, received {received:?}")
                })?;
            }
            let Some((_, back)) = self.other(router, view) else { continue };
            for family in Family::ALL {
                count("counts-agree");
                let (sent, received) = (view.counts[family].sent, back.counts[family].received);
                ensure(sent == received, "counts-agree", || {
                    format!("{family} from {router} to {other}: {sent} sent, {received} received")
                })?;
            }
        }
        Ok(())
    }

    /// Nothing is pending, and each path has a verdict.
    fn settled(&self, router: usize, prefix: Prefix, count: &mut impl FnMut(&'static str)) -> Verdict {
        let Some(route) = self.route(router, prefix) else { return Ok(()) };
        count("verdict-of-each-path");
        let pending = route.paths.iter().any(|path| path.verdict == Reason::Pending);
        ensure(!pending && route.kernel != KernelView::Pending, "verdict-of-each-path", || {
            format!("router {router}: {route:?}")
        })?;
        // Every session is up, and has told all.
        count("nothing-stale");
        ensure(route.paths.iter().all(|path| path.stale.is_none()), "nothing-stale", || {
            format!("router {router}: {route:?}")
        })
    }

    /// Verdicts and advertisements are what the RFCs say of what was received.
    fn by_the_book(&self, router: usize, prefix: Prefix, count: &mut impl FnMut(&'static str)) -> Verdict {
        let own = &self.network.routers[router].config;
        let story = &self.stories[router][&prefix];
        let paths = story.route.as_ref().map_or(&[][..], |route| &route.paths);
        let neighbor = |address: IpAddr| {
            let config = own.peers.iter().find(|peer| peer.address == address)?;
            let at = self.network.router_of(address)?;
            let other = &self.network.routers[at].config;
            let back = other.peers.iter().find(|back| back.address == self::address(router));
            let extended_next_hop =
                config.extended_next_hop && back.is_some_and(|back| back.extended_next_hop);
            let takes_long_lived = self.network.takes_long_lived(at, router);
            let (asn, router_id) = (other.asn, other.router_id);
            Some(Neighbor { config, asn, router_id, extended_next_hop, takes_long_lived })
        };
        let routes: Vec<Route<'_>> = paths
            .iter()
            .map(|path| {
                let from = match &path.source {
                    PathSource::Local => None,
                    PathSource::Peer { address, .. } => neighbor(*address),
                };
                let metric = match from {
                    None => Some(0),
                    Some(_) => self.network.metric(router, path.attributes.next_hop.address()),
                };
                let origin = if from.is_some() { RouteOrigin::Learned } else { RouteOrigin::Static };
                let sender = Sender::Here;
                Route { from, origin, received: path.attributes.clone(), metric, id: path.path_id, sender }
            })
            .collect();
        let verdicts = book::decide(own, prefix, &routes);
        for (path, verdict) in paths.iter().zip(&verdicts) {
            count("decision-by-the-book");
            ensure(path.verdict == *verdict, "decision-by-the-book", || {
                format!("router {router}, {prefix}: {verdict} by the book, and {path:?}")
            })?;
        }
        if self.refused.contains(&prefix) {
            return Ok(());
        }
        for sent in &story.sent {
            let Some(to) = neighbor(sent.address) else { continue };
            let carried = self.peers[router].iter().find(|view| view.address == sent.address);
            if carried.is_none_or(|view| !view.families[prefix.family()]) {
                continue;
            }
            count("export-by-the-book");
            let several = self.network.several(router, sent.address);
            let expected = sorted(book::sent(own, to, prefix, &routes, several, Kernel::Installs));
            let paths = |sent: &Vec<SentPath>| sent.iter().map(|path| path.attributes.clone()).collect();
            let said = sorted(sent.sent.as_ref().map(paths).map_err(|refusal| refusal.reason));
            ensure(said == expected, "export-by-the-book", || {
                format!("router {router}, {prefix} to {}: {expected:?} by the book, and {said:?}", sent.name)
            })?;
        }
        Ok(())
    }

    /// The kernel holds what was selected.
    fn kernel(&self, router: usize, prefix: Prefix, count: &mut impl FnMut(&'static str)) -> Verdict {
        if self.refused.contains(&prefix) {
            return Ok(());
        }
        count("kernel-holds-the-selected");
        let route = self.route(router, prefix);
        let selected = route.map(|route| route.next_hops.as_slice()).unwrap_or_default();
        let selected: Vec<IpAddr> = selected.iter().map(|hop| hop.address).collect();
        let held = self.network.routers[router].forwarded(prefix).unwrap_or_default();
        let kernel = route.map_or(KernelView::NotRequested, |route| route.kernel);
        let expected = if selected.is_empty() { KernelView::NotRequested } else { KernelView::Installed };
        ensure(selected == held && kernel == expected, "kernel-holds-the-selected", || {
            format!("router {router}, {prefix}: selected {selected:?}, held {held:?}, said {kernel:?}")
        })
    }

    /// A packet for the first address of a prefix goes round in no circle, and
    /// ends where an own prefix covers it.
    fn forwarding(&self, prefix: Prefix, count: &mut impl FnMut(&'static str)) -> Verdict {
        if self.refused.iter().any(|refused| refused.covers(prefix.address())) {
            return Ok(());
        }
        let address = prefix.address();
        let mut safe = BTreeSet::new();
        for start in 0..self.network.routers.len() {
            count("no-forwarding-loop");
            self.follow(start, address, &mut Vec::new(), &mut safe)?;
        }
        Ok(())
    }

    fn follow(&self, at: usize, to: IpAddr, way: &mut Vec<usize>, safe: &mut BTreeSet<usize>) -> Verdict {
        let is_circle = way.contains(&at);
        ensure(!is_circle, "no-forwarding-loop", || format!("{to} from {:?} to {at} again", *way))?;
        if safe.contains(&at) {
            return Ok(());
        }
        let router = &self.network.routers[at];
        let own = router.config.origins.iter().map(|origin| origin.prefix);
        let own = own.filter(|own| own.covers(to)).map(Prefix::len).max();
        let longest = router.longest_match(to);
        let longest = longest.filter(|held| own.is_none_or(|own| own < held.len()));
        if let Some(held) = longest {
            way.push(at);
            for member in router.members(held).unwrap_or_default() {
                let next = self.network.router_of(member.address).unwrap_or(at);
                self.follow(next, to, way, safe)?;
            }
            way.pop();
        } else {
            ensure(own.is_some() || way.is_empty(), "no-forwarding-loop", || {
                format!("{to} comes from {:?} to {at}, which has no route", *way)
            })?;
        }
        safe.insert(at);
        Ok(())
    }
}
