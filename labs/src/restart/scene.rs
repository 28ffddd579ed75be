//! The namespaces between a pod and a host, what happens in them, and what has to be so before and after.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;

use super::agent::{Agent, Say};
use super::event::Event;
use super::tor::{Kind, Tor};
use crate::interrupt;
use crate::kubernetes::ApiServer;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// How long everything may take to be as it has to be.
const CONVERGENCE: Duration = Duration::from_secs(60);
/// What the sessions are protected by.
const PASSWORD: &str = "under-lay";
/// How long routes of one that is away are kept, in seconds.
const KEEPS: u64 = 30;
/// The same of a ToR that never returns.
const GIVES_UP: u64 = 4;

/// The host's address.
pub const HOST: &str = "10.244.9.2";
/// The pod's.
pub const POD: &str = "10.244.1.2";

/// The namespaces, and who runs in them.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Where the pod is.
    pub pod: Netns,
    /// Where the host is.
    pub host: Netns,
    node: Netns,
    tors: [Netns; 2],
    sandbox: &'a Sandbox,
    agent: Agent,
    daemons: [Tor; 2],
    keeps: u64,
}

impl<'a> Scene<'a> {
    /// Makes it. `run` tells the runs of one sandbox apart.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn new(sandbox: &'a Sandbox, event: Event, underlay: &Path, run: usize) -> anyhow::Result<Self> {
        let [pod, host] = ["pod", "host"].map(|name| sandbox.netns(&format!("{name}{run}")));
        let [node, tor1, tor2] = ["node", "tor1", "tor2"].map(|name| sandbox.router(&format!("{name}{run}")));
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
        host.ip("route add 10.244.1.0/24 via 10.0.11.1");
        if event == Event::Password {
            // BIRD ends the session itself; it has another way to the pod meanwhile, as a ToR of a fabric has.
            sandbox.link(&tors[0], "eth2", &tors[1], "eth2");
            tors[0].ip("addr add 10.0.20.1/24 dev eth2");
            tors[1].ip("addr add 10.0.20.2/24 dev eth2");
            tors[0].ip("route add 10.244.1.0/24 via 10.0.20.2 metric 9999");
        }
        for netns in [&pod, &node, &host, &tors[0], &tors[1]] {
            netns.sysctl("net.ipv4.conf.all.rp_filter", "0");
            for link in ["eth0", "eth1", "eth2", "eth9"] {
                // Not each of them has each link.
                let _ = netns.try_sysctl(&format!("net.ipv4.conf.{link}.rp_filter"), "0");
            }
        }
        let keeps = if event == Event::TorGone { GIVES_UP } else { KEEPS };
        let daemons = [
            Tor::start(event.tor(), sandbox, &tors[0], 1, keeps, run),
            Tor::start(Kind::Bird, sandbox, &tors[1], 2, keeps, run),
        ];
        let agent = Agent::start(sandbox, &node, underlay, event, run)?;
        if event == Event::PeerRemoved {
            agent.says(&Say { stranger: true, ..Say::default() })?;
        }
        Ok(Self { pod, host, node, tors, sandbox, agent, daemons, keeps })
    }

    /// Waits until every session is up, the agent has settled, and both ways are there.
    ///
    /// # Errors
    /// What is missing after a minute.
    pub fn until_ready(&self, event: Event) -> anyhow::Result<()> {
        interrupt::until("all sessions and both ways", CONVERGENCE, || {
            let peers = self.agent.ask("peers")?;
            let up = peers.lines().filter(|line| line.contains("Established")).count();
            ensure!(up == 2, "{peers}");
            if event == Event::PeerRemoved && peers.contains("stranger") {
                // One that never answers keeps the node from being converged.
                ensure!(self.ups() >= 2, "no session yet");
            } else {
                self.agent.ask("status --check Converged")?;
            }
            self.has_way(event, "10.0.1.1")
        })
    }

    /// Waits until what happened is over, and everything is as it has to be then.
    ///
    /// # Errors
    /// What is missing after a minute.
    pub fn until_over(&self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::TorGone => {
                interrupt::until("the other way", CONVERGENCE, || self.has_way(event, "10.0.2.1"))
            }
            Event::PeerAdded => {
                interrupt::until("the new peer", CONVERGENCE, || {
                    let peers = self.agent.ask("peers")?;
                    ensure!(peers.contains("stranger"), "{peers}");
                    Ok(())
                })?;
                self.has_way(event, "10.0.1.1")
            }
            Event::PeerRemoved => {
                interrupt::until("no such peer", CONVERGENCE, || {
                    let peers = self.agent.ask("peers")?;
                    ensure!(!peers.contains("stranger"), "{peers}");
                    Ok(())
                })?;
                self.until_ready(event)
            }
            Event::Policy => {
                interrupt::until("the preference", CONVERGENCE, || {
                    let shown = self.agent.ask("explain 10.244.9.0/24")?;
                    ensure!(shown.contains("lower-local-preference"), "{shown}");
                    Ok(())
                })?;
                self.until_ready(event)
            }
            _ => self.until_ready(event),
        }
    }

    /// How many sessions have come up since the agent's start.
    fn ups(&self) -> usize {
        self.agent.log().lines().filter(|line| line.contains("\"to\":\"Established\"")).count()
    }

    /// How often the agent has made a configuration its own.
    fn configurations(&self) -> usize {
        self.agent.log().lines().filter(|line| line.contains("\"event\":\"configured\"")).count()
    }

    fn until_more(&self, what: &str, than: usize, count: impl Fn(&Self) -> usize) -> anyhow::Result<()> {
        interrupt::until(what, CONVERGENCE, || count(self) > than)
    }

    fn has_way(&self, event: Event, hop: &str) -> anyhow::Result<()> {
        let route =
            |netns: &Netns, to: &str| netns.try_ip(&format!("route get {to}")).map_err(anyhow::Error::msg);
        let way = route(&self.node, HOST)?;
        ensure!(way.contains(&format!("via {hop} ")), "{way}");
        let way = route(&self.tors[0], POD)?;
        ensure!(event == Event::TorGone || way.contains("via 10.0.1.2 "), "{way}");
        Ok(())
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What could not be done.
    pub fn strike(&mut self, event: Event) -> anyhow::Result<()> {
        let say = Say::default();
        let (ups, configurations) = (self.ups(), self.configurations());
        match event {
            Event::Kill => self.kill(),
            Event::Twice => {
                self.kill();
                self.kill();
            }
            Event::Restart => self.end(),
            Event::Upgrade => {
                self.agent.upgrade()?;
                self.end();
            }
            Event::PeerAdded => self.agent.says(&Say { stranger: true, ..say })?,
            Event::PeerRemoved => self.agent.says(&say)?,
            Event::Timers => {
                self.agent.says(&Say { hold: Some(9), ..say })?;
                self.until_more("the other hold time", configurations, Self::configurations)?;
            }
            Event::Policy => self.agent.says(&Say { preferred: true, ..say })?,
            Event::Password => {
                self.agent.says(&Say { password: Some(PASSWORD), ..say })?;
                self.daemons[0].protect(1, self.keeps, PASSWORD);
                self.until_more("another session", ups, Self::ups)?;
            }
            Event::Source => {
                self.agent.hide(true)?;
                self.kill();
                self.until_ready(event)?;
                self.agent.hide(false)?;
            }
            Event::ApiServer => {
                self.api(ApiServer::kill);
                self.kill();
                self.until_source(true)?;
                self.until_ready(event)?;
                self.api(|api| api.start_again(&[]));
                self.until_source(false)?;
            }
            Event::Tor(_) => {
                self.daemons[0].replace(self.sandbox, &self.tors[0]);
                self.until_more("another session", ups, Self::ups)?;
            }
            Event::TorGone => self.daemons[0].kill(),
            Event::Cold => {
                self.agent.daemon().kill();
                self.agent.forget()?;
                self.agent.again(self.sandbox);
            }
        }
        Ok(())
    }

    fn api(&mut self, act: impl FnOnce(&mut ApiServer)) {
        if let Some(api) = self.agent.api() {
            act(api);
        }
    }

    /// Waits until the agent goes by what it has kept, or by its source alone.
    fn until_source(&self, gone: bool) -> anyhow::Result<()> {
        interrupt::until("word of the source", CONVERGENCE, || {
            let status = self.agent.ask("status -o json")?;
            ensure!(status.contains("running from checkpoint") == gone, "{status}");
            Ok(())
        })
    }

    fn kill(&mut self) {
        self.agent.daemon().kill();
        self.agent.again(self.sandbox);
    }

    fn end(&mut self) {
        self.agent.daemon().terminate();
        self.agent.again(self.sandbox);
    }

    /// Removes the namespaces, and what an API server has kept; who runs in them ends first.
    ///
    /// # Errors
    /// Those of the kernel and of the file system.
    pub fn remove(self) -> anyhow::Result<()> {
        drop((self.agent, self.daemons));
        match fs::remove_dir_all(self.sandbox.folder().join("kubernetes")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        for netns in [&self.pod, &self.node, &self.host].into_iter().chain(&self.tors) {
            netns.remove()?;
        }
        Ok(())
    }
}
