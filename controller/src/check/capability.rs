//! What the agent may do.

use super::fact::Facts;
use super::finding::Report;

/// Numbers of linux/capability.h, and what each is for.
const NEEDED: [(u8, &str, &str); 2] = [
    (12, "NET_ADMIN", "writing routes and the packet filter"),
    (10, "NET_BIND_SERVICE", "listening on port 179"),
];

/// CAP_NET_RAW, for router advertisements: needed where a FabricPeer has an `interface`, and told of by the agent then.
const RAW: u8 = 13;

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    let Some(capabilities) = &facts.capabilities else { return };
    for (number, name, purpose) in NEEDED {
        if capabilities.effective & (1 << number) == 0 {
            report.bad(
                "capabilities",
                &capabilities.whose,
                format!("lacks {name}: {purpose}"),
                format!(
                    "`capabilities: {{add: [{name}]}}` in a pod, AmbientCapabilities=CAP_{name} in a unit"
                ),
            );
        }
    }
    let raw = capabilities.effective & (1 << RAW) != 0;
    report.else_ok(
        "capabilities",
        if raw {
            "NET_ADMIN and NET_BIND_SERVICE"
        } else {
            "NET_ADMIN and NET_BIND_SERVICE; a FabricPeer with an `interface` needs NET_RAW, too"
        },
    );
}
