//! How a node leaves: its Node is deleted and comes back, and in the end everything is taken off all nodes. The agents
//! are pods.

use labs::kubernetes::Cluster;
use labs::wait;

use super::run::{LIMIT, Run, until_peer};
use super::streams::End;

/// The PodCIDRs of n21.
const PODS: [&str; 2] = ["10.244.3.0/24", "fd00:10:244:3::/64"];

/// Whether its PodCIDRs are routed on a machine.
#[track_caller]
fn until_routed(cluster: &Cluster, machine: &str, wanted: bool) {
    wait::until(&format!("routes to the pods of n21 on {machine}: {wanted}"), LIMIT, || {
        let four =
            cluster.run(machine, &["ip", "route", "show", PODS[0]]).map_err(|error| error.to_string())?;
        let six = cluster
            .run(machine, &["ip", "-6", "route", "show", PODS[1]])
            .map_err(|error| error.to_string())?;
        if [&four, &six].iter().all(|routes| routes.is_empty() != wanted) { Ok(()) } else { Err(four + &six) }
    });
}

/// Waits until FRR has lost its session with n21 by a Cease. It does not show the text; BIRD does, in the agent's tests.
#[track_caller]
fn until_told(cluster: &Cluster) {
    wait::until("tor2 to be told that n21 leaves", LIMIT, || {
        let words = ["vtysh", "-c", "show bgp neighbors 10.0.2.11"];
        let shown = cluster.run("tor2", &words).map_err(|error| error.to_string())?;
        let down = !shown.contains("BGP state = Established");
        if down && shown.contains("Cease/Administrative Shutdown") { Ok(()) } else { Err(shown) }
    });
}

/// What of ours the kernel of a machine has: routes, tables of the packet filter, links of pods.
fn of_ours(cluster: &Cluster, machine: &str) -> String {
    let script = "for proto in 171 172; do ip route show table all proto $proto; ip -6 route show table all proto $proto; done
        ip nexthop show proto 171; nft list tables | grep underlay; ip -o link | grep -E ' ul[0-9a-f]{13}@'; true";
    cluster.run(machine, &["sh", "-c", script]).unwrap()
}

/// A Node is deleted while its agent runs, and registered again.
pub(super) fn a_node_is_deleted(run: &mut Run<'_>, ends: &[End]) {
    let others: Vec<End> = ends.iter().filter(|end| end.name != "n21").cloned().collect();
    run.strict("Node n21 deleted", &others, |cluster| {
        cluster.kubectl(&["delete", "node", "n21"]).unwrap();
        for machine in ["tor2", "spine", "tor1", "n11", "n12"] {
            until_routed(cluster, machine, false);
        }
        // Its pods are deleted when the controllers have waited for the Node; here at once.
        let agent =
            ["-n", "underlay-system", "delete", "pod", "--field-selector=spec.nodeName=n21", "--wait=false"];
        cluster.kubectl(&agent).unwrap();
        until_told(cluster);
        // The way to the pods that still run there is the plugin's, and stays.
        wait::until("no route of the agent on n21", LIMIT, || {
            let ours = of_ours(cluster, "n21");
            if ours
                .lines()
                .all(|line| line.contains("dev ul") || line.contains(": ul") || line.contains("underlay-cni"))
            {
                Ok(())
            } else {
                Err(ours)
            }
        });
    });
    run.strict("Node n21 back", &others, |cluster| {
        cluster.kubectl(&["apply", "-f", "/etc/kubernetes/manifests/nodes.yaml"]).unwrap();
        cluster.restart("n21", "kubelet", "TERM").unwrap();
        cluster.until_ready().unwrap();
        until_peer(cluster, "n21");
        for machine in ["tor2", "spine", "tor1", "n11", "n12"] {
            until_routed(cluster, machine, true);
        }
    });
}

/// Everything is taken off all nodes, in the order of manifests/bare-metal.md.
pub(super) fn everything_is_uninstalled(run: &Run<'_>) {
    let cluster = &run.cluster;
    let system = |words: &[&str]| cluster.kubectl(&[&["-n", "underlay-system"], words].concat());
    // Pods first; until they are gone nothing is touched.
    cluster.kubectl(&["apply", "--kustomize", "/run/mine/manifests/uninstall"]).unwrap();
    wait::until("pods to be waited for", LIMIT, || {
        let said = system(&["logs", "daemonset/underlay-uninstall"]).map_err(|error| error.to_string())?;
        if said.contains("is attached") { Ok(()) } else { Err(said) }
    });
    until_routed(cluster, "tor2", true);
    cluster.kubectl(&["delete", "daemonset", "web"]).unwrap();
    // The agents run, and their routes are gone.
    for machine in ["tor2", "spine", "tor1"] {
        until_routed(cluster, machine, false);
    }
    system(&["delete", "daemonset", "underlay-agent"]).unwrap();
    until_told(cluster);
    system(&["rollout", "status", "daemonset/underlay-uninstall", "--timeout=60s"]).unwrap();
    for node in cluster.nodes() {
        let places = "ls -d /run/underlay /var/lib/underlay /etc/cni/net.d/*underlay* /opt/cni/bin/*underlay* 2>/dev/null; true";
        // An agent that ends writes its last words; they go, too.
        wait::until(&format!("nothing to be left on {node}"), LIMIT, || {
            let left = of_ours(cluster, node) + &cluster.run(node, &["sh", "-c", places]).unwrap();
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
    cluster.kubectl(&["delete", "--kustomize", "/run/mine/manifests/uninstall"]).unwrap();
}
