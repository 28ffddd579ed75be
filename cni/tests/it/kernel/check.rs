//! CHECK sees what is missing or changed, on both sides, and nothing else.

use std::fs;

use serde_json::{Value, json};

use crate::node::{Node, addresses};

#[test]
fn every_damage_is_seen() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        // In the pod or on the node, the command that damages; HOST is the host end.
        let damages = [
            ("pod", "addr del 10.244.1.N/32 dev eth0", "address 10.244.1."),
            ("pod", "addr del fd00:10:244:1::N/128 dev eth0", "address fd00:10:244:1::"),
            ("pod", "route del default", "default route by 169.254.1.1"),
            ("pod", "-6 route del default", "default route by fe80::1"),
            ("pod", "neigh del 169.254.1.1 dev eth0", "neighbour 169.254.1.1"),
            (
                "pod",
                "neigh replace fe80::1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
                "neighbour fe80::1",
            ),
            (
                "pod",
                "neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent",
                "neighbour 169.254.1.1",
            ),
            ("pod", "link set eth0 down", "eth0 is down"),
            ("pod", "link set eth0 mtu 1400", "MTU of eth0 is 1400"),
            ("pod", "link set eth0 address 02:00:00:00:00:01", "MAC address of eth0"),
            ("pod", "link del eth0", "eth0 is missing in the container"),
            ("node", "route del 10.244.1.N", "route to 10.244.1."),
            ("node", "-6 route del fd00:10:244:1::N", "route to fd00:10:244:1::"),
            ("node", "addr del fe80::1/128 dev HOST", "address fe80::1 is missing"),
            ("node", "link set HOST down", "is down"),
            ("node", "link set HOST mtu 1400", "is 1400"),
            ("node", "link set HOST alias other", "alias"),
            ("node", "neigh del proxy 169.254.1.1 dev HOST", "does not answer ARP"),
        ];
        for (n, (place, words, needle)) in damages.into_iter().enumerate() {
            let pod = node.pod(sandbox, &format!("c{n}"));
            let result = node.add(&pod);
            node.check(&pod, &result).silent();
            let number = addresses(&result)[0].rsplit('.').next().expect("a number").to_owned();
            let hex = addresses(&result)[1].rsplit(':').next().expect("a number").to_owned();
            let host = result["interfaces"][0]["name"].as_str().expect("a name").to_owned();
            let words = words
                .replace("::N", &format!("::{hex}"))
                .replace(".N", &format!(".{number}"))
                .replace("HOST", &host);
            if place == "pod" {
                pod.netns.ip(&words)
            } else {
                node.netns.ip(&words)
            };
            let (code, text) = node.check(&pod, &result).error();
            assert!(code == 102 && text.contains(needle), "{words}: {code} {text}");
            node.del(&pod);
        }
    });
}

#[test]
fn sysctls_and_the_reservation_are_checked() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        let host = result["interfaces"][0]["name"].as_str().expect("a name").to_owned();
        for (sysctl, right, wrong) in
            [("ipv4/conf/HOST/rp_filter", "1", "0"), ("ipv6/conf/HOST/accept_ra", "0", "2")]
        {
            let key = format!("net/{}", sysctl.replace("HOST", &host));
            node.netns.sysctl(&key, wrong);
            node.check(&pod, &result).fails(102, &host);
            node.netns.sysctl(&key, right);
            node.check(&pod, &result).silent();
        }
        for (key, family) in [("net/ipv4/ip_forward", "IPv4"), ("net/ipv6/conf/all/forwarding", "IPv6")] {
            node.netns.sysctl(key, "0");
            node.check(&pod, &result).fails(102, &format!("does not forward {family}"));
            node.netns.sysctl(key, "1");
        }
        fs::remove_file(node.ledger()).expect("removed");
        node.check(&pod, &result).fails(3, "c1");
    });
}

#[test]
fn previous_result_is_needed_and_believed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        for (n, version) in ["0.4.0", "1.0.0", "1.1.0"].into_iter().enumerate() {
            node.conf["cniVersion"] = version.into();
            let pod = node.pod(sandbox, &format!("c{n}"));
            let mut result = node.add(&pod);
            node.check(&pod, &result).silent();
            node.call("CHECK", Some(&pod), &node.conf, &[]).fails(7, "prevResult");
            // A later plugin changed the pod's MAC address and said so.
            pod.netns.ip("link set eth0 address 02:00:00:00:00:05");
            node.check(&pod, &result).fails(102, "MAC address");
            result["interfaces"][1]["mac"] = "02:00:00:00:00:05".into();
            node.check(&pod, &result).silent();
            let mut other = result.clone();
            other["interfaces"][1]["sandbox"] = "/run/netns/other".into();
            node.check(&pod, &other)
                .fails(102, "prevResult has eth0 in /run/netns/other, not in /run/netns/c");
            other = result.clone();
            other["routes"].as_array_mut().expect("a list").push(json!({"dst": "10.77.0.0/16"}));
            node.check(&pod, &other).fails(102, "prevResult's route to 10.77.0.0/16 is missing");
            result["ips"][0]["address"] = Value::from("10.9.9.9/32");
            node.check(&pod, &result).fails(102, "prevResult lacks the reserved address 10.244.1.");
            node.check(&pod, &json!({})).fails(102, "prevResult lacks");
        }
    });
}
