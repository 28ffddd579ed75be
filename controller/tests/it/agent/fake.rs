//! Drivers that note what they are told, peers that speak just enough BGP, and
//! a clock that moves when the test says so.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{State, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::time::{Duration, Instant};
use bgp::wire::attribute::{NextHops, PathAttributes};
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::open::Open;
use bgp::wire::{encode, header, pack};
use controller::agent::Agent;
use controller::agent::identity::Identity;
use controller::bfd::Watch;
use controller::cluster::{Objects, Problem, SourceEvent, manifest};
use controller::drain::Drain;
use controller::effect::Drivers;
use controller::event::Event;
use controller::kernel::masquerade::Masquerade;
use controller::kernel::{Command, KernelEvent, LocalAddress};
use controller::status::clock::Clock;
use controller::status::snapshot::{Publisher, Snapshot, Snapshots};
use controller::transport::{Neighbours, TransportEvent};

/// What the drivers were told, and the time.
pub(super) struct Fake {
    now: Rc<Cell<Instant>>,
    /// What passes each time that the clock is read.
    pub(super) tick: Duration,
    pub(super) transport: Vec<(Instant, Transport)>,
    pub(super) neighbours: Neighbours,
    pub(super) links: BTreeMap<u32, String>,
    pub(super) awaited: BTreeSet<IpAddr>,
    pub(super) kernel: Vec<Command>,
    pub(super) masquerade: Vec<Option<Masquerade>>,
    pub(super) watched: Vec<Watch>,
    pub(super) kept: Vec<Arc<Objects>>,
    pub(super) cordoned: Option<Drain>,
    publisher: Publisher,
    pub(super) published_at: Vec<Instant>,
}

impl Drivers for Fake {
    fn now(&self) -> Instant {
        self.now.replace(self.now.get() + self.tick)
    }

    fn transport(&mut self, effect: Transport) {
        self.transport.push((self.now.get(), effect));
    }

    fn neighbours(&mut self, neighbours: Neighbours) {
        self.neighbours = neighbours;
    }

    fn discover(&mut self, links: BTreeMap<u32, String>) {
        self.links = links;
    }

    fn awaited(&mut self, peers: BTreeSet<IpAddr>) {
        self.awaited = peers;
    }

    fn kernel(&mut self, command: Command) {
        self.kernel.push(command);
    }

    fn watch(&mut self, watch: Watch) {
        self.watched.push(watch);
    }

    fn masquerade(&mut self, wanted: Option<Masquerade>) {
        self.masquerade.push(wanted);
    }

    fn keep(&mut self, objects: Arc<Objects>) {
        self.kept.push(objects);
    }

    fn cordoned(&mut self, drain: Option<Drain>) {
        self.cordoned = drain;
    }

    fn status_due(&self) -> Option<Instant> {
        self.publisher.deadline()
    }

    fn status_changed(&mut self) {
        self.publisher.changed();
    }

    fn event(&mut self, event: controller::status::event::Event) {
        self.publisher.event(event);
    }

    fn prefix(&mut self, prefix: Prefix) {
        self.publisher.prefix(prefix);
    }

    fn publish(&mut self, build: &mut dyn FnMut() -> Snapshot, now: Instant) {
        if self.publisher.publish(build, now) {
            self.published_at.push(now);
        }
    }
}

/// An agent of node `n1`, and everything around it.
pub(super) struct World {
    pub(super) agent: Agent<Fake>,
    pub(super) snapshots: Snapshots,
    now: Rc<Cell<Instant>>,
    waiting: VecDeque<Event>,
}

impl World {
    pub(super) fn new() -> Self {
        let identity = Identity {
            follows_node: true,
            node: "n1".into(),
            source: "a test".into(),
            clock: Clock::start(),
            restarts: false,
            seed: 7,
        };
        let now = Rc::new(Cell::new(Instant::default()));
        let (publisher, snapshots) = Publisher::new(Agent::<Fake>::first_snapshot(&identity), now.get());
        let fake = Fake {
            now: Rc::clone(&now),
            tick: Duration::ZERO,
            transport: Vec::new(),
            neighbours: Neighbours::new(),
            links: BTreeMap::new(),
            awaited: BTreeSet::new(),
            kernel: Vec::new(),
            masquerade: Vec::new(),
            watched: Vec::new(),
            kept: Vec::new(),
            cordoned: None,
            publisher,
            published_at: Vec::new(),
        };
        let mut world = Self { agent: Agent::new(identity, fake), snapshots, now, waiting: VecDeque::new() };
        let address = |text: &str, prefix_len| LocalAddress {
            ifindex: 2,
            name: "eth0".into(),
            address: text.parse().unwrap(),
            prefix_len,
            up: true,
        };
        let addresses = [address("10.0.1.2", 24), address("fd00:1::2", 64)];
        world.put(Event::Kernel(KernelEvent::Addresses(Arc::from(addresses))));
        world
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn pass(&self, span: Duration) {
        self.now.set(self.now.get() + span);
    }

    /// Puts an event where the loop will find it.
    pub(super) fn put(&mut self, event: Event) {
        self.waiting.push_back(event);
    }

    /// New manifests, as the source tells them.
    pub(super) fn manifests(&mut self, text: &str) {
        let (mut objects, mut problems) = (Objects::default(), Vec::new());
        manifest::read("a.yaml", text, &mut objects, &mut problems);
        let event = if problems.is_empty() {
            SourceEvent::Objects(Arc::new(objects))
        } else {
            SourceEvent::Broken(problems)
        };
        self.put(Event::Source(event));
        self.run();
    }

    pub(super) fn broken(&mut self, text: &str) {
        self.put(Event::Source(SourceEvent::Broken(vec![Problem::anywhere(text)])));
        self.run();
    }

    /// One turn over what waits; `cost` is what each event takes.
    pub(super) fn turn(&mut self, cost: Duration) {
        let mut waiting = std::mem::take(&mut self.waiting);
        let now = Rc::clone(&self.now);
        self.agent.turn(&mut || {
            let event = waiting.pop_front()?;
            now.set(now.get() + cost);
            Some(event)
        });
        // What the turn left is there before what came since.
        waiting.extend(std::mem::take(&mut self.waiting));
        self.waiting = waiting;
    }

    /// Turns until nothing waits and nothing is due.
    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            self.turn(Duration::ZERO);
            let due = self.agent.deadline().is_some_and(|due| due <= self.now());
            if self.waiting.is_empty() && !due {
                return;
            }
        }
        panic!("the agent is never done");
    }

    /// Lets time pass from deadline to deadline.
    pub(super) fn run_for(&mut self, span: Duration) {
        let end = self.now() + span;
        loop {
            self.run();
            match self.agent.deadline() {
                Some(due) if due <= end => self.now.set(due.max(self.now())),
                _ => break,
            }
        }
        self.now.set(end);
        self.run();
    }

    /// What was told to the transport since the last time.
    pub(super) fn told(&mut self) -> Vec<(Instant, Transport)> {
        std::mem::take(&mut self.agent.drivers().transport)
    }

    /// The connection that the agent asked for to an address.
    #[track_caller]
    pub(super) fn connecting(&mut self, to: &str) -> ConnId {
        let remote: SocketAddr = to.parse().unwrap();
        let told = self.told();
        let found = told.iter().find_map(|(_, effect)| match effect {
            Transport::Connect { conn, remote: to, .. } if *to == remote => Some(*conn),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no connection to {to}: {told:?}"))
    }

    /// Brings the session with the peer up over a connection that was asked for.
    #[track_caller]
    pub(super) fn establish(&mut self, conn: ConnId, asn: u32, hold_seconds: u16) {
        let local = "10.0.1.2:50000".parse().unwrap();
        self.put(Event::Transport(TransportEvent::Connected { conn, local }));
        self.run();
        let mut bytes = open(asn, hold_seconds);
        header::encode_keepalive(&mut bytes);
        self.bytes(conn, bytes);
        self.run();
        self.pass(Duration::from_millis(100));
        self.run();
        let up = self.snapshot().peers.iter().any(|peer| peer.state == State::Established);
        assert!(up, "{:?}", self.snapshot().peers);
    }

    pub(super) fn bytes(&mut self, conn: ConnId, bytes: Vec<u8>) {
        self.put(Event::Transport(TransportEvent::Bytes { conn, chunk: bytes.into() }));
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}

/// An OPEN with both families.
fn open(asn: u32, hold_seconds: u16) -> Vec<u8> {
    let capabilities = vec![
        Capability::multiprotocol(Family::Ipv4),
        Capability::multiprotocol(Family::Ipv6),
        Capability::FourOctetAs(Asn(asn)),
    ];
    let mut bytes = Vec::new();
    Open { asn: Asn(asn), hold_seconds, router_id: RouterId(asn), capabilities }.encode(&mut bytes);
    bytes
}

/// A KEEPALIVE.
pub(super) fn keepalive() -> Vec<u8> {
    let mut bytes = Vec::new();
    header::encode_keepalive(&mut bytes);
    bytes
}

/// UPDATEs of a peer that announce prefixes.
pub(super) fn announce(asn: u32, next_hop: &str, prefixes: impl IntoIterator<Item = Prefix>) -> Vec<u8> {
    let next_hop = NextHops::V4(next_hop.parse().unwrap());
    let mut attributes = PathAttributes::originated(next_hop);
    attributes.as_path = bgp::wire::as_path::AsPath::default().prepended(Asn(asn), 1);
    let codec = Codec {
        four_octet: true,
        external: true,
        families: PerFamily { ipv4: true, ipv6: true },
        add_path: Codec::NO_PATH_IDS,
        extended_next_hop: false,
        zone: None,
    };
    let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
    encode::attributes(&attributes, &codec, Family::Ipv4, &mut encoded);
    pack::announce(&encoded, next_hop, Family::Ipv4, prefixes, pack::Longest::Plain, &mut bytes).unwrap();
    bytes
}

/// Manifests of node `n1` with peers, each an address and an AS; `more` further
/// fields of the Fabric.
pub(super) fn manifests(peers: &[(&str, u32)], more: &str) -> String {
    let mut text = format!(
        "apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: f}}\n\
         spec: {{asn: {{value: 65001}}, podPrefixes: [10.0.0.0/8]{more}}}\n---\n\
         apiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nspec: {{podCIDRs: [10.244.1.0/24]}}\n\
         status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}]}}\n"
    );
    for (address, asn) in peers {
        text += &format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: \"p-{address}\"}}\n\
             spec: {{address: {address}, asn: {asn}}}\n"
        );
    }
    text
}
