//! The kustomize base and the definitions: made from the types, and fit for
//! the program.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use controller::cli::crd::CrdArgs;
use controller::cluster::directory;
use controller::desired::{Surroundings, compute};
use controller::kernel::LocalAddress;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster::{addresses, node};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

fn object<T: DeserializeOwned>(file: &str) -> T {
    let path = folder().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_committed_definitions_are_those_of_the_types() {
    let path = folder().join("crd/underlay.yaml");
    let made = controller::cli::crd::yaml(CrdArgs::default()).unwrap();
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let path = path.display();
    assert!(committed == made, "{path} is stale: `underlay crd > manifests/crd/underlay.yaml` makes it anew");
}

#[test]
fn every_file_that_the_base_names_is_there() {
    for name in ["base", "crd", "rbac", "policy", "pool-controller", "service-monitor"] {
        let kustomization: Value = object(&format!("{name}/kustomization.yaml"));
        let patches = kustomization["patches"].as_array().into_iter().flatten().map(|patch| &patch["path"]);
        for file in kustomization["resources"].as_array().unwrap().iter().chain(patches) {
            let file = folder().join(name).join(file.as_str().unwrap());
            assert!(file.exists(), "{}", file.display());
        }
    }
}

#[test]
fn the_daemon_set_starts_the_program_as_it_is() {
    let namespace: Namespace = object("base/namespace.yaml");
    let account: ServiceAccount = object("rbac/service-account.yaml");
    let daemons: DaemonSet = object("base/daemon-set.yaml");
    let spec = daemons.spec.unwrap().template.spec.unwrap();
    assert_eq!(daemons.metadata.namespace, namespace.metadata.name);
    assert_eq!(spec.service_account_name, account.metadata.name);
    let [agent] = &spec.containers[..] else { panic!("one container") };
    let mut arguments: Vec<OsString> = vec!["underlay".into()];
    arguments.extend(agent.args.iter().flatten().map(OsString::from));
    // The node's name comes by the environment.
    let env = agent.env.as_ref().unwrap();
    assert_eq!(env[0].name, "UNDERLAY_NODE");
    arguments.extend(["--node".into(), "n1".into()]);
    let args = controller::cli::parse_agent(arguments).unwrap();
    let mounts: Vec<&str> =
        agent.volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str()).collect();
    assert_eq!(args.manifests, None, "the base reads the Kubernetes API");
    assert!(mounts.contains(&args.socket.parent().unwrap().to_str().unwrap()));
    assert!(mounts.contains(&args.cni_conf_dir.unwrap().to_str().unwrap()));
}

#[test]
fn the_overlays_start_the_program_as_it_is() {
    let parse = |words: &[&str]| {
        let words = ["underlay"].iter().chain(words).chain(&["--node", "n1"]).map(OsString::from);
        controller::cli::parse_agent(words).unwrap()
    };
    let pod: Pod = object("overlays/static-pod/underlay-agent.yaml");
    let spec = pod.spec.unwrap();
    assert_eq!(spec.service_account_name, None, "the kubelet refuses a static pod with one");
    let arguments: Vec<&str> = spec.containers[0].args.iter().flatten().map(String::as_str).collect();
    let of_pod = parse(&arguments);
    let mounts = spec.containers[0].volume_mounts.as_ref().unwrap();
    for path in [&of_pod.kubeconfig, &of_pod.cni_conf_dir, &Some(of_pod.checkpoint.clone())] {
        let path = path.as_ref().unwrap().to_str().unwrap();
        assert!(mounts.iter().any(|mount| path.starts_with(&mount.mount_path)), "{path} is the node's");
    }

    let unit = fs::read_to_string(folder().join("overlays/systemd/underlay-agent.service")).unwrap();
    let start =
        unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/underlay ")).unwrap();
    let of_unit = parse(&start.split_whitespace().collect::<Vec<_>>());
    assert_eq!(of_unit.kubeconfig, of_pod.kubeconfig);
    assert_eq!(of_unit.cni_conf_dir, of_pod.cni_conf_dir);
    assert_eq!(of_unit.namespace, of_pod.namespace);
    // The folders that systemd makes are those that the program uses.
    assert!(
        of_unit.checkpoint.starts_with("/var/lib/underlay") && unit.contains("StateDirectory=underlay\n")
    );
    assert!(of_unit.socket.starts_with("/run/underlay") && unit.contains("RuntimeDirectory=underlay\n"));
}

/// What kustomize would do with it is little enough to be done here: the same object, with one list in the place of another.
#[test]
fn the_overlay_for_links_without_addresses_adds_a_right_and_nothing_else() {
    let overlay: Value = object("overlays/unnumbered/kustomization.yaml");
    assert_eq!(overlay["resources"], serde_json::json!(["../../base"]));
    let patch = overlay["patches"][0]["path"].as_str().unwrap();
    let patch: DaemonSet = object(&format!("overlays/unnumbered/{patch}"));
    let base: DaemonSet = object("base/daemon-set.yaml");
    assert_eq!(
        (&patch.metadata.name, &patch.metadata.namespace),
        (&base.metadata.name, &base.metadata.namespace)
    );
    let added = |daemons: DaemonSet| {
        let container = daemons.spec.unwrap().template.spec.unwrap().containers.remove(0);
        (container.name, container.security_context.unwrap().capabilities.unwrap().add.unwrap())
    };
    let ((of_base, mut rights), (of_patch, all)) = (added(base), added(patch));
    rights.push("NET_RAW".to_owned());
    assert_eq!((of_patch, all), (of_base, rights));
}

#[test]
fn who_scrapes_finds_every_agent() {
    let monitor: Value = object("service-monitor/service-monitor.yaml");
    let service: Service = object("service-monitor/service.yaml");
    let template = object::<DaemonSet>("base/daemon-set.yaml").spec.unwrap().template;
    let spec = service.spec.unwrap();
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], serde_json::json!(service.metadata.labels));
    assert_eq!(spec.selector, template.metadata.unwrap().labels);
    let port = &spec.ports.as_ref().unwrap()[0];
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], serde_json::json!(port.name));
    let containers = template.spec.unwrap().containers;
    let container = &containers[0].ports.as_ref().unwrap()[0];
    assert_eq!(
        (Some(container.container_port), container.name.clone()),
        (Some(port.port), port.name.clone())
    );

    // The address of a node comes without brackets.
    let served = |address: &str| {
        let metrics = format!("--metrics={address}:9179");
        let words = ["underlay", "agent", "--node=n1", &metrics].map(OsString::from);
        controller::cli::parse_agent(words).map(|args| args.metrics.0.unwrap().ip().to_string())
    };
    for address in ["192.0.2.11", "2001:db8::11", "::1"] {
        assert_eq!(served(address).unwrap(), address);
    }
    assert_eq!(served("[2001:db8::11]").unwrap(), "2001:db8::11");
    assert!(served("n1").unwrap_err().to_string().contains("is no address with a port"));
}

#[test]
fn the_rights_are_objects_of_kubernetes_and_bind_each_other() {
    fn each<T: DeserializeOwned, U: DeserializeOwned>(file: &str) -> (T, U) {
        let text = fs::read_to_string(folder().join(file)).unwrap();
        let (one, other) = text.split_once("\n---\n").unwrap();
        (serde_saphyr::from_str(one).unwrap(), serde_saphyr::from_str(other).unwrap())
    }
    let account: ServiceAccount = object("rbac/service-account.yaml");
    let (role, binding): (ClusterRole, ClusterRoleBinding) = each("rbac/cluster-role.yaml");
    assert_eq!(Some(binding.role_ref.name), role.metadata.name);
    assert_eq!(Some(binding.subjects.unwrap()[0].name.clone()), account.metadata.name);
    let (role, binding): (Role, RoleBinding) = each("rbac/role.yaml");
    assert_eq!(Some(binding.role_ref.name), role.metadata.name);
    assert_eq!(role.metadata.namespace, account.metadata.namespace);
    for file in ["policy/own-fabric-node.yaml", "policy/own-node.yaml"] {
        let (policy, binding): (ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding) = each(file);
        assert_eq!(binding.spec.unwrap().policy_name, policy.metadata.name);
    }
}

#[test]
fn the_example_is_one_that_the_agent_takes() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(self::folder().join("example/one-tor.yaml"), folder.path().join("fabric.yaml")).unwrap();
    let objects = directory::read(folder.path()).unwrap();
    let own = LocalAddress {
        ifindex: 2,
        name: "eth0".into(),
        address: "192.0.2.11".parse().unwrap(),
        prefix_len: 24,
        up: true,
    };
    let around = Surroundings { addresses: &[own], ..Surroundings::default() };
    let desired = compute(&objects, "worker-1", around).unwrap();
    assert_eq!((desired.speaker.peers.len(), desired.speaker.origins.len()), (1, 2));
    assert!(desired.warnings.is_empty(), "{:?}", desired.warnings);
}

#[test]
fn the_fabrics_of_the_overlays_are_such_too() {
    // Node 2 reflects.
    for (overlay, peers) in [("tor", 2), ("route-reflectors", 1), ("kind", 1), ("k3d", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let file = self::folder().join("overlays").join(overlay).join("fabric.yaml");
        fs::copy(&file, folder.path().join("fabric.yaml")).unwrap();
        fs::write(
            folder.path().join("nodes.yaml"),
            node(1, "1") + &node(2, "1").replace("rack:", "underlay.dev/route-reflector: \"\", rack:"),
        )
        .unwrap();
        let objects = directory::read(folder.path()).unwrap();
        let gateways = ["10.0.1.1", "10.0.2.3"].map(|address| address.parse().unwrap());
        let around = Surroundings { addresses: &addresses(), gateways: &gateways, ..Surroundings::default() };
        let desired = compute(&objects, "n1", around).unwrap();
        assert_eq!((desired.speaker.peers.len(), desired.speaker.origins.len()), (peers, 2), "{overlay}");
    }
}
