//! A speaker at a desk: its peers say what they are told to, its kernel says yes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bgp::config::SpeakerConfig;
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, RouteAck, RouteChange, State, Tracking, Transport};
use bgp::prefix::{Family, PerFamily};
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::wire::add_path::AddPath;
use bgp::wire::attribute::PathAttributes;
use bgp::wire::capability::Capability;
use bgp::wire::codec::Codec;
use bgp::wire::extended_next_hop::ExtendedNextHop;
use bgp::wire::nlri::Route;
use bgp::wire::open::Open;
use bgp::wire::{encode, frame, pack};

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
}

impl Desk {
    /// Peer number `n` of the configuration has the address of caller `n`.
    pub(super) fn new(config: &SpeakerConfig, callers: &[Caller], metrics: BTreeMap<IpAddr, u32>) -> Self {
        let speaker = Speaker::new(config, 3);
        let mut desk = Self { speaker, effects: Effects::default(), own: config.asn, metrics };
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
                .chain(caller.extended.then(|| Capability::ExtendedNextHop(ExtendedNextHop::ipv4_by_ipv6())));
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
        self.tell(Event::Bytes { conn: conn(n), bytes: &bytes });
    }

    fn tell(&mut self, event: Event<'_>) {
        self.speaker.handle(event, &mut self.effects, NOW);
        self.carry_out();
    }

    /// Until nothing is left to do.
    pub(super) fn settle(&mut self) {
        while self.speaker.work(&mut self.effects, NOW) | self.carry_out() {}
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
            if let Tracking::Start(next_hop) = effect {
                let metric = self.metrics.get(&next_hop.address).copied();
                self.speaker.handle(Event::NextHop { next_hop, metric }, &mut self.effects, NOW);
            }
        }
        let ack = |RouteChange { prefix, set }: RouteChange| RouteAck { prefix, set, errno: 0 };
        let acks: Vec<RouteAck> = effects.routes.into_iter().map(ack).collect();
        if !acks.is_empty() {
            self.speaker.handle(Event::Acks(&acks), &mut self.effects, NOW);
        }
        any
    }
}

fn conn(n: usize) -> ConnId {
    ConnId::Inbound(n as u64)
}
