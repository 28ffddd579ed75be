//! Steps and questions as route-netlink messages. Pure: makes messages, sends none.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use api::netconf::POD_ROUTE_PROTOCOL;
use netlink_packet_core::{DefaultNla, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::attachment::Mac;
use crate::hop::Hop;
use crate::ipam::Family;
use crate::netlink::Request;
use crate::plan::Pair;

/// `IFLA_EXT_MASK` with `RTEXT_FILTER_SKIP_STATS`: counters are most of a link's reply, and unused.
const EXT_MASK: (u16, u32) = (29, 8);

const EXCLUSIVE: u16 = NLM_F_CREATE | NLM_F_EXCL;

fn family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}

/// Makes the pair, its far end inside `netns`.
pub fn create_pair(pair: &Pair, netns: BorrowedFd<'_>) -> Request {
    let mut far = LinkMessage::default();
    far.attributes = vec![
        LinkAttribute::IfName(pair.pod.clone()),
        LinkAttribute::Mtu(pair.mtu),
        LinkAttribute::Address(pair.pod_mac.0.to_vec()),
        LinkAttribute::NetNsFd(netns.as_raw_fd()),
    ];
    let mut near = LinkMessage::default();
    near.attributes = vec![
        LinkAttribute::IfName(pair.host.clone()),
        LinkAttribute::Mtu(pair.mtu),
        LinkAttribute::Address(pair.host_mac.0.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]),
    ];
    Request { message: RouteNetlinkMessage::NewLink(near), flags: EXCLUSIVE }
}

/// Deletes the link of that name.
pub fn delete_link(name: &str) -> Request {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.into())];
    Request { message: RouteNetlinkMessage::DelLink(link), flags: 0 }
}

/// Asks for the link of that name.
pub fn get_link(name: &str) -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.attributes = vec![LinkAttribute::IfName(name.into()), without_counters()];
    RouteNetlinkMessage::GetLink(link)
}

/// Asks for all links.
pub fn get_links() -> RouteNetlinkMessage {
    let mut link = LinkMessage::default();
    link.attributes = vec![without_counters()];
    RouteNetlinkMessage::GetLink(link)
}

fn without_counters() -> LinkAttribute {
    let (kind, mask) = EXT_MASK;
    LinkAttribute::Other(DefaultNla::new(kind, mask.to_ne_bytes().to_vec()))
}

/// Sets an alias.
pub fn set_alias(index: u32, alias: &str) -> Request {
    set_link(index, LinkAttribute::IfAlias(alias.into()))
}

/// Keeps the kernel from making a link-local address of its own; only before the link is up.
pub fn no_link_local(index: u32) -> Request {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    set_link(index, LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]))
}

fn set_link(index: u32, attribute: LinkAttribute) -> Request {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes = vec![attribute];
    Request { message: RouteNetlinkMessage::SetLink(link), flags: 0 }
}

/// Sets a link administratively up.
pub fn raise(index: u32) -> Request {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Request { message: RouteNetlinkMessage::SetLink(link), flags: 0 }
}

/// Adds an address with a full-length prefix, usable at once. It makes no prefix route.
pub fn add_address(index: u32, address: IpAddr) -> Request {
    let mut message = AddressMessage::default();
    let kind = Family::of(address);
    message.header.family = family(kind);
    message.header.prefix_len = kind.bits();
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    if let IpAddr::V6(address) = address {
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute));
        if address.is_unicast_link_local() {
            message.header.scope = AddressScope::Link;
        }
    }
    Request { message: RouteNetlinkMessage::NewAddress(message), flags: EXCLUSIVE }
}

/// Asks for the addresses of one link.
pub fn get_addresses(index: u32) -> RouteNetlinkMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    RouteNetlinkMessage::GetAddress(message)
}

/// Adds a neighbour entry that stays.
pub fn add_neighbour(index: u32, address: IpAddr, mac: Mac) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = family(Family::of(address));
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(neighbour(address)),
        NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()),
    ];
    Request { message: RouteNetlinkMessage::NewNeighbour(message), flags: EXCLUSIVE }
}

/// Answers for an address that no interface holds, on this link alone.
pub fn add_proxy(index: u32, address: IpAddr) -> Request {
    let mut message = NeighbourMessage::default();
    message.header.family = family(Family::of(address));
    message.header.ifindex = index;
    message.header.flags = NeighbourFlags::Proxy;
    message.attributes = vec![NeighbourAttribute::Destination(neighbour(address))];
    Request { message: RouteNetlinkMessage::NewNeighbour(message), flags: EXCLUSIVE }
}

fn neighbour(address: IpAddr) -> NeighbourAddress {
    match address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    }
}

/// Asks for all proxy entries of a family.
pub fn get_proxies(of: Family) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(of);
    message.header.flags = NeighbourFlags::Proxy;
    RouteNetlinkMessage::GetNeighbour(message)
}

/// Asks for all neighbour entries of a family.
pub fn get_neighbours(of: Family) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(of);
    RouteNetlinkMessage::GetNeighbour(message)
}

/// Adds the route that says that a gateway is on the link.
pub fn add_link_route(index: u32, gateway: IpAddr) -> Request {
    let family = Family::of(gateway);
    let mut route = route(family, family.bits());
    route.header.protocol = RouteProtocol::Static;
    route.header.scope = RouteScope::Link;
    route.attributes = vec![RouteAttribute::Destination(gateway.into()), RouteAttribute::Oif(index)];
    // A second attachment has the same gateway: its route comes behind.
    Request { message: RouteNetlinkMessage::NewRoute(route), flags: NLM_F_CREATE | NLM_F_APPEND }
}

/// Adds a route whose next hop is on the link though no prefix says so.
pub fn add_hop(index: u32, hop: &Hop) -> Request {
    let told = &hop.route;
    let mut route = route(Family::of(hop.gateway), told.dst.prefix_len());
    route.header.protocol = RouteProtocol::Static;
    route.header.scope = told.scope.map_or(RouteScope::Universe, RouteScope::from);
    route.header.flags = RouteFlags::Onlink;
    route.attributes = vec![RouteAttribute::Gateway(hop.gateway.into()), RouteAttribute::Oif(index)];
    if told.dst.prefix_len() > 0 {
        route.attributes.push(RouteAttribute::Destination(told.dst.network().into()));
    }
    route.attributes.extend(told.table.map(RouteAttribute::Table));
    route.attributes.extend(told.priority.map(RouteAttribute::Priority));
    let metrics = [told.mtu.map(RouteMetric::Mtu), told.advmss.map(RouteMetric::Advmss)];
    let metrics: Vec<RouteMetric> = metrics.into_iter().flatten().collect();
    if !metrics.is_empty() {
        route.attributes.push(RouteAttribute::Metrics(metrics));
    }
    Request { message: RouteNetlinkMessage::NewRoute(route), flags: EXCLUSIVE }
}

/// Adds the host route to a pod's address.
pub fn add_host_route(index: u32, address: IpAddr) -> Request {
    let family = Family::of(address);
    let mut route = route(family, family.bits());
    route.header.protocol = RouteProtocol::from(POD_ROUTE_PROTOCOL);
    // IPv6 has no scopes of routes; the kernel ignores this one.
    route.header.scope = RouteScope::Link;
    route.attributes = vec![RouteAttribute::Destination(address.into()), RouteAttribute::Oif(index)];
    Request { message: RouteNetlinkMessage::NewRoute(route), flags: EXCLUSIVE }
}

/// Makes packets to ::1 that came by this link this host's own, behind the route of the loopback device.
pub fn add_loopback_route(index: u32) -> Request {
    let mut route = route(Family::V6, Family::V6.bits());
    route.header.table = libc::RT_TABLE_LOCAL;
    route.header.kind = RouteType::Local;
    route.header.protocol = RouteProtocol::from(POD_ROUTE_PROTOCOL);
    route.attributes = vec![
        RouteAttribute::Destination(Ipv6Addr::LOCALHOST.into()),
        RouteAttribute::Oif(index),
        RouteAttribute::Priority(1024),
    ];
    // Each pod has one, so not exclusive.
    Request { message: RouteNetlinkMessage::NewRoute(route), flags: NLM_F_CREATE | NLM_F_APPEND }
}

fn route(of: Family, length: u8) -> RouteMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family(of);
    route.header.destination_prefix_length = length;
    route.header.table = RouteHeader::RT_TABLE_MAIN;
    route.header.kind = RouteType::Unicast;
    route
}

/// Asks which route a packet to `address` takes: the entry of the table, not its copy for this packet.
/// With a link, what the link's own routes say.
pub fn get_route(address: IpAddr, link: Option<u32>) -> RouteNetlinkMessage {
    let mut route = RouteMessage::default();
    let of = Family::of(address);
    route.header.address_family = family(of);
    route.header.destination_prefix_length = of.bits();
    route.header.flags = RouteFlags::FibMatch;
    route.attributes = vec![RouteAttribute::Destination(address.into())];
    route.attributes.extend(link.map(RouteAttribute::Oif));
    RouteNetlinkMessage::GetRoute(route)
}

/// Asks for all routes of a family, of one table or of all.
pub fn get_routes(of: Family, table: Option<u32>) -> RouteNetlinkMessage {
    let mut route = RouteMessage::default();
    route.header.address_family = family(of);
    // A filter other than the table needs kind Unspec, or the kernel ignores the filter.
    route.attributes.extend(table.map(RouteAttribute::Table));
    RouteNetlinkMessage::GetRoute(route)
}
