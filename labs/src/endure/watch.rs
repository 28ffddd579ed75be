//! The streams between the nodes, and what must hold when a fault is over.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::fabric::{AGENTS, Fabric};
use super::fault::NODES;
use crate::interrupt;
use crate::stream::{Stream, TAIL};

/// Between two packets of a stream.
const PACE: Duration = Duration::from_millis(5);
/// Packets that arrive one after the other: the stream flows.
const STEADY: u64 = 100;
/// How long a fault may take to be over: hold times, and agents that wait for each other after a restart.
const PATIENCE: Duration = Duration::from_secs(120);

/// From the node of one place of [`NODES`] to that of another.
const WAYS: [(usize, usize); 6] = [(0, 2), (2, 0), (0, 1), (1, 3), (3, 2), (3, 0)];

/// The streams.
#[derive(Debug)]
pub struct Watch {
    streams: Vec<(String, Stream)>,
}

impl Watch {
    /// Starts the streams, in turns of either family.
    ///
    /// # Errors
    /// Sockets that cannot be had.
    pub fn start(fabric: &Fabric) -> anyhow::Result<Self> {
        let mut streams = Vec::new();
        for (number, (from, to)) in WAYS.into_iter().enumerate() {
            let address = |at: usize| -> anyhow::Result<IpAddr> {
                let at = at + 1;
                Ok(if number % 2 == 0 { format!("10.244.{at}.1") } else { format!("fd00:10:244:{at}::1") }
                    .parse()?)
            };
            let (near, far) = (fabric.netns(NODES[from])?, fabric.netns(NODES[to])?);
            let target = SocketAddr::new(address(to)?, 7000 + u16::try_from(number)?);
            let stream = Stream::start(&near, address(from)?, &far, target, PACE).context("a stream")?;
            streams.push((format!("{} to {}", NODES[from], target.ip()), stream));
        }
        Ok(Self { streams })
    }

    /// The numbers of the next packets.
    #[must_use]
    pub fn mark(&self) -> Vec<u64> {
        self.streams.iter().map(|(_, stream)| stream.sent()).collect()
    }

    /// How many were lost since then, and of which streams. What is on its way is waited for.
    ///
    /// # Errors
    /// An interruption.
    pub fn lost(&self, since: &[u64]) -> anyhow::Result<(u64, Vec<String>)> {
        let until = self.mark();
        interrupt::pause(TAIL)?;
        let (mut sum, mut whose) = (0, Vec::new());
        for (((name, stream), since), until) in self.streams.iter().zip(since).zip(until) {
            let lost = stream.lost(*since..until);
            sum += lost;
            if lost > 0 {
                whose.push(format!("{name}: {lost}"));
            }
        }
        Ok((sum, whose))
    }

    /// Waits until everything is as it has to be.
    ///
    /// # Errors
    /// What is not, after two minutes.
    pub fn settle(&self, fabric: &Fabric) -> anyhow::Result<()> {
        interrupt::until("the fabric to settle", PATIENCE, || {
            self.is_settled(fabric).map_err(|error| format!("{error:#}"))
        })
    }

    fn is_settled(&self, fabric: &Fabric) -> anyhow::Result<()> {
        for node in AGENTS {
            let peers = fabric.ask(node, "peers")?;
            let peers = peers["peers"].as_array().map_or(&[][..], Vec::as_slice);
            ensure!(!peers.is_empty(), "{node} has no peers");
            let down = peers.iter().find(|peer| peer["state"] != "Established");
            ensure!(
                down.is_none(),
                "{node}: {} is {}",
                down.map_or(&Value::Null, |p| &p["address"]),
                down.map_or(&Value::Null, |p| &p["state"])
            );
            let status = fabric.ask(node, "status")?;
            let conditions = status["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            for kind in ["Ready", "Converged", "KernelInSync"] {
                let holds = conditions.iter().any(|it| it["type"] == kind && it["status"] == "True");
                ensure!(holds, "{node}: {kind} does not hold: {conditions:?}");
            }
            let (selected, kernel) = (selected(fabric, node)?, kernel(fabric, node)?);
            ensure!(selected == kernel, "{node} has selected {selected:?}, its kernel has {kernel:?}");
            ensure!(selected.len() >= 6, "{node} has selected {selected:?} alone");
        }
        for ((name, stream), sent) in self.streams.iter().zip(self.mark()) {
            ensure!(stream.is_steady(sent.saturating_sub(2 * STEADY), STEADY), "{name} does not flow");
        }
        Ok(())
    }
}

type Routes = BTreeMap<String, BTreeSet<String>>;

/// The routes that an agent has selected, and wants to be in the kernel.
fn selected(fabric: &Fabric, node: &str) -> anyhow::Result<Routes> {
    let answer = fabric.ask(node, "routes")?;
    let routes = answer["routes"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = Routes::new();
    for route in routes {
        let hops = route["next_hops"].as_array().map_or(&[][..], Vec::as_slice);
        let hops: BTreeSet<String> =
            hops.iter().filter_map(|hop| hop["address"].as_str().map(str::to_owned)).collect();
        if let Some(prefix) = route["prefix"].as_str().filter(|_| !hops.is_empty()) {
            all.insert(prefix.to_owned(), hops);
        }
    }
    Ok(all)
}

/// The routes of our protocol number in the kernel, but for those that nothing is reached by.
fn kernel(fabric: &Fabric, node: &str) -> anyhow::Result<Routes> {
    let mut all = Routes::new();
    for family in ["-4", "-6"] {
        let text = fabric.run(node, &format!("ip {family} -j route show table main proto 171"))?;
        let routes: Vec<Value> = serde_json::from_str(if text.trim().is_empty() { "[]" } else { &text })?;
        for route in routes.iter().filter(|route| route["type"].is_null()) {
            let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
            let gateway = |hop: &Value| {
                let hop = hop["gateway"].as_str().or_else(|| hop["via"]["host"].as_str());
                hop.map(str::to_owned)
            };
            let prefix = route["dst"].as_str().unwrap_or_default().to_owned();
            all.entry(prefix).or_default().extend(hops.iter().filter_map(gateway));
        }
    }
    Ok(all)
}
