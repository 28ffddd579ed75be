//! What is done to AS_PATHs between speakers: own ASes allowed, the peer's
//! replaced, private ones left out, a first AS that is not the peer's.

use bgp::config::{AsPathPolicy, LocalAs};
use bgp::id::Asn;
use bgp::reason::Reason;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, originate, wired};

const P: &str = "10.244.1.0/24";

/// Changes what router `own` does with the AS_PATHs of router `other`.
fn paths(network: &mut Network, own: usize, other: usize, policy: AsPathPolicy) {
    network.reconcile(own, |config| {
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(other)) {
            peer.as_path = policy;
        }
    });
    network.settle();
}

/// Routers in a line; the first originates the prefix.
fn line(asns: &[u32]) -> Network {
    let links: Vec<(usize, usize)> = (1..asns.len()).map(|to| (to - 1, to)).collect();
    let transit: Vec<usize> = (0..asns.len()).collect();
    let mut network = wired(51, asns, &links, &transit);
    originate(&mut network, 0, &[P]);
    network.until_up();
    network.settle();
    network
}

fn path_at(network: &Network, router: usize) -> (String, bool) {
    let route = network.route(router, prefix(P)).expect("a route");
    (route.paths[0].attributes.as_path.to_string(), route.paths[0].accepted)
}

#[test]
fn two_sites_of_one_as_hear_of_each_other_when_allowed() {
    let mut network = line(&[65001, 65002, 65001]);
    assert_eq!(path_at(&network, 2), ("65002 65001".to_owned(), false));
    let allowed = AsPathPolicy { allow_own: 1, ..AsPathPolicy::default() };
    paths(&mut network, 2, 1, allowed);
    assert_eq!(path_at(&network, 2), ("65002 65001".to_owned(), true));
    assert!(network.fib(2, prefix(P)).is_some());
    paths(&mut network, 2, 1, AsPathPolicy::default());
    assert!(network.fib(2, prefix(P)).is_none(), "without a new session");

    // The router between them may lend its own AS.
    let lent = AsPathPolicy { override_peer: true, ..AsPathPolicy::default() };
    paths(&mut network, 1, 2, lent);
    assert_eq!(path_at(&network, 2), ("65002 65002".to_owned(), true));
    assert_quiescent(&network);
}

#[test]
fn as_often_as_allowed_and_no_more() {
    let mut network = line(&[65001, 65002, 65001]);
    let prepend = bgp::rule::Changes { prepend: 1, ..bgp::rule::Changes::default() };
    network.reconcile(0, |config| {
        let rule = bgp::rule::Rule { when: bgp::rule::Condition::default(), reject: false, set: prepend };
        config.peers[0].export = bgp::rule::Rules::new(vec![rule]);
    });
    network.settle();
    for (allow_own, accepted) in [(1, false), (2, true), (0, false)] {
        paths(&mut network, 2, 1, AsPathPolicy { allow_own, ..AsPathPolicy::default() });
        assert_eq!(path_at(&network, 2), ("65002 65001 65001".to_owned(), accepted), "{allow_own}");
    }
    let route = network.route(2, prefix(P)).expect("a route");
    assert_eq!(route.paths[0].verdict, Reason::AsLoop);
}

#[test]
fn private_ases_stay_inside() {
    let mut network = line(&[4_200_000_001, 64_600, 3356, 64_700]);
    assert_eq!(path_at(&network, 3), ("3356 64600 4200000001".to_owned(), true));
    let bare = AsPathPolicy { remove_private: true, ..AsPathPolicy::default() };
    paths(&mut network, 2, 3, bare);
    assert_eq!(path_at(&network, 3), ("3356".to_owned(), true));
    // The peer's own AS stays, so that it sees the loop.
    let mut network = line(&[64_700, 64_600, 3356, 64_700]);
    paths(&mut network, 2, 3, bare);
    assert_eq!(path_at(&network, 3), ("3356 64700".to_owned(), false));
    assert_quiescent(&network);
}

/// Has router `own` known to router `other` by another AS.
fn known_by(network: &mut Network, own: usize, other: usize, local: Option<LocalAs>) {
    network.reconcile(own, |config| {
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(other)) {
            peer.local_as = local;
        }
    });
    network.until_up();
    network.settle();
}

#[test]
fn a_router_is_known_by_its_former_as() {
    // Router 1 was of AS 64999, and its old neighbours, 0 and 2, need not know better.
    let former = LocalAs { asn: Asn(64_999), no_prepend: false, replace: false };
    let mut network = line(&[65001, 65002, 65003, 65004]);
    for other in [0, 2] {
        known_by(&mut network, 1, other, Some(former));
    }
    assert_eq!(network.peer(2, 1).asn, Some(Asn(64_999)));
    // RFC 7705 §3.1 and §3.2: both ASes show, and the old one where the path came in.
    assert_eq!(path_at(&network, 2), ("64999 65002 64999 65001".to_owned(), true));
    let explained = network.explain(1, prefix(P)).route.expect("a route").paths.remove(0);
    let changed = explained.changed.expect("the own AS before it");
    assert_eq!(changed.attributes.as_path.to_string(), "64999 65001");

    known_by(&mut network, 1, 0, Some(LocalAs { no_prepend: true, ..former }));
    assert_eq!(path_at(&network, 2), ("64999 65002 65001".to_owned(), true));
    known_by(&mut network, 1, 2, Some(LocalAs { replace: true, ..former }));
    assert_eq!(path_at(&network, 2), ("64999 65001".to_owned(), true));
    assert_eq!(network.peer(1, 2).established_count, 2, "another AS alone needs another session");
    assert_quiescent(&network);

    // The former AS is an own one: a path through it is a loop.
    let mut network = line(&[64_999, 65002, 65003]);
    known_by(&mut network, 1, 0, Some(LocalAs { asn: Asn(64_998), ..former }));
    assert!(path_at(&network, 1).1);
    let mut network = line(&[64_999, 65001, 65002, 65003]);
    known_by(&mut network, 2, 1, Some(former));
    let refused = network.route(2, prefix(P)).expect("a route").paths.remove(0);
    assert_eq!((refused.verdict, refused.accepted), (Reason::AsLoop, false));
    assert_eq!(refused.detail, "own AS 64999 in path (RFC 4271 9.1.2)");
}
