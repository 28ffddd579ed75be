//! Route reflectors (RFC 4456): who is sent what, with which attributes, and how
//! a route that comes back is refused.

use bgp::id::RouterId;
use bgp::reason::Reason;
use bgp::rule::{Rule, Rules};
use bgp::view::PathView;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, originate, wired};

const P: &str = "10.244.1.0/24";

/// Makes router `other` a client of router `own`, or no client.
fn client(network: &mut Network, own: usize, other: usize, client: bool) {
    network.reconcile(own, |config| {
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(other)) {
            peer.reflector_client = client;
        }
    });
    network.settle();
}

/// Router 0 peers with all others, all of one AS; 1 and 2 are its clients, 3 and
/// 4 are not, and 5 is in another AS. It is no transit router.
fn star() -> Network {
    let links: Vec<(usize, usize)> = (1..6).map(|other| (0, other)).collect();
    let mut network = wired(61, &[65001, 65001, 65001, 65001, 65001, 65002], &links, &[]);
    client(&mut network, 0, 1, true);
    client(&mut network, 0, 2, true);
    network.until_up();
    network
}

/// Who but the reflector has a path of the prefix.
fn holders(network: &Network) -> Vec<usize> {
    (1..network.routers.len()).filter(|&router| network.route(router, prefix(P)).is_some()).collect()
}

fn path(network: &Network, router: usize, from: usize) -> PathView {
    let paths = network.route(router, prefix(P)).expect("a route").paths;
    let is_from = |path: &&PathView| matches!(path.source, bgp::view::PathSource::Peer { address: at, .. } if at == address(from));
    paths.iter().find(is_from).expect("a path of the peer").clone()
}

fn why_not_sent(network: &Network, own: usize, other: usize) -> Option<Reason> {
    let sent = network.explain(own, prefix(P)).sent;
    let to = sent.into_iter().find(|view| view.address == address(other)).expect("a peer");
    to.sent.err().map(|refusal| refusal.reason)
}

#[test]
fn a_route_of_a_client_goes_to_all_and_one_of_another_to_clients() {
    for (origin, receivers) in [(1, vec![1, 2, 3, 4]), (3, vec![1, 2, 3]), (5, vec![5])] {
        let mut network = star();
        originate(&mut network, origin, &[P]);
        network.settle();
        assert_eq!(holders(&network), receivers, "of router {origin}");
        assert!(network.fib(0, prefix(P)).is_some(), "the reflector uses it too");
        assert_quiescent(&network);
    }
    let mut network = star();
    originate(&mut network, 3, &[P]);
    network.settle();
    // Without `transit` an external peer is sent nothing of it, and split horizon holds inside.
    assert_eq!(why_not_sent(&network, 0, 4), Some(Reason::NotTransit));
    assert_eq!(why_not_sent(&network, 0, 5), Some(Reason::NotTransit));
    network.reconcile(0, |config| config.transit = true);
    network.settle();
    assert_eq!(why_not_sent(&network, 0, 4), Some(Reason::IbgpSplitHorizon));
    let outside = path(&network, 5, 0).attributes;
    assert!(outside.originator.is_none() && outside.cluster_list.is_empty(), "RFC 4456 §8: non-transitive");
}

#[test]
fn a_reflected_route_keeps_its_attributes_and_says_where_it_was() {
    // 3 is a client of 1 and 1 one of 0: two reflections from 2, a client of 0, to 3.
    let mut network = wired(62, &[65001; 4], &[(0, 1), (0, 2), (1, 3)], &[]);
    for (own, other) in [(0, 1), (0, 2), (1, 3)] {
        client(&mut network, own, other, true);
    }
    network.reconcile(1, |config| config.cluster_id = Some(RouterId(77)));
    network.reconcile(2, |config| {
        let origin = super::routes::origin(P);
        config.origins =
            vec![bgp::config::Origination { med: Some(5), local_preference: Some(140), ..origin }];
    });
    network.until_up();
    network.settle();
    let reflected = path(&network, 3, 1);
    assert_eq!(reflected.attributes.originator, Some(RouterId(0x0a00_0003)), "router 2 brought it");
    assert_eq!(*reflected.attributes.cluster_list, [77, 0x0a00_0001], "the last reflector first");
    assert_eq!(reflected.attributes.next_hop.address(), address(2), "RFC 4456 §10");
    assert_eq!((reflected.attributes.med, reflected.attributes.local_preference), (Some(5), Some(140)));
    assert!(reflected.attributes.as_path.segments.is_empty());
    assert_eq!(network.fib(3, prefix(P)), Some(vec![address(2)]));

    // Even where an own next hop is wanted for what is not reflected.
    network.reconcile(1, |config| {
        config.peers.iter_mut().for_each(|peer| peer.next_hop = bgp::config::NextHopMode::Own);
    });
    network.settle();
    assert_eq!(path(&network, 3, 1).attributes.next_hop.address(), address(2));
    // Another cluster id is told of, without a new session.
    network.reconcile(1, |config| config.cluster_id = None);
    network.settle();
    assert_eq!(*path(&network, 3, 1).attributes.cluster_list, [0x0a00_0002, 0x0a00_0001]);
    assert_eq!(network.peer(1, 3).established_count, 1);
    assert_quiescent(&network);
}

#[test]
fn a_route_that_comes_back_is_a_loop() {
    // Reflectors 0 and 1 know each other; 2 and 3 are clients of both.
    let mut network = wired(63, &[65001; 4], &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)], &[]);
    for (own, other) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        client(&mut network, own, other, true);
    }
    originate(&mut network, 2, &[P]);
    network.until_up();
    network.settle();
    // Of two clusters each takes the other's reflection, which is one reflection longer.
    network.reconcile(1, |config| config.max_paths = 1);
    network.settle();
    assert_eq!(path(&network, 1, 0).verdict, Reason::LongerClusterList);
    // Of one cluster neither does.
    network.reconcile(0, |config| config.cluster_id = Some(RouterId(9)));
    network.reconcile(1, |config| config.cluster_id = Some(RouterId(9)));
    network.settle();
    let refused = path(&network, 1, 0);
    assert_eq!((refused.verdict, refused.accepted), (Reason::ClusterLoop, false));
    assert_eq!(refused.detail, "own cluster id 0.0.0.9 is in the CLUSTER_LIST (RFC 4456 8)");
    assert!(network.fib(3, prefix(P)).is_some());

    // A reflector that knows of the route by the other one alone sends it to who brought it.
    network.reconcile(1, |config| config.cluster_id = None);
    network.reconcile(2, |config| {
        let to_1 = config.peers.iter_mut().find(|peer| peer.address == address(1)).expect("a peer");
        to_1.export = Rules::new(vec![Rule { reject: true, ..Rule::default() }]);
    });
    network.settle();
    let back = path(&network, 2, 1);
    assert_eq!((back.verdict, back.accepted), (Reason::OriginatorLoop, false));
    assert_eq!(network.fib(3, prefix(P)), Some(vec![address(2)]));
    assert_quiescent(&network);
}

#[test]
fn who_is_no_reflector_has_no_cluster_id() {
    // The cluster id of reflector 0 is, by mistake or not, the router id of its client 2.
    let mut network = wired(64, &[65001; 3], &[(0, 1), (0, 2)], &[]);
    network.reconcile(0, |config| config.cluster_id = Some(RouterId(0x0a00_0003)));
    client(&mut network, 0, 1, true);
    client(&mut network, 0, 2, true);
    originate(&mut network, 1, &[P]);
    network.until_up();
    network.settle();
    assert!(path(&network, 2, 0).accepted);
}

#[test]
fn a_client_is_made_and_unmade_without_a_new_session() {
    let mut network = star();
    originate(&mut network, 3, &[P]);
    network.settle();
    client(&mut network, 0, 3, true);
    assert_eq!(holders(&network), [1, 2, 3, 4], "what a client sends goes to others too");
    client(&mut network, 0, 3, false);
    assert_eq!(holders(&network), [1, 2, 3]);
    client(&mut network, 0, 2, false);
    assert_eq!(holders(&network), [1, 3], "and what is no client any more is sent nothing");
    client(&mut network, 0, 4, true);
    assert_eq!(holders(&network), [1, 3, 4]);
    assert!((1..6).all(|other| network.peer(0, other).established_count == 1));
    assert_quiescent(&network);
}

#[test]
fn the_kernel_of_a_reflector_is_not_waited_for() {
    let mut network = star();
    network.routers[0].kernel_answers = false;
    originate(&mut network, 1, &[P]);
    network.settle();
    assert_eq!(holders(&network), [1, 2, 3, 4]);
    let sent = network.explain(0, prefix(P)).sent;
    assert!(sent.iter().filter(|view| view.sent.is_ok()).count() == 3, "{sent:?}");
    // A peer that comes while the kernel is silent has its End-of-RIB.
    network.order(0, 2, |peer| bgp::io::Event::Reset { peer });
    network.until("the session is up again, with all that there is", |network| {
        network.peer(2, 0).end_of_rib.ipv4 && holders(network) == [1, 2, 3, 4]
    });
    // One that goes is withdrawn all the same.
    originate(&mut network, 1, &[]);
    network.settle();
    assert!(holders(&network).is_empty());
    assert_quiescent(&network);
}
