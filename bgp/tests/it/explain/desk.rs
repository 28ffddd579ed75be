//! A speaker at a desk: its peers say what they are told to, some of them hang up, and
//! its kernel says yes, but to what it is told to refuse or to say nothing of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bgp::config::SpeakerConfig;
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, NextHop, RouteAck, RouteChange, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::wire::add_path::AddPath;
use bgp::wire::attribute::PathAttributes;
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::extended_next_hop::ExtendedNextHop;
use bgp::wire::long_lived::{LongLivedFamily, LongLivedRestart};
use bgp::wire::nlri::Route;
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;
use bgp::wire::{encode, frame, pack};

use super::book::{Kernel, Sender};

const NOW: Instant = Instant(0);

/// Who a peer says it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) asn: Asn,
    pub(super) router_id: RouterId,
    /// Whether it takes and sends several paths of a prefix (RFC 7911).
    pub(super) several: bool,
    /// Whether it takes IPv6 next hops of IPv4 (RFC 8950).
    pub(super) extended: bool,
    /// Whether it takes long-lived stale routes (RFC 9494).
    pub(super) takes_long_lived: bool,
    /// Whether it hangs up after it has spoken, and for how long it is away.
    pub(super) sender: Sender,
}

/// The address of caller number `n`.
pub(super) fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 100 + n as u8)
}

/// A speaker with its sessions Established.
pub(super) struct Desk {
    pub(super) speaker: Speaker,
    effects: Effects,
    own: Asn,
    /// The metric of next hops that resolve.
    metrics: BTreeMap<IpAddr, u32>,
    /// What the kernel says of prefixes, where that is not yes.
    kernel: BTreeMap<Prefix, Kernel>,
    /// The next hops that the speaker has asked about, and was told of.
    told_of: BTreeSet<NextHop>,
}

impl Desk {
    /// Peer number `n` of the configuration has the address of caller `n`.
    pub(super) fn new(
        config: &SpeakerConfig,
        callers: &[Caller],
        metrics: BTreeMap<IpAddr, u32>,
        kernel: BTreeMap<Prefix, Kernel>,
    ) -> Self {
        let speaker = Speaker::new(config, 3);
        let mut desk = Self {
            speaker,
            effects: Effects::default(),
            own: config.asn,
            metrics,
            kernel,
            told_of: BTreeSet::new(),
        };
        desk.speaker.reconcile(config.clone(), &mut desk.effects, NOW);
        for (n, caller) in callers.iter().enumerate() {
            let end = |address: Ipv4Addr| SocketAddr::new(address.into(), 179);
            let (local, remote) = (end(Ipv4Addr::new(10, 0, 0, 1)), end(address(n)));
            desk.tell(Event::Accepted { conn: conn(n), local, remote });
            let families = Family::ALL.map(Capability::multiprotocol).into_iter();
            let both = AddPath { families: Family::ALL.map(|family| (family.afi(), 1, 3)).into() };
            let capabilities = families
                .chain([Capability::FourOctetAs(caller.asn)])
                .chain(caller.several.then_some(Capability::AddPath(both)))
                .chain(caller.extended.then(|| Capability::ExtendedNextHop(ExtendedNextHop::ipv4_by_ipv6())))
                .chain([restarts(*caller)])
                .chain(caller.takes_long_lived.then(lives_long));
            let open = Open {
                asn: if caller.asn.is_two_octet() { caller.asn } else { Asn::TRANS },
                hold_seconds: 90,
                router_id: caller.router_id,
                capabilities: capabilities.collect(),
            };
            let mut bytes = Vec::new();
            open.encode(&mut bytes);
            frame::encode_keepalive(&mut bytes);
            desk.tell(Event::Bytes { conn: conn(n), bytes: &bytes });
        }
        desk.settle();
        let peers = desk.speaker.peers();
        let established = peers.iter().filter(|peer| peer.state == State::Established);
        assert_eq!(established.count(), callers.len());
        desk
    }

    /// A caller announces a prefix, with a Path Identifier where it is to have one.
    pub(super) fn announce(&mut self, n: usize, caller: Caller, route: Route, attributes: &PathAttributes) {
        let bytes = self.update(caller, route, attributes);
        self.tell(Event::Bytes { conn: conn(n), bytes: &bytes });
    }

    fn update(&self, caller: Caller, route: Route, attributes: &PathAttributes) -> Vec<u8> {
        let prefix = route.prefix;
        let codec = Codec {
            four_octet: true,
            external: caller.asn != self.own,
            families: PerFamily { ipv4: true, ipv6: true },
            add_path: Codec::NO_PATH_IDS,
            extended_next_hop: false,
            zone: None,
        };
        let (mut encoded, mut bytes) = (Vec::new(), Vec::new());
        encode::attributes(attributes, &codec, prefix.family(), &mut encoded);
        pack::announce(
            &encoded,
            attributes.next_hop,
            prefix.family(),
            [route],
            pack::Longest::Plain,
            &mut bytes,
        )
        .expect("room");
        bytes
    }

    /// A caller announces a prefix with an ORIGIN that there is not (RFC 7606 §7.1).
    pub(super) fn announce_badly(
        &mut self,
        n: usize,
        caller: Caller,
        route: Route,
        attributes: &PathAttributes,
    ) {
        let mut bytes = self.update(caller, route, attributes);
        let origin = bytes.windows(3).position(|octets| octets == [0x40, 1, 1]).expect("an ORIGIN");
        bytes[origin + 3] = 9;
        self.tell(Event::Bytes { conn: conn(n), bytes: &bytes });
    }

    /// The metric of a next hop, as far as the speaker can know it.
    pub(super) fn metric(&self, next_hop: NextHop) -> Option<u32> {
        self.metrics.get(&next_hop.address).copied().filter(|_| self.told_of.contains(&next_hop))
    }

    /// A caller is gone, and says nothing more (RFC 4724 §4.2).
    pub(super) fn hang_up(&mut self, n: usize) {
        self.tell(Event::Closed { conn: conn(n), error: None });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, NOW);
        self.carry_out();
    }

    /// Until nothing is left to do.
    pub(super) fn settle(&mut self) {
        while self.speaker.work(&mut self.effects, NOW) | self.carry_out() | self.speaker.is_waiting() {}
    }

    fn carry_out(&mut self) -> bool {
        let effects = core::mem::take(&mut self.effects);
        let any = !effects.is_empty();
        for effect in effects.transport {
            if let Transport::Write { conn, bytes } = effect {
                self.speaker.handle(Event::Written { conn, bytes: bytes.len() }, &mut self.effects, NOW);
            }
        }
        for effect in effects.tracking {
            let Tracking::Start(next_hop) = effect else {
                self.told_of.retain(|told| effect != Tracking::Stop(*told));
                continue;
            };
            self.told_of.insert(next_hop);
            let metric = self.metrics.get(&next_hop.address).copied();
            self.speaker.handle(Event::NextHop { next_hop, metric }, &mut self.effects, NOW);
        }
        let ack = |RouteChange { prefix, set }: RouteChange| {
            let errno = match self.kernel.get(&prefix).filter(|_| set.is_some()) {
                Some(Kernel::IsSilent) => return None,
                Some(Kernel::Refuses) => 22,
                Some(Kernel::Installs) | None => 0,
            };
            Some(RouteAck { prefix, set, errno })
        };
        let acks: Vec<RouteAck> = effects.routes.into_iter().filter_map(ack).collect();
        if !acks.is_empty() {
            self.speaker.handle(Event::Acks(&acks), &mut self.effects, NOW);
        }
        any
    }
}

/// What a caller says of restarts: one that is away for long has no other time.
fn restarts(caller: Caller) -> Capability {
    Capability::GracefulRestart(GracefulRestart {
        restarting: false,
        notification: false,
        seconds: if caller.sender == Sender::LongAway { 0 } else { 90 },
        families: Family::ALL.map(|family| (family.afi(), 1, false)).into(),
    })
}

fn lives_long() -> Capability {
    let said =
        |family: Family| LongLivedFamily { afi: family.afi(), safi: 1, forwarding: false, seconds: 60 };
    Capability::LongLivedRestart(LongLivedRestart { families: Family::ALL.map(said).into() })
}

fn conn(n: usize) -> ConnId {
    ConnId::Inbound(n as u64)
}
