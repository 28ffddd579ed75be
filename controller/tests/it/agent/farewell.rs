//! What a peer that keeps routes over a restart is told at the end: nothing where the agent comes back, and what ends the
//! keeping where the node is left (RFC 8538 §3.1).

use bgp::id::{Asn, RouterId};
use bgp::io::{State, Transport};
use bgp::prefix::Family;
use bgp::time::Duration;
use bgp::wire::capability::Capability;
use bgp::wire::header;
use bgp::wire::open::Open;
use bgp::wire::restart::GracefulRestart;
use controller::drain::Drain;
use controller::event::Event;
use controller::transport::TransportEvent;
use jiff::Timestamp;

use super::fake::{World, manifests};

const PEERS: [(&str, u32); 1] = [("10.0.1.1", 65100)];

/// An OPEN of a peer that keeps routes over a restart; over a NOTIFICATION, too, if it has the N bit.
fn open(notification: bool) -> Vec<u8> {
    let families = vec![(1, 1, true), (2, 1, true)];
    let restart = GracefulRestart { restarting: false, notification, seconds: 120, families };
    let capabilities = vec![
        Capability::multiprotocol(Family::Ipv4),
        Capability::multiprotocol(Family::Ipv6),
        Capability::FourOctetAs(Asn(65100)),
        Capability::GracefulRestart(restart),
    ];
    let mut bytes = Vec::new();
    Open { asn: Asn(65100), hold_seconds: 0, router_id: RouterId(9), capabilities }.encode(&mut bytes);
    header::encode_keepalive(&mut bytes);
    bytes
}

/// The code and subcode of each NOTIFICATION that a peer is sent when the agent ends.
fn last_words(peer_knows: bool, drain: Option<bool>, host_stops: bool) -> Vec<(u8, u8)> {
    let mut world = World::new();
    let since = Timestamp::now();
    let drain =
        drain.map(|pods| Drain { pods, reason: "new disk".to_owned(), since, until: None, services: None });
    world.agent.begin_drained(drain, None);
    world.manifests(&manifests(&PEERS, ", gracefulRestart: {notification: true}"));
    let conn = world.connecting("10.0.1.1:179");
    let local = "10.0.1.2:50000".parse().unwrap();
    world.put(Event::Transport(TransportEvent::Connected { conn, local }));
    world.run();
    world.bytes(conn, open(peer_knows));
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.snapshot().peers[0].state, State::Established);
    world.told();
    world.agent.stop(host_stops);
    let told = world.told();
    let closed = told.iter().any(|(_, effect)| matches!(effect, Transport::Close { .. }));
    assert!(closed, "{told:?}");
    let messages = told.iter().filter_map(|(_, effect)| match effect {
        // RFC 4271 §4.1: marker, length, type; 3 is NOTIFICATION.
        Transport::Write { bytes, .. } if bytes[18] == 3 => Some((bytes[19], bytes[20])),
        _ => None,
    });
    messages.collect()
}

const SHUTDOWN: (u8, u8) = (6, 2);
const HARD_RESET: (u8, u8) = (6, 9);

#[test]
fn a_peer_is_told_nothing_of_a_mere_restart() {
    for knows in [true, false] {
        assert_eq!(last_words(knows, None, false), [], "N bit of the peer: {knows}");
        assert_eq!(last_words(knows, Some(false), false), [], "pods are still there: {knows}");
    }
}

#[test]
fn a_node_that_is_left_for_good_is_a_hard_reset_where_the_peer_keeps_routes_over_a_notification() {
    for (drain, host_stops) in [(Some(true), false), (Some(true), true), (None, true)] {
        assert_eq!(last_words(true, drain, host_stops), [HARD_RESET]);
        // Any other NOTIFICATION ends what a peer without the N bit keeps (RFC 4724 §4.1).
        assert_eq!(last_words(false, drain, host_stops), [SHUTDOWN]);
    }
}
