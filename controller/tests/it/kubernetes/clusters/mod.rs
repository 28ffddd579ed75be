//! An agent and a real API server: what it asks for, what it says, and what it
//! does when the server is gone.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use controller::cli::crd::{CrdArgs, yaml};
use labs::bird::Bird;
use labs::daemon::Daemon;
use labs::kubernetes::{ApiServer, Setup};
use labs::{Netns, Sandbox, wait};

use crate::interop::bird::{config, rack};

mod applied;
pub(super) mod audit;
mod credentials;
mod judgement;
mod node;
mod outage;
mod pools;
mod refusal;
mod rights;
mod unit;
mod writes;

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

    /// The same with [`FABRIC`], Node `n1` and its PodCIDRs, and the router's BIRD, which expects it as `node`.
    fn routed(sandbox: &'a Sandbox) -> (Self, Bird) {
        let world = Self::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);
        (world, bird)
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

    /// Has the nodes originate one more prefix.
    fn originate(&self, prefix: &str) {
        let more = format!("{{\"spec\":{{\"advertise\":{{\"prefixes\":[{{\"prefix\":\"{prefix}\"}}]}}}}}}");
        self.api.kubectl(&["patch", "fabric", "all", "--type=merge", "-p", &more]);
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

    /// The agent of `n1`, once it has its one session and has written so.
    #[track_caller]
    fn settled_agent(&self) -> Agent {
        let agent = self.agent("n1");
        self.until_report("{.status.peers}", "1/1", &agent);
        agent
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
