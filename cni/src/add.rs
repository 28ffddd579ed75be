//! ADD: an address of each family, a link, routes; or nothing at all.
//!
//! The store stays locked from the choice of an address to the end of the plan, so for
//! every other call "reserved, but neither link nor route" means dead, not unfinished.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::IpAddr;

use api::netconf::LEARNED_ROUTE_PROTOCOL;
use serde_json::Value;

use crate::attachment::{Mac, is_link_name};
use crate::catalogue::{self, Equipped};
use crate::choice::{Choice, drop_dead};
use crate::command::{Args, Target};
use crate::conf::{Document, Network};
use crate::delegate::{Delegate, Given};
use crate::error::{Code, Error, Result};
use crate::fact::{Link, Route};
use crate::hop::{self, Paths};
use crate::ipam::Family;
use crate::kernel::{self, Ends};
use crate::ledger::Reservation;
use crate::netlink::Netlink;
use crate::netns::Namespace;
use crate::plan::{Extra, Plan, Side, Sysctl, Wanted, execute};
use crate::result::{Added, Dns, PrevResult};
use crate::store::{Store, boot_id};
use crate::sysctl;

/// MTU where neither the configuration nor an uplink tells one, bytes.
const MTU_DEFAULT: u32 = 1_500;

/// How often another address is tried after the kernel said that one is routed elsewhere.
/// It has been asked before, so once is rare and twice means that somebody races with us.
const ATTEMPTS: usize = 8;

/// Carries out ADD and returns its result. `search` is `CNI_PATH`, for an IPAM plugin.
///
/// # Errors
/// Whatever went wrong; nothing of the attachment is left then.
pub fn add(
    target: &Target,
    args: &Args,
    document: &Document,
    network: &Network,
    search: Option<OsString>,
) -> Result<Value> {
    let mut call = Call {
        target,
        document,
        network,
        previous: accept_previous(network)?,
        asked: Asked::new(network, args)?,
        extras: catalogue::extras(document, network)?,
        pod: args.pod.as_deref(),
        site: Site::enter(target)?,
    };
    let Some(kind) = &network.ipam else { return call.in_pools() };
    let delegate = Delegate::find(document, kind, search)?;
    // Before addresses are asked for: to give them back would take those of the other attachment.
    call.refuse_existing()?;
    let added = delegate.add().and_then(|given| call.given(&given));
    added.map_err(|error| match delegate.del(None) {
        Ok(()) => error,
        Err(second) => error.and(&format!("not given back: {second}")),
    })
}

/// One ADD, all of it checked and nothing made yet.
struct Call<'a> {
    target: &'a Target,
    document: &'a Document,
    network: &'a Network,
    previous: PrevResult,
    asked: Asked,
    extras: Vec<Extra>,
    pod: Option<&'a str>,
    site: Site,
}

/// Both namespaces.
struct Site {
    netns: Namespace,
    pod: Netlink,
    host: Netlink,
    pod_ipv6_off: bool,
}

impl Site {
    /// Opens the container's namespace; the socket in it proves that it can be entered.
    fn enter(target: &Target) -> Result<Self> {
        let netns = kernel::namespace(target)?;
        let (socket, ipv6_off) = netns.run(|| (kernel::open(), ipv6_is_off()))?;
        Ok(Self { netns, pod: socket?, host: kernel::open()?, pod_ipv6_off: ipv6_off? })
    }
}

impl Call<'_> {
    /// Addresses out of the subnets.
    fn in_pools(&mut self) -> Result<Value> {
        let mut store = self.open()?;
        let choice = Choice::new(&self.document.name, self.network, self.asked.ips.clone());
        let mut refused = BTreeSet::new();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let addresses = choice.addresses(&mut store, &mut self.site.host, &refused)?;
            match self.attach(&mut store, &addresses, &[], &Given::default()) {
                // The kernel has the last word on which address is free.
                Err(error)
                    if error.code == Code::AddressInUse
                        && self.asked.ips.is_empty()
                        && attempt < ATTEMPTS =>
                {
                    refused.extend(addresses);
                }
                other => return other,
            }
        }
    }

    /// Addresses of an IPAM plugin.
    fn given(&mut self, given: &Given) -> Result<Value> {
        let network = self.network;
        let inside = |address: &&IpAddr| network.pools.iter().any(|pool| pool.is_host(**address));
        let restricted = !network.host_routes && !network.pools.is_empty();
        if let Some(outside) = given.addresses.iter().find(|address| restricted && !inside(address)) {
            let text =
                format!("the ipam plugin's address {outside} is outside of subnets, without hostRoutes");
            return Err(Error::new(Code::Config, text));
        }
        let mut store = self.open()?;
        self.attach(&mut store, &given.addresses, &given.gateways, given)
    }

    fn refuse_existing(&mut self) -> Result<()> {
        let attachment = &self.target.attachment;
        let there = kernel::link(&mut self.site.host, &attachment.link_name())?.is_some()
            || kernel::link(&mut self.site.pod, attachment.interface())?.is_some();
        if there { Err(exists(self.target)) } else { Ok(()) }
    }

    /// The store, once it is sure that the attachment is new and its features are admitted.
    fn open(&mut self) -> Result<Store> {
        let attachment = &self.target.attachment;
        let mut store = Store::open(&self.document.state_dir, &self.document.name, &boot_id()?)?;
        self.refuse_existing()?;
        if catalogue::admit(&self.extras, attachment, store.ledger().reservations()).is_err() {
            drop_dead(&self.document.name, &mut store, &mut self.site.host)?;
            catalogue::admit(&self.extras, attachment, store.ledger().reservations())?;
        }
        Ok(store)
    }

    /// Reserves, then carries the plan out; what failed is not reserved.
    fn attach(
        &mut self,
        store: &mut Store,
        addresses: &[IpAddr],
        gateways: &[IpAddr],
        given: &Given,
    ) -> Result<Value> {
        let (document, network, attachment) = (self.document, self.network, &self.target.attachment);
        let site = &mut self.site;
        let mtu = match network.mtu {
            Some(mtu) => mtu,
            None => uplink_mtu(&mut site.host)?.unwrap_or(MTU_DEFAULT),
        };
        let gateways = [&network.gateways, gateways].concat();
        let routes = [&network.routes[..], &given.routes].concat();
        let others = default_routes(&mut site.pod, addresses)?;
        let paths = Paths {
            addresses,
            gateways: &gateways,
            routes: &routes,
            default_route: network.default_route,
            others: &others,
        };
        let hops = hop::hops(&paths);
        let off = prepare(addresses, site.pod_ipv6_off)?;
        let wanted = Wanted {
            attachment,
            network: &document.name,
            addresses,
            hops: &hops,
            pod_mac: self.asked.mac.unwrap_or_else(|| attachment.pod_mac()),
            mtu,
            anti_spoof: network.anti_spoof,
            ipv6_disabled: &off,
            extras: &self.extras,
        };
        let plan = Plan::new(&wanted);
        store.ledger_mut().reserve(reservation(&plan, &wanted, self.pod));
        store.save()?;
        let link = attachment.link_name();
        let mut kernel = Equipped {
            ends: Ends::new(&mut site.host, &mut site.pod, &site.netns, &link, attachment.interface()),
            network: &document.name,
            attachment,
            addresses,
            holder: self.pod.unwrap_or(attachment.container()),
            mtu,
        };
        execute(&plan, &mut kernel).map_err(|error| {
            store.ledger_mut().release(attachment);
            match store.save_release() {
                Ok(()) => error,
                Err(second) => error.and(&format!("not released: {second}")),
            }
        })?;
        catalogue::mend(&document.name, store.ledger().reservations(), &mut site.host);
        let named = |dns: &&Dns| **dns != Dns::default();
        let dns = [&network.dns, &given.dns].into_iter().find(named).unwrap_or(&self.previous.dns);
        let added = Added {
            version: document.version,
            pair: &plan.pair,
            sandbox: self.target.netns.as_deref().unwrap_or_default(),
            addresses,
            gateways: &gateways,
            hops: &hops,
            dns,
            routes: &self.previous.routes,
        };
        Ok(added.to_json())
    }
}

fn reservation(plan: &Plan, wanted: &Wanted<'_>, pod: Option<&str>) -> Reservation {
    Reservation {
        container: wanted.attachment.container().into(),
        interface: wanted.attachment.interface().into(),
        link: plan.pair.host.clone(),
        mac: Some(plan.pair.pod_mac.to_string()),
        mtu: Some(wanted.mtu),
        addresses: wanted.addresses.to_vec(),
        routes: hop::kept(wanted.hops, wanted.addresses),
        pod: pod.map(str::to_owned),
        features: catalogue::kept(wanted.extras),
    }
}

/// The highest metric of the default routes that other interfaces of the pod have, by family.
fn default_routes(pod: &mut Netlink, addresses: &[IpAddr]) -> Result<BTreeMap<Family, u32>> {
    let mut highest = BTreeMap::new();
    for family in Family::ALL {
        if !addresses.iter().any(|address| Family::of(*address) == family) {
            continue;
        }
        let routes = kernel::routes(pod, family, Some(libc::RT_TABLE_MAIN.into()))?;
        // One that drops is no other attachment, and not ours to go round.
        let defaults = routes.iter().filter(|route| route.length == 0 && route.unicast);
        highest.extend(defaults.map(|route| route.metric).max().map(|metric| (family, metric)));
    }
    Ok(highest)
}

/// Makes the node forward, and tells on which sides new interfaces start without IPv6.
fn prepare(addresses: &[IpAddr], pod_ipv6_off: bool) -> Result<Vec<Side>> {
    let mut off = Vec::new();
    for family in Family::ALL {
        if addresses.iter().any(|address| Family::of(*address) == family) {
            sysctl::enable_forwarding(family)?;
            if family == Family::V6 {
                off.extend(ipv6_is_off()?.then_some(Side::Host));
                off.extend(pod_ipv6_off.then_some(Side::Pod));
            }
        }
    }
    Ok(off)
}

/// What the runtime asks for beyond an attachment.
#[derive(Debug)]
struct Asked {
    ips: Vec<IpAddr>,
    mac: Option<Mac>,
}

impl Asked {
    /// The capabilities win over `CNI_ARGS`. Each address must be one that a pod may have, unless
    /// the IPAM plugin is to judge, which gets the same request.
    fn new(network: &Network, args: &Args) -> Result<Self> {
        let mac = network.mac.or(args.mac);
        if network.ipam.is_some() {
            return Ok(Self { ips: Vec::new(), mac });
        }
        let ips = if network.ips.is_empty() { args.ips.clone() } else { network.ips.clone() };
        for (at, address) in ips.iter().enumerate() {
            let fine = network.host_routes && !is_special(*address);
            if !fine && !network.pools.iter().any(|pool| pool.is_host(*address)) {
                let text =
                    format!("the requested address {address} is no host of the subnets, without hostRoutes");
                return Err(Error::new(Code::Config, text));
            }
            if ips[..at].iter().any(|other| Family::of(*other) == Family::of(*address)) {
                let text = format!("more than one {} address is requested", Family::of(*address).as_str());
                return Err(Error::new(Code::Config, text));
            }
        }
        Ok(Self { ips, mac })
    }
}

/// Addresses that no pod can have anywhere.
fn is_special(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast() || address.is_loopback()
}

/// We are the first of our chain: what came before may have told names, but made no interface.
fn accept_previous(network: &Network) -> Result<PrevResult> {
    let previous = network.prev_result.clone().unwrap_or_default();
    if previous.interfaces.is_empty() && previous.ips.is_empty() {
        return Ok(previous);
    }
    Err(Error::new(
        Code::Config,
        "network configuration: prevResult has interfaces; this plugin must be the first of its chain",
    ))
}

fn ipv6_is_off() -> Result<bool> {
    Ok(sysctl::value(Sysctl::DisableIpv6, "default")?.is_some_and(|value| value != "0"))
}

fn exists(target: &Target) -> Error {
    let attachment = &target.attachment;
    Error::new(
        Code::Exists,
        format!("container {} already has an interface {}", attachment.container(), attachment.interface()),
    )
}

fn uplink_mtu(host: &mut Netlink) -> Result<Option<u32>> {
    let carries = |route: &Route| route.length == 0 || route.protocol == LEARNED_ROUTE_PROTOCOL;
    let uplink = |link: &Link| !link.loopback && !is_link_name(&link.name);
    kernel::smallest_mtu(host, carries, uplink)
}
