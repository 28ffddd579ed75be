//! This node among the objects: all that the computation looks at.

use std::net::IpAddr;

use bgp::prefix::Prefix;

use crate::cluster::object::{NodeFacts, Objects};
use crate::kernel::LocalAddress;

/// What the kernel says of the node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The node's addresses.
    pub addresses: &'a [LocalAddress],
    /// The gateways of its default routes.
    pub gateways: &'a [IpAddr],
    /// Its temporary and deprecated addresses.
    pub passing: &'a [IpAddr],
    /// The addresses of its pods outside of its PodCIDRs.
    pub hosts: &'a [Prefix],
}

/// This node among the objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) objects: &'a Objects,
    pub(super) name: &'a str,
    /// Without InternalIPs that are temporary or deprecated.
    pub(super) facts: &'a NodeFacts,
    pub(super) addresses: &'a [LocalAddress],
    pub(super) gateways: &'a [IpAddr],
    pub(super) passing: &'a [IpAddr],
    pub(super) hosts: &'a [Prefix],
}
