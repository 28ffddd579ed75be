//! The base beside a plain model, under random events: after each turn what
//! must always hold, at the end everything. The same events twice give the
//! same effects.

use std::collections::{BTreeMap, BTreeSet};

use bgp::id::PathId;
use bgp::io::{NextHop, RouteAck, SetId, Tracking};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::reason::Reason;
use bgp::rib::decision::{Candidate, Multipath, explain};
use bgp::rib::{AttrId, Path, RibConfig, SourceKind};
use bgp::view::{KernelCounts, KernelView, RouteCursor};
use bgp::wire::attribute::PathAttributes;
use proptest::prelude::*;

use super::*;

const PEERS: u8 = 5;
const PREFIXES: [&str; 8] = [
    "10.1.0.0/16",
    "10.1.2.0/24",
    "192.0.2.0/24",
    "203.0.113.7/32",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "::/0",
];

/// A peer, and what it calls the path where it sends several of a prefix (RFC 7911).
type From = (u8, Option<u32>);

/// Whether the peer sends several paths of a prefix.
const fn has_ids(peer: u8) -> bool {
    peer == 2 || peer == 3
}

#[derive(Clone, Debug)]
enum Step {
    Announce {
        from: From,
        prefix: usize,
        shape: u8,
    },
    Withdraw {
        from: From,
        prefix: usize,
    },
    /// The peer's source is removed, and a new one stands in its place.
    Restart {
        peer: u8,
    },
    NextHop {
        n: u8,
        metric: Option<u32>,
    },
    /// The rules refuse paths with this MED from here on.
    Judge {
        med: Option<u32>,
    },
    Configure {
        install: bool,
        max_paths: u8,
    },
    /// The kernel answers what it was given, and rejects this prefix.
    Ack {
        failing: Option<usize>,
    },
    Turn {
        budget: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let from = || (0..PEERS, 0..3u32).prop_map(|(peer, id)| (peer, has_ids(peer).then_some(id)));
    let at = || 0..PREFIXES.len();
    let step = prop_oneof![
        12 => (from(), at(), 0..24u8).prop_map(|(from, prefix, shape)| Step::Announce { from, prefix, shape }),
        5 => (from(), at()).prop_map(|(from, prefix)| Step::Withdraw { from, prefix }),
        1 => (1..PEERS).prop_map(|peer| Step::Restart { peer }),
        5 => (1..4u8, prop::option::weighted(0.7, 0..2u32)).prop_map(|(n, metric)| Step::NextHop { n, metric }),
        1 => prop::option::of(0..3u32).prop_map(|med| Step::Judge { med }),
        1 => (any::<bool>(), 1..4u8).prop_map(|(install, max_paths)| Step::Configure { install, max_paths }),
        4 => prop::option::weighted(0.2, at()).prop_map(|failing| Step::Ack { failing }),
        8 => (1..6usize).prop_map(|budget| Step::Turn { budget }),
    ];
    prop::collection::vec(step, 1..120)
}

/// Attributes of 24 shapes over three next hops; the peer 0 is this node.
fn shape_of(shape: u8) -> PathAttributes {
    let asns: &[u32] = match shape % 4 {
        0 => &[65001],
        1 => &[65002],
        2 => &[65001, 65009],
        _ => &[65002, 65008],
    };
    let mut attributes = attributes(1 + shape % 3, asns);
    attributes.med = (shape % 5 > 2).then_some(u32::from(shape % 3));
    attributes.local_preference = (shape > 20).then_some(101);
    attributes
}

fn source_of(n: u8) -> Source {
    let kind = match n {
        0 => SourceKind::Local,
        1 => SourceKind::Internal,
        _ => SourceKind::External,
    };
    Source { kind, address: (n > 0).then_some(address(n)), via_default: n == 4, ..peer(n) }
}

/// The kernel driver: what it was told, and what it answers.
#[derive(Default)]
struct Driver {
    tracked: BTreeSet<NextHop>,
    sets: BTreeMap<SetId, Vec<NextHop>>,
    routes: BTreeMap<Prefix, SetId>,
    unanswered: BTreeMap<Prefix, Option<SetId>>,
    failed: BTreeMap<Prefix, SetId>,
}

struct Model {
    bench: Bench,
    config: RibConfig,
    sources: Vec<SourceId>,
    paths: BTreeMap<Prefix, BTreeMap<From, (u8, Option<Reason>)>>,
    metrics: BTreeMap<NextHop, u32>,
    refused_med: Option<u32>,
    driver: Driver,
    sent: BTreeMap<EntryId, (Prefix, AttrId, SourceId)>,
    log: String,
}

/// The import rules: a loop at AS 65008, and what MED is not wanted.
fn refusal_of(attributes: &PathAttributes, refused_med: Option<u32>) -> Option<Reason> {
    if attributes.as_path.contains(Asn(65008)) {
        return Some(Reason::AsLoop);
    }
    refused_med.filter(|med| attributes.med == Some(*med)).map(|_| Reason::NotAccepted)
}

impl Model {
    fn new() -> Self {
        let mut bench = Bench::new(CONFIG);
        let sources = (0..PEERS).map(|n| bench.add(source_of(n))).collect();
        Self {
            bench,
            config: CONFIG,
            sources,
            paths: BTreeMap::new(),
            metrics: BTreeMap::new(),
            refused_med: None,
            driver: Driver::default(),
            sent: BTreeMap::new(),
            log: String::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Announce { from, prefix: at, shape } => {
                let attributes = shape_of(shape);
                let refusal = refusal_of(&attributes, self.refused_med).filter(|_| from.0 > 0);
                let key = self.key(from);
                self.bench.announce_one(key, PREFIXES[at], attributes, refusal);
                self.paths.entry(prefix(PREFIXES[at])).or_default().insert(from, (shape, refusal));
            }
            Step::Withdraw { from, prefix: at } => {
                let held = self.paths.get_mut(&prefix(PREFIXES[at])).and_then(|paths| paths.remove(&from));
                let key = self.key(from);
                assert_eq!(self.bench.rib.withdraw(key, prefix(PREFIXES[at])), held.is_some());
            }
            Step::Restart { peer } => {
                let old = self.sources[usize::from(peer)];
                self.bench.rib.remove_source(old);
                self.sources[usize::from(peer)] = self.bench.add(source_of(peer));
                for paths in self.paths.values_mut() {
                    paths.retain(|from, _| from.0 != peer);
                }
            }
            Step::NextHop { n, metric } => {
                for via_default in [false, true] {
                    let next_hop = NextHop { address: address(n), via_default };
                    if self.driver.tracked.contains(&next_hop) {
                        self.resolve(next_hop, metric);
                    }
                }
            }
            Step::Judge { med } => {
                self.refused_med = med;
                self.bench.rib.judge_again(None);
                for (from, (shape, refusal)) in self.paths.values_mut().flatten() {
                    *refusal = refusal_of(&shape_of(*shape), med).filter(|_| from.0 > 0);
                }
            }
            Step::Configure { install, max_paths } => {
                self.config = RibConfig { install, max_paths, ..self.config };
                self.bench.rib.reconfigure(self.config);
            }
            Step::Ack { failing } => self.answer(failing.map(|at| prefix(PREFIXES[at]))),
            Step::Turn { budget } => {
                self.turn(budget);
            }
        }
    }

    fn key(&self, (peer, id): From) -> PathKey {
        PathKey { source: self.sources[usize::from(peer)], id: id.map(PathId) }
    }

    /// Who a path in the base is of.
    fn from(&self, id: EntryId, path: Path) -> From {
        let owner = self.bench.rib.sources().owner(path.source());
        let peer = self.sources.iter().position(|&held| held == owner).expect("known");
        (peer as u8, self.bench.rib.path_id(id, path).map(|id| id.0))
    }

    fn resolve(&mut self, next_hop: NextHop, metric: Option<u32>) {
        match metric {
            Some(metric) => self.metrics.insert(next_hop, metric),
            None => self.metrics.remove(&next_hop),
        };
        self.bench.rib.set_next_hop(next_hop, metric);
    }

    fn answer(&mut self, failing: Option<Prefix>) {
        let mut acks = Vec::new();
        for (prefix, set) in core::mem::take(&mut self.driver.unanswered) {
            let fails = set.filter(|_| failing == Some(prefix));
            self.driver.failed.remove(&prefix);
            self.driver.failed.extend(fails.map(|set| (prefix, set)));
            acks.push(RouteAck { prefix, set, errno: if fails.is_some() { 22 } else { 0 } });
        }
        self.bench.rib.acknowledge(&acks);
    }

    /// A turn as the speaker does it; what must hold after each is asserted here.
    fn turn(&mut self, budget: usize) -> bool {
        let busy = self.bench.rib.work(budget, &mut |_, _, attributes| {
            refusal_of(attributes, self.refused_med).map_or(Ok(None), Err)
        });
        self.bench.changed.clear();
        self.bench.rib.changed(&mut self.bench.changed);
        for &id in &self.bench.changed {
            let entry = self.bench.rib.entry(id).expect("handed out before it is freed");
            if let Some((prefix, ..)) = self.sent.get(&id) {
                assert_eq!(*prefix, entry.prefix, "a number is used again only after its withdrawal");
            }
            match entry.advertise {
                Advertise::Nothing => {
                    self.sent.remove(&id);
                }
                Advertise::Hold => {}
                Advertise::Path { attrs, source } => {
                    self.sent.insert(id, (entry.prefix, attrs, source));
                }
            }
        }
        let mut effects = Effects::default();
        self.bench.rib.drain(&mut effects);
        self.log.push_str(&format!("{:?} {effects:?}\n", self.bench.changed));
        self.take(&effects);
        busy
    }

    fn take(&mut self, effects: &Effects) {
        for tracking in &effects.tracking {
            match *tracking {
                Tracking::Start(next_hop) => assert!(self.driver.tracked.insert(next_hop), "started twice"),
                Tracking::Stop(next_hop) => {
                    assert!(self.driver.tracked.remove(&next_hop), "stopped twice");
                    self.metrics.remove(&next_hop);
                }
            }
        }
        for change in &effects.sets {
            assert!(change.members.is_sorted());
            if change.members.is_empty() {
                self.driver.sets.remove(&change.id);
                self.driver.routes.retain(|_, set| *set != change.id);
            } else {
                self.driver.sets.insert(change.id, change.members.clone());
            }
        }
        for change in &effects.routes {
            self.driver.unanswered.insert(change.prefix, change.set);
            match change.set {
                Some(set) if self.driver.sets.contains_key(&set) => {
                    self.driver.routes.insert(change.prefix, set)
                }
                _ => self.driver.routes.remove(&change.prefix),
            };
        }
        for set in self.driver.routes.values() {
            let members = self.driver.sets.get(set).expect("a route names a set that is known");
            let resolved = |next_hop| self.metrics.contains_key(next_hop);
            assert!(members.iter().all(resolved), "one effect takes a lost next hop out of every route");
        }
    }

    /// Until nothing is due and everything is answered.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let busy = self.turn(3);
            self.answer(None);
            if !busy && self.driver.unanswered.is_empty() && !self.bench.rib.is_working() {
                self.turn(1);
                self.turn(1);
                return;
            }
        }
        panic!("the base never comes to rest");
    }

    /// What the ladder says of a prefix in the model.
    fn expected(&self, paths: &BTreeMap<From, (u8, Option<Reason>)>) -> BTreeMap<From, Reason> {
        let mut considered = Vec::new();
        let mut verdicts = BTreeMap::new();
        for (&(n, id), &(shape, refusal)) in paths {
            let source = (n, id);
            let held = shape_of(shape);
            if let Some(refusal) = refusal {
                verdicts.insert(source, refusal);
                continue;
            }
            let described = source_of(n);
            let next_hop = self.next_hop(n, shape);
            let candidate = Candidate {
                long_lived: false,
                stale: false,
                metric: if n == 0 { Some(0) } else { self.metrics.get(&next_hop).copied() },
                kind: described.kind,
                local_preference: held.local_preference.unwrap_or(100),
                hops: held.as_path.hops() as u32,
                origin: held.origin,
                neighbor: held.as_path.neighbor(),
                med: held.med.unwrap_or(0),
                router_id: described.router_id,
                cluster_len: 0,
                address: described.address,
                tie: n.into(),
                path_id: id.map(PathId),
                next_hop: u32::from(shape % 3) * 2 + u32::from(described.via_default),
            };
            considered.push((source, candidate));
        }
        let multipath = Multipath { max_paths: self.config.max_paths, relax_as_path: true };
        let candidates: Vec<Candidate> = considered.iter().map(|&(_, candidate)| candidate).collect();
        let compared = explain(&candidates, multipath, |_, _| true);
        verdicts.extend(
            considered.iter().zip(compared).map(|(&(source, _), compared)| (source, compared.verdict)),
        );
        verdicts
    }

    fn next_hop(&self, peer: u8, shape: u8) -> NextHop {
        NextHop { address: address(1 + shape % 3), via_default: source_of(peer).via_default }
    }

    /// Everything, once the base is at rest.
    fn check(&mut self) {
        let wanted: BTreeSet<NextHop> = self
            .paths
            .values()
            .flatten()
            .filter(|(from, (_, refusal))| from.0 > 0 && refusal.is_none())
            .map(|(&(n, _), &(shape, _))| self.next_hop(n, shape))
            .collect();
        assert_eq!(self.driver.tracked, wanted, "tracked are the next hops of accepted paths");
        self.paths.retain(|_, paths| !paths.is_empty());
        for family in Family::ALL {
            let held = self.paths.iter().filter(|(prefix, _)| prefix.family() == family);
            let (prefixes, paths) = held.fold((0, 0), |(n, m), (_, paths)| (n + 1, m + paths.len()));
            assert_eq!(self.bench.rib.size(family), (prefixes, paths), "what is vacant is freed");
        }
        let mut sent: BTreeMap<Prefix, (AttrId, SourceId)> =
            self.sent.values().map(|&(prefix, attrs, source)| (prefix, (attrs, source))).collect();
        assert_eq!(sent.len(), self.sent.len());
        for (&prefix, paths) in &self.paths {
            self.check_prefix(prefix, paths, sent.remove(&prefix));
        }
        assert!(sent.is_empty(), "advertised without a path: {sent:?}");
        assert!(self.driver.routes.keys().all(|prefix| self.paths.contains_key(prefix)));
        self.check_counts();
        let shapes: BTreeSet<PathAttributes> =
            self.paths.values().flat_map(BTreeMap::values).map(|&(shape, _)| shape_of(shape)).collect();
        assert_eq!(self.bench.rib.attributes().len(), shapes.len(), "attribute sets go with their last path");
        let mut cursor: Option<RouteCursor> = None;
        let mut walked = BTreeSet::new();
        let mut kernel = PerFamily::<KernelCounts>::default();
        while let Some((id, next)) = self.bench.rib.next_entry(cursor) {
            let entry = self.bench.rib.entry(id).expect("walked");
            assert!(walked.insert(entry.prefix));
            let counts = &mut kernel[entry.prefix.family()];
            match entry.kernel {
                KernelView::NotRequested => {}
                KernelView::Pending => counts.pending += 1,
                KernelView::Installed => counts.installed += 1,
                KernelView::Failed(_) => counts.failed += 1,
            }
            cursor = Some(next);
        }
        assert_eq!(self.bench.rib.kernel_counts(), kernel);
        assert!(walked.iter().eq(self.paths.keys()));
    }

    fn check_prefix(
        &self,
        prefix: Prefix,
        paths: &BTreeMap<From, (u8, Option<Reason>)>,
        sent: Option<(AttrId, SourceId)>,
    ) {
        let id = self.bench.rib.find(prefix).expect("stored");
        let entry = self.bench.rib.entry(id).expect("found");
        let verdicts: BTreeMap<From, Reason> =
            entry.paths.iter().map(|path| (self.from(id, *path), path.verdict())).collect();
        let handles: BTreeSet<SourceId> = entry.paths.iter().map(|path| path.source()).collect();
        assert_eq!(handles.len(), entry.paths.len(), "a handle names one path of a prefix");
        let expected = self.expected(paths);
        assert_eq!(verdicts, expected, "{prefix}");
        let selected = expected.iter().filter(|(_, v)| matches!(v, Reason::Best | Reason::Multipath));
        let next_hops: BTreeSet<NextHop> = selected
            .filter(|(from, _)| from.0 > 0)
            .map(|(from, _)| self.next_hop(from.0, paths[from].0))
            .collect();
        let installed = self.driver.routes.get(&prefix).map(|set| self.driver.sets[set].clone());
        let wanted = (self.config.install && !next_hops.is_empty()).then(|| Vec::from_iter(next_hops));
        assert_eq!(installed, wanted, "{prefix}");
        let failed = wanted.is_some() && self.driver.failed.contains_key(&prefix);
        let kernel = match (&wanted, failed) {
            (None, _) => KernelView::NotRequested,
            (Some(_), true) => KernelView::Failed(22),
            (Some(_), false) => KernelView::Installed,
        };
        assert_eq!(entry.kernel, kernel, "{prefix}");
        let best = expected.iter().find(|(_, verdict)| **verdict == Reason::Best).map(|(&source, _)| source);
        let best = best.filter(|_| !failed);
        let of = |source| entry.paths.iter().find(|path| path.source() == source).expect("in the table");
        assert_eq!(sent.map(|(_, source)| self.from(id, *of(source))), best, "{prefix}");
        if let Some((attrs, source)) = sent {
            let shape = paths[&self.from(id, *of(source))].0;
            assert_eq!(*self.bench.rib.attributes().get(attrs), shape_of(shape), "{prefix}");
        }
        let ranked = self.bench.rib.ranked(id);
        let again: BTreeMap<From, Reason> =
            ranked.iter().map(|(path, compared)| (self.from(id, *path), compared.verdict)).collect();
        assert_eq!(again, expected, "an explanation says what the decision said");
    }

    fn check_counts(&self) {
        for (n, &source) in self.sources.iter().enumerate() {
            for family in Family::ALL {
                let paths = self.paths.iter().filter(|(prefix, _)| prefix.family() == family);
                let held: Vec<Option<Reason>> = paths
                    .flat_map(|(_, paths)| paths)
                    .filter(|((peer, _), _)| usize::from(*peer) == n)
                    .map(|(_, &(_, refusal))| refusal)
                    .collect();
                let counts = self.bench.rib.counts(source, family).expect("present");
                assert_eq!(counts.received(), held.len() as u64);
                for refusal in [None, Some(Reason::AsLoop), Some(Reason::NotAccepted)] {
                    let expected = held.iter().filter(|held| **held == refusal).count() as u64;
                    let counted = refusal.map_or(counts.accepted, |reason| counts.rejected_as(reason));
                    assert_eq!(counted, expected, "{refusal:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_base_does_what_the_model_says(steps in steps()) {
        let run = || {
            let mut model = Model::new();
            for step in &steps {
                model.step(step);
            }
            model.settle();
            model.check();
            model.log
        };
        let log = run();
        prop_assert_eq!(log, run(), "the same events give the same effects");
    }
}
