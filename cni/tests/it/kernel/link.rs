//! The link: the first packet passes, and the design is what stands in the kernel.

use labs::Netns;
use serde_json::{Value, json};

use crate::node::{Node, addresses, ping};

fn json_of(netns: &Netns, words: &str) -> Value {
    serde_json::from_str(&netns.ip(words)).expect("ip writes JSON")
}

fn sysctl(netns: &Netns, path: &str) -> String {
    let path = format!("/proc/sys/net/{path}");
    netns.enter(|| std::fs::read_to_string(path)).expect("sysctl").trim().to_owned()
}

#[test]
fn first_packet_passes_in_every_version() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        for (n, version) in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"].into_iter().enumerate() {
            node.conf["cniVersion"] = version.into();
            // Each way needs a fresh pod: only its first packet is the first.
            for way in ["pod to node", "node to pod", "router to pod", "pod to router"] {
                let pod = node.pod(sandbox, &format!("c{n}-{}", way.replace(' ', "-")));
                let result = node.add(&pod);
                assert_eq!(result["cniVersion"], version);
                let own = addresses(&result);
                match way {
                    "pod to node" => ["192.0.2.1", "2001:db8::1"].map(|to| ping(&pod.netns, to)),
                    "node to pod" => [&own[0], &own[1]].map(|to| ping(&node.netns, to)),
                    "router to pod" => [&own[0], &own[1]].map(|to| ping(&node.router, to)),
                    _ => ["192.0.2.254", "2001:db8::fe"].map(|to| ping(&pod.netns, to)),
                };
            }
        }
    });
}

#[test]
fn pods_of_a_node_reach_each_other_at_once() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let of_a = addresses(&node.add(&a));
        let of_b = addresses(&node.add(&b));
        for n in 0..2 {
            ping(&a.netns, &of_b[n]);
            ping(&b.netns, &of_a[n]);
        }
    });
}

#[test]
fn result_tells_what_is_in_the_kernel() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let result = node.call("ADD", Some(&pod), &node.with("mtu", 1450), &[]).result();
        let host = &json_of(
            &node.netns,
            &format!("-j link show {}", result["interfaces"][0]["name"].as_str().unwrap()),
        )[0];
        let inside = &json_of(&pod.netns, "-j link show eth0")[0];
        assert_eq!(
            result,
            json!({"cniVersion": "1.1.0",
                "interfaces": [
                    {"name": host["ifname"], "mac": host["address"], "mtu": 1450},
                    {"name": "eth0", "mac": inside["address"], "mtu": 1450, "sandbox": pod.netns.path()}],
                "ips": [
                    {"address": "10.244.1.2/32", "gateway": "169.254.1.1", "interface": 1},
                    {"address": "fd00:10:244:1::2/128", "gateway": "fe80::1", "interface": 1}],
                "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}],
                "dns": {}})
        );
        assert_eq!((&host["mtu"], &inside["mtu"]), (&json!(1450), &json!(1450)));
        assert_eq!(host["ifalias"], "underlay-cni network=net container=c1 interface=eth0");
    });
}

#[test]
fn design_of_both_ends() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        let end = result["interfaces"][0]["name"].as_str().unwrap();

        let host = json_of(&node.netns, &format!("-j addr show {end}"));
        let on_host = host[0]["addr_info"].as_array().unwrap();
        assert_eq!(on_host.len(), 1, "{host}");
        assert_eq!((&on_host[0]["local"], &on_host[0]["scope"]), (&json!("fe80::1"), &json!("link")));
        assert_eq!(sysctl(&node.netns, &format!("ipv4/conf/{end}/rp_filter")), "1");
        assert_eq!(sysctl(&node.netns, &format!("ipv6/conf/{end}/accept_ra")), "0");
        assert_eq!(sysctl(&node.netns, &format!("ipv4/conf/{end}/proxy_arp")), "0");
        for words in ["-j route show 10.244.1.2", "-j -6 route show fd00:10:244:1::2"] {
            let route = json_of(&node.netns, words);
            assert_eq!((&route[0]["dev"], &route[0]["protocol"]), (&json!(end), &json!("172")), "{route}");
        }
        // Resolved when needed, not pinned: a later plugin may change the pod's MAC address.
        assert!(!node.netns.ip("neigh show nud permanent").contains(end));

        let inside = json_of(&pod.netns, "-j addr show eth0");
        let global: Vec<&Value> =
            inside[0]["addr_info"].as_array().unwrap().iter().filter(|a| a["scope"] == "global").collect();
        assert_eq!((&global[0]["local"], &global[0]["prefixlen"]), (&json!("10.244.1.2"), &json!(32)));
        assert_eq!((&global[1]["local"], &global[1]["prefixlen"]), (&json!("fd00:10:244:1::2"), &json!(128)));
        assert!(global[1]["tentative"].is_null() && global[1]["nodad"] == true, "{inside}");
        let mac = result["interfaces"][0]["mac"].as_str().unwrap();
        for gateway in ["169.254.1.1", "fe80::1"] {
            let entry = pod.netns.ip(&format!("neigh show {gateway}"));
            assert!(entry.contains(mac) && entry.contains("PERMANENT"), "{entry}");
        }
    });
}

#[test]
fn pod_whose_mac_address_changed_is_reached() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let own = addresses(&node.add(&pod));
        pod.netns.ip("link set eth0 address 02:00:00:00:00:77");
        assert!(
            !pod.netns.ip("neigh show").contains("PERMANENT"),
            "the kernel dropped the gateways' entries"
        );
        own.iter().for_each(|address| ping(&node.netns, address));
        // The node answers for the gateway alone.
        let other = pod.netns.exec("ping", ["-c1", "-W1", "-I", "eth0", "169.254.1.2"]).output();
        assert!(!other.expect("ping runs").status.success());
        assert!(pod.netns.ip("neigh show 169.254.1.1").contains("REACHABLE"));
    });
}

#[test]
fn mac_address_can_be_asked_for() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let conf = node.with("runtimeConfig", json!({"mac": "02:00:00:00:00:0a"}));
        let result = node.call("ADD", Some(&a), &conf, &[]).result();
        assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:0a");
        let result =
            node.call("ADD", Some(&b), &node.conf, &[("CNI_ARGS", "MAC=02:00:00:00:00:0b")]).result();
        assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:0b");
        assert!(b.netns.ip("link show eth0").contains("02:00:00:00:00:0b"));
        ping(&node.netns, "10.244.1.2");
    });
}

#[test]
fn mtu_is_that_of_the_smallest_uplink_that_carries_routes() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        sandbox.link(&node.netns, "eth1", &node.router, "down1");
        node.netns.ip("link set eth0 mtu 1440");
        node.netns.ip("link set eth1 mtu 1400");
        let mtu = |id: &str| node.add(&node.pod(sandbox, id))["interfaces"][1]["mtu"].clone();
        assert_eq!(mtu("a"), 1440, "eth1 carries nothing");
        node.netns.ip("route add 10.9.0.0/16 dev eth1 proto 171");
        assert_eq!(mtu("b"), 1400);
        node.netns.ip("route del 10.9.0.0/16");
        node.netns
            .ip("-6 route add fd09::/48 proto 171 nexthop via fe80::1 dev eth0 nexthop via fe80::2 dev eth1");
        assert_eq!(mtu("c"), 1400);
        node.netns.ip("-6 route del fd09::/48");
        node.netns.ip("route del default");
        node.netns.ip("-6 route del default");
        assert_eq!(mtu("d"), 1500);
    });
}

#[test]
fn one_family_alone() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        for (id, subnet, address) in
            [("a", "10.244.1.0/24", "10.244.1.2"), ("b", "fd00:10:244:1::/64", "fd00:10:244:1::2")]
        {
            node.conf["subnets"] = json!([subnet]);
            let pod = node.pod(sandbox, id);
            assert_eq!(addresses(&node.add(&pod)), [address]);
            ping(&node.router, address);
            let second = node.pod(sandbox, &format!("{id}2"));
            let result = node.add(&second);
            node.check(&second, &result).silent();
        }
    });
}

#[test]
fn namespaces_with_ipv6_off_by_default_get_it_on_the_link() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        pod.netns.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        node.netns.sysctl("net/ipv6/conf/default/disable_ipv6", "1");
        let own = addresses(&node.add(&pod));
        ping(&node.netns, &own[1]);
    });
}

#[test]
fn forwarding_keeps_router_advertisements_of_the_uplink() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.netns.sysctl("net/ipv6/conf/eth0/accept_ra", "1");
        node.netns.sysctl("net/ipv4/ip_forward", "0");
        node.netns.sysctl("net/ipv6/conf/all/forwarding", "0");
        node.add(&node.pod(sandbox, "c1"));
        assert_eq!(sysctl(&node.netns, "ipv4/ip_forward"), "1");
        assert_eq!(sysctl(&node.netns, "ipv6/conf/all/forwarding"), "1");
        assert_eq!(sysctl(&node.netns, "ipv6/conf/eth0/accept_ra"), "2");
    });
}

#[test]
fn ipv4_source_that_the_pod_does_not_own_is_dropped() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        // The router would answer to a neighbour of the pod, and the node would take the answer back.
        pod.netns.ip("addr add 10.244.1.99/32 dev eth0");
        node.netns.ip("route add 10.244.1.99/32 dev eth0");
        let received = || {
            let text = node
                .router
                .enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))
                .expect("counters");
            let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("Icmp:")).collect();
            let at = lines[0].split_whitespace().position(|name| name == "InEchos").expect("a column");
            lines[1].split_whitespace().nth(at).expect("a number").parse::<u64>().expect("a number")
        };
        let before = received();
        let spoofed = pod.netns.exec("ping", ["-c1", "-W1", "-I", "10.244.1.99", "192.0.2.254"]).output();
        assert!(!spoofed.expect("ping runs").status.success());
        assert_eq!(received(), before, "no spoofed packet leaves the node");
        ping(&pod.netns, "192.0.2.254");
        assert_eq!(received(), before + 1);
    });
}
