//! The network: routers, connections between them, one clock.
//!
//! Everything that is going to happen lies in one queue, ordered by time and,
//! at one time, by chance: the same seed gives the same life, and each event
//! and effect goes into a digest of it, its trace. Without latency and delays,
//! as scenarios have it, whatever follows from an event happens at its time.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;

use bgp::config::{DynamicPeers, OwnNextHop, PeerConfig, Protected, SpeakerConfig, Timers};
use bgp::id::{Asn, PeerId, RouterId};
use bgp::io::{Effects, Event, NextHop, State};
use bgp::prefix::Prefix;
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::{Explanation, PeerView, RouteFilter, RouteView};
use bytes::Bytes;

use super::broken::{Breakage, Broken};
use super::chance::Chance;
use super::host::Router;
use super::pipe::{Ends, PENDING, Segment};
use super::queue::{Due, What};
use super::watch::{Checked, Violation};

mod events;

/// After how long an attempt to connect that nobody answers is given up.
pub(super) const UNANSWERED: Duration = Duration::from_secs(2);

/// After how long routes of the process before are swept that no new one replaced.
const SWEEP: Duration = Duration::from_secs(15);

/// Steps at one time after which the network counts as one that never rests.
const RESTLESS: u64 = 2_000_000;

/// How two routers take no connection from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// They say so.
    Refusing,
    /// They do not answer.
    Silent,
}

/// All routers and connections.
pub(crate) struct Network {
    pub(crate) routers: Vec<Router>,
    pub(crate) now: Instant,
    pub(super) ends: Ends,
    queue: BinaryHeap<Reverse<Due>>,
    entered: u64,
    /// From whom nothing gets to whom.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Who takes no connections from each other, the lower number first.
    pub(super) shut: BTreeMap<(usize, usize), Shut>,
    /// The most that a link takes, each way; and how much that varies.
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    /// The most by which a turn is put off, so that events share one.
    pub(super) pace: Duration,
    pub(super) chance: Chance,
    seed: u64,
    /// Events that were handed to speakers, and turns.
    pub(super) steps: u64,
    /// The last time at which a route was told of, taken back, or changed in a kernel.
    pub(super) active_at: Instant,
    /// The digest of all events and effects.
    trace: DefaultHasher,
    pub(super) checked: Checked,
    pub(super) violation: Option<Violation>,
    /// Whether a violation ends the test at once.
    pub(super) strict: bool,
}

/// The address of a router, by which its peers know it.
pub(crate) fn address(router: usize) -> IpAddr {
    std::net::Ipv4Addr::from_bits(0x0a00_0001 + router as u32).into()
}

pub(crate) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// A router's configuration without peers.
pub(crate) fn config(router: usize, asn: u32) -> SpeakerConfig {
    SpeakerConfig {
        protected: Protected { addresses: vec![address(router)], ..Protected::default() },
        ..SpeakerConfig::new(Asn(asn), RouterId(0x0a00_0001 + router as u32))
    }
}

/// The configuration of router `peer` as router `own` sees it.
pub(crate) fn peer(own: usize, peer: usize) -> PeerConfig {
    let ipv6 = format!("fd00::{:x}", own + 1).parse().expect("an address");
    let IpAddr::V4(ipv4) = address(own) else { unreachable!("addresses of routers are IPv4") };
    PeerConfig {
        name: format!("r{peer}"),
        timers: Timers {
            hold: Duration::from_secs(9),
            keepalive: Duration::from_secs(3),
            connect_retry: Duration::from_secs(5),
        },
        own_next_hop: OwnNextHop { ipv4: Some(ipv4), ipv6: Some(ipv6) },
        ..PeerConfig::new(address(peer))
    }
}

impl Network {
    /// Starts a router for each configuration.
    pub(crate) fn new(seed: u64, configs: Vec<SpeakerConfig>) -> Self {
        let mut network = Self::stopped(seed, configs);
        (0..network.routers.len()).for_each(|router| network.reconcile(router, |_| {}));
        network
    }

    /// What an operator wants of router `own`'s session with `other`.
    pub(super) fn order(&mut self, own: usize, other: usize, event: impl FnOnce(PeerId) -> Event<'static>) {
        let peer = self.peer(own, other).id;
        self.feed(own, event(peer));
        self.settle();
    }

    /// How many octets a router has written.
    pub(super) fn written(&self, router: usize) -> u64 {
        self.routers[router].written
    }

    /// A router for each configuration, none of which is started: [`Network::reconcile`] does that.
    pub(super) fn stopped(seed: u64, configs: Vec<SpeakerConfig>) -> Self {
        let routers = configs.into_iter().enumerate();
        let routers = routers.map(|(index, config)| Router::new(config, seed ^ index as u64));
        Self {
            routers: routers.collect(),
            now: Instant(0),
            ends: Ends::default(),
            queue: BinaryHeap::new(),
            entered: 0,
            cut: BTreeSet::new(),
            shut: BTreeMap::new(),
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            pace: Duration::ZERO,
            chance: Chance::new(seed),
            seed,
            steps: 0,
            active_at: Instant(0),
            trace: DefaultHasher::new(),
            checked: Checked::default(),
            violation: None,
            strict: true,
        }
    }

    /// Changes a router's configuration.
    pub(crate) fn reconcile(&mut self, router: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        let mut effects = Effects::default();
        let target = &mut self.routers[router];
        let before = target.config.peers.clone();
        change(&mut target.config);
        // Who is configured in another way is asked at once.
        for peer in target.config.peers.iter().filter(|peer| !before.contains(peer)) {
            target.watch.attempts.forget(peer.address);
        }
        target.config.peers.sort_by_key(|peer| peer.address);
        if !target.up {
            return;
        }
        let mut config = target.config.clone();
        if let Some(broken) = &target.broken {
            config = broken.configured(config);
        }
        let now = target.clock(self.now);
        target.speaker.reconcile(config, &mut effects, now);
        self.active_at = self.active_at.max(self.now);
        self.carry_out(router, effects);
        self.turn_soon(router);
        let Router { watch, config, .. } = &mut self.routers[router];
        let named = config.peers.iter().map(|peer| (peer.address, peer.timers.hold));
        let each = |range: &DynamicPeers| {
            let (prefix, hold) = (range.prefix, range.peer.timers.hold);
            (0..16).map(address).filter(move |it| prefix.covers(*it)).map(move |it| (it, hold))
        };
        watch.expect(config.dynamic.iter().flat_map(each).chain(named));
    }

    /// Makes a router a wrong one.
    pub(super) fn break_router(&mut self, router: usize, breakage: Breakage) {
        let own = self.routers[router].config.asn;
        self.routers[router].broken = Some(Broken::new(breakage, own));
    }

    /// Lets nothing pass between two routers, or everything again.
    pub(crate) fn cut(&mut self, a: usize, b: usize, cut: bool) {
        self.cut_one_way(a, b, cut);
        self.cut_one_way(b, a, cut);
    }

    /// Lets nothing pass from one router to another, or everything again.
    pub(super) fn cut_one_way(&mut self, from: usize, to: usize, cut: bool) {
        if cut {
            self.cut.insert((from, to));
        } else if self.cut.remove(&(from, to)) {
            self.arrive_again(|end, other| (end, other) == (to, from));
        }
    }

    /// Has a router read nothing, or everything again.
    pub(crate) fn sleep(&mut self, router: usize, asleep: bool) {
        self.routers[router].asleep = asleep;
        if !asleep {
            self.arrive_again(|end, _| end == router);
        }
    }

    /// How many octets wait for routers that do not read.
    pub(crate) fn unread(&self) -> usize {
        let asleep = self.ends.iter().filter(|(_, end)| self.routers[end.router].asleep);
        asleep.map(|(_, end)| end.unread).sum()
    }

    /// Makes a next hop resolve or not.
    pub(crate) fn resolve(&mut self, router: usize, address: IpAddr, resolves: bool) {
        let target = &mut self.routers[router];
        if resolves {
            target.unresolved.remove(&address)
        } else {
            target.unresolved.insert(address)
        };
        let affected: Vec<NextHop> =
            target.tracked.iter().copied().filter(|hop| hop.address == address).collect();
        for next_hop in affected {
            self.report(router, next_hop);
        }
    }

    /// The metric of a next hop at a router; `None` where it does not resolve.
    pub(super) fn metric(&self, router: usize, address: IpAddr) -> Option<u32> {
        (!self.routers[router].unresolved.contains(&address)).then_some(0)
    }

    fn report(&mut self, router: usize, next_hop: NextHop) {
        let metric = self.metric(router, next_hop.address);
        self.feed(router, Event::NextHop { next_hop, metric });
    }

    /// Ends a router's process and starts another one after a while. With
    /// `memory` its connections are closed and its kernel keeps the routes;
    /// without, the machine starts anew, and nobody is told.
    pub(super) fn restart(&mut self, router: usize, memory: bool, after: Duration) {
        if self.routers[router].up {
            self.end_process(router, memory);
            let number = self.routers[router].restarts;
            self.enter(self.now + after, What::Start(router, number, memory));
        }
    }

    /// Kills a router's speaker: its connections end, its kernel keeps the routes.
    pub(super) fn kill(&mut self, router: usize) {
        if self.routers[router].up {
            self.end_process(router, true);
        }
    }

    /// Starts the speaker of a router that was killed. Without memory the kernel's
    /// routes are gone too.
    pub(super) fn revive(&mut self, router: usize, memory: bool) {
        let number = self.routers[router].restarts;
        let seed = self.seed ^ number << 32 ^ router as u64;
        self.routers[router].start(seed, memory, self.now);
        self.reconcile(router, |_| {});
    }

    /// Removes what an earlier run left and nobody asked for; returns it.
    pub(super) fn sweep(&mut self, router: usize) -> Vec<Prefix> {
        let target = &mut self.routers[router];
        let adopted = core::mem::take(&mut target.adopted);
        adopted.into_keys().filter(|prefix| !target.fib.contains_key(prefix)).collect()
    }

    fn end_process(&mut self, router: usize, told: bool) {
        let target = &mut self.routers[router];
        target.stop();
        target.restarts += 1;
        target.gone_at = self.now;
        let conns = core::mem::take(&mut target.conns);
        for end in conns.into_values().filter(|end| *end != PENDING) {
            if told {
                self.push(end ^ 1, Segment::End(None));
            }
            self.ends.close(end);
        }
    }

    /// Has a router's process not run for a while; its clock goes on.
    pub(super) fn stall(&mut self, router: usize, span: Duration) {
        self.routers[router].stalled_until = self.now + span;
        self.active_at = self.active_at.max(self.now + span);
    }

    /// Has a router's clock leap ahead.
    pub(super) fn leap(&mut self, router: usize, span: Duration) {
        self.routers[router].leapt += span;
        self.arm(router);
    }

    /// Calls a router's speaker.
    pub(crate) fn call<T>(&mut self, router: usize, call: impl FnOnce(&mut Speaker, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = call(&mut self.routers[router].speaker, &mut effects);
        self.carry_out(router, effects);
        self.turn_soon(router);
        result
    }

    /// Has a router say what its speaker never would, to another one.
    pub(crate) fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let of = self.ends.iter().filter(|(at, end)| end.router == to && self.ends[at ^ 1].router == from);
        let (end, _) = of.last().expect("a connection");
        self.ends[end].unread += bytes.len();
        self.push(end, Segment::Bytes(Bytes::copy_from_slice(bytes)));
        self.settle();
    }

    /// Runs until nothing happens without time passing.
    pub(crate) fn settle(&mut self) {
        self.advance(Duration::ZERO);
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, span: Duration) {
        self.advance(span);
    }

    /// Lets time pass, event by event; ends early at a violation.
    pub(super) fn advance(&mut self, span: Duration) {
        let end = self.now + span;
        for router in 0..self.routers.len() {
            if self.routers[router].kernel_has_work() {
                self.kernel_soon(router);
            }
        }
        let mut at_once = 0;
        while let Some(Reverse(due)) = self.queue.peek()
            && due.at <= end
            && self.violation.is_none()
        {
            let Some(Reverse(due)) = self.queue.pop() else { break };
            at_once = if due.at > self.now { 0 } else { at_once + 1 };
            self.now = self.now.max(due.at);
            self.happen(&due.what);
            if at_once > RESTLESS {
                let text = format!("{RESTLESS} steps at {}", self.now);
                self.violation = Some(Violation { invariant: "comes-to-rest", text });
            }
        }
        if self.violation.is_none() {
            self.now = end;
        }
        if let Some(Violation { invariant, text }) = self.violation.as_ref().filter(|_| self.strict) {
            panic!("{invariant}: {text}");
        }
    }

    /// Runs until the condition holds; panics after a virtual minute.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        for _ in 0..600 {
            self.settle();
            if condition(self) {
                return;
            }
            self.run(Duration::from_millis(100));
        }
        panic!("{what}: not within a minute of virtual time");
    }

    /// Runs until all sessions are Established.
    pub(crate) fn until_up(&mut self) {
        self.until("all sessions are Established", |network| {
            let all = network.routers.iter().flat_map(|router| router.speaker.peers());
            all.into_iter().all(|peer| peer.state == State::Established)
        });
    }

    /// How router `own` sees router `other`.
    /// The most paths of a prefix that a router sends to a peer, where both want
    /// several (RFC 7911 §5).
    pub(crate) fn several(&self, own: usize, other: IpAddr) -> Option<u8> {
        let wanted = |of: usize, with: IpAddr| {
            let peers = &self.routers[of].config.peers;
            peers.iter().find(|peer| peer.address == with).map(|peer| peer.add_path)
        };
        let most = wanted(own, other)?.send;
        let takes = wanted(self.router_of(other)?, address(own))?.receive;
        Some(most).filter(|most| *most > 0 && takes)
    }

    pub(crate) fn peer(&self, own: usize, other: usize) -> PeerView {
        let peers = self.routers[own].speaker.peers();
        peers.into_iter().find(|peer| peer.address == address(other)).expect("a configured peer")
    }

    pub(crate) fn route(&self, router: usize, prefix: Prefix) -> Option<RouteView> {
        self.routers[router].speaker.route(prefix)
    }

    pub(crate) fn explain(&self, router: usize, prefix: Prefix) -> Explanation {
        self.routers[router].speaker.explain(prefix)
    }

    /// The next hops of a route in the router's kernel; `None` if there is no route.
    pub(crate) fn fib(&self, router: usize, prefix: Prefix) -> Option<Vec<IpAddr>> {
        self.routers[router].forwarded(prefix)
    }

    /// All that `own` says it sends to `other`, as prefixes.
    pub(crate) fn sent(&self, own: usize, other: PeerId) -> BTreeSet<Prefix> {
        self.prefixes(own, RouteFilter::Sent(other))
    }

    /// All that `own` says it has from `other`, as prefixes.
    pub(crate) fn received(&self, own: usize, other: PeerId) -> BTreeSet<Prefix> {
        self.prefixes(own, RouteFilter::Received(other))
    }

    pub(super) fn prefixes(&self, router: usize, filter: RouteFilter) -> BTreeSet<Prefix> {
        let mut all = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = self.routers[router].speaker.routes(filter, cursor, 7);
            all.extend(page.routes.iter().map(|route| route.prefix));
            cursor = page.next;
            if cursor.is_none() {
                return all;
            }
        }
    }

    /// The digest of all events and effects so far.
    pub(super) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// The router of an address of either family.
    pub(super) fn router_of(&self, address: IpAddr) -> Option<usize> {
        let host = match address {
            IpAddr::V4(address) => address.to_bits().wrapping_sub(0x0a00_0001) as usize,
            IpAddr::V6(address) => (address.to_bits() & 0xffff) as usize - 1,
        };
        (host < self.routers.len()).then_some(host)
    }
}
