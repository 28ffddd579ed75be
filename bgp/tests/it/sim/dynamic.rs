//! Peers that connect from a prefix, and are peers while their session lasts.

use bgp::config::{DynamicPeers, PeerAs, PeerConfig, Restart};
use bgp::io::State;
use bgp::time::Duration;

use super::network::{Network, address, config, peer, prefix};
use super::routes::{assert_quiescent, originate};

const FAR: &str = "10.244.9.0/24";

/// Router 0 takes external peers of 10.0.0.0/29, which holds routers 1 and 2 and not 7.
fn listening(seed: u64, most: u32, restart: Restart) -> Network {
    let mut configs: Vec<_> = (0..8).map(|router| config(router, 65000 + router as u32)).collect();
    for router in [1, 2, 7] {
        configs[router].peers.push(PeerConfig { restart, ..peer(router, 0) });
    }
    let of_range = PeerConfig { name: "rack".to_owned(), asn: PeerAs::External, restart, ..peer(0, 0) };
    configs[0].dynamic.push(DynamicPeers { prefix: prefix("10.0.0.0/29"), most, peer: of_range });
    let mut network = Network::new(seed, configs);
    originate(&mut network, 1, &[FAR]);
    network
}

/// The peers of router 0 by address, as far as they are Established.
fn up(network: &Network) -> Vec<std::net::IpAddr> {
    let peers = network.routers[0].speaker.peers();
    peers.iter().filter(|peer| peer.state == State::Established).map(|peer| peer.address).collect()
}

const NO_RESTARTS: Restart = Restart { seconds: 0, notification: false, long_lived: 0 };

#[test]
fn whoever_connects_from_the_prefix_is_a_peer_until_it_goes() {
    let mut network = listening(1, 9, NO_RESTARTS);
    network.until("both are up", |network| up(network) == [address(1), address(2)]);
    assert!(network.routers[0].speaker.peers().iter().all(|peer| peer.name == "rack"));
    network.until("its route", |network| network.fib(0, prefix(FAR)).is_some());
    // Outside of the prefix there are strangers.
    network.run(Duration::from_secs(30));
    assert_eq!(network.routers[0].speaker.peers().len(), 2);
    assert_eq!(network.peer(7, 0).established_count, 0);
    let told = network.peer(7, 0).notifications.received.expect("a NOTIFICATION").notification;
    assert_eq!((told.code, told.subcode), (6, 5));
    // One that ends its session is gone, with its routes; the other stays.
    network.reconcile(7, |config| config.peers.clear());
    network.reconcile(1, |config| config.peers.clear());
    network.until("it is gone", |network| network.routers[0].speaker.peers().len() == 1);
    assert!(network.fib(0, prefix(FAR)).is_none());
    assert_quiescent(&network);
    // So is the prefix, and with it who came from there.
    network.reconcile(0, |config| config.dynamic.clear());
    assert!(network.routers[0].speaker.peers().is_empty());
}

#[test]
fn there_are_as_many_as_may_be_and_room_is_given_again() {
    let mut network = listening(2, 1, NO_RESTARTS);
    network.until("one is up", |network| up(network).len() == 1);
    network.run(Duration::from_secs(20));
    let first = up(&network)[0];
    let (first, second) = if first == address(1) { (1, 2) } else { (2, 1) };
    assert_eq!(network.routers[0].speaker.peers().len(), 1, "{second} has to wait");
    network.reconcile(first, |config| config.peers.clear());
    network.until("the other one", |network| up(network) == [address(second)]);
}

#[test]
fn the_longest_prefix_counts_and_a_change_resets_no_session() {
    let mut network = listening(3, 9, NO_RESTARTS);
    network.until("both are up", |network| up(network).len() == 2);
    // A part of the prefix with another AS: the one that is there does not fit, the other one is not concerned.
    network.reconcile(0, |config| {
        let mut part = config.dynamic[0].clone();
        part.prefix = prefix("10.0.0.2/32");
        part.peer.asn = PeerAs::Exactly(bgp::id::Asn(65099));
        part.peer.name = "part".to_owned();
        config.dynamic.push(part);
    });
    network.until("the other one is there", |network| up(network) == [address(2)]);
    assert_eq!(network.peer(0, 2).established_count, 1);
    // Who is named is no dynamic peer any more, and keeps its session.
    network.reconcile(0, |config| config.peers.push(PeerConfig { restart: NO_RESTARTS, ..peer(0, 2) }));
    assert_eq!((network.peer(0, 2).name.as_str(), network.peer(0, 2).established_count), ("r2", 1));
    network.kill(2);
    network.run(Duration::from_secs(30));
    assert_eq!(network.peer(0, 2).established_count, 1, "down, and still a peer");
}

#[test]
fn one_that_restarts_is_a_peer_while_its_routes_are_kept() {
    let mut network = listening(4, 9, Restart { seconds: 30, ..NO_RESTARTS });
    network.until("its route", |network| network.fib(0, prefix(FAR)).is_some());
    let id = network.peer(0, 1).id;
    network.kill(1);
    network.run(Duration::from_secs(10));
    assert!(network.fib(0, prefix(FAR)).is_some() && network.peer(0, 1).kept_until.is_some());
    network.revive(1, true);
    network.until("it is back", |network| up(network).contains(&address(1)));
    assert_eq!(network.peer(0, 1).id, id, "the same peer, with its routes");
    // One that does not come back is gone when its time is over.
    network.kill(1);
    network.run(Duration::from_secs(60));
    assert_eq!(network.routers[0].speaker.peers().len(), 1);
    assert!(network.fib(0, prefix(FAR)).is_none());
}

#[test]
fn an_own_restart_waits_for_those_that_were_there() {
    let mut network = listening(5, 9, Restart { seconds: 120, ..NO_RESTARTS });
    network.until("both are up", |network| up(network).len() == 2);
    network.until("its route", |network| network.fib(0, prefix(FAR)).is_some());
    network.kill(2);
    network.kill(0);
    network.revive(0, true);
    network.run(Duration::from_secs(20));
    assert!(network.routers[0].speaker.is_recovering(), "the second one is not there yet");
    network.revive(2, true);
    network.until("both have spoken", |network| !network.routers[0].speaker.is_recovering());
}
