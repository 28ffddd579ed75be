//! What the container runtime finds in its folders.

use super::fact::{Facts, Network, Setting};
use super::finding::Report;

pub(super) fn judge(facts: &Facts, report: &mut Report) {
    let runtime = &facts.runtime;
    match &runtime.plugin_fault {
        Some(fault) => report.bad("cni-plugin", &runtime.plugin, fault, "underlay install"),
        None => report.ok("cni-plugin", &runtime.plugin, "in place"),
    }
    order(facts, report);
    folders(facts, report);
}

/// A runtime takes the first configuration in the order of names.
fn order(facts: &Facts, report: &mut Report) {
    let runtime = &facts.runtime;
    let ours = runtime.networks.iter().position(Network::is_ours);
    let before = &runtime.networks[..ours.unwrap_or(runtime.networks.len())];
    for network in before {
        let path = format!("{}/{}", runtime.networks_folder, network.file);
        let remedy = format!("mv {path} {path}.disabled");
        let fault = network.fault.as_ref().map(|fault| format!(" ({fault})")).unwrap_or_default();
        if ours.is_some() {
            report.bad(
                "cni-order",
                &network.file,
                format!("sorts before ours{fault}: the runtime takes it"),
                remedy,
            );
        } else if network.file.as_str() < FILE {
            report.bad("cni-order", &network.file, format!("will sort before ours{fault}"), remedy);
        } else {
            report.warning("cni-order", &network.file, "in use until the agent has written ours", "");
        }
    }
    report.else_ok("cni-order", "no other network configuration sorts before ours");
    match ours.map(|at| &runtime.networks[at]) {
        Some(network) => report.ok("cni-network", &network.file, "in place"),
        None => report.warning(
            "cni-network",
            &format!("{}/{FILE}", runtime.networks_folder),
            "not there: no pod is started by underlay",
            "the agent writes it when it is ready: `underlay status`; --cni-conf-dir says where",
        ),
    }
}

/// What the agent calls its file.
const FILE: &str = "10-underlay.conflist";

/// Where the runtime's own configuration says that it looks.
fn folders(facts: &Facts, report: &mut Report) {
    let runtime = &facts.runtime;
    let plugin = std::path::Path::new(&runtime.plugin).parent().map(|folder| folder.display().to_string());
    for (setting, used, option) in [
        (&runtime.binaries, plugin.unwrap_or_default(), "--bin-dir of `underlay install`"),
        (&runtime.networks_at, runtime.networks_folder.clone(), "--cni-conf-dir of `underlay agent`"),
    ] {
        let Some(Setting { file, folders }) = setting else { continue };
        if !folders.contains(&used) {
            report.bad(
                "cni-folders",
                file,
                format!("the runtime looks in {}, and ours is in {used}", folders.join(", ")),
                format!("{option}, or the runtime's own setting"),
            );
        }
    }
    report.else_ok("cni-folders", "the runtime looks where ours is");
}
