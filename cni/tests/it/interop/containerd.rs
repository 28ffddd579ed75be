//! containerd, as a kubelet drives it.

use std::collections::{BTreeMap, BTreeSet};

use labs::wait;
use serde_json::json;

use crate::container::{IMAGE, list};
use crate::containerd::Containerd;
use crate::cri::{Cri, LinuxPodConfig, PodConfig, PodMetadata, PortMapping};
use crate::node::{Node, ping};
use crate::traffic::http;

/// How many pods are made at once.
const MANY: usize = 50;

fn pod(name: &str) -> PodConfig {
    let metadata = PodMetadata { name: name.into(), uid: format!("uid-{name}"), namespace: "default".into() };
    PodConfig {
        metadata: Some(metadata),
        port_mappings: Vec::new(),
        annotations: BTreeMap::new(),
        linux: Some(LinuxPodConfig {}),
    }
}

/// A pod whose port 80 is the node's 8080, held to 50 Mbit/s in both directions.
fn web() -> PodConfig {
    let rate = |way: &str| (format!("kubernetes.io/{way}-bandwidth"), "50M".to_owned());
    PodConfig {
        port_mappings: vec![PortMapping { protocol: 0, container_port: 80, host_port: 8080 }],
        annotations: BTreeMap::from([rate("ingress"), rate("egress")]),
        ..pod("web")
    }
}

/// Makes one pod.
#[track_caller]
fn run(cri: &Cri, pod: &PodConfig) -> String {
    cri.run(std::slice::from_ref(pod)).remove(0).expect("a pod")
}

/// Somebody who is not on the node gets an answer by either family.
#[track_caller]
fn serves(node: &Node) {
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(http(&node.router, address, 8080).expect("an answer"), "hello", "{address}");
    }
}

/// No namespace, link, address, rule or queue of any pod.
#[track_caller]
fn nothing_is_left(node: &Node, containerd: &Containerd) {
    containerd.until_idle();
    node.is_empty();
    let names: Vec<_> = std::fs::read_dir("/run/netns").expect("a folder").flatten().collect();
    let left = names.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with("cni-"));
    assert_eq!(left.count(), 0, "{names:?}");
    assert!(!node.netns.ip("link").contains(" ub"), "a queue is left");
}

#[test]
fn pods_live_through_its_death() {
    labs::require!("root", "containerd", "runc", "busybox-static", "cni-plugins", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let mut containerd = Containerd::start(sandbox, &node.netns, &list(&node));
        let web = web();
        let id = run(containerd.cri(), &web);
        let addresses = containerd.cri().addresses(&id);
        assert!(
            addresses[0].starts_with("10.244.1.") && addresses[1].starts_with("fd00:10:244:1:"),
            "{addresses:?}"
        );
        assert_eq!(addresses.len(), 2);
        addresses.iter().for_each(|address| ping(&node.router, address));
        let queues = node.netns.exec("tc", ["qdisc"]).output().expect("tc runs");
        let queues = String::from_utf8_lossy(&queues.stdout).into_owned();
        assert_eq!(queues.matches("rate 50Mbit").count(), 2, "{queues}");
        let server = ["/bin/sh", "-c", "echo hello > /index.html; exec httpd -f -p 80 -h /"];
        containerd.cri().start((&id, &web), IMAGE, &server);
        wait::until("the server to listen", std::time::Duration::from_secs(20), || {
            http(&node.router, &addresses[0], 80)
        });
        serves(&node);

        // Another pod cannot have the port, and what was refused leaves nothing.
        let clash = PodConfig { metadata: pod("clash").metadata, ..web.clone() };
        let refused = containerd.cri().run(&[clash]).remove(0).expect_err("a conflict");
        assert!(refused.message().contains("host tcp port 8080 is in use by default/web"), "{refused}");
        assert_eq!(node.links().len(), 1);

        // It dies, and the pod does not notice.
        containerd.kill();
        serves(&node);
        containerd.again(sandbox, &node.netns);
        assert_eq!(containerd.cri().addresses(&id), addresses);
        serves(&node);
        let second = run(containerd.cri(), &pod("second"));
        let others = containerd.cri().addresses(&second);
        assert!(others.iter().all(|address| !addresses.contains(address)), "{others:?}");

        containerd.cri().remove(&[id]);
        assert!(http(&node.router, "192.0.2.1", 8080).is_err());
        others.iter().for_each(|address| ping(&node.router, address));
        containerd.cri().remove(&[second]);
        nothing_is_left(&node, &containerd);
    });
}

#[test]
fn killed_while_pods_are_made() {
    labs::require!("root", "containerd", "runc", "busybox-static", "cni-plugins", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let mut containerd = Containerd::start(sandbox, &node.netns, &list(&node));
        let pods: Vec<PodConfig> = (0..8).map(|n| pod(&format!("pod-{n}"))).collect();
        std::thread::scope(|scope| {
            let cri = Cri::new(&sandbox.folder().join("containerd/socket"));
            scope.spawn(move || cri.run(&pods));
            wait::until("the first links", std::time::Duration::from_secs(60), || !node.links().is_empty());
            containerd.kill();
        });
        containerd.again(sandbox, &node.netns);
        let known = containerd.cri().pods();
        containerd.cri().remove(&known);
        containerd.until_called();
        // It may have forgotten a pod that it was making, and then never asks for a DEL: that is what GC is for.
        let nobody = node.with("cni.dev/valid-attachments", json!([]));
        node.call("GC", None, &nobody, &[]).silent();
        node.is_empty();
        // The next ones find everything as if nothing had been.
        let id = run(containerd.cri(), &pod("after"));
        containerd.cri().addresses(&id).iter().for_each(|address| ping(&node.router, address));
        containerd.cri().remove(&[id]);
        node.is_empty();
    });
}

#[test]
fn fifty_pods_at_once() {
    labs::require!("root", "containerd", "runc", "busybox-static", "cni-plugins", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let containerd = Containerd::start(sandbox, &node.netns, &list(&node));
        let pods: Vec<PodConfig> = (0..MANY).map(|n| pod(&format!("pod-{n}"))).collect();
        let made: Vec<_> = containerd.cri().run(&pods).into_iter().collect();
        let ids: Vec<String> = made.into_iter().map(|id| id.expect("a pod")).collect();
        let all: Vec<String> = ids.iter().flat_map(|id| containerd.cri().addresses(id)).collect();
        let different: BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (2 * MANY, 2 * MANY));
        all.iter().for_each(|address| ping(&node.router, address));
        containerd.cri().remove(&ids);
        nothing_is_left(&node, &containerd);
    });
}
