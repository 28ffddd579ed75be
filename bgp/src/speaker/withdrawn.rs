//! Prefixes whose last UPDATE was treated as a withdrawal (RFC 7606 §2): kept so
//! that their absence can be explained. At most so many a peer, the newest; what a
//! peer can make grow is bounded.

use std::collections::VecDeque;

use crate::prefix::Prefix;
use crate::wire::grade::Problem;
use crate::wire::nlri::Route;

/// The most prefixes that are kept of a peer.
const MOST: usize = 256;

/// The prefixes of one peer, the newest last, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Withdrawn(VecDeque<(Route, Problem)>);

impl Withdrawn {
    /// An UPDATE that announced the prefix was malformed.
    pub(super) fn note(&mut self, route: Route, problem: &Problem) {
        self.forget(route);
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back((route, problem.clone()));
    }

    /// The prefix was announced or withdrawn in order. Costs nothing where there is nothing.
    pub(super) fn forget(&mut self, route: Route) {
        if !self.0.is_empty() {
            self.0.retain(|(other, _)| *other != route);
        }
    }

    /// What was wrong with the last UPDATE of the prefix.
    pub(super) fn problem(&self, prefix: Prefix) -> Option<&Problem> {
        self.0.iter().rev().find(|(other, _)| other.prefix == prefix).map(|(_, problem)| problem)
    }
}
