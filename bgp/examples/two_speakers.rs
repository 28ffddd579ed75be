//! Two speakers in one process: what one writes the other reads, and a kernel says yes to everything.
//! `cargo run -p bgp --example two_speakers`

use std::net::{Ipv4Addr, SocketAddr};

use bgp::config::{Origination, OwnNextHop, PeerConfig, SpeakerConfig};
use bgp::id::{Asn, ConnId, RouterId};
use bgp::io::{Effects, Event, RouteAck, RouteChange, Tracking, Transport};
use bgp::speaker::Speaker;
use bgp::time::Instant;
use bgp::view::RouteFilter;

const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
const CONN: ConnId = ConnId::Inbound(0);

/// A speaker of an AS of its own that originates one prefix and peers with the other one.
fn config(own: usize) -> SpeakerConfig {
    let prefix = format!("10.244.{own}.0/24").parse().expect("a prefix");
    let next_hop = OwnNextHop { ipv4: Some(ADDRESSES[own]), ipv6: None };
    let peer = PeerConfig { own_next_hop: next_hop, ..PeerConfig::new(ADDRESSES[1 - own].into()) };
    SpeakerConfig {
        origins: vec![Origination::new(prefix)],
        peers: vec![peer],
        ..SpeakerConfig::new(Asn(65_001 + own as u32), RouterId::from(ADDRESSES[own]))
    }
}

/// What each one installs.
pub(crate) fn run() -> Vec<String> {
    let now = Instant(0); // No timer is needed: both are there at once.
    let mut effects = [Effects::default(), Effects::default()];
    let mut speakers = [0, 1].map(|own| Speaker::new(&config(own), 7));
    for own in [0, 1] {
        let [local, remote] = [own, 1 - own].map(|at| SocketAddr::new(ADDRESSES[at].into(), 179));
        speakers[own].reconcile(config(own), &mut effects[own], now);
        speakers[own].handle(Event::Accepted { conn: CONN, local, remote }, &mut effects[own], now);
    }
    while [0, 1].map(|own| speakers[own].work(&mut effects[own], now) || !effects[own].is_empty())
        != [false; 2]
    {
        for own in [0, 1] {
            let Effects { transport, tracking, routes, .. } = std::mem::take(&mut effects[own]);
            for effect in transport {
                let Transport::Write { conn, bytes } = effect else { continue };
                speakers[own].handle(Event::Written { conn, bytes: bytes.len() }, &mut effects[own], now);
                speakers[1 - own].handle(Event::Bytes { conn, bytes: &bytes }, &mut effects[1 - own], now);
            }
            for effect in tracking {
                let Tracking::Start(next_hop) = effect else { continue };
                speakers[own].handle(Event::NextHop { next_hop, metric: Some(0) }, &mut effects[own], now);
            }
            let ack = |RouteChange { prefix, set }: RouteChange| RouteAck { prefix, set, errno: 0 };
            let acks: Vec<RouteAck> = routes.into_iter().map(ack).collect();
            speakers[own].handle(Event::Acks(&acks), &mut effects[own], now);
        }
    }
    let installed = |own: usize| speakers[own].routes(RouteFilter::Installed, None, 100).routes;
    let line = |own: usize| {
        move |route: bgp::view::RouteView| {
            format!("{own}: {} by {}", route.prefix, route.next_hops[0].address)
        }
    };
    [0, 1].into_iter().flat_map(|own| installed(own).into_iter().map(line(own))).collect()
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() {
    run().iter().for_each(|line| println!("{line}"));
}
