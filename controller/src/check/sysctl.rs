//! Switches of the kernel.

use bgp::prefix::Family;

use super::fact::{Facts, Link};
use super::finding::Report;

/// `RTPROT_RA` of linux/rtnetlink.h: a route by a router's advertisement.
const ADVERTISED: u8 = 9;

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    forwarding(facts, report);
    reverse_path(facts, report);
    advertisements(facts, report);
    hash(facts, report);
}

fn forwarding(facts: &Facts, report: &mut Report) {
    for (family, key) in
        [(Family::Ipv4, "net.ipv4.ip_forward"), (Family::Ipv6, "net.ipv6.conf.all.forwarding")]
    {
        if !facts.wants(family) {
            continue;
        }
        match facts.sysctls.get(key).map(String::as_str) {
            Some("0") => {
                report.bad(
                    "ip-forward",
                    word(family),
                    "off: no pod is reached from elsewhere",
                    set(key, "1"),
                );
            }
            Some(_) => report.ok("ip-forward", word(family), "on"),
            None => report.bad(
                "ip-forward",
                word(family),
                "this kernel has none of the family",
                "turn the family on, or give pods no prefix of it",
            ),
        }
    }
}

/// Strict checking (RFC 3704 §2.2) drops what comes back by another uplink than the best route leads out by.
fn reverse_path(facts: &Facts, report: &mut Report) {
    if facts.wants(Family::Ipv4) {
        let uplinks: Vec<&Link> = facts.uplinks().collect();
        for link in uplinks.iter().filter(|_| uplinks.len() > 1) {
            let key = format!("net.ipv4.conf.{}.rp_filter", link.name);
            let of = |key: &str| facts.sysctls.get(key).and_then(|text| text.parse::<u8>().ok()).unwrap_or(0);
            // The kernel takes the greater of the two.
            if of("net.ipv4.conf.all.rp_filter").max(of(&key)) == 1 {
                report.bad(
                    "rp-filter",
                    &link.name,
                    "strict: drops what comes by another uplink",
                    set(&key, "2"),
                );
            }
        }
    }
    report.else_ok("rp-filter", "no uplink drops what comes by another");
}

/// A host that forwards IPv6 takes no router's advertisement unless `accept_ra` is 2.
fn advertisements(facts: &Facts, report: &mut Report) {
    for link in facts.links.iter().filter(|_| facts.wants(Family::Ipv6)) {
        let key = format!("net.ipv6.conf.{}.accept_ra", link.name);
        let advertised = |route: &super::fact::Route| {
            route.protocol == ADVERTISED
                && route.prefix.family() == Family::Ipv6
                && route.links.contains(&link.name)
        };
        // With 0 somebody else than the kernel listens.
        let one = facts.sysctls.get(&key).is_some_and(|value| value == "1");
        if one && facts.routes.iter().any(advertised) {
            report.bad(
                "accept-ra",
                &link.name,
                "its routes are advertised, which is ignored: they expire",
                set(&key, "2"),
            );
        }
    }
    report.else_ok("accept-ra", "no route depends on ignored advertisements");
}

fn hash(facts: &Facts, report: &mut Report) {
    if facts.uplinks().count() > 1 {
        for (family, key) in [
            (Family::Ipv4, "net.ipv4.fib_multipath_hash_policy"),
            (Family::Ipv6, "net.ipv6.fib_multipath_hash_policy"),
        ] {
            let addresses_alone = facts.sysctls.get(key).is_some_and(|value| value == "0");
            if facts.wants(family) && addresses_alone {
                report.warning(
                    "hash-policy",
                    word(family),
                    "addresses alone: two pods use one uplink",
                    set(key, "1"),
                );
            }
        }
    }
    report.else_ok("hash-policy", "connections spread over the uplinks");
}

const fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

fn set(key: &str, value: &str) -> String {
    format!("sysctl -w {key}={value}; the same line in /etc/sysctl.d/90-underlay.conf")
}
