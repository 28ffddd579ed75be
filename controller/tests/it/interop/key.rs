//! A TCP MD5 key (RFC 2385) that is changed while the session is up.
//!
//! BIRD and FRR end a session of theirs when its key changes; two agents do not have to.

use labs::Sandbox;

use super::bird::rack;
use super::node::Node;
use super::password::{dropped, until_said};

/// What the router announces, and what the node does.
const ROUTER_POD: &str = "10.244.9.0/24";
const NODE_POD: &str = "10.244.1.0/24";

/// One end's manifest. Both ends connect, so that either end's socket may carry the session.
fn manifest(name: &str, asn: u32, pod: &str, own: &str, peer: &str, key: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: {asn}}}
  routerID: {{value: 192.0.2.{id}}}
  podPrefixes: [10.244.0.0/16]
  # A session that does not come back takes its routes along at once.
  gracefulRestart: {{restartTime: 0s}}
  timers: {{hold: 9s, keepalive: 1s, connectRetry: 1s}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: other}}
spec: {{address: "{peer}", asn: External, passwordSecretRef: {{name: other, key: password}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: other}}
stringData: {{password: "{key}"}}
---
apiVersion: v1
kind: Node
metadata: {{name: {name}}}
spec: {{podCIDRs: [{pod}]}}
status: {{addresses: [{{type: InternalIP, address: {internal}}}, {{type: InternalIP, address: "{own}"}}]}}
"#,
        id = asn - 65000,
        internal = if name == "node" { "10.0.1.2" } else { "10.0.1.1" },
    )
}

struct Pair {
    node: Node,
    router: Node,
}

impl Pair {
    fn start(sandbox: &Sandbox, over_v6: bool, key: &str) -> Self {
        let (node, router) = rack(sandbox);
        let node = Node::start(sandbox, node, "node", &of_node(over_v6, key));
        let router = Node::start(sandbox, router, "router", &of_router(over_v6, key));
        let pair = Self { node, router };
        pair.until_up();
        pair
    }

    #[track_caller]
    fn until_up(&self) {
        self.node.until_route(ROUTER_POD, true);
        self.router.until_route(NODE_POD, true);
    }

    fn established(&self) -> (usize, usize) {
        (self.node.transitions("Established"), self.router.transitions("Established"))
    }
}

fn of_node(over_v6: bool, key: &str) -> String {
    let (own, peer) = if over_v6 { ("fd00:1::2", "fd00:1::1") } else { ("fd00:1::2", "10.0.1.1") };
    manifest("node", 65001, NODE_POD, own, peer, key)
}

fn of_router(over_v6: bool, key: &str) -> String {
    let (own, peer) = if over_v6 { ("fd00:1::1", "fd00:1::2") } else { ("fd00:1::1", "10.0.1.2") };
    manifest("router", 65002, ROUTER_POD, own, peer, key)
}

/// Applies a manifest, and waits until the agent has taken it.
#[track_caller]
fn apply(node: &Node, manifest: &str) {
    let count = || node.agent.log().lines().filter(|line| line.contains("\"configured\"")).count();
    let before = count();
    node.apply(manifest);
    node.until("the configuration", || count() > before);
}

fn keys_change(sandbox: &Sandbox, over_v6: bool) {
    let mut pair = Pair::start(sandbox, over_v6, "first");
    let ups = pair.established();

    // Three keys one after the other, each followed by news both ways over the same connection.
    for (round, key) in ["second", "third", "fourth"].into_iter().enumerate() {
        let more = |manifest: String| {
            let advertise =
                format!("advertise: {{prefixes: [{{prefix: 10.244.200.{round}/32}}]}}\n  timers: ");
            manifest.replace("timers: ", &advertise)
        };
        apply(&pair.node, &of_node(over_v6, key));
        apply(&pair.router, &of_router(over_v6, key));
        pair.node.apply(&more(of_node(over_v6, key)));
        pair.router.until_route(&format!("10.244.200.{round} "), true);
        pair.node.apply(&of_node(over_v6, key));
        pair.router.until_route(&format!("10.244.200.{round} "), false);
        pair.router.apply(&more(of_router(over_v6, key)));
        pair.node.until_route(&format!("10.244.200.{round} "), true);
        pair.router.apply(&of_router(over_v6, key));
        pair.node.until_route(&format!("10.244.200.{round} "), false);
    }
    assert_eq!(pair.established(), ups, "the session stays:\n{}", pair.node.agent.log());

    // A listener has the newest key too: an agent that was killed comes back with it.
    pair.node.kill_and_restart(sandbox, "node");
    pair.until_up();

    // Open connections use the newest key: where one end alone has it, nobody hears the other.
    let dropped_before = dropped(&pair.node.netns);
    apply(&pair.router, &of_router(over_v6, "fifth"));
    until_said(&pair.node, "its password is another");
    assert!(dropped(&pair.node.netns) > dropped_before, "the kernel drops what has the new key");
    pair.node.until_route(ROUTER_POD, false);
    apply(&pair.node, &of_node(over_v6, "fifth"));
    pair.until_up();
    for (name, end) in [("node", &pair.node), ("router", &pair.router)] {
        let log = end.agent.log();
        for key in ["first", "second", "third", "fourth", "fifth"] {
            assert!(!log.contains(key), "the log of {name} shows a key:\n{log}");
        }
    }
}

#[test]
fn new_keys_keep_the_session_over_ipv4() {
    labs::require!("root");
    labs::sandbox!(|sandbox| keys_change(sandbox, false));
}

#[test]
fn new_keys_keep_the_session_over_ipv6() {
    labs::require!("root");
    labs::sandbox!(|sandbox| keys_change(sandbox, true));
}
