//! Interfaces, addresses, routes, policy rules and switches.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use bgp::prefix::Family;

use super::places::Places;
use crate::check::fact::{Address, Facts, Link, Route, Rule};
use crate::kernel::message;
use crate::kernel::netlink::Netlink;
use crate::kernel::request;

/// Where the kernel keeps its switches.
const SWITCHES: &str = "/proc/sys/net";

/// `RT_TABLE_UNSPEC`, all of them, and `RT_TABLE_LOCAL`, the kernel's own.
const ALL: u32 = 0;
const LOCAL: u32 = 255;

/// `RTM_F_CLONED`: a cached copy, no route.
const CLONED: u32 = 0x200;

/// Files that give names to routing tables, and folders of such files.
const TABLES: [&str; 3] = ["/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"];

pub(super) fn interfaces(places: &Places, facts: &mut Facts) {
    if let Err(error) = dump(places, facts) {
        let why = format!("the kernel's tables cannot be read: {error}");
        for check in ["foreign-route", "foreign-address", "mtu", "leftovers"] {
            facts.unread.push((check, why.clone()));
        }
    }
}

fn dump(places: &Places, facts: &mut Facts) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    let tables = table_names(places);
    let links = netlink.dump(request::dump_links, message::link)?;
    let names: BTreeMap<u32, String> = links.iter().map(|link| (link.ifindex, link.name.clone())).collect();
    facts.links = links
        .into_iter()
        .map(|link| Link { name: link.name, mtu: link.mtu, loopback: link.loopback })
        .collect();
    for family in Family::ALL {
        let addresses =
            netlink.dump(|sequence| request::dump_addresses(family, sequence), message::interface_address)?;
        facts.addresses.extend(addresses.into_iter().filter_map(|own| {
            let link = names.get(&own.ifindex)?.clone();
            Some(Address { link, address: own.address, len: own.prefix_len })
        }));
        let routes = netlink.dump(|sequence| request::dump_routes(family, ALL, sequence), message::route)?;
        let routes = routes.into_iter().filter(|route| route.table != LOCAL && route.flags & CLONED == 0);
        facts.routes.extend(routes.map(|route| Route {
            prefix: route.prefix,
            table: route.table,
            protocol: route.protocol,
            links: route.hops.iter().filter_map(|hop| names.get(&hop.ifindex).cloned()).collect(),
        }));
        let rules = netlink.dump(|sequence| request::dump_rules(family, sequence), message::policy_rule)?;
        facts.rules.extend(rules.into_iter().filter_map(|rule| {
            let table = (rule.table, tables.get(&rule.table)?.clone());
            Some(Rule { family, priority: rule.priority, table })
        }));
    }
    Ok(())
}

/// The names that the host gives to routing tables: `NUMBER NAME` a line.
fn table_names(places: &Places) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for folder in TABLES {
        let folder = places.on_host(Path::new(folder));
        let more = fs::read_dir(folder.join("rt_tables.d")).into_iter().flatten().flatten();
        let mut files: Vec<_> = more.map(|entry| entry.path()).collect();
        files.sort();
        files.insert(0, folder.join("rt_tables"));
        for text in files.iter().filter_map(|file| fs::read_to_string(file).ok()) {
            names.extend(text.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
            }));
        }
    }
    names
}

/// Reads the switches that are judged. One that is not there is left out.
pub(super) fn switches(facts: &mut Facts) {
    let mut keys: Vec<Vec<&str>> = vec![
        vec!["ipv4", "ip_forward"],
        vec!["ipv6", "conf", "all", "forwarding"],
        vec!["ipv4", "conf", "all", "rp_filter"],
        vec!["ipv4", "fib_multipath_hash_policy"],
        vec!["ipv6", "fib_multipath_hash_policy"],
    ];
    for link in &facts.links {
        keys.push(vec!["ipv4", "conf", &link.name, "rp_filter"]);
        keys.push(vec!["ipv6", "conf", &link.name, "accept_ra"]);
    }
    for key in keys {
        let path = key.iter().fold(Path::new(SWITCHES).to_owned(), |path, part| path.join(part));
        if let Ok(value) = fs::read_to_string(path) {
            facts.sysctls.insert(format!("net.{}", key.join(".")), value.trim().to_owned());
        }
    }
}
