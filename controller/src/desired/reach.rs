//! How far away a peer may be, and from which address of this node it is
//! connected to.
//!
//! RFC 4271 §5.1.3 and §9.1.2.1: an external peer is on a connected subnet, and
//! its next hops are, unless the configuration says otherwise. What is known of an
//! `Any` peer is not enough to expect less of it.

use std::net::IpAddr;

use api::crd::FabricPeerSpec;
use api::crd::reach::{InternalAddress, OfAnnotation, OfInterface, SourceAddress};
use api::crd::value::PeerAsn;
use bgp::config::Obstacle;
use bgp::id::Asn;
use bgp::prefix::Family;
use bgp::zone;

use super::address;
use super::site::Site;
use crate::transport::Hops;

/// Where a peer is to be found.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// How far away it may be.
    pub(super) hops: Hops,
    /// Whether it may be beyond a router.
    pub(super) distant: bool,
    /// Whether its next hops may resolve by a default route.
    pub(super) via_default: bool,
    /// The address to connect from.
    pub(super) source: Option<IpAddr>,
    /// What is in the way.
    pub(super) obstacle: Option<Obstacle>,
}

/// What a FabricPeer says of the peer at an address. A `remote` peer may be reached by the default route where it is
/// not on-link.
pub(super) fn reach(
    site: &Site<'_>,
    own: Asn,
    address: IpAddr,
    remote: bool,
    spec: &FabricPeerSpec,
) -> Reach {
    let facing = address::facing(site, address);
    let external = match spec.asn {
        PeerAsn::Number(asn) => Asn(asn) != own,
        PeerAsn::External | PeerAsn::Any => true,
        PeerAsn::Internal => false,
    };
    let hops = match (&spec.ttl_security, spec.multihop) {
        (Some(security), _) => Hops::Proven(security.hops),
        (None, Some(hops)) => Hops::AtMost(hops),
        (None, None) if external => Hops::AtMost(1),
        (None, None) => Hops::Any,
    };
    let far = spec.multihop.is_some() || spec.ttl_security.as_ref().is_some_and(|security| security.hops > 1);
    let source = spec.source_address_from.as_ref().map(|from| source(site, from, Family::of(address)));
    let off_link = (external && !far && facing.is_none() && zone::of(address).is_none()).then(|| {
        let text = "is not on a subnet of this node; an external peer further away needs `multihop`";
        Obstacle::NotOnLink(format!("{address} {text}"))
    });
    Reach {
        hops,
        distant: far || facing.is_none(),
        via_default: (remote || far) && facing.is_none(),
        obstacle: off_link.or_else(|| {
            source.as_ref().and_then(|found| found.as_ref().err().cloned().map(Obstacle::NoSource))
        }),
        source: source.map_or_else(|| facing.map(|own| own.address), Result::ok),
    }
}

/// The address of a family to connect from.
///
/// # Errors
/// Why there is none, in words.
fn source(site: &Site<'_>, from: &SourceAddress, family: Family) -> Result<IpAddr, String> {
    let name = site.name;
    match from {
        SourceAddress::Node(InternalAddress::InternalIP) => site
            .facts
            .internal(family)
            .ok_or_else(|| format!("node \"{name}\" has no InternalIP of family {family} to connect from")),
        SourceAddress::Interface(OfInterface { interface }) => {
            let found = address::of_interface(site, interface, family);
            found.ok_or_else(|| {
                format!("interface {interface} of node \"{name}\" has no {family} address to connect from")
            })
        }
        SourceAddress::Annotation(OfAnnotation { node_annotation: key }) => {
            let text = site.facts.annotations.get(key);
            let text = text.ok_or_else(|| format!("node \"{name}\" has no annotation `{key}`"))?;
            let each = text.split(',').filter_map(|text| text.trim().parse().ok());
            let found = each.into_iter().find(|address: &IpAddr| Family::of(*address) == family);
            found.ok_or_else(|| {
                format!("annotation `{key}` of node \"{name}\" holds no {family} address: `{text}`")
            })
        }
    }
}
