//! What other networks of pods have left on the host. It was of use; beside underlay it takes packets, addresses or
//! pods away.

use bgp::prefix::Family;

use super::fact::{Chain, Facts, Filter};
use super::finding::Report;

const CHECK: &str = "leftovers";

/// What a network of pods leaves. A name that ends in `*` stands for all that start so.
struct Trace {
    network: &'static str,
    links: &'static [&'static str],
    /// Names of files in the runtime's folder.
    files: &'static [&'static str],
    /// Types of plugins that are its own.
    plugins: &'static [&'static str],
    chains: &'static [&'static str],
    tables: &'static [&'static str],
    /// Sets of addresses of `ipset`.
    ip_sets: &'static [&'static str],
    /// Names that it gives to routing tables, which rules lead to.
    routing: &'static [&'static str],
    /// The protocol number of its routes; 0 for none of its own.
    protocol: u8,
}

const TRACES: [Trace; 4] = [
    Trace {
        network: "kindnet",
        links: &[],
        files: &["10-kindnet.conflist"],
        plugins: &[],
        chains: &["KIND-MASQ-AGENT"],
        tables: &["kindnet*", "kube-network-policies"],
        ip_sets: &[],
        routing: &[],
        protocol: 0,
    },
    Trace {
        network: "flannel",
        links: &["flannel.*", "flannel-v6.*", "flannel-wg*", "cni0"],
        files: &["10-flannel.conflist", "10-flannel.conf"],
        plugins: &["flannel"],
        chains: &["FLANNEL-*"],
        tables: &["flannel-*"],
        ip_sets: &[],
        routing: &[],
        protocol: 0,
    },
    Trace {
        network: "Calico",
        links: &["cali*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali"],
        files: &["10-calico.conflist", "10-canal.conflist", "calico-kubeconfig"],
        plugins: &["calico", "calico-ipam"],
        chains: &["cali-*"],
        tables: &["calico"],
        ip_sets: &["cali4*", "cali6*"],
        routing: &[],
        protocol: 80,
    },
    Trace {
        network: "kube-router",
        links: &["kube-bridge", "kube-dummy-if", "tun-*"],
        files: &["10-kuberouter.conf", "10-kuberouter.conflist"],
        plugins: &[],
        chains: &["KUBE-ROUTER-*", "KUBE-POD-FW-*", "KUBE-NWPLCY-*"],
        tables: &["kube-router*"],
        ip_sets: &["kube-router-*", "inet6:kube-router-*", "KUBE-SRC-*", "KUBE-DST-*"],
        routing: &["kube-router*", "external_ip"],
        protocol: 0,
    },
];

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    for trace in &TRACES {
        links(facts, trace, report);
        files(facts, trace, report);
        filters(facts, trace, report);
        sets(facts, trace, report);
        rules(facts, trace, report);
        routes(facts, trace, report);
    }
    report.else_ok(CHECK, "nothing of other networks of pods");
}

fn links(facts: &Facts, trace: &Trace, report: &mut Report) {
    for link in facts.links.iter().filter(|link| matches(trace.links, &link.name)) {
        let found = format!("an interface of {}", trace.network);
        report.bad(CHECK, &link.name, found, format!("ip link del {}", link.name));
    }
}

fn files(facts: &Facts, trace: &Trace, report: &mut Report) {
    for network in &facts.runtime.networks {
        let plugin = |plugin: &String| trace.plugins.contains(&plugin.as_str());
        if matches(trace.files, &network.file) || network.plugins.iter().any(plugin) {
            let found = format!("a network configuration of {}", trace.network);
            let remedy = format!("rm {}/{}", facts.runtime.networks_folder, network.file);
            report.bad(CHECK, &network.file, found, remedy);
        }
    }
}

fn filters(facts: &Facts, trace: &Trace, report: &mut Report) {
    for (family, table) in facts.tables.iter().filter(|(_, name)| matches(trace.tables, name)) {
        let found = format!("a table of {}", trace.network);
        report.bad(CHECK, &format!("{family} {table}"), found, format!("nft delete table {family} {table}"));
    }
    let mut chains: Vec<(Filter, &str, &str, Vec<&Chain>)> = Vec::new();
    for chain in &facts.chains {
        let goes_with_its_table = chain.filter == Filter::Nftables && matches(trace.tables, &chain.table);
        if !goes_with_its_table && matches(trace.chains, &chain.name) {
            let same = chains.iter_mut().find(|(filter, family, table, _)| {
                (*filter, *family, *table) == (chain.filter, chain.family.as_str(), chain.table.as_str())
            });
            match same {
                Some((.., all)) => all.push(chain),
                None => chains.push((chain.filter, &chain.family, &chain.table, vec![chain])),
            }
        }
    }
    for (filter, family, table, all) in chains {
        let words: Vec<&str> = trace.chains.iter().map(|name| name.trim_end_matches('*')).collect();
        let tool = match (filter, family) {
            (Filter::Legacy, "ip6") => "ip6tables-legacy",
            (Filter::Legacy, _) => "iptables-legacy",
            (Filter::Nftables, "ip6") => "ip6tables-nft",
            (Filter::Nftables, _) => "iptables-nft",
        };
        // Rules that jump there name the chain, so leaving its name out leaves nothing of it.
        let remedy =
            format!("{tool}-save -t {table} | grep -Ev '{}' | {tool}-restore -T {table}", words.join("|"));
        let subject = format!("{family} {table} {}", all[0].name);
        let more = if all.len() > 1 { format!(" (and {} more)", all.len() - 1) } else { String::new() };
        report.bad(CHECK, &subject, format!("a chain of {}{more}", trace.network), remedy);
    }
}

/// After the chains, whose rules hold them.
fn sets(facts: &Facts, trace: &Trace, report: &mut Report) {
    for set in facts.ip_sets.iter().filter(|set| matches(trace.ip_sets, set)) {
        let found = format!("a set of addresses of {}", trace.network);
        report.bad(CHECK, set, found, format!("ipset destroy {set}"));
    }
}

fn rules(facts: &Facts, trace: &Trace, report: &mut Report) {
    for rule in facts.rules.iter().filter(|rule| matches(trace.routing, &rule.table.1)) {
        let ((table, name), priority) = (&rule.table, rule.priority);
        let ip = if rule.family == Family::Ipv6 { "ip -6" } else { "ip" };
        let found = format!("a rule of {} to table {name}", trace.network);
        let remedy = format!("{ip} rule del pref {priority} table {table}");
        report.bad(CHECK, &format!("rule {priority}"), found, remedy);
    }
}

fn routes(facts: &Facts, trace: &Trace, report: &mut Report) {
    if trace.protocol == 0 {
        return;
    }
    let count = facts.routes.iter().filter(|route| route.protocol == trace.protocol).count();
    if count > 0 {
        let (found, number) = (format!("{count} routes of {}", trace.network), trace.protocol);
        let remedy = format!("ip route flush proto {number}; ip -6 route flush proto {number}");
        report.bad(CHECK, &format!("protocol {number}"), found, remedy);
    }
}

fn matches(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *pattern == name,
    })
}
