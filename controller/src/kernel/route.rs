//! Routes as the kernel keys and compares them. Only routes with TOS 0 are ever ours.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::prefix::{Family, Prefix};

/// What the kernel keys a route by, apart from the TOS: a second one with the same key is refused, or takes the
/// place of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The routing table.
    pub table: u32,
    /// The destination.
    pub prefix: Prefix,
    /// The metric.
    pub metric: u32,
}

impl Key {
    /// The destination's family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.prefix.family()
    }
}

/// One way out: an interface, and the neighbour on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// The neighbour; `None` on a link where the destination itself is one.
    pub gateway: Option<IpAddr>,
    /// The interface's index.
    pub ifindex: u32,
    /// Whether the gateway is taken as a neighbour although no subnet of the interface holds it.
    pub onlink: bool,
}

/// What happens to a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// It goes out by one of the legs: at least one, ordered, each once.
    Via(Arc<[Leg]>),
    /// It is answered by "destination unreachable".
    Unreachable,
    /// Something that this driver never writes.
    Foreign,
}

/// A route without its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The routing protocol number: its owner.
    pub protocol: u8,
    /// Where it leads.
    pub target: Target,
    /// The preferred source address.
    pub source: Option<IpAddr>,
}
