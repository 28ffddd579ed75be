//! A life as it is lived: the acts, the healing, the rest, and the judgement.

use std::collections::{BTreeMap, BTreeSet};

use bgp::config::{Origination, SpeakerConfig};
use bgp::prefix::Prefix;
use bgp::rule::RouteOrigin;
use bgp::speaker::SoftReset;
use bgp::time::Duration;
use bgp::wire::community::{Community, LargeCommunity};

use super::plan::{Act, Kind, Life};
use crate::sim::broken::Breakage;
use crate::sim::chance::Chance;
use crate::sim::invariants;
use crate::sim::network::{Network, Shut, address, prefix};
use crate::sim::watch::Violation;

/// Events after which a life counts as one without end: some ten times what the longest takes.
const BUDGET: u64 = 3_000_000;

/// How long sessions may take to come up again, and routes to come to rest.
const PATIENCE: Duration = Duration::from_secs(400);

/// How long nothing changes before the network counts as at rest: longer than a kernel takes.
const REST: Duration = Duration::from_secs(4);

/// What a life came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) events: u64,
    pub(crate) trace: u64,
    pub(crate) acts: BTreeMap<Kind, u64>,
    pub(crate) checked: BTreeMap<&'static str, u64>,
    pub(crate) virtual_time: Duration,
}

/// Lives a life, with a router that is broken or with none.
pub(crate) fn live(life: &Life, broken: Option<(usize, Breakage)>) -> Outcome {
    let mut lived = Lived::new(life, broken);
    let violation = lived.run(life).err();
    let network = lived.network;
    Outcome {
        violation,
        events: network.steps,
        trace: network.trace(),
        acts: lived.acts,
        checked: network.checked.0,
        virtual_time: network.now.since(bgp::time::Instant(0)),
    }
}

struct Lived {
    network: Network,
    links: Vec<(usize, usize)>,
    acts: BTreeMap<Kind, u64>,
    refused: BTreeSet<Prefix>,
}

/// The prefixes that a router may originate.
fn pool(router: usize) -> [Prefix; 7] {
    let own = |text: String| prefix(&text);
    let (high, low) = (128 + router / 256, router % 256);
    [
        own(format!("10.{high}.{low}.0/24")),
        own(format!("fd01:{router:x}::/64")),
        prefix("192.0.2.0/24"),
        prefix("198.51.100.0/24"),
        prefix("2001:db8::/32"),
        own(format!("10.{high}.{low}.128/25")),
        prefix("192.0.0.0/9"),
    ]
}

/// What the bits of a number say: seven for prefixes, the others for their attributes.
fn origins(router: usize, bits: u64) -> Vec<Origination> {
    let chosen = pool(router).into_iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    let flag = |at: u64| bits >> at & 1 == 1;
    let mut all: Vec<Origination> = chosen
        .map(|(at, prefix)| Origination {
            prefix,
            origin: RouteOrigin::Static,
            communities: match bits >> 8 & 7 {
                1 if at > 1 => vec![Community::NO_EXPORT],
                2 if at > 1 => vec![Community::NO_ADVERTISE],
                3 => vec![Community(65_000 << 16 | 1), Community(65_000 << 16 | 2)],
                4 if at > 1 => vec![Community::NO_PEER],
                5 if at > 1 => vec![Community::GRACEFUL_SHUTDOWN],
                _ => Vec::new(),
            },
            large_communities: if flag(11) {
                vec![LargeCommunity { global: 65_000, local1: 1, local2: router as u32 }]
            } else {
                Vec::new()
            },
            local_preference: flag(12).then_some(150),
            med: flag(13).then_some((bits >> 14 & 3) as u32),
        })
        .collect();
    all.sort_by_key(|origin| origin.prefix);
    all
}

impl Lived {
    fn new(life: &Life, broken: Option<(usize, Breakage)>) -> Self {
        let mut chance = Chance::new(life.seed ^ 0xc0_4f16);
        let configs = life.shape.configs(life.routers, &mut chance);
        let mut network = Network::stopped(life.seed, configs);
        network.strict = false;
        network.latency = Duration::from_millis(chance.pick(&[0, 1, 10, 100]));
        network.jitter = Duration::from_micros(chance.pick(&[0, 200, 30_000]));
        // Where many speak at once, many events share a turn.
        let pace = if life.routers > 50 { 20_000 } else { chance.pick(&[0, 100, 5_000]) };
        network.pace = Duration::from_micros(pace);
        for router in &mut network.routers {
            router.kernel_delay = Duration::from_millis(chance.pick(&[0, 2, 100]));
        }
        if let Some((router, breakage)) = broken {
            network.break_router(router, breakage);
        }
        (0..life.routers).for_each(|router| network.reconcile(router, |_| {}));
        let links = life.shape.links(life.routers);
        Self { network, links, acts: BTreeMap::new(), refused: BTreeSet::new() }
    }

    fn run(&mut self, life: &Life) -> Result<(), Violation> {
        for step in &life.steps {
            self.pass(step.after)?;
            *self.acts.entry(step.act.kind).or_default() += 1;
            self.act(step.act);
        }
        self.heal();
        self.rest()?;
        let some = (life.routers > 50).then_some(8);
        invariants::at_rest(&mut self.network, &self.refused, some)?;
        // No session falls that nobody touches.
        let falls = |network: &Network| network.routers.iter().map(|router| router.watch.falls).sum::<u64>();
        let before = falls(&self.network);
        let holds = self.network.routers.iter().flat_map(|router| &router.config.peers);
        let hold = holds.map(|peer| peer.timers.hold).max().unwrap_or_default();
        self.pass(hold + Duration::from_secs(1))?;
        self.network.checked.count("sessions-stay");
        if falls(&self.network) > before {
            let text = "a session fell that nobody touched".to_owned();
            return Err(Violation { invariant: "sessions-stay", text });
        }
        Ok(())
    }

    /// Lets time pass.
    fn pass(&mut self, span: Duration) -> Result<(), Violation> {
        self.network.advance(span);
        if let Some(violation) = self.network.violation.take() {
            return Err(violation);
        }
        if self.network.steps > BUDGET {
            let text = format!("{BUDGET} events until {}", self.network.now);
            return Err(Violation { invariant: "comes-to-rest", text });
        }
        Ok(())
    }

    /// Until every session is Established and no route changes.
    fn rest(&mut self) -> Result<(), Violation> {
        let began_at = self.network.now;
        while self.network.now - began_at < PATIENCE {
            self.pass(Duration::from_secs(2))?;
            let silent = self.network.now - self.network.active_at;
            if silent >= REST && self.is_up() {
                return Ok(());
            }
        }
        let down = self.network.routers.iter().enumerate().flat_map(|(at, router)| {
            let peers = router.speaker.peers().into_iter();
            let down = peers.filter(|peer| peer.state != bgp::io::State::Established);
            down.map(move |peer| format!("{at} to {}: {:?}, {:?}", peer.name, peer.state, peer.down))
        });
        let text = format!("not after {PATIENCE:?}; not Established: {:?}", down.collect::<Vec<_>>());
        Err(Violation { invariant: "comes-to-rest", text })
    }

    fn is_up(&self) -> bool {
        self.network.routers.iter().all(|router| {
            let peers = router.speaker.peers();
            router.up
                && router.adopted.is_empty()
                && !router.speaker.is_recovering()
                && router.stalled_until <= self.network.now
                && peers.len() == router.config.peers.len()
                && peers.iter().all(|peer| peer.state == bgp::io::State::Established)
        })
    }

    /// Undoes every act that lasts.
    fn heal(&mut self) {
        let cut: Vec<(usize, usize)> = self.network.cut.iter().copied().collect();
        for (from, to) in cut {
            self.network.cut_one_way(from, to, false);
        }
        self.network.latency = self.network.latency.min(Duration::from_millis(100));
        for router in 0..self.network.routers.len() {
            self.network.sleep(router, false);
            let target = &mut self.network.routers[router];
            target.kernel_delay = target.kernel_delay.min(Duration::from_millis(100));
            target.refused.clear();
            let unresolved: Vec<_> = target.unresolved.iter().copied().collect();
            for address in unresolved {
                self.network.resolve(router, address, true);
            }
            if self.network.routers[router].config.peers.iter().any(|peer| peer.disabled) {
                self.network.reconcile(router, |config| {
                    config.peers.iter_mut().for_each(|peer| peer.disabled = false);
                });
            }
        }
    }

    fn act(&mut self, act: Act) {
        let routers = self.network.routers.len() as u64;
        let Act { kind, a, b } = act;
        // What was drawn for a larger network still has a meaning in a smaller one.
        let router = (a % routers) as usize;
        let (one, other) = self.links[(a % self.links.len() as u64) as usize];
        let span = Duration::from_millis(b);
        match kind {
            Kind::Originate => self.network.reconcile(router, |config| config.origins = origins(router, b)),
            Kind::Cut => self.network.cut(one, other, b > 0),
            Kind::CutOneWay if b == 2 => self.network.cut_one_way(other, one, true),
            Kind::CutOneWay => self.network.cut_one_way(one, other, b > 0),
            Kind::Partition => {
                for (one, other) in self.links.clone() {
                    if (one ^ other) >> a & 1 == 1 {
                        self.network.cut(one, other, b > 0);
                    }
                }
            }
            Kind::Lose => self.network.lose(one, other),
            Kind::Restart | Kind::Away => self.network.restart(router, true, span),
            Kind::Reboot => self.network.restart(router, false, span),
            Kind::Sleep => self.network.sleep(router, b > 0),
            Kind::Leap => self.network.leap(router, span),
            Kind::Stall => self.network.stall(router, span),
            Kind::SlowKernel => self.network.routers[router].kernel_delay = span,
            Kind::Refuse => {
                let refused = &mut self.network.routers[router].refused;
                refused.clear();
                if b < routers {
                    refused.insert(pool(b as usize)[0]);
                    self.refused.insert(pool(b as usize)[0]);
                }
            }
            Kind::NextHop => {
                let unresolved: Vec<_> = self.network.routers[router].unresolved.iter().copied().collect();
                for address in unresolved {
                    self.network.resolve(router, address, true);
                }
                if b < routers {
                    self.network.resolve(router, address(b as usize), false);
                }
            }
            Kind::Disable => self.disable(one, other, b > 0),
            Kind::SoftReset => self.soft_reset(router, b),
            Kind::Shut => {
                let how = if b % 2 == 1 { Shut::Silent } else { Shut::Refusing };
                self.network.shut(one, other, how, span);
            }
            Kind::Latency => self.network.latency = Duration::from_millis(a),
        }
    }

    fn soft_reset(&mut self, router: usize, what: u64) {
        if !self.network.routers[router].up {
            return;
        }
        let peers = self.network.routers[router].speaker.peers();
        let Some(peer) = peers.get(what as usize / 2 % peers.len().max(1)).map(|peer| peer.id) else {
            return;
        };
        let way = if what % 2 == 1 { SoftReset::Out } else { SoftReset::In };
        // A session that is down is told so.
        let _ = self.network.call(router, |speaker, effects| speaker.soft_reset(peer, way, effects));
    }

    fn disable(&mut self, own: usize, other: usize, disabled: bool) {
        self.network.reconcile(own, |config: &mut SpeakerConfig| {
            let peers = config.peers.iter_mut();
            peers.filter(|peer| peer.address == address(other)).for_each(|peer| peer.disabled = disabled);
        });
    }
}
