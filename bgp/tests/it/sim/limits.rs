//! Limits of prefixes in both directions, and sessions that have to wait for a key.

use bgp::config::{LimitAction, Obstacle, PeerConfig, ReceiveLimit};
use bgp::io::State;
use bgp::reason::Reason;
use bgp::time::Duration;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, originate, wired};

const THREE: [&str; 3] = ["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"];

/// Two routers; the first one's configuration of the second is changed.
fn network(seed: u64, change: impl Fn(&mut PeerConfig)) -> Network {
    let mut network = wired(seed, &[65001, 65002], &[(0, 1)], &[]);
    configure(&mut network, change);
    originate(&mut network, 1, &THREE);
    network
}

fn configure(network: &mut Network, change: impl Fn(&mut PeerConfig)) {
    network.reconcile(0, |config| {
        config.peers.iter_mut().filter(|peer| peer.address == address(1)).for_each(&change);
    });
    network.settle();
}

fn receive(most: u32, action: LimitAction) -> impl Fn(&mut PeerConfig) {
    move |peer| peer.receive = ReceiveLimit { most, warn_at: Some(most * 8 / 10), action }
}

#[test]
fn what_is_beyond_the_limit_is_refused_and_asked_for_once_there_is_room() {
    let mut network = network(41, receive(2, LimitAction::Reject));
    network.until_up();
    network.settle();
    let view = network.peer(0, 1);
    assert_eq!(
        (view.counts.ipv4.accepted, view.counts.ipv4.rejected.as_slice()),
        (2, &[(Reason::PrefixLimit, 1)][..])
    );
    assert_eq!(view.limits, ["IPv4: 3 prefixes received, the limit is 2"]);
    assert_eq!(network.routers[0].notices.len(), 1, "{:?}", network.routers[0].notices);
    assert!(network.route(0, prefix(THREE[2])).is_none(), "nothing is stored beyond the limit");
    // The peer takes one back: the third one comes without a new session.
    originate(&mut network, 1, &THREE[1..]);
    network.until("the prefix that had found no room", |network| network.fib(0, prefix(THREE[2])).is_some());
    let view = network.peer(0, 1);
    assert_eq!(
        (view.counts.ipv4.accepted, view.counts.ipv4.rejected.len(), view.established_count),
        (2, 0, 1)
    );
    // A larger limit makes room as well.
    originate(&mut network, 1, &THREE);
    network.settle();
    assert_eq!(network.peer(0, 1).counts.ipv4.rejected, [(Reason::PrefixLimit, 1)]);
    configure(&mut network, receive(9, LimitAction::Reject));
    network.until("all three", |network| network.peer(0, 1).counts.ipv4.accepted == 3);
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert!(network.peer(0, 1).limits.is_empty());
    assert_quiescent(&network);
}

#[test]
fn a_warning_lets_everything_in_and_is_told_once() {
    let mut network = network(42, receive(2, LimitAction::Warn));
    network.until_up();
    network.settle();
    assert_eq!(network.peer(0, 1).counts.ipv4.accepted, 3);
    assert_eq!(network.peer(0, 1).limits, ["IPv4: 3 prefixes received, the limit is 2"]);
    let told = network.routers[0].notices.clone();
    assert_eq!(
        told.last().map(|notice| (notice.reason, notice.text.as_str())),
        Some((Reason::PrefixLimit, "IPv4: 3 prefixes received, the limit is 2"))
    );
    originate(&mut network, 1, &[THREE[0], THREE[1], THREE[2], "10.244.4.0/24"]);
    network.settle();
    assert_eq!(network.routers[0].notices.len(), told.len(), "not with each prefix");
}

#[test]
fn a_reset_says_why_rests_and_is_over_with_another_limit() {
    let mut network = network(43, receive(2, LimitAction::Reset));
    network.until("the session to rest", |network| {
        network.peer(0, 1).down.is_some_and(|down| down.reason == Reason::PrefixLimit)
    });
    let view = network.peer(0, 1);
    assert_eq!(view.state, State::Idle);
    let text = view.down.expect("down").text;
    assert!(text.contains("(6/1), data 00 01 01 00 00 00 02"), "family and limit: {text}");
    let heard = network.peer(1, 0).down.expect("down").text;
    assert!(heard.contains("(6/1)"), "{heard}");
    assert!(network.fib(0, prefix(THREE[0])).is_none());
    let ups = network.peer(0, 1).established_count;
    network.run(Duration::from_secs(50));
    assert_eq!(
        (network.peer(0, 1).state, network.peer(0, 1).established_count),
        (State::Idle, ups),
        "it rests"
    );
    network.run(Duration::from_secs(30));
    assert_eq!(network.peer(0, 1).established_count, ups + 1, "tried once more after a minute");
    network.run(Duration::from_secs(90));
    assert_eq!(network.peer(0, 1).established_count, ups + 1, "and then not for two");
    configure(&mut network, receive(3, LimitAction::Reset));
    network.until_up();
    network.settle();
    assert_eq!(network.peer(0, 1).counts.ipv4.accepted, 3);
}

#[test]
fn no_more_than_the_send_limit_goes_out_and_what_waits_comes_when_there_is_room() {
    let mut network = wired(44, &[65001, 65002, 65003], &[(0, 1), (0, 2)], &[]);
    configure(&mut network, |peer| peer.send_limit = Some(2));
    originate(&mut network, 0, &THREE);
    network.until_up();
    network.settle();
    let view = network.peer(0, 1);
    assert_eq!((view.counts.ipv4.sent, view.counts.ipv4.kept_back), (2, 1));
    assert_eq!(view.limits, ["IPv4: 1 prefixes not sent, the limit is 2"]);
    assert_eq!(network.routers[0].notices.last().map(|notice| notice.reason), Some(Reason::SendLimit));
    assert_eq!(network.peer(0, 2).counts.ipv4.sent, 3, "no limit for the other one");
    let held: Vec<&str> = THREE.into_iter().filter(|text| network.route(1, prefix(text)).is_none()).collect();
    let [held] = held[..] else { panic!("{held:?}") };
    let refusal = network.explain(0, prefix(held)).sent[0].sent.clone().expect_err("kept back");
    assert_eq!(refusal.reason, Reason::SendLimit);
    assert_eq!(refusal.detail, "the peer is sent 2 prefixes of IPv4, its limit");
    assert_quiescent(&network);
    // One that was sent goes, and the one that waited takes its place.
    let kept: Vec<&str> = THREE.into_iter().filter(|text| *text == held || *text == THREE[0]).collect();
    originate(&mut network, 0, &kept);
    network.until("the one that waited", |network| network.route(1, prefix(held)).is_some());
    assert_eq!(network.peer(0, 1).counts.ipv4.kept_back, 0);
    // A smaller limit takes back, none gives everything, on one session.
    configure(&mut network, |peer| peer.send_limit = Some(1));
    assert_eq!((network.peer(0, 1).counts.ipv4.sent, network.peer(0, 1).counts.ipv4.kept_back), (1, 1));
    assert_quiescent(&network);
    configure(&mut network, |peer| peer.send_limit = None);
    assert_eq!((network.peer(0, 1).counts.ipv4.sent, network.peer(0, 1).counts.ipv4.kept_back), (2, 0));
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert_quiescent(&network);
}

fn missing() -> Option<Obstacle> {
    Some(Obstacle::MissingSecret("Secret \"tor\" is missing".to_owned()))
}

#[test]
fn an_address_that_is_away_costs_the_session_and_not_its_routes() {
    let mut network = network(46, |_| {});
    network.until_up();
    network.until("a route", |network| network.fib(0, prefix(THREE[0])).is_some());
    let away = Obstacle::NotOnLink("10.0.0.2 is not on a subnet of this node".to_owned());
    configure(&mut network, |peer| peer.obstacle = Some(away.clone()));
    let view = network.peer(0, 1);
    assert_eq!((view.state, view.down.map(|down| down.reason)), (State::Idle, Some(Reason::NotOnLink)));
    // RFC 4724 §4.2: lost, and no more; both sides keep what they had.
    assert_eq!(view.stale.ipv4, 3);
    assert!(view.kept_until.is_some() && network.peer(1, 0).kept_until.is_some());
    assert!(network.fib(0, prefix(THREE[0])).is_some());
    configure(&mut network, |peer| peer.obstacle = None);
    network.until_up();
    assert_quiescent(&network);
    assert_eq!(network.peer(0, 1).stale.ipv4, 0);
    // One that does not come back takes its routes along when the restart time is over.
    configure(&mut network, |peer| peer.obstacle = Some(away.clone()));
    network.run(Duration::from_secs(121));
    assert!(network.fib(0, prefix(THREE[0])).is_none());
}

#[test]
fn without_its_key_a_session_stays_down_with_the_reason() {
    let mut network = network(45, |peer| {
        (peer.authenticated, peer.obstacle) = (true, missing());
    });
    network.run(Duration::from_secs(30));
    let view = network.peer(0, 1);
    assert_eq!((view.state, view.established_count), (State::Idle, 0));
    assert_eq!(
        view.down.map(|down| (down.reason, down.text)),
        Some((Reason::MissingSecret, "Secret \"tor\" is missing".to_owned()))
    );
    configure(&mut network, |peer| peer.obstacle = None);
    network.until_up();
    configure(&mut network, |peer| peer.obstacle = missing());
    assert_eq!(network.peer(0, 1).state, State::Idle);
    assert!(network.fib(0, prefix(THREE[0])).is_none());
    // From a key to none the session starts anew: it was another one's to trust.
    configure(&mut network, |peer| peer.obstacle = None);
    network.until_up();
    let ups = network.peer(0, 1).established_count;
    configure(&mut network, |peer| peer.authenticated = false);
    network.until_up();
    assert_eq!(network.peer(0, 1).established_count, ups + 1);
}
