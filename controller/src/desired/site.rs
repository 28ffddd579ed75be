//! This node among the objects: all that the computation looks at.

use std::collections::BTreeMap;
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
    /// The links whose neighbours are peers, as they were known before: one that is down has no address.
    pub links: Option<&'a BTreeMap<u32, String>>,
    /// The neighbours that were heard on links, with their zones.
    pub neighbours: &'a [IpAddr],
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
    pub(super) links: Option<&'a BTreeMap<u32, String>>,
    pub(super) neighbours: &'a [IpAddr],
}

impl<'a> Site<'a> {
    /// The node `name`, whose facts have no InternalIPs that pass.
    pub(super) const fn new(
        objects: &'a Objects,
        name: &'a str,
        facts: &'a NodeFacts,
        around: Surroundings<'a>,
    ) -> Self {
        let Surroundings { addresses, gateways, passing, hosts, links, neighbours } = around;
        Self { objects, name, facts, addresses, gateways, passing, hosts, links, neighbours }
    }
}
