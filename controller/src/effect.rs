//! Everything that leaves the agent loop, and the one clock that it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use bgp::io::Transport;
use bgp::prefix::Prefix;
use bgp::time::Instant;

use crate::bfd::Watch;
use crate::cluster::Objects;
use crate::drain::Drain;
use crate::kernel::Command;
use crate::kernel::masquerade::Masquerade;
use crate::status::event::Event;
use crate::status::snapshot::Snapshot;
use crate::transport::Neighbours;

/// What the loop drives. No method blocks; each is called in the order of the
/// loop's effects.
pub trait Drivers {
    /// The present.
    fn now(&self) -> Instant;
    /// An effect on TCP connections.
    fn transport(&mut self, effect: Transport);
    /// On which terms connections with peers are made, all of them.
    fn neighbours(&mut self, neighbours: Neighbours);
    /// The links, by index and name, whose neighbours are to be found: these, and no others.
    fn discover(&mut self, links: BTreeMap<u32, String>);
    /// Which ways to peers BFD looks after, all of them.
    fn watch(&mut self, watch: Watch);
    /// The peers that the next run of the agent is to wait for, whenever they change.
    fn awaited(&mut self, peers: BTreeSet<IpAddr>);
    /// A command for the kernel driver.
    fn kernel(&mut self, command: Command);
    /// What of the pods' packets is hidden behind the node; `None` for nothing.
    fn masquerade(&mut self, wanted: Option<Masquerade>);
    /// A set of objects that is good, to be kept for a start without the source.
    fn keep(&mut self, objects: Arc<Objects>);
    /// Since when, and how, the Node says that it is out of service, for the next run of the agent.
    fn cordoned(&mut self, drain: Option<Drain>);
    /// When a snapshot of the status is due; `None` while nothing changed.
    fn status_due(&self) -> Option<Instant>;
    /// Notes that something which the status shows may have changed.
    fn status_changed(&mut self);
    /// Tells readers of the status what happened.
    fn event(&mut self, event: Event);
    /// Tells readers of the status that the route of a prefix changed.
    fn prefix(&mut self, prefix: Prefix);
    /// Replaces the status by what `build` makes, if that is due.
    fn publish(&mut self, build: &mut dyn FnMut() -> Snapshot, now: Instant);
}
