//! All of a family once more: asked for, marked, and cleaned up after.

use bgp::prefix::Family;
use bgp::reason::Reason;
use bgp::speaker::{SoftReset, SoftResetError};
use bgp::time::Duration;
use bgp::wire::refresh::{Refresh, Subtype};

use super::network::{Network, prefix};
use super::routes::{assert_quiescent, originate};
use super::sessions::pair;

const TWO: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];

/// Router 1 originates a prefix of each family.
fn network(seed: u64) -> Network {
    let mut network = pair(seed);
    originate(&mut network, 1, &TWO);
    network.until_up();
    network.settle();
    network
}

fn mark(family: Family, subtype: Subtype) -> Vec<u8> {
    let mut bytes = Vec::new();
    Refresh::mark(family, subtype).encode(&mut bytes);
    bytes
}

fn peer_of(network: &Network, router: usize) -> bgp::id::PeerId {
    network.routers[router].speaker.peers()[0].id
}

#[test]
fn a_soft_reset_sends_all_again_between_marks() {
    let mut network = network(71);
    let (received, written) = (network.peer(0, 1).updates.0, network.routers[1].written);
    let peer = peer_of(&network, 0);
    network.call(0, |speaker, effects| speaker.soft_reset(peer, SoftReset::In, effects)).expect("asked");
    network.settle();
    assert_eq!(network.routers[0].refreshes, [0, 0], "a request a family");
    assert_eq!(network.routers[1].refreshes, [1, 2, 1, 2], "BoRR and EoRR a family");
    assert!(network.routers[1].written > written);
    assert_eq!(network.peer(0, 1).updates.0, received + 2, "an UPDATE a family, marks do not count");
    assert_eq!(network.peer(0, 1).stale.ipv4 + network.peer(0, 1).stale.ipv6, 0);

    let peer = peer_of(&network, 1);
    network.call(1, |speaker, effects| speaker.soft_reset(peer, SoftReset::Out, effects)).expect("sent");
    network.settle();
    assert_eq!(network.routers[1].refreshes, [1, 2, 1, 2, 1, 2, 1, 2]);
    assert_eq!(network.peer(0, 1).updates.0, received + 4);
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert_quiescent(&network);
}

#[test]
fn what_does_not_come_again_goes_with_the_end_and_stays_in_use_until_then() {
    let mut network = network(72);
    let routes = network.routers[0].fib.clone();
    network.inject(1, 0, &mark(Family::Ipv4, Subtype::Begin));
    assert_eq!((network.peer(0, 1).stale.ipv4, network.peer(0, 1).stale.ipv6), (1, 0));
    assert_eq!(network.routers[0].fib, routes, "still in use");
    assert_eq!(network.route(0, prefix(TWO[0])).expect("there").paths[0].verdict, Reason::Best);
    network.inject(1, 0, &mark(Family::Ipv4, Subtype::End));
    assert!(network.route(0, prefix(TWO[0])).is_none(), "gone with EoRR");
    assert!(network.fib(0, prefix(TWO[1])).is_some(), "the other family was not touched");
}

#[test]
fn an_end_without_a_begin_is_ignored_and_a_begin_without_an_end_has_a_bound() {
    let mut network = network(73);
    network.inject(1, 0, &mark(Family::Ipv4, Subtype::End));
    assert!(network.fib(0, prefix(TWO[0])).is_some());
    network.inject(1, 0, &mark(Family::Ipv4, Subtype::Begin));
    network.run(Duration::from_secs(359));
    assert!(network.fib(0, prefix(TWO[0])).is_some());
    network.run(Duration::from_secs(2));
    assert!(network.route(0, prefix(TWO[0])).is_none());
}

#[test]
fn any_number_of_begins_is_one_refresh() {
    let mut network = network(74);
    for _ in 0..200 {
        network.inject(1, 0, &mark(Family::Ipv4, Subtype::Begin));
    }
    assert_eq!(network.peer(0, 1).stale.ipv4, 1);
    let peer = peer_of(&network, 1);
    network.call(1, |speaker, effects| speaker.soft_reset(peer, SoftReset::Out, effects)).expect("sent");
    network.settle();
    assert_eq!(network.peer(0, 1).stale.ipv4, 0);
    assert!(network.fib(0, prefix(TWO[0])).is_some(), "it came again");
}

#[test]
fn a_refresh_during_the_first_table_waits_for_end_of_rib() {
    let mut network = pair(75);
    originate(&mut network, 1, &TWO);
    network.routers[0].kernel_answers = false;
    network.until_up();
    network.routers[0].kernel_answers = true;
    network.settle();
    let peer = peer_of(&network, 0);
    network.call(0, |speaker, effects| speaker.soft_reset(peer, SoftReset::Both, effects)).expect("asked");
    network.settle();
    assert_quiescent(&network);
}

#[test]
fn why_a_soft_reset_is_not_possible() {
    let mut network = network(76);
    let peer = peer_of(&network, 0);
    network.cut(0, 1, true);
    network.run(Duration::from_secs(10));
    let reset = |speaker: &mut bgp::speaker::Speaker, effects: &mut bgp::io::Effects| {
        speaker.soft_reset(peer, SoftReset::Both, effects)
    };
    assert_eq!(network.call(0, reset), Err(SoftResetError::NotEstablished));
    let unknown = bgp::id::PeerId(99);
    let reset = network.call(0, |speaker, effects| speaker.soft_reset(unknown, SoftReset::In, effects));
    assert_eq!(reset, Err(SoftResetError::UnknownPeer));
}
