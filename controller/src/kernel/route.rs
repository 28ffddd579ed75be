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
    /// It goes out as the next-hop object of this number says.
    Object(u32),
    /// To IPv6 several routes of one key, between one way and the next: legs, and one object or more, ordered.
    Mixed {
        /// The legs, ordered; may be none.
        legs: Arc<[Leg]>,
        /// The next-hop objects, ordered.
        objects: Arc<[u32]>,
    },
    /// It is answered by "destination unreachable".
    Unreachable,
    /// Something that this driver never writes.
    Foreign,
}

impl Target {
    /// The ways out: legs and next-hop objects, ordered; `None` if packets do not go out.
    #[must_use]
    pub fn ways(&self) -> Option<(&[Leg], &[u32])> {
        match self {
            Self::Via(legs) => Some((legs, &[])),
            Self::Object(id) => Some((&[], std::slice::from_ref(id))),
            Self::Mixed { legs, objects } => Some((legs, objects)),
            Self::Unreachable | Self::Foreign => None,
        }
    }

    /// The target of these ways out, in any order, at least one.
    #[must_use]
    pub fn of_ways(mut legs: Vec<Leg>, mut objects: Vec<u32>) -> Self {
        legs.sort_unstable();
        legs.dedup();
        objects.sort_unstable();
        objects.dedup();
        match (legs.is_empty(), objects.as_slice()) {
            (_, []) => Self::Via(legs.into()),
            (true, [object]) => Self::Object(*object),
            _ => Self::Mixed { legs: legs.into(), objects: objects.into() },
        }
    }
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
