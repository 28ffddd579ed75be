//! What an attachment is made of, as plain data: the steps of ADD and the undo of each.
//!
//! Owns the link design; touches nothing. [`execute`] runs a plan against a [`Kernel`],
//! the same plan tells CHECK what must be there.
//!
//! ```text
//!      host namespace                        pod namespace
//!   ulXXXXXXXXXXXXX  ───────── veth ─────────  IFNAME
//!   fe80::1/128 nodad                          A/32, A6/128 nodad
//!   A/32, A6/128 scope link, protocol 172      default via 169.254.1.1, fe80::1 onlink
//!   neighbour: resolved, not pinned            neighbours: permanent, MAC of the host end
//!   answers ARP for 169.254.1.1 alone
//! ```
//!
//! The host end has no IPv4 address and no global one. It has fe80::1 because a kernel
//! sends no neighbour solicitation from a link without a link-local address. And it answers
//! ARP for the one IPv4 gateway, by a proxy entry for that address, not by `proxy_arp`: the
//! kernel throws even permanent neighbours away when an interface's MAC address changes, as
//! it does by a `tuning` plugin behind us, and the pod then has to ask.
//!
//! Invariants: a step that has an undo of its own stands alone in its batch and fails
//! without a trace; everything else vanishes with the pair.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::attachment::{Attachment, Mac};
use crate::error::Result;
use crate::hop::{GATEWAY_V6, Hop};

/// An end of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The node's namespace.
    Host,
    /// The container's namespace.
    Pod,
}

/// A file of one interface below `/proc/sys/net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sysctl {
    /// `ipv4/…/rp_filter`: 1 drops IPv4 sources that the pod does not own. 0 lets them pass
    /// unless the node says otherwise for all interfaces, and that is the node's to say: 2 would
    /// not help, because an interface without an address fails in that mode too.
    RpFilter,
    /// `ipv6/…/accept_ra`: 0, a pod never configures its node.
    AcceptRa,
    /// `ipv6/…/disable_ipv6`: 0 where the namespace's default is 1.
    DisableIpv6,
    /// `ipv4/…/route_localnet`: 1 lets answers of mappings on 127.0.0.1 in.
    RouteLocalnet,
    /// `ipv4/neigh/…/proxy_delay`: 0, or a proxy's answer waits up to 0.8 s.
    ProxyDelay,
    /// `ipv6/…/proxy_ndp`: 1 where the gateway is an address of the configuration.
    ProxyNdp,
}

/// One change to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The pair, its far end made inside the pod's namespace.
    CreatePair(Pair),
    /// A sysctl of one end.
    SetSysctl(Side, Sysctl, u8),
    /// The host end's alias; no link-local address of the kernel's choice.
    Describe(String),
    /// An address with a full-length prefix, without duplicate address detection.
    AddAddress(Side, IpAddr),
    /// Administratively up.
    Raise(Side),
    /// In the pod: the MAC address of a gateway, for good.
    AddNeighbour(IpAddr, Mac),
    /// On the host: answer ARP or neighbour solicitations for a gateway that no interface holds.
    AddProxy(IpAddr),
    /// In the pod: the gateway is on the link. Ours need no such route; those of a later plugin
    /// that names our gateway (source-based routing) do.
    AddLinkRoute(IpAddr),
    /// In the pod: a route by a gateway.
    AddRoute(Hop),
    /// On the host: the route to one address of the pod.
    AddHostRoute(IpAddr),
    /// What a feature adds, while the host end is still down: nobody finds the pod without it.
    Install(Extra),
    /// Wait until the end forwards and, where an address is given, answers to it: the kernel
    /// completes carrier and IPv6 addresses in the background, and drops packets until then.
    Await(Side, Option<IpAddr>),
}

/// A veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the host end.
    pub host: String,
    /// Name of the pod's end.
    pub pod: String,
    /// MAC address of the host end.
    pub host_mac: Mac,
    /// MAC address of the pod's end.
    pub pod_mac: Mac,
    /// MTU of both ends, bytes.
    pub mtu: u32,
}

/// A feature's part of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// Name of the feature.
    pub feature: &'static str,
    /// What it was asked for, as the ledger keeps it.
    pub record: Value,
}

/// How to take a step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Nothing to do: what the step made is part of the pair.
    WithPair,
    /// Delete the link of that name in the host namespace; one that is gone is fine.
    DeleteLink(String),
    /// Let the feature take back what it added; what is gone is fine.
    Remove(Extra),
}

/// Who carries a step out; consecutive steps of one place go in one batch, features excepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pair,
    Netlink(Side),
    File(Side),
    Feature,
    Wait,
}

impl Step {
    /// How to take it back.
    pub fn undo(&self) -> Undo {
        match self {
            Self::CreatePair(pair) => Undo::DeleteLink(pair.host.clone()),
            Self::Install(extra) => Undo::Remove(extra.clone()),
            Self::SetSysctl(..)
            | Self::Describe(_)
            | Self::AddAddress(..)
            | Self::Raise(_)
            | Self::AddNeighbour(..)
            | Self::AddProxy(_)
            | Self::AddLinkRoute(_)
            | Self::AddRoute(_)
            | Self::AddHostRoute(_)
            | Self::Await(..) => Undo::WithPair,
        }
    }

    fn place(&self) -> Place {
        match self {
            Self::CreatePair(_) => Place::Pair,
            Self::SetSysctl(side, ..) => Place::File(*side),
            Self::AddAddress(side, _) | Self::Raise(side) => Place::Netlink(*side),
            Self::Describe(_) | Self::AddProxy(_) | Self::AddHostRoute(_) => Place::Netlink(Side::Host),
            Self::AddNeighbour(..) | Self::AddLinkRoute(_) | Self::AddRoute(_) => Place::Netlink(Side::Pod),
            Self::Install(_) => Place::Feature,
            Self::Await(..) => Place::Wait,
        }
    }
}

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Whose link it is.
    pub attachment: &'a Attachment,
    /// The network's name, for the alias.
    pub network: &'a str,
    /// At least one.
    pub addresses: &'a [IpAddr],
    /// Routes of the pod, each of the family of an address.
    pub hops: &'a [Hop],
    /// MAC address of the pod's end.
    pub pod_mac: Mac,
    /// Bytes.
    pub mtu: u32,
    /// Whether sources that the pod does not own are dropped.
    pub anti_spoof: bool,
    /// Sides on which new interfaces start with IPv6 disabled.
    pub ipv6_disabled: &'a [Side],
    /// What features add, in their order.
    pub extras: &'a [Extra],
}

/// The steps of one ADD, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The link that it makes.
    pub pair: Pair,
    /// In the order of execution.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The link design, applied.
    pub fn new(wanted: &Wanted<'_>) -> Self {
        let pair = Pair {
            host: wanted.attachment.link_name(),
            pod: wanted.attachment.interface().to_owned(),
            host_mac: wanted.attachment.host_mac(),
            pod_mac: wanted.pod_mac,
            mtu: wanted.mtu,
        };
        let gateways: BTreeSet<IpAddr> = wanted.hops.iter().map(|hop| hop.gateway).collect();
        let proxied = || gateways.iter().copied().filter(|gateway| *gateway != GATEWAY_V6);
        let v6 = wanted.addresses.iter().find(|address| address.is_ipv6()).copied();
        let v4 = wanted.addresses.iter().any(IpAddr::is_ipv4);
        let host_mac = pair.host_mac;

        let mut steps = vec![Step::CreatePair(pair.clone())];
        if v6.is_some() {
            steps.extend(
                wanted.ipv6_disabled.iter().map(|side| Step::SetSysctl(*side, Sysctl::DisableIpv6, 0)),
            );
            steps.push(Step::SetSysctl(Side::Host, Sysctl::AcceptRa, 0));
            if proxied().any(|gateway| gateway.is_ipv6()) {
                steps.push(Step::SetSysctl(Side::Host, Sysctl::ProxyNdp, 1));
            }
        }
        if v4 {
            steps.push(Step::SetSysctl(Side::Host, Sysctl::RpFilter, u8::from(wanted.anti_spoof)));
            steps.push(Step::SetSysctl(Side::Host, Sysctl::ProxyDelay, 0));
        }
        steps.extend(wanted.addresses.iter().map(|address| Step::AddAddress(Side::Pod, *address)));
        steps.push(Step::Raise(Side::Pod));
        steps.extend(gateways.iter().map(|gateway| Step::AddNeighbour(*gateway, host_mac)));
        steps.extend(proxied().map(Step::AddLinkRoute));
        steps.extend(wanted.hops.iter().cloned().map(Step::AddRoute));
        steps.push(Step::Describe(wanted.attachment.alias(wanted.network)));
        steps.extend(wanted.extras.iter().cloned().map(Step::Install));
        steps.extend(v6.map(|_| Step::AddAddress(Side::Host, GATEWAY_V6)));
        steps.push(Step::Raise(Side::Host));
        steps.extend(proxied().map(Step::AddProxy));
        steps.extend(wanted.addresses.iter().map(|address| Step::AddHostRoute(*address)));
        steps.push(Step::Await(Side::Host, v6.map(|_| GATEWAY_V6)));
        steps.push(Step::Await(Side::Pod, v6));
        Self { pair, steps }
    }

    /// The steps in runs that can be sent at once.
    pub fn batches(&self) -> impl Iterator<Item = &[Step]> {
        self.steps.chunk_by(|a, b| a.place() == b.place() && a.place() != Place::Feature)
    }
}

/// What carries a plan out.
pub trait Kernel {
    /// Carries out one batch of [`Plan::batches`]. On an error, any part of the batch may
    /// have been done, except that a batch whose step has an undo of its own did nothing.
    ///
    /// # Errors
    /// The error of the first step that failed.
    fn apply(&mut self, batch: &[Step]) -> Result<()>;

    /// Takes a step back; one that was never done is fine.
    ///
    /// # Errors
    /// What kept it from being undone.
    fn undo(&mut self, undo: &Undo) -> Result<()>;
}

/// Carries out the whole plan, or leaves nothing of it.
///
/// # Errors
/// The error of the step that failed; its details say so if taking back failed as well.
pub fn execute(plan: &Plan, kernel: &mut impl Kernel) -> Result<()> {
    let mut done: Vec<&Step> = Vec::with_capacity(plan.steps.len());
    for batch in plan.batches() {
        if let Err(mut error) = kernel.apply(batch) {
            for step in done.iter().rev() {
                if let Err(second) = kernel.undo(&step.undo()) {
                    error = error.and(&format!("not undone: {second}"));
                }
            }
            return Err(error);
        }
        done.extend(batch);
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
