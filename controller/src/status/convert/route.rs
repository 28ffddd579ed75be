//! Routes, their paths and attributes.

use std::net::Ipv4Addr;

use api::v1;
use bgp::reason::Reason;
use bgp::view::{KernelView, PathSource, PathView, RouteFilter, RoutePage, RouteView};
use bgp::wire::as_path::{Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, Origin, PathAttributes, UnknownAttribute};

use super::scalar::{family, next_hop};

use crate::discovery::shown;

/// The routes of a page, each with the paths that the filter asks for.
#[must_use]
pub fn page(page: RoutePage, filter: RouteFilter) -> Vec<v1::Route> {
    page.routes.into_iter().filter_map(|route| filtered(route, filter)).map(|view| route(&view)).collect()
}

/// The route with the paths that the filter asks for; `None` if none is left
/// of a route that the filter would not have let through.
fn filtered(mut route: RouteView, filter: RouteFilter) -> Option<RouteView> {
    match filter {
        RouteFilter::All => return Some(route),
        RouteFilter::Received(peer) => {
            route.paths.retain(|path| matches!(path.source, PathSource::Peer { id, .. } if id == peer));
        }
        RouteFilter::Rejected => route.paths.retain(|path| !path.accepted),
        RouteFilter::Sent(_) => route.paths.retain(|path| path.verdict == Reason::Best),
        RouteFilter::Installed if route.kernel != KernelView::Installed => return None,
        RouteFilter::Installed => route.paths.retain(selected),
    }
    (!route.paths.is_empty()).then_some(route)
}

/// Whether the path is used.
pub(super) fn selected(path: &PathView) -> bool {
    matches!(path.verdict, Reason::Best | Reason::Multipath)
}

/// One route, all its paths.
#[must_use]
pub fn route(route: &RouteView) -> v1::Route {
    v1::Route {
        prefix: route.prefix.to_string(),
        family: family(route.prefix.family()),
        paths: route.paths.iter().map(path).collect(),
        kernel: Some(kernel(route.kernel)),
        next_hops: route.next_hops.iter().map(next_hop).collect(),
    }
}

fn path(path: &PathView) -> v1::Path {
    let source = match &path.source {
        PathSource::Local => v1::path::Source::Local(v1::LocalSource {}),
        PathSource::Peer { name, address, .. } => {
            v1::path::Source::Peer(v1::PeerSource { name: name.clone(), address: shown(*address) })
        }
    };
    v1::Path {
        source: Some(source),
        attributes: Some(attributes(&path.attributes)),
        accepted: path.accepted,
        selected: selected(path),
        verdict: path.verdict.word().to_owned(),
        detail: path.detail.clone(),
        attributes_in_use: path.changed.as_ref().map(|changed| attributes(&changed.attributes)),
        import_change: path.changed.as_ref().map(|changed| changed.detail.clone()),
        path_id: path.path_id.map(|id| id.0),
        stale: path.stale.map(|reason| reason.word().to_owned()),
    }
}

fn kernel(kernel: KernelView) -> v1::KernelRoute {
    let (state, errno) = match kernel {
        KernelView::NotRequested => (v1::KernelState::NotRequested, None),
        KernelView::Pending => (v1::KernelState::Pending, None),
        KernelView::Installed => (v1::KernelState::Installed, None),
        KernelView::Failed(errno) => (v1::KernelState::Failed, Some(errno)),
    };
    v1::KernelRoute {
        state: state.into(),
        errno: errno.map(u32::from),
        error: errno.map(errno_text),
        next_hop_object: None,
    }
}

/// What the C library says of an error number, such as `Network is unreachable`.
pub(super) fn errno_text(errno: u16) -> String {
    nix::errno::Errno::from_raw(i32::from(errno)).desc().to_owned()
}

pub(super) fn attributes(attributes: &PathAttributes) -> v1::PathAttributes {
    let origin = match attributes.origin {
        Origin::Igp => v1::PathOrigin::Igp,
        Origin::Egp => v1::PathOrigin::Egp,
        Origin::Incomplete => v1::PathOrigin::Incomplete,
    };
    let link_local = match attributes.next_hop {
        NextHops::V6 { link_local, .. } => link_local,
        NextHops::V4(_) => None,
    };
    v1::PathAttributes {
        origin: origin.into(),
        as_path: attributes.as_path.segments.iter().map(segment).collect(),
        next_hop: shown(attributes.next_hop.address()),
        link_local_next_hop: link_local.map(|address| shown(address.into())),
        med: attributes.med,
        local_preference: attributes.local_preference,
        atomic_aggregate: attributes.atomic_aggregate,
        aggregator: attributes.aggregator.map(|aggregator| v1::Aggregator {
            asn: aggregator.asn.0,
            router: aggregator.router.to_string(),
        }),
        communities: attributes.communities.iter().map(ToString::to_string).collect(),
        extended_communities: attributes.extended_communities.iter().map(|c| digits(&c.0)).collect(),
        large_communities: attributes.large_communities.iter().map(ToString::to_string).collect(),
        originator_id: attributes.originator.map(|id| id.to_string()),
        cluster_list: attributes.cluster_list.iter().map(|id| Ipv4Addr::from_bits(*id).to_string()).collect(),
        unknown: attributes.unknown.iter().map(unknown).collect(),
        only_to_customers: attributes.only_to_customers.map(|asn| asn.0),
    }
}

fn segment(segment: &Segment) -> v1::AsPathSegment {
    let kind = match segment.kind {
        SegmentKind::Sequence => v1::AsPathSegmentKind::Sequence,
        SegmentKind::Set => v1::AsPathSegmentKind::Set,
    };
    v1::AsPathSegment { kind: kind.into(), asns: segment.asns.iter().map(|asn| asn.0).collect() }
}

fn unknown(attribute: &UnknownAttribute) -> v1::UnknownAttribute {
    v1::UnknownAttribute {
        code: attribute.code.into(),
        flags: attribute.flags.into(),
        value: digits(&attribute.value),
    }
}

/// Hexadecimal digits, two a byte.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
