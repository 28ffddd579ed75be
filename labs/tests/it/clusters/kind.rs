//! The lab `kind`: a cluster as kind describes it, without agents until its manifests are applied, behind BIRD and FRR.

use std::path::Path;

use labs::kubernetes::Cluster;
use labs::wait;

use crate::lab::{left, shows_what_is_printed};

use super::run::LIMIT;

const AGENTS: [&str; 2] = ["-n", "underlay-system"];

/// The logs of what went wrong.
struct Kept<'a>(&'a Cluster, &'a str);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.keep_logs(self.1);
        }
    }
}

#[test]
fn pods_of_a_kind_cluster_are_routed_by_routers_outside() {
    labs::require!("root", "kubernetes", "cgroups", "containerd", "runc", "bird", "frr");
    labs::sandbox!(|sandbox| {
        let labs = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = labs.join("kind/kind.clab.yml");
        let cluster = Cluster::up(&file).unwrap();
        let kept = Kept(&cluster, sandbox.test());
        let kubectl = |words: &[&str]| cluster.kubectl(words).unwrap();

        // As the page says it.
        let url = "--from-literal=url=https://172.18.0.2:6443";
        kubectl(&[&AGENTS[..], &["create", "configmap", "underlay-api-server", url]].concat());
        let manifests = labs.join("kind/manifests");
        kubectl(&["apply", "--validate=false", "--kustomize", manifests.to_str().unwrap()]);
        kubectl(&["apply", "--filename", labs.join("kubernetes/pods.yaml").to_str().unwrap()]);
        cluster.until_ready().unwrap();
        shows_what_is_printed(&labs.join("kind/README.md"), &[]);

        // Each pod answers the client with its own name, by either family, and by way of its ToR.
        let pods = cluster.until_pods("web", cluster.nodes()).unwrap();
        assert_eq!(pods.len(), 3, "the control plane is a node too");
        for pod in &pods {
            for address in &pod.addresses {
                let host = if address.contains(':') { format!("[{address}]") } else { address.clone() };
                wait::until(&format!("{} to answer at {address}", pod.name), LIMIT, || {
                    let url = format!("http://{host}/etc/hostname");
                    let said = cluster.run("client", &["wget", "-qO-", "--timeout=2", "--tries=1", &url]);
                    match said {
                        Ok(name) if name.trim() == pod.name => Ok(()),
                        other => Err(format!("{other:?}")),
                    }
                });
                for node in cluster.nodes().iter().filter(|node| **node != pod.node) {
                    let way = cluster.run(node, &["ip", "route", "get", address]).unwrap();
                    assert!(way.contains(" dev eth1 "), "{node}: {way}");
                }
            }
        }
        // Docker's network has never heard of a pod.
        let bridge = cluster.run("k01", &["ip", "route", "show", "table", "all"]).unwrap();
        assert!(!bridge.contains("10.244.") && bridge.contains("172.18.0.0/16"), "{bridge}");

        drop(kept);
        drop(cluster);
        left().unwrap();
    });
}
