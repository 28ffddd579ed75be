//! What the speaker says of a prefix, held against what the book says: once all is done, and
//! between the arrival of a path and the decision on it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::id::PathId;
use bgp::io::NextHop;
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::view::{PathSource, PathView, SentView};
use bgp::wire::attribute::PathAttributes;
use bgp::wire::community::Community;

use super::book::{self, Neighbor, Route, Sender};
use super::desk::{Desk, address};
use super::draw::{PODS, SERVICE, Scene, prefix};

/// Whose a path is, and what it is called there.
pub(super) type Key = (Option<IpAddr>, Option<PathId>);

/// What a peer is sent, or the word for why not.
type Sent = Result<Vec<PathAttributes>, Reason>;

/// What the speaker says of one prefix.
#[derive(Debug, Default)]
pub(super) struct Said {
    verdicts: BTreeMap<Key, Reason>,
    sent: BTreeMap<IpAddr, Sent>,
}

/// Who has the book open.
pub(super) struct Witness<'s> {
    pub(super) scene: &'s Scene,
    /// Whether the callers that do not stay have hung up.
    pub(super) hung_up: bool,
    /// The words that were met.
    pub(super) words: BTreeSet<Reason>,
}

fn key(path: &PathView) -> Key {
    let from = match path.source {
        PathSource::Peer { address, .. } => Some(address),
        PathSource::Local => None,
    };
    (from, path.path_id)
}

/// What is sent, in an order of its own.
fn sent_of(view: &SentView) -> Sent {
    let sorted = |mut paths: Vec<PathAttributes>| {
        paths.sort();
        paths
    };
    let sent = view.sent.as_ref().map_err(|refusal| refusal.reason)?;
    Ok(sorted(sent.iter().map(|path| path.attributes.clone()).collect()))
}

impl<'s> Witness<'s> {
    fn caller(&self, at: IpAddr) -> Option<usize> {
        (0..self.scene.callers.len()).find(|n| at == address(*n))
    }

    fn sender(&self, at: IpAddr) -> Sender {
        let sender = self.caller(at).map(|n| self.scene.callers[n].sender);
        sender.filter(|_| self.hung_up).unwrap_or_default()
    }

    fn neighbor(&self, at: IpAddr) -> Option<Neighbor<'s>> {
        let n = self.caller(at)?;
        let (config, caller) = (&self.scene.config.peers[n], self.scene.callers[n]);
        Some(Neighbor {
            config,
            asn: caller.asn,
            router_id: caller.router_id,
            extended_next_hop: caller.extended && config.extended_next_hop,
            takes_long_lived: caller.takes_long_lived,
        })
    }

    /// The paths as the book takes them.
    fn routes(&self, desk: &Desk, text: &str, paths: &[PathView]) -> Vec<Route<'s>> {
        let route = |path: &PathView| {
            let from = key(path).0;
            let from_peer = from.and_then(|from| self.neighbor(from));
            let via_default = from_peer.is_some_and(|from| from.config.via_default);
            let next_hop = NextHop { address: path.attributes.next_hop.address(), via_default };
            Route {
                from: from_peer,
                origin: match from {
                    Some(_) => RouteOrigin::Learned,
                    None if text == PODS => RouteOrigin::PodCidr,
                    None if text == SERVICE => RouteOrigin::Service,
                    None => RouteOrigin::Static,
                },
                received: path.attributes.clone(),
                metric: if from.is_none() { Some(0) } else { desk.metric(next_hop) },
                id: path.path_id,
                sender: from.map_or(Sender::Here, |from| self.sender(from)),
            }
        };
        paths.iter().map(route).collect()
    }

    /// How many paths of a prefix the peer is sent; `None` where it is one without identifier.
    fn several(&self, to: IpAddr) -> Option<u8> {
        let n = self.caller(to)?;
        let most = self.scene.config.peers[n].add_path.send;
        (self.scene.callers[n].several && most > 0).then_some(most)
    }

    /// What the book has a peer sent.
    fn sent_by_the_book(&self, text: &str, routes: &[Route<'_>], to: IpAddr) -> Sent {
        // RFC 4271 §9.2 sends to peers; RFC 4760 §8 what both speakers of a session offered.
        let here = self.neighbor(to).filter(|_| self.sender(to) == Sender::Here);
        let neighbor = here.ok_or(Reason::SessionDown)?;
        if !neighbor.config.families[prefix(text).family()] {
            return Err(Reason::FamilyNotNegotiated);
        }
        let kernel = self.scene.kernel[&prefix(text)];
        let sent = book::sent(&self.scene.config, neighbor, prefix(text), routes, self.several(to), kernel);
        sent.map(|mut paths| {
            paths.sort();
            paths
        })
    }

    /// Looks at a prefix when nothing is left to do: every word is the book's.
    pub(super) fn when_done(&mut self, desk: &Desk, text: &str) -> Result<Said, String> {
        let story = desk.speaker.explain(prefix(text));
        let paths = story.route.map_or_else(Vec::new, |route| route.paths);
        let routes = self.routes(desk, text, &paths);
        // RFC 9494 §4.2: "any routes with the NO_LLGR community … MUST NOT be retained".
        if let Some(kept) = routes.iter().find(|route| {
            let used = book::used(&self.scene.config, prefix(text), route);
            let used = used.unwrap_or_else(|_| route.received.clone());
            route.sender == Sender::LongAway && used.communities.contains(&Community::NO_LLGR)
        }) {
            return Err(format!("{text}: kept for long is {kept:#?}"));
        }
        let mut said = Said::default();
        for (path, expected) in paths.iter().zip(book::decide(&self.scene.config, prefix(text), &routes)) {
            self.words.insert(expected);
            if !path.verdict.rfc().is_none_or(|rfc| path.detail.contains(&format!("({rfc})"))) {
                return Err(format!("{text}: no section in {path:#?}"));
            }
            if path.verdict != expected {
                return Err(format!("{text}: {expected} by the book, and {path:#?}"));
            }
            said.verdicts.insert(key(path), path.verdict);
        }
        for view in &story.sent {
            let (expected, is) = (self.sent_by_the_book(text, &routes, view.address), sent_of(view));
            self.words.extend(expected.as_ref().err());
            if is != expected {
                return Err(format!("{text} to {}: {expected:#?} by the book, and {is:#?}", view.name));
            }
            let several = self.several(view.address);
            let ids = view.sent.iter().flatten().map(|path| path.path_id);
            let ids: BTreeSet<_> = ids.filter(|id| id.is_some() == several.is_some()).collect();
            if view.sent.as_ref().is_ok_and(|sent| sent.len() != ids.len()) {
                return Err(format!("{text} to {}: Path Identifiers {ids:?}", view.name));
            }
            if let Err(refusal) = &view.sent
                && !refusal.reason.rfc().is_none_or(|rfc| refusal.detail.contains(&format!("({rfc})")))
            {
                return Err(format!("{text} to {}: no section in {refusal:?}", view.name));
            }
            said.sent.insert(view.address, is);
        }
        Ok(said)
    }

    /// Looks at a prefix of which something has just come, the path `came` or the end of one, while `before` was
    /// said. Either every word is the book's already; or the decision has yet to run, and then the path
    /// that came is pending, every other one has the verdict that is in force, and a peer is sent what it was,
    /// or nothing because of that.
    pub(super) fn when_one_came(
        &mut self,
        desk: &Desk,
        text: &str,
        came: Key,
        before: &Said,
    ) -> Result<Said, String> {
        let story = desk.speaker.explain(prefix(text));
        let paths = story.route.map_or_else(Vec::new, |route| route.paths);
        let routes = self.routes(desk, text, &paths);
        let by_the_book = book::decide(&self.scene.config, prefix(text), &routes);
        let is_decided = paths.iter().zip(&by_the_book).all(|(path, expected)| path.verdict == *expected);
        let mut said = Said::default();
        for (path, expected) in paths.iter().zip(&by_the_book) {
            let refused = book::used(
                &self.scene.config,
                prefix(text),
                &self.routes(desk, text, std::slice::from_ref(path))[0],
            );
            let in_force = match (refused, key(path) == came) {
                (Err(reason), _) => Some(reason),
                (Ok(_), true) => Some(Reason::Pending),
                (Ok(_), false) => before.verdicts.get(&key(path)).copied(),
            };
            if !is_decided && Some(path.verdict) != in_force {
                return Err(format!(
                    "{text}: {in_force:?} until {expected} is decided after {came:?}, and {path:#?}"
                ));
            }
            self.words.insert(path.verdict);
            said.verdicts.insert(key(path), path.verdict);
        }
        for view in &story.sent {
            let (expected, is) = (self.sent_by_the_book(text, &routes, view.address), sent_of(view));
            // Where several are sent and the best one may not be, the word is still on that one.
            let may_stand = is.is_ok() || (expected.is_ok() && self.several(view.address).is_some());
            let stands = may_stand && before.sent.get(&view.address) == Some(&is);
            let waits = !matches!(expected, Err(Reason::SessionDown | Reason::FamilyNotNegotiated))
                && is == Err(Reason::Pending);
            if is != expected && !stands && !waits {
                let was = before.sent.get(&view.address);
                return Err(format!(
                    "{text} to {} after {came:?}: {expected:#?} by the book, {was:#?} before, and {is:#?}",
                    view.name
                ));
            }
            said.sent.insert(view.address, is);
        }
        Ok(said)
    }
}
