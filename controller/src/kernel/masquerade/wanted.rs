//! What is hidden behind the node, and from whom.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp::prefix::{PerFamily, Prefix};

/// The most learned prefixes that are left out. More of them, the whole Internet's say, would make masquerading
/// senseless, and each change of a route costly.
pub const LEARNED_MAX: usize = 16_384;

/// What is hidden behind the node, and from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masquerade {
    /// The prefixes of this node's pods: the sources.
    pub pods: BTreeSet<Prefix>,
    /// Destinations that see pods' own addresses.
    pub keep: BTreeSet<Prefix>,
    /// Learned prefixes that are such destinations too; more than [`LEARNED_MAX`] are an error.
    pub learned: BTreeSet<Prefix>,
    /// The names of interfaces with an address of their own, which packets that leave there take.
    pub addressed: PerFamily<BTreeSet<String>>,
    /// The address that packets take elsewhere; `None` leaves it to the kernel.
    pub source: PerFamily<Option<IpAddr>>,
}
