//! Well-known communities between speakers: what is not sent on, and the last resort.

use bgp::config::Origination;
use bgp::reason::Reason;
use bgp::wire::community::Community;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, origin, wired};

const P: &str = "10.244.1.0/24";

/// Router 0 originates the prefix with the communities; 1 has it from 0, 2 is in the AS of 1, 3 in one of its own.
fn from_outside(communities: &[Community]) -> Network {
    let links = [(0, 1), (1, 2), (1, 3)];
    let mut network = wired(41, &[65001, 65002, 65002, 65003], &links, &[1]);
    network.reconcile(0, |config| {
        config.origins = vec![Origination { communities: communities.to_vec(), ..origin(P) }];
    });
    network.until_up();
    network.settle();
    assert_quiescent(&network);
    network
}

#[test]
fn each_well_known_community_keeps_a_path_where_it_says() {
    let nothing = (None, None);
    let outside = |reason| (None, Some(reason));
    let cases = [
        (vec![], nothing),
        (vec![Community(65001 << 16 | 7)], nothing),
        (vec![Community::NO_EXPORT], outside(Reason::NoExport)),
        (vec![Community::NO_EXPORT_SUBCONFED], outside(Reason::NoExportSubconfed)),
        (vec![Community::NO_PEER], outside(Reason::NoPeer)),
        (vec![Community::BLACKHOLE], outside(Reason::Blackhole)),
        (vec![Community::NO_ADVERTISE], (Some(Reason::NoAdvertise), Some(Reason::NoAdvertise))),
        // The stronger one is told.
        (
            vec![Community::NO_PEER, Community::NO_ADVERTISE],
            (Some(Reason::NoAdvertise), Some(Reason::NoAdvertise)),
        ),
        (vec![Community::NO_PEER, Community::NO_EXPORT], outside(Reason::NoExport)),
    ];
    for (communities, (internal, external)) in cases {
        let network = from_outside(&communities);
        // Whatever they say, the receiver itself uses the path.
        assert!(network.fib(1, prefix(P)).is_some(), "{communities:?}");
        for (router, refusal) in [(2, internal), (3, external)] {
            let sent = network.explain(1, prefix(P)).sent;
            let to = sent.iter().find(|view| view.address == address(router)).expect("a peer");
            let told = to.sent.as_ref().err().map(|refusal| refusal.reason);
            assert_eq!(told, refusal, "{communities:?} to router {router}");
            assert_eq!(network.route(router, prefix(P)).is_none(), refusal.is_some(), "{communities:?}");
        }
    }
}

#[test]
fn graceful_shutdown_makes_a_path_the_last_resort() {
    // Router 3 has the prefix from 1 and from 2, which have it from 0.
    let links = [(0, 1), (0, 2), (1, 3), (2, 3)];
    let mut network = wired(42, &[65001, 65002, 65003, 65004], &links, &[1, 2]);
    let shutting = |config: &mut bgp::config::SpeakerConfig, communities: Vec<Community>| {
        config.origins = vec![Origination { communities, ..origin(P) }];
    };
    network.reconcile(0, |config| shutting(config, vec![]));
    network.until_up();
    network.settle();
    assert_eq!(network.fib(3, prefix(P)), Some(vec![address(1), address(2)]));

    // Router 1 drains: its own path to 3 alone carries the community.
    let drain = bgp::rule::Changes {
        add: vec![bgp::rule::AnyCommunity::Standard(Community::GRACEFUL_SHUTDOWN)],
        ..bgp::rule::Changes::default()
    };
    network.reconcile(1, |config| {
        let rule = bgp::rule::Rule { when: bgp::rule::Condition::default(), reject: false, set: drain };
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(3)) {
            peer.export = bgp::rule::Rules::new(vec![rule.clone()]);
        }
    });
    network.settle();
    assert_eq!(network.fib(3, prefix(P)), Some(vec![address(2)]));
    let route = network.route(3, prefix(P)).expect("a route");
    let last = route.paths.iter().find(|path| path.attributes.communities.len() == 1).expect("router 1's");
    assert_eq!(last.verdict, Reason::LowerLocalPreference);
    assert_eq!(last.attributes.local_preference, None, "as received");
    let changed = last.changed.as_ref().expect("changed");
    assert_eq!(changed.attributes.local_preference, Some(0));
    assert_eq!(changed.detail, "GRACEFUL_SHUTDOWN: local-preference 0 (RFC 8326 4.1)");

    // It is still the path where no other one is.
    network.cut(2, 3, true);
    network.run(bgp::time::Duration::from_secs(30));
    network.settle();
    assert_eq!(network.fib(3, prefix(P)), Some(vec![address(1)]));
}
