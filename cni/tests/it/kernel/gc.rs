//! GC frees what is not in the list, and nothing of anybody else.

use std::fs;

use serde_json::{Value, json};

use crate::node::{Answer, Node, Pod};

fn gc(node: &Node, valid: Value) -> Answer {
    node.call("GC", None, &node.with("cni.dev/valid-attachments", valid), &[])
}

fn entry(pod: &Pod) -> Value {
    json!({"containerID": pod.id, "ifname": "eth0"})
}

#[test]
fn what_is_not_valid_goes() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods = ["a", "b", "c"].map(|id| node.pod(sandbox, id));
        let results = pods.each_ref().map(|pod| node.add(pod));
        gc(&node, json!(pods.iter().map(entry).collect::<Vec<_>>())).silent();
        assert_eq!(node.holders(), ["a", "b", "c"]);

        gc(&node, json!([entry(&pods[1])])).silent();
        assert_eq!(node.holders(), ["b"]);
        assert_eq!(node.links(), [results[1]["interfaces"][0]["name"].as_str().expect("a name")]);
        node.check(&pods[1], &results[1]).silent();

        gc(&node, json!([])).silent();
        node.is_empty();
        gc(&node, json!([])).silent();
    });
}

#[test]
fn the_list_is_needed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.add(&node.pod(sandbox, "a"));
        gc(&node, Value::Null).fails(7, "cni.dev/valid-attachments");
        gc(&node, json!([{"containerID": "a"}])).fails(7, "cni.dev/valid-attachments");
        assert_eq!(node.holders(), ["a"]);
    });
}

#[test]
fn orphans_go_without_their_reservation_and_reservations_without_their_link() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods = ["a", "b"].map(|id| node.pod(sandbox, id));
        pods.iter().for_each(|pod| drop(node.add(pod)));
        fs::remove_dir_all("/var/lib/underlay").expect("removed");
        let third = node.pod(sandbox, "c");
        let result = node.add(&third);
        node.netns.ip(&format!("link del {}", result["interfaces"][0]["name"].as_str().expect("a name")));
        assert_eq!((node.links().len(), node.holders()), (2, vec!["c".to_owned()]));
        gc(&node, json!([])).silent();
        node.is_empty();
    });
}

#[test]
fn other_networks_and_other_links_stay() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        node.add(&a);
        let mut other = node.with("name", "net2");
        other["subnets"] = json!(["10.245.0.0/24"]);
        node.call("ADD", Some(&b), &other, &[]).result();
        node.netns.ip("link add ulsomebody type veth peer name ulelse");
        gc(&node, json!([])).silent();
        assert_eq!(node.holders(), [""; 0]);
        let mut left = node.links();
        left.retain(|name| !["ulsomebody", "ulelse"].contains(&name.as_str()));
        assert_eq!(left.len(), 1, "the other network's pod");
        assert_eq!(node.links().len(), 3);
        node.call("DEL", Some(&b), &other, &[]).silent();
    });
}

#[test]
fn what_cannot_be_freed_is_told_and_the_rest_is_freed() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods = ["a", "b"].map(|id| node.pod(sandbox, id));
        pods.iter().for_each(|pod| drop(node.add(pod)));
        // The file cannot be replaced: a folder has the temporary file's name.
        fs::create_dir(node.ledger().with_extension("json.new")).expect("made");
        gc(&node, json!([])).fails(103, "reservations.json.new");
        assert_eq!(node.links(), [""; 0], "links go even so");
        fs::remove_dir(node.ledger().with_extension("json.new")).expect("removed");
        gc(&node, json!([])).silent();
        node.is_empty();
    });
}
