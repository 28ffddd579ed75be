//! Several paths of a prefix (RFC 7911), to and from the daemon of a rack's router.
//!
//! ```text
//!           10.0.2.0/24 AS 65101           10.0.1.0/24
//!  feeder ===================== node ---------------- router (AS 65100)
//!     \\    10.0.3.0/24 AS 65102                       //
//!      ================================================
//!           10.0.4.0/24 AS 65101, 10.0.5.0/24 AS 65102
//! ```
//!
//! The feeder speaks for two ASes. It tells the node of prefixes that the router
//! hears from the node alone, twice, and the router of others, the other way round.

use labs::bird::Bird;
use labs::frr::Frr;
use labs::gobgp::Gobgp;
use labs::{Netns, Sandbox};

use super::node::Node;

/// What the node sends on, and what the router does.
const SENT: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];
const RECEIVED: [&str; 2] = ["10.244.8.0/24", "fd00:10:244:8::/64"];

const MANIFEST: &str = r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {name: rack}
spec:
  asn: {value: 65001}
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  transit: true
  timers: {hold: 9s, keepalive: 3s, connectRetry: 1s}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: left}
spec: {address: 10.0.2.1, asn: 65101}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: right}
spec: {address: 10.0.3.1, asn: 65102}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {name: router}
spec: {address: 10.0.1.1, asn: 65100, addPath: {send: 4, receive: true}}
---
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}
status: {addresses: [{type: InternalIP, address: 10.0.1.2}, {type: InternalIP, address: "fd00:1::2"}]}
"#;

/// One of the feeder's sessions: over network `net`, as `asn`, with what `source` has.
fn session(name: &str, net: u8, asn: u32, other: u32, source: &str) -> String {
    let filter = |family| format!("import none; export where proto = \"{source}{family}\";");
    format!(
        "protocol bgp {name} {{
    local 10.0.{net}.1 as {asn};
    neighbor 10.0.{net}.2 as {other};
    hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 1;
    ipv4 {{ {} next hop address 10.0.{net}.1; }};
    ipv6 {{ {} next hop address fd00:{net}::1; }};
}}
",
        filter(4),
        filter(6)
    )
}

fn feeds() -> String {
    let [sent4, sent6] = SENT;
    let [received4, received6] = RECEIVED;
    let sessions = [
        session("left", 2, 65101, 65001, "sent"),
        session("right", 3, 65102, 65001, "sent"),
        session("far_left", 4, 65101, 65100, "received"),
        session("far_right", 5, 65102, 65100, "received"),
    ];
    format!(
        "log stderr all;
router id 10.0.2.1;
protocol device {{}}
protocol static sent4 {{ ipv4; route {sent4} blackhole; }}
protocol static sent6 {{ ipv6; route {sent6} blackhole; }}
protocol static received4 {{ ipv4; route {received4} blackhole; }}
protocol static received6 {{ ipv6; route {received6} blackhole; }}
{}",
        sessions.concat()
    )
}

/// The node and the feeder, and where the router is to be started.
struct Scene {
    node: Node,
    feeder: Bird,
}

/// Who is heard, by the family of what is asked for.
type Heard<'a> = &'a dyn Fn(&str) -> String;

impl Scene {
    /// `start` starts the daemon in the router's namespace.
    fn start<D>(sandbox: &Sandbox, start: impl FnOnce(&Netns) -> D) -> (Self, D) {
        let [node, router, feeder] = ["node", "router", "feeder"].map(|name| sandbox.router(name));
        sandbox.link(&node, "eth0", &router, "eth0");
        sandbox.link(&feeder, "eth0", &node, "eth1");
        sandbox.link(&feeder, "eth1", &router, "eth1");
        let address = |netns: &Netns, end: &str, net: u8, host: u8| {
            netns.ip(&format!("addr add 10.0.{net}.{host}/24 dev {end}"));
            netns.ip(&format!("addr add fd00:{net}::{host}/64 dev {end} nodad"));
        };
        address(&node, "eth0", 1, 2);
        address(&router, "eth0", 1, 1);
        for (net, end, other, far) in [
            (2, "eth0", &node, "eth1"),
            (3, "eth0", &node, "eth1"),
            (4, "eth1", &router, "eth1"),
            (5, "eth1", &router, "eth1"),
        ] {
            address(&feeder, end, net, 1);
            address(other, far, net, 2);
        }
        let daemon = start(&router);
        let feeder = Bird::start(sandbox, &feeder, "feeder", &feeds());
        let node = Node::start(sandbox, node, "node", MANIFEST);
        (Self { node, feeder }, daemon)
    }

    /// Waits until the router's description of what it has of the node's prefixes
    /// names these ASes and no others.
    #[track_caller]
    fn until_sent(&self, heard: Heard<'_>, asns: &[u32]) {
        for prefix in SENT {
            self.node.until(&format!("{prefix} at the router from {asns:?}"), || {
                let shown = heard(prefix);
                let named = |asn: u32| {
                    shown.contains(&format!("65001 {asn}")) || shown.contains(&format!("65001,{asn}"))
                };
                if [65101, 65102].iter().all(|asn| named(*asn) == asns.contains(asn)) {
                    Ok(())
                } else {
                    Err(shown)
                }
            });
        }
    }

    /// Waits until the node has paths of the router's prefixes by these ASes and no others.
    #[track_caller]
    fn until_received(&self, asns: &[u32]) {
        for prefix in RECEIVED {
            self.node.until(&format!("{prefix} at the node from {asns:?}"), || {
                let shown = self.node.ask(&format!("routes {prefix}"));
                let rows: Vec<&str> = shown.lines().filter(|line| line.contains(prefix)).collect();
                let named = |asn: &u32| {
                    rows.iter().any(|row| row.contains("router#") && row.contains(&asn.to_string()))
                };
                let all = rows.len() == asns.len() && asns.iter().all(named);
                if all { Ok(()) } else { Err(shown) }
            });
        }
    }

    /// Everything once: both paths both ways, one goes and comes back, the session stays.
    fn play(&self, heard: Heard<'_>) {
        self.until_sent(heard, &[65101, 65102]);
        self.until_received(&[65101, 65102]);
        for (gone, left) in [("left", 65102), ("right", 65101)] {
            self.feeder.birdc(&format!("disable {gone}"));
            self.feeder.birdc(&format!("disable far_{gone}"));
            self.until_sent(heard, &[left]);
            self.until_received(&[left]);
            self.feeder.birdc(&format!("enable {gone}"));
            self.feeder.birdc(&format!("enable far_{gone}"));
            self.until_sent(heard, &[65101, 65102]);
            self.until_received(&[65101, 65102]);
        }
        // All of it once more, in place of what is there.
        let reset = self.node.run("reset router --soft");
        assert!(reset.status.success(), "{}", String::from_utf8_lossy(&reset.stderr));
        self.until_sent(heard, &[65101, 65102]);
        self.until_received(&[65101, 65102]);
        let explained = self.node.ask(&format!("explain {}", SENT[0]));
        let told =
            explained.lines().filter(|line| line.contains("router 10.0.1.1#") && line.contains("next hop"));
        assert_eq!(told.count(), 2, "{explained}");
        self.node.until_route(&format!("{} via 10.0.1.1 dev eth0", RECEIVED[0]), true);
        let established = self.node.agent.log();
        let established = established
            .lines()
            .filter(|line| line.contains("\"peer\":\"router\"") && line.contains("\"to\":\"Established\""));
        assert_eq!(established.count(), 1, "{}", self.node.agent.log());
    }
}

const BIRD: &str = "log stderr all;
router id 10.0.1.1;
protocol device {}
template bgp any {
    hold time 9; connect retry time 1; connect delay time 1; error wait time 1, 1;
    ipv4 { import all; export none; };
    ipv6 { import all; export none; };
}
protocol bgp far_left from any { local 10.0.4.2 as 65100; neighbor 10.0.4.1 as 65101; }
protocol bgp far_right from any { local 10.0.5.2 as 65100; neighbor 10.0.5.1 as 65102; }
protocol bgp node from any {
    local 10.0.1.1 as 65100;
    neighbor 10.0.1.2 as 65001;
    ipv4 { add paths on; export all; next hop address 10.0.1.1; };
    ipv6 { add paths on; export all; next hop address fd00:1::1; };
}
";

#[test]
fn bird_takes_and_sends_several() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (scene, bird) = Scene::start(sandbox, |router| Bird::start(sandbox, router, "bird", BIRD));
        scene.play(&|prefix| bird.birdc(&format!("show route where proto = \"node\" && net = {prefix} all")));
    });
}

#[test]
fn frr_takes_and_sends_several() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let neighbors = [("10.0.1.2", 65001), ("10.0.4.1", 65101), ("10.0.5.1", 65102)];
        let mut config = "router bgp 65100
 bgp router-id 10.0.1.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
"
        .to_owned();
        for (address, asn) in neighbors {
            config.push_str(&format!(
                " neighbor {address} remote-as {asn}
 neighbor {address} timers 3 9
 neighbor {address} timers connect 1
 neighbor {address} advertisement-interval 0
"
            ));
        }
        for family in ["ipv4", "ipv6"] {
            config.push_str(&format!(" address-family {family} unicast\n"));
            for (address, _) in neighbors {
                config.push_str(&format!("  neighbor {address} activate\n"));
            }
            config.push_str("  neighbor 10.0.1.2 addpath-tx-all-paths\n exit-address-family\n");
        }
        let (scene, frr) = Scene::start(sandbox, |router| Frr::start(sandbox, router, "frr", &config));
        scene.play(&|prefix| {
            let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
            frr.vtysh(&format!("show bgp {family} unicast {prefix} json"))
        });
        let shown = frr.vtysh(&format!("show bgp ipv4 unicast {} json", SENT[0]));
        assert_eq!(shown.matches("\"addpathRxId\"").count(), 2, "{shown}");
    });
}

#[test]
fn gobgp_takes_and_sends_several() {
    labs::require!("root", "gobgp");
    labs::sandbox!(|sandbox| {
        let mut config = "[global.config]
as = 65100
router-id = \"10.0.1.1\"
"
        .to_owned();
        for (own, address, asn) in [
            ("10.0.1.1", "10.0.1.2", 65001),
            ("10.0.4.2", "10.0.4.1", 65101),
            ("10.0.5.2", "10.0.5.1", 65102),
        ] {
            config.push_str(&format!(
                "[[neighbors]]
[neighbors.config]
neighbor-address = \"{address}\"
peer-as = {asn}
[neighbors.transport.config]
local-address = \"{own}\"
[neighbors.timers.config]
hold-time = 9
keepalive-interval = 3
connect-retry = 1
idle-hold-time-after-reset = 1
"
            ));
            for family in ["ipv4-unicast", "ipv6-unicast"] {
                config.push_str(&format!(
                    "[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = \"{family}\"
"
                ));
                if asn == 65001 {
                    config.push_str("[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n");
                }
            }
        }
        let (scene, gobgp) = Scene::start(sandbox, |router| Gobgp::start(sandbox, router, "gobgp", &config));
        scene.play(&|prefix| {
            let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
            gobgp.gobgp(&format!("global rib -a {family} {prefix}"))
        });
    });
}
