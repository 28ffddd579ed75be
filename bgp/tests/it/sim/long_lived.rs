//! Long-lived restarts (RFC 9494): a router that is away for longer than its restart
//! time leaves routes of last resort, told of to whom takes them, until its time is over.

use bgp::config::{Origination, PeerConfig, Restart};
use bgp::io::{Event, State};
use bgp::reason::Reason;
use bgp::time::Duration;
use bgp::view::PathView;
use bgp::wire::community::Community;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, origin, wired};

const P: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];
const FAR: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];

/// Five seconds, and then a minute.
const LONG: Restart = Restart { seconds: 5, notification: false, long_lived: 60 };
const NONE: Restart = Restart { long_lived: 0, ..LONG };

/// Router 0 originates, and forwards to what 3 does; 1 sends on, to 2, which takes long-lived stale routes, and to 3,
/// which does not.
fn chain(seed: u64, restart: Restart) -> Network {
    let links = [(0, 1), (1, 2), (1, 3)];
    let mut network = wired(seed, &[65_001, 65_002, 65_003, 65_004], &links, &[1]);
    for router in 0..4 {
        network.reconcile(router, |config| {
            let other = |peer: &PeerConfig| peer.address == address(3);
            for peer in &mut config.peers {
                peer.restart = if router == 3 || other(peer) { NONE } else { restart };
            }
            match router {
                0 => config.origins = P.map(origin).into(),
                3 => config.origins = FAR.map(origin).into(),
                _ => {}
            }
        });
    }
    // What an OPEN says of restarts holds from the next session on.
    for (own, other) in links {
        network.order(own, other, |peer| Event::Reset { peer });
    }
    network.until_up();
    network.settle();
    assert_quiescent(&network);
    network
}

fn paths(network: &Network, router: usize, text: &str) -> Vec<PathView> {
    network.route(router, prefix(text)).map_or_else(Vec::new, |route| route.paths)
}

/// The attributes of a path that are in use carry the community.
fn carries(path: &PathView, community: Community) -> bool {
    let used = path.changed.as_ref().map_or(&path.attributes, |changed| &changed.attributes);
    used.communities.contains(&community)
}

fn refusal(network: &Network, own: usize, other: usize, text: &str) -> Option<Reason> {
    let sent = network.explain(own, prefix(text)).sent;
    let to = sent.iter().find(|view| view.address == address(other)).expect("a peer");
    to.sent.as_ref().err().map(|refusal| refusal.reason)
}

#[test]
fn a_router_away_for_longer_than_its_restart_time_is_a_last_resort_until_its_time_is_over() {
    let mut network = chain(1, LONG);
    network.kill(0);
    network.run(Duration::from_secs(4));
    assert_eq!(paths(&network, 1, P[0])[0].stale, Some(Reason::Stale));
    assert_eq!(network.peer(1, 0).long_lived_until.ipv4, None);
    assert!(network.fib(3, prefix(P[0])).is_some(), "in its restart time everybody has it");
    network.run(Duration::from_secs(2));
    for text in P {
        let kept = &paths(&network, 1, text)[0];
        assert_eq!((kept.verdict, kept.stale), (Reason::Best, Some(Reason::LongLivedStale)));
        assert!(
            carries(kept, Community::LLGR_STALE)
                && !kept.attributes.communities.contains(&Community::LLGR_STALE)
        );
        let changed = kept.changed.as_ref().map(|changed| changed.detail.as_str());
        assert_eq!(changed, Some("LLGR_STALE attached (RFC 9494 4.2)"));
        assert!(network.fib(1, prefix(text)).is_some(), "installed while there is nothing better");
        // RFC 9494 §4.3: who takes it has it as what it is, and nobody else has it.
        let taken = &paths(&network, 2, text)[0];
        assert_eq!((taken.verdict, taken.stale), (Reason::Best, Some(Reason::LongLivedStale)));
        assert!(taken.attributes.communities.contains(&Community::LLGR_STALE));
        assert!(paths(&network, 3, text).is_empty());
        assert_eq!(refusal(&network, 1, 3, text), Some(Reason::LongLivedNotOffered));
    }
    let view = network.peer(1, 0);
    assert_eq!((view.stale.ipv4, view.stale.ipv6), (1, 1));
    assert_eq!(view.kept_until, view.long_lived_until.ipv4);
    network.run(Duration::from_secs(57));
    assert!(network.fib(2, prefix(P[0])).is_some());
    network.run(Duration::from_secs(4));
    for router in [1, 2] {
        assert!(paths(&network, router, P[0]).is_empty() && network.fib(router, prefix(P[1])).is_none());
    }
    assert_eq!(network.peer(1, 0).kept_until, None);
    let told = network.routers[1].notices.iter().filter(|notice| notice.address == address(0));
    let told: Vec<String> = told.map(|notice| format!("{}: {}", notice.reason, notice.text)).collect();
    let expected = [
        "stale: 2 stale routes are kept for 5s",
        "long-lived-stale: IPv4: stale routes are kept as a last resort for 60s",
        "long-lived-stale: IPv6: stale routes are kept as a last resort for 60s",
        "stale: IPv4: the long-lived stale time is over, and what was stale goes",
        "stale: IPv6: the long-lived stale time is over, and what was stale goes",
    ];
    assert_eq!(told[told.len() - 5..], expected);
}

#[test]
fn without_a_restart_time_the_last_resort_begins_at_once() {
    let mut network = chain(2, Restart { seconds: 0, ..LONG });
    network.kill(0);
    network.settle();
    assert_eq!(paths(&network, 1, P[0])[0].stale, Some(Reason::LongLivedStale));
    assert!(network.fib(1, prefix(P[0])).is_some() && paths(&network, 3, P[0]).is_empty());
}

#[test]
fn any_other_path_goes_before_it_whatever_it_looks_like() {
    let mut network = chain(3, LONG);
    // Router 2's path of the prefix crosses more ASes than what 0 announced.
    network.reconcile(2, |config| config.origins = P.map(origin).into());
    network.reconcile(2, |config| config.peers[0].export = prepended());
    network.settle();
    network.kill(0);
    network.run(Duration::from_secs(6));
    let at_one = paths(&network, 1, P[0]);
    let verdicts: Vec<_> = at_one.iter().map(|path| (path.verdict, path.stale)).collect();
    let expected = [(Reason::Best, None), (Reason::LongLivedStale, Some(Reason::LongLivedStale))];
    assert_eq!(verdicts, expected);
    assert_eq!(network.fib(1, prefix(P[0])), Some(vec![address(2)]));
    assert!(network.fib(3, prefix(P[0])).is_some(), "what is fresh is for everybody");
}

fn prepended() -> bgp::rule::Rules {
    use bgp::rule::{Changes, Condition, Rule, Rules};
    let set = Changes { prepend: 3, ..Changes::default() };
    Rules::new(vec![Rule { when: Condition::default(), reject: false, set }])
}

#[test]
fn a_route_that_says_so_is_not_kept_for_long() {
    let mut network = chain(4, LONG);
    network.reconcile(0, |config| {
        config.origins[0] = Origination { communities: vec![Community::NO_LLGR], ..origin(P[0]) };
    });
    network.settle();
    network.kill(0);
    network.run(Duration::from_secs(4));
    assert!(network.fib(1, prefix(P[0])).is_some(), "in its restart time it is");
    network.run(Duration::from_secs(2));
    assert!(paths(&network, 1, P[0]).is_empty() && paths(&network, 2, P[0]).is_empty());
    assert!(network.fib(1, prefix(P[1])).is_some());
}

#[test]
fn a_peer_that_comes_back_ends_it_with_its_end_of_rib() {
    let mut network = chain(5, LONG);
    network.kill(0);
    network.run(Duration::from_secs(10));
    network.routers[0].config.origins.truncate(1);
    network.revive(0, true);
    network.until("End-of-RIB", |network| network.peer(1, 0).end_of_rib.ipv6);
    network.settle();
    let back = &paths(&network, 1, P[0])[0];
    assert_eq!((back.verdict, back.stale), (Reason::Best, None));
    assert!(!carries(back, Community::LLGR_STALE));
    assert!(paths(&network, 1, P[1]).is_empty(), "what it has no more");
    assert!(network.fib(3, prefix(P[0])).is_some(), "everybody has it again");
    assert_eq!(network.peer(1, 0).long_lived_until.ipv4, None);
    assert_quiescent(&network);
}

#[test]
fn a_peer_that_comes_back_without_its_forwarding_state_ends_it_at_once() {
    let mut network = chain(6, LONG);
    network.kill(0);
    network.run(Duration::from_secs(10));
    network.routers[0].config.origins.clear();
    network.revive(0, false);
    network.until("a session", |network| network.peer(1, 0).state == State::Established);
    network.settle();
    assert!(paths(&network, 1, P[0]).is_empty() && paths(&network, 2, P[1]).is_empty());
}

#[test]
fn a_second_loss_does_not_start_the_time_again() {
    let mut network = chain(7, LONG);
    network.kill(0);
    network.run(Duration::from_secs(30));
    let until = network.peer(1, 0).long_lived_until.ipv4.expect("kept for long");
    // It is back for a moment, and has sent one of two prefixes, but no End-of-RIB, when it is lost again.
    network.routers[0].config.origins.remove(0);
    network.routers[0].config.origins.extend(["10.244.2.0/24"].map(origin));
    network.routers[0].kernel_answers = false;
    network.sleep(1, true);
    network.revive(0, true);
    network.settle();
    network.sleep(1, false);
    network.until("a session", |network| network.peer(1, 0).state == State::Established);
    network.until("a fresh route", |network| !paths(network, 1, "10.244.2.0/24").is_empty());
    network.kill(0);
    network.settle();
    let view = network.peer(1, 0);
    assert_eq!((view.stale.ipv4, view.long_lived_until.ipv4), (2, Some(until)));
    network.run(until - network.now - Duration::from_secs(1));
    assert!(network.fib(1, prefix(P[0])).is_some());
    network.run(Duration::from_secs(2));
    // RFC 9494 §4.2: all of the family that is stale, what was fresh in between with it.
    assert!(paths(&network, 1, P[0]).is_empty() && paths(&network, 1, "10.244.2.0/24").is_empty());
}

#[test]
fn a_peer_that_is_removed_or_disabled_meanwhile_leaves_nothing() {
    for remove in [true, false] {
        let mut network = chain(8, LONG);
        network.kill(0);
        network.run(Duration::from_secs(10));
        network.reconcile(1, |config| {
            if remove {
                config.peers.retain(|peer| peer.address != address(0));
            } else {
                config.peers.iter_mut().for_each(|peer| peer.disabled |= peer.address == address(0));
            }
        });
        network.settle();
        assert!(paths(&network, 1, P[0]).is_empty() && paths(&network, 2, P[0]).is_empty());
    }
}
