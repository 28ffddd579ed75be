//! Every step's absence is noticed, and nothing else.

use serde_json::json;

use super::*;
use crate::hop::{gateway, recalled};

fn plan() -> (Plan, Attachment, Vec<IpAddr>) {
    let attachment = Attachment::new("c1", "eth0").unwrap();
    let addresses: Vec<IpAddr> = vec!["10.0.0.5".parse().unwrap(), "fd00::5".parse().unwrap()];
    let plan = Plan::new(&Wanted {
        attachment: &attachment,
        network: "net",
        addresses: &addresses,
        hops: &recalled(None, &addresses),
        pod_mac: attachment.pod_mac(),
        mtu: 1450,
        anti_spoof: true,
        ipv6_disabled: &[],
        extras: &[],
    });
    (plan, attachment, addresses)
}

/// The kernel after the plan was carried out.
fn seen(plan: &Plan, addresses: &[IpAddr]) -> Seen {
    let link = |name: &str, index, peer, mac, alias: &str| Link {
        index,
        name: name.into(),
        alias: alias.into(),
        kind: "veth".into(),
        mac: Some(mac),
        mtu: 1450,
        peer: Some(peer),
        up: true,
        loopback: false,
        forwards: true,
    };
    let pair = &plan.pair;
    let full = |link, address: IpAddr| Address { link, address, length: Family::of(address).bits() };
    let route = |destination, length, gateway, link| Route {
        destination,
        length,
        protocol: 4,
        table: 254,
        local: false,
        unicast: true,
        metric: 0,
        gateway,
        links: vec![link],
    };
    let alias = plan.steps.iter().find_map(|step| match step {
        Step::Describe(alias) => Some(alias.clone()),
        _ => None,
    });
    Seen {
        host: End {
            link: Some(link(&pair.host, 7, 2, pair.host_mac, &alias.unwrap())),
            addresses: vec![full(7, gateway(Family::V6, &[]))],
        },
        pod: End {
            link: Some(link(&pair.pod, 2, 7, pair.pod_mac, "")),
            addresses: addresses.iter().map(|a| full(2, *a)).collect(),
        },
        pod_routes: Family::ALL.iter().map(|f| route(None, 0, Some(gateway(*f, &[])), 2)).collect(),
        pod_neighbours: Family::ALL
            .iter()
            .map(|f| Neighbour {
                link: 2,
                address: gateway(*f, &[]),
                mac: Some(pair.host_mac),
                permanent: true,
                proxy: false,
            })
            .collect(),
        host_proxies: vec![Neighbour {
            link: 7,
            address: gateway(Family::V4, &[]),
            mac: None,
            permanent: false,
            proxy: true,
        }],
        host_routes: addresses
            .iter()
            .map(|a| (*a, route(Some(*a), Family::of(*a).bits(), None, 7)))
            .collect(),
        sysctls: vec![
            (Sysctl::RpFilter, "1".into()),
            (Sysctl::ProxyDelay, "0".into()),
            (Sysctl::AcceptRa, "0".into()),
        ],
    }
}

#[test]
fn what_add_made_has_no_fault() {
    let (plan, _, addresses) = plan();
    assert_eq!(faults(&plan, &seen(&plan, &addresses)), Vec::<String>::new());
}

/// A way to damage what ADD made.
type Damage = (&'static str, fn(&mut Seen));

#[test]
fn every_damage_is_named() {
    let (plan, _, addresses) = plan();
    let damages: &[Damage] = &[
        ("is missing on the host", |s| s.host.link = None),
        ("eth0 is missing in the container", |s| s.pod.link = None),
        ("not two ends", |s| s.pod.link.as_mut().unwrap().index = 9),
        ("RpFilter", |s| s.sysctls[0].1 = "0".into()),
        ("AcceptRa", |s| s.sysctls.truncate(2)),
        ("ProxyDelay", |s| s.sysctls[1].1 = "80".into()),
        ("answer ARP for 169.254.1.1", |s| s.host_proxies.clear()),
        ("alias", |s| s.host.link.as_mut().unwrap().alias.clear()),
        ("fe80::1 is missing on ul", |s| s.host.addresses.clear()),
        ("10.0.0.5 is missing on eth0", |s| {
            s.pod.addresses.remove(0);
        }),
        ("fd00::5 is missing on eth0", |s| s.pod.addresses[1].length = 64),
        ("eth0 is down", |s| s.pod.link.as_mut().unwrap().up = false),
        ("has no carrier", |s| s.host.link.as_mut().unwrap().forwards = false),
        ("neighbour 169.254.1.1 is missing", |s| s.pod_neighbours[0].permanent = false),
        ("neighbour fe80::1", |s| s.pod_neighbours[1].mac = None),
        ("default route by 169.254.1.1", |s| {
            s.pod_routes.remove(0);
        }),
        ("default route by fe80::1", |s| s.pod_routes[1].links = vec![3]),
        ("route to 10.0.0.5", |s| {
            s.host_routes.remove(0);
        }),
        ("route to fd00::5", |s| s.host_routes[1].1.links = vec![3]),
    ];
    for (needle, damage) in damages {
        let mut seen = seen(&plan, &addresses);
        damage(&mut seen);
        let faults = faults(&plan, &seen);
        assert!(
            !faults.is_empty() && faults.iter().any(|fault| fault.contains(needle)),
            "{needle}: {faults:?}"
        );
    }
}

#[test]
fn a_default_route_in_another_table_is_fine() {
    let (plan, _, addresses) = plan();
    let mut seen = seen(&plan, &addresses);
    seen.pod_routes[0].table = 100;
    assert!(faults(&plan, &seen).is_empty());
}

#[test]
fn neighbours_that_went_with_the_mac_address_are_fine_and_wrong_ones_are_not() {
    let (plan, _, addresses) = plan();
    let mut seen = seen(&plan, &addresses);
    seen.pod.link.as_mut().unwrap().mac = crate::attachment::Mac::parse("02:00:00:00:00:aa");
    let kept = std::mem::take(&mut seen.pod_neighbours);
    assert_eq!(faults(&plan, &seen), Vec::<String>::new());
    seen.pod_neighbours = kept;
    seen.pod_neighbours[0].mac = crate::attachment::Mac::parse("02:00:00:00:00:bb");
    assert_eq!(faults(&plan, &seen).len(), 1);
}

#[test]
fn the_previous_result_tells_what_later_plugins_changed() {
    let (plan, attachment, addresses) = plan();
    let mut seen = seen(&plan, &addresses);
    let mut previous: PrevResult = serde_json::from_value(json!({
        "interfaces": [{"name": plan.pair.host, "mac": plan.pair.host_mac.to_string(), "mtu": 1450},
                       {"name": "eth0", "mac": "02:00:00:00:00:AA", "mtu": 1400, "sandbox": "/x"}],
        "ips": [{"address": "10.0.0.5/32", "interface": 1}, {"address": "fd00::5/128", "interface": 1}]}))
    .unwrap();
    let told = |seen: &Seen, previous: &PrevResult| {
        contradictions(seen, previous, &addresses, Some(1450), &attachment)
    };
    let faults = told(&seen, &previous);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("MAC address of eth0") && faults[1].contains("MTU of eth0 is 1450, not 1400"));

    let pod = seen.pod.link.as_mut().unwrap();
    (pod.mac, pod.mtu) = (crate::attachment::Mac::parse("02:00:00:00:00:aa"), 1400);
    assert_eq!(told(&seen, &previous), Vec::<String>::new());

    previous.ips.pop();
    previous.interfaces.pop();
    let faults = told(&seen, &previous);
    assert!(
        faults[0].contains("lacks the reserved address fd00::5")
            && faults[1].contains("lacks the interface eth0")
    );

    // Below 1.1.0 a result has no MTU; the host end has the configured one.
    previous.interfaces[0].mtu = None;
    seen.host.link.as_mut().unwrap().mtu = 9000;
    assert!(told(&seen, &previous).iter().any(|fault| fault.contains("is 9000, not 1450")));
}
