//! Who routes on the node, and what each is told: the same two sessions, hold time 3 s, no graceful restart.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use super::event::Event;
use crate::bird::Bird;
use crate::frr::Frr;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// A speaker on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// This project's agent.
    Underlay,
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
}

/// Ours first.
pub const SUBJECTS: [Subject; 3] = [Subject::Underlay, Subject::Bird, Subject::Frr];

/// One that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    _daemon: Box<dyn Debug>,
}

impl Subject {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Underlay => "underlay",
            Self::Bird => "bird",
            Self::Frr => "frr",
        }
    }

    /// Starts it on the node. `run` tells the runs of one sandbox apart.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(
        self,
        sandbox: &Sandbox,
        node: &Netns,
        event: Event,
        underlay: &Path,
        run: usize,
    ) -> Running {
        let name = format!("{}{run}", self.name());
        let daemon: Box<dyn Debug> = match self {
            Self::Underlay => Box::new(agent(sandbox, node, event, underlay, &name)),
            Self::Bird => Box::new(Bird::start(sandbox, node, &name, &bird(event))),
            Self::Frr => {
                let mut frr = Frr::start(sandbox, node, &name, &frr());
                if event.has_bfd() {
                    frr.start_bfdd(sandbox, node, &BFD);
                }
                Box::new(frr)
            }
        };
        Running { _daemon: daemon }
    }
}

/// FRR's BFD, once its daemon is there.
const BFD: [&str; 12] = [
    "bfd",
    "profile fast",
    "detect-multiplier 3",
    "receive-interval 50",
    "transmit-interval 50",
    "exit",
    "exit",
    "router bgp 65001",
    "neighbor 10.0.1.1 bfd",
    "neighbor 10.0.1.1 bfd profile fast",
    "neighbor 10.0.2.1 bfd",
    "neighbor 10.0.2.1 bfd profile fast",
];

fn frr() -> String {
    let each = |line: &str| [1, 2].map(|at| line.replace('#', &at.to_string())).concat();
    format!(
        "router bgp 65001\n bgp router-id 10.0.1.2\n no bgp ebgp-requires-policy\n no bgp network import-check\n{}\
         address-family ipv4 unicast\n  network 10.244.1.0/24\n exit-address-family\nexit\n",
        each(
            " neighbor 10.0.#.1 remote-as 6510#\n neighbor 10.0.#.1 timers 1 3\n \
             neighbor 10.0.#.1 timers connect 1\n neighbor 10.0.#.1 advertisement-interval 0\n"
        )
    )
}

fn bird(event: Event) -> String {
    let (bfd, on) = super::scene::bfd(event);
    let each = |line: &str| [1, 2].map(|at| line.replace('#', &at.to_string())).concat();
    // Told so, and to look at carriers, it asks its table about each next hop and hears of one that vanishes.
    let recursive = if event == Event::NextHop { "gateway recursive;" } else { "" };
    format!(
        "log stderr all;\nrouter id 10.0.1.2;\nprotocol device {{ scan time 1; }}\n{bfd}\
         protocol direct {{ ipv4; interface \"eth*\"; check link; }}\n\
         protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}\n{}",
        each(&format!(
            "protocol bgp tor# {{ local 10.0.#.2 as 65001; neighbor 10.0.#.1 as 6510#; hold time 3; keepalive time 1; \
             connect retry time 1; connect delay time 1; error wait time 1, 2; graceful restart off; {on}\n  \
             ipv4 {{ import all; {recursive} export where net = 10.244.1.0/24; }};\n}}\n"
        ))
    )
}

fn agent(
    sandbox: &Sandbox,
    node: &Netns,
    event: Event,
    underlay: &Path,
    name: &str,
) -> crate::daemon::Daemon {
    let folder = sandbox.folder().join(name);
    let manifests = folder.join("manifests");
    let written = fs::create_dir_all(&manifests)
        .and_then(|()| fs::write(manifests.join("fabric.yaml"), objects(event)));
    written.unwrap_or_else(|error| panic!("{}: {error}", manifests.display()));
    let socket = folder.join("status.sock");
    let mut command = node.exec(underlay, ["agent", "--node", "node", "--metrics", "off", "--manifests"]);
    command.arg(&manifests).arg("--socket").arg(&socket).arg("--checkpoint").arg(folder.join("checkpoint"));
    let mut daemon = sandbox.daemon(name, command);
    daemon.wait_ready(|| socket.exists());
    daemon
}

fn objects(event: Event) -> String {
    let bfd = if event.has_bfd() { "\n  bfd: {interval: 50ms, multiplier: 3}" } else { "" };
    let peer = |at: u8| {
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: tor{at}}}\nspec:\n  \
             address: 10.0.{at}.1\n  asn: 6510{at}{bfd}\n"
        )
    };
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: node, uid: node}}\nspec: {{podCIDRs: [10.244.1.0/24]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}]}}\n---\n\
         apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: fabric}}\nspec:\n  \
         asn: {{value: 65001}}\n  mesh: None\n  podPrefixes: [10.244.0.0/16]\n  masquerade: {{enabled: false}}\n  \
         gracefulRestart: {{restartTime: 0s}}\n  timers: {{hold: 3s, keepalive: 1s, connectRetry: 1s}}\n{}{}",
        peer(1),
        peer(2)
    )
}
