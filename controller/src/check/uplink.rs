//! Packets that fit into uplinks.

use super::fact::Facts;
use super::finding::Report;

const CHECK: &str = "mtu";

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    let Some(smallest) = facts.uplinks().min_by_key(|link| link.mtu) else {
        report.ok(CHECK, "", "no uplink carries routes yet");
        return;
    };
    for link in facts.uplinks().filter(|link| link.mtu > smallest.mtu) {
        report.warning(
            CHECK,
            &link.name,
            format!("{}, and {} has {}: pods get the smaller", link.mtu, smallest.name, smallest.mtu),
            "one MTU on all uplinks",
        );
    }
    let pods = facts.links.iter().filter(|link| link.is_of_pod()).map(|link| (link.name.as_str(), link.mtu));
    let told = facts.runtime.networks.iter().filter(|network| network.is_ours());
    let told = told.filter_map(|network| Some((network.file.as_str(), network.mtu?)));
    for (subject, mtu) in pods.chain(told) {
        let uplink = format!("{} of uplink {}", smallest.mtu, smallest.name);
        if mtu > smallest.mtu {
            report.bad(
                CHECK,
                subject,
                format!("{mtu}, above the {uplink}"),
                "make the pod anew; an MTU that was set by hand has to fit",
            );
        } else if mtu < smallest.mtu {
            report.warning(
                CHECK,
                subject,
                format!("{mtu}, below the {uplink}"),
                "make the pod anew; an MTU that was set by hand may go",
            );
        }
    }
    report.else_ok(CHECK, "pods' packets fit into every uplink");
}
