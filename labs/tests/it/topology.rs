//! The reader of containerlab files: what it understands, and how it refuses the rest.

use std::path::{Path, PathBuf};

use labs::image::Run;
use labs::topology::{Bind, End, Link, Topology};

/// The file stands for itself; binds are looked up in this package's folder.
fn parse(text: &str) -> Result<Topology, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Topology::parse(Path::new("x.clab.yml"), folder, text).map_err(|error| error.to_string())
}

#[test]
fn a_file_is_understood_as_containerlab_does() {
    let topology = parse(
        r#"
name: pair
topology:
  defaults:
    kind: linux
    network-mode: none
    env: {LEVEL: defaults, ONE: "1"}
    exec: [echo first]
  kinds:
    linux:
      image: registry.example/nic/bird:2.0
      sysctls:
        net.ipv4.ip_forward: 1
      env: {LEVEL: kind}
      binds: ["Cargo.toml:/etc/bird/bird.conf:ro"]
  nodes:
    a:
      exec:
        - ip addr add 10.0.0.1/31 dev eth1
        - sh -c 'echo "a b"'
      env: {LEVEL: node}
    b:
      image: underlay:lab
      cmd: agent --node b
      sysctls: {net.ipv4.ip_forward: "0"}
      binds: ["src:/srv/sources"]
    c:
      image: busybox
  links:
    - endpoints: ["a:eth1", "b:eth1"]
      mtu: 9000
    - endpoints: [b:eth2, c:eth1]
"#,
    )
    .unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let conf =
        Bind { source: folder.join("Cargo.toml"), target: "/etc/bird/bird.conf".into(), read_only: true };
    let sources = Bind { source: folder.join("src"), target: "/srv/sources".into(), read_only: false };
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    assert_eq!(topology.name, "pair");

    let a = &topology.nodes["a"];
    assert_eq!(a.image, "registry.example/nic/bird:2.0");
    let bird = Run { program: "bird".into(), args: words("-f -c /etc/bird/bird.conf") };
    assert_eq!(a.run, Some(bird));
    let shell = ["sh", "-c", "echo \"a b\""].map(String::from).to_vec();
    assert_eq!(a.exec, [words("echo first"), words("ip addr add 10.0.0.1/31 dev eth1"), shell]);
    assert_eq!(a.binds, std::slice::from_ref(&conf));
    assert_eq!(a.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["LEVEL=node", "ONE=1"]);
    assert_eq!(a.sysctls["net.ipv4.ip_forward"], "1");

    let b = &topology.nodes["b"];
    assert_eq!(b.run, Some(Run { program: "underlay".into(), args: words("agent --node b") }));
    assert_eq!(b.sysctls["net.ipv4.ip_forward"], "0");
    assert_eq!(b.binds, [conf, sources]);
    assert_eq!(topology.nodes["c"].run, None);

    let end = |node: &str, interface: &str| End { node: node.into(), interface: interface.into() };
    let wide = Link { ends: [end("a", "eth1"), end("b", "eth1")], mtu: Some(9000) };
    assert_eq!(topology.links, [wide, Link { ends: [end("b", "eth2"), end("c", "eth1")], mtu: None }]);
}

/// A lab with one node of these settings and one link of these.
fn lab(node: &str, links: &str) -> String {
    format!(
        "name: x
topology:
  nodes:
    a:
      {node}
    b: {{kind: linux, image: linux}}
  links: {links}
"
    )
}

#[test]
fn what_is_not_honoured_is_refused_by_name_and_place() {
    let bare = "{kind: linux, image: linux}";
    let cases = [
        (
            lab("{kind: srl, image: linux}", "[]"),
            "x.clab.yml:5:14: kind `srl` is not supported; this runner knows `linux`, `k8s-kind` and `ext-container`",
        ),
        (lab("{image: linux}", "[]"), "x.clab.yml:5:7: node `a` has no `kind`"),
        (
            lab("{kind: linux, image: linux, network-mode: host}", "[]"),
            "x.clab.yml:5:49: network-mode `host` is not supported, only `none`",
        ),
        (lab("{kind: linux}", "[]"), "x.clab.yml:5:7: node `a` has no `image`"),
        (
            lab("{kind: linux, image: ceos}", "[]"),
            "x.clab.yml:5:28: image `ceos` has no local program; known are underlay, bird, frr, gobgp, openbgpd, kubernetes-control-plane, kubernetes-node, kubernetes-all-in-one, linux, alpine, busybox, debian",
        ),
        (
            lab("{kind: linux, image: underlay:lab}", "[]"),
            "x.clab.yml:5:7: node `a`: image `underlay` needs a `cmd`, such as `agent --node NAME`",
        ),
        (
            lab("{kind: linux, image: linux, ports: [80]}", "[]"),
            "x.clab.yml:5:35: unknown field `ports`, expected one of kind, image, cmd, startup-config, network-mode, exec, binds, sysctls, env",
        ),
        (
            lab("{kind: linux, image: linux, exec: [\"echo 'a\"]}", "[]"),
            "x.clab.yml:5:42: the quote ' is not closed",
        ),
        (
            lab("{kind: linux, image: linux, binds: [nowhere]}", "[]"),
            "x.clab.yml:5:43: bind `nowhere` is not SOURCE:TARGET or SOURCE:TARGET:ro",
        ),
        (
            lab("{kind: linux, image: linux, binds: [\"src:etc\"]}", "[]"),
            "x.clab.yml:5:43: bind target `etc` is not an absolute path",
        ),
        (lab(bare, "[{endpoints: [a:eth1]}]"), "x.clab.yml:7:11: a link has 2 endpoints, this one has 1"),
        (lab(bare, "[{endpoints: [a:eth1, c:eth1]}]"), "x.clab.yml:7:32: endpoint `c:eth1`: no node `c`"),
        (lab(bare, "[{endpoints: [a:eth1, a:eth1]}]"), "x.clab.yml:7:32: endpoint `a:eth1` is used twice"),
        (lab(bare, "[{endpoints: [a, b:eth1]}]"), "x.clab.yml:7:24: endpoint `a` is not NODE:INTERFACE"),
        (
            lab(bare, "[{endpoints: [\"a:eth1.100\", b:eth1]}]"),
            "x.clab.yml:7:24: `eth1.100` is not 1 to 15 letters and digits",
        ),
        (
            lab(bare, "[{endpoints: [a:eth1, b:eth1], vars: {}}]"),
            "x.clab.yml:7:41: unknown field `vars`, expected one of endpoints, mtu",
        ),
        (
            "name: A\ntopology: {nodes: {}}\n".into(),
            "x.clab.yml:1:7: name `A` is not 1 to 20 of a-z, 0-9 and -",
        ),
        (
            "name: x\nmgmt: {}\ntopology: {nodes: {}}\n".into(),
            "x.clab.yml:2:1: unknown field `mgmt`, expected one of name, topology",
        ),
        ("name: x\ntopology: {nodes: [\n".into(), "x.clab.yml:2:19: expected mapping start"),
    ];
    for (text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn a_missing_file_and_a_missing_bind_name_their_path() {
    let error = Topology::read(Path::new("/nowhere/x.clab.yml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/x.clab.yml: No such file"), "{error}");
    let error = parse(&lab("{kind: linux, image: linux, binds: [\"no:/etc/no\"]}", "[]")).unwrap_err();
    assert!(
        error.starts_with("x.clab.yml:5:43: bind source `/") && error.ends_with("/no` does not exist"),
        "{error}"
    );
}

/// A lab with a cluster of this configuration and one container of it.
fn with_cluster(cluster: &str, container: &str) -> Result<Topology, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), cluster).unwrap();
    let text = format!(
        "name: x
topology:
  nodes:
    k: {{kind: k8s-kind, startup-config: cluster.yaml}}
    {container}
    tor: {{kind: linux, image: linux}}
  links:
    - endpoints: [\"k-worker2:eth1\", \"tor:eth1\"]
"
    );
    let read = Topology::parse(Path::new("x.clab.yml"), folder.path(), &text);
    read.map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

const CLUSTER: &str = "kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: worker}, {role: control-plane}, {role: worker, labels: {rack: '2', asn: '65001'}}]
networking: {disableDefaultCNI: true, ipFamily: dual, podSubnet: '10.1.0.0/16,fd01::/56'}
";
const WORKER: &str = "k-worker2: {kind: ext-container, exec: [ip addr add 10.0.0.1/31 dev eth1]}";

#[test]
fn a_cluster_of_kind_is_its_containers_on_one_network() {
    let topology = with_cluster(CLUSTER, WORKER).unwrap();
    assert_eq!(topology.clusters, ["k"]);
    assert_eq!(
        topology.nodes.keys().collect::<Vec<_>>(),
        ["k", "k-control-plane", "k-worker", "k-worker2", "tor"]
    );
    let image = |name: &str| topology.nodes[name].image.as_str();
    assert_eq!((image("k-control-plane"), image("k-worker")), ("kubernetes-all-in-one", "kubernetes-node"));
    // Docker's network is a bridge in a node of the cluster's name, with a port a container, the control plane's first.
    let ends: Vec<String> = topology
        .links
        .iter()
        .map(|link| link.ends.iter().map(|end| format!("{}:{} ", end.node, end.interface)).collect())
        .collect();
    let cables = [
        "k:port0 k-control-plane:eth0 ",
        "k:port1 k-worker:eth0 ",
        "k:port2 k-worker2:eth0 ",
        "k-worker2:eth1 tor:eth1 ",
    ];
    assert_eq!(ends, cables);
    let worker = &topology.nodes["k-worker2"];
    let commands: Vec<String> = worker.exec.iter().map(|words| words.join(" ")).collect();
    assert_eq!(
        (commands.first().unwrap().as_str(), commands.last().unwrap().as_str()),
        ("ip addr add 172.18.0.4/16 dev eth0", "ip addr add 10.0.0.1/31 dev eth1")
    );
    let told = |name: &str| worker.env.get(name).map(String::as_str);
    assert_eq!((told("ADDRESS"), told("LABELS")), (Some("172.18.0.2"), Some("asn=65001,rack=2")));
    assert_eq!(
        (told("PODS"), told("SERVICES")),
        (Some("10.1.0.0/16,fd01::/56"), Some("10.96.0.0/16,fd00:10:96::/112"))
    );
}

#[test]
fn a_cluster_that_is_not_honoured_is_refused_by_name() {
    let refused = |cluster: &str, container: &str| with_cluster(cluster, container).unwrap_err();
    let cases = [
        (
            CLUSTER.replace("role: worker,", "role: etcd,"),
            "x.clab.yml:4:41: cluster.yaml: unknown variant `etcd`",
        ),
        (
            CLUSTER.replace("role: worker,", "role: control-plane,"),
            "x.clab.yml:4:41: cluster.yaml: nodes have 2 of role control-plane",
        ),
        (CLUSTER.replace("dual", "ipv4"), "x.clab.yml:4:41: cluster.yaml: networking.ipFamily is `ipv4`"),
        (
            CLUSTER.replace("true", "false"),
            "x.clab.yml:4:41: cluster.yaml: networking.disableDefaultCNI is not true",
        ),
        (
            CLUSTER.replace("podSubnet", "podsubnet"),
            "x.clab.yml:4:41: cluster.yaml: unknown field `podsubnet`",
        ),
        (
            CLUSTER.replace("v1alpha4", "v1alpha3"),
            "x.clab.yml:4:41: cluster.yaml: `Cluster` of `kind.x-k8s.io/v1alpha3`",
        ),
    ];
    for (cluster, message) in cases {
        let said = refused(&cluster, WORKER);
        assert!(said.starts_with(message), "{said}");
    }
    let cases = [
        (
            "k-worker7: {kind: ext-container}",
            "x.clab.yml:5:16: node `k-worker7` is no container of a cluster",
        ),
        (
            "k-worker2: {kind: ext-container, image: linux}",
            "x.clab.yml:5:16: node `k-worker2` of kind `ext-container` has nothing but `exec` here",
        ),
        ("j: {kind: k8s-kind}", "x.clab.yml:5:8: node `j` has no `startup-config`"),
        ("j: {kind: k8s-kind, startup-config: none.yaml}", "x.clab.yml:5:41: none.yaml: No such file"),
    ];
    for (container, message) in cases {
        let said = refused(CLUSTER, container);
        assert!(said.starts_with(message), "{said}");
    }
}
