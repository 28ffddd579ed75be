//! CHECK: is each step of the plan still in effect, on both sides of the link?
//!
//! The expectation is the plan of the reservation, so whatever ADD does is checked by
//! construction. Where a later plugin may have changed something (MAC address and MTU of
//! the pod's end), `prevResult` tells what holds.

use std::ffi::OsString;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::attachment::{Attachment, Mac};
use crate::catalogue;
use crate::command::Target;
use crate::conf::{Document, Network};
use crate::delegate::Delegate;
use crate::error::{Code, Error, Result};
use crate::fact::{Address, Link, Neighbour, Route};
use crate::feature::Site;
use crate::hop;
use crate::ipam::Family;
use crate::kernel;
use crate::netlink::Netlink;
use crate::plan::{Plan, Side, Step, Sysctl, Wanted};
use crate::result::{PrevInterface, PrevResult};
use crate::store::{Store, boot_id};
use crate::sysctl;

/// What the kernel shows of an attachment.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The ends of the link.
    pub host: End,
    /// The container's end.
    pub pod: End,
    /// Routes in the container, of all tables: a later plugin may have moved ours.
    pub pod_routes: Vec<Route>,
    /// Neighbours in the container.
    pub pod_neighbours: Vec<Neighbour>,
    /// Addresses that links of the host answer for.
    pub host_proxies: Vec<Neighbour>,
    /// For each of the pod's addresses the route that the host uses.
    pub host_routes: Vec<(IpAddr, Route)>,
    /// Sysctls of the host end.
    pub sysctls: Vec<(Sysctl, String)>,
}

/// One end of the link.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// The link.
    pub link: Option<Link>,
    /// Its addresses.
    pub addresses: Vec<Address>,
}

/// Carries out CHECK.
///
/// # Errors
/// Code 3 without a reservation, 7 without a `prevResult`, 102 with everything that is missing or changed.
pub fn check(
    target: &Target,
    document: &Document,
    network: &Network,
    search: Option<OsString>,
) -> Result<()> {
    let previous = network
        .prev_result
        .as_ref()
        .ok_or_else(|| Error::new(Code::Config, "network configuration: prevResult is missing"))?;
    let netns = kernel::namespace(target)?;
    let attachment = &target.attachment;
    let store = Store::open(&document.state_dir, &document.name, &boot_id()?)?;
    let reservation = store.ledger().find(attachment).ok_or_else(|| {
        Error::new(
            Code::UnknownContainer,
            format!(
                "no address is reserved for {} of container {}",
                attachment.interface(),
                attachment.container()
            ),
        )
    })?;
    let hops = hop::recalled(reservation.routes.as_deref(), &reservation.addresses);
    let plan = Plan::new(&Wanted {
        attachment,
        network: &document.name,
        addresses: &reservation.addresses,
        hops: &hops,
        pod_mac: reservation.mac.as_deref().and_then(Mac::parse).unwrap_or_else(|| attachment.pod_mac()),
        mtu: network.mtu.or(reservation.mtu).unwrap_or_default(),
        anti_spoof: network.anti_spoof,
        ipv6_disabled: &[],
        extras: &[],
    });
    let (mut host, mut pod) = (kernel::open()?, netns.run(kernel::open)??);
    let seen = look(&mut host, &mut pod, attachment, &reservation.addresses)?;
    let mut faults = faults(&plan, &seen);
    if let (Some(near), Some(far)) = (&seen.host.link, &seen.pod.link) {
        let mut site = Site {
            network: &document.name,
            attachment,
            addresses: &reservation.addresses,
            holder: reservation.holder(),
            mtu: reservation.mtu.unwrap_or(near.mtu),
            host_link: &near.name,
            host_index: near.index,
            pod_index: far.index,
            host: &mut host,
            pod: &mut pod,
            netns: &netns,
        };
        faults.extend(catalogue::faults(&reservation.features, &mut site)?);
    }
    for family in Family::ALL {
        let needed = reservation.addresses.iter().any(|address| Family::of(*address) == family);
        if needed && !sysctl::forwards(family)? {
            faults.push(format!("the node does not forward {}", family.as_str()));
        }
    }
    let mtu = network.mtu.or(reservation.mtu);
    faults.extend(contradictions(&seen, previous, &reservation.addresses, mtu, attachment));
    faults.extend(elsewhere(&seen, previous, target));
    if let Some(kind) = &network.ipam {
        faults.extend(Delegate::find(document, kind, search)?.check().err().map(|error| error.to_string()));
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Error::new(Code::Damaged, faults.join("; ")))
}

fn look(
    host: &mut Netlink,
    pod: &mut Netlink,
    attachment: &Attachment,
    addresses: &[IpAddr],
) -> Result<Seen> {
    let mut seen = Seen {
        host: end(host, &attachment.link_name())?,
        pod: end(pod, attachment.interface())?,
        ..Seen::default()
    };
    for family in Family::ALL {
        seen.pod_routes.extend(kernel::routes(pod, family, None)?);
        seen.pod_neighbours.extend(kernel::neighbours(pod, family)?);
    }
    for family in Family::ALL {
        seen.host_proxies.extend(kernel::proxies(host, family)?);
    }
    for address in addresses {
        seen.host_routes.extend(kernel::route(host, *address, None)?.map(|route| (*address, route)));
    }
    for sysctl in [Sysctl::RpFilter, Sysctl::AcceptRa, Sysctl::ProxyDelay, Sysctl::ProxyNdp] {
        seen.sysctls.extend(sysctl::value(sysctl, &attachment.link_name())?.map(|value| (sysctl, value)));
    }
    Ok(seen)
}

fn end(netlink: &mut Netlink, name: &str) -> Result<End> {
    let Some(link) = kernel::link(netlink, name)? else { return Ok(End::default()) };
    let addresses = kernel::addresses(netlink, link.index)?;
    Ok(End { link: Some(link), addresses })
}

/// Every step of `plan` that is not in effect in `seen`, in words.
pub fn faults(plan: &Plan, seen: &Seen) -> Vec<String> {
    let (Some(host), Some(pod)) = (&seen.host.link, &seen.pod.link) else {
        let missing = |end: &End, name: &str, place: &str| {
            end.link.is_none().then(|| format!("link {name} is missing {place}"))
        };
        let host = missing(&seen.host, &plan.pair.host, "on the host");
        return host.into_iter().chain(missing(&seen.pod, &plan.pair.pod, "in the container")).collect();
    };
    plan.steps.iter().filter_map(|step| fault(plan, step, seen, host, pod)).collect()
}

fn fault(plan: &Plan, step: &Step, seen: &Seen, host: &Link, pod: &Link) -> Option<String> {
    let (link, addresses) = match step {
        Step::AddAddress(Side::Pod, _) | Step::Raise(Side::Pod) | Step::Await(Side::Pod, _) => {
            (pod, &seen.pod.addresses)
        }
        _ => (host, &seen.host.addresses),
    };
    let name = &link.name;
    match step {
        Step::CreatePair(_) => {
            let paired = host.peer == Some(pod.index) && pod.peer == Some(host.index);
            (!paired || host.kind != "veth")
                .then(|| format!("{} and {} are not two ends of one link", host.name, pod.name))
        }
        Step::SetSysctl(_, sysctl, wanted) => {
            let value =
                seen.sysctls.iter().find(|(other, _)| other == sysctl).map(|(_, value)| value.as_str());
            (value != Some(wanted.to_string().as_str()))
                .then(|| format!("{sysctl:?} of {name} is {}, not {wanted}", value.unwrap_or("missing")))
        }
        Step::Describe(alias) => {
            (link.alias != *alias).then(|| format!("alias of {name} is {:?}, not {alias:?}", link.alias))
        }
        Step::AddAddress(_, address) => {
            let bits = Family::of(*address).bits();
            let there = addresses.iter().any(|other| other.address == *address && other.length == bits);
            (!there).then(|| format!("address {address} is missing on {name}"))
        }
        Step::Raise(_) => (!link.up).then(|| format!("{name} is down")),
        Step::AddNeighbour(address, _) => {
            let entry = seen
                .pod_neighbours
                .iter()
                .find(|entry| entry.link == pod.index && entry.address == *address && entry.permanent);
            match entry {
                // The kernel dropped it when a later plugin changed the MAC address.
                None if pod.mac != Some(plan.pair.pod_mac) => None,
                None => Some(format!("permanent neighbour {address} is missing in the container")),
                Some(entry) => (entry.mac != host.mac).then(|| {
                    format!("neighbour {address} in the container has not the MAC address of {}", host.name)
                }),
            }
        }
        Step::AddProxy(address) => {
            let there =
                seen.host_proxies.iter().any(|entry| entry.link == host.index && entry.address == *address);
            (!there).then(|| format!("{name} does not answer ARP for {address}"))
        }
        // Without it ours work all the same, and who needed it may have moved it.
        Step::AddLinkRoute(_) => None,
        Step::AddRoute(hop) => {
            let net = hop.route.dst;
            let destination = Some(net.network()).filter(|_| net.prefix_len() > 0);
            let there = seen.pod_routes.iter().any(|route| {
                (route.destination, route.length) == (destination, net.prefix_len())
                    && route.gateway == Some(hop.gateway)
                    && route.links.contains(&pod.index)
            });
            let what = if net.prefix_len() == 0 { "default route".into() } else { format!("route to {net}") };
            (!there).then(|| format!("{what} by {} is missing in the container", hop.gateway))
        }
        Step::AddHostRoute(address) => {
            let bits = Family::of(*address).bits();
            let there = seen.host_routes.iter().any(|(of, route)| {
                of == address && route.length == bits && route.links == [host.index] && !route.local
            });
            (!there).then(|| format!("route to {address} by {} is missing on the host", host.name))
        }
        // Each feature tells its own faults.
        Step::Install(_) => None,
        Step::Await(..) => (link.up && !link.forwards).then(|| format!("{name} has no carrier")),
    }
}

/// Where the result that the runtime kept contradicts reservation, configuration or kernel.
pub fn contradictions(
    seen: &Seen,
    previous: &PrevResult,
    addresses: &[IpAddr],
    mtu: Option<u32>,
    attachment: &Attachment,
) -> Vec<String> {
    let mut faults = Vec::new();
    for address in addresses {
        if !previous.ips.iter().any(|ip| ip.address.addr() == *address) {
            faults.push(format!("prevResult lacks the reserved address {address}"));
        }
    }
    let of = |name: &str, inside: bool| {
        previous
            .interfaces
            .iter()
            .find(|interface| interface.name == name && interface.sandbox.is_empty() != inside)
    };
    let host = of(&attachment.link_name(), false);
    let pod = of(attachment.interface(), true);
    if pod.is_none() {
        faults.push(format!("prevResult lacks the interface {}", attachment.interface()));
    }
    for (end, told, mtu) in [(&seen.host, host, mtu), (&seen.pod, pod, mtu)] {
        let Some(link) = &end.link else { continue };
        let mac = told.map(|told| told.mac.to_ascii_lowercase()).filter(|mac| !mac.is_empty());
        let actual = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
        if let Some(mac) = mac.filter(|mac| *mac != actual) {
            faults.push(format!("MAC address of {} is {actual}, not {mac}", link.name));
        }
        if let Some(mtu) = told.and_then(|told| told.mtu).or(mtu).filter(|mtu| *mtu != 0 && *mtu != link.mtu)
        {
            faults.push(format!("MTU of {} is {}, not {mtu}", link.name, link.mtu));
        }
    }
    faults
}

/// Where the result that the runtime kept tells of another namespace, or of routes that nobody made.
fn elsewhere(seen: &Seen, previous: &PrevResult, target: &Target) -> Vec<String> {
    let (name, sandbox) = (target.attachment.interface(), target.netns.as_deref().unwrap_or_default());
    let inside = |interface: &&PrevInterface| interface.name == name && !interface.sandbox.is_empty();
    let moved = previous.interfaces.iter().find(inside).filter(|interface| interface.sandbox != sandbox);
    let moved =
        moved.map(|interface| format!("prevResult has {name} in {}, not in {sandbox}", interface.sandbox));
    let told = previous.routes.iter().filter_map(|route| route["dst"].as_str()?.parse::<IpNet>().ok());
    let missing = told.filter(|net| {
        let destination = Some(net.network()).filter(|_| net.prefix_len() > 0);
        !seen.pod_routes.iter().any(|route| {
            let family =
                route.destination.or(route.gateway).is_none_or(|of| of.is_ipv4() == net.addr().is_ipv4());
            family && (route.destination, route.length) == (destination, net.prefix_len())
        })
    });
    moved
        .into_iter()
        .chain(missing.map(|net| format!("prevResult's route to {net} is missing in the container")))
        .collect()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
