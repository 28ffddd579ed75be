//! An agent and a real API server: what it asks for, what it says, and what it
//! does when the server is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use controller::cli::crd::{CrdArgs, yaml};
use controller::cluster::{Objects, manifest};
use labs::bird::Bird;
use labs::daemon::Daemon;
use labs::kubernetes::{ApiServer, Setup};
use labs::{Netns, Sandbox, wait};
use serde_json::Value;

use crate::interop::bird::{config, rack};

const LIMIT: Duration = Duration::from_secs(40);

/// The namespace and the account of the manifests.
pub(super) const NAMESPACE: &str = "underlay-system";
const ACCOUNT: &str = "underlay-agent";

fn manifests(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const FABRIC: &str = r#"
apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: all}
spec:
  asn: {value: 65001}
  mesh: None
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {hold: 3s, keepalive: 1s, connectRetry: 1s}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: tor}
spec: {address: 10.0.1.1, asn: 65100}
"#;

/// Puts the definitions and the agents' rights; what an agent reaches the server with.
pub(super) fn install(api: &ApiServer) -> PathBuf {
    api.apply(&yaml(CrdArgs { without_cel: true }).unwrap());
    api.kubectl(&["wait", "--for=condition=established", "crd", "--all", "--timeout=20s"]);
    for file in
        ["base/namespace.yaml", "rbac/service-account.yaml", "rbac/cluster-role.yaml", "rbac/role.yaml"]
    {
        api.apply(&manifests(file));
    }
    api.kubeconfig_of(NAMESPACE, ACCOUNT)
}

/// A node beside an API server on its loopback, and a router.
struct World<'a> {
    sandbox: &'a Sandbox,
    api: ApiServer,
    node: Netns,
    router: Netns,
    config: PathBuf,
}

impl<'a> World<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let (node, router) = rack(sandbox);
        let setup = Setup { audit: true, namespace: Some(node.clone()), ..Setup::default() };
        let api = ApiServer::with(sandbox, setup);
        let config = install(&api);
        Self { sandbox, api, node, router, config }
    }

    /// Puts a Node with an InternalIP of each family; PodCIDRs may come later.
    fn put_node(&self, name: &str, host: u8) {
        self.api.apply(&format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}"));
        let status = format!(
            "{{\"status\":{{\"addresses\":[{{\"type\":\"InternalIP\",\"address\":\"10.0.1.{host}\"}},\
             {{\"type\":\"InternalIP\",\"address\":\"fd00:1::{host}\"}}]}}}}"
        );
        self.api.kubectl(&["patch", "node", name, "--subresource=status", "--type=merge", "-p", &status]);
    }

    fn put_cidrs(&self, name: &str, number: u8) {
        let spec = format!(
            "{{\"spec\":{{\"podCIDR\":\"10.244.{number}.0/24\",\"podCIDRs\":[\"10.244.{number}.0/24\",\
             \"fd00:10:244:{number}::/64\"]}}}}"
        );
        self.api.kubectl(&["patch", "node", name, "--type=merge", "-p", &spec]);
    }

    fn agent(&self, name: &str) -> Agent {
        let state = self.sandbox.folder().join(format!("{name}-state"));
        fs::create_dir_all(&state).unwrap();
        // What the DaemonSet leaves of root's capabilities.
        let capabilities = ["--bounding-set=-all,+net_admin,+net_bind_service", "--no-new-privs", "--"];
        let mut command = self.node.exec("setpriv", capabilities);
        command.args([env!("CARGO_BIN_EXE_underlay"), "agent", "--node", name]);
        command.arg("--kubeconfig").arg(&self.config).args(["--namespace", NAMESPACE]);
        command.arg("--socket").arg(state.join("status.sock"));
        command.arg("--checkpoint").arg(state.join("checkpoint.json"));
        command.arg("--cni-conf-dir").arg(state.join("net.d"));
        Agent { daemon: self.sandbox.daemon(name, command), state }
    }

    /// What a JSONPath of the FabricNode gives; empty while there is none.
    fn report(&self, path: &str) -> String {
        let words = ["get", "fabricnode", "n1", "-o", &format!("jsonpath={path}")];
        self.api.try_kubectl(&words).unwrap_or_else(|message| message)
    }

    #[track_caller]
    fn until_report(&self, path: &str, expected: &str, agent: &Agent) {
        let look = || {
            let found = self.report(path);
            if found == expected { Ok(()) } else { Err(found) }
        };
        if let Err(message) = wait::attempt(&format!("{path} is {expected}"), LIMIT, look) {
            panic!("{message}\n{}", agent.daemon.log());
        }
    }
}

struct Agent {
    daemon: Daemon,
    state: PathBuf,
}

impl Agent {
    fn ask(&self, words: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(words.split_whitespace()).arg("--socket").arg(self.state.join("status.sock"));
        let output = command.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    #[track_caller]
    fn until(&self, words: &str, expected: &str) {
        let look = || {
            let said = self.ask(words);
            if said.contains(expected) { Ok(()) } else { Err(said) }
        };
        if let Err(message) = wait::attempt(&format!("{words} has {expected}"), LIMIT, look) {
            panic!("{message}\n{}", self.daemon.log());
        }
    }
}

/// What a service account asked for with success: verb, group, resource with subresource, namespace.
fn asked(audit: &str) -> BTreeSet<(String, String, String, String)> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let mut asked = BTreeSet::new();
    for event in audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let object = &event["objectRef"];
        if event["user"]["username"] != user.as_str() || object.is_null() {
            continue;
        }
        assert_ne!(event["responseStatus"]["code"], 403, "the role lacks a right: {event}");
        let part = of(&object["subresource"]);
        let resource = of(&object["resource"]) + if part.is_empty() { "" } else { "/" } + &part;
        asked.insert((of(&event["verb"]), of(&object["apiGroup"]), resource, of(&object["namespace"])));
    }
    asked
}

/// What the roles of the manifests grant: verb, group, resource, and the namespace of a Role.
fn granted() -> BTreeSet<(String, String, String, String)> {
    let mut granted = BTreeSet::new();
    for file in ["rbac/cluster-role.yaml", "rbac/role.yaml"] {
        for document in manifests(file).split("\n---\n") {
            let role: Value = serde_saphyr::from_str(document).unwrap();
            let namespace = match role["kind"].as_str() {
                Some("Role") => NAMESPACE,
                _ => "",
            };
            for rule in role["rules"].as_array().into_iter().flatten() {
                let each = |field: &str| -> Vec<String> {
                    rule[field].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
                };
                for group in each("apiGroups") {
                    for resource in each("resources") {
                        for verb in each("verbs") {
                            granted.insert((verb, group.clone(), resource.clone(), namespace.to_owned()));
                        }
                    }
                }
            }
        }
    }
    granted
}

#[test]
fn the_agent_asks_for_what_its_role_grants_and_for_nothing_else() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let _bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.api.apply(FABRIC);
        let mut agent = world.agent("n1");

        wait::until("the agent in the place of setpriv", LIMIT, || agent.ask("status").contains("n1"));
        let status = fs::read_to_string(format!("/proc/{}/status", agent.daemon.pid())).unwrap();
        // Bits 10 and 12 of linux/capability.h.
        assert!(status.contains("CapBnd:\t0000000000001400"), "{status}");

        // PodCIDRs are absent at first, and come late.
        agent.until("status", "has no podCIDRs, so none is advertised");
        world.put_cidrs("n1", 1);
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.until_report("{.status.peers}", "1/1", &agent);
        world.until_report("{.status.conditions[?(@.type==\"Ready\")].status}", "True", &agent);
        world.until_report("{.status.conditions[?(@.type==\"KernelInSync\")].status}", "True", &agent);
        let table = world.api.kubectl(&["get", "fabricnodes,fabrics,fabricpeers"]);
        let head: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(head, ["NAME", "ASN", "PEERS", "ROUTES", "READY", "REASON", "AGE"], "{table}");
        assert!(world.api.kubectl(&["get", "underlay", "-o", "name"]).contains("fabricnode.underlay.dev/n1"));
        assert_eq!(world.report("{.metadata.ownerReferences[0].kind}"), "Node");

        // A key from a Secret, and one that is not there.
        let secret = |name: &str| {
            format!("{{\"spec\":{{\"passwordSecretRef\":{{\"name\":\"{name}\",\"key\":\"k\"}}}}}}")
        };
        let patch =
            |name: &str| world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", &secret(name)]);
        patch("tor");
        agent.until("status", "Secret \"tor\" is missing");
        world.until_report("{.status.peersDown[0].name}", "tor", &agent);
        world.api.kubectl(&["-n", NAMESPACE, "create", "secret", "generic", "tor", "--from-literal=other=x"]);
        agent.until("status", "Secret \"tor\" has no key `k`");
        world.api.kubectl(&[
            "patch",
            "fp",
            "tor",
            "--type=json",
            "-p",
            "[{\"op\":\"remove\",\"path\":\"/spec/passwordSecretRef\"}]",
        ]);
        world.until_report("{.status.peers}", "1/1", &agent);

        let events = || {
            world.api.kubectl(&[
                "get",
                "events",
                "-o",
                "jsonpath={range .items[*]}{.involvedObject.kind} {.reason}{\"\\n\"}{end}",
            ])
        };
        wait::until("the Events", LIMIT, || {
            let events = events();
            let all = ["Node PeerEstablished", "Node PeerDown"].iter().all(|event| events.contains(event));
            if all { Ok(()) } else { Err(events) }
        });

        // Each object says whether it is accepted; rules that the schema cannot hold are the agent's.
        let accepted = |kind: &str, name: &str| {
            let path = "jsonpath={.metadata.generation} {.status.conditions[?(@.type==\"Accepted\")].observedGeneration} \
                {.status.conditions[?(@.type==\"Accepted\")].status} {.status.conditions[?(@.type==\"Accepted\")].message}";
            world.api.kubectl(&["get", kind, name, "-o", path])
        };
        let until_accepted = |kind: &str, name: &str, word: &str| {
            wait::until(&format!("{kind} {name} {word}"), LIMIT, || {
                let found = accepted(kind, name);
                let mut words = found.split_whitespace();
                let current = words.next() == words.next();
                if current && found.contains(word) { Ok(()) } else { Err(found) }
            });
        };
        until_accepted("fabric", "all", "True");
        until_accepted("fp", "tor", "True");
        world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", "{\"spec\":{\"asn\":0}}"]);
        until_accepted("fp", "tor", "(usable-asn)");
        agent.until("status", "(usable-asn); it stays as it was");
        agent.until("peers", "Established");
        world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", "{\"spec\":{\"asn\":65100}}"]);
        until_accepted("fp", "tor", "True");

        // Two nodes with one prefix: the one keeps what it had, and says so.
        world.put_node("n2", 3);
        world.put_cidrs("n2", 1);
        agent.until("status", "overlaps podCIDR");
        world.until_report("{.status.peers}", "1/1", &agent);
        agent.until("peers", "Established");
        wait::until("the Event of the conflict", LIMIT, || {
            let events = events();
            if events.contains("Node PrefixConflict") { Ok(()) } else { Err(events) }
        });

        // A watch is written down when it ends.
        agent.daemon.terminate();
        let granted = granted();
        wait::until("every right in use, and no other", LIMIT, || {
            let asked: BTreeSet<_> = asked(&world.api.audit())
                .into_iter()
                .map(|(verb, group, resource, namespace)| {
                    let namespace = if resource == "secrets" { namespace } else { String::new() };
                    (verb, group, resource, namespace)
                })
                .collect();
            let mut unused: BTreeSet<_> = granted.difference(&asked).cloned().collect();
            // Server-side apply of an object that is not there is a `patch` in the log and a `create` to RBAC.
            unused.remove(&("create".into(), "underlay.dev".into(), "fabricnodes".into(), String::new()));
            let beyond = asked.difference(&granted).count();
            if unused.is_empty() && beyond == 0 {
                Ok(())
            } else {
                Err(format!("unused {unused:?}, asked {asked:?}"))
            }
        });
    });
}

#[test]
fn a_node_is_given_pods_in_each_boot_when_it_can_carry_them() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        // As a kubelet registers it that was told to.
        let put = || {
            world.put_node("n1", 2);
            world.api.kubectl(&["taint", "node", "n1", "underlay.dev/agent-not-ready=:NoSchedule"]);
            world.api.kubectl(&["taint", "node", "n1", "example.org/other=:NoExecute"]);
        };
        put();
        world.api.apply(FABRIC);
        let look = |path: &str| world.api.kubectl(&["get", "node", "n1", "-o", &format!("jsonpath={path}")]);
        let admission = || {
            let condition = "{.status.conditions[?(@.type==\"NetworkUnavailable\")].status}";
            (look("{.spec.taints[*].key}"), look(condition))
        };
        let until = |keys: &[&str], condition: &str, agent: &Agent| {
            let look = || {
                let (found, said) = admission();
                // The API server's own admission of a node that has no condition Ready is left aside.
                let found = found.split_whitespace().filter(|key| !key.starts_with("node.kubernetes.io/"));
                let found: BTreeSet<&str> = found.collect();
                let same = found == keys.iter().copied().collect() && said == condition;
                if same { Ok(()) } else { Err(format!("{found:?} {said}")) }
            };
            if let Err(message) = wait::attempt(&format!("{keys:?} {condition}"), LIMIT, look) {
                panic!("{message}\n{}", agent.daemon.log());
            }
        };
        let (ours, other) = ("underlay.dev/agent-not-ready", "example.org/other");

        // Without prefixes there are no pods.
        let mut agent = world.agent("n1");
        until(&[ours, other], "True", &agent);
        world.put_cidrs("n1", 1);
        until(&[other], "False", &agent);

        // A restart takes nothing back: nobody has written the Node since.
        let before = look("{.metadata.resourceVersion}");
        agent.daemon.kill();
        let mut agent = world.agent("n1");
        world.until_report("{.status.conditions[?(@.type==\"PodNetworkReady\")].reason}", "SameBoot", &agent);
        assert_eq!(look("{.metadata.resourceVersion}"), before, "{}", agent.daemon.log());

        // A Node that is registered anew while the agent runs.
        world.api.kubectl(&["delete", "node", "n1"]);
        put();
        until(&[other], "False", &agent);

        // A new boot: what lies below /run is gone, and the router is away.
        agent.daemon.kill();
        drop(bird);
        fs::remove_file("/run/underlay/ready").unwrap();
        let agent = world.agent("n1");
        until(&[ours, other], "True", &agent);
        world.put_cidrs("n1", 1);
        let _bird = Bird::start(sandbox, &world.router, "bird-again", &config("10.0.1.2", true));
        until(&[other], "False", &agent);
    });
}

#[test]
fn nothing_that_works_stops_without_the_api_server() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let mut world = World::new(sandbox);
        let _bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);
        let mut agent = world.agent("n1");
        world.until_report("{.status.peers}", "1/1", &agent);
        assert!(agent.daemon.log().contains("\"event\":\"api-server\""), "{}", agent.daemon.log());

        world.api.kill();
        agent.until("status", "is not reachable");
        agent.until("peers", "Established");

        // Started without the API server, the agent goes by what it has kept.
        agent.daemon.kill();
        let mut agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");

        // What it has kept is no use: neither is taken for more than it is, and the kernel keeps what it has.
        let checkpoint = agent.state.join("checkpoint.json");
        let kept = fs::read_to_string(&checkpoint).unwrap();
        let routes = || world.node.ip("route show proto 171");
        let before = routes();
        assert!(before.contains("10.244.9.0/24 via 10.0.1.1"), "{before}");
        for (text, words) in [
            (kept[..kept.len() / 2].to_owned(), "is damaged"),
            (kept.replacen("\"version\":1", "\"version\":0", 1), "is of version 0, this agent reads 1"),
            (kept.replacen("\"version\":1", "\"version\":2", 1), "is of version 2, this agent reads 1"),
        ] {
            assert_ne!(text, kept);
            agent.daemon.kill();
            fs::write(&checkpoint, text).unwrap();
            agent = world.agent("n1");
            agent.until("status", words);
            agent.until("status", "is not reachable");
            assert_eq!(routes(), before, "{}", agent.daemon.log());
        }

        // A server that lives and does not answer is no better.
        world.api.start_again(&[]);
        agent.until("status", "True");
        wait::until("the source whole again", LIMIT, || !agent.ask("status").contains("checkpoint"));
        agent.until("peers", "Established");
        wait::until("a checkpoint that is of use", LIMIT, || {
            fs::read_to_string(&checkpoint).is_ok_and(|text| text.contains("\"version\":1,"))
        });
        // A Node that comes back as another: a new machine under the old name.
        world.api.kubectl(&["delete", "node", "n1"]);
        agent.until("status", "there is no Node \"n1\"");
        agent.until("peers", "Established");
        world.put_node("n1", 2);
        world.put_cidrs("n1", 2);
        agent.until("routes --sent tor", "10.244.2.0/24");
        world.api.freeze();
        agent.daemon.kill();
        let agent = world.agent("n1");
        agent.until("status", "running from checkpoint");
        agent.until("peers", "Established");
        world.api.thaw();
        wait::until("the source whole again", LIMIT, || !agent.ask("status").contains("checkpoint"));
    });
}

#[test]
fn definitions_are_explained_and_hold_what_a_schema_can_hold() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let api = ApiServer::start(sandbox);
        let refused = api.try_apply(&yaml(CrdArgs::default()).unwrap()).unwrap_err();
        assert!(refused.contains("x-kubernetes-validations"), "{refused}");
        api.apply(&yaml(CrdArgs { without_cel: true }).unwrap());
        api.kubectl(&["wait", "--for=condition=established", "crd", "--all", "--timeout=20s"]);
        for (words, text) in [
            ("fabric.spec.mesh", "Whether nodes peer with each other"),
            ("fabricpeer.spec.addressFrom.subnetHost.hosts", "1 is the first address after the subnet's own"),
            ("fabricpeer.spec.import.match", "prefixes"),
            ("fabricnode.status.peersDown", "the first 16"),
        ] {
            let explained =
                wait::until(&format!("explain {words}"), LIMIT, || api.try_kubectl(&["explain", words]));
            let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(explained.contains(text), "{words}: {explained}");
        }
        let object = |kind: &str, spec: &str| {
            format!("apiVersion: underlay.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n")
        };
        for (kind, spec, word) in [
            ("Fabric", "{mesh: Half}", "spec.mesh"),
            ("Fabric", "{asn: {valeu: 1}}", "valeu"),
            ("Fabric", "{podPrefixes: [10.0.0.0]}", "podPrefixes"),
            ("FabricPeer", "{address: 10.0.0.9}", "asn"),
            ("FabricPeer", "{address: 10.0.0.9, asn: 1, families: [IPv5]}", "families"),
            ("FabricPeer", "{address: 10.0.0.9, asn: 1, import: [{action: Drop}]}", "action"),
        ] {
            let refused = api.try_apply(&object(kind, spec)).unwrap_err();
            assert!(refused.contains(word), "{spec}: {refused}");
        }
        api.apply(&object("FabricPeer", "{addressFrom: {defaultGateway: IPv4}, asn: External}"));
        api.apply(&object(
            "Fabric",
            "{podPrefixes: [10.0.0.0/8, \"fd00::/8\"], routerID: {value: 10.0.0.1}}",
        ));
        // Rules in CEL are for API servers from 1.25 on; the agent checks them in any case.
        println!("skipped: rules in CEL: this API server does not know them");
    });
}

/// Of an object: the generation that its verdict is about, the verdict, why, and in words.
const ACCEPTED: &str = "jsonpath={.status.conditions[?(@.type==\"Accepted\")].observedGeneration} \
    {.status.conditions[?(@.type==\"Accepted\")].status} {.status.conditions[?(@.type==\"Accepted\")].reason} \
    {.status.conditions[?(@.type==\"Accepted\")].message}";

#[track_caller]
fn until_accepted(world: &World<'_>, kind: &str, name: &str, words: &str) {
    wait::until(&format!("{kind} {name}: {words}"), LIMIT, || {
        let found = world.api.kubectl(&["get", kind, name, "-o", ACCEPTED]);
        if found.contains(words) { Ok(()) } else { Err(found) }
    });
}

#[test]
fn what_is_written_wrongly_is_named_and_stops_nothing() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let _bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);
        let agent = world.agent("n1");
        world.until_report("{.status.peers}", "1/1", &agent);

        // Two Fabrics, and two FabricPeers, that say different things of one node: both objects tell.
        let head = "apiVersion: underlay.dev/v1alpha1\nmetadata: {name: second}\n";
        world.api.apply(&format!("{head}kind: Fabric\nspec: {{asn: {{value: 65002}}}}\n"));
        for name in ["all", "second"] {
            until_accepted(&world, "fabric", name, "False Conflicting Fabric \"");
            until_accepted(
                &world,
                "fabric",
                name,
                "contradict each other in field `spec.asn` for node \"n1\"",
            );
        }
        agent.until("status", "contradict each other");
        world.api.kubectl(&["delete", "fabric", "second"]);
        until_accepted(&world, "fabric", "all", "True Valid");
        world.api.apply(&format!("{head}kind: FabricPeer\nspec: {{address: 10.0.1.1, asn: 65199}}\n"));
        for name in ["tor", "second"] {
            until_accepted(&world, "fp", name, "contradict each other about peer 10.0.1.1");
        }
        world.api.kubectl(&["delete", "fp", "second"]);
        until_accepted(&world, "fp", "tor", "True Valid");

        // Hundreds of peers that nobody meant.
        let peer = |number: u32| {
            format!(
                "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: p{number}, labels: {{by: mistake}}}}\n\
                 spec: {{address: 10.9.{}.{}, asn: 65100}}\n",
                number / 200,
                number % 200 + 1
            )
        };
        world.api.apply(&(0..300).map(peer).collect::<String>());
        world.until_report("{.status.peers}", "1/301", &agent);
        let converged = "{.status.conditions[?(@.type==\"Converged\")].message}";
        world.until_report(converged, "300 of 301 sessions are down", &agent);
        assert_eq!(world.report("{.status.peersDown[*].name}").split(' ').count(), 16);
        world.api.kubectl(&["delete", "fp", "-l", "by=mistake"]);
        world.until_report("{.status.peers}", "1/1", &agent);

        // A Secret of the wrong shape.
        world.api.kubectl(&["-n", NAMESPACE, "create", "secret", "generic", "key"]);
        let reference = "{\"spec\":{\"passwordSecretRef\":{\"name\":\"key\",\"key\":\"k\"}}}";
        let before = agent.daemon.log().matches("\"to\":\"Established\"").count();
        assert_eq!(before, 1, "nothing has disturbed the session: {}", agent.daemon.log());
        world.api.kubectl(&["patch", "fp", "tor", "--type=merge", "-p", reference]);
        agent.until("status", "Secret \"key\" has no key `k`");
        let long = format!("{{\"stringData\":{{\"k\":\"{}\"}}}}", "x".repeat(100));
        world.api.kubectl(&["-n", NAMESPACE, "patch", "secret", "key", "-p", &long]);
        agent.until("status", "key `k` of Secret \"key\" is longer than");
        let none = "[{\"op\":\"remove\",\"path\":\"/spec/passwordSecretRef\"}]";
        world.api.kubectl(&["patch", "fp", "tor", "--type=json", "-p", none]);
        world.until_report("{.status.peers}", "1/1", &agent);

        // An account that is gone: tokens of it are as good as expired ones.
        let mut world = world;
        world.api.kubectl(&["-n", NAMESPACE, "delete", "serviceaccount", ACCOUNT]);
        world.api.kill();
        world.api.start_again(&[]);
        agent.until("status", "does not accept the agent's credentials (401)");
        agent.until("peers", "Established");
        world.api.apply(&manifests("rbac/service-account.yaml"));
        assert_eq!(world.api.kubeconfig_of(NAMESPACE, ACCOUNT), world.config);
        wait::until("the new token in use", LIMIT, || !agent.ask("status").contains("401"));
        let more = "{\"spec\":{\"advertise\":{\"prefixes\":[{\"prefix\":\"192.0.2.9/32\"}]}}}";
        world.api.kubectl(&["patch", "fabric", "all", "--type=merge", "-p", more]);
        agent.until("routes --sent tor", "192.0.2.9/32");
    });
}

#[test]
fn manifests_and_an_api_server_judge_objects_alike() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        world.put_node("n1", 2);
        let agent = world.agent("n1");
        let (mut by_schema, mut by_agent) = (0, 0);
        for (number, (kind, mut spec)) in super::alike::objects().into_iter().enumerate() {
            let name = format!("x{number}");
            // None of them concerns the node, so that none contradicts another.
            if spec["nodeSelector"].is_null() {
                spec["nodeSelector"] = serde_json::json!({"matchLabels": {"no": "node"}});
            }
            let object = serde_json::json!({"apiVersion": "underlay.dev/v1alpha1", "kind": kind.name(),
                "metadata": {"name": name}, "spec": spec});
            let (mut read, mut problems) = (Objects::default(), Vec::new());
            manifest::read("a.json", &object.to_string(), &mut read, &mut problems);
            let wrong: Vec<String> = problems.into_iter().map(|problem| problem.text).collect();
            match world.api.try_apply(&object.to_string()) {
                Ok(_) if wrong.is_empty() => until_accepted(&world, kind.name(), &name, "True Valid"),
                Ok(_) => {
                    by_agent += 1;
                    until_accepted(
                        &world,
                        kind.name(),
                        &name,
                        &format!("False Invalid {}", wrong.join("; ")),
                    );
                }
                Err(message) => {
                    by_schema += 1;
                    assert!(!wrong.is_empty(), "{spec}: manifests take it, the API server says {message}");
                }
            }
        }
        // A schema holds what a schema can; the rest is the agent's.
        assert!(by_schema >= 8 && by_agent >= 6, "{by_schema} {by_agent}\n{}", agent.daemon.log());
    });
}

#[test]
fn a_server_whose_certificate_is_not_good_yet_is_a_matter_of_clocks() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let folder = sandbox.folder().to_owned();
        let script = "openssl ecparam -name prime256v1 -genkey -noout -out ca.key\n\
            openssl req -x509 -new -key ca.key -days 365 -subj /CN=lab -addext keyUsage=critical,keyCertSign -out ca.crt\n\
            openssl ecparam -name prime256v1 -genkey -noout -out server.key\n\
            openssl req -new -key server.key -subj /CN=server -out server.csr\n\
            touch index; echo 01 > serial; mkdir -p new\n\
            printf '[ca]\\ndefault_ca=c\\n[c]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=new\\npolicy=p\\n\
default_md=sha256\\n[p]\\ncommonName=supplied\\n[e]\\nsubjectAltName=IP:127.0.0.1\\n' > ca.conf\n\
            openssl ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.key -in server.csr -extensions e \
-startdate 20900101000000Z -enddate 20910101000000Z -out server.crt\n";
        let made = Command::new("sh").args(["-ec", script]).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut command = Command::new("openssl");
        command.args([
            "s_server",
            "-quiet",
            "-accept",
            "127.0.0.1:6443",
            "-cert",
            "server.crt",
            "-key",
            "server.key",
        ]);
        let _server = sandbox.daemon("server", {
            command.current_dir(&folder);
            command
        });
        let authority = fs::read(folder.join("ca.crt")).unwrap();
        let authority = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, authority);
        let kubeconfig = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
        fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(["agent", "--node", "n1", "--kubeconfig"]).arg(folder.join("kubeconfig"));
        command.arg("--socket").arg(folder.join("status.sock"));
        command.arg("--checkpoint").arg(folder.join("state/checkpoint.json"));
        let agent = Agent { daemon: sandbox.daemon("n1", command), state: folder };
        agent.until("status", "compare this node's clock");
    });
}

/// As [`config`], of a router that knows nothing of IPv6.
fn without_ipv6() -> String {
    let both = config("10.0.1.2", true);
    let lines = both.lines().filter(|line| !line.trim_start().starts_with("ipv6 {"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_router_without_ipv6_is_named_by_a_node_with_both() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &without_ipv6());
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);
        let agent = world.agent("n1");
        let converged = |part: &str| format!("{{.status.conditions[?(@.type==\"Converged\")].{part}}}");
        world.until_report(&converged("reason"), "FamilyNotNegotiated", &agent);
        assert!(world.report(&converged("message")).starts_with("tor does not carry IPv6"));
        // IPv4 is not held up by it.
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.until_report("{.status.conditions[?(@.type==\"PodNetworkReady\")].status}", "True", &agent);
        bird.configure(&config("10.0.1.2", true));
        world.until_report(&converged("reason"), "AllSessionsUp", &agent);
    });
}
