//! The real [`Kernel`]: carries out a plan over one netlink socket a namespace.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Target;
use crate::error::{Code, Error, Result};
use crate::fact::{Address, Link, Neighbour, Route};
use crate::ipam::Family;
use crate::message;
use crate::netlink::{Failure, Netlink, Request};
use crate::netns::Namespace;
use crate::plan::{Extra, Kernel, Pair, Side, Step, Undo};
use crate::sysctl;

/// The kernel completes a link within a millisecond even on a busy machine; only an
/// interface that somebody else took down in between stays incomplete.
const COMPLETION: Duration = Duration::from_secs(2);

/// First pause between two looks at a link; it doubles up to the last.
const PAUSE: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// What the kernel says where no route leads to an address, or one that drops.
const NO_ROUTE: [i32; 6] =
    [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL, libc::ESRCH, libc::ENOENT];

/// Both ends of a link in the making.
#[derive(Debug)]
pub struct Ends<'a> {
    host: &'a mut Netlink,
    pod: &'a mut Netlink,
    netns: &'a Namespace,
    host_name: String,
    pod_name: String,
    host_index: u32,
    pod_index: u32,
}

/// The two sides, for what a feature adds.
#[derive(Debug)]
pub struct Sides<'s> {
    /// A socket in our namespace.
    pub host: &'s mut Netlink,
    /// A socket in the pod's namespace.
    pub pod: &'s mut Netlink,
    /// The pod's namespace.
    pub netns: &'s Namespace,
    /// Index of the host end; 0 before the link is made.
    pub host_index: u32,
    /// Index of the pod's end; 0 before the link is made.
    pub pod_index: u32,
}

impl<'a> Ends<'a> {
    /// Both sides.
    pub fn sides(&mut self) -> Sides<'_> {
        Sides {
            host: self.host,
            pod: self.pod,
            netns: self.netns,
            host_index: self.host_index,
            pod_index: self.pod_index,
        }
    }

    /// A kernel for the pair named `host_name` and `pod_name`.
    pub fn new(
        host: &'a mut Netlink,
        pod: &'a mut Netlink,
        netns: &'a Namespace,
        host_name: &str,
        pod_name: &str,
    ) -> Self {
        let (host_name, pod_name) = (host_name.to_owned(), pod_name.to_owned());
        Self { host, pod, netns, host_name, pod_name, host_index: 0, pod_index: 0 }
    }

    fn create(&mut self, pair: &Pair) -> Result<()> {
        let get = Request { message: message::get_link(&pair.host), flags: 0 };
        let replies = match self.host.exchange(&[message::create_pair(pair, self.netns.as_fd()), get]) {
            Ok(replies) => replies,
            Err(Failure::Refused { request: 0, errno: libc::EEXIST, .. }) => {
                let text = format!("{} in the container or {} on the host exists", pair.pod, pair.host);
                return Err(Error::new(Code::Exists, text));
            }
            Err(failure @ Failure::Refused { request: 0, .. }) => {
                return Err(refused("create the link", &failure));
            }
            Err(failure) => return Err(self.forget(pair, refused("find the new link", &failure))),
        };
        let link = replies.first().and_then(Link::decode);
        let Some((index, peer)) = link.and_then(|link| Some((link.index, link.peer?))) else {
            return Err(
                self.forget(pair, Error::new(Code::Io, "the kernel does not tell the new link's index"))
            );
        };
        (self.host_index, self.pod_index) = (index, peer);
        Ok(())
    }

    /// The step must fail without a trace.
    fn forget(&mut self, pair: &Pair, error: Error) -> Error {
        match self.undo(&Undo::DeleteLink(pair.host.clone())) {
            Ok(()) => error,
            Err(second) => error.with_details(format!("not undone: {second}")),
        }
    }

    fn requests(&self, step: &Step) -> Vec<Request> {
        let index = |side: Side| if side == Side::Host { self.host_index } else { self.pod_index };
        match step {
            Step::Describe(alias) => {
                vec![message::set_alias(self.host_index, alias), message::no_link_local(self.host_index)]
            }
            Step::AddAddress(side, address) => vec![message::add_address(index(*side), *address)],
            Step::Raise(side) => vec![message::raise(index(*side))],
            Step::AddNeighbour(address, mac) => vec![message::add_neighbour(self.pod_index, *address, *mac)],
            Step::AddProxy(address) => vec![message::add_proxy(self.host_index, *address)],
            Step::AddLinkRoute(gateway) => vec![message::add_link_route(self.pod_index, *gateway)],
            Step::AddRoute(hop) => vec![message::add_hop(self.pod_index, hop)],
            Step::AddHostRoute(address) => vec![message::add_host_route(self.host_index, *address)],
            Step::CreatePair(_) | Step::SetSysctl(..) | Step::Install(_) | Step::Await(..) => Vec::new(),
        }
    }

    fn send(&mut self, side: Side, steps: &[Step]) -> Result<()> {
        let mut requests = Vec::new();
        let mut owners = Vec::new();
        for step in steps {
            let of_step = self.requests(step);
            owners.extend(of_step.iter().map(|_| step));
            requests.extend(of_step);
        }
        let socket = if side == Side::Host { &mut *self.host } else { &mut *self.pod };
        socket.exchange(&requests).map(drop).map_err(|failure| {
            let Failure::Refused { request, errno, .. } = &failure else {
                return refused("set the link up", &failure);
            };
            match (owners.get(*request), *errno) {
                (Some(Step::AddHostRoute(address)), libc::EEXIST) => {
                    Error::new(Code::AddressInUse, format!("another route to {address} exists on the host"))
                }
                (Some(step), _) => refused(&describe(step), &failure),
                (None, _) => refused("set the link up", &failure),
            }
        })
    }

    fn await_end(&mut self, side: Side, address: Option<IpAddr>) -> Result<()> {
        let (socket, name, index) = match side {
            Side::Host => (&mut *self.host, &self.host_name, self.host_index),
            Side::Pod => (&mut *self.pod, &self.pod_name, self.pod_index),
        };
        let deadline = Instant::now() + COMPLETION;
        let mut pause = PAUSE;
        loop {
            let forwards = link(socket, name)?.is_some_and(|link| link.forwards);
            let answers = match address {
                Some(address) => {
                    forwards && route(socket, address, Some(index))?.is_some_and(|route| route.local)
                }
                None => true,
            };
            if forwards && answers {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::new(Code::TryAgain, format!("{name} does not come up")));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Kernel for Ends<'_> {
    fn apply(&mut self, batch: &[Step]) -> Result<()> {
        match batch {
            [Step::CreatePair(pair)] => self.create(pair),
            [Step::SetSysctl(Side::Host, ..), ..] => set_sysctls(&self.host_name, batch),
            [Step::SetSysctl(Side::Pod, ..), ..] => self.netns.run(|| set_sysctls(&self.pod_name, batch))?,
            [Step::Install(extra), ..] => Err(unequipped(extra)),
            [Step::Await(..), ..] => batch.iter().try_for_each(|step| match step {
                Step::Await(side, address) => self.await_end(*side, *address),
                _ => Ok(()),
            }),
            [Step::AddNeighbour(..) | Step::AddLinkRoute(_) | Step::AddRoute(_), ..]
            | [Step::AddAddress(Side::Pod, _) | Step::Raise(Side::Pod), ..] => self.send(Side::Pod, batch),
            _ => self.send(Side::Host, batch),
        }
    }

    fn undo(&mut self, undo: &Undo) -> Result<()> {
        match undo {
            Undo::WithPair => Ok(()),
            Undo::DeleteLink(name) => delete_link(self.host, name).map(drop),
            Undo::Remove(extra) => Err(unequipped(extra)),
        }
    }
}

/// A feature's step is for those who know features.
fn unequipped(extra: &Extra) -> Error {
    Error::new(Code::Unsupported, format!("no feature is called {}", extra.feature))
}

fn set_sysctls(interface: &str, steps: &[Step]) -> Result<()> {
    steps.iter().try_for_each(|step| match step {
        Step::SetSysctl(_, sysctl, value) => sysctl::set(*sysctl, interface, *value),
        _ => Ok(()),
    })
}

fn describe(step: &Step) -> String {
    match step {
        Step::CreatePair(pair) => format!("create {}", pair.host),
        Step::SetSysctl(_, sysctl, value) => format!("set {sysctl:?} to {value}"),
        Step::Describe(_) => "describe the host end".into(),
        Step::AddAddress(side, address) => format!("add {address} to the {side:?} end"),
        Step::Raise(side) => format!("set the {side:?} end up"),
        Step::AddNeighbour(address, mac) => format!("add the neighbour {address} {mac} in the container"),
        Step::AddProxy(address) => format!("answer ARP for {address} on the host end"),
        Step::AddLinkRoute(gateway) => format!("add the route to {gateway} in the container"),
        Step::AddRoute(hop) => {
            let what = if hop.route.dst.prefix_len() == 0 { "default route" } else { "route" };
            format!("add the {what} to {} by {} in the container", hop.route.dst, hop.gateway)
        }
        Step::AddHostRoute(address) => format!("add the host route to {address}"),
        Step::Install(extra) => format!("install {}", extra.feature),
        Step::Await(side, _) => format!("wait for the {side:?} end"),
    }
}

/// The error of a request that the kernel refused, with what was being done.
pub fn refused(doing: &str, failure: &Failure) -> Error {
    Error::new(Code::Io, format!("cannot {doing}")).with_details(failure.text())
}

/// The namespace of `target`, which must not be ours.
///
/// # Errors
/// Code 4 if the environment names none, 8 if it is unusable or our own.
pub fn namespace(target: &Target) -> Result<Namespace> {
    let path = target
        .netns_path()
        .ok_or_else(|| Error::new(Code::Environment, "environment variable CNI_NETNS: missing or empty"))?;
    let netns = Namespace::open(&path)?;
    if !target.own_netns_allowed {
        netns.refuse_own()?;
    }
    Ok(netns)
}

/// A socket in the calling thread's namespace.
///
/// # Errors
/// Code 5 if the kernel gives none.
pub fn open() -> Result<Netlink> {
    Netlink::open().map_err(|e| Error::io("open a netlink socket", &e))
}

/// Deletes the link of that name; false if there was none.
///
/// # Errors
/// Code 5 if the kernel refuses.
pub fn delete_link(netlink: &mut Netlink, name: &str) -> Result<bool> {
    match netlink.exchange(&[message::delete_link(name)]) {
        Ok(_) => Ok(true),
        Err(failure) if failure.errno() == Some(libc::ENODEV) => Ok(false),
        Err(failure) => Err(refused(&format!("delete {name}"), &failure)),
    }
}

/// The link of that name.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn link(netlink: &mut Netlink, name: &str) -> Result<Option<Link>> {
    let reply = netlink
        .ask(message::get_link(name), &[libc::ENODEV])
        .map_err(|failure| refused(&format!("look at {name}"), &failure))?;
    Ok(reply.as_ref().and_then(Link::decode))
}

/// Every link.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn links(netlink: &mut Netlink) -> Result<Vec<Link>> {
    let replies = netlink.dump(&message::get_links()).map_err(|failure| refused("list links", &failure))?;
    Ok(replies.iter().filter_map(Link::decode).collect())
}

/// Every address of a link.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn addresses(netlink: &mut Netlink, link: u32) -> Result<Vec<Address>> {
    let replies =
        netlink.dump(&message::get_addresses(link)).map_err(|failure| refused("list addresses", &failure))?;
    // A kernel without strict filters sends those of other links too.
    Ok(replies.iter().filter_map(Address::decode).filter(|address| address.link == link).collect())
}

/// Every route of a family, of one table or of all.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn routes(netlink: &mut Netlink, family: Family, table: Option<u32>) -> Result<Vec<Route>> {
    let replies = match netlink.dump(&message::get_routes(family, table)) {
        Ok(replies) => replies,
        // A table that was never used.
        Err(failure) if failure.errno() == Some(libc::ENOENT) => Vec::new(),
        Err(failure) => return Err(refused("list routes", &failure)),
    };
    let wanted = |route: &Route| table.is_none_or(|table| route.table == table);
    Ok(replies.iter().filter_map(Route::decode).filter(wanted).collect())
}

/// Every neighbour entry of a family.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn neighbours(netlink: &mut Netlink, family: Family) -> Result<Vec<Neighbour>> {
    let replies = netlink
        .dump(&message::get_neighbours(family))
        .map_err(|failure| refused("list neighbours", &failure))?;
    Ok(replies.iter().filter_map(Neighbour::decode).collect())
}

/// Every address of a family that a link answers for without holding it.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn proxies(netlink: &mut Netlink, family: Family) -> Result<Vec<Neighbour>> {
    let replies =
        netlink.dump(&message::get_proxies(family)).map_err(|failure| refused("list proxies", &failure))?;
    Ok(replies.iter().filter_map(Neighbour::decode).filter(|entry| entry.proxy).collect())
}

/// The entry of the routing table that a packet to `address` uses; with a link, one that leads to it.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn route(netlink: &mut Netlink, address: IpAddr, link: Option<u32>) -> Result<Option<Route>> {
    let reply = netlink
        .ask(message::get_route(address, link), &NO_ROUTE)
        .map_err(|failure| refused(&format!("look up {address}"), &failure))?;
    Ok(reply.as_ref().and_then(Route::decode))
}

/// Lets packets to ::1 in by a link, which has to be up for that.
///
/// # Errors
/// Code 5 if the kernel refuses.
pub fn lead_to_loopback(netlink: &mut Netlink, link: u32) -> Result<()> {
    netlink
        .exchange(&[message::raise(link), message::add_loopback_route(link)])
        .map(drop)
        .map_err(|failure| refused("add the route to ::1 by the host end", &failure))
}

/// Whether [`lead_to_loopback`] is in effect.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn leads_to_loopback(netlink: &mut Netlink, link: u32) -> Result<bool> {
    let local = routes(netlink, Family::V6, Some(libc::RT_TABLE_LOCAL.into()))?;
    let one = Some(Ipv6Addr::LOCALHOST.into());
    Ok(local.iter().any(|route| route.local && route.destination == one && route.links.contains(&link)))
}

/// Whether somebody has `address`: a route leads to it and to nothing else. It may be a pod
/// whose reservation was lost, or the host itself.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn is_live(netlink: &mut Netlink, address: IpAddr) -> Result<bool> {
    let bits = Family::of(address).bits();
    Ok(route(netlink, address, None)?.is_some_and(|route| route.length == bits))
}

/// The smallest MTU of the links that `carries` a route for.
///
/// # Errors
/// Code 5 if the kernel does not tell.
pub fn smallest_mtu(
    netlink: &mut Netlink,
    carries: impl Fn(&Route) -> bool,
    uplink: impl Fn(&Link) -> bool,
) -> Result<Option<u32>> {
    let mut carrying = BTreeSet::new();
    for family in Family::ALL {
        let routes = routes(netlink, family, Some(libc::RT_TABLE_MAIN.into()))?;
        carrying.extend(
            routes.iter().filter(|route| carries(route)).flat_map(|route| route.links.iter().copied()),
        );
    }
    if carrying.is_empty() {
        return Ok(None);
    }
    Ok(links(netlink)?
        .iter()
        .filter(|link| carrying.contains(&link.index) && uplink(link))
        .map(|link| link.mtu)
        .min())
}
