//! The computation of what a node is to be, by small clusters.

use bgp::config::{AsPathPolicy, LimitAction, NextHopMode, Obstacle, OwnNextHop, PeerAs, ReceiveLimit};
use bgp::id::{Asn, RouterId};
use bgp::prefix::{PerFamily, Prefix};
use bgp::rule::RouteOrigin;
use bgp::time::Duration;
use bgp::wire::community::{Community, LargeCommunity};
use controller::desired::Desired;
use controller::transport::Password;

use super::cluster::{desired, fabric, names, node, peer, prefixes, refused};
use super::{lines, read};

#[test]
fn a_node_alone_has_its_defaults() {
    let Desired { speaker, kernel, warnings, .. } =
        desired(&(fabric("f", "asn: {value: 65001}") + &node(1, "1")));
    assert_eq!((speaker.asn, speaker.router_id), (Asn(65001), RouterId(0x0a00_0001)));
    assert!(!speaker.transit && speaker.install && speaker.relax_as_path && speaker.peers.is_empty());
    assert_eq!(speaker.max_paths, 16);
    let origins: Vec<Prefix> = speaker.origins.iter().map(|origin| origin.prefix).collect();
    assert_eq!(origins, prefixes(&["10.244.1.0/24", "fd00:10:244:1::/64"]));
    assert_eq!(speaker.protected.own, origins);
    assert_eq!(speaker.protected.connected, prefixes(&["10.0.1.0/24", "10.0.2.2/31", "fd00:1::/64"]));
    assert!(speaker.protected.addresses.contains(&"fd00::1".parse().unwrap()));
    assert_eq!(kernel.unreachable, origins);
    assert_eq!((kernel.table, kernel.metric, kernel.protocol), (254, 190, 171));
    let ips = PerFamily { ipv4: Some("10.0.0.1".parse().unwrap()), ipv6: Some("fd00::1".parse().unwrap()) };
    assert_eq!(kernel.preferred_source, ips);
    assert!(warnings.is_empty());
}

#[test]
fn a_mesh_is_of_nodes_of_one_as_by_internal_ip() {
    let text = fabric("f", "asn: {fromLabel: asn}, podPrefixes: [10.244.0.0/16]")
        + &node(1, "1")
        + &node(2, "1")
        + &node(3, "2");
    let peers = desired(&text).speaker.peers;
    assert_eq!(names(&peers), [("n2", "10.0.0.2".into())], "n3 is of another AS");
    let mesh = &peers[0];
    assert_eq!((mesh.asn, mesh.source), (PeerAs::Exactly(Asn(65001)), Some("10.0.0.1".parse().unwrap())));
    assert!(mesh.via_default && mesh.families.ipv4 && mesh.families.ipv6 && !mesh.accept_default);
    let own = OwnNextHop { ipv4: Some("10.0.0.1".parse().unwrap()), ipv6: Some("fd00::1".parse().unwrap()) };
    assert_eq!(mesh.own_next_hop, own);
    assert_eq!(mesh.accept, Some(prefixes(&["10.244.0.0/16"])));
    assert_eq!(mesh.timers.hold, Duration::from_secs(9));

    let none = text.replace("spec: {asn: {fromLabel", "spec: {mesh: None, asn: {fromLabel");
    assert!(desired(&none).speaker.peers.is_empty());
    // Nodes that no common Fabric selects are strangers.
    let apart = fabric("f", "asn: {value: 1}, nodeSelector: {matchLabels: {rack: \"1\"}}")
        + &fabric("g", "asn: {value: 1}, nodeSelector: {matchLabels: {rack: \"2\"}}")
        + &node(1, "1")
        + &node(3, "2");
    assert!(desired(&apart).speaker.peers.is_empty());
}

#[test]
fn without_common_family_there_is_a_warning() {
    let six = node(2, "1").replace("{type: InternalIP, address: 10.0.0.2}, ", "");
    let four = node(3, "1").replace(", {type: InternalIP, address: \"fd00::3\"}", "");
    let text = fabric("f", "asn: {value: 1}, routerID: {value: 1.1.1.1}") + &node(1, "1") + &six + &four;
    assert_eq!(names(&desired(&text).speaker.peers), [("n3", "10.0.0.3".into()), ("n2", "fd00::2".into())]);
    let text = text.replace("{type: InternalIP, address: 10.0.0.1}, ", "");
    let desired = desired(&text);
    assert_eq!(names(&desired.speaker.peers), [("n2", "fd00::2".into())]);
    assert!(lines(&desired.warnings)[0].contains("share no family of InternalIP"));
}

#[test]
fn the_own_next_hop_is_on_the_link_to_the_peer() {
    let base = fabric("f", "asn: {value: 65001}") + &node(1, "1");
    let hop = |address: &str| {
        let text = base.clone() + &peer("tor", &format!("address: \"{address}\", asn: 65100"));
        let peer = desired(&text).speaker.peers.remove(0);
        assert!(!peer.via_default);
        let OwnNextHop { ipv4, ipv6 } = peer.own_next_hop;
        (ipv4.map(|a| a.to_string()), ipv6.map(|a| a.to_string()), peer.source.map(|a| a.to_string()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(hop("10.0.1.1"), (some("10.0.1.2"), some("fd00:1::2"), some("10.0.1.2")), "both on eth2");
    assert_eq!(hop("fd00:1::1"), (some("10.0.1.2"), some("fd00:1::2"), some("fd00:1::2")), "both on eth2");
    assert_eq!(hop("10.0.2.3"), (some("10.0.2.2"), some("fd00::1"), some("10.0.2.2")), "eth3 has no IPv6");
    assert_eq!(hop("192.0.2.1"), (some("10.0.0.1"), some("fd00::1"), None), "not on-link");
}

#[test]
fn a_peer_says_more_than_its_fabric() {
    let text = fabric(
        "f",
        "asn: {value: 65001}, timers: {hold: 30s}, accept: [10.0.0.0/8], acceptDefaultRoute: true",
    ) + &node(1, "1")
        + &peer(
            "tor",
            "address: 10.0.1.1, asn: Any, timers: {hold: 6s, connectRetry: 2s}, accept: [192.0.2.77/24], \
             acceptDefaultRoute: false, families: [IPv6], nextHop: Self, port: 1179, disabled: true",
        )
        + &peer("other", "address: 10.0.1.9, asn: External, nodeSelector: {matchLabels: {rack: \"9\"}}");
    let peers = desired(&text).speaker.peers;
    let [tor] = &peers[..] else { panic!("{:?}", names(&peers)) };
    assert_eq!((tor.timers.hold, tor.timers.keepalive), (Duration::from_secs(6), Duration::from_secs(2)));
    assert_eq!(tor.timers.connect_retry, Duration::from_secs(2));
    assert_eq!(tor.accept, Some(prefixes(&["192.0.2.0/24"])));
    assert_eq!(tor.families, PerFamily { ipv4: false, ipv6: true });
    assert_eq!((tor.next_hop, tor.port, tor.asn), (NextHopMode::Own, 1179, PeerAs::Any));
    assert!(tor.disabled && !tor.accept_default);
    assert_eq!(desired(&text).speaker.protected.hosts, ["10.0.1.1".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn a_role_and_another_as_towards_a_peer() {
    use bgp::config::LocalAs;
    use bgp::wire::role::Role;
    let of = |more: &str| {
        let spec = format!("address: 10.0.1.1, asn: 65100, {more}");
        let text = fabric("f", "mesh: None, asn: {value: 65001}") + &peer("tor", &spec) + &node(1, "1");
        let peer = desired(&text).speaker.peers.remove(0);
        (peer.role, peer.strict_role, peer.local_as)
    };
    assert_eq!(of("role: Customer"), (Some(Role::Customer), false, None));
    assert_eq!(of("role: RS-Client, strictRole: true"), (Some(Role::RouteServerClient), true, None));
    let local = LocalAs { asn: Asn(65099), no_prepend: true, replace: false };
    assert_eq!(of("localAS: {asn: 65099, noPrepend: true}").2, Some(local));
    assert_eq!(of("localAS: {asn: 65001}").2, None, "the node's own");
}

#[test]
fn with_route_reflectors_nodes_peer_with_those_and_those_with_all() {
    let nodes = node(1, "1") + &node(2, "1") + &node(3, "2") + &node(4, "3");
    let text = |racks: &str, more: &str| {
        let selector =
            format!("nodeSelector: {{matchExpressions: [{{key: rack, operator: In, values: [{racks}]}}]}}");
        fabric("f", &format!("asn: {{value: 65001}}, routeReflectors: {{{selector}{more}}}")) + &nodes
    };
    let clients = |text: &str| {
        let speaker = desired(text).speaker;
        let clients = speaker.peers.iter().map(|peer| (peer.name.clone(), peer.reflector_client));
        (clients.collect::<Vec<_>>(), speaker.cluster_id)
    };
    let named =
        |peers: &[(&str, bool)]| peers.iter().map(|(name, client)| ((*name).to_owned(), *client)).collect();
    // Node 1 is a client of nodes 3 and 4.
    assert_eq!(
        clients(&text("'2', '3'", ", clusterID: 10.9.9.9")),
        (named(&[("n3", false), ("n4", false)]), None)
    );
    // Nodes 1, 2 and 3 reflect: they know each other, and node 4 is their client.
    let mesh = named(&[("n2", false), ("n3", false), ("n4", true)]);
    let cluster = Some(RouterId(0x0a09_0909));
    assert_eq!(clients(&text("'1', '2'", ", clusterID: 10.9.9.9")), (mesh.clone(), cluster));
    assert_eq!(clients(&text("'1', '2'", "")), (mesh, None));
    // Two that contradict each other.
    let other = "routeReflectors: {nodeSelector: {}, clusterID: 10.9.9.8}";
    let both = text("'1'", "") + &fabric("g", other);
    let line =
        "Fabric \"g\" and Fabric \"f\" contradict each other in field `spec.routeReflectors` for node \"n1\"";
    assert!(refused(&both).iter().any(|problem| problem.contains(line)), "{:?}", refused(&both));
    // A mesh of none has nothing to reflect.
    let none = text("'1'", "").replace("asn:", "mesh: None, asn:");
    assert!(read(&none).is_err(), "reflected-mesh");
    let apart = text("'1'", "") + &fabric("g", "mesh: None");
    assert!(desired(&apart).speaker.peers.is_empty());
}

#[test]
fn nodes_as_peers_and_the_mesh_do_not_double() {
    let text = fabric("f", "asn: {value: 65001}, timers: {hold: 30s}")
        + &node(1, "1")
        + &node(2, "1")
        + &peer("all", "peers: {nodeSelector: {}}, asn: Internal, timers: {hold: 6s}")
        + &peer("self", "address: 10.0.0.1, asn: Internal");
    let peers = desired(&text).speaker.peers;
    assert_eq!(names(&peers), [("n2", "10.0.0.2".into())]);
    assert_eq!(peers[0].timers.hold, Duration::from_secs(6), "what is written goes before what is derived");
}

#[test]
fn accept_falls_back_to_pod_prefixes_and_then_to_all_pod_cidrs() {
    let accept = |spec: &str| {
        let text = fabric("f", &format!("asn: {{value: 1}}{spec}")) + &node(1, "1") + &node(2, "1");
        desired(&text).speaker.peers.remove(0).accept
    };
    assert_eq!(accept(", accept: [0.0.0.0/0]"), Some(prefixes(&["0.0.0.0/0"])));
    assert_eq!(accept(", podPrefixes: [10.244.0.0/16]"), Some(prefixes(&["10.244.0.0/16"])));
    let all = ["10.244.1.0/24", "10.244.2.0/24", "fd00:10:244:1::/64", "fd00:10:244:2::/64"];
    assert_eq!(accept(""), Some(prefixes(&all)));
    assert_eq!(accept(", transit: true"), None);
    assert_eq!(accept(", transit: true, accept: []"), Some(Vec::new()));
}

#[test]
fn a_router_outside_a_cluster_needs_a_name_and_no_more() {
    let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: n1}\n";
    let text = fabric("f", "asn: {value: 65101}, routerID: {value: 10.9.9.9}, transit: true, mesh: None")
        + node
        + &peer("leaf", "address: 10.0.1.1, asn: 65001");
    let Desired { speaker, kernel, warnings, .. } = desired(&text);
    assert!(speaker.transit && speaker.origins.is_empty() && kernel.unreachable.is_empty());
    assert_eq!(speaker.peers[0].own_next_hop.ipv4, Some("10.0.1.2".parse().unwrap()));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn rules_of_a_peer_reach_all_of_its_sessions() {
    let rules = "asn: Any, peers: {nodeSelector: {}}, \
        import: [{match: {prefixes: [{cidr: 10.244.0.9/16, ge: 24}], asPath: \"65001 *\"}, action: Reject}, \
                 {action: Accept, set: {localPreference: 200, addCommunities: [no-export, 1:2:3]}}], \
        export: [{match: {origin: PodCIDR, communities: [\"65000:1\"]}, action: Accept, set: {prepend: 2, med: 9}}]";
    let text = fabric(
        "f",
        "mesh: None, asn: {value: 65001}, advertise: {prefixes: [{prefix: 192.0.2.1/32}, \
        {prefix: 10.244.1.0/24, med: 3}]}",
    ) + &peer("nodes", rules)
        + &node(1, "1")
        + &node(2, "1")
        + &node(3, "1");
    let speaker = desired(&text).speaker;
    assert_eq!(speaker.peers.len(), 2);
    for peer in &speaker.peers {
        let [first, second] = &peer.import[..] else { panic!("{:?}", peer.import) };
        assert!(first.reject && !second.reject);
        assert_eq!(first.when.prefixes[0].to_string(), "10.244.0.0/16 ge 24 le 32");
        assert_eq!(first.when.as_path.as_ref().unwrap().to_string(), "65001 *");
        assert_eq!(second.set.to_string(), "local-preference 200, +65535:65281, +1:2:3");
        let [out] = &peer.export[..] else { panic!("{:?}", peer.export) };
        assert_eq!(
            (out.when.origin, out.set.to_string().as_str()),
            (Some(RouteOrigin::PodCidr), "med 9, prepend 2")
        );
    }
    let origins: Vec<(String, RouteOrigin)> =
        speaker.origins.iter().map(|origin| (origin.prefix.to_string(), origin.origin)).collect();
    let expected = [
        ("10.244.1.0/24", RouteOrigin::PodCidr),
        ("192.0.2.1/32", RouteOrigin::Static),
        ("fd00:10:244:1::/64", RouteOrigin::PodCidr),
    ];
    assert_eq!(origins, expected.map(|(prefix, origin)| (prefix.to_owned(), origin)));
    assert_eq!(speaker.origins[0].med, Some(3), "what a Fabric says of a PodCIDR stands");
}

#[test]
fn as_paths_are_treated_as_the_peer_says() {
    let treated = |more: &str| {
        let spec = format!("address: 10.0.1.1, asn: 65100{more}");
        let text = fabric("f", "mesh: None, asn: {value: 65001}") + &peer("tor", &spec) + &node(1, "1");
        desired(&text).speaker.peers[0].as_path
    };
    assert_eq!(treated(""), AsPathPolicy::default());
    let all = ", enforceFirstAS: false, allowOwnAS: 2, asOverride: true, removePrivateAS: true";
    let expected = AsPathPolicy { any_first: true, allow_own: 2, override_peer: true, remove_private: true };
    assert_eq!(treated(all), expected);
}

#[test]
fn a_key_comes_from_its_secret_and_a_missing_one_keeps_the_session_down() {
    let keyed = "address: 10.0.2.3, asn: 1, passwordSecretRef: {name: tor, key: password}";
    let base = fabric("f", "asn: {value: 65001}") + &peer("tor", keyed) + &node(1, "1");
    let secret =
        |lines: &str| format!("{base}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tor}}\n{lines}\n");
    let long = format!("stringData: {{password: {}}}", "x".repeat(81));
    let missing = [
        (base.clone(), "Secret \"tor\" is missing"),
        (secret("stringData: {other: x}"), "Secret \"tor\" has no key `password`"),
        (secret("stringData: {password: \"\"}"), "key `password` of Secret \"tor\" is empty"),
        (secret(&long), "key `password` of Secret \"tor\" is longer than 80 octets"),
    ];
    for (text, why) in missing {
        let Desired { speaker, neighbours, warnings, .. } = desired(&text);
        let peer = &speaker.peers[0];
        let obstacle = Some(Obstacle::MissingSecret(why.to_owned()));
        assert_eq!((peer.authenticated, &peer.obstacle), (true, &obstacle));
        assert!(neighbours.values().all(|terms| terms.password.is_none()));
        assert!(
            lines(&warnings)[0].ends_with(&format!("FabricPeer \"tor\": {why}, and its sessions stay down"))
        );
    }
    // `data` is base64, and `stringData` wins; nothing that can be printed shows the key.
    for lines in ["data: {password: aHVudGVyMg==}", "data: {password: eA==}\nstringData: {password: hunter2}"]
    {
        let Desired { speaker, neighbours, warnings, .. } = desired(&secret(lines));
        assert_eq!((speaker.peers[0].authenticated, &speaker.peers[0].obstacle), (true, &None));
        let terms = &neighbours[&"10.0.2.3/32".parse().unwrap()];
        assert_eq!(terms.password, Some(Password::new(b"hunter2").unwrap()));
        assert!(warnings.is_empty());
        let shown = format!("{neighbours:?} {:?}", read(&secret(lines)).unwrap());
        assert!(shown.contains("redacted") && !shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains(&format!("{:?}", b"hunter2")), "{shown}");
    }
    // Two objects about one peer with two keys contradict each other.
    let other = base + &peer("tor-b", &keyed.replace("key: password", "key: second"));
    let both = other
        + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: tor}\nstringData: {password: a, second: b}\n";
    assert!(refused(&both)[0].contains("contradict each other"), "{:?}", refused(&both));
}

#[test]
fn limits_have_their_defaults() {
    let limits = |lines: &str| {
        let text = format!("address: 10.0.2.3, asn: 1{lines}");
        let peers = desired(&(fabric("f", "asn: {value: 65001}") + &peer("tor", &text) + &node(1, "1")))
            .speaker
            .peers;
        (peers[0].receive, peers[0].send_limit)
    };
    let receive = |most, warn_at, action| ReceiveLimit { most, warn_at, action };
    assert_eq!(limits(""), (receive(1_000_000, None, LimitAction::Reject), None));
    assert_eq!(
        limits(", limits: {receive: {max: 9, warnAt: 80, action: Reset}, send: {max: 3}}"),
        (receive(9, Some(8), LimitAction::Reset), Some(3))
    );
    assert_eq!(limits(", limits: {receive: {max: 5}}"), (receive(5, None, LimitAction::Reject), None));
}

#[test]
fn prefixes_of_fabrics_are_originated_with_their_attributes() {
    let advertise = "advertise: {podCIDRs: false, prefixes: [{prefix: 192.0.2.9/24, communities: [\"65000:1\", \"1:2:3\", \
                     no-export], localPreference: 200, med: 7}]}";
    let text = fabric("f", &format!("asn: {{value: 1}}, {advertise}")) + &node(1, "1");
    let origins = desired(&text).speaker.origins;
    assert_eq!(origins.len(), 1);
    assert_eq!(origins[0].prefix, "192.0.2.0/24".parse().unwrap());
    assert_eq!(origins[0].communities, [Community(65000 << 16 | 1), Community::NO_EXPORT]);
    assert_eq!(origins[0].large_communities, [LargeCommunity { global: 1, local1: 2, local2: 3 }]);
    assert_eq!((origins[0].local_preference, origins[0].med), (Some(200), Some(7)));
}

#[test]
fn a_node_does_not_peer_with_what_it_was_called_before() {
    let text = fabric("f", "asn: {value: 1}") + &node(1, "1") + &node(2, "1");
    let before = node(1, "1").replace("name: n1", "name: before").replace("10.244.1.", "10.244.7.");
    let before = before.replace("fd00:10:244:1:", "fd00:10:244:7:");
    let desired = desired(&(text.clone() + &before));
    assert_eq!(names(&desired.speaker.peers), [("n2", "10.0.0.2".to_owned())]);
    let of_object = text.replace("asn: {value: 1}", "asn: {value: 1}, mesh: None")
        + &before
        + &peer("all", "peers: {nodeSelector: {}}, asn: Internal");
    assert_eq!(names(&self::desired(&of_object).speaker.peers), [("n2", "10.0.0.2".to_owned())]);
}
