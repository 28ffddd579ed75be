//! Two sessions, a link that delays and loses packets, and a virtual clock.

use bgp::bfd::{Config, Forwarding, Packet, Session, State};
use bgp::time::{Duration, Instant};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Which ways of the link are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    None,
    /// From the first to the second.
    There,
    Back,
    Both,
}

struct Pair {
    ends: [Session; 2],
    /// Packets under way: when they come, to whom.
    flying: Vec<(Instant, usize, [u8; 24])>,
    latency: Duration,
    cut: Cut,
    now: Instant,
    /// Who was told what, and when.
    told: [Vec<(Instant, Forwarding)>; 2],
    /// When each end sent, polls' answers apart.
    sent: [Vec<Instant>; 2],
}

impl Pair {
    fn new(configs: [Config; 2], latency: Duration, seed: u64) -> Self {
        let now = Instant(0);
        let [first, second] = configs;
        Self {
            ends: [Session::new(first, 1, seed, now), Session::new(second, 2, !seed, now)],
            flying: Vec::new(),
            latency,
            cut: Cut::None,
            now,
            told: Default::default(),
            sent: Default::default(),
        }
    }

    fn passes(&self, from: usize) -> bool {
        match self.cut {
            Cut::None => true,
            Cut::There => from == 1,
            Cut::Back => from == 0,
            Cut::Both => false,
        }
    }

    fn carry(&mut self, end: usize, out: Vec<Packet>) {
        let forwarding = self.ends[end].view().forwarding;
        if self.told[end].last().map_or(Forwarding::Unknown, |(_, told)| *told) != forwarding {
            self.told[end].push((self.now, forwarding));
        }
        for packet in out {
            if !packet.last {
                self.sent[end].push(self.now);
            }
            if self.passes(end) {
                self.flying.push((self.now + self.latency, 1 - end, packet.encode()));
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrival = self.flying.iter().map(|(at, ..)| *at).min();
            let due = self.ends.iter().filter_map(Session::deadline).chain(arrival).min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            assert!(at >= self.now, "what was due is done");
            self.now = at;
            let (come, flying) =
                std::mem::take(&mut self.flying).into_iter().partition(|(when, ..)| *when <= at);
            self.flying = flying;
            let come: Vec<(Instant, usize, [u8; 24])> = come;
            for (_, to, octets) in come {
                let mut out = Vec::new();
                let packet = Packet::decode(&octets).expect("what a session sends can be read");
                let _ = self.ends[to].receive(&packet, &mut out, at);
                self.carry(to, out);
            }
            for to in 0..2 {
                let mut out = Vec::new();
                self.ends[to].expire(&mut out, at);
                self.carry(to, out);
            }
        }
        self.now = end;
    }

    fn states(&self) -> [State; 2] {
        self.ends.each_ref().map(|end| end.view().state)
    }
}

fn config() -> impl Strategy<Value = Config> {
    (10_u64..2_000, 1_u8..6)
        .prop_map(|(interval, multiplier)| Config { interval: Duration::from_millis(interval), multiplier })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Both come up within seconds, at the slower one's pace; whatever is cut, both know within the
    /// detection time of the end that still should hear, and neither before; healed, both are up again.
    #[test]
    fn pairs_come_up_notice_and_come_back(
        configs in [config(), config()],
        latency in 0_u64..20,
        seed: u64,
        cut in prop::sample::select(&[Cut::There, Cut::Back, Cut::Both][..]),
    ) {
        let slowest = configs[0].interval.max(configs[1].interval);
        let latency = Duration::from_millis(latency);
        let mut pair = Pair::new(configs, latency, seed);
        let settle = 6 * slowest.max(SECOND);
        pair.run(settle);
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        for end in 0..2 {
            let view = pair.ends[end].view();
            prop_assert_eq!(view.transmit, Some(slowest));
            prop_assert_eq!(view.detection, Some(slowest * u32::from(configs[1 - end].multiplier)));
            prop_assert_eq!(pair.told[end].len(), 1);
        }
        // No packet earlier than three quarters of the interval, none later than it.
        pair.sent = Default::default();
        let steady = 20 * slowest;
        pair.run(steady);
        prop_assert_eq!(pair.states(), [State::Up; 2], "nothing is lost without a cause");
        for (end, sent) in pair.sent.iter().enumerate() {
            let longest = if configs[end].multiplier == 1 { slowest * 9 / 10 } else { slowest };
            for two in sent.windows(2) {
                let gap = two[1].since(two[0]);
                prop_assert!(gap >= slowest * 3 / 4 && gap <= longest, "{:?} of {:?}", gap, slowest);
            }
        }

        let cut_at = pair.now;
        pair.cut = cut;
        let deaf = match cut { Cut::There => 1, Cut::Back | Cut::Both | Cut::None => 0 };
        let detection = slowest * u32::from(configs[1 - deaf].multiplier);
        pair.run(detection + latency);
        let (noticed_at, told) = *pair.told[deaf].last().unwrap();
        prop_assert_eq!(told, Forwarding::Lost { independent: false });
        // Its last packet came at most an interval before the cut.
        prop_assert!(noticed_at.since(cut_at) + slowest >= detection, "{:?} of {:?}", noticed_at.since(cut_at), detection);
        let other = slowest * u32::from(configs[deaf].multiplier);
        pair.run(other.max(SECOND) + latency);
        prop_assert!(pair.states().iter().all(|state| *state < State::Up), "{:?}", pair.states());

        pair.cut = Cut::None;
        pair.run(settle + other + detection);
        prop_assert_eq!(pair.states(), [State::Up; 2]);
        prop_assert!(pair.ends.iter().all(|end| end.view().losses == 1), "{:?}", pair.told);
    }

    /// A peer that is taken down on purpose is not lost.
    #[test]
    fn purpose_is_told_from_loss(configs in [config(), config()], seed: u64) {
        let slowest = configs[0].interval.max(configs[1].interval);
        let mut pair = Pair::new(configs, Duration::from_millis(1), seed);
        pair.run(6 * slowest.max(SECOND));
        let mut out = Vec::new();
        let now = pair.now;
        pair.ends[0].disable(&mut out, now);
        pair.carry(0, out);
        pair.run(20 * slowest.max(SECOND));
        prop_assert_eq!(pair.states(), [State::AdminDown, State::Down]);
        for told in &pair.told {
            let told: Vec<Forwarding> = told.iter().map(|(_, told)| *told).collect();
            prop_assert_eq!(&told[..], &[Forwarding::Alive, Forwarding::Unknown][..]);
        }
    }
}
