//! First in a chain: the reference plugins behind ours, as a runtime calls them.

use std::process::Command;

use serde_json::{Value, json};

use crate::node::{Answer, Node, Pod, REFERENCE, addresses, ping, spawn};

/// Calls a reference plugin on the node, with `previous` where the verb has one.
fn reference(node: &Node, verb: &str, pod: &Pod, plugin: &Value, previous: Option<&Value>) -> Answer {
    let mut conf = plugin.clone();
    conf["cniVersion"] = "1.0.0".into();
    conf["name"] = node.conf["name"].clone();
    if let Some(previous) = previous {
        conf["prevResult"] = previous.clone();
    }
    let kind = plugin["type"].as_str().expect("a type");
    let mut command: Command = node.netns.exec(format!("{REFERENCE}/{kind}"), [] as [&str; 0]);
    command.env("CNI_COMMAND", verb).env("CNI_PATH", REFERENCE).env("CNI_IFNAME", "eth0");
    command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", pod.netns.path());
    // What it says on stderr is its own matter.
    Answer::of(&spawn(command, &conf.to_string()).wait_with_output().expect("the plugin ends"))
}

fn chain(behind: &Value, checked: bool) {
    let test = |sandbox: &labs::Sandbox| {
        let mut node = Node::new(sandbox);
        node.conf["cniVersion"] = "1.0.0".into();
        let pod = node.pod(sandbox, "c1");
        let first = node.add(&pod);
        let last = reference(&node, "ADD", &pod, behind, Some(&first)).result();
        for (own, to) in addresses(&first).iter().zip(["192.0.2.254", "2001:db8::fe"]) {
            // Source-based routing leaves routes for packets that have a source.
            let output = pod.netns.exec("ping", ["-c1", "-W1", "-I", own, to]).output().expect("ping runs");
            assert!(output.status.success(), "{own} to {to}");
        }
        addresses(&first).iter().for_each(|to| ping(&node.router, to));
        // A runtime hands the last result to every plugin of the chain.
        node.check(&pod, &last).silent();
        if checked {
            reference(&node, "CHECK", &pod, behind, Some(&last)).silent();
        }
        reference(&node, "DEL", &pod, behind, Some(&last)).silent();
        node.call("DEL", Some(&pod), &node.with("prevResult", last), &[]).silent();
        node.is_empty();
    };
    labs::sandbox::run(std::thread::current().name().expect("a test has a name"), test);
}

#[test]
fn tuning_changes_the_mac_address() {
    labs::require!("root", "ping", "cni-plugins");
    chain(
        &json!({"type": "tuning", "mac": "02:00:00:00:00:77", "sysctl": {"net.core.somaxconn": "500"}}),
        true,
    );
}

#[test]
fn source_based_routing() {
    labs::require!("root", "ping", "cni-plugins");
    chain(&json!({"type": "sbr"}), true);
}

#[test]
fn firewall() {
    labs::require!("root", "ping", "cni-plugins", "iptables");
    chain(&json!({"type": "firewall", "backend": "iptables"}), true);
}

#[test]
fn bandwidth() {
    labs::require!("root", "ping", "cni-plugins");
    chain(
        &json!({"type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 8_000_000,
                  "egressRate": 80_000_000, "egressBurst": 8_000_000}),
        true,
    );
}

#[test]
fn portmap() {
    labs::require!("root", "ping", "cni-plugins", "iptables");
    // Its CHECK looks for IPv4 rules in the IPv6 table of a dual-stack pod.
    chain(
        &json!({"type": "portmap", "capabilities": {"portMappings": true}, "snat": true,
                  "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}}),
        false,
    );
}

#[test]
fn behind_another_interface_plugin_is_an_error() {
    labs::require!("root", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let ptp = json!({"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.250.0.0/24"}});
        let first = reference(&node, "ADD", &pod, &ptp, None).result();
        let second = node.with("prevResult", first.clone());
        node.call("ADD", Some(&pod), &second, &[]).fails(7, "first of its chain");
        assert!(pod.netns.ip("link").contains("eth0"), "the other plugin's link stays");
        node.call("DEL", Some(&pod), &second, &[]).silent();
        assert!(pod.netns.ip("link").contains("eth0"), "the other plugin's link stays");
    });
}
