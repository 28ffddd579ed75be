//! One router: its speaker, its configuration, its kernel and its clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::config::SpeakerConfig;
use bgp::id::ConnId;
use bgp::io::{NextHop, Note, Notice, RouteAck, RouteChange, SetChange, SetId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};

use super::broken::Broken;
use super::watch::Watch;

/// What the kernel was told and has not done.
#[derive(Debug)]
enum Task {
    Set(SetChange),
    Route(RouteChange),
}

/// One router.
pub(crate) struct Router {
    pub(crate) speaker: Speaker,
    pub(crate) config: SpeakerConfig,
    pub(crate) notes: Vec<Note>,
    pub(crate) notices: Vec<Notice>,
    /// Octets written.
    pub(crate) written: u64,
    /// The subtypes of ROUTE-REFRESH messages written.
    pub(crate) refreshes: Vec<u8>,
    /// Messages written.
    pub(crate) messages: u64,
    pub(crate) fib: BTreeMap<Prefix, SetId>,
    pub(crate) sets: BTreeMap<SetId, Vec<NextHop>>,
    /// What the kernel did since the process started.
    pub(crate) writes: Vec<(Prefix, Option<Vec<IpAddr>>)>,
    /// Routes of the process before by next hop, until they are swept.
    pub(crate) adopted: BTreeMap<Prefix, Vec<IpAddr>>,
    /// The peers that the process before would have been waiting for.
    awaited: std::collections::BTreeSet<IpAddr>,
    pub(super) tracked: BTreeSet<NextHop>,
    /// Next hops that the kernel cannot resolve.
    pub(super) unresolved: BTreeSet<IpAddr>,
    /// Prefixes that the kernel refuses.
    pub(super) refused: BTreeSet<Prefix>,
    /// Whether the kernel answers; its answers wait meanwhile.
    pub(crate) kernel_answers: bool,
    /// How long the kernel takes.
    pub(super) kernel_delay: Duration,
    tasks: Vec<Task>,
    acks: BTreeMap<Prefix, RouteAck>,
    /// Open connections, and the number of the router's end.
    pub(super) conns: BTreeMap<ConnId, usize>,
    pub(super) accepted: u64,
    /// Whether it reads what comes.
    pub(super) asleep: bool,
    /// Whether the process runs at all.
    pub(super) up: bool,
    /// Until when the process is not scheduled.
    pub(super) stalled_until: Instant,
    /// When the process started, and by how much its clock leapt since.
    pub(super) born: Instant,
    pub(super) leapt: Duration,
    pub(super) restarts: u64,
    /// When the process before ended.
    pub(super) gone_at: Instant,
    /// What is due in the network's queue.
    pub(super) timer_at: Option<Instant>,
    pub(super) turn_due: bool,
    pub(super) kernel_due: bool,
    pub(super) watch: Watch,
    pub(super) broken: Option<Broken>,
}

impl Router {
    pub(super) fn new(config: SpeakerConfig, seed: u64) -> Self {
        Self {
            speaker: Speaker::new(&config, seed),
            config,
            notes: Vec::new(),
            notices: Vec::new(),
            written: 0,
            refreshes: Vec::new(),
            messages: 0,
            fib: BTreeMap::new(),
            sets: BTreeMap::new(),
            writes: Vec::new(),
            adopted: BTreeMap::new(),
            awaited: std::collections::BTreeSet::new(),
            tracked: BTreeSet::new(),
            unresolved: BTreeSet::new(),
            refused: BTreeSet::new(),
            kernel_answers: true,
            kernel_delay: Duration::ZERO,
            tasks: Vec::new(),
            acks: BTreeMap::new(),
            conns: BTreeMap::new(),
            accepted: 0,
            asleep: false,
            up: true,
            stalled_until: Instant(0),
            born: Instant(0),
            leapt: Duration::ZERO,
            restarts: 0,
            gone_at: Instant(0),
            timer_at: None,
            turn_due: false,
            kernel_due: false,
            watch: Watch::default(),
            broken: None,
        }
    }

    /// Its own time: since its process started, with the leaps of its clock.
    pub(super) fn clock(&self, now: Instant) -> Instant {
        Instant(0) + (now - self.born) + self.leapt
    }

    /// The network's time at which its own clock shows `local`.
    pub(super) fn network_time(&self, local: Instant) -> Instant {
        self.born + local.since(Instant(0) + self.leapt)
    }

    /// The process ends. What it had installed stays in the kernel.
    pub(super) fn stop(&mut self) {
        let held: Vec<Prefix> = self.fib.keys().copied().collect();
        for prefix in held {
            let members = self.members(prefix).map(|members| addresses(&members));
            self.adopted.extend(members.map(|members| (prefix, members)));
        }
        self.awaited = self.speaker.awaited();
        // Nobody is there, and answers nothing.
        let nobody = SpeakerConfig { peers: Vec::new(), origins: Vec::new(), ..self.config.clone() };
        self.speaker = Speaker::new(&nobody, 0);
        self.fib.clear();
        self.sets.clear();
        self.tracked.clear();
        self.tasks.clear();
        self.acks.clear();
        self.writes.clear();
        self.up = false;
    }

    /// Another process starts. What the kernel holds stays with `memory`, and the speaker is told.
    pub(super) fn start(&mut self, seed: u64, memory: bool, now: Instant) {
        self.speaker = Speaker::new(&self.config, seed);
        if memory {
            let of = |family| self.adopted.keys().any(|prefix| prefix.family() == family);
            let forwarding = PerFamily { ipv4: of(Family::Ipv4), ipv6: of(Family::Ipv6) };
            self.speaker.resume(forwarding, Some(self.awaited.clone()));
        } else {
            self.adopted.clear();
        }
        (self.born, self.leapt) = (now, Duration::ZERO);
        (self.timer_at, self.turn_due, self.kernel_due) = (None, false, false);
        self.up = true;
        self.watch.start_again();
    }

    /// The next hops of a route in the kernel, by the speaker's word.
    pub(super) fn members(&self, prefix: Prefix) -> Option<Vec<NextHop>> {
        self.sets.get(self.fib.get(&prefix)?).cloned()
    }

    /// By what the kernel forwards to a prefix: by the word of this process, or of the one before.
    pub(super) fn forwarded(&self, prefix: Prefix) -> Option<Vec<IpAddr>> {
        let members = self.members(prefix).map(|members| addresses(&members));
        members.or_else(|| self.adopted.get(&prefix).cloned())
    }

    /// The longest prefix with a route in the kernel that covers an address.
    pub(super) fn longest_match(&self, address: IpAddr) -> Option<Prefix> {
        let lengths = (0..=Family::of(address).max_len()).rev();
        let mut covering = lengths.filter_map(|len| Prefix::new(address, len));
        covering.find(|prefix| self.fib.contains_key(prefix))
    }

    /// What the kernel is told; returns whether there is something to do.
    pub(super) fn tell_kernel(&mut self, sets: Vec<SetChange>, routes: Vec<RouteChange>) -> bool {
        self.tasks.extend(sets.into_iter().map(Task::Set));
        self.tasks.extend(routes.into_iter().map(Task::Route));
        !self.tasks.is_empty()
    }

    /// The kernel does what it was told; its answers, one a prefix.
    pub(super) fn run_kernel(&mut self) -> Vec<RouteAck> {
        for task in core::mem::take(&mut self.tasks) {
            match task {
                Task::Set(SetChange { id, members }) if members.is_empty() => {
                    if self.broken.as_ref().is_some_and(Broken::keeps_routes) {
                        continue;
                    }
                    self.sets.remove(&id);
                    self.fib.retain(|_, set| *set != id);
                }
                Task::Set(SetChange { id, members }) => {
                    self.sets.insert(id, members);
                }
                Task::Route(RouteChange { prefix, set }) => {
                    let members = set.and_then(|set| self.sets.get(&set));
                    self.writes.push((prefix, members.map(|members| addresses(members))));
                    let refused = set.is_some() && self.refused.contains(&prefix);
                    match set {
                        _ if refused => {}
                        // A set without members was dropped, and its routes with it.
                        Some(set) if self.sets.contains_key(&set) => {
                            self.fib.insert(prefix, set);
                        }
                        None if self.broken.as_ref().is_some_and(Broken::keeps_routes) => {}
                        _ => {
                            self.adopted.remove(&prefix);
                            self.fib.remove(&prefix);
                        }
                    }
                    self.acks.insert(prefix, RouteAck { prefix, set, errno: if refused { 22 } else { 0 } });
                }
            }
        }
        if !self.kernel_answers {
            return Vec::new();
        }
        core::mem::take(&mut self.acks).into_values().collect()
    }

    /// Whether the kernel has something to do or to say.
    pub(super) fn kernel_has_work(&self) -> bool {
        !self.tasks.is_empty() || (self.kernel_answers && !self.acks.is_empty())
    }
}

fn addresses(members: &[NextHop]) -> Vec<IpAddr> {
    members.iter().map(|member| member.address).collect()
}
