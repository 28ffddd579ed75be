//! The node between a friend and a foe.
//!
//! ```text
//!  BIRD 10.0.1.1 ── eth0 10.0.1.2 [node] 10.0.2.1 eth1 ── 10.0.2.2, .3, .4 rogue
//! ```

use std::process::Stdio;

use labs::bird::Bird;
use labs::daemon::Daemon;
use labs::{Netns, Sandbox};

pub(super) use crate::interop::node::LIMIT;
use crate::interop::node::Node;

/// The node's own prefix.
pub(in crate::interop) const OWN: &str = "10.244.1.0/24";
/// What BIRD announces from the start.
pub(in crate::interop) const FAR: &str = "10.244.9.0/24";

/// The scene, and BIRD's session as it was before the fault.
pub(in crate::interop) struct Scene {
    pub(in crate::interop) node: Node,
    pub(in crate::interop) bird: Bird,
    pub(super) rogue: Netns,
    monitor: Daemon,
    /// When BIRD's session came up, in milliseconds of the day.
    session: u64,
}

/// The node's manifest; `more` are further lines of the Fabric. The rogue is
/// dialled once and then left alone, so that what is told of it stays to be read.
pub(in crate::interop) fn manifest(more: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: 65001}}
  mesh: None
  podPrefixes: [10.244.0.0/16]
  timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}
  gracefulRestart: {{restartTime: 10s}}
  {more}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: tor}}
spec: {{address: 10.0.1.1, asn: 65100}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: rogue}}
spec: {{address: 10.0.2.2, asn: 65200, addPath: {{receive: true}}, timers: {{hold: 90s, keepalive: 1s, connectRetry: 1h}}}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: inner}}
spec: {{address: 10.0.2.3, asn: 65001, timers: {{connectRetry: 1h}}}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [{OWN}]}}
status:
  addresses:
  - {{type: InternalIP, address: 10.0.1.2}}
"#
    )
}

/// BIRD's configuration with these routes.
pub(in crate::interop) fn config(routes: &str) -> String {
    format!(
        r#"log stderr all;
router id 10.0.1.1;
protocol device {{}}
protocol static far {{ ipv4; route {FAR} blackhole; {routes} }}
protocol bgp node {{
    local as 65100;
    neighbor 10.0.1.2 as 65001;
    hold time 3; keepalive time 1; connect retry time 1; connect delay time 1;
    ipv4 {{ import all; export where source = RTS_STATIC; next hop address 10.0.1.1; }};
}}
"#
    )
}

impl Scene {
    #[track_caller]
    pub(in crate::interop) fn start(sandbox: &Sandbox, manifest: &str, routes: &str) -> Self {
        let (netns, router, rogue) =
            (sandbox.router("node"), sandbox.router("router"), sandbox.netns("rogue"));
        sandbox.link(&netns, "eth0", &router, "eth0");
        sandbox.link(&netns, "eth1", &rogue, "eth0");
        netns.ip("addr add 10.0.1.2/24 dev eth0");
        netns.ip("addr add 10.0.2.1/24 dev eth1");
        router.ip("addr add 10.0.1.1/24 dev eth0");
        for host in [2, 3, 4] {
            rogue.ip(&format!("addr add 10.0.2.{host}/24 dev eth0"));
        }
        let bird = Bird::start(sandbox, &router, "bird", &config(routes));
        let node = Node::start(sandbox, netns, "node", manifest);
        node.until_route(&format!("{FAR} via 10.0.1.1"), true);
        node.until("BIRD's route to the node's prefix", || {
            let shown = bird.birdc("show route all");
            if shown.contains(OWN) { Ok(()) } else { Err(shown) }
        });
        let mut command = node.netns.exec("ip", ["-4", "monitor", "route"]);
        command.stdout(Stdio::piped());
        let mut monitor = sandbox.daemon("monitor", command);
        // A route of the test's own shows that the monitor listens.
        monitor.wait_ready(|| {
            node.netns.ip("route replace 198.51.100.0/24 dev lo");
            node.netns.ip("route del 198.51.100.0/24 dev lo");
            std::fs::read_to_string(sandbox.folder().join("monitor.log"))
                .is_ok_and(|log| log.contains("198.51.100.0/24"))
        });
        let session = session(&bird);
        Self { node, bird, rogue, monitor, session }
    }

    /// The healthy session was left alone: not reset, nothing withdrawn.
    #[track_caller]
    pub(super) fn assert_untouched(&mut self) {
        let log = self.node.agent.log();
        assert!(self.node.agent.status().is_none(), "the agent ended: {log}");
        // BIRD's clock is the time of its last wake-up: what it computes from that differs by a little.
        let up = session(&self.bird);
        assert!(up.abs_diff(self.session) < 500, "up since {} and {up} ms of the day:\n{log}", self.session);
        let shown = self.bird.birdc("show route all");
        assert!(shown.contains(OWN), "BIRD's routes: {shown}");
        let protocol = self.bird.birdc("show protocols all node");
        let withdraws = protocol.lines().find(|line| line.contains("Import withdraws")).unwrap_or_default();
        let counted = withdraws.split_whitespace().nth(2);
        assert_eq!(counted, Some("0"), "{protocol}");
        assert!(self.node.routes().contains(FAR), "{}", self.node.routes());
        let monitor = self.monitor.log();
        let deleted = monitor.lines().find(|line| line.starts_with("Deleted") && line.contains(FAR));
        assert_eq!(deleted, None, "{monitor}");
    }

    /// Waits until a verb of the command line shows a text.
    #[track_caller]
    pub(super) fn until_shown(&self, words: &str, text: &str) {
        self.node.until(&format!("`{words}` to show {text:?}"), || {
            let shown = self.node.ask(words);
            if shown.contains(text) { Ok(()) } else { Err(shown) }
        });
    }

    /// Waits until the log has a text.
    #[track_caller]
    pub(super) fn until_logged(&self, text: &str) {
        self.node.until(&format!("{text:?} in the log"), || {
            let log = self.node.agent.log();
            if log.contains(text) { Ok(()) } else { Err("not yet".to_owned()) }
        });
    }

    /// The node learns a route from BIRD, and lets go of it: the healthy session
    /// does its work in the middle of a fault.
    #[track_caller]
    pub(super) fn exchange(&self, routes: &str) {
        let news = "10.244.77.0/24";
        self.bird.configure(&config(&format!("{routes} route {news} blackhole;")));
        self.node.until_route(news, true);
        self.bird.configure(&config(routes));
        self.node.until_route(news, false);
    }
}

/// When BIRD's session came up, in milliseconds of the day.
fn session(bird: &Bird) -> u64 {
    let shown = bird.birdc("show protocols");
    let line = shown.lines().find(|line| line.starts_with("node ")).unwrap_or_default();
    assert!(line.contains("Established"), "{shown}");
    let parts = line.split_whitespace().find(|word| word.contains(':')).unwrap().split([':', '.']);
    let parts: Vec<u64> = parts.map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds, millis] = parts[..] else { panic!("{line}") };
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis
}
