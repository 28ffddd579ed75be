//! The routing information base, driven through its door.

mod ladder;
mod model;
mod scene;
mod several;

use std::net::{IpAddr, Ipv4Addr};

use bgp::id::{Asn, PeerId, RouterId};
use bgp::io::{Effects, NextHop, RouteAck};
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::rib::{Advertise, AttrId, EntryId, PathKey, Rib, RibConfig, Source, SourceId, SourceKind};
use bgp::rule::RouteOrigin;
use bgp::wire::as_path::{AsPath, Segment, SegmentKind};
use bgp::wire::attribute::{NextHops, PathAttributes};

/// More prefixes than any test announces.
const NO_LIMIT: u32 = u32::MAX;

const CONFIG: RibConfig = RibConfig { seed: 7, max_paths: 8, relax_as_path: true, install: true };

/// An external peer 10.0.0.N of AS 65000 + N, whose next hop is its address.
fn peer(n: u8) -> Source {
    Source {
        kind: SourceKind::External,
        origin: RouteOrigin::Learned,
        peer: Some(PeerId(n.into())),
        address: Some(address(n)),
        router_id: RouterId(n.into()),
        asn: Asn(65000 + u32::from(n)),
        via_default: false,
        client: false,
    }
}

const fn address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))
}

const fn hop(n: u8) -> NextHop {
    NextHop { address: address(n), via_default: false }
}

/// Attributes with next hop 10.0.0.N and an AS_PATH of these ASes.
fn attributes(n: u8, asns: &[u32]) -> PathAttributes {
    let mut attributes = PathAttributes::originated(NextHops::V4(Ipv4Addr::new(10, 0, 0, n)));
    if !asns.is_empty() {
        let asns = asns.iter().copied().map(Asn).collect();
        attributes.as_path = AsPath { segments: vec![Segment { kind: SegmentKind::Sequence, asns }] };
    }
    attributes
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a test names a prefix")
}

/// A base with its effects, and the rules that judge nothing.
struct Bench {
    rib: Rib,
    changed: Vec<EntryId>,
}

impl Bench {
    fn new(config: RibConfig) -> Self {
        Self { rib: Rib::new(config), changed: Vec::new() }
    }

    fn add(&mut self, source: Source) -> SourceId {
        self.rib.add_source(source).expect("few sources")
    }

    fn announce(&mut self, source: SourceId, text: &str, attributes: PathAttributes) -> AttrId {
        self.announce_as(source, text, attributes, None)
    }

    fn announce_as(
        &mut self,
        source: SourceId,
        text: &str,
        attributes: PathAttributes,
        refusal: Option<Reason>,
    ) -> AttrId {
        self.announce_one(source.into(), text, attributes, refusal)
    }

    fn announce_one(
        &mut self,
        key: PathKey,
        text: &str,
        attributes: PathAttributes,
        refusal: Option<Reason>,
    ) -> AttrId {
        let attrs = self.rib.attributes_mut().intern(attributes);
        self.rib.announce(key, prefix(text), attrs, refusal, NO_LIMIT);
        attrs
    }

    /// One turn: work to the end, what changed, effects.
    fn turn(&mut self) -> Effects {
        while self.rib.work(1000, &mut |_, _, _| Ok(None)) && self.rib.is_working() {}
        self.changed.clear();
        self.rib.changed(&mut self.changed);
        let mut effects = Effects::default();
        self.rib.drain(&mut effects);
        effects
    }

    /// A turn whose routes the kernel takes, and the turn after.
    fn turn_acked(&mut self) -> Effects {
        let effects = self.turn();
        self.ack(&effects, 0);
        self.turn();
        effects
    }

    fn ack(&mut self, effects: &Effects, errno: u16) {
        let acks: Vec<RouteAck> =
            effects.routes.iter().map(|r| RouteAck { prefix: r.prefix, set: r.set, errno }).collect();
        self.rib.acknowledge(&acks);
    }

    fn advertise(&self, text: &str) -> Advertise {
        let id = self.rib.find(prefix(text));
        id.and_then(|id| self.rib.entry(id)).map_or(Advertise::Nothing, |entry| entry.advertise)
    }

    /// The verdict of each source's path.
    fn verdicts(&self, text: &str) -> Vec<(SourceId, Reason)> {
        let Some(id) = self.rib.find(prefix(text)) else { return Vec::new() };
        let entry = self.rib.entry(id).expect("found");
        let mut verdicts: Vec<_> = entry.paths.iter().map(|p| (p.source(), p.verdict())).collect();
        verdicts.sort();
        verdicts
    }
}
