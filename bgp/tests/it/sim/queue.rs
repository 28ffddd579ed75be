//! What is going to happen in a network, ordered by time and then by chance.

use std::net::IpAddr;

use bgp::id::ConnId;
use bgp::io::NextHop;
use bgp::time::Instant;

/// What is going to happen.
#[derive(Debug)]
pub(super) enum What {
    /// A router's speaker works off what is pending.
    Turn(usize),
    /// A router's deadline has come.
    Timer(usize),
    /// Something arrives at an end, in this round of its number.
    Arrival(usize, u32),
    /// An attempt to connect is answered.
    Dial(usize, ConnId, IpAddr),
    /// An attempt to connect fails.
    Unanswered(usize, ConnId, IpAddr, &'static str),
    /// Two routers take connections from each other again.
    Open(usize, usize),
    /// A router's kernel does what it was told.
    Kernel(usize),
    /// A router's kernel says how a next hop resolves.
    Resolve(usize, NextHop),
    /// A router's process starts, in place of the one of that number.
    Start(usize, u64, bool),
    /// A router drops what the process before had installed.
    Sweep(usize, u64),
}

/// When it is.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    /// Chance, then the order of entry.
    pub(super) order: (u64, u64),
    pub(super) what: What,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
