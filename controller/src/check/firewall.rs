//! Who drops what is forwarded.

use super::fact::{Chain, Facts, Filter};
use super::finding::Report;

const CHECK: &str = "forward-policy";

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    for chain in facts.chains.iter().filter(|chain| chain.forwards && chain.drops) {
        let subject = format!("{} {} {}", chain.family, chain.table, chain.name);
        match chain.filter {
            // The plugin has its pair of rules there.
            Filter::Nftables if is_iptables(chain) => {
                report.ok(CHECK, &subject, "drops, and the plugin lets pods through");
            }
            Filter::Nftables => report.warning(
                CHECK,
                &subject,
                "drops what none of its rules accepts, pods' packets too",
                format!("nft insert rule {subject} iifname \"ul*\" accept; the same with oifname"),
            ),
            Filter::Legacy => {
                let tool = if chain.family == "ip6" { "ip6tables-legacy" } else { "iptables-legacy" };
                report.bad(
                    CHECK,
                    &subject,
                    "drops what is forwarded, beyond the plugin's reach",
                    format!("{tool} -A FORWARD -i ul+ -j ACCEPT; the same with -o"),
                );
            }
        }
    }
    report.else_ok(CHECK, "nobody drops what is forwarded by default");
}

fn is_iptables(chain: &Chain) -> bool {
    matches!(chain.family.as_str(), "ip" | "ip6") && chain.table == "filter" && chain.name == "FORWARD"
}
