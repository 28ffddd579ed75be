//! Routes and addresses of others inside the pods' prefixes: pods there are not reached.

use api::netconf::{LEARNED_ROUTE_PROTOCOL, POD_ROUTE_PROTOCOL};
use bgp::prefix::Prefix;

use super::fact::{Facts, Route};
use super::finding::Report;

/// `RTPROT_KERNEL`: routes that come with an address, which is told of by itself.
const KERNEL: u8 = 2;

/// `RT_TABLE_MAIN`.
const MAIN: u32 = 254;

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    if facts.pods.is_empty() {
        let why = "the pods' prefixes are not known: name them by --pod-prefix, or run the agent once";
        report.unknown("foreign-route", why);
        report.unknown("foreign-address", why);
        return;
    }
    let within = |prefix: Prefix| facts.pods.iter().any(|pods| pods.contains(prefix));
    let own = [LEARNED_ROUTE_PROTOCOL, POD_ROUTE_PROTOCOL, KERNEL];
    for route in facts.routes.iter().filter(|route| within(route.prefix) && !own.contains(&route.protocol)) {
        report.bad(
            "foreign-route",
            &route.prefix.to_string(),
            format!("of protocol {}{}, in place of underlay's", route.protocol, by(route)),
            format!("ip route del {}{}{}", route.prefix, device(route), table(route)),
        );
    }
    report.else_ok("foreign-route", "no route of others in the pods' prefixes");
    for own in facts.addresses.iter().filter(|own| within(Prefix::host(own.address))) {
        report.bad(
            "foreign-address",
            &own.link,
            format!("has {}: pods near it are not reached", own.address),
            format!("ip addr del {}/{} dev {}", own.address, own.len, own.link),
        );
    }
    report.else_ok("foreign-address", "no address of this host in the pods' prefixes");
}

fn by(route: &Route) -> String {
    if route.links.is_empty() { String::new() } else { format!(" by {}", route.links.join(", ")) }
}

fn device(route: &Route) -> String {
    match &route.links[..] {
        [link] => format!(" dev {link}"),
        _ => String::new(),
    }
}

fn table(route: &Route) -> String {
    if route.table == MAIN { String::new() } else { format!(" table {}", route.table) }
}
