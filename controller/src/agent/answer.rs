//! Answers to questions: of routes out of the speaker's table, of Services out of the configuration.

use bgp::prefix::Prefix;
use bgp::view::{Explanation, RoutePage};

use super::turn::Agent;
use crate::effect::Drivers;
use crate::status::query::{self, Query};

impl<D: Drivers> Agent<D> {
    /// Answers a question, and changes nothing.
    pub(super) fn answer(&self, question: Query) {
        match (&self.speaker, question) {
            // An asker that went away needs no answer, here as elsewhere.
            (_, Query::Service { name, reply }) => drop(reply.send(self.configuration.service(&name))),
            (Some(speaker), question) => query::answer(speaker, question),
            (None, question) => without_speaker(question),
        }
    }
}

/// There are no routes before there is a configuration.
fn without_speaker(question: Query) {
    match question {
        Query::Routes { reply, .. } => drop(reply.send(RoutePage::default())),
        Query::Route { reply, .. } => drop(reply.send(None)),
        Query::Peer { reply, .. } => drop(reply.send(None)),
        Query::Service { reply, .. } => drop(reply.send(None)),
        Query::Address { address, reply } => drop(reply.send(untold(Prefix::host(address)))),
        Query::Explain { prefix, reply } => drop(reply.send(untold(prefix))),
    }
}

/// The story of a prefix that nobody ever sent.
fn untold(prefix: Prefix) -> Explanation {
    Explanation { prefix, route: None, next_hops: Vec::new(), withdrawn: Vec::new(), sent: Vec::new() }
}
