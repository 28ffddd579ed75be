//! What passes between pods and the rest: sources, a dropping FORWARD chain, masquerading.

use labs::Netns;
use serde_json::json;

use super::ports::{nft, nft_file};
use crate::node::{Node, addresses, ping};
use crate::traffic::{client, serve, silent, tcp};

/// Sends from an address that the pod has given itself, and tells whether the router answered.
fn spoofed(pod: &Netns, source: &str) -> bool {
    let to = if source.contains(':') { "2001:db8::fe" } else { "192.0.2.254" };
    let output = pod.exec("ping", ["-c1", "-W1", "-I", source, to]).output().expect("ping runs");
    output.status.success()
}

const STRANGERS: [&str; 2] = ["10.244.1.99", "fd00:10:244:1::99"];

#[test]
fn sources_of_others_are_dropped_unless_the_network_allows_them() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        for (id, anti_spoof) in [("a", true), ("b", false)] {
            if !anti_spoof {
                node.conf["antiSpoof"] = false.into();
            }
            let pod = node.pod(sandbox, id);
            let result = node.add(&pod);
            node.check(&pod, &result).silent();
            let own = addresses(&result);
            for (source, bits) in STRANGERS.into_iter().zip([32, 128]) {
                pod.netns.ip(&format!("addr add {source}/{bits} dev eth0 nodad"));
                assert!(!spoofed(&pod.netns, source), "{source} has no way back");
            }
            // With a way back by another pod's link, and by its own.
            let link = result["interfaces"][0]["name"].as_str().expect("a name");
            node.netns.ip("link add elsewhere type veth peer name nowhere");
            node.netns.ip("link set elsewhere up");
            node.netns.ip("link set nowhere up");
            let received = |source: &str| {
                let chain = if source.contains(':') { "ip6" } else { "ip" };
                let counting = format!(
                    "add table {chain} seen
                     add chain {chain} seen in {{ type filter hook input priority 0; }}
                     add rule {chain} seen in {chain} saddr {source} counter
                    "
                );
                nft_file(&node.router, &counting);
                spoofed(&pod.netns, source);
                let seen = nft(&node.router, &format!("list table {chain} seen"));
                nft(&node.router, &format!("delete table {chain} seen"));
                !seen.contains("packets 0")
            };
            for source in STRANGERS {
                assert_eq!(received(source), !anti_spoof, "{source} with antiSpoof {anti_spoof}");
                node.netns.ip(&format!("route add {source} dev elsewhere"));
                assert_eq!(received(source), !anti_spoof, "{source} of another, with antiSpoof {anti_spoof}");
                node.netns.ip(&format!("route del {source} dev elsewhere"));
                // An address that the node routes to the pod is the pod's.
                node.netns.ip(&format!("route add {source} dev {link}"));
                assert!(spoofed(&pod.netns, source), "{source} with antiSpoof {anti_spoof}");
                node.netns.ip(&format!("route del {source} dev {link}"));
            }
            own.iter().for_each(|source| assert!(spoofed(&pod.netns, source), "{source}"));
            node.netns.ip("link del elsewhere");
            node.del(&pod);
            node.is_empty();
        }
    });
}

#[test]
fn a_pod_whose_mac_address_changed_passes() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        node.add(&pod);
        pod.netns.ip("link set eth0 address 02:00:00:00:00:77");
        for to in ["192.0.2.254", "2001:db8::fe"] {
            ping(&pod.netns, to);
        }
    });
}

#[test]
fn a_forward_chain_that_drops_lets_pods_through() {
    labs::require!("root", "nft", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let theirs = "
            add table ip filter
            add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }
            add rule ip filter FORWARD ip daddr 203.0.113.9 drop
            add table ip6 filter
            add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }
            ";
        nft_file(&node.netns, theirs);
        let before = nft(&node.netns, "list ruleset");
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let (of_a, _) = (addresses(&node.add(&a)), node.add(&b));
        let everywhere = || {
            for at in 0..2 {
                ping(&node.router, &of_a[at]);
                ping(&a.netns, ["192.0.2.254", "2001:db8::fe"][at]);
                ping(&b.netns, &of_a[at]);
            }
        };
        everywhere();
        for family in ["ip", "ip6"] {
            let chain = nft(&node.netns, &format!("list chain {family} filter FORWARD"));
            assert_eq!(chain.matches("underlay-cni").count(), 2, "{chain}");
            assert!(chain.contains("policy drop"), "{chain}");
        }
        // What its owner says stands first.
        let chain = nft(&node.netns, "list chain ip filter FORWARD");
        assert!(chain.find("203.0.113.9") < chain.find("underlay-cni"), "{chain}");

        // Its owner makes it anew: CHECK tells, the next ADD mends.
        nft(&node.netns, "flush chain ip filter FORWARD");
        let result = node.add(&node.pod(sandbox, "c"));
        everywhere();
        nft(&node.netns, "flush chain ip6 filter FORWARD");
        let c = node.pod(sandbox, "c2");
        let _ = result;
        let mended = node.add(&c);
        node.check(&c, &mended).silent();
        nft(&node.netns, "flush chain ip6 filter FORWARD");
        node.check(&c, &mended).fails(102, "FORWARD");
        everywhere_but_gone(&node, &[&a.id, &b.id, "c", "c2"]);
        nft(&node.netns, "flush chain ip filter FORWARD");
        nft(&node.netns, "add rule ip filter FORWARD ip daddr 203.0.113.9 drop");
        assert_eq!(nft(&node.netns, "list ruleset"), before);
    });
}

/// DEL of every pod, by id alone; whatever is ours in the chains of others is gone after it.
fn everywhere_but_gone(node: &Node, ids: &[&str]) {
    for id in ids {
        let env = [("CNI_CONTAINERID", *id)];
        node.call("DEL", None, &node.conf, &env).silent();
    }
    assert!(!nft(&node.netns, "list ruleset").contains("underlay"));
    node.is_empty();
}

#[test]
fn masquerading_without_an_agent() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        node.router.ip("addr add 203.0.113.1/32 dev lo");
        node.router.ip("addr add 10.9.0.1/32 dev lo");
        node.router.ip("addr add fd09::1/128 dev lo");
        serve(&node.router, 80);
        node.conf["ipMasq"] = true.into();
        node.conf["masqExcept"] = json!(["10.9.0.0/16", "fd09::/16"]);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let result = node.add(&a);
        node.check(&a, &result).silent();
        let own = addresses(&result);
        serve(&b.netns, 80);
        let of_b = addresses(&node.add(&b));
        for (to, seen) in [
            ("203.0.113.1", "192.0.2.1"),
            ("192.0.2.254", "192.0.2.1"),
            ("2001:db8::fe", "2001:db8::1"),
            ("10.9.0.1", own[0].as_str()),
            ("fd09::1", own[1].as_str()),
        ] {
            assert_eq!(tcp(&a.netns, to, 80).expect("an answer"), format!("router to {seen}"), "{to}");
        }
        for at in 0..2 {
            assert_eq!(tcp(&a.netns, &of_b[at], 80).expect("an answer"), format!("b to {}", own[at]));
        }
        // Other exceptions count from the next ADD on.
        node.conf["masqExcept"] = json!(["203.0.113.0/24"]);
        let c = node.pod(sandbox, "c");
        let of_c = addresses(&node.add(&c));
        assert_eq!(tcp(&c.netns, "203.0.113.1", 80).expect("an answer"), format!("router to {}", of_c[0]));
        assert_eq!(tcp(&c.netns, "10.9.0.1", 80).expect("an answer"), "router to 192.0.2.1");
        nft(&node.netns, "flush set inet underlay-cni keep4-net");
        node.check(&c, &json!({"ips": [{"address": format!("{}/32", of_c[0])}]})).fails(102, "exceptions");
        // A network that does not ask for it is not masqueraded.
        node.conf["ipMasq"] = false.into();
        let d = node.pod(sandbox, "d");
        let of_d = addresses(&node.add(&d));
        assert_eq!(tcp(&d.netns, "203.0.113.1", 80).expect("an answer"), format!("router to {}", of_d[0]));
        for pod in [&a, &b, &c] {
            node.del(pod);
        }
        assert!(!nft(&node.netns, "list ruleset").contains("masq"));
        node.del(&d);
        node.is_empty();
    });
}

#[test]
fn nobody_answers_for_a_port_without_a_mapping() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.add(&node.pod(sandbox, "a"));
        silent(&client(&node.router, "192.0.2.1", 8053));
    });
}
