//! The drivers of a running agent: every effect of the loop, handed on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::Transport;
use bgp::prefix::Prefix;
use bgp::time::Instant;
use tokio::sync::watch;

use crate::bfd::{self, Watch};
use crate::cluster::Objects;
use crate::discovery;
use crate::drain::Drain;
use crate::effect::Drivers;
use crate::kernel::masquerade::{self, Masquerade};
use crate::kernel::{self, Command};
use crate::status::clock::Clock;
use crate::status::event;
use crate::status::snapshot::{Publisher, Snapshot};
use crate::transport::{self, Neighbours};

/// The drivers of a running agent.
pub(super) struct Live {
    pub(super) clock: Clock,
    pub(super) transport: transport::Handle,
    pub(super) bfd: bfd::Handle,
    pub(super) kernel: kernel::Handle,
    pub(super) masquerade: masquerade::Handle,
    pub(super) discovery: discovery::Handle,
    pub(super) publisher: Publisher,
    /// Objects to keep on disk; the newest alone.
    pub(super) good: watch::Sender<Option<Arc<Objects>>>,
    /// What the Node says of its service, to keep on disk; the newest alone.
    pub(super) cordoned: watch::Sender<Option<Drain>>,
    /// The peers that are up, for the marker; the newest alone.
    pub(super) up: watch::Sender<Option<BTreeSet<IpAddr>>>,
}

impl Drivers for Live {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn transport(&mut self, effect: Transport) {
        self.transport.apply(effect);
    }

    fn neighbours(&mut self, neighbours: Neighbours) {
        self.transport.neighbours(&neighbours);
    }

    fn discover(&mut self, links: BTreeMap<u32, String>) {
        self.discovery.want(links);
    }

    fn watch(&mut self, watch: Watch) {
        self.bfd.watch(watch);
    }

    fn awaited(&mut self, peers: BTreeSet<IpAddr>) {
        self.up.send_replace(Some(peers));
    }

    fn kernel(&mut self, command: Command) {
        self.kernel.send(command);
    }

    fn masquerade(&mut self, wanted: Option<Masquerade>) {
        self.masquerade.want(wanted);
    }

    fn keep(&mut self, objects: Arc<Objects>) {
        self.good.send_replace(Some(objects));
    }

    fn cordoned(&mut self, drain: Option<Drain>) {
        self.cordoned.send_replace(drain);
    }

    fn status_due(&self) -> Option<Instant> {
        self.publisher.deadline()
    }

    fn status_changed(&mut self) {
        self.publisher.changed();
    }

    fn event(&mut self, event: event::Event) {
        self.publisher.event(event);
    }

    fn prefix(&mut self, prefix: Prefix) {
        self.publisher.prefix(prefix);
    }

    fn publish(&mut self, build: &mut dyn FnMut() -> Snapshot, now: Instant) {
        self.publisher.publish(build, now);
    }
}
