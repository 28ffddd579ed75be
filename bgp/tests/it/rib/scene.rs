//! Scenes: a few calls and what comes of them.

use bgp::io::{RouteChange, SetChange, SetId, Tracking};

use bgp::reason::Reason;
use bgp::rib::Advertise;

use super::*;

const P: &str = "192.0.2.0/24";

#[test]
fn a_new_route_waits_for_next_hop_and_kernel() {
    let mut bench = Bench::new(CONFIG);
    let a = bench.add(peer(1));
    let attrs = bench.announce(a, P, attributes(1, &[65001]));
    let effects = bench.turn();
    assert_eq!(effects.tracking, [Tracking::Start(hop(1))]);
    assert!(effects.routes.is_empty(), "an unresolved next hop installs nothing");
    assert_eq!(bench.verdicts(P), [(a, Reason::NextHopUnreachable)]);
    assert_eq!(bench.advertise(P), Advertise::Nothing);

    bench.rib.set_next_hop(hop(1), Some(0));
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(1)] }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: Some(SetId(0)) }]);
    assert_eq!(bench.advertise(P), Advertise::Nothing, "before the ack");
    bench.ack(&effects, 0);
    bench.turn();
    assert_eq!(bench.changed.len(), 1);
    assert_eq!(bench.advertise(P), Advertise::Path { attrs, source: a });
}

/// Two resolved external peers and a route of each; the effects of the turn are acknowledged.
fn two_peers() -> (Bench, bgp::rib::SourceId, bgp::rib::SourceId) {
    let mut bench = Bench::new(CONFIG);
    let (a, b) = (bench.add(peer(1)), bench.add(peer(2)));
    bench.announce(a, P, attributes(1, &[65001]));
    bench.announce(b, P, attributes(2, &[65002]));
    bench.turn();
    bench.rib.set_next_hop(hop(1), Some(0));
    bench.rib.set_next_hop(hop(2), Some(0));
    bench.turn_acked();
    (bench, a, b)
}

#[test]
fn equal_paths_make_a_set_and_a_lost_next_hop_shrinks_it_at_once() {
    let (mut bench, a, b) = two_peers();
    assert_eq!(bench.verdicts(P), [(a, Reason::Best), (b, Reason::Multipath)]);
    bench.rib.set_next_hop(hop(1), None);
    let mut effects = Effects::default();
    bench.rib.drain(&mut effects);
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(2)] }]);
    let effects = bench.turn();
    assert!(effects.routes.is_empty(), "the set carries the route as it is");
    assert_eq!(bench.verdicts(P), [(a, Reason::NextHopUnreachable), (b, Reason::Best)]);
    assert!(matches!(bench.advertise(P), Advertise::Path { source, .. } if source == b));

    // The set does not grow: the route changes to another one.
    bench.rib.set_next_hop(hop(1), Some(0));
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(1), members: vec![hop(1), hop(2)] }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: Some(SetId(1)) }]);
    assert_eq!(bench.advertise(P), Advertise::Hold);
    bench.ack(&effects, 0);
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: Vec::new() }]);
    assert!(matches!(bench.advertise(P), Advertise::Path { source, .. } if source == a));
}

#[test]
fn a_lost_peer_shrinks_the_sets_of_next_hops_that_only_it_used() {
    let (mut bench, a, b) = two_peers();
    bench.rib.remove_source(a);
    let mut effects = Effects::default();
    bench.rib.drain(&mut effects);
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(2)] }]);
    assert_eq!(bench.rib.add_source(peer(3)).map(SourceId::index), Some(2), "the handle is not free yet");
    let effects = bench.turn();
    assert!(effects.routes.is_empty());
    assert_eq!(effects.tracking, [Tracking::Stop(hop(1))]);
    assert_eq!(bench.verdicts(P), [(b, Reason::Best)]);
    assert_eq!(bench.rib.add_source(peer(4)).map(SourceId::index), Some(0));

    bench.rib.remove_source(b);
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: Vec::new() }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: None }]);
    assert_eq!(bench.advertise(P), Advertise::Nothing);
    bench.ack(&effects, 0);
    bench.turn();
    assert_eq!(bench.rib.find(prefix(P)), None, "freed");
    assert!(bench.rib.attributes().is_empty());
}
