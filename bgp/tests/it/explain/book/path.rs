//! A path, and who sent it.

use bgp::config::PeerConfig;
use bgp::id::{Asn, PathId, RouterId};
use bgp::rule::RouteOrigin;
use bgp::wire::attribute::PathAttributes;

/// A peer with which the session is Established.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbor<'a> {
    pub(crate) config: &'a PeerConfig,
    pub(crate) asn: Asn,
    pub(crate) router_id: RouterId,
    /// Whether both said that they take IPv6 next hops of IPv4 (RFC 8950).
    pub(crate) extended_next_hop: bool,
    /// Whether it has offered to take long-lived stale routes (RFC 9494).
    pub(crate) takes_long_lived: bool,
}

/// Whether who sent a path is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sender {
    /// It is there.
    #[default]
    Here,
    /// It restarts (RFC 4724).
    Restarts,
    /// It is away for longer than its restart time (RFC 9494).
    LongAway,
}

/// What the kernel says of a route that it is asked to install.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// That it has it.
    #[default]
    Installs,
    /// Nothing yet.
    IsSilent,
    /// That it does not take it.
    Refuses,
}

/// The house's rule: so many paths of a prefix are kept of one peer (RFC 7911 names no limit).
pub(crate) const MOST_PATHS: usize = 64;

/// A path of one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Route<'a> {
    /// Who sent it; `None` for an own origination.
    pub(crate) from: Option<Neighbor<'a>>,
    /// Where it comes from, as rules call it.
    pub(crate) origin: RouteOrigin,
    /// As it was received.
    pub(crate) received: PathAttributes,
    /// The metric of its next hop; `None` where that does not resolve.
    pub(crate) metric: Option<u32>,
    /// What its sender calls it (RFC 7911).
    pub(crate) id: Option<PathId>,
    /// Whether the sender is there.
    pub(crate) sender: Sender,
}
