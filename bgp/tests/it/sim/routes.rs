//! Routes between speakers: what is learned, refused, chosen, sent on and taken back.

use std::net::IpAddr;

use bgp::config::{NextHopMode, Origination};
use bgp::io::State;
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::time::Duration;
use bgp::view::KernelView;
use bgp::wire::community::Community;

use super::network::{Network, address, config, peer, prefix};
use super::sessions::pair;

pub(super) fn origin(text: &str) -> Origination {
    Origination {
        origin: RouteOrigin::Static,
        prefix: prefix(text),
        communities: Vec::new(),
        large_communities: Vec::new(),
        local_preference: None,
        med: None,
    }
}

pub(super) fn originate(network: &mut Network, router: usize, prefixes: &[&str]) {
    network.reconcile(router, |config| {
        config.origins = prefixes.iter().map(|text| origin(text)).collect();
        config.origins.sort_by_key(|origin| origin.prefix);
    });
}

/// Wires routers in a line or a star: each pair of `links` peers with each other.
pub(super) fn wired(seed: u64, asns: &[u32], links: &[(usize, usize)], transit: &[usize]) -> Network {
    let mut configs: Vec<_> = asns.iter().enumerate().map(|(router, &asn)| config(router, asn)).collect();
    for &(a, b) in links {
        configs[a].peers.push(peer(a, b));
        configs[b].peers.push(peer(b, a));
    }
    for config in &mut configs {
        config.peers.sort_by_key(|peer| peer.address);
    }
    for &router in transit {
        configs[router].transit = true;
    }
    Network::new(seed, configs)
}

/// What one side says it sent is what the other side has, for all sessions.
pub(super) fn assert_quiescent(network: &Network) {
    for own in 0..network.routers.len() {
        for view in network.routers[own].speaker.peers() {
            let other = (0..network.routers.len()).find(|&r| address(r) == view.address).expect("a router");
            let back = network.peer(other, own);
            assert_eq!(
                network.sent(own, view.id),
                network.received(other, back.id),
                "Adj-RIB-Out of {own} and Adj-RIB-In of {other}"
            );
            let sent = view.counts.ipv4.sent + view.counts.ipv6.sent;
            let received = back.counts.ipv4.received + back.counts.ipv6.received;
            assert_eq!(sent, received, "counts of {own} and {other}");
        }
    }
}

#[test]
fn both_families_go_both_ways_and_are_withdrawn() {
    let mut network = pair(1);
    originate(&mut network, 0, &["10.244.1.0/24", "fd00:10:244:1::/64"]);
    originate(&mut network, 1, &["10.244.2.0/24", "fd00:10:244:2::/64"]);
    network.until_up();
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.2.0/24")), Some(vec![address(1)]));
    let next_hop: IpAddr = "fd00::1".parse().expect("an address");
    assert_eq!(network.fib(1, prefix("fd00:10:244:1::/64")), Some(vec![next_hop]));
    let route = network.route(0, prefix("10.244.2.0/24")).expect("a route");
    assert_eq!(route.kernel, KernelView::Installed);
    assert_eq!(route.paths[0].attributes.as_path.to_string(), "65002");
    assert_eq!(route.paths[0].verdict, Reason::Best);
    assert_quiescent(&network);

    originate(&mut network, 1, &["10.244.2.0/24"]);
    network.settle();
    assert_eq!(network.fib(0, prefix("fd00:10:244:2::/64")), None);
    assert!(network.route(0, prefix("fd00:10:244:2::/64")).is_none());
    assert!(network.fib(0, prefix("10.244.2.0/24")).is_some());
    assert_quiescent(&network);
}

#[test]
fn own_originations_are_never_handed_to_the_kernel() {
    let mut network = pair(1);
    originate(&mut network, 0, &["10.244.1.0/24"]);
    network.until_up();
    assert_eq!(network.fib(0, prefix("10.244.1.0/24")), None);
}

#[test]
fn a_lost_session_takes_its_routes_along() {
    let mut network = pair(2);
    originate(&mut network, 1, &["10.244.2.0/24"]);
    network.until_up();
    network.settle();
    network.cut(0, 1, true);
    network.until("the hold time is over", |network| network.peer(0, 1).state != State::Established);
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.2.0/24")), None);
    assert!(network.explain(0, prefix("10.244.2.0/24")).route.is_none());
}

#[test]
fn an_address_is_covered_by_the_longest_prefix_in_use() {
    let mut network = pair(6);
    originate(&mut network, 1, &["10.244.0.0/16", "10.244.2.0/24"]);
    network.until_up();
    network.settle();
    let covering = |network: &Network, text: &str| {
        network.routers[0].speaker.covering(text.parse().expect("an address"))
    };
    assert_eq!(covering(&network, "10.244.2.7"), Some(prefix("10.244.2.0/24")));
    assert_eq!(covering(&network, "10.244.3.7"), Some(prefix("10.244.0.0/16")));
    assert_eq!(covering(&network, "10.9.9.9"), None);
    let id = network.peer(0, 1).id;
    let config = network.routers[0].speaker.peer_config(id).expect("a peer");
    assert_eq!(config.address, address(1));
}

#[test]
fn a_copy_that_comes_back_is_kept_as_a_loop() {
    // Two nodes of one AS behind a transit router.
    let mut network = wired(3, &[65001, 65101, 65001], &[(0, 1), (1, 2)], &[1]);
    originate(&mut network, 0, &["10.244.1.0/24"]);
    network.until_up();
    network.settle();
    let route = network.route(2, prefix("10.244.1.0/24")).expect("kept, though refused");
    assert_eq!(route.paths[0].verdict, Reason::AsLoop);
    assert!(!route.paths[0].accepted);
    assert_eq!(route.paths[0].detail, "own AS 65001 in path (RFC 4271 9.1.2)");
    let peer = network.peer(2, 1);
    assert_eq!((peer.counts.ipv4.received, peer.counts.ipv4.accepted), (1, 0));
    assert_eq!(peer.counts.ipv4.rejected, [(Reason::AsLoop, 1)]);
    assert_eq!(network.fib(2, prefix("10.244.1.0/24")), None);
    assert_quiescent(&network);
}

#[test]
fn a_router_without_transit_sends_its_own_prefixes_only() {
    let mut network = wired(4, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[]);
    originate(&mut network, 0, &["10.244.1.0/24"]);
    originate(&mut network, 1, &["10.244.2.0/24"]);
    network.until_up();
    network.settle();
    assert!(network.route(2, prefix("10.244.1.0/24")).is_none());
    assert!(network.fib(2, prefix("10.244.2.0/24")).is_some());
    let sent = network.explain(1, prefix("10.244.1.0/24")).sent;
    let reasons: Vec<_> = sent.iter().map(|sent| sent.sent.as_ref().map_err(|r| r.reason)).collect();
    assert_eq!(reasons[0].expect_err("came from there"), Reason::LearnedFromPeer);
    assert_eq!(reasons[1].expect_err("no transit"), Reason::NotTransit);
    assert_quiescent(&network);
}

#[test]
fn a_transit_router_awaits_its_kernel_before_it_sends_a_new_route_on() {
    let mut network = wired(5, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[1]);
    network.until_up();
    network.routers[1].kernel_answers = false;
    originate(&mut network, 0, &["10.244.1.0/24"]);
    network.settle();
    assert!(network.route(2, prefix("10.244.1.0/24")).is_none());
    let sent = network.explain(1, prefix("10.244.1.0/24")).sent;
    assert_eq!(sent[1].sent.as_ref().expect_err("waits").reason, Reason::AwaitingKernel);
    network.routers[1].kernel_answers = true;
    network.settle();
    assert_eq!(network.fib(2, prefix("10.244.1.0/24")), Some(vec![address(1)]));
    assert_quiescent(&network);
}

#[test]
fn two_equal_paths_are_used_together_and_one_alone_when_the_other_goes() {
    let mut network = wired(6, &[65001, 65101, 65102, 65002], &[(0, 1), (0, 2), (1, 3), (2, 3)], &[1, 2]);
    originate(&mut network, 3, &["10.244.3.0/24"]);
    network.until_up();
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.3.0/24")), Some(vec![address(1), address(2)]));
    network.resolve(0, address(2), false);
    assert_eq!(
        network.fib(0, prefix("10.244.3.0/24")),
        Some(vec![address(1), address(2)]),
        "before the turn's work nothing is handed out"
    );
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.3.0/24")), Some(vec![address(1)]));
    let route = network.route(0, prefix("10.244.3.0/24")).expect("a route");
    assert_eq!(route.paths[1].verdict, Reason::NextHopUnreachable);
    network.resolve(0, address(2), true);
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.3.0/24")), Some(vec![address(1), address(2)]));
    network.reconcile(0, |config| config.peers.retain(|peer| peer.address != address(1)));
    network.settle();
    assert_eq!(network.fib(0, prefix("10.244.3.0/24")), Some(vec![address(2)]));
}

#[test]
fn internal_peers_keep_next_hop_and_get_a_local_preference() {
    let mut network = wired(7, &[65001, 65001], &[(0, 1)], &[]);
    network.reconcile(0, |config| {
        config.origins = vec![Origination { local_preference: Some(250), ..origin("10.244.1.0/24") }];
    });
    network.until_up();
    network.settle();
    let route = network.route(1, prefix("10.244.1.0/24")).expect("a route");
    assert_eq!(route.paths[0].attributes.local_preference, Some(250));
    assert_eq!(route.paths[0].attributes.as_path.to_string(), "");
    assert_eq!(network.fib(1, prefix("10.244.1.0/24")), Some(vec![address(0)]));
}

#[test]
fn no_export_stops_at_the_border() {
    let mut network = wired(8, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[1]);
    network.reconcile(0, |config| {
        config.origins =
            vec![Origination { communities: vec![Community::NO_EXPORT], ..origin("10.244.1.0/24") }];
    });
    network.until_up();
    network.settle();
    assert!(network.fib(1, prefix("10.244.1.0/24")).is_some());
    assert!(network.route(2, prefix("10.244.1.0/24")).is_none());
    let sent = network.explain(1, prefix("10.244.1.0/24")).sent;
    assert_eq!(sent[1].sent.as_ref().expect_err("kept").reason, Reason::NoExport);
}

#[test]
fn refusals_have_their_words_and_follow_the_configuration() {
    let mut network = pair(9);
    network.reconcile(0, |config| {
        config.protected.own = vec![prefix("10.244.1.0/24")];
        config.protected.connected = vec![prefix("10.0.0.0/24")];
        config.peers[0].accept = Some(vec![prefix("10.0.0.0/8")]);
    });
    let offered = [
        ("0.0.0.0/0", Some(Reason::DefaultRoute)),
        ("10.0.0.0/16", None),
        ("10.0.0.128/25", Some(Reason::ConnectedPrefix)),
        ("10.0.0.1/32", Some(Reason::ProtectedAddress)),
        ("10.244.1.128/25", Some(Reason::OwnPrefix)),
        ("127.0.0.0/8", Some(Reason::Martian)),
        ("192.0.2.0/24", Some(Reason::NotAccepted)),
    ];
    originate(&mut network, 1, &offered.map(|(text, _)| text));
    network.until_up();
    network.settle();
    for (text, refusal) in offered {
        let path = network.route(0, prefix(text)).expect("kept").paths.remove(0);
        assert_eq!((!path.accepted).then_some(path.verdict), refusal, "{text}");
        assert_eq!(network.fib(0, prefix(text)).is_some(), refusal.is_none(), "{text}");
    }
    // Opting in is explicit, and needs neither a new session nor a refresh.
    network.reconcile(0, |config| config.peers[0].accept_default = true);
    network.settle();
    assert!(network.fib(0, prefix("0.0.0.0/0")).is_some());
    network.reconcile(0, |config| config.peers[0].accept = None);
    network.settle();
    assert!(network.fib(0, prefix("192.0.2.0/24")).is_some());
    network.reconcile(0, |config| config.peers[0].accept = Some(Vec::new()));
    network.settle();
    assert!(network.fib(0, prefix("192.0.2.0/24")).is_none());
    assert_eq!(network.peer(0, 1).established_count, 1);
}

#[test]
fn changed_export_rules_send_what_they_change_again() {
    let mut network = pair(10);
    originate(&mut network, 0, &["10.244.1.0/24", "fd00:10:244:1::/64"]);
    network.until_up();
    network.settle();
    network.reconcile(0, |config| {
        config.peers[0].own_next_hop.ipv4 = Some("10.0.0.77".parse().expect("an address"));
        config.peers[0].own_next_hop.ipv6 = None;
    });
    network.settle();
    assert_eq!(network.fib(1, prefix("10.244.1.0/24")), Some(vec![IpAddr::from([10, 0, 0, 77])]));
    assert!(network.route(1, prefix("fd00:10:244:1::/64")).is_none());
    let sent = network.explain(0, prefix("fd00:10:244:1::/64")).sent;
    let refusal = sent[0].sent.as_ref().expect_err("no address");
    assert_eq!(refusal.reason, Reason::NoNextHop);
    assert_eq!(refusal.detail, "no own IPv6 address to name as next hop");
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert_quiescent(&network);
}

#[test]
fn an_unchanged_next_hop_passes_through_a_transit_router() {
    let mut network = wired(11, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[1]);
    network.reconcile(1, |config| config.peers[1].next_hop = NextHopMode::Unchanged);
    originate(&mut network, 0, &["10.244.1.0/24"]);
    network.until_up();
    network.settle();
    assert_eq!(network.fib(2, prefix("10.244.1.0/24")), Some(vec![address(0)]));
}

#[test]
fn a_prefix_that_two_peers_send_is_taken_back_from_the_one_that_wins() {
    // 1 is transit between 0 and 2, which both originate the prefix; 3 only listens.
    let mut network = wired(12, &[65010, 65020, 65030, 65040], &[(0, 1), (1, 2), (1, 3)], &[1]);
    originate(&mut network, 2, &["192.0.2.0/24"]);
    network.until_up();
    network.settle();
    assert!(network.route(0, prefix("192.0.2.0/24")).is_some());
    originate(&mut network, 0, &["192.0.2.0/24"]);
    network.settle();
    assert_quiescent(&network);
    let listener = network.route(3, prefix("192.0.2.0/24")).expect("a route");
    assert_eq!(listener.paths[0].attributes.as_path.to_string(), "65020 65010");
    originate(&mut network, 0, &[]);
    network.settle();
    assert_quiescent(&network);
    let listener = network.route(3, prefix("192.0.2.0/24")).expect("a route");
    assert_eq!(listener.paths[0].attributes.as_path.to_string(), "65020 65030");
}

#[test]
fn thousands_of_prefixes_are_packed_into_few_messages() {
    let mut network = pair(13);
    network.until_up();
    network.run(Duration::from_secs(1));
    let before = network.peer(0, 1).updates.1;
    let many: Vec<String> = (0..5_000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    originate(&mut network, 0, &many.iter().map(String::as_str).collect::<Vec<_>>());
    network.settle();
    assert_eq!(network.peer(1, 0).counts.ipv4.accepted, 5_000);
    let messages = network.peer(0, 1).updates.1 - before;
    assert!(messages <= 6, "5 000 prefixes of 4 octets fit into 5 messages and a part: {messages}");
    originate(&mut network, 0, &[]);
    network.settle();
    assert_eq!(network.peer(1, 0).counts.ipv4.received, 0);
    assert_eq!(network.routers[1].fib.len(), 0);
}

#[test]
fn a_peer_that_does_not_read_holds_nobody_up_and_catches_up() {
    let mut network = wired(14, &[65001, 65002, 65003, 65004], &[(0, 1), (0, 2), (0, 3)], &[]);
    network.until_up();
    network.sleep(2, true);
    let many: Vec<String> = (0..5_000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    // Some 20 kB a round: more than may wait for one reader.
    for round in 0..100 {
        network.reconcile(0, |config| {
            config.origins =
                names.iter().map(|name| Origination { med: Some(round), ..origin(name) }).collect();
            config.origins.sort_by_key(|origin| origin.prefix);
        });
        network.settle();
        for reader in [1, 3] {
            let route = network.route(reader, prefix("10.0.7.0/24")).expect("a route");
            assert_eq!(route.paths[0].attributes.med, Some(round), "round {round}, reader {reader}");
        }
    }
    assert!(network.unread() < 2 << 20, "{} octets wait", network.unread());
    network.sleep(2, false);
    network.settle();
    let route = network.route(2, prefix("10.0.7.0/24")).expect("a route");
    assert_eq!(route.paths[0].attributes.med, Some(99));
    assert_quiescent(&network);
    // Together again: a change is encoded once, and all three have it.
    originate(&mut network, 0, &["10.0.7.0/24"]);
    network.settle();
    assert_quiescent(&network);
}

#[test]
fn a_random_life_ends_in_agreement() {
    let links = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 3)];
    for seed in 1..20 {
        let mut network = wired(seed, &[65001, 65002, 65003, 65001], &links, &[0, 1, 2, 3]);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut draw = |most: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % most
        };
        for _ in 0..40 {
            let router = draw(4);
            match draw(4) {
                0 => {
                    let all = ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32", "203.0.113.0/24"];
                    let some: Vec<&str> = all.into_iter().filter(|_| draw(2) == 0).collect();
                    originate(&mut network, router, &some);
                }
                1 => {
                    let (a, b) = links[draw(links.len())];
                    network.cut(a, b, draw(2) == 0);
                }
                2 => network.resolve(router, address(draw(4)), draw(2) == 0),
                _ => network.run(Duration::from_millis(draw(8_000) as u64)),
            }
        }
        for (a, b) in links {
            network.cut(a, b, false);
        }
        network.until_up();
        network.settle();
        assert_quiescent(&network);
        for (index, router) in network.routers.iter().enumerate() {
            for (prefix, set) in &router.fib {
                let members: Vec<IpAddr> = router.sets[set].iter().map(|member| member.address).collect();
                let route = network.route(index, *prefix).expect("what is installed is known");
                let selected: Vec<IpAddr> = route.next_hops.iter().map(|hop| hop.address).collect();
                assert_eq!(members, selected, "seed {seed}: {prefix} at {index}");
                assert_eq!(route.kernel, KernelView::Installed, "seed {seed}: {prefix} at {index}");
            }
        }
    }
}
