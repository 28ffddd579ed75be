//! DEL comes twice, late, and with nothing to go by.

use std::fs;

use cni::attachment::Attachment;

use crate::node::{Node, Pod};

#[test]
fn twice() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        node.del(&pod);
        node.is_empty();
        assert!(!pod.netns.ip("link").contains("eth0"));
        node.del(&pod);
        node.is_empty();
    });
}

#[test]
fn never_added() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.del(&node.pod(sandbox, "c1"));
        node.is_empty();
    });
}

#[test]
fn without_netns() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        for netns in [None, Some("")] {
            let mut env = vec![("CNI_CONTAINERID", "c1")];
            env.extend(netns.map(|path| ("CNI_NETNS", path)));
            node.call("DEL", None, &node.conf, &env).silent();
            node.is_empty();
        }
    });
}

#[test]
fn after_the_namespace_is_gone() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        pod.netns.remove().expect("the name goes");
        let path = pod.netns.path();
        let env = [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", path.to_str().expect("text"))];
        node.call("DEL", None, &node.conf, &env).silent();
        node.is_empty();
    });
}

#[test]
fn without_state() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        node.add(&a);
        node.add(&b);
        fs::remove_dir_all("/var/lib/underlay").expect("removed");
        node.del(&a);
        assert_eq!(node.links().len(), 1, "the other pod's link stays");
        node.del(&b);
        node.is_empty();
    });
}

#[test]
fn what_a_killed_add_left() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let name = Attachment::new("c1", "eth0").expect("valid").link_name();
        // Killed between reservation and link, and between link and everything else.
        let half = |pod: &Pod| {
            node.add(pod);
            node.netns.ip(&format!("link del {name}"));
        };
        half(&pod);
        node.add(&pod);
        node.del(&pod);
        node.is_empty();
        half(&pod);
        node.netns.ip(&format!("link add {name} type veth peer name eth0 netns c1"));
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(100, "eth0");
        node.del(&pod);
        node.is_empty();
        node.add(&pod);
    });
}

#[test]
fn with_a_configuration_that_add_refuses() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        let mut conf = node.with("isGateway", true);
        conf["subnets"] = "nonsense".into();
        conf["prevResult"] = "nonsense".into();
        node.call("DEL", Some(&pod), &conf, &[("CNI_ARGS", "X=y")]).silent();
        node.is_empty();
    });
}
