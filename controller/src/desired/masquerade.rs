//! What of the pods' packets is hidden behind the node: from whom, and behind which address.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp::config::SpeakerConfig;
use bgp::prefix::{Family, PerFamily, Prefix};

use super::merge::Merged;
use super::others::Others;
use super::site::Site;
use crate::kernel::LocalAddress;
use crate::kernel::masquerade::Masquerade;

/// What is to be hidden, and whether learned prefixes are left out; `None` where nothing is.
pub(super) fn masquerade(
    site: &Site<'_>,
    merged: &Merged,
    others: &Others,
    speaker: &SpeakerConfig,
) -> Option<(Masquerade, bool)> {
    let said = &merged.masquerade;
    if !said.enabled || site.facts.pod_cidrs.is_empty() {
        return None;
    }
    let mut keep: BTreeSet<Prefix> = others.known();
    keep.extend(&said.except);
    let peers = speaker.peers.iter().chain(speaker.dynamic.iter().map(|dynamic| &dynamic.peer));
    let accepted = peers.flat_map(|peer| &peer.accept).chain(&merged.accept).flatten();
    // Whoever may be heard with any route is not thereby somebody who knows of pods.
    keep.extend(said.pod_prefixes.iter().chain(accepted).filter(|prefix| !prefix.is_default()));
    let mut wanted = Masquerade {
        pods: site.facts.pod_cidrs.iter().copied().collect(),
        keep,
        learned: BTreeSet::new(),
        addressed: PerFamily::default(),
        source: PerFamily::default(),
    };
    for address in site.addresses.iter().filter(|address| is_of_a_link(address)) {
        wanted.addressed[Family::of(address.address)].insert(address.name.clone());
    }
    for family in Family::ALL {
        // An address that the node does not have would get no answers.
        let own = |address: &IpAddr| site.addresses.iter().any(|local| local.address == *address);
        wanted.source[family] = site.facts.internal(family).filter(own);
    }
    Some((wanted, said.except_learned))
}

/// Whether packets that leave by the address's interface may take an address from there.
fn is_of_a_link(address: &LocalAddress) -> bool {
    match address.address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}
