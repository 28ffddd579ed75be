//! Restarts: nothing is lost that comes back in time, nothing is kept that does not.

use bgp::config::{PeerConfig, Restart};
use bgp::io::State;
use bgp::prefix::Prefix;
use bgp::reason::Reason;
use bgp::time::Duration;

use super::network::{Network, address, config, peer, prefix};
use super::routes::{assert_quiescent, originate};

const NODE: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];
const FAR: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];

/// A node, router 0, below two ToRs that originate the same; everything is up.
fn rack(seed: u64, restart: Restart) -> Network {
    let mut configs = vec![config(0, 65001), config(1, 65100), config(2, 65101)];
    for (own, other) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        configs[own].peers.push(PeerConfig { restart, ..peer(own, other) });
    }
    let mut network = Network::new(seed, configs);
    originate(&mut network, 0, &NODE);
    originate(&mut network, 1, &FAR);
    originate(&mut network, 2, &FAR);
    network.until_up();
    network.settle();
    for text in FAR {
        assert_eq!(network.fib(0, prefix(text)).expect("a route").len(), 2, "ECMP over both");
    }
    network
}

const SHORT: Restart = Restart { seconds: 20, notification: false, long_lived: 0 };

fn routes(network: &Network, router: usize, texts: &[&str]) -> Vec<Option<Vec<std::net::IpAddr>>> {
    texts.iter().map(|text| network.fib(router, prefix(text))).collect()
}

fn verdict(network: &Network, router: usize, text: &str, peer: usize) -> (Reason, bool) {
    let route = network.route(router, prefix(text)).expect("a route");
    let name = format!("r{peer}");
    let path = route
        .paths
        .iter()
        .find(|path| matches!(&path.source, bgp::view::PathSource::Peer { name: of, .. } if *of == name));
    let path = path.expect("a path of the peer");
    (path.verdict, path.stale.is_some())
}

#[test]
fn an_own_restart_changes_no_route_on_either_side() {
    for seed in 0..20 {
        let mut network = rack(seed, SHORT);
        let before = (routes(&network, 0, &FAR), routes(&network, 1, &NODE), routes(&network, 2, &NODE));
        network.kill(0);
        network.settle();
        let kept = (routes(&network, 0, &FAR), routes(&network, 1, &NODE), routes(&network, 2, &NODE));
        assert_eq!(kept, before, "while the speaker is away");
        network.revive(0, true);
        let written = [1, 2].map(|tor| network.routers[tor].writes.len());
        network.until("the restart is over", |network| {
            let found = (routes(network, 0, &FAR), routes(network, 1, &NODE), routes(network, 2, &NODE));
            assert_eq!(found, before, "seed {seed}");
            !network.routers[0].speaker.is_recovering()
        });
        network.settle();
        assert_eq!([1, 2].map(|tor| network.routers[tor].writes.len()), written, "the ToRs wrote nothing");
        for (prefix, next_hops) in &network.routers[0].writes {
            let adopted = network.routers[0].adopted.get(prefix);
            assert_eq!(next_hops.as_ref(), adopted, "{prefix}: what the kernel held already");
        }
        assert_eq!(network.sweep(0), Vec::<Prefix>::new(), "all was asked for again");
        assert_eq!(routes(&network, 0, &FAR), before.0, "ECMP has both again");
        assert_eq!((network.peer(1, 0).stale.ipv4, network.peer(1, 0).stale.ipv6), (0, 0));
        assert!(network.peer(1, 0).end_of_rib.ipv4 && network.peer(1, 0).end_of_rib.ipv6);
        assert_quiescent(&network);
    }
}

#[test]
fn a_cold_start_has_its_routes_dropped_at_once() {
    let mut network = rack(3, SHORT);
    network.kill(0);
    network.settle();
    assert!(network.fib(1, prefix(NODE[0])).is_some(), "kept while it is away");
    network.reconcile(0, |config| config.origins.clear());
    network.kill(0);
    network.routers[0].kernel_answers = false;
    network.revive(0, false);
    network.until("a session", |network| network.peer(1, 0).state == State::Established);
    network.settle();
    // R and F are clear: the peer drops what it kept, and nothing came instead.
    assert_eq!(network.fib(1, prefix(NODE[0])), None);
    assert!(!network.routers[0].speaker.is_recovering());
}

#[test]
fn a_speaker_that_never_comes_back_is_forgotten_after_its_restart_time() {
    let mut network = rack(4, SHORT);
    network.kill(0);
    network.run(Duration::from_secs(19));
    assert!(network.fib(1, prefix(NODE[0])).is_some());
    assert!(network.peer(1, 0).kept_until.is_some());
    network.run(Duration::from_secs(2));
    assert_eq!(network.fib(1, prefix(NODE[0])), None);
    assert!(network.route(1, prefix(NODE[1])).is_none());
    assert_eq!(network.peer(1, 0).kept_until, None);
    let told = network.routers[1].notices.iter().filter(|notice| notice.reason == Reason::Stale);
    let told: Vec<&str> = told.map(|notice| notice.text.as_str()).collect();
    let expected =
        ["2 stale routes are kept for 20s", "the peer is not back in its restart time, and its routes go"];
    assert_eq!(told, expected);
}

#[test]
fn a_stale_path_leaves_the_ecmp_set_and_comes_back_with_the_peer() {
    let mut network = rack(5, SHORT);
    let both = network.fib(0, prefix(FAR[0]));
    network.kill(1);
    network.settle();
    assert_eq!(network.fib(0, prefix(FAR[0])), Some(vec![address(2)]), "the fresh one alone");
    assert_eq!(verdict(&network, 0, FAR[0], 1), (Reason::Stale, true));
    assert_eq!(verdict(&network, 0, FAR[0], 2), (Reason::Best, false));
    // The last one of all stays in use, stale as it is.
    network.kill(2);
    network.settle();
    assert!(network.fib(0, prefix(FAR[0])).is_some());
    network.revive(1, true);
    network.until("the first is back", |network| network.peer(0, 1).end_of_rib.ipv4);
    network.settle();
    assert_eq!(network.fib(0, prefix(FAR[0])), Some(vec![address(1)]));
    network.revive(2, true);
    network.until_up();
    network.settle();
    assert_eq!(network.fib(0, prefix(FAR[0])), both);
    assert_quiescent(&network);
}

#[test]
fn what_the_peer_has_no_more_goes_with_end_of_rib() {
    let mut network = rack(6, SHORT);
    network.kill(1);
    network.kill(2);
    network.settle();
    for router in [1, 2] {
        network.routers[router].config.origins.retain(|origin| origin.prefix != prefix(FAR[0]));
        network.revive(router, true);
    }
    assert!(network.fib(0, prefix(FAR[0])).is_some(), "kept");
    network.until("End-of-RIB", |network| [1, 2].iter().all(|&tor| network.peer(0, tor).end_of_rib.ipv4));
    network.settle();
    assert!(network.route(0, prefix(FAR[0])).is_none());
    assert_eq!(network.fib(0, prefix(FAR[1])).expect("the other family").len(), 2);
}

#[test]
fn a_family_that_does_not_come_back_goes_at_once() {
    let mut network = rack(7, SHORT);
    network.kill(1);
    network.kill(2);
    for router in [1, 2] {
        network.routers[router].config.peers.iter_mut().for_each(|peer| peer.families.ipv6 = false);
        network.revive(router, true);
    }
    network.until_up();
    network.settle();
    assert!(network.route(0, prefix(FAR[1])).is_none());
    assert_eq!(network.fib(0, prefix(FAR[0])).expect("the other family").len(), 2);
}

#[test]
fn two_restarts_lose_nothing_where_the_routes_were_sent_between_and_all_where_not() {
    // The node's routes reach the ToR before the second loss.
    let mut network = rack(8, SHORT);
    let before = routes(&network, 1, &NODE);
    for _ in 0..2 {
        network.kill(0);
        network.settle();
        assert_eq!(routes(&network, 1, &NODE), before);
        network.revive(0, true);
        network.until_up();
        network.settle();
    }
    assert_eq!(routes(&network, 1, &NODE), before);
    // They do not: what was stale already is deleted (RFC 4724 §4.2).
    let mut network = rack(9, SHORT);
    network.kill(0);
    network.settle();
    network.reconcile(0, |config| config.origins.clear());
    network.kill(0);
    network.sleep(1, true);
    network.revive(0, true);
    network.settle();
    network.sleep(1, false);
    network.until("a session", |network| network.peer(1, 0).state == State::Established);
    network.kill(0);
    network.settle();
    assert_eq!(routes(&network, 1, &NODE), [None, None]);
}

#[test]
fn a_peer_that_never_comes_does_not_hold_up_the_others_for_longer_than_the_timer() {
    let mut network = rack(10, SHORT);
    network.kill(2);
    network.kill(0);
    network.settle();
    network.revive(0, true);
    network.until("the one that is there", |network| network.peer(0, 1).end_of_rib.ipv4);
    network.settle();
    assert!(network.routers[0].speaker.is_recovering(), "the other one is expected");
    assert_eq!(network.fib(1, prefix(NODE[0])), Some(vec![address(0)]), "own routes wait for nobody");
    assert!(!network.peer(1, 0).end_of_rib.ipv4, "and End-of-RIB waits for selection");
    network.run(Duration::from_secs(10));
    assert!(!network.routers[0].speaker.is_recovering());
    assert_eq!(network.fib(0, prefix(FAR[0])), Some(vec![address(1)]));
    assert!(network.peer(1, 0).end_of_rib.ipv4);
}

#[test]
fn two_that_restart_at_once_do_not_wait_for_each_other() {
    let mut network = rack(11, SHORT);
    network.kill(0);
    network.kill(1);
    network.kill(2);
    for router in 0..3 {
        network.revive(router, true);
    }
    let began_at = network.now;
    network.until("all are done", |network| {
        network.routers.iter().all(|router| !router.speaker.is_recovering())
    });
    assert!(network.now - began_at < Duration::from_secs(9), "no timer was needed but that for such peers");
    network.settle();
    assert_eq!(network.fib(0, prefix(FAR[0])).expect("a route").len(), 2);
    assert_quiescent(&network);
}

#[test]
fn a_peer_that_says_it_restarts_is_waited_for_while_it_sends() {
    let mut network = rack(12, SHORT);
    // As FRR does for two minutes after its start: it has all, and says so in a bit.
    for tor in [1, 2] {
        network.kill(tor);
        network.revive(tor, true);
        network.routers[tor].kernel_answers = false;
    }
    network.kill(0);
    network.revive(0, true);
    network
        .until("a session with one that restarts", |network| network.peer(0, 1).state == State::Established);
    network.settle();
    assert!(network.routers[0].speaker.is_recovering(), "it is waited for");
    assert_eq!(network.fib(0, prefix(FAR[0])).expect("a route").len(), 2, "and nothing changes meanwhile");
    network.run(Duration::from_secs(6));
    assert!(!network.routers[0].speaker.is_recovering(), "for so long");
}

#[test]
fn a_hold_time_that_runs_out_keeps_routes_with_the_n_bit_alone() {
    for notification in [false, true] {
        let mut network = rack(12, Restart { notification, ..SHORT });
        network.cut(0, 1, true);
        network.until("the hold time is over", |network| network.peer(1, 0).state != State::Established);
        network.settle();
        assert_eq!(network.fib(1, prefix(NODE[0])).is_some(), notification);
        network.cut(0, 1, false);
        network.until_up();
        network.settle();
        assert_eq!(network.fib(1, prefix(NODE[0])), Some(vec![address(0)]));
        assert_quiescent(&network);
    }
}

#[test]
fn a_peer_that_is_removed_leaves_nothing_with_or_without_the_n_bit() {
    for notification in [false, true] {
        let mut network = rack(13, Restart { notification, ..SHORT });
        network.reconcile(0, |config| config.peers.retain(|peer| peer.address != address(1)));
        network.settle();
        assert_eq!(network.fib(1, prefix(NODE[0])), None, "N {notification}");
        let text = network.peer(1, 0).down.expect("down").text;
        assert_eq!(text.contains("(6/9): Cease/Peer De-configured (6/3)"), notification, "{text}");
        // One that is away leaves nothing either.
        network.kill(2);
        network.settle();
        network.reconcile(0, |config| config.peers.clear());
        network.settle();
        assert!(network.route(0, prefix(FAR[0])).is_none());
    }
}

#[test]
fn a_planned_end_keeps_routes_and_a_shutdown_does_not() {
    for planned in [true, false] {
        let mut network = rack(14, SHORT);
        let now = network.now;
        network.call(0, |speaker, effects| {
            if planned { speaker.suspend(effects, now) } else { speaker.shutdown("", effects, now) }
        });
        network.settle();
        assert_eq!(network.fib(1, prefix(NODE[0])).is_some(), planned);
    }
}

#[test]
fn a_peer_that_was_away_before_the_restart_holds_up_nobody() {
    let mut network = rack(7, Restart::default());
    network.kill(2);
    // Longer than its routes are kept.
    network.run(Duration::from_secs(200));
    network.kill(0);
    network.revive(0, true);
    network.run(Duration::from_secs(20));
    assert!(!network.routers[0].speaker.is_recovering(), "half of the restart time is a minute");
    // One that was up is waited for.
    network.revive(2, false);
    network.until_up();
    network.settle();
    network.kill(0);
    network.kill(2);
    network.revive(0, true);
    network.run(Duration::from_secs(20));
    assert!(network.routers[0].speaker.is_recovering());
    let awaited: Vec<_> = network.routers[0].speaker.awaited().into_iter().collect();
    assert_eq!(awaited, [address(1), address(2)]);
    network.run(Duration::from_secs(45));
    assert!(!network.routers[0].speaker.is_recovering(), "but not for ever");
}
