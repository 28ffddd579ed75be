//! Addresses: never twice, never lost, whatever happens to the file.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::node::{Node, Pod, addresses, ping, wait};

#[test]
fn parallel_adds_give_distinct_addresses() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods: Vec<Pod> = (0..200).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        let conf = node.conf.to_string();
        let calls: Vec<_> = pods.iter().map(|pod| node.spawn("ADD", Some(pod), &conf, &[])).collect();
        let mut seen = BTreeSet::new();
        for call in calls {
            seen.extend(addresses(&wait(call).result()));
        }
        assert_eq!(seen.len(), 400, "200 addresses of each family");
        assert_eq!((node.links().len(), node.holders().len()), (200, 200));

        let calls: Vec<_> = pods.iter().map(|pod| node.spawn("DEL", Some(pod), &conf, &[])).collect();
        calls.into_iter().for_each(|call| wait(call).silent());
        node.is_empty();
    });
}

#[test]
fn five_hundred_adds_and_dels_at_once() {
    const ATTACHMENTS: usize = 500;
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        // Twenty interfaces a container, so that only one could have default routes.
        node.conf["defaultRoute"] = false.into();
        // 509 addresses, all but nine of which are needed at some moment.
        node.conf["subnets"] = json!(["10.244.0.0/23", "fd00:10:244:1::/64"]);
        let conf = node.conf.to_string();
        let pods: Vec<Pod> = (0..ATTACHMENTS / 20).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        let pod = |n: usize| &pods[n / 20];
        let mut up = [false; ATTACHMENTS];
        // Every other one comes; then they go, and the others come in the same moment.
        for step in [2, 1] {
            let turned: Vec<usize> = (0..ATTACHMENTS).step_by(step).collect();
            let calls: Vec<_> = turned
                .iter()
                .map(|n| {
                    let (verb, name) = (if up[*n] { "DEL" } else { "ADD" }, format!("eth{}", n % 20));
                    node.spawn(verb, Some(pod(*n)), &conf, &[("CNI_IFNAME", &name)])
                })
                .collect();
            let mut given = BTreeSet::new();
            for (n, call) in turned.into_iter().zip(calls) {
                let answer = wait(call);
                if up[n] {
                    answer.silent();
                } else {
                    given.extend(addresses(&answer.result()));
                }
                up[n] = !up[n];
            }
            let mut holders = node.holders();
            holders.sort();
            let mut expected: Vec<String> =
                (0..ATTACHMENTS).filter(|n| up[*n]).map(|n| pod(n).id.clone()).collect();
            expected.sort();
            assert_eq!(holders, expected);
            assert_eq!(given.len(), 2 * expected.len(), "no address twice");
            for words in ["route show proto 172", "-6 route show proto 172"] {
                let routes = node.netns.ip(words);
                let targets: BTreeSet<&str> =
                    routes.lines().filter_map(|line| line.split(' ').next()).collect();
                assert_eq!(targets.len(), expected.len(), "one route an attachment: {routes}");
            }
        }
    });
}

#[test]
fn freed_address_rests() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "c1");
        let first = addresses(&node.add(&pod));
        node.del(&pod);
        let second = addresses(&node.add(&pod));
        assert_eq!((first[0].as_str(), second[0].as_str()), ("10.244.1.2", "10.244.1.3"));
        assert_eq!(second[1], "fd00:10:244:1::3");
    });
}

/// What happens to the file, and its name.
type Damage = (&'static str, fn(&Node));

/// A node whose IPv4 pool has five addresses.
fn small(sandbox: &labs::Sandbox) -> Node {
    let mut node = Node::new(sandbox);
    let range = json!({"subnet": "10.244.1.0/29", "rangeStart": "10.244.1.2"});
    node.conf["subnets"] = json!([range, "fd00:10:244:1::/64"]);
    node
}

#[test]
fn full_pool_names_holders_and_recovers() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = small(sandbox);
        let pods: Vec<Pod> = (0..5).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        for pod in &pods {
            let args = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME={}", pod.id);
            node.call("ADD", Some(pod), &node.conf, &[("CNI_ARGS", &args)]).result();
        }
        let late = node.pod(sandbox, "late");
        let (code, text) = node.call("ADD", Some(&late), &node.conf, &[]).error();
        assert_eq!(code, 11);
        assert!(text.contains("5 of 5 addresses of 10.244.1.0/29 in use: 10.244.1.2 ns/c0, "), "{text}");
        assert_eq!(node.links().len(), 5);

        node.del(&pods[3]);
        assert_eq!(addresses(&node.add(&late))[0], "10.244.1.5");
        // A pod that ended without a DEL: its link went with its namespace.
        pods[1].netns.remove().expect("the name goes");
        labs::wait::until("the link goes with the namespace", std::time::Duration::from_secs(10), || {
            node.links().len() == 4
        });
        assert_eq!(addresses(&node.add(&node.pod(sandbox, "heir")))[0], "10.244.1.3");
    });
}

#[test]
fn lost_or_damaged_file_never_gives_an_address_twice() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = small(sandbox);
        let mut given = BTreeSet::new();
        let damages: [Damage; 4] = [
            ("lost folder", |node| {
                fs::remove_dir_all(node.ledger().parent().expect("a folder")).expect("removed");
            }),
            ("zero bytes", |node| fs::write(node.ledger(), "").expect("written")),
            ("foreign file", |node| fs::write(node.ledger(), "10.244.1.2\n").expect("written")),
            ("half a file", |node| {
                let bytes = fs::read(node.ledger()).expect("read");
                fs::write(node.ledger(), &bytes[..bytes.len() / 2]).expect("written");
            }),
        ];
        let mut pods = vec![node.pod(sandbox, "c0")];
        given.extend(addresses(&node.add(&pods[0])));
        for (n, (name, damage)) in damages.iter().enumerate() {
            damage(&node);
            let pod = node.pod(sandbox, &format!("c{}", n + 1));
            let fresh = addresses(&node.add(&pod));
            assert!(fresh.iter().all(|address| given.insert(address.clone())), "{name}: {fresh:?} twice");
            pods.push(pod);
        }
        // And none is lost for ever: every pod goes, then all five addresses are there.
        pods.iter().for_each(|pod| node.del(pod));
        node.is_empty();
        let again: BTreeSet<String> =
            pods.iter().map(|pod| addresses(&node.add(pod)).swap_remove(0)).collect();
        assert_eq!(again.len(), 5);
    });
}

#[test]
fn reboot_frees_everything() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = small(sandbox);
        for n in 0..5 {
            node.add(&node.pod(sandbox, &format!("c{n}")));
        }
        // After a boot there are no links, and the file is of the boot before.
        for link in node.links() {
            node.netns.ip(&format!("link del {link}"));
        }
        let mut ledger: Value =
            serde_json::from_slice(&fs::read(node.ledger()).expect("read")).expect("JSON");
        ledger["bootID"] = "00000000-0000-0000-0000-000000000000".into();
        fs::write(node.ledger(), ledger.to_string()).expect("written");
        let first = addresses(&node.add(&node.pod(sandbox, "after")));
        assert_eq!(first, ["10.244.1.2", "fd00:10:244:1::7"], "free, and still next-fit");
        assert_eq!(node.holders(), ["after"]);
    });
}

#[test]
fn an_address_that_another_route_leads_to_is_not_handed_out() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.netns.ip("route add unreachable 10.244.1.0/24 proto 171 metric 190");
        node.netns.ip("-6 route add unreachable fd00:10:244:1::/64 proto 171 metric 190");
        node.netns.ip("addr add 10.244.1.2/32 dev lo");
        node.netns.ip("route add 10.244.1.3/32 via 192.0.2.254");
        node.netns.ip("-6 route add fd00:10:244:1::2/128 via 2001:db8::fe");
        assert_eq!(addresses(&node.add(&node.pod(sandbox, "c1"))), ["10.244.1.4", "fd00:10:244:1::3"]);
    });
}

#[test]
fn a_route_hidden_from_the_lookup_costs_an_attempt_not_the_pod() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        // An unreachable host route answers like a free address, and takes the place of the pod's.
        node.netns.ip("route add unreachable 10.244.1.2/32");
        assert_eq!(addresses(&node.add(&node.pod(sandbox, "c1")))[0], "10.244.1.3");
        assert_eq!(node.links().len(), 1);
    });
}

#[test]
fn requested_addresses() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b, c] = ["a", "b", "c"].map(|id| node.pod(sandbox, id));
        let wanted = node.with("runtimeConfig", json!({"ips": ["10.244.1.77/24", "fd00:10:244:1::77"]}));
        assert_eq!(
            addresses(&node.call("ADD", Some(&a), &wanted, &[]).result()),
            ["10.244.1.77", "fd00:10:244:1::77"]
        );
        ping(&node.router, "10.244.1.77");
        node.call("ADD", Some(&b), &wanted, &[]).fails(101, "10.244.1.77 is in use by a");
        // The other family comes from the pool; the place of the last one counts.
        let result = node.call("ADD", Some(&b), &node.conf, &[("CNI_ARGS", "IP=10.244.1.5")]).result();
        assert_eq!(addresses(&result), ["10.244.1.5", "fd00:10:244:1::78"]);

        fs::remove_file(node.ledger()).expect("removed");
        node.call("ADD", Some(&c), &wanted, &[]).fails(101, "the host has a route to it");
        for outside in ["10.9.9.9", "10.244.1.0", "10.244.1.255", "fd01::1"] {
            let args = format!("IP={outside}");
            node.call("ADD", Some(&c), &node.conf, &[("CNI_ARGS", &args)]).fails(7, outside);
        }
        node.call("ADD", Some(&c), &node.conf, &[("CNI_ARGS", "IP=10.244.1.8,10.244.1.9")])
            .fails(7, "more than one");
        assert_eq!(node.links().len(), 2);
        // What died without a DEL is no holder.
        node.del(&a);
        node.del(&b);
        node.call("ADD", Some(&c), &wanted, &[]).result();
    });
}
