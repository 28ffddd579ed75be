//! The namespaces from a pod to a host, the two ToRs between them, and what is done to the first.

use std::fs;
use std::time::Duration;

use anyhow::ensure;

use super::event::Event;
use crate::bird::Bird;
use crate::interrupt;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// How long everything may take to be as it is before the failure.
const CONVERGENCE: Duration = Duration::from_secs(60);

/// Whom the packets go to.
pub const HOST: &str = "10.244.9.2";
/// Whom they come from.
pub const POD: &str = "10.244.1.2";

/// The namespaces, and the daemons of the ToRs.
#[derive(Debug)]
pub struct Scene {
    /// Where the packets come from.
    pub pod: Netns,
    /// Whose routes are measured.
    pub node: Netns,
    /// Where the packets go to.
    pub host: Netns,
    tors: [Netns; 2],
    birds: Vec<Bird>,
    folder: std::path::PathBuf,
}

/// BIRD's BFD: the protocol, and the word in a session that has it.
#[must_use]
pub fn bfd(event: Event) -> (&'static str, &'static str) {
    if event.has_bfd() {
        ("protocol bfd { interface \"*\" { interval 50 ms; multiplier 3; }; }\n", "bfd on;")
    } else {
        ("", "")
    }
}

/// The configuration of a ToR. The second one's path is the longer one.
fn config(at: usize, event: Event) -> String {
    let (protocol, on) = bfd(event);
    let longer = if at == 2 { "bgp_path.prepend(65102); " } else { "" };
    let hop =
        if at == 1 && event == Event::NextHop { "next hop address 10.0.3.1;" } else { "next hop self;" };
    format!(
        "log stderr all;\nrouter id 10.0.{at}.1;\nprotocol device {{ scan time 1; }}\n{protocol}\
         protocol static far {{ ipv4; route 10.244.9.0/24 via 10.0.1{at}.2; }}\n\
         protocol bgp node {{ local 10.0.{at}.1 as 6510{at}; neighbor 10.0.{at}.2 as 65001; hold time 3; \
         keepalive time 1; connect retry time 1; connect delay time 1; error wait time 1, 2; graceful restart off; {on}\n  \
         ipv4 {{ import all; {hop} export filter {{ if source != RTS_STATIC then reject; {longer}accept; }}; }};\n}}\n"
    )
}

impl Scene {
    /// Wires everything and starts the ToRs. `run` tells the runs of one sandbox apart.
    ///
    /// # Panics
    /// Where the kernel or BIRD refuses something.
    #[must_use]
    pub fn new(sandbox: &Sandbox, event: Event, run: usize) -> Self {
        let router = |name: &str| sandbox.router(&format!("{name}-{run}"));
        let [pod, node, host, tor1, tor2] = ["pod", "node", "host", "tor1", "tor2"].map(router);
        sandbox.link(&pod, "eth0", &node, "eth9");
        pod.ip(&format!("addr add {POD}/24 dev eth0"));
        node.ip("addr add 10.244.1.1/24 dev eth9");
        pod.ip("route add default via 10.244.1.1");
        host.ip(&format!("addr add {HOST}/32 dev lo"));
        let tors = [tor1, tor2];
        for (at, tor) in (1..).zip(&tors) {
            sandbox.link(&node, &format!("eth{at}"), tor, "eth0");
            sandbox.link(tor, "eth1", &host, &format!("eth{at}"));
            node.ip(&format!("addr add 10.0.{at}.2/24 dev eth{at}"));
            tor.ip(&format!("addr add 10.0.{at}.1/24 dev eth0"));
            tor.ip(&format!("addr add 10.0.1{at}.1/24 dev eth1"));
            host.ip(&format!("addr add 10.0.1{at}.2/24 dev eth{at}"));
            tor.ip(&format!("route add 10.244.9.0/24 via 10.0.1{at}.2"));
        }
        sandbox.link(&node, "eth3", &tors[0], "eth2");
        node.ip("addr add 10.0.3.2/24 dev eth3");
        tors[0].ip("addr add 10.0.3.1/24 dev eth2");
        for netns in [&pod, &node, &host, &tors[0], &tors[1]] {
            // The host answers nobody, and has no route to the pod.
            netns.sysctl("net.ipv4.conf.all.rp_filter", "0");
            for link in ["eth0", "eth1", "eth2", "eth3", "eth9"] {
                let _ = netns.try_sysctl(&format!("net.ipv4.conf.{link}.rp_filter"), "0");
            }
        }
        let birds = (1..).zip(&tors);
        let birds = birds
            .map(|(at, tor)| Bird::start(sandbox, tor, &format!("tor{at}-{run}"), &config(at, event)))
            .collect();
        Self { pod, node, host, tors, birds, folder: sandbox.folder().to_owned() }
    }

    /// Waits until the node goes by the first ToR and knows of the second.
    ///
    /// # Errors
    /// What is missing after a minute.
    pub fn until_ready(&self, event: Event) -> anyhow::Result<()> {
        let hop = if event == Event::NextHop { "via 10.0.3.1" } else { "via 10.0.1.1" };
        interrupt::until("the way by the first ToR, and the second beside it", CONVERGENCE, || {
            for bird in &self.birds {
                let session = bird.birdc("show protocols all node");
                ensure!(session.contains("Established") && session.contains("1 exported"), "{session}");
                if event.has_bfd() {
                    let bfd = bird.birdc("show bfd sessions");
                    ensure!(bfd.contains("Up"), "{bfd}");
                }
            }
            let route = self.node.try_ip(&format!("route get {HOST}")).map_err(anyhow::Error::msg)?;
            ensure!(route.contains(hop), "{route}");
            Ok(())
        })
        .map(drop)
    }

    /// Does it to the first ToR.
    ///
    /// # Errors
    /// What the tools refuse.
    pub fn strike(&self, event: Event) -> anyhow::Result<()> {
        let tor = &self.tors[0];
        match event {
            Event::LinkDown => drop(tor.ip("link set eth0 down")),
            Event::NextHop => drop(tor.ip("link set eth2 down")),
            Event::Reset => drop(self.birds[0].birdc("disable node")),
            Event::Bfd | Event::Hold => self.cut("")?,
            Event::Deaf => self.cut("tcp dport 179 accept; tcp sport 179 accept; ")?,
        }
        Ok(())
    }

    /// Lets nothing through between the node and the first ToR, but for `except`.
    fn cut(&self, except: &str) -> anyhow::Result<()> {
        let file = self.folder.join("cut.nft");
        let chain = |name: &str, hook: &str, way: &str| {
            format!(
                "chain {name} {{ type filter hook {hook} priority -300; {except}{way} \"eth0\" drop; }}\n"
            )
        };
        let (into, out) = (chain("into", "prerouting", "iifname"), chain("out", "postrouting", "oifname"));
        fs::write(&file, format!("table inet cut {{\n{into}{out}}}\n"))?;
        let output = self.tors[0].exec("nft", ["-f"]).arg(&file).output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Removes the namespaces; the daemons end first.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn remove(self) -> anyhow::Result<()> {
        drop(self.birds);
        for netns in [&self.pod, &self.node, &self.host].into_iter().chain(&self.tors) {
            netns.remove()?;
        }
        Ok(())
    }
}
