//! A set of next hops: which ways out it comes to, and what its routes name.

use std::sync::Arc;

use bgp::io::NextHop;

use super::super::route::Leg;

#[derive(Debug, Default)]
pub(super) struct Set {
    pub(super) members: Vec<NextHop>,
    /// Whether the members have changed since the legs were computed.
    pub(super) changed: bool,
    pub(super) legs: Option<Arc<[Leg]>>,
    pub(super) users: usize,
    /// The group of next-hop objects that its routes name.
    pub(super) group: Option<u32>,
    /// Whether it can have no group, so that its routes are written without.
    pub(super) failed: bool,
}

impl Set {
    /// Whether nothing needs it any more.
    pub(super) fn is_over(&self) -> bool {
        self.members.is_empty() && self.users == 0 && self.group.is_none()
    }
}
