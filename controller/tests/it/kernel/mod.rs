//! The kernel driver: its plan against a model of the kernel, and the whole of it against the kernel, in namespaces.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adoption;
mod batch;
mod bulk;
mod chaos;
mod gateway;
mod hosts;
mod ledger;
mod masquerade;
mod message;
mod nexthop;
mod objects;
mod ownership;
mod resolution;
mod routes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bgp::io::{NextHop, RouteAck, RouteChange, SetChange, SetId, Tracking};
use bgp::prefix::{PerFamily, Prefix};
use controller::kernel::{Command, Fib, Handle, KernelConfig, KernelEvent, LocalAddress, spawn};
use labs::{Netns, Sandbox, wait};
use tokio::sync::mpsc;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn hop(address: &str) -> NextHop {
    NextHop { address: address.parse().unwrap(), via_default: false }
}

/// A node with two uplinks to one ToR, in both families.
fn node(sandbox: &Sandbox) -> (Netns, Netns) {
    let (node, tor) = (sandbox.netns("node"), sandbox.netns("tor"));
    for (number, link) in [(1, "eth1"), (2, "eth2")] {
        sandbox.link(&node, link, &tor, link);
        node.ip(&format!("addr add 10.0.{number}.1/24 dev {link}"));
        node.ip(&format!("addr add fd00:{number}::1/64 dev {link} nodad"));
        tor.ip(&format!("addr add 10.0.{number}.2/24 dev {link}"));
        tor.ip(&format!("addr add fd00:{number}::2/64 dev {link} nodad"));
    }
    wait::until("carriers", LIMIT, || !node.ip("link show").contains("NO-CARRIER"));
    (node, tor)
}

/// A driver, and what it has told so far.
struct Driver {
    handle: Handle,
    events: mpsc::Receiver<KernelEvent>,
    next_hops: BTreeMap<NextHop, Option<u32>>,
    /// How often each next hop was told.
    told: BTreeMap<NextHop, usize>,
    acks: BTreeMap<Prefix, RouteAck>,
    batches: usize,
    answers: usize,
    addresses: Arc<[LocalAddress]>,
    /// What was found of an earlier run.
    adopted: Option<PerFamily<usize>>,
    gateways: Vec<IpAddr>,
    /// Pods outside of the PodCIDRs, and each MTU that was told.
    hosts: Vec<Prefix>,
    mtu: Vec<u32>,
    /// Temporary and deprecated addresses.
    passing: Arc<[IpAddr]>,
    trouble: Vec<String>,
    fib: Option<Fib>,
}

impl Driver {
    fn start(namespace: &Netns) -> Self {
        // Tests that look at the kernel alone do not drain it.
        let (sender, events) = mpsc::channel(4096);
        Self {
            handle: namespace.enter(|| spawn(sender)).unwrap(),
            events,
            next_hops: BTreeMap::new(),
            told: BTreeMap::new(),
            acks: BTreeMap::new(),
            batches: 0,
            answers: 0,
            addresses: Arc::new([]),
            adopted: None,
            gateways: Vec::new(),
            hosts: Vec::new(),
            mtu: Vec::new(),
            passing: Arc::new([]),
            trouble: Vec::new(),
            fib: None,
        }
    }

    fn configured(namespace: &Netns, config: KernelConfig) -> Self {
        let driver = Self::start(namespace);
        driver.handle.send(Command::Configure(config));
        driver
    }

    fn hear(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            match event {
                KernelEvent::NextHop { next_hop, metric } => {
                    self.next_hops.insert(next_hop, metric);
                    *self.told.entry(next_hop).or_default() += 1;
                }
                KernelEvent::Acks(acks) => {
                    self.batches += 1;
                    self.answers += acks.len();
                    self.acks.extend(acks.into_iter().map(|ack| (ack.prefix, ack)));
                }
                KernelEvent::Addresses(addresses) => self.addresses = addresses,
                KernelEvent::Passing(addresses) => self.passing = addresses,
                KernelEvent::Adopted(routes) => self.adopted = Some(routes),
                KernelEvent::Gateways(gateways) => self.gateways = gateways.to_vec(),
                KernelEvent::Hosts(hosts) => self.hosts = hosts.to_vec(),
                KernelEvent::UplinkMtu(mtu) => self.mtu.push(mtu),
                KernelEvent::Fib(fib) => self.fib = Some(fib),
                KernelEvent::Trouble(text) => self.trouble.push(text),
            }
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Result<(), String>) {
        wait::until(what, LIMIT, || {
            self.hear();
            look(self)
        });
    }

    fn track(&self, next_hops: &[NextHop]) {
        self.handle
            .send(Command::Tracking(next_hops.iter().map(|next_hop| Tracking::Start(*next_hop)).collect()));
    }

    #[track_caller]
    fn until_resolved(&mut self, next_hop: NextHop, metric: Option<u32>) {
        self.until(&format!("{} to resolve as {metric:?}", next_hop.address), |driver| {
            match driver.next_hops.get(&next_hop) {
                Some(told) if *told == metric => Ok(()),
                told => Err(format!("{told:?}")),
            }
        });
    }

    /// Names a set of next hops; they are tracked too.
    fn set(&self, id: u32, members: &[&str]) {
        let members: Vec<_> = members.iter().map(|address| hop(address)).collect();
        self.track(&members);
        self.handle.send(Command::Sets(vec![SetChange { id: SetId(id), members }]));
    }

    fn route(&mut self, prefixes: &[&str], set: Option<u32>) {
        let change = |text: &&str| RouteChange { prefix: prefix(text), set: set.map(SetId) };
        for text in prefixes {
            self.acks.remove(&prefix(text));
        }
        self.handle.send(Command::Routes(prefixes.iter().map(change).collect()));
    }

    #[track_caller]
    fn until_acked(&mut self, text: &str, errno: i32) {
        self.until(&format!("the answer for {text}"), |driver| match driver.acks.get(&prefix(text)) {
            Some(ack) if i32::from(ack.errno) == errno => Ok(()),
            ack => Err(format!("{ack:?}")),
        });
    }

    /// Names a set, installs routes to it and waits for their success.
    #[track_caller]
    fn install(&mut self, id: u32, members: &[&str], prefixes: &[&str]) {
        self.set(id, members);
        self.route(prefixes, Some(id));
        for prefix in prefixes {
            self.until_acked(prefix, 0);
        }
    }

    /// Ends the driver.
    fn stop(self) {
        drop(self.events);
        self.handle.join();
    }
}
