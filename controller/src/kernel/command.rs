//! The two sides of the kernel driver's door: commands go in, events come out. Both are plain data.

use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::{NextHop, RouteAck, RouteChange, SetChange, Tracking};
use bgp::prefix::{PerFamily, Prefix};

/// The kernel's main routing table.
pub const MAIN_TABLE: u32 = 254;

/// The route metric of learned routes: not 100, which is NetworkManager's.
pub const METRIC: u32 = 190;

/// The protocol number that marks routes as ours.
pub const PROTOCOL: u8 = 171;

/// The metric of `unreachable` routes: behind every other route to the same prefix.
pub const UNREACHABLE_METRIC: u32 = 0x7fff_ffff;

/// Whether learned routes name next-hop objects, which many of them share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NextHopGroups {
    /// From [`NextHopGroups::MANY`] routes on.
    #[default]
    Auto,
    /// Always, where the kernel has them.
    Always,
    /// Never.
    Never,
}

impl NextHopGroups {
    /// With so many learned routes `Auto` goes over to objects.
    pub const MANY: usize = 1000;

    /// With fewer than this `Auto` goes back, so that a table that wavers about the one number is not written again and
    /// again.
    pub const FEW: usize = 500;
}

/// What the driver is asked to be; each `Configure` replaces the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Whether routes are written at all. Without it routes that carry our protocol number are removed, and each
    /// route change is acknowledged at once.
    pub install: bool,
    /// The routing table to write to.
    pub table: u32,
    /// The metric of learned routes.
    pub metric: u32,
    /// The protocol number that marks routes as ours.
    pub protocol: u8,
    /// Prefixes to install as `unreachable`: the node's own PodCIDRs.
    pub unreachable: Vec<Prefix>,
    /// The source address that this node's own packets prefer on learned routes: its InternalIP. Left out of the
    /// routes while the node does not have the address.
    pub preferred_source: PerFamily<Option<IpAddr>>,
    /// Whether learned routes name next-hop objects.
    pub next_hop_groups: NextHopGroups,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            install: true,
            table: MAIN_TABLE,
            metric: METRIC,
            protocol: PROTOCOL,
            unreachable: Vec::new(),
            preferred_source: PerFamily::default(),
            next_hop_groups: NextHopGroups::Auto,
        }
    }
}

/// What the agent loop wants. Commands take effect in the order in which they were sent.
#[derive(Clone, Debug)]
pub enum Command {
    /// The driver's configuration. Before the first one nothing is written and no next hop is resolved, because
    /// nobody knows which routes are ours.
    Configure(KernelConfig),
    /// Next hops whose resolution is of interest, or not any more. A start is answered by
    /// [`KernelEvent::NextHop`], whether it resolves or not.
    Tracking(Vec<Tracking>),
    /// Next-hop sets, before the routes that name them.
    Sets(Vec<SetChange>),
    /// Routes; each is answered by [`KernelEvent::Acks`], a prefix's newest change alone.
    Routes(Vec<RouteChange>),
    /// What the table was to become after a start is all there: routes of an earlier run that nobody asked for go.
    Sweep,
    /// Write what is outstanding, keep all routes, end.
    Shutdown,
}

/// What the driver tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// The resolution of a tracked next hop, at first and whenever the metric changes.
    NextHop {
        /// The next hop.
        next_hop: NextHop,
        /// The metric of the route that resolves it, zero for a connected one; `None` if nothing does.
        metric: Option<u32>,
    },
    /// What became of a batch of route changes. A route whose repair failed later, or that could be written
    /// later, is acknowledged again.
    Acks(Vec<RouteAck>),
    /// All addresses of this node, at first and on each change, ordered by interface and address.
    Addresses(Arc<[LocalAddress]>),
    /// The node's temporary and deprecated IPv6 addresses, which go by themselves and must not be chosen; before the
    /// [`KernelEvent::Addresses`] that they are not among, ordered.
    Passing(Arc<[IpAddr]>),
    /// How many routes of an earlier run were found in the kernel: once, after the first
    /// [`Command::Configure`], before anything is written.
    Adopted(PerFamily<usize>),
    /// The gateways of the default routes of other owners, at first and on each change: of each family those of the
    /// least metric, over links that are up.
    Gateways(Arc<[IpAddr]>),
    /// The addresses of pods that lie outside of the node's PodCIDRs, by the plugin's routes to them: at first if
    /// there are any, and on each change.
    Hosts(Arc<[Prefix]>),
    /// The smallest MTU of the interfaces by which packets leave the node, at first and on each change; not told
    /// while there is no such interface.
    UplinkMtu(u32),
    /// How learned routes are written, at first and on each change.
    Fib(Fib),
    /// Something that an operator should know of; one a state, not one a route.
    Trouble(String),
}

/// How learned routes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fib {
    /// Whether they name next-hop objects.
    pub objects: bool,
    /// Whether the kernel has such at all.
    pub supported: bool,
    /// How many objects of ours are one way out.
    pub hops: usize,
    /// How many are groups of such.
    pub groups: usize,
}

/// An address of this node that may be used: no temporary, deprecated or tentative IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalAddress {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix_len: u8,
    /// Whether the interface is up and has a carrier.
    pub up: bool,
}
