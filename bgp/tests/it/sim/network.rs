//! The network: speakers, pipes between them, one clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bgp::config::{
    Drain, LimitAction, OwnNextHop, PeerAs, PeerConfig, Protected, ReceiveLimit, SpeakerConfig, Timers,
};
use bgp::id::{Asn, ConnId, PeerId, RouterId};
use bgp::io::{Effects, Event, NextHop, Note, Notice, RouteAck, SetId, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::rule::Rules;
use bgp::speaker::Speaker;
use bgp::time::{Duration, Instant};
use bgp::view::{Explanation, PeerView, RouteFilter, RouteView};

/// One router: its speaker, its kernel, its configuration.
pub(super) struct Router {
    pub(super) speaker: Speaker,
    pub(super) config: SpeakerConfig,
    pub(super) notes: Vec<Note>,
    pub(super) notices: Vec<Notice>,
    /// Messages of UPDATE type sent, by their number of bytes.
    pub(super) written: u64,
    /// The subtypes of ROUTE-REFRESH messages sent.
    pub(super) refreshes: Vec<u8>,
    pub(super) fib: BTreeMap<Prefix, SetId>,
    pub(super) sets: BTreeMap<SetId, Vec<NextHop>>,
    /// What was written to the kernel since the speaker was made.
    pub(super) writes: Vec<(Prefix, Option<Vec<IpAddr>>)>,
    /// Routes of an earlier run, by next hop.
    pub(super) adopted: BTreeMap<Prefix, Vec<IpAddr>>,
    tracked: BTreeSet<NextHop>,
    /// Next hops that the kernel cannot resolve.
    unresolved: BTreeSet<IpAddr>,
    /// Whether the kernel answers; its answers wait meanwhile.
    pub(super) kernel_answers: bool,
    acks: Vec<RouteAck>,
    accepted: u64,
}

/// Bytes under way to one end of a connection, and whether it was closed behind them.
struct End {
    router: usize,
    conn: ConnId,
    inbox: VecDeque<u8>,
    closed: bool,
}

/// All routers and connections.
pub(super) struct Network {
    pub(super) routers: Vec<Router>,
    pub(super) now: Instant,
    /// Ends by index; the peer of an end is `index ^ 1`.
    ends: Vec<End>,
    cut: BTreeSet<(usize, usize)>,
    /// Routers that do not read, and what was written to them meanwhile.
    asleep: BTreeSet<usize>,
    unread: Vec<(usize, ConnId, usize)>,
    random: u64,
}

/// The address of a router, by which its peers know it.
pub(super) fn address(router: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, router as u8 + 1])
}

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// A router's configuration without peers.
pub(crate) fn config(router: usize, asn: u32) -> SpeakerConfig {
    SpeakerConfig {
        asn: Asn(asn),
        router_id: RouterId(0x0a00_0001 + router as u32),
        transit: false,
        drain: Drain::No,
        install: true,
        max_paths: 16,
        relax_as_path: true,
        origins: Vec::new(),
        protected: Protected { addresses: vec![address(router)], ..Protected::default() },
        peers: Vec::new(),
    }
}

/// The configuration of router `peer` as router `own` sees it.
pub(crate) fn peer(own: usize, peer: usize) -> PeerConfig {
    let ipv6 = format!("fd00::{:x}", own + 1).parse().expect("an address");
    let IpAddr::V4(ipv4) = address(own) else { unreachable!("addresses of routers are IPv4") };
    PeerConfig {
        name: format!("r{peer}"),
        description: String::new(),
        address: address(peer),
        port: 179,
        source: None,
        restart: bgp::config::Restart::default(),
        passive: false,
        disabled: false,
        asn: PeerAs::Any,
        families: PerFamily { ipv4: true, ipv6: true },
        timers: Timers {
            hold: Duration::from_secs(9),
            keepalive: Duration::from_secs(3),
            connect_retry: Duration::from_secs(5),
        },
        via_default: false,
        own_next_hop: OwnNextHop { ipv4: Some(ipv4), ipv6: Some(ipv6) },
        next_hop: bgp::config::NextHopMode::Auto,
        as_path: bgp::config::AsPathPolicy::default(),
        accept: None,
        accept_default: false,
        import: Rules::default(),
        export: Rules::default(),
        receive: ReceiveLimit { most: 1_000_000, warn_at: None, action: LimitAction::Reject },
        send_limit: None,
        authenticated: false,
        missing_secret: None,
    }
}

impl Network {
    /// Starts a router for each configuration.
    pub(super) fn new(seed: u64, configs: Vec<SpeakerConfig>) -> Self {
        let routers = configs.into_iter().enumerate().map(|(index, config)| Router {
            speaker: Speaker::new(&config, seed ^ index as u64),
            config,
            notes: Vec::new(),
            notices: Vec::new(),
            written: 0,
            refreshes: Vec::new(),
            fib: BTreeMap::new(),
            sets: BTreeMap::new(),
            writes: Vec::new(),
            adopted: BTreeMap::new(),
            tracked: BTreeSet::new(),
            unresolved: BTreeSet::new(),
            kernel_answers: true,
            acks: Vec::new(),
            accepted: 0,
        });
        let mut network = Self {
            routers: routers.collect(),
            now: Instant(0),
            ends: Vec::new(),
            cut: BTreeSet::new(),
            asleep: BTreeSet::new(),
            unread: Vec::new(),
            random: seed | 1,
        };
        for router in 0..network.routers.len() {
            network.reconcile(router, |_| {});
        }
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

    /// Changes a router's configuration.
    pub(super) fn reconcile(&mut self, router: usize, change: impl FnOnce(&mut SpeakerConfig)) {
        let mut effects = Effects::default();
        let target = &mut self.routers[router];
        change(&mut target.config);
        target.config.peers.sort_by_key(|peer| peer.address);
        target.speaker.reconcile(target.config.clone(), &mut effects, self.now);
        self.carry_out(router, effects);
    }

    /// Lets nothing pass between two routers, or everything again.
    pub(super) fn cut(&mut self, a: usize, b: usize, cut: bool) {
        for pair in [(a, b), (b, a)] {
            if cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
    }

    /// Has a router read nothing, or everything again.
    pub(super) fn sleep(&mut self, router: usize, asleep: bool) {
        if asleep {
            self.asleep.insert(router);
            return;
        }
        self.asleep.remove(&router);
        for (writer, conn, bytes) in core::mem::take(&mut self.unread) {
            self.feed(writer, Event::Written { conn, bytes });
        }
    }

    /// How many bytes wait for routers that do not read.
    pub(super) fn unread(&self) -> usize {
        self.unread.iter().map(|(_, _, bytes)| bytes).sum()
    }

    /// Makes a next hop resolve or not.
    pub(super) fn resolve(&mut self, router: usize, address: IpAddr, resolves: bool) {
        let target = &mut self.routers[router];
        if resolves {
            target.unresolved.remove(&address)
        } else {
            target.unresolved.insert(address)
        };
        let affected: Vec<NextHop> =
            target.tracked.iter().copied().filter(|hop| hop.address == address).collect();
        for next_hop in affected {
            let metric = resolves.then_some(0);
            self.feed(router, Event::NextHop { next_hop, metric });
        }
    }

    /// Kills a router's speaker: its connections end, its kernel keeps the routes.
    pub(super) fn kill(&mut self, router: usize) {
        for index in 0..self.ends.len() {
            if self.ends[index].router == router {
                self.ends[index].closed = true;
                self.ends[index].inbox.clear();
            }
        }
        let target = &self.routers[router];
        let config = SpeakerConfig { peers: Vec::new(), origins: Vec::new(), ..target.config.clone() };
        let held: Vec<Prefix> = target.fib.keys().copied().collect();
        let adopted = held.into_iter().filter_map(|prefix| Some((prefix, self.fib(router, prefix)?)));
        let adopted: BTreeMap<_, _> = adopted.collect();
        let target = &mut self.routers[router];
        target.adopted.extend(adopted);
        target.fib.clear();
        target.sets.clear();
        target.tracked.clear();
        target.acks.clear();
        target.writes.clear();
        target.speaker = Speaker::new(&config, self.random);
    }

    /// Starts the speaker of a router that was killed. Without memory the kernel's
    /// routes are gone too.
    pub(super) fn revive(&mut self, router: usize, memory: bool) {
        let target = &mut self.routers[router];
        if memory {
            let of = |family| target.adopted.keys().any(|prefix| prefix.family() == family);
            target.speaker.resume(PerFamily { ipv4: of(Family::Ipv4), ipv6: of(Family::Ipv6) });
        } else {
            target.adopted.clear();
        }
        self.reconcile(router, |_| {});
    }

    /// Removes what an earlier run left and nobody asked for; returns it.
    pub(super) fn sweep(&mut self, router: usize) -> Vec<Prefix> {
        let target = &mut self.routers[router];
        let adopted = core::mem::take(&mut target.adopted);
        adopted.into_keys().filter(|prefix| !target.fib.contains_key(prefix)).collect()
    }

    /// Calls a router's speaker.
    pub(super) fn call<T>(&mut self, router: usize, call: impl FnOnce(&mut Speaker, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let result = call(&mut self.routers[router].speaker, &mut effects);
        self.carry_out(router, effects);
        result
    }

    /// Has a router say what its speaker never would, to another one.
    pub(super) fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let open = |end: &End| end.router == to && !end.closed;
        let end = (0..self.ends.len()).rfind(|&at| open(&self.ends[at]) && self.ends[at ^ 1].router == from);
        self.ends[end.expect("a connection")].inbox.extend(bytes);
        self.settle();
    }

    /// Runs until nothing happens without time passing.
    pub(super) fn settle(&mut self) {
        loop {
            let mut busy = false;
            for router in 0..self.routers.len() {
                let mut effects = Effects::default();
                busy |= self.routers[router].speaker.work(&mut effects, self.now);
                busy |= !effects.is_empty();
                self.carry_out(router, effects);
                busy |= self.answer(router);
            }
            busy |= self.deliver();
            if !busy {
                return;
            }
        }
    }

    /// Lets time pass, timer by timer.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        while let Some((at, router)) = self.next_timer().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.feed(router, Event::Timer);
            self.settle();
        }
        self.now = end;
    }

    /// Runs until the condition holds; panics after a virtual minute.
    pub(super) fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
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
    pub(super) fn until_up(&mut self) {
        self.until("all sessions are Established", |network| {
            let all = network.routers.iter().flat_map(|router| router.speaker.peers());
            all.into_iter().all(|peer| peer.state == State::Established)
        });
    }

    /// How router `own` sees router `other`.
    pub(super) fn peer(&self, own: usize, other: usize) -> PeerView {
        let peers = self.routers[own].speaker.peers();
        peers.into_iter().find(|peer| peer.address == address(other)).expect("a configured peer")
    }

    pub(super) fn route(&self, router: usize, prefix: Prefix) -> Option<RouteView> {
        self.routers[router].speaker.route(prefix)
    }

    pub(super) fn explain(&self, router: usize, prefix: Prefix) -> Explanation {
        self.routers[router].speaker.explain(prefix)
    }

    /// The next hops of a route in the router's kernel; `None` if there is no route.
    pub(super) fn fib(&self, router: usize, prefix: Prefix) -> Option<Vec<IpAddr>> {
        let router = &self.routers[router];
        let Some(set) = router.fib.get(&prefix) else { return router.adopted.get(&prefix).cloned() };
        let members = &router.sets[set];
        Some(members.iter().map(|member| member.address).collect())
    }

    /// All that `own` says it sends to `other`, as prefixes.
    pub(super) fn sent(&self, own: usize, other: PeerId) -> BTreeSet<Prefix> {
        self.prefixes(own, RouteFilter::Sent(other))
    }

    /// All that `own` says it has from `other`, as prefixes.
    pub(super) fn received(&self, own: usize, other: PeerId) -> BTreeSet<Prefix> {
        self.prefixes(own, RouteFilter::Received(other))
    }

    fn prefixes(&self, router: usize, filter: RouteFilter) -> BTreeSet<Prefix> {
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

    fn next_timer(&self) -> Option<(Instant, usize)> {
        let deadlines = self.routers.iter().enumerate();
        deadlines.filter_map(|(router, r)| Some((r.speaker.deadline()?, router))).min()
    }

    fn feed(&mut self, router: usize, event: Event<'_>) {
        let mut effects = Effects::default();
        self.routers[router].speaker.handle(event, &mut effects, self.now);
        self.carry_out(router, effects);
    }

    /// The kernel's answers that are due.
    fn answer(&mut self, router: usize) -> bool {
        let target = &mut self.routers[router];
        if !target.kernel_answers || target.acks.is_empty() {
            return false;
        }
        let acks = core::mem::take(&mut target.acks);
        self.feed(router, Event::Acks(&acks));
        true
    }

    fn carry_out(&mut self, router: usize, effects: Effects) {
        let target = &mut self.routers[router];
        target.notes.extend(effects.notes);
        target.notices.extend(effects.notices);
        for change in effects.sets {
            if change.members.is_empty() {
                target.sets.remove(&change.id);
            } else {
                target.sets.insert(change.id, change.members);
            }
        }
        for route in effects.routes {
            let members = route.set.map(|set| &target.sets[&set]);
            let addresses = members.map(|members| members.iter().map(|member| member.address).collect());
            target.writes.push((route.prefix, addresses));
            match route.set {
                Some(set) => target.fib.insert(route.prefix, set),
                None => target.fib.remove(&route.prefix),
            };
            target.acks.push(RouteAck { prefix: route.prefix, set: route.set, errno: 0 });
        }
        for tracking in effects.tracking {
            match tracking {
                Tracking::Start(next_hop) => {
                    let target = &mut self.routers[router];
                    target.tracked.insert(next_hop);
                    let metric = (!target.unresolved.contains(&next_hop.address)).then_some(0);
                    self.feed(router, Event::NextHop { next_hop, metric });
                }
                Tracking::Stop(next_hop) => {
                    self.routers[router].tracked.remove(&next_hop);
                }
            }
        }
        for effect in effects.transport {
            self.transport(router, effect);
        }
    }

    fn transport(&mut self, router: usize, effect: Transport) {
        match effect {
            Transport::Connect { conn, remote, .. } => self.connect(router, conn, remote.ip()),
            Transport::Write { conn, bytes } => {
                self.routers[router].written += bytes.len() as u64;
                self.routers[router].refreshes.extend(subtypes(&bytes));
                let end = self.end(router, conn);
                if let Some(end) = end {
                    self.ends[end ^ 1].inbox.extend(&bytes[..]);
                }
                if end.is_some_and(|end| self.asleep.contains(&self.ends[end ^ 1].router)) {
                    self.unread.push((router, conn, bytes.len()));
                } else {
                    self.feed(router, Event::Written { conn, bytes: bytes.len() });
                }
            }
            Transport::Close { conn } => {
                if let Some(end) = self.end(router, conn) {
                    self.ends[end].closed = true;
                    self.ends[end].inbox.clear();
                }
            }
        }
    }

    fn connect(&mut self, router: usize, conn: ConnId, remote: IpAddr) {
        let found = (0..self.routers.len()).find(|&other| address(other) == remote);
        let Some(other) = found.filter(|&other| !self.cut.contains(&(router, other))) else {
            self.feed(router, Event::ConnectFailed { conn, error: "connection refused" });
            return;
        };
        let accepted = ConnId::Inbound(self.routers[other].accepted);
        self.routers[other].accepted += 1;
        let end = |router, conn| End { router, conn, inbox: VecDeque::new(), closed: false };
        self.ends.extend([end(router, conn), end(other, accepted)]);
        let local = SocketAddr::new(address(router), 40_000);
        let remote = SocketAddr::new(remote, 179);
        self.feed(router, Event::Connected { conn, local });
        self.feed(other, Event::Accepted { conn: accepted, local: remote, remote: local });
    }

    fn end(&self, router: usize, conn: ConnId) -> Option<usize> {
        let open = |end: &End| end.router == router && end.conn == conn && !end.closed;
        self.ends.iter().rposition(open)
    }

    /// Hands out what lies in the pipes, in pieces of random sizes.
    fn deliver(&mut self) -> bool {
        let mut delivered = false;
        for index in 0..self.ends.len() {
            let (router, other) = (self.ends[index].router, self.ends[index ^ 1].router);
            let deaf = self.cut.contains(&(other, router)) || self.asleep.contains(&router);
            if self.ends[index].closed || deaf {
                continue;
            }
            let conn = self.ends[index].conn;
            if self.ends[index].inbox.is_empty() {
                if self.ends[index ^ 1].closed {
                    self.ends[index].closed = true;
                    self.feed(router, Event::Closed { conn, error: None });
                    delivered = true;
                }
                continue;
            }
            let most = self.ends[index].inbox.len().min(1 + self.draw() % 5_000);
            let bytes: Vec<u8> = self.ends[index].inbox.drain(..most).collect();
            self.feed(router, Event::Bytes { conn, bytes: &bytes });
            delivered = true;
        }
        delivered
    }

    /// xorshift64: enough to vary sizes.
    fn draw(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as usize
    }
}

/// The subtypes of the ROUTE-REFRESH messages among whole messages.
fn subtypes(mut bytes: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, kind, body @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind == 5 {
            found.push(body[2]);
        }
        bytes = &bytes[length..];
    }
    found
}
