//! Questions about routes: events of the agent loop that carry the way back.
//! Each is answered in one turn out of the speaker's table; an asker that went
//! away costs nothing but that turn.

use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::view::{Explanation, RouteCursor, RouteFilter, RoutePage, RouteView};
use tokio::sync::oneshot;

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
    /// The whole story of one prefix.
    Explain {
        /// The prefix.
        prefix: Prefix,
        /// The way back.
        reply: oneshot::Sender<Explanation>,
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
        Query::Explain { prefix, reply } => drop(reply.send(speaker.explain(prefix))),
    }
}
