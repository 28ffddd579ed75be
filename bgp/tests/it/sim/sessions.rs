//! Sessions between speakers: they come up, stay up, fall and come back.

use bgp::config::PeerAs;
use bgp::id::Asn;
use bgp::io::State;
use bgp::reason::Reason;
use bgp::time::Duration;

use super::network::{Network, config, peer};
use super::routes::{originate, wired};

/// Two routers of two ASes that name each other.
pub(super) fn pair(seed: u64) -> Network {
    let mut configs = vec![config(0, 65001), config(1, 65002)];
    configs[0].peers.push(peer(0, 1));
    configs[1].peers.push(peer(1, 0));
    Network::new(seed, configs)
}

#[test]
fn a_session_comes_up_from_both_sides_at_once() {
    for seed in 0..50 {
        let mut network = pair(seed);
        network.until_up();
        let view = network.peer(0, 1);
        assert_eq!(view.asn, Some(Asn(65002)));
        assert_eq!(view.hold, Some(Duration::from_secs(9)));
        assert_eq!(view.established_count, 1, "seed {seed}: a collision leaves one session");
        assert!(view.families.ipv4 && view.families.ipv6);
    }
}

#[test]
fn keepalives_hold_a_session_for_an_hour() {
    let mut network = pair(1);
    network.until_up();
    network.run(Duration::from_secs(3600));
    assert_eq!(network.peer(0, 1).state, State::Established);
    assert_eq!(network.peer(0, 1).established_count, 1);
}

#[test]
fn silence_ends_a_session_at_the_hold_time_and_not_before() {
    let mut network = pair(2);
    network.until_up();
    network.run(Duration::from_secs(20));
    network.cut(0, 1, true);
    let silent_at = network.now;
    network.until("router 0 notices", |network| network.peer(0, 1).state != State::Established);
    let noticed_after = network.now - silent_at;
    assert!(noticed_after <= Duration::from_millis(9_100), "{noticed_after:?}");
    assert!(noticed_after >= Duration::from_secs(6), "a KEEPALIVE came at most 3 s before");
    assert_eq!(network.peer(0, 1).down.expect("a cause").reason, Reason::HoldTimerExpired);
    network.cut(0, 1, false);
    network.until_up();
    assert_eq!(network.peer(0, 1).established_count, 2);
}

#[test]
fn another_as_than_expected_keeps_the_session_down_and_says_so() {
    let mut network = pair(3);
    network.reconcile(0, |config| config.peers[0].asn = PeerAs::Exactly(Asn(65010)));
    network.run(Duration::from_secs(30));
    let view = network.peer(0, 1);
    assert_ne!(view.state, State::Established);
    let down = view.down.expect("a cause");
    assert_eq!(down.reason, Reason::BadPeerAs);
    assert_eq!(down.text, "peer AS is 65002, expected 65010");
    network.reconcile(0, |config| config.peers[0].asn = PeerAs::Exactly(Asn(65002)));
    network.until_up();
}

#[test]
fn a_removed_peer_is_told_and_forgotten() {
    let mut network = pair(4);
    network.until_up();
    network.reconcile(0, |config| config.peers.clear());
    network.settle();
    assert!(network.routers[0].speaker.peers().is_empty());
    let down = network.peer(1, 0).down.expect("a cause");
    assert_eq!(down.reason, Reason::NotificationReceived);
    assert!(down.text.contains("Peer De-configured"), "{}", down.text);
    assert_eq!(network.routers[0].speaker.deadline(), None);
}

#[test]
fn a_stranger_is_refused_with_cease() {
    let mut network = pair(5);
    network.reconcile(0, |config| config.peers.clear());
    network.run(Duration::from_secs(20));
    let down = network.peer(1, 0).down.expect("a cause");
    assert!(down.text.contains("Connection Rejected"), "{}", down.text);
}

#[test]
fn end_of_rib_is_known_a_family_and_a_session() {
    let mut network = pair(6);
    network.reconcile(0, |config| config.peers[0].families.ipv6 = false);
    network.until_up();
    network.until("both have sent all", |network| network.peer(0, 1).end_of_rib.ipv4);
    let view = network.peer(0, 1);
    assert!(!view.families.ipv6 && !view.end_of_rib.ipv6, "{view:?}");
    network.cut(0, 1, true);
    network.until("router 0 notices", |network| network.peer(0, 1).state != State::Established);
    assert!(!network.peer(0, 1).end_of_rib.ipv4, "what a session before has said is over");
    network.cut(0, 1, false);
    network.until("again", |network| network.peer(0, 1).end_of_rib.ipv4);
    assert_eq!(network.peer(0, 1).established_count, 2);
}

#[test]
fn a_withdrawal_that_awaits_the_kernel_holds_no_end_of_rib_back() {
    let mut network = wired(7, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[1]);
    originate(&mut network, 0, &["10.244.1.0/24"]);
    network.until_up();
    network.settle();
    // Router 2 comes anew while the kernel of 1 has yet to drop a route.
    network.routers[1].kernel_answers = false;
    originate(&mut network, 0, &[]);
    network.settle();
    for disabled in [true, false] {
        network.reconcile(2, |config| config.peers[0].disabled = disabled);
        network.settle();
    }
    network.until_up();
    network.routers[1].kernel_answers = true;
    network.until("all is told", |network| network.peer(2, 1).end_of_rib.ipv4);
}
