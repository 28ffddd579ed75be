//! The manifests on a cluster that has pods: the DaemonSet takes over from agents that were services, is restarted and
//! upgraded under streams, and every pod keeps its packets. At the end nodes leave.

use std::path::Path;

use labs::kubernetes::Cluster;
use labs::program;

use crate::lab::left;

use super::run::{Run, until_peer};
use super::{balanced, laptop, leave};

/// What an administrator of this cluster adds: the image that its nodes hold, and no rules in CEL, which 1.20 refuses.
const KUSTOMIZATION: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\\nkind: Kustomization\\n\
    resources: [manifests/base]\\ncomponents: [manifests/loaded]\\n";

/// The DaemonSet, by its name.
const AGENTS: &str = "daemonset/underlay-agent";

#[test]
fn the_daemon_set_is_restarted_and_upgraded_without_loss() {
    labs::require!("root", "kubernetes", "cgroups", "containerd", "runc", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes");
        let mut run = Run::up(sandbox, &folder);
        let nodes = run.cluster.nodes().to_vec();
        let ends = run.ends(&nodes);

        let repository = program::workspace();
        let prepare = format!(
            "mkdir /run/mine && cd /run/mine && cp -r {}/manifests . && printf '{KUSTOMIZATION}' > kustomization.yaml && \
             underlay crd --without-cel > manifests/crd/underlay.yaml",
            repository.display()
        );
        run.cluster.lab().run("control", &["sh", "-c", &prepare]).unwrap();

        // A service that becomes a pod is a cold start: a container does not see the boot id of a machine of the lab.
        run.measure("services become pods", &ends, |cluster| {
            let url = "--from-literal=url=https://10.0.9.10:6443";
            let words = ["-n", "underlay-system", "create", "configmap", "underlay-api-server", url];
            cluster.kubectl(&words).unwrap();
            let script = folder.join("lab.sh");
            for node in &nodes {
                cluster.lab().run(node, &[script.to_str().unwrap(), "no-agent"]).unwrap();
            }
            cluster.kubectl(&["apply", "--kustomize", "/run/mine"]).unwrap();
            until_rolled_out(cluster);
            for node in &nodes {
                until_peer(cluster, node);
            }
        });
        run.until_all_pass(&ends);
        laptop::asks_all_nodes(&run);
        laptop::explains_across_nodes(&run);
        run.strict("rolling restart", &ends, |cluster| {
            let words = ["-n", "underlay-system", "rollout", "restart", AGENTS];
            cluster.kubectl(&words).unwrap();
            until_rolled_out(cluster);
        });
        run.strict("upgrade", &ends, |cluster| {
            for node in &nodes {
                let names = ["docker.io/library/underlay:lab", "docker.io/library/underlay:next"];
                let words = ["ctr", "-n", "k8s.io", "images", "tag", names[0], names[1]];
                cluster.lab().run(node, &words).unwrap();
            }
            let images = ["agent=underlay:next", "plugin=underlay:next"];
            let words = ["-n", "underlay-system", "set", "image", AGENTS, images[0], images[1]];
            cluster.kubectl(&words).unwrap();
            until_rolled_out(cluster);
        });
        run.until_all_pass(&ends);
        run.admitted();
        balanced::an_address_is_reached_from_beyond(&run);
        leave::a_node_is_deleted(&mut run, &ends);
        run.admitted();
        let ends = run.ends(&nodes);
        run.until_all_pass(&ends);
        leave::everything_is_uninstalled(&run);
        drop(run);
        left().unwrap();
    });
}

/// Waits until each node has the agent that is wanted, and it is ready.
#[track_caller]
fn until_rolled_out(cluster: &Cluster) {
    let words = ["-n", "underlay-system", "rollout", "status", AGENTS, "--timeout=120s"];
    cluster.kubectl(&words).unwrap();
}
