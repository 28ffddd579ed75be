//! Random networks: which routers there are, who peers with whom, and by which rules.

use bgp::config::{
    AddPath, AsPathPolicy, LimitAction, NextHopMode, PeerAs, ReceiveLimit, Restart, SpeakerConfig,
};
use bgp::id::{Asn, RouterId};
use bgp::rule::{AnyCommunity, Changes, Condition, PrefixRange, Rule, Rules};
use bgp::time::Duration;
use bgp::wire::community::Community;

use super::chance::Chance;
use super::network::{config, peer, prefix};

/// The form of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// Leaves, each on every spine.
    Clos2,
    /// Spines, racks, nodes on two racks each.
    Clos3,
    /// Cores, spines, racks, nodes.
    Clos4,
    /// Each with each, in one AS or two.
    Mesh,
    /// Each sends on to the next.
    Ring,
    /// Route reflectors, each with each, over two tiers of clients in one AS.
    Reflectors,
}

impl Shape {
    pub(crate) const ALL: [Self; 6] =
        [Self::Clos2, Self::Clos3, Self::Clos4, Self::Mesh, Self::Ring, Self::Reflectors];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Clos2 => "clos2",
            Self::Clos3 => "clos3",
            Self::Clos4 => "clos4",
            Self::Mesh => "mesh",
            Self::Ring => "ring",
            Self::Reflectors => "reflectors",
        }
    }

    /// The numbers of routers a tier, the top one first; none where there are no tiers.
    fn tiers(self, routers: usize) -> Vec<usize> {
        let few = (routers / 12).max(2).min(routers / 2);
        match self {
            Self::Clos2 => vec![few.max(1), routers - few.max(1)],
            Self::Clos3 => {
                let racks = (routers / 8).max(2).min(routers - few);
                vec![few, racks, routers - few - racks]
            }
            Self::Clos4 => {
                let racks = (routers / 8).max(2).min(routers.saturating_sub(2 * few));
                vec![few, few, racks, routers.saturating_sub(2 * few + racks)]
            }
            Self::Reflectors if routers < 8 => vec![few.max(1), routers - few.max(1)],
            Self::Reflectors => vec![few, few, routers - 2 * few],
            Self::Mesh | Self::Ring => Vec::new(),
        }
    }

    /// Who peers with whom.
    pub(crate) fn links(self, routers: usize) -> Vec<(usize, usize)> {
        match self {
            Self::Mesh => (0..routers).flat_map(|b| (0..b).map(move |a| (a, b))).collect(),
            Self::Ring if routers < 3 => vec![(0, 1)],
            Self::Ring => (0..routers).map(|a| (a, (a + 1) % routers)).collect(),
            Self::Clos2 | Self::Clos3 | Self::Clos4 | Self::Reflectors => {
                let tiers = self.tiers(routers);
                let mut links = Vec::new();
                if self == Self::Reflectors {
                    links.extend((0..tiers[0]).flat_map(|b| (0..b).map(move |a| (a, b))));
                }
                let mut first = 0;
                for (at, pair) in tiers.windows(2).enumerate() {
                    let is_last = at + 2 == tiers.len();
                    for low in 0..pair[1] {
                        for high in 0..pair[0] {
                            // A node has two racks; all else is on every router above.
                            let above = high == low % pair[0] || high == (low + 1) % pair[0];
                            if !is_last || self == Self::Clos2 || above {
                                links.push((first + high, first + pair[0] + low));
                            }
                        }
                    }
                    first += pair[0];
                }
                links
            }
        }
    }

    /// The tier of a router from the top, and whether it is the lowest.
    fn tier(self, router: usize, routers: usize) -> (usize, bool) {
        let tiers = self.tiers(routers);
        let mut first = 0;
        for (at, size) in tiers.iter().enumerate() {
            first += size;
            if router < first {
                return (at, at + 1 == tiers.len());
            }
        }
        (0, self == Self::Mesh)
    }

    /// A configuration for each router, some of it drawn.
    pub(crate) fn configs(self, routers: usize, chance: &mut Chance) -> Vec<SpeakerConfig> {
        // Tiers may share an AS, nodes too: then each refuses the others' routes as a loop.
        let (shared_top, shared_nodes) = (chance.one_in(2), chance.one_in(4));
        let two_ases = chance.one_in(2);
        let asn = |router: usize| match (self, self.tier(router, routers)) {
            (Self::Reflectors, _) => 64_512,
            (Self::Mesh, _) => 64_512 + u32::from(two_ases && router % 2 == 1),
            (Self::Ring, _) => 4_200_000_000 + (router - usize::from(shared_nodes && router == 2)) as u32,
            (_, (0, false)) if shared_top => 64_600,
            (_, (_, true)) if shared_nodes => 64_700,
            _ => 65_001 + router as u32,
        };
        let mut configs: Vec<SpeakerConfig> =
            (0..routers).map(|router| config(router, asn(router))).collect();
        for (router, config) in configs.iter_mut().enumerate() {
            let (tier, is_last) = self.tier(router, routers);
            config.transit = !is_last && self != Self::Reflectors;
            if self == Self::Reflectors && !is_last && chance.one_in(2) {
                // One of all reflectors of the tier: they refuse what they reflect to each other.
                config.cluster_id = Some(RouterId(tier as u32 + 1));
            }
            config.max_paths = chance.pick(&[1, 2, 4, 16]);
            config.relax_as_path = !chance.one_in(4);
        }
        let hold = if routers > 50 { 30 } else { chance.pick(&[3, 6, 9, 9, 30]) };
        // None, shorter and longer than the restarts that are drawn.
        let restart =
            Restart { seconds: chance.pick(&[0, 4, 20]), notification: chance.one_in(3), long_lived: 0 };
        for (a, b) in self.links(routers) {
            let passive = chance.below(8);
            for (own, other, passive) in [(a, b, passive == 0), (b, a, passive == 1)] {
                let mut peer = peer(own, other);
                peer.passive = passive;
                peer.restart = restart;
                peer.timers.hold = Duration::from_secs(hold);
                peer.timers.keepalive = Duration::from_secs(hold / 3);
                peer.asn = if chance.one_in(2) { PeerAs::Any } else { PeerAs::Exactly(Asn(asn(other))) };
                peer.families.ipv6 = !chance.one_in(12);
                let below = |own, other| self.tier(own, routers).0 < self.tier(other, routers).0;
                peer.reflector_client = self == Self::Reflectors && below(own, other);
                if chance.one_in(6) {
                    peer.next_hop = NextHopMode::Own;
                }
                if chance.one_in(12) {
                    let bits = chance.any() >> 60;
                    // Without loop detection a path would come round for ever.
                    let allow_own = u8::from(self.tier(own, routers).1 && bits & 1 == 1);
                    let (override_peer, remove_private) = (bits & 2 == 2, bits & 4 == 4);
                    let leaf = self.tier(other, routers).1;
                    peer.as_path = AsPathPolicy {
                        any_first: false,
                        allow_own,
                        override_peer: override_peer && leaf,
                        remove_private: remove_private && leaf,
                    };
                }
                if self.tier(own, routers).1 {
                    leaf_rules(&mut peer, chance);
                }
                peer.receive = ReceiveLimit { most: 1_000, warn_at: Some(800), action: LimitAction::Warn };
                configs[own].peers.push(peer);
            }
        }
        // Drawn aside, so that all else is drawn as it was before there was such a thing.
        let mut aside = Chance::new(chance.clone().any());
        for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
            if aside.one_in(2) {
                peer.add_path = AddPath { receive: aside.one_in(2), send: aside.pick(&[0, 1, 2, 8]) };
            }
        }
        // Some are taken along for long, where one does not offer it nothing is.
        let long_lived = aside.pick(&[0, 8, 40]);
        for peer in configs.iter_mut().flat_map(|config| &mut config.peers) {
            peer.restart.long_lived = if aside.one_in(4) { 0 } else { long_lived };
        }
        for config in &mut configs {
            config.peers.sort_by_key(|peer| peer.address);
        }
        configs
    }
}

/// What a router that sends nothing on may want: no rule of it can keep others from agreeing.
fn leaf_rules(peer: &mut bgp::config::PeerConfig, chance: &mut Chance) {
    let anycast = || vec![PrefixRange::new(prefix("192.0.0.0/8"), Some(8), None)];
    let set =
        |prefixes, set| Rule { when: Condition { prefixes, ..Condition::default() }, reject: false, set };
    let tag = AnyCommunity::Standard(Community(65_000 << 16 | 7));
    peer.import = match chance.below(10) {
        0 => Rules::new(vec![set(vec![], Changes { local_preference: Some(200), ..Changes::default() })]),
        1 => Rules::new(vec![set(anycast(), Changes { prepend: 2, add: vec![tag], ..Changes::default() })]),
        2 => Rules::new(vec![Rule { reject: true, ..set(anycast(), Changes::default()) }]),
        3 => Rules::new(vec![set(anycast(), Changes { med: Some(5), ..Changes::default() })]),
        _ => Rules::default(),
    };
    peer.export = match chance.below(10) {
        0 => Rules::new(vec![set(anycast(), Changes { prepend: 3, ..Changes::default() })]),
        1 => Rules::new(vec![set(vec![], Changes { med: Some(9), add: vec![tag], ..Changes::default() })]),
        2 => Rules::new(vec![Rule { reject: true, ..set(anycast(), Changes::default()) }]),
        _ => Rules::default(),
    };
    if chance.one_in(8) {
        peer.accept = Some(vec![prefix("10.0.0.0/8"), prefix("fd00::/8")]);
    }
}
