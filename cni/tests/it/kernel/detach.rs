//! DEL comes twice, late, and with nothing to go by.

use std::fs;

use crate::node::Node;

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
fn with_a_configuration_that_add_refuses() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.add(&pod);
        let mut conf = node.with("ipMasq", true);
        conf["subnets"] = "nonsense".into();
        conf["prevResult"] = "nonsense".into();
        node.call("DEL", Some(&pod), &conf, &[("CNI_ARGS", "X=y")]).silent();
        node.is_empty();
    });
}
