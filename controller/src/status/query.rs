//! Questions about routes: events of the agent loop that carry the way back.
//! Each is answered in one turn out of the speaker's table; an asker that went
//! away costs nothing but that turn.

use std::net::IpAddr;

use bgp::config::PeerConfig;
use bgp::id::PeerId;
use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::view::{Explanation, RouteCursor, RouteFilter, RoutePage, RouteView};
use tokio::sync::oneshot;

use crate::desired::services::ServiceStory;

/// The most routes of one answer, so that a turn stays short.
pub const PAGE_LIMIT: usize = 1000;

/// A question.
#[derive(Debug)]
pub enum Query {
    /// A page of routes.
    Routes {
        /// Which.
        filter: RouteFilter,
        /// Where the page before ended.
        cursor: Option<RouteCursor>,
        /// The most routes to return; more than [`PAGE_LIMIT`] is taken as that.
        limit: usize,
        /// The way back.
        reply: oneshot::Sender<RoutePage>,
    },
    /// One prefix exactly.
    Route {
        /// The prefix.
        prefix: Prefix,
        /// The way back.
        reply: oneshot::Sender<Option<RouteView>>,
    },
    /// The whole story of the longest prefix that covers an address.
    Address {
        /// The address.
        address: IpAddr,
        /// The way back; of the address alone, without a route, if none covers it.
        reply: oneshot::Sender<Explanation>,
    },
    /// What a peer was asked to be.
    Peer {
        /// The peer.
        peer: PeerId,
        /// The way back.
        reply: oneshot::Sender<Option<PeerConfig>>,
    },
    /// The whole story of one prefix.
    Explain {
        /// The prefix.
        prefix: Prefix,
        /// The way back.
        reply: oneshot::Sender<Explanation>,
    },
    /// What the node makes of a Service, which the speaker knows nothing of.
    Service {
        /// Namespace and name.
        name: String,
        /// The way back.
        reply: oneshot::Sender<Option<ServiceStory>>,
    },
}

/// Answers a question out of the speaker's table, and changes nothing.
pub fn answer(speaker: &Speaker, query: Query) {
    match query {
        Query::Routes { filter, cursor, limit, reply } => {
            if !reply.is_closed() {
                drop(reply.send(speaker.routes(filter, cursor, limit.clamp(1, PAGE_LIMIT))));
            }
        }
        Query::Route { prefix, reply } => drop(reply.send(speaker.route(prefix))),
        Query::Address { address, reply } => {
            let prefix = speaker.covering(address).unwrap_or_else(|| Prefix::host(address));
            drop(reply.send(speaker.explain(prefix)));
        }
        Query::Peer { peer, reply } => drop(reply.send(speaker.peer_config(peer).cloned())),
        Query::Explain { prefix, reply } => drop(reply.send(speaker.explain(prefix))),
        Query::Service { reply, .. } => drop(reply.send(None)),
    }
}
