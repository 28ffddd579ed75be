//! The manifests, as `kubectl apply -k` gives them to a real API server.

use std::fs;
use std::path::Path;
use std::process::Command;

use controller::cli::crd::{CrdArgs, yaml};
use k8s_openapi::api::apps::v1::DaemonSet;
use labs::kubernetes::ApiServer;
use serde_json::Value;

use super::{ACCOUNT, NAMESPACE};

/// A copy of the manifests, with definitions that an API server before 1.25 takes.
fn copy(into: &Path) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let copied = Command::new("cp").arg("-r").arg(from).arg(into).status().unwrap();
    assert!(copied.success());
    fs::write(into.join("crd/underlay.yaml"), yaml(CrdArgs { without_cel: true }).unwrap()).unwrap();
}

#[test]
fn the_base_and_the_overlays_are_taken_by_an_api_server() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let api = ApiServer::start(sandbox);
        let folder = sandbox.folder().join("manifests");
        copy(&folder);
        let path = |name: &str| folder.join(name).display().to_string();

        // As the README says it, and once more: the second time changes nothing.
        let applied = api.kubectl(&["apply", "-k", &path("base")]);
        assert!(
            applied.lines().count() >= 10 && applied.lines().all(|line| line.ends_with("created")),
            "{applied}"
        );
        let again = api.kubectl(&["apply", "-k", &path("base")]);
        assert!(
            again.lines().all(|line| line.ends_with("unchanged") || line.ends_with("configured")),
            "{again}"
        );
        api.kubectl(&["wait", "--for=condition=established", "crd", "--all", "--timeout=20s"]);
        let daemons = api.kubectl(&["-n", NAMESPACE, "get", "daemonset", "underlay-agent", "-o", "json"]);
        let daemons: DaemonSet = serde_json::from_str(&daemons).unwrap();
        let pod = daemons.spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.service_account_name.as_deref(), Some(ACCOUNT));
        assert_eq!(
            (pod.host_network, pod.priority_class_name.as_deref()),
            (Some(true), Some("system-node-critical"))
        );
        let example = path("example/one-tor.yaml");
        let example = api.kubectl(&["apply", "-f", &example]);
        assert!(
            example.contains("fabric.underlay.dev/") && example.contains("fabricpeer.underlay.dev/"),
            "{example}"
        );

        // Their Fabrics are known now, and so all of an overlay is taken at once.
        for overlay in ["tor", "route-reflectors", "kind", "k3d", "unnumbered"] {
            let words = ["apply", "--dry-run=server", "-k", &path(&format!("overlays/{overlay}"))];
            let taken = api.kubectl(&words);
            let fabric = taken.contains("fabric.underlay.dev/cluster ");
            assert!(
                taken.contains("daemonset.apps/underlay-agent ") && fabric == (overlay != "unnumbered"),
                "{taken}"
            );
        }
        let built = api.kubectl(&["kustomize", &path("overlays/k3d")]);
        let own = ["path: /var/lib/rancher/k3s/agent/etc/cni/net.d", "path: /var/lib/rancher/k3s/data/cni"];
        assert!(
            own.iter().all(|path| built.contains(path)) && !built.contains("path: /opt/cni/bin"),
            "{built}"
        );
        assert_eq!(built.matches("imagePullPolicy: Never").count(), 2, "{built}");

        // The agent's account may do what its role says, and may not do more.
        let may = |words: &[&str]| {
            let account = format!("--as=system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
            api.try_kubectl(&[&["auth", "can-i"], words, &[account.as_str()]].concat()).is_ok()
        };
        assert!(
            may(&["watch", "fabrics.underlay.dev"])
                && may(&["patch", "fabricnodes.underlay.dev", "--subresource=status"])
        );
        assert!(!may(&["delete", "nodes"]) && !may(&["list", "secrets", "-n", "kube-system"]));

        // The static pod is the kubelet's; that it is a pod an API server says, with the account that a controller
        // makes in each namespace. Here is none, and so no token of it.
        let account = "apiVersion: v1\nkind: ServiceAccount\nautomountServiceAccountToken: false\n";
        api.apply(&format!("{account}metadata: {{name: default, namespace: {NAMESPACE}}}"));
        let pod = path("overlays/static-pod/underlay-agent.yaml");
        let taken = api.kubectl(&["apply", "--dry-run=server", "-f", &pod]);
        assert!(taken.contains("pod/underlay-agent created (server dry run)"), "{taken}");

        // The component that any API server takes.
        let built_with = |name: &str, components: &str| {
            let with = folder.join(name);
            fs::create_dir(&with).unwrap();
            let text = format!(
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\n\
                 components: [{components}]\n"
            );
            fs::write(with.join("kustomization.yaml"), text).unwrap();
            with.display().to_string()
        };
        let with = built_with("with-pools", "../pool-controller");
        let taken = api.kubectl(&["apply", "-k", &with]);
        assert_eq!(taken.matches("underlay-pool-controller created").count(), 6, "{taken}");
        let replicas = ["-n", NAMESPACE, "get", "deployment", "underlay-pool-controller", "-o"];
        assert_eq!(api.kubectl(&[&replicas[..], &["jsonpath={.spec.replicas}"]].concat()), "2");

        // Those with kinds of others. An API server before 1.30 does not know the kinds of one, and one without the Prometheus
        // operator not that of another: it is those alone that it lacks.
        let with = built_with("with-components", "../policy, ../pool-controller, ../service-monitor");
        let built = api.kubectl(&["kustomize", &with]);
        let documents: Vec<Value> =
            built.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
        let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
        let count = |kind: &str| kinds.iter().filter(|it| **it == kind).count();
        assert_eq!(count("ValidatingAdmissionPolicy"), 2, "{kinds:?}");
        assert_eq!(count("ValidatingAdmissionPolicyBinding"), 2, "{kinds:?}");
        let agents = documents.iter().find(|document| document["kind"] == "DaemonSet").unwrap();
        let metrics = &agents["spec"]["template"]["spec"]["containers"][0]["env"];
        let metrics: Vec<&Value> = metrics.as_array().unwrap().iter().collect();
        assert!(
            metrics.iter().any(|env| env["value"] == "$(UNDERLAY_NODE_ADDRESS):9179") && metrics.len() == 4,
            "{metrics:?}"
        );
        let refused = api.try_kubectl(&["apply", "--dry-run=server", "-k", &with]).unwrap_err();
        let lacks: Vec<&str> = refused.lines().filter(|line| line.contains("no matches for kind")).collect();
        assert_eq!(lacks.len(), refused.lines().filter(|line| line.contains("kind")).count(), "{refused}");
        let of_others =
            |line: &str| line.contains("ValidatingAdmissionPolicy") || line.contains("ServiceMonitor");
        assert!(lacks.iter().all(|line| of_others(line)) && !lacks.is_empty(), "{refused}");
    });
}
