//! The route that the kernel takes to one address: asked for, and not kept.

use std::io;
use std::net::IpAddr;

use super::message::{self, KernelRoute};
use super::netlink::Netlink;
use super::request;

/// A small answer needs little room.
const BUFFER: usize = 64 << 10;

/// A route and the names of the interfaces that it leads over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The route.
    pub route: KernelRoute,
    /// The interfaces, in the order of its next hops.
    pub interfaces: Vec<String>,
}

/// Looks an address up in the network namespace of the calling thread; `None` where no route leads there, or one
/// that refuses. Blocks.
///
/// # Errors
/// Those of the kernel.
pub fn find(address: IpAddr) -> io::Result<Option<Found>> {
    let mut netlink = Netlink::with_buffer(BUFFER)?;
    let route = match netlink.ask(|sequence| request::lookup(address, sequence), message::route) {
        Ok(route) => route,
        Err(error) => {
            let nowhere = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ESRCH, libc::EACCES];
            return if error.raw_os_error().is_some_and(|code| nowhere.contains(&code)) {
                Ok(None)
            } else {
                Err(error)
            };
        }
    };
    let Some(route) = route else { return Ok(None) };
    let links = netlink.dump(request::dump_links, message::link)?;
    let name = |ifindex| match links.iter().find(|link| link.ifindex == ifindex) {
        Some(link) => link.name.clone(),
        None => format!("interface {ifindex}"),
    };
    let interfaces = route.hops.iter().map(|hop| name(hop.ifindex)).collect();
    Ok(Some(Found { route, interfaces }))
}
