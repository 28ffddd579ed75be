//! STATUS says no until an ADD would find what it needs.

use std::fs;

use serde_json::json;

use crate::node::Node;

const READY: &str = "/run/underlay/ready";

#[test]
fn ready_when_the_file_carries_this_boot() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let status = || node.call("STATUS", None, &node.conf, &[]);
        status().fails(50, "/run/underlay/ready is not there");
        fs::create_dir_all("/run/underlay").expect("made");
        for other in ["", "00000000-0000-0000-0000-000000000000\n"] {
            fs::write(READY, other).expect("written");
            status().fails(50, "another boot");
        }
        fs::copy("/proc/sys/kernel/random/boot_id", READY).expect("copied");
        status().silent();
        node.call("STATUS", None, &node.with("isGateway", true), &[]).fails(2, "isGateway");
        node.call("STATUS", None, &node.with("subnets", json!([])), &[]).fails(7, "subnets");
        node.call("STATUS", None, &node.with("stateDir", "/dev/null/x"), &[]).fails(50, "/dev/null/x");
    });
}

#[test]
fn network_without_an_agent_and_full_pool_are_ready() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        node.conf["readyFile"] = "".into();
        node.conf["subnets"] = json!(["10.244.1.0/32"]);
        node.call("STATUS", None, &node.conf, &[]).silent();
        node.add(&node.pod(sandbox, "a"));
        node.call("ADD", Some(&node.pod(sandbox, "b")), &node.conf, &[]).fails(11, "1 of 1 addresses");
        node.call("STATUS", None, &node.conf, &[]).silent();
        // A network may say otherwise.
        node.conf["notReadyWhenFull"] = true.into();
        node.call("STATUS", None, &node.conf, &[])
            .fails(50, "1 of 1 addresses of 10.244.1.0/32 in use: 10.244.1.0 a");
        // The next ADD would find the address of a pod that is gone.
        let host = node.links().remove(0);
        node.netns.ip(&format!("link del {host}"));
        node.call("STATUS", None, &node.conf, &[]).silent();
    });
}
