//! What fails leaves nothing, and what must not be touched is not.

use std::fs;
use std::io::Write;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::node::{Node, Pod, addresses, ping};

#[test]
fn half_failed_add_leaves_nothing() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        for (id, words) in [("a", "route add blackhole default"), ("b", "-6 route add blackhole default")] {
            let pod = node.pod(sandbox, id);
            pod.netns.ip(words);
            node.call("ADD", Some(&pod), &node.conf, &[]).fails(5, "default route");
            node.is_empty();
            assert!(!pod.netns.ip("link").contains("eth0"));
            // The same container comes again, and nothing is in its way.
            pod.netns.ip(&words.replace("add", "del"));
            ping_all(&node, &addresses(&node.add(&pod)));
            node.del(&pod);
        }
    });
}

fn ping_all(node: &Node, addresses: &[String]) {
    addresses.iter().for_each(|address| ping(&node.netns, address));
}

#[test]
fn state_folder_that_is_none_leaves_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        node.conf["stateDir"] = "/dev/full/x".into();
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(5, "/dev/full/x");
        assert_eq!(node.links(), [""; 0]);
        assert!(!pod.netns.ip("link").contains("eth0"));
    });
}

#[test]
fn full_disk_has_code_5_and_loses_no_reservation() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let disk = Path::new("/var/lib/underlay");
        fs::create_dir_all(disk).expect("made");
        let tmpfs = Some("tmpfs");
        let options = Some("size=64k,nr_inodes=16");
        mount(tmpfs, disk, tmpfs, MsFlags::empty(), options).expect("mounted");
        let (first, second) = (node.pod(sandbox, "c1"), node.pod(sandbox, "c2"));
        let result = node.add(&first);
        let kept = fs::read(node.ledger()).expect("a ledger");

        // Without a byte left, and without a file.
        let filler = disk.join("filler");
        let bytes = || {
            let mut file = fs::File::create(&filler).expect("made");
            while file.write_all(&[0; 512]).is_ok() {}
        };
        let files = || assert!((0..16).any(|n| fs::File::create(disk.join(format!("{n}"))).is_err()));
        let fills: [&dyn Fn(); 2] = [&bytes, &files];
        for fill in fills {
            fill();
            let answer = node.call("ADD", Some(&second), &node.conf, &[]);
            let (code, text) = answer.error();
            let message = text.split(';').next().expect("a message");
            let path = node.ledger().with_extension("json.new");
            let says = format!("cannot write {}: No space left on device", path.display());
            assert!(code == 5 && message.contains(&says), "{text}");
            // Nothing of the second is there, the first is as it was, and the file is whole.
            assert!(!second.netns.ip("link").contains("eth0"));
            assert_eq!(fs::read(node.ledger()).expect("a ledger"), kept);
            node.check(&first, &result).silent();
            ping_all(&node, &addresses(&result));
            for entry in fs::read_dir(disk).expect("read").flatten().filter(|entry| entry.path().is_file()) {
                fs::remove_file(entry.path()).expect("removed");
            }
        }

        // With room again everything goes on.
        let other = node.add(&second);
        assert!(addresses(&other).iter().all(|address| !addresses(&result).contains(address)));
        assert_eq!(node.holders(), ["c1", "c2"]);
        ping_all(&node, &addresses(&other));

        // A pod that goes while the disk is full is taken away, and its address freed when there is room.
        bytes();
        node.call("DEL", Some(&first), &node.conf, &[]).fails(5, "No space left on device");
        assert_eq!(node.links().len(), 1);
        assert_eq!(node.holders(), ["c1", "c2"], "the next call frees it");
        fs::remove_file(&filler).expect("removed");
        node.del(&first);
        node.del(&second);
        node.is_empty();
    });
}

#[test]
fn namespaces_that_are_none_have_code_8_and_touch_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let file = sandbox.folder().join("file");
        fs::write(&file, "").expect("written");
        let fifo = sandbox.folder().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs").success());
        let paths =
            [Path::new("/run/netns/none"), &file, &fifo, Path::new("/proc/self/ns/mnt"), sandbox.folder()];
        for path in paths {
            let path = path.to_str().expect("text");
            let env = [("CNI_CONTAINERID", "c1"), ("CNI_NETNS", path)];
            node.call("ADD", None, &node.conf, &env).fails(8, "CNI_NETNS");
            node.call("DEL", None, &node.conf, &env).silent();
        }
        node.is_empty();
    });
}

#[test]
fn own_namespace_needs_the_override() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let own = Pod { netns: node.netns.clone(), id: "own".into() };
        for verb in ["ADD", "DEL", "CHECK"] {
            let conf = node.with("prevResult", json!({}));
            node.call(verb, Some(&own), &conf, &[("CNI_IFNAME", "pod0")]).fails(8, "own network namespace");
        }
        node.is_empty();
        let env = [("CNI_IFNAME", "pod0"), ("CNI_NETNS_OVERRIDE", "1")];
        // Both ends in one namespace: the node's default route stays the first choice.
        node.call("ADD", Some(&own), &node.conf, &env).result();
        ping(&node.netns, "192.0.2.254");
        node.call("DEL", Some(&own), &node.conf, &env).silent();
        node.is_empty();
    });
}

#[test]
fn interface_that_exists_is_an_error_and_stays() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let result = node.add(&pod);
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(100, "eth0");
        node.check(&pod, &result).silent();
        ping_all(&node, &addresses(&result));

        // Another container id with the same namespace and name: the first one's link stays.
        let other = Pod { netns: pod.netns.clone(), id: "c2".into() };
        node.call("ADD", Some(&other), &node.conf, &[]).fails(100, "eth0");
        node.check(&pod, &result).silent();
        assert_eq!(node.holders(), ["c1"]);

        // A second interface of the same container is another attachment, behind the first.
        let env = [("CNI_IFNAME", "eth1")];
        let second = node.call("ADD", Some(&pod), &node.conf, &env).result();
        assert_eq!(second["routes"][0]["priority"], 1024);
        assert_eq!(second["routes"][1]["priority"], 2048);
        // What leaves by the second interface has its address; the first one's stays the first choice.
        for to in ["192.0.2.254", "2001:db8::fe"] {
            let bound = pod.netns.exec("ping", ["-c1", "-W1", "-I", "eth1", to]).output();
            assert!(bound.expect("ping runs").status.success(), "{to} by eth1");
            ping(&pod.netns, to);
        }
        let prev = node.with("prevResult", second.clone());
        node.call("CHECK", Some(&pod), &prev, &env).silent();
        node.check(&pod, &result).silent();
        node.call("DEL", Some(&pod), &node.conf, &env).silent();
        node.check(&pod, &result).silent();
        assert_eq!(node.holders(), ["c1"]);
    });
}
