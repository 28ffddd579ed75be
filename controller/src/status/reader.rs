//! One reader of Watch: where it has come to, and what it is told next.
//!
//! A reader pulls. It looks at the newest snapshot when its client has room for
//! an answer, and holds no more than that snapshot, the one before, and one
//! answer of bounded length: a client that reads slowly skips snapshots, one
//! that does not read at all is not even looked after.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use bgp::view::PeerView;
use futures::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Status;

use super::clock::Moment;
use super::convert;
use super::error::Fault;
use super::ring::{Chunk, Ring};
use super::snapshot::{Snapshot, Snapshots};

/// What one answer carries at most; with all of it an answer stays below half
/// of the 4 MB that clients take.
const PEERS: usize = 256;
const EVENTS: usize = 512;
const PREFIXES: usize = 4096;

/// The life of a stream: shorter than a connection's, which would end it in the
/// middle of an answer.
const LIFE: Duration = Duration::from_secs(540);

/// What a reader wants to be told.
#[derive(Clone, Copy, Debug)]
struct Topics {
    status: bool,
    events: bool,
    prefixes: bool,
}

/// A reader.
#[derive(Debug)]
pub(super) struct Reader {
    snapshots: Snapshots,
    topics: Topics,
    /// The revision that was asked for.
    after_revision: Option<u64>,
    /// The snapshot that has been told entirely.
    told: Option<Arc<Snapshot>>,
    /// What is being told.
    step: Option<Step>,
    ends_at: Instant,
    #[expect(dead_code, reason = "gives the place back on drop")]
    place: OwnedSemaphorePermit,
}

impl Reader {
    /// A reader that was told nothing yet.
    pub(super) fn new(request: &v1::WatchRequest, snapshots: Snapshots, place: OwnedSemaphorePermit) -> Self {
        let wants = |topic| request.topics().any(|wanted| wanted == topic);
        let topics = Topics {
            status: request.topics.is_empty() || wants(v1::WatchTopic::Status),
            events: wants(v1::WatchTopic::Events),
            prefixes: wants(v1::WatchTopic::Prefixes),
        };
        let after_revision = request.after_revision;
        let ends_at = Instant::now() + LIFE;
        Self { snapshots, topics, after_revision, told: None, step: None, ends_at, place }
    }

    /// The answers; the stream ends after its life, or with an error.
    pub(super) fn answers(self) -> impl Stream<Item = Result<v1::WatchResponse, Status>> {
        futures::stream::unfold(Some(self), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(None) => None,
                Ok(Some(answer)) => Some((Ok(answer), Some(reader))),
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    /// The next answer; waits until there is one.
    async fn next(&mut self) -> Result<Option<v1::WatchResponse>, Status> {
        loop {
            if let Some(step) = &mut self.step {
                let answer = step.answer();
                if !answer.more {
                    self.told = self.step.take().map(|step| step.snapshot);
                }
                return Ok(Some(answer));
            }
            if self.told.is_some() {
                tokio::select! {
                    changed = self.snapshots.changed() => {
                        changed.map_err(|_| Fault::AgentStopping.status("the agent is stopping"))?;
                    }
                    () = tokio::time::sleep_until(self.ends_at) => return Ok(None),
                }
            }
            let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
            let step = self.step(snapshot)?;
            if self.told.is_none() || !step.is_done() {
                self.step = Some(step);
            } else {
                self.told = Some(step.snapshot);
            }
        }
    }

    /// What is to be told on the way to a snapshot.
    fn step(&self, snapshot: Arc<Snapshot>) -> Result<Step, Status> {
        let told = self.told.as_deref();
        let after = told.map(|told| told.revision).or(self.after_revision);
        let moment = snapshot.clock.moment();
        let (mut status, mut peers, mut removed) = (None, VecDeque::new(), Vec::new());
        if self.topics.status {
            status = changed_node(told, &snapshot, &moment);
            (peers, removed) = changed_peers(told, &snapshot);
        }
        let (mut events, mut prefixes) = (Backlog::default(), Backlog::default());
        if self.topics.events {
            events = Backlog::after(&snapshot.events, after, snapshot.revision)?;
        }
        if self.topics.prefixes {
            // Without a revision the reader begins with the present.
            let after = after.unwrap_or(snapshot.revision);
            prefixes = Backlog::after(&snapshot.prefixes, Some(after), snapshot.revision)?;
        }
        Ok(Step { snapshot, moment, status, peers, removed, events, prefixes })
    }
}

/// The node's status if more than its ages changed.
fn changed_node(told: Option<&Snapshot>, snapshot: &Snapshot, moment: &Moment) -> Option<v1::NodeStatus> {
    let status = convert::node(snapshot, moment);
    let same = told.is_some_and(|told| {
        v1::NodeStatus { revision: status.revision, ..convert::node(told, moment) } == status
    });
    (!same).then_some(status)
}

/// The places of peers that are new or changed, and the addresses of those that are gone.
fn changed_peers(told: Option<&Snapshot>, snapshot: &Snapshot) -> (VecDeque<usize>, Vec<IpAddr>) {
    let before = told.map(|told| told.peers.as_slice()).unwrap_or_default();
    let mut before: BTreeMap<IpAddr, &PeerView> = before.iter().map(|peer| (peer.address, peer)).collect();
    let mut changed = VecDeque::new();
    for (place, peer) in snapshot.peers.iter().enumerate() {
        if before.remove(&peer.address) != Some(peer) {
            changed.push_back(place);
        }
    }
    (changed, before.into_keys().collect())
}

/// What is left to tell of one snapshot.
#[derive(Debug)]
struct Step {
    snapshot: Arc<Snapshot>,
    moment: Moment,
    status: Option<v1::NodeStatus>,
    peers: VecDeque<usize>,
    removed: Vec<IpAddr>,
    events: Backlog<super::event::Event>,
    prefixes: Backlog<bgp::prefix::Prefix>,
}

impl Step {
    fn is_done(&self) -> bool {
        self.status.is_none()
            && self.peers.is_empty()
            && self.removed.is_empty()
            && self.events.is_empty()
            && self.prefixes.is_empty()
    }

    /// As much as one answer carries.
    fn answer(&mut self) -> v1::WatchResponse {
        let Self { snapshot, moment, .. } = self;
        let some = self.peers.len().min(PEERS);
        let peers = self.peers.drain(..some).filter_map(|place| snapshot.peers.get(place));
        let peers = peers.map(|peer| convert::peer(peer, moment)).collect();
        let events = self.events.take(EVENTS, |revision, event| convert::event(event, revision, moment));
        let prefixes = self.prefixes.take(PREFIXES, |_, prefix| prefix.to_string());
        let removed = std::mem::take(&mut self.removed);
        v1::WatchResponse {
            node: snapshot.node.clone(),
            revision: snapshot.revision,
            status: self.status.take(),
            peers,
            removed_peers: removed.iter().map(ToString::to_string).collect(),
            events,
            prefixes,
            more: !self.is_done(),
        }
    }
}

/// Chunks of a ring that were not told yet.
#[derive(Debug)]
struct Backlog<T> {
    chunks: VecDeque<Arc<Chunk<T>>>,
    /// How many of the first chunk's things were told.
    at: usize,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), at: 0 }
    }
}

impl<T> Backlog<T> {
    /// What came after a revision; without one, all that is held.
    fn after(ring: &Ring<T>, after: Option<u64>, newest: u64) -> Result<Self, Status> {
        if let Some(after) = after
            && (after < ring.dropped_revision() || after > newest)
        {
            let message = format!("revision {after} is out of reach: start again without one");
            let dropped = ring.dropped_revision().to_string();
            let metadata = [("dropped_revision", dropped), ("revision", newest.to_string())];
            return Err(Fault::ReaderOvertaken.status_with(message, metadata));
        }
        Ok(Self { chunks: ring.after(after.unwrap_or(0)).cloned().collect(), at: 0 })
    }

    fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The next things, at most so many.
    fn take<R>(&mut self, most: usize, mut made: impl FnMut(u64, &T) -> R) -> Vec<R> {
        let mut taken = Vec::new();
        while let Some(chunk) = self.chunks.front() {
            let rest = chunk.items.get(self.at..).unwrap_or_default();
            let some = rest.get(..most - taken.len()).unwrap_or(rest);
            taken.extend(some.iter().map(|item| made(chunk.revision, item)));
            self.at += some.len();
            if some.len() < rest.len() {
                break;
            }
            self.chunks.pop_front();
            self.at = 0;
        }
        taken
    }
}
