//! Where packets of a pod go: its routes, each with its next hop. Pure.
//!
//! Every next hop is the host end of the link, whatever its address: the pod has a permanent
//! neighbour entry for each, and the host answers for it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::netconf::Route;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::ipam::Family;

/// The next hop of each pod's IPv4 default route; no interface holds it.
pub const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));

/// The next hop of each pod's IPv6 default route, and the address of each host end.
pub const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

/// Added to the metric of the default route before ours: behind the kernel's 1024 for IPv6.
const METRIC_STEP: u32 = 1_024;

/// A route of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its next hop, which is on the link though no prefix says so.
    pub gateway: IpAddr,
    /// Everything else.
    pub route: Route,
}

/// What the routes of a pod follow from.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// The pod's addresses; routes of other families are left out.
    pub addresses: &'a [IpAddr],
    /// Gateways other than ours, at most one a family.
    pub gateways: &'a [IpAddr],
    /// Routes beside the default routes.
    pub routes: &'a [Route],
    /// Whether there are default routes.
    pub default_route: bool,
    /// For each family the highest metric of the default routes that the pod has by other
    /// interfaces: ours comes behind them.
    pub others: &'a BTreeMap<Family, u32>,
}

/// The prefix of a family's default route.
pub fn any(family: Family) -> IpNet {
    match family {
        Family::V4 => Ipv4Net::default().into(),
        Family::V6 => Ipv6Net::default().into(),
    }
}

/// The next hop of a family.
pub fn gateway(family: Family, gateways: &[IpAddr]) -> IpAddr {
    let ours = if family == Family::V4 { GATEWAY_V4 } else { GATEWAY_V6 };
    gateways.iter().copied().find(|gateway| Family::of(*gateway) == family).unwrap_or(ours)
}

/// The routes of a pod: the default route of each family unless one is among the others, then those.
pub fn hops(paths: &Paths<'_>) -> Vec<Hop> {
    let mut hops = Vec::new();
    for family in Family::ALL {
        if !paths.addresses.iter().any(|address| Family::of(*address) == family) {
            continue;
        }
        let own = || paths.routes.iter().filter(|route| Family::of(route.dst.addr()) == family);
        let told = own().any(|route| route.dst.prefix_len() == 0 && route.table.is_none());
        if paths.default_route && !told {
            let priority = paths.others.get(&family).map(|metric| metric.saturating_add(METRIC_STEP));
            let route = Route { priority, ..Route::to(any(family)) };
            hops.push(Hop { gateway: gateway(family, paths.gateways), route });
        }
        hops.extend(own().map(|route| {
            let gateway = route.gw.unwrap_or_else(|| gateway(family, paths.gateways));
            Hop { gateway, route: route.clone() }
        }));
    }
    hops
}

/// What the ledger keeps of `hops`: nothing where [`plain`] gives the same.
pub fn kept(hops: &[Hop], addresses: &[IpAddr]) -> Option<Vec<Route>> {
    let routes = || hops.iter().map(|hop| Route { gw: Some(hop.gateway), ..hop.route.clone() }).collect();
    (hops != plain(addresses)).then(routes)
}

/// The routes of a pod of which the ledger keeps `routes`.
pub fn recalled(routes: Option<&[Route]>, addresses: &[IpAddr]) -> Vec<Hop> {
    let Some(routes) = routes else { return plain(addresses) };
    let hop =
        |route: &Route| route.gw.map(|gateway| Hop { gateway, route: Route { gw: None, ..route.clone() } });
    routes.iter().filter_map(hop).collect()
}

/// The default routes alone.
fn plain(addresses: &[IpAddr]) -> Vec<Hop> {
    let others = BTreeMap::new();
    hops(&Paths { addresses, gateways: &[], routes: &[], default_route: true, others: &others })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn shown(paths: &Paths<'_>) -> Vec<String> {
        let metric =
            |hop: &Hop| hop.route.priority.map(|metric| format!(" metric {metric}")).unwrap_or_default();
        hops(paths)
            .iter()
            .map(|hop| format!("{} via {}{}", hop.route.dst, hop.gateway, metric(hop)))
            .collect()
    }

    #[test]
    fn default_routes_come_first_and_give_way() {
        let addresses = [ip("10.0.0.5"), ip("fd00::5")];
        let others = BTreeMap::from([(Family::V6, 1_024)]);
        let to = |text: &str| Route::to(text.parse().unwrap());
        let routes = [to("10.9.0.0/16"), Route { gw: Some(ip("fe80::9")), ..to("::/0") }];
        let mut paths = Paths {
            addresses: &addresses,
            gateways: &[ip("10.0.0.1")],
            routes: &routes,
            default_route: true,
            others: &others,
        };
        assert_eq!(shown(&paths), ["0.0.0.0/0 via 10.0.0.1", "10.9.0.0/16 via 10.0.0.1", "::/0 via fe80::9"]);
        paths.default_route = false;
        assert_eq!(shown(&paths)[0], "10.9.0.0/16 via 10.0.0.1");
        paths = Paths { routes: &[], gateways: &[], default_route: true, ..paths };
        assert_eq!(shown(&paths), ["0.0.0.0/0 via 169.254.1.1", "::/0 via fe80::1 metric 2048"]);
        paths.addresses = &addresses[..1];
        assert_eq!(shown(&paths), ["0.0.0.0/0 via 169.254.1.1"]);
    }

    #[test]
    fn what_is_kept_is_recalled() {
        let addresses = [ip("10.0.0.5"), ip("fd00::5")];
        for (gateways, kept_length) in [(vec![], 0), (vec![ip("10.0.0.1")], 2)] {
            let others = BTreeMap::new();
            let paths = Paths {
                addresses: &addresses,
                gateways: &gateways,
                routes: &[],
                default_route: true,
                others: &others,
            };
            let hops = hops(&paths);
            let kept = kept(&hops, &addresses);
            assert_eq!(recalled(kept.as_deref(), &addresses), hops);
            assert_eq!(kept.map_or(0, |kept| kept.len()), kept_length);
        }
    }
}
