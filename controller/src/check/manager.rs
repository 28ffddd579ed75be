//! Programs that think every interface and every route is theirs.

use super::fact::Facts;
use super::finding::Report;

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    networkd(facts, report);
    network_manager(facts, report);
}

/// systemd-networkd removes at its start what it has not written, unless it is told not to.
fn networkd(facts: &Facts, report: &mut Report) {
    const CHECK: &str = "networkd";
    // The kernel keeps 15 letters of `systemd-networkd`.
    if facts.programs.contains("systemd-network") {
        for key in ["ManageForeignRoutes", "ManageForeignRoutingPolicyRules"] {
            let keeps = facts.networkd.get(key).is_some_and(|value| is_no(value));
            if !keeps {
                let what = if key == "ManageForeignRoutes" { "routes" } else { "rules" };
                report.bad(
                    CHECK,
                    key,
                    format!("networkd removes {what} of others"),
                    format!("`[Network]` and `{key}=no` in /etc/systemd/networkd.conf.d/underlay.conf, then restart it"),
                );
            }
        }
        report.else_ok(CHECK, "systemd-networkd leaves what is not its own");
    }
    report.else_ok(CHECK, "systemd-networkd does not run");
}

fn network_manager(facts: &Facts, report: &mut Report) {
    const CHECK: &str = "network-manager";
    if facts.programs.contains("NetworkManager") {
        let pods = |entry: &String| {
            entry
                .split([',', ';'])
                .any(|part| matches!(part.trim(), "interface-name:ul*" | "type:veth" | "*"))
        };
        if facts.unmanaged.iter().any(pods) {
            report.ok(CHECK, "", "NetworkManager leaves pods' links alone");
        } else {
            report.warning(
                CHECK,
                "unmanaged-devices",
                "NetworkManager may take pods' links for its own",
                "`[keyfile]` and `unmanaged-devices=interface-name:ul*` in /etc/NetworkManager/conf.d/underlay.conf",
            );
        }
    }
    report.else_ok(CHECK, "NetworkManager does not run");
}

/// A boolean of systemd.
fn is_no(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "no" | "n" | "false" | "f" | "off" | "0")
}
