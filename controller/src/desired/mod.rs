//! From objects and local addresses to what the speaker and the kernel driver
//! are to be. Pure: the same facts give the same answer, in the same order.
//!
//! Several objects may select one node. They add up; where two contradict each
//! other both are named, and nothing is computed: the caller keeps what it had.
//!
//! ```text
//!  scalar     prefixes, communities
//!  site       this node among the objects
//!  others     what the other Nodes are to it, one by one
//!  derivation the same once more when something has changed, by what has changed
//!  merge      Fabrics that select one node -> one set of values
//!  masquerade what is hidden behind the node
//!  services   which addresses of Services are originated
//!  address    which own address faces a peer, and what must be protected
//!  rules      import and export rules
//!  limits     limits of prefixes
//!  password   the key of a peer, out of its Secret
//!  target     peers that are found on the node
//!  unnumbered peers that are the neighbour on a link
//!  listen     peers that connect from a prefix
//!  reach      how far away a peer may be, and from which address it is connected to
//!  peer       one peer, as a FabricPeer or the mesh makes it
//!  peers      FabricPeers and the mesh -> peers
//!  contradiction  the same of all nodes, told of the objects
//!  cordon     whether the Node says that it is out of service, beside all of that
//! ```

pub mod contradiction;
pub mod cordon;
pub mod derivation;

mod address;
mod limits;
mod listen;
mod masquerade;
mod merge;
mod others;
mod password;
mod peer;
mod peers;
mod reach;
mod rules;
mod scalar;
pub mod services;
mod site;
mod target;
mod unnumbered;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api::crd::fabric::NextHopGroups as Groups;
use bgp::config::{Drain, Origination, SpeakerConfig};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::rule::RouteOrigin;

use crate::bfd::Watch;
use crate::cluster::object::{NodeFacts, Objects, Problem, Sourced};
use crate::kernel::masquerade::Masquerade;
use crate::kernel::{KernelConfig, NextHopGroups};
use crate::transport::Neighbours;

use merge::{Merged, plain};
use others::Others;
use services::{Services, Withheld};
use site::Site;

pub use site::Surroundings;

/// What one node is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// For the speaker.
    pub speaker: SpeakerConfig,
    /// For the transport.
    pub neighbours: Neighbours,
    /// The links whose neighbours are peers and have to be found, by index.
    pub links: BTreeMap<u32, String>,
    /// Which ways to peers BFD looks after.
    pub watch: Watch,
    /// For the kernel driver.
    pub kernel: KernelConfig,
    /// The UIDs of the Nodes that are peers, by address: another one there is another router.
    pub nodes: BTreeMap<IpAddr, String>,
    /// For the masquerade driver, and whether learned prefixes are left out; `None` where nothing is hidden.
    pub masquerade: Option<(Masquerade, bool)>,
    /// Addresses of Services that are not originated though a Fabric says so, and why.
    pub withheld: Arc<Withheld>,
    /// What was left out, and why; the rest stands without it.
    pub warnings: Vec<Problem>,
}

/// Computes what the node `name` is to be.
///
/// # Errors
/// Everything that stands in the way: a Node or a Fabric that is missing,
/// objects that contradict each other, an AS or a router id that cannot be told.
pub fn compute(objects: &Objects, name: &str, around: Surroundings<'_>) -> Result<Desired, Vec<Problem>> {
    let Some(Sourced { value: facts, .. }) = objects.nodes.get(name) else {
        return Err(vec![Problem::anywhere(format!("there is no Node \"{name}\""))]);
    };
    let (facts, warnings) = lasting(name, facts, around.passing);
    let site = Site::new(objects, name, &facts, around);
    let merged = merge::merge(&site)?;
    let others = Others::of(&site, &merged);
    let services = Services::of(&site, &merged);
    whole(&site, &merged, &others, &services, warnings)
}

/// What the node is to be, of what its Fabrics say and what the other Nodes are to it.
fn whole(
    site: &Site<'_>,
    merged: &Merged,
    others: &Others,
    services: &Services,
    mut warnings: Vec<Problem>,
) -> Result<Desired, Vec<Problem>> {
    let overlaps = others.overlaps();
    if !overlaps.is_empty() {
        return Err(overlaps);
    }
    warnings.extend(site.objects.warnings.iter().cloned());
    let origins = origins(site, merged, services, &mut warnings);
    let peers::Peers { peers, dynamic, neighbours, links, watch } =
        peers::peers(site, merged, others, &mut warnings)?;
    let speaker = SpeakerConfig {
        asn: merged.asn,
        router_id: merged.router_id,
        transit: merged.transit,
        cluster_id: peers::cluster_id(site, merged),
        // Who is out of service is said elsewhere, and does not wait for all of this to be right.
        drain: Drain::No,
        install: merged.install,
        max_paths: merged.max_paths,
        relax_as_path: merged.relax_as_path,
        origins,
        protected: address::protected(site, &peers, &links),
        peers,
        dynamic,
    };
    let facts = site.facts;
    let mut unreachable = facts.pod_cidrs.clone();
    unreachable.sort();
    unreachable.dedup();
    let kernel = KernelConfig {
        install: merged.install,
        table: merged.table,
        metric: merged.metric,
        protocol: merged.protocol,
        unreachable,
        preferred_source: PerFamily {
            ipv4: facts.internal(Family::Ipv4),
            ipv6: facts.internal(Family::Ipv6),
        },
        next_hop_groups: match merged.next_hop_groups {
            Groups::Auto => NextHopGroups::Auto,
            Groups::Always => NextHopGroups::Always,
            Groups::Never => NextHopGroups::Never,
        },
    };
    let incarnation = |address: IpAddr| Some((address, others.uid(address)?.clone()));
    let nodes = speaker.peers.iter().filter_map(|peer| incarnation(peer.address)).collect();
    let masquerade = masquerade::masquerade(site, merged, others, &speaker);
    let withheld = Arc::new(services.withheld());
    Ok(Desired { speaker, neighbours, links, watch, kernel, nodes, masquerade, withheld, warnings })
}

/// The node's facts without InternalIPs that pass (RFC 8981): a kubelet may report one, and a session or a next hop
/// would end with it.
fn lasting(name: &str, facts: &NodeFacts, passing: &[IpAddr]) -> (NodeFacts, Vec<Problem>) {
    let mut lasting = facts.clone();
    lasting.internal.retain(|address| !passing.contains(address));
    let passes = facts.internal.iter().filter(|address| passing.contains(address));
    let warning = |address: &IpAddr| {
        Problem::anywhere(format!(
            "InternalIP {address} of Node \"{name}\" is a temporary or deprecated address and is not used; \
             name a lasting one to the kubelet with --node-ip"
        ))
    };
    (lasting, passes.map(warning).collect())
}

/// The node's PodCIDRs, its pods outside of them, and the prefixes of its Fabrics; what a Fabric says of a
/// PodCIDR or of an address of a Service stands.
fn origins(
    site: &Site<'_>,
    merged: &Merged,
    services: &Services,
    warnings: &mut Vec<Problem>,
) -> Vec<Origination> {
    let mut origins: BTreeMap<Prefix, Origination> = services.origins();
    if merged.pod_cidrs {
        if site.facts.pod_cidrs.is_empty() && !merged.transit {
            let text = format!("Node \"{}\" has no podCIDRs, so none is advertised", site.name);
            warnings.push(Problem::anywhere(text));
        }
        for prefix in &site.facts.pod_cidrs {
            origins.insert(*prefix, Origination { origin: RouteOrigin::PodCidr, ..plain(*prefix) });
        }
        // Pods with an address of elsewhere are announced one by one.
        let outside = |host: &&Prefix| !site.facts.pod_cidrs.iter().any(|pods| pods.contains(**host));
        for host in site.hosts.iter().filter(outside) {
            origins.insert(*host, Origination { origin: RouteOrigin::PodCidr, ..plain(*host) });
        }
    }
    for origin in merged.prefixes.values() {
        // A PodCIDR stays one, whatever a Fabric adds to it.
        let before = origins.get(&origin.prefix).map_or(origin.origin, |before| before.origin);
        origins.insert(origin.prefix, Origination { origin: before, ..origin.clone() });
    }
    origins.into_values().collect()
}
