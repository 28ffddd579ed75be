//! Everything at once: real kubelets and containerd, our plugin and our agent, ToRs of other people, and what goes
//! wrong in a cluster. What is lost on the way is counted.

use std::path::Path;

use labs::kubernetes::Cluster;
use labs::wait;

use crate::lab::{left, shows_what_is_printed};

use super::run::{LIMIT, Run, until_peer};
use super::streams::End;

#[test]
fn pods_keep_their_packets() {
    labs::require!("root", "kubernetes", "cgroups", "containerd", "runc", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes");
        let mut run = Run::up(sandbox, &folder);
        let nodes = run.cluster.nodes().to_vec();
        let ends = run.ends(&nodes);
        run.admitted();
        run.strict("nothing", &ends, |_| {});
        let inside = [("kubectl", "exec kubernetes control"), ("underlay", "exec kubernetes n11")];
        shows_what_is_printed(&folder.join("../../manifests/bare-metal.md"), &inside);
        // It stops the API server, and starts it again at its end.
        shows_what_is_printed(&folder.join("README.md"), &[]);
        run.cluster.until_ready().unwrap();

        run.strict("kubelets restarted", &ends, |cluster| {
            for (node, signal) in nodes.iter().zip(["TERM", "KILL", "KILL"]) {
                cluster.restart(node, "kubelet", signal).unwrap();
            }
        });
        run.strict("containerd restarted", &ends, |cluster| {
            for (node, signal) in nodes.iter().zip(["TERM", "KILL", "KILL"]) {
                cluster.restart(node, "containerd", signal).unwrap();
            }
        });
        let lists = run.lists();
        run.strict("no API server", &ends, |cluster| {
            cluster.stop(cluster.control(), "kube-apiserver", "KILL").unwrap();
        });
        run.strict("agents killed meanwhile", &ends, |cluster| {
            for node in &nodes {
                cluster.restart(node, "agent", "KILL").unwrap();
            }
        });
        run.until_all_pass(&ends);
        run.strict("a static pod meanwhile", &ends, |cluster| static_pod(cluster, &folder));
        // What is in a node without power is lost; the others do not notice.
        let others: Vec<End> = ends.iter().filter(|end| end.name != "n12").cloned().collect();
        run.strict("n12 without power", &others, |cluster| cluster.lab().power_off("n12").unwrap());
        run.strict("n12 back meanwhile", &others, |cluster| {
            cluster.lab().power_on("n12").unwrap();
            // From its checkpoint: it knows its peers and they know it.
            until_route(cluster, "n12", "10.244.3.0/24");
            until_route(cluster, "n21", "10.244.2.0/24");
        });
        run.strict("the API server back", &others, |cluster| {
            cluster.start(cluster.control(), "kube-apiserver").unwrap();
            cluster.until_ready().unwrap();
        });
        run.cluster.until_pods("static", &nodes[..1]).unwrap();
        let ends = run.ends(&nodes);
        run.until_all_pass(&ends);
        for node in &nodes {
            run.strict(&format!("agent of {node} killed"), &ends, |cluster| {
                cluster.restart(node, "agent", "KILL").unwrap();
            });
            run.until_all_pass(&ends);
        }
        // Neither a restart nor a reboot writes the runtime's configuration anew.
        assert_eq!(run.lists(), lists);
        run.ready_in_this_boot();
        run.admitted();

        run.measure("tor1 without power", &ends, |cluster| cluster.lab().power_off("tor1").unwrap());
        run.measure("tor1 back", &ends, |cluster| cluster.lab().power_on("tor1").unwrap());
        run.until_all_pass(&ends);
        agent_as_a_pod(&mut run, &folder, &ends);
        run.admitted();
        drop(run);
        left().unwrap();
    });
}

/// The agent of n21 by the overlay for static pods: it comes back with its node though there is no API server. That it
/// takes over from the service is a cold start here, since a container does not see the boot id of a machine of the lab.
fn agent_as_a_pod(run: &mut Run<'_>, folder: &Path, ends: &[End]) {
    let script = folder.join("lab.sh");
    run.measure("agent of n21 as a pod", ends, |cluster| {
        cluster.lab().run("n21", &[script.to_str().unwrap(), "agent-pod"]).unwrap();
        until_peer(cluster, "n21");
    });
    let others: Vec<End> = ends.iter().filter(|end| end.name != "n21").cloned().collect();
    run.strict("no API server again", &others, |cluster| {
        cluster.stop(cluster.control(), "kube-apiserver", "KILL").unwrap();
    });
    run.strict("n21 rebooted meanwhile", &others, |cluster| {
        cluster.lab().power_off("n21").unwrap();
        cluster.lab().power_on("n21").unwrap();
        until_peer(cluster, "n21");
        until_route(cluster, "n21", "10.244.1.0/24");
        until_route(cluster, "n11", "10.244.3.0/24");
    });
    run.strict("the API server back again", &others, |cluster| {
        cluster.start(cluster.control(), "kube-apiserver").unwrap();
        cluster.until_ready().unwrap();
    });
    let nodes = run.cluster.nodes().to_vec();
    let ends = run.ends(&nodes);
    run.until_all_pass(&ends);
}

/// Gives the kubelet of n11 a pod of its own, and waits until the client reaches it.
fn static_pod(cluster: &mut Cluster, folder: &Path) {
    let pod = folder.join("static-pod.yaml");
    let words = ["cp", pod.to_str().unwrap(), "/etc/kubernetes/manifests/"];
    cluster.lab().run("n11", &words).unwrap();
    wait::until("the client to reach a static pod of n11", LIMIT, || {
        cluster.lab().run("client", &["ping", "-n", "-c", "1", "-W", "1", "10.244.1.3"])
    });
}

fn until_route(cluster: &mut Cluster, node: &str, prefix: &str) {
    wait::until(&format!("{node} to have a route to {prefix}"), LIMIT, || {
        let routes = cluster.lab().run(node, &["ip", "route", "show", prefix, "proto", "171"]).unwrap();
        !routes.is_empty()
    });
}
