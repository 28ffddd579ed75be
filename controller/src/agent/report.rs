//! What the agent says of itself: the snapshot, and whether it has converged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bgp::config::SpeakerConfig;
use bgp::id::PeerId;
use bgp::io::{NextHop, State, Tracking};
use bgp::prefix::{Family, PerFamily};
use bgp::reason::Reason;
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::{KernelCounts, PeerView};

use super::configuration::Configuration;
use super::identity::Identity;
use super::impairment::Impairments;
use super::readiness::{Facts, Readiness};
use crate::drain::Drain;
use crate::kernel::Fib;
use crate::status::impairment::Impairment;
use crate::status::snapshot::{Condition, ConditionKind, Identity as Named, Snapshot, SourceStatus};

/// How long a peer may be silent before it counts as having sent all: End-of-RIB is optional without graceful
/// restart (RFC 4724 §2).
const QUIET: Duration = Duration::from_secs(10);

/// How long everything must be there before routes that nobody asked for go: time for a peer that has restarted too
/// to hear from its own peers.
const GRACE: Duration = Duration::from_secs(3);

/// After this time the routes of an earlier run go, whoever is still away.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the sessions are looked at until then.
const LOOK: Duration = Duration::from_secs(1);

/// How far the node is from what it is to be.
///
/// Routes of an earlier run are swept once, when what they would be judged by is complete: each expected peer has
/// sent End-of-RIB for each family, each next hop has been resolved or found not to, and no work is left; or after
/// [`PATIENCE`], since a peer that never comes must not keep stale routes for good.
#[derive(Debug, Default)]
pub(super) struct Convergence {
    configured_at: Option<Instant>,
    complete_at: Option<Instant>,
    look_at: Option<Instant>,
    settled_at: Option<Instant>,
    /// Whether conditions held at the last look, and since when that is so.
    held: BTreeMap<ConditionKind, (Option<bool>, Instant)>,
    readiness: Readiness,
    /// Next hops that the kernel driver has not spoken about.
    unresolved: BTreeSet<NextHop>,
    /// What was last heard of each peer that is up and has not said that it has sent all.
    heard: BTreeMap<PeerId, Heard>,
}

/// How much a peer has sent at the last look, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    sessions: u64,
    updates: u64,
    since: Instant,
}

impl Convergence {
    /// Whether what an earlier run has left was judged.
    pub(super) fn has_settled(&self) -> bool {
        self.settled_at.is_some()
    }

    /// A configuration was applied.
    pub(super) fn configured(&mut self, now: Instant) {
        if self.configured_at.is_none() {
            self.configured_at = Some(now);
            self.look_at = Some(now + LOOK);
        }
    }

    /// An earlier run of the agent, in this boot, has found that pods may be started.
    pub(super) fn resume(&mut self, now: Instant) {
        self.readiness.resume(now);
    }

    /// Whether pods may be started.
    fn pod_network(&mut self, shown: &Shown<'_>, peers: &[PeerView], now: Instant) -> Condition {
        let pending = shown.speaker.map(Speaker::kernel_counts).unwrap_or_default();
        let pending = Family::ALL.into_iter().any(|family| pending[family].pending > 0);
        let heard = |peer: &PeerView| peer.state == State::Established && self.has_sent_all(peer, now);
        let facts = Facts {
            configured_at: self.configured_at,
            has_pods: !shown.configuration.pods().is_empty(),
            heard: peers.iter().all(is_disabled) || peers.iter().any(heard),
            synced: !shown.busy && !pending && self.unresolved.is_empty(),
        };
        self.readiness.condition(facts, now)
    }

    /// The kernel driver is told what to track.
    pub(super) fn tracking(&mut self, changes: &[Tracking]) {
        for change in changes {
            match change {
                Tracking::Start(next_hop) => self.unresolved.insert(*next_hop),
                Tracking::Stop(next_hop) => self.unresolved.remove(next_hop),
            };
        }
    }

    /// The kernel driver has spoken about a next hop.
    pub(super) fn resolved(&mut self, next_hop: NextHop) {
        self.unresolved.remove(&next_hop);
    }

    /// When the sessions are to be looked at; `None` once the node has settled.
    pub(super) fn look_due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks at the sessions; says once why routes of an earlier run that
    /// nobody asked for are to go.
    pub(super) fn settles(&mut self, peers: &[PeerView], busy: bool, now: Instant) -> Option<&'static str> {
        let configured_at = self.configured_at?;
        self.look_at = Some(now + LOOK);
        self.listen(peers, now);
        if !busy && self.unresolved.is_empty() && peers.iter().all(|peer| self.has_sent_all(peer, now)) {
            self.complete_at.get_or_insert(now);
        } else {
            self.complete_at = None;
        }
        let complete = self.complete_at.is_some_and(|at| now.since(at) >= GRACE);
        let late = now.since(configured_at) >= PATIENCE;
        if !complete && !late {
            return None;
        }
        self.look_at = None;
        self.settled_at = Some(now);
        Some(if complete { "all-peers-heard" } else { "peers-are-late" })
    }

    /// Keeps for each peer since when it has been silent.
    fn listen(&mut self, peers: &[PeerView], now: Instant) {
        self.heard.retain(|id, _| peers.iter().any(|peer| peer.id == *id));
        for peer in peers {
            let (sessions, updates) = (peer.established_count, peer.updates.0);
            let heard = self.heard.entry(peer.id).or_insert(Heard { sessions, updates, since: now });
            if (heard.sessions, heard.updates) != (sessions, updates) {
                *heard = Heard { sessions, updates, since: now };
            }
        }
    }

    /// Whether nothing more is to be expected of a peer.
    fn has_sent_all(&self, peer: &PeerView, now: Instant) -> bool {
        if peer.state != State::Established {
            return is_disabled(peer);
        }
        // RFC 4724 §3: who knows restarts sends it.
        let told = peer.restart.is_some();
        let silent = !told && self.heard.get(&peer.id).is_some_and(|heard| now.since(heard.since) >= QUIET);
        silent || Family::ALL.into_iter().all(|family| peer.end_of_rib[family] || !peer.families[family])
    }

    fn conditions(
        &mut self,
        peers: &[PeerView],
        kernel: &PerFamily<KernelCounts>,
        work: Work<'_>,
        now: Instant,
    ) -> Vec<Condition> {
        let configured = self.configured_at.is_some();
        let ready = Condition {
            kind: ConditionKind::Ready,
            holds: Some(self.settled_at.is_some()),
            reason: match (configured, self.settled_at) {
                (false, _) => "not-configured",
                (true, None) => "converging",
                (true, Some(_)) => "settled",
            },
            message: String::new(),
            since: self.settled_at.or(self.configured_at).unwrap_or_default(),
        };
        let mut all = vec![ready, converged(configured, peers, work), in_sync(configured, kernel)];
        for condition in &mut all[1..] {
            let before = self.held.get(&condition.kind).filter(|(held, _)| *held == condition.holds);
            condition.since = before.map_or(now, |(_, since)| *since);
            self.held.insert(condition.kind, (condition.holds, condition.since));
        }
        all
    }

    /// Whether packets of pods are hidden behind the node where they are to be.
    fn masquerading(&mut self, why_not: Option<&str>, now: Instant) -> Condition {
        let (kind, holds) = (ConditionKind::Masquerading, Some(why_not.is_none()));
        let before = self.held.get(&kind).filter(|(held, _)| *held == holds);
        let since = before.map_or(now, |(_, since)| *since);
        self.held.insert(kind, (holds, since));
        let reason = if why_not.is_none() { "rules-in-place" } else { "kernel-refused" };
        Condition { kind, holds, reason, message: why_not.unwrap_or_default().to_owned(), since }
    }
}

/// What is left to do.
#[derive(Clone, Copy)]
struct Work<'a> {
    /// Whether the speaker has some.
    busy: bool,
    /// A family that no router carries, and one router that could be asked to.
    uncarried: Option<(Family, &'a str)>,
}

/// A family that this node has prefixes of and that none of the routers outside its AS carries, though at least one of
/// them was asked to: the world hears nothing of those prefixes. Of several sessions each may carry one family.
fn uncarried<'a>(config: &SpeakerConfig, peers: &'a [PeerView]) -> Option<(Family, &'a str)> {
    let routers =
        || peers.iter().filter(|peer| peer.state == State::Established && peer.asn != Some(config.asn));
    let asked = |peer: &&PeerView, family| {
        let at = config.peers.binary_search_by_key(&peer.address, |it| it.address);
        at.is_ok_and(|at| config.peers[at].families[family])
    };
    Family::ALL.into_iter().find_map(|family| {
        let needed = config.origins.iter().any(|origin| origin.prefix.family() == family);
        let carried = routers().any(|peer| peer.families[family]);
        let router = routers().find(|peer| asked(peer, family)).filter(|_| needed && !carried);
        router.map(|peer| (family, peer.name.as_str()))
    })
}

/// Whether every session is up and nothing is left to do.
fn converged(configured: bool, peers: &[PeerView], work: Work<'_>) -> Condition {
    let down = peers.iter().filter(|peer| !is_up(peer)).count();
    let message = match (down, work.uncarried) {
        (1.., _) => format!("{down} of {} sessions are down", peers.len()),
        (0, Some((family, router))) => format!(
            "{router} does not carry {family}, of which this node has prefixes; where that is meant, leave the \
             family out of `families`"
        ),
        (0, None) => String::new(),
    };
    Condition {
        kind: ConditionKind::Converged,
        holds: Some(configured && down == 0 && work.uncarried.is_none() && !work.busy),
        reason: match (configured, down, work) {
            (false, ..) => "not-configured",
            (_, 1.., _) => "sessions-down",
            (_, 0, Work { uncarried: Some(_), .. }) => Reason::FamilyNotNegotiated.word(),
            (_, 0, Work { busy: true, .. }) => "working",
            _ => "all-sessions-up",
        },
        message,
        since: Instant::default(),
    }
}

/// Whether the kernel has confirmed every route that is wanted.
fn in_sync(configured: bool, kernel: &PerFamily<KernelCounts>) -> Condition {
    let sum = |count: fn(&KernelCounts) -> u64| count(&kernel.ipv4) + count(&kernel.ipv6);
    let (pending, failed) = (sum(|counts| counts.pending), sum(|counts| counts.failed));
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("{failed} routes are rejected"));
    }
    if pending > 0 {
        parts.push(format!("{pending} routes are under way"));
    }
    Condition {
        kind: ConditionKind::KernelInSync,
        holds: configured.then_some(failed == 0 && pending == 0),
        reason: match (configured, failed, pending) {
            (false, ..) => "not-configured",
            (_, 1.., _) => "kernel-rejected",
            (_, 0, 1..) => "awaiting-kernel",
            _ => "all-routes-confirmed",
        },
        message: parts.join(", "),
        since: Instant::default(),
    }
}

fn is_disabled(peer: &PeerView) -> bool {
    peer.down.as_ref().is_some_and(|down| down.reason == Reason::Disabled)
}

fn is_up(peer: &PeerView) -> bool {
    peer.state == State::Established || is_disabled(peer)
}

/// What is shown of the loop.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) identity: &'a Identity,
    pub(super) speaker: Option<&'a Speaker>,
    pub(super) configuration: &'a Configuration,
    pub(super) impairments: &'a Impairments,
    pub(super) drain: Option<&'a Drain>,
    /// How learned routes are written, if that is known.
    pub(super) fib: Option<Fib>,
    /// Whether packets of pods are to be hidden behind the node.
    pub(super) hides: bool,
    /// Whether work is left to do.
    pub(super) busy: bool,
}

/// The status of the node at one instant.
pub(super) fn snapshot(shown: &Shown<'_>, convergence: &mut Convergence, now: Instant) -> Snapshot {
    let Shown { identity, speaker, configuration, impairments, drain, fib, hides, busy } = *shown;
    let peers = speaker.map(Speaker::peers).unwrap_or_default();
    let kernel = speaker.map(Speaker::kernel_counts).unwrap_or_default();
    let uncarried = configuration.speaker().and_then(|config| uncarried(config, &peers));
    let work = Work { busy, uncarried };
    let mut conditions = convergence.conditions(&peers, &kernel, work, now);
    // A router has no pods to wait for.
    if !configuration.pods().is_empty() || !configuration.speaker().is_some_and(|speaker| speaker.transit) {
        conditions.push(convergence.pod_network(shown, &peers, now));
    }
    if hides {
        conditions.push(convergence.masquerading(impairments.of(Impairment::Masquerade), now));
    }
    Snapshot {
        revision: 0,
        node: identity.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        clock: identity.clock,
        identity: configuration
            .speaker()
            .map(|speaker| Named { asn: speaker.asn, router_id: speaker.router_id }),
        conditions,
        peers,
        kernel,
        fib,
        pods: configuration.pods().to_vec(),
        withheld: configuration.withheld(),
        pod_mtu: configuration.pod_mtu(),
        source: SourceStatus {
            description: identity.source.clone(),
            loaded_at: configuration.loaded_at(),
            errors: configuration.errors(),
        },
        drain: drain.cloned(),
        impairments: impairments.lines(),
        counters: Arc::default(),
        events: Arc::default(),
        prefixes: Arc::default(),
    }
}
