//! How far a view of the kernel can be relied upon, and what the change of a route means for it; pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::netconf::POD_ROUTE_PROTOCOL;

use super::command::MAIN_TABLE;
use super::ledger::Ledger;
use super::message::KernelRoute;

/// How far the view can be relied upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    Fresh,
    /// Something changed that concerns nothing that is known so far.
    Dated,
    /// A dump is due.
    Stale,
}

/// What the change of a route that is not of our making means for the view.
pub(super) fn weigh(route: &KernelRoute, ledger: &Ledger, watched: &BTreeSet<IpAddr>) -> Age {
    let ownership = ledger.ownership();
    let main = route.table == MAIN_TABLE;
    if !main && !ownership.tables.contains(&route.table) {
        return Age::Fresh;
    }
    if ownership.holds(route) || ledger.concerns(route.prefix) {
        return Age::Stale;
    }
    if main && route.protocol == POD_ROUTE_PROTOCOL && !ledger.holds_pod(route.prefix) {
        // The address of a pod that is announced by itself.
        return Age::Stale;
    }
    if main && route.prefix.is_default() {
        // Peers may be derived from it.
        return Age::Stale;
    }
    if main && watched.iter().any(|address| route.prefix.covers(*address)) {
        return Age::Stale;
    }
    if main { Age::Dated } else { Age::Fresh }
}
