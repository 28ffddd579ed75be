//! The status of a node as one immutable value, and the cell that it is
//! replaced in as a whole. Never holds a route.

use std::sync::Arc;

use bgp::id::{Asn, RouterId};
use bgp::io::State;
use bgp::prefix::{PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::time::{Duration, Instant};
use bgp::view::{KernelCounts, PeerView};
use tokio::sync::watch;

use super::clock::Clock;
use super::counter::Counters;
use super::event::Event;
use super::ring::{Recorder, Ring};
use crate::desired::services::Withheld;
use crate::drain::Drain;
use crate::kernel::Fib;

/// What one agent is and does, at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with each snapshot; set by the [`Publisher`].
    pub revision: u64,
    /// The name of the node.
    pub node: String,
    /// The version of the agent.
    pub version: String,
    /// What the instants in here mean.
    pub clock: Clock,
    /// The speaker's identity; `None` while there is no configuration.
    pub identity: Option<Identity>,
    /// What holds of the node; only conditions that are really computed.
    pub conditions: Vec<Condition>,
    /// The peers, ordered by address.
    pub peers: Vec<PeerView>,
    /// What the kernel holds of our routes.
    pub kernel: PerFamily<KernelCounts>,
    /// How learned routes are written, if that is known.
    pub fib: Option<Fib>,
    /// The prefixes of this node's pods.
    pub pods: Vec<Prefix>,
    /// Addresses of Services that are not originated though a Fabric says so, and why.
    pub withheld: Arc<Withheld>,
    /// The smallest MTU of the node's uplinks, in bytes, if that is known.
    pub pod_mtu: Option<u32>,
    /// Where the configuration comes from.
    pub source: SourceStatus,
    /// How the node is taken out of service; `None` while it is in service.
    pub drain: Option<Drain>,
    /// What the agent cannot do at present beside routing, in words.
    pub impairments: Vec<String>,
    /// What was counted since the start of the agent.
    pub counters: Arc<Counters>,
    /// What happened; set by the [`Publisher`].
    pub events: Arc<Ring<Event>>,
    /// The prefixes whose route in the kernel changed; set by the [`Publisher`].
    pub prefixes: Arc<Ring<Prefix>>,
}

impl Snapshot {
    /// How many peers are configured, and how many of them are Established;
    /// those that are disabled on purpose count as neither.
    #[must_use]
    pub fn peer_counts(&self) -> (usize, usize) {
        let disabled = |peer: &&PeerView| peer.down.as_ref().is_some_and(|d| d.reason == Reason::Disabled);
        let up = self.peers.iter().filter(|peer| peer.state == State::Established).count();
        (self.peers.len() - self.peers.iter().filter(disabled).count(), up)
    }
}

/// Who the speaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its AS.
    pub asn: Asn,
    /// Its BGP Identifier.
    pub router_id: RouterId,
}

/// The conditions that an agent may report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The node may be used; latches after the first convergence.
    Ready,
    /// Every session that can be up is, and the kernel has what they brought.
    Converged,
    /// The kernel holds exactly the routes that are wanted.
    KernelInSync,
    /// Pods may be started: their addresses are known, and the way to others is there.
    PodNetworkReady,
    /// Packets of pods to somewhere that does not know of pods leave under the node's address.
    Masquerading,
}

impl ConditionKind {
    /// The condition's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Converged => "Converged",
            Self::KernelInSync => "KernelInSync",
            Self::PodNetworkReady => "PodNetworkReady",
            Self::Masquerading => "Masquerading",
        }
    }
}

/// One thing that holds, or does not hold, of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: ConditionKind,
    /// Whether it holds; `None` while that is not known.
    pub holds: Option<bool>,
    /// Why, a word in kebab-case.
    pub reason: &'static str,
    /// Why, with the particulars; may be empty.
    pub message: String,
    /// When `holds` last changed.
    pub since: Instant,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// What it is, such as `manifests /etc/underlay`.
    pub description: String,
    /// When the configuration in use was read.
    pub loaded_at: Option<Instant>,
    /// What is wrong with the newest configuration; the last good one stays in use.
    pub errors: Vec<String>,
}

/// The readers' end of the cell.
pub type Snapshots = watch::Receiver<Arc<Snapshot>>;

/// The most events that are held: what a bad day of a node with some peers brings.
const EVENTS: usize = 2048;

/// The most changed prefixes that are held: some ten thousand readers' lines, and
/// not a whole table, which is asked for anew with less effort.
const PREFIXES: usize = 16_384;

/// The agent loop's end of the cell: numbers the snapshots and spaces them.
#[derive(Debug)]
pub struct Publisher {
    cell: watch::Sender<Arc<Snapshot>>,
    published_at: Instant,
    changed: bool,
    events: Recorder<Event>,
    prefixes: Recorder<Prefix>,
}

impl Publisher {
    /// The least time between two snapshots: an eye and a scraper need no more
    /// than ten a second, and building one costs a walk over all peers.
    pub const SPACING: Duration = Duration::from_millis(100);

    /// A cell that holds a first snapshot.
    #[must_use]
    pub fn new(mut first: Snapshot, now: Instant) -> (Self, Snapshots) {
        first.revision = 1;
        let (cell, snapshots) = watch::channel(Arc::new(first));
        let (events, prefixes) = (Recorder::new(EVENTS), Recorder::new(PREFIXES));
        (Self { cell, published_at: now, changed: false, events, prefixes }, snapshots)
    }

    /// Notes that something which the status shows may have changed.
    pub fn changed(&mut self) {
        self.changed = true;
    }

    /// Notes what happened; the next snapshot shows it.
    pub fn event(&mut self, event: Event) {
        self.events.note(event);
        self.changed = true;
    }

    /// Notes that the route of a prefix changed; the next snapshot shows it.
    pub fn prefix(&mut self, prefix: Prefix) {
        self.prefixes.note(prefix);
        self.changed = true;
    }

    /// When [`Publisher::publish`] is next due; `None` while nothing changed.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.changed.then(|| self.published_at + Self::SPACING)
    }

    /// Replaces the snapshot if that is due; `build` is called only then, and
    /// what it says of the revision and the rings is overwritten. Returns whether it was due.
    pub fn publish(&mut self, build: impl FnOnce() -> Snapshot, now: Instant) -> bool {
        if self.deadline().is_none_or(|due| now < due) {
            return false;
        }
        let mut next = build();
        next.revision = self.cell.borrow().revision + 1;
        next.events = self.events.seal(next.revision);
        next.prefixes = self.prefixes.seal(next.revision);
        self.cell.send_replace(Arc::new(next));
        (self.changed, self.published_at) = (false, now);
        true
    }
}
