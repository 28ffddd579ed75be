//! ADD: an address of each family, a link, routes; or nothing at all.
//!
//! The store stays locked from the choice of an address to the end of the plan, so for
//! every other call "reserved, but neither link nor route" means dead, not unfinished.

use std::collections::BTreeSet;
use std::net::IpAddr;

use api::netconf::LEARNED_ROUTE_PROTOCOL;
use serde_json::Value;

use crate::attachment::{Mac, is_link_name};
use crate::catalogue::{self, Equipped};
use crate::command::{Args, Target};
use crate::conf::{Document, Network};
use crate::error::{Code, Error, Result};
use crate::fact::{Link, Route};
use crate::ipam::{Family, NoAddress, Pool, pick};
use crate::kernel::{self, Ends};
use crate::ledger::Reservation;
use crate::netlink::Netlink;
use crate::netns::Namespace;
use crate::plan::{Plan, Side, Sysctl, Wanted, execute};
use crate::result::{Added, Dns, PrevResult};
use crate::store::{Store, boot_id};
use crate::sysctl;

/// MTU where neither the configuration nor an uplink tells one, bytes.
const MTU_DEFAULT: u32 = 1_500;

/// How often another address is tried after the kernel said that one is routed elsewhere.
/// It has been asked before, so once is rare and twice means that somebody races with us.
const ATTEMPTS: usize = 8;

/// Carries out ADD and returns its result.
///
/// # Errors
/// Whatever went wrong; nothing of the attachment is left then.
pub fn add(target: &Target, args: &Args, document: &Document, network: &Network) -> Result<Value> {
    let previous = accept_previous(network)?;
    let asked = Asked::new(network, args)?;
    let extras = catalogue::extras(document, network)?;
    let (netns, mut pod, pod_ipv6_off) = enter(target)?;
    let mut host = kernel::open()?;
    for pool in &network.pools {
        sysctl::enable_forwarding(pool.family())?;
    }
    let mtu = match network.mtu {
        Some(mtu) => mtu,
        None => uplink_mtu(&mut host)?.unwrap_or(MTU_DEFAULT),
    };
    let mut off = Vec::new();
    if network.pools.iter().any(|pool| pool.family() == Family::V6) {
        off.extend(ipv6_is_off()?.then_some(Side::Host));
        off.extend(pod_ipv6_off.then_some(Side::Pod));
    }

    let attachment = &target.attachment;
    let mut store = Store::open(&document.state_dir, &document.name, &boot_id()?)?;
    if kernel::link(&mut host, &attachment.link_name())?.is_some() {
        return Err(exists(target));
    }
    let pod_mac = asked.mac.unwrap_or_else(|| attachment.pod_mac());
    if catalogue::admit(&extras, attachment, store.ledger().reservations()).is_err() {
        drop_dead(&document.name, &mut store, &mut host)?;
        catalogue::admit(&extras, attachment, store.ledger().reservations())?;
    }
    let mut refused = BTreeSet::new();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let addresses = choose(&document.name, &mut store, &mut host, network, &asked.ips, &refused)?;
        let wanted = Wanted {
            attachment,
            network: &document.name,
            addresses: &addresses,
            pod_mac,
            mtu,
            anti_spoof: network.anti_spoof,
            ipv6_disabled: &off,
            extras: &extras,
        };
        let plan = Plan::new(&wanted);
        let ends = Ends::new(&mut host, &mut pod, &netns, &attachment.link_name(), attachment.interface());
        let mut kernel = Equipped {
            ends,
            network: &document.name,
            attachment,
            addresses: &addresses,
            holder: args.pod.as_deref().unwrap_or(attachment.container()),
            mtu,
        };
        match attach(&mut store, &mut kernel, &plan, &wanted, args.pod.as_deref()) {
            Ok(()) => return Ok(render(&plan, target, document, network, &previous, &addresses)),
            // The kernel has the last word on which address is free.
            Err(error) if error.code == Code::AddressInUse && asked.ips.is_empty() && attempt < ATTEMPTS => {
                refused.extend(addresses);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reserves, then carries the plan out; what failed is not reserved.
fn attach(
    store: &mut Store,
    kernel: &mut Equipped<'_, '_>,
    plan: &Plan,
    wanted: &Wanted<'_>,
    pod: Option<&str>,
) -> Result<()> {
    store.ledger_mut().reserve(Reservation {
        container: wanted.attachment.container().into(),
        interface: wanted.attachment.interface().into(),
        link: plan.pair.host.clone(),
        mac: Some(plan.pair.pod_mac.to_string()),
        mtu: Some(wanted.mtu),
        addresses: wanted.addresses.to_vec(),
        pod: pod.map(str::to_owned),
        features: catalogue::kept(wanted.extras),
    });
    store.save()?;
    execute(plan, kernel).map_err(|error| {
        store.ledger_mut().release(wanted.attachment);
        match store.save_release() {
            Ok(()) => error,
            Err(second) => error.and(&format!("not released: {second}")),
        }
    })
}

/// What the runtime asks for beyond an attachment.
#[derive(Debug)]
struct Asked {
    ips: Vec<IpAddr>,
    mac: Option<Mac>,
}

impl Asked {
    /// The capabilities win over `CNI_ARGS`, each address must be one that may be handed out.
    fn new(network: &Network, args: &Args) -> Result<Self> {
        let ips = if network.ips.is_empty() { args.ips.clone() } else { network.ips.clone() };
        for (at, address) in ips.iter().enumerate() {
            if !network.pools.iter().any(|pool| pool.contains(*address)) {
                let text = format!("the requested address {address} is not one that the subnets hand out");
                return Err(Error::new(Code::Config, text));
            }
            if ips[..at].iter().any(|other| Family::of(*other) == Family::of(*address)) {
                let text = format!("more than one {} address is requested", Family::of(*address).as_str());
                return Err(Error::new(Code::Config, text));
            }
        }
        Ok(Self { ips, mac: network.mac.or(args.mac) })
    }
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

/// Opens the container's namespace; the socket in it proves that it can be entered.
fn enter(target: &Target) -> Result<(Namespace, Netlink, bool)> {
    let netns = kernel::namespace(target)?;
    let (socket, ipv6_off) = netns.run(|| (kernel::open(), ipv6_is_off()))?;
    Ok((netns, socket?, ipv6_off?))
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

/// One address a family: the one asked for, or the next that is free.
fn choose(
    name: &str,
    store: &mut Store,
    host: &mut Netlink,
    network: &Network,
    asked: &[IpAddr],
    refused: &BTreeSet<IpAddr>,
) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::with_capacity(network.pools.len());
    for pool in &network.pools {
        let wanted = asked.iter().copied().find(|address| Family::of(*address) == pool.family());
        let address = match wanted {
            Some(address) => claim(name, store, host, address)?,
            None => next_free(name, store, host, pool, refused)?,
        };
        addresses.push(address);
    }
    Ok(addresses)
}

/// An address that somebody asked for.
fn claim(name: &str, store: &mut Store, host: &mut Netlink, address: IpAddr) -> Result<IpAddr> {
    if store.ledger().holder(address).is_some() {
        drop_dead(name, store, host)?;
    }
    if let Some(holder) = store.ledger().holder(address) {
        let text = format!("the requested address {address} is in use by {}", holder.holder());
        return Err(Error::new(Code::AddressInUse, text));
    }
    if kernel::is_live(host, address)? {
        let text = format!("the requested address {address} is in use: the host has a route to it");
        return Err(Error::new(Code::AddressInUse, text));
    }
    Ok(address)
}

fn next_free(
    name: &str,
    store: &mut Store,
    host: &mut Netlink,
    pool: &Pool,
    refused: &BTreeSet<IpAddr>,
) -> Result<IpAddr> {
    for heal in [true, false] {
        let mut taken = store.ledger().taken();
        taken.extend(refused);
        match pick(pool, store.ledger().last(pool.family()), &taken, |address| kernel::is_live(host, address))
        {
            Ok(address) => return Ok(address),
            Err(NoAddress::Unknown(error)) => return Err(error),
            Err(NoAddress::Exhausted) if heal => drop_dead(name, store, host)?,
            Err(NoAddress::Exhausted) => {}
        }
    }
    let text = format!("no free {} address", pool.family().as_str());
    Err(Error::new(Code::TryAgain, text).with_details(store.ledger().usage(pool)))
}

/// Drops reservations of which nothing is left in the kernel: their pods ended without a DEL.
fn drop_dead(network: &str, store: &mut Store, host: &mut Netlink) -> Result<()> {
    let links: BTreeSet<String> = kernel::links(host)?.into_iter().map(|link| link.name).collect();
    let mut alive = BTreeSet::new();
    for reservation in store.ledger().reservations() {
        let mut live = links.contains(&reservation.link);
        for address in &reservation.addresses {
            live = live || kernel::is_live(host, *address)?;
        }
        if live {
            alive.insert(reservation.link.clone());
        }
    }
    for reservation in store.ledger().reservations() {
        // One that does not go keeps its reservation, and with it the knowledge of what is left.
        if !alive.contains(&reservation.link)
            && catalogue::remove(network, &reservation.link, Some(reservation), host).is_err()
        {
            alive.insert(reservation.link.clone());
        }
    }
    store.ledger_mut().retain(|reservation| alive.contains(&reservation.link));
    Ok(())
}

fn uplink_mtu(host: &mut Netlink) -> Result<Option<u32>> {
    let carries = |route: &Route| route.length == 0 || route.protocol == LEARNED_ROUTE_PROTOCOL;
    let uplink = |link: &Link| !link.loopback && !is_link_name(&link.name);
    kernel::smallest_mtu(host, carries, uplink)
}

fn render(
    plan: &Plan,
    target: &Target,
    document: &Document,
    network: &Network,
    previous: &PrevResult,
    addresses: &[IpAddr],
) -> Value {
    let added = Added {
        version: document.version,
        pair: &plan.pair,
        sandbox: target.netns.as_deref().unwrap_or_default(),
        addresses,
        dns: if network.dns == Dns::default() { &previous.dns } else { &network.dns },
        routes: &previous.routes,
    };
    added.to_json()
}
