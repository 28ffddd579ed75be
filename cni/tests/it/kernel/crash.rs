//! Killed at any system call: the next call of a runtime finds nothing in its way.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::node::{Node, Pod, addresses, ping, spawn, wait};

/// The plugin on the node, killed at the `at`th call of `syscall` (any thread); whether it lived to the end.
fn killed_at(node: &Node, verb: &str, pod: &Pod, syscall: &str, at: usize) -> bool {
    let inject = format!("inject={syscall}:signal=SIGKILL:when={at}");
    let words = ["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={syscall}"), "-e", &inject];
    let mut command: Command = node.netns.exec("strace", words);
    command.arg(crate::node::PLUGIN);
    command.env_clear().env("CNI_COMMAND", verb).env("CNI_IFNAME", "eth0");
    command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", pod.netns.path());
    let output = spawn(command, &node.conf.to_string()).wait_with_output().expect("strace ends");
    output.status.success()
}

/// Every change of the plugin to the world is one of these; killing before and after each of
/// them is killing at each instruction that matters.
const SYSCALLS: [&str; 8] =
    ["sendto", "recvfrom", "openat", "write", "fdatasync", "rename", "flock", "setns"];

fn everywhere(verb: &str, prepare: impl Fn(&Node, &Pod), after: impl Fn(&Node, &Pod)) {
    let thread = std::thread::current();
    let test = thread.name().expect("a test has a name");
    labs::sandbox::run(test, |sandbox| {
        let node = Node::new(sandbox);
        let mut kills = 0;
        for syscall in SYSCALLS {
            for at in 1.. {
                let pod = node.pod(sandbox, &format!("{syscall}{at}"));
                prepare(&node, &pod);
                let lived = killed_at(&node, verb, &pod, syscall, at);
                after(&node, &pod);
                // A reader always finds a whole file.
                let text = fs::read_to_string(node.ledger()).unwrap_or_else(|_| "{}".into());
                let _: Value = serde_json::from_str(&text).expect("the ledger is JSON");
                node.is_empty();
                pod.netns.remove().expect("the name goes");
                if lived {
                    break;
                }
                kills += 1;
            }
        }
        assert!(kills > 10, "{kills} calls were killed");
    });
}

#[test]
fn add_killed_anywhere_then_del() {
    labs::require!("root", "strace");
    everywhere("ADD", |_, _| {}, Node::del);
}

#[test]
fn add_killed_anywhere_then_del_and_add_again() {
    labs::require!("root", "strace", "ping");
    everywhere(
        "ADD",
        |_, _| {},
        |node, pod| {
            node.del(pod);
            let result = node.add(pod);
            addresses(&result).iter().for_each(|address| ping(&node.netns, address));
            node.check(pod, &result).silent();
            node.del(pod);
        },
    );
}

#[test]
fn del_killed_anywhere_then_del() {
    labs::require!("root", "strace");
    everywhere("DEL", |node, pod| drop(node.add(pod)), Node::del);
}

#[test]
fn add_killed_anywhere_then_gc() {
    labs::require!("root", "strace");
    everywhere(
        "ADD",
        |_, _| {},
        |node, _| {
            let valid = node.with("cni.dev/valid-attachments", serde_json::json!([]));
            wait(node.spawn("GC", None, &valid.to_string(), &[])).silent();
        },
    );
}
