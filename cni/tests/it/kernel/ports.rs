//! Port mappings: reached from everywhere, refused where taken, gone without a trace.

use std::io::{self, Write};
use std::net::UdpSocket;
use std::process::Stdio;

use labs::Netns;
use serde_json::{Value, json};

use crate::node::{Answer, Node, Pod, addresses};
use crate::traffic::{ask, client, serve, silent, tcp, udp};

/// The node's addresses.
const NODE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

fn with_ports(node: &Node, mappings: &Value) -> Value {
    node.with("runtimeConfig", json!({"portMappings": mappings}))
}

fn web() -> Value {
    json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
           {"hostPort": 8053, "containerPort": 80, "protocol": "udp"}])
}

/// What `nft` prints for these words.
#[track_caller]
pub(crate) fn nft(netns: &Netns, words: &str) -> String {
    let output = netns.exec("nft", words.split(' ')).output().expect("nft runs");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes rules as their owner would.
pub(crate) fn nft_file(netns: &Netns, text: &str) {
    let mut child = netns.exec("nft", ["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft runs");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("nft reads");
    assert!(child.wait().expect("nft ends").success(), "{text}");
}

/// Who answers by TCP on 8080 and by UDP on 8053.
fn both(from: &Netns, to: &str) -> [io::Result<String>; 2] {
    [tcp(from, to, 8080), udp(from, to, 8053)]
}

#[track_caller]
fn answers(from: &Netns, to: &str, expected: &str) {
    for answer in both(from, to) {
        assert_eq!(answer.unwrap_or_else(|e| format!("{e}")), expected, "{} to {to}", from.name());
    }
}

#[track_caller]
fn refused(from: &Netns, to: &str) {
    assert!(both(from, to).iter().all(Result::is_err), "{} to {to}", from.name());
}

#[test]
fn reached_from_everywhere() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        node.call("ADD", Some(&a), &with_ports(&node, &web()), &[]).result();
        let of_b = addresses(&node.add(&b));
        serve(&a.netns, 80);
        for (at, to) in NODE.into_iter().enumerate() {
            answers(&node.router, to, &format!("a to {}", ["192.0.2.254", "2001:db8::fe"][at]));
            answers(&node.netns, to, &format!("a to {to}"));
            answers(&b.netns, to, &format!("a to {}", of_b[at]));
            // A pod never sees itself as its own peer: the answer would not come back by the node.
            answers(&a.netns, to, &format!("a to {}", ["169.254.1.1", "2001:db8::1"][at]));
        }
        answers(&node.netns, "127.0.0.1", "a to 169.254.1.1");
        answers(&node.netns, "127.0.0.99", "a to 169.254.1.1");
        answers(&node.netns, "::1", "a to 2001:db8::1");
        node.call("DEL", Some(&a), &node.conf, &[]).silent();
        for to in NODE.into_iter().chain(["127.0.0.1", "::1"]) {
            refused(&node.netns, to);
        }
    });
}

#[test]
fn one_address_of_the_node() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.netns.ip("addr add 198.51.100.1/32 dev lo");
        let list = |ip: &str| {
            json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ip},
                   {"hostPort": 8053, "containerPort": 80, "protocol": "udp", "hostIP": ip}])
        };
        let add = |id: &str, ip: &str| {
            let pod = node.pod(sandbox, id);
            node.call("ADD", Some(&pod), &with_ports(&node, &list(ip)), &[]).result();
            serve(&pod.netns, 80);
        };
        add("a", "127.0.0.1");
        answers(&node.netns, "127.0.0.1", "a to 169.254.1.1");
        refused(&node.netns, "192.0.2.1");
        refused(&node.router, "192.0.2.1");
        refused(&node.netns, "::1");
        add("b", "::1");
        answers(&node.netns, "::1", "b to 2001:db8::1");
        refused(&node.router, "2001:db8::1");
        add("c", "192.0.2.1");
        add("d", "198.51.100.1");
        answers(&node.router, "192.0.2.1", "c to 192.0.2.254");
        answers(&node.netns, "198.51.100.1", "d to 198.51.100.1");
        answers(&node.netns, "127.0.0.1", "a to 169.254.1.1");
    });
}

#[test]
fn a_node_without_an_ipv4_address_maps_its_loopback() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        node.netns.ip("addr del 192.0.2.1/24 dev eth0");
        let pod = node.pod(sandbox, "a");
        node.call("ADD", Some(&pod), &with_ports(&node, &web()), &[]).result();
        serve(&pod.netns, 80);
        answers(&node.netns, "127.0.0.1", "a to 169.254.1.1");
    });
}

#[test]
fn loopback_of_the_node_is_not_reached_from_a_pod() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        node.call("ADD", Some(&pod), &with_ports(&node, &web()), &[]).result();
        // A service that trusts its loopback, and a pod that aims at it with the node's MAC address.
        let service = node.netns.enter(|| UdpSocket::bind("127.0.0.1:9000")).expect("a port");
        service.set_read_timeout(Some(std::time::Duration::from_millis(300))).expect("a timeout");
        pod.netns.ip("addr del 127.0.0.1/8 dev lo");
        pod.netns.ip("route add 127.0.0.1/32 via 169.254.1.1 dev eth0 onlink");
        pod.netns.sysctl("net/ipv4/conf/eth0/route_localnet", "1");
        let sender = pod.netns.enter(|| UdpSocket::bind("0.0.0.0:0")).expect("a socket");
        sender.send_to(b"?", "127.0.0.1:9000").expect("a route");
        assert!(service.recv(&mut [0; 8]).is_err(), "a packet of the pod reached 127.0.0.1");
    });
}

#[test]
fn taken_ports_name_the_other_pod() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let named = [("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1")];
        let one = |ip: &str, protocol: &str| json!([{"hostPort": 8080, "containerPort": 81, "protocol": protocol, "hostIP": ip}]);
        node.call("ADD", Some(&a), &with_ports(&node, &web()), &named).result();
        let held = nft(&node.netns, "list ruleset");
        let try_b = |node: &Node, list: &Value| node.call("ADD", Some(&b), &with_ports(node, list), &[]);
        for list in [web(), one("", "tcp"), one("192.0.2.1", "tcp"), one("0.0.0.0", "TCP"), one("::1", "tcp")]
        {
            try_b(&node, &list).fails(104, "port 8080");
            try_b(&node, &list).fails(104, "in use by default/web-1");
        }
        assert_eq!(nft(&node.netns, "list ruleset"), held);
        assert_eq!(node.links().len(), 1);
        // Another network of the node has a ledger of its own.
        let of_net = node.conf.clone();
        node.conf["name"] = "other".into();
        node.conf["subnets"] = json!(["10.244.2.0/24"]);
        try_b(&node, &web()).fails(104, "in use by default/web-1");
        assert_eq!((nft(&node.netns, "list ruleset"), node.links().len()), (held, 1));
        try_b(&node, &one("", "udp")).result();
        node.call("DEL", Some(&b), &node.conf, &[]).silent();
        node.conf = of_net;
        node.del(&a);
        try_b(&node, &web()).result();
    });
}

#[test]
fn what_is_invalid_touches_nothing() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        for (list, needle) in [
            (json!([{"hostPort": 0, "containerPort": 80}]), "portMappings[0].hostPort is 0"),
            (json!([{"hostPort": 1, "containerPort": 80, "protocol": "icmp"}]), "protocol is \"icmp\""),
            (json!([{"hostPort": "1", "containerPort": 80}]), "portMappings"),
            (json!({"hostPort": 1}), "portMappings"),
        ] {
            node.call("ADD", Some(&pod), &with_ports(&node, &list), &[]).fails(7, needle);
        }
        node.conf["subnets"] = json!(["10.244.1.0/24"]);
        let six = json!([{"hostPort": 1, "containerPort": 1, "hostIP": "::1"}]);
        node.call("ADD", Some(&pod), &with_ports(&node, &six), &[]).fails(7, "hostIP ::1");
        node.is_empty();
    });
}

#[test]
fn nothing_is_left_whatever_was_lost() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods = ["a", "b"].map(|id| node.pod(sandbox, id));
        let [a, b] = &pods;
        let conf = with_ports(&node, &web());
        node.call("ADD", Some(a), &conf, &[]).result();
        node.add(b);
        node.del(a);
        let left = nft(&node.netns, "list ruleset");
        assert!(!left.contains("nat") && !left.contains("port4"), "{left}");
        assert!(left.contains("guarded") && left.contains(" b\""), "{left}");
        node.del(b);
        node.is_empty();
        // Without the namespace, without the ledger, and twice.
        node.call("ADD", Some(a), &conf, &[]).result();
        let lost: &[fn(&Node, &Pod)] = &[
            |_, pod| pod.netns.remove().expect("a namespace"),
            |_, _| std::fs::remove_dir_all("/var/lib/underlay/cni").expect("a ledger"),
            |_, _| {},
        ];
        for lose in lost {
            lose(&node, a);
            node.del(a);
            node.is_empty();
        }
    });
}

#[test]
fn ports_of_the_dead_are_free() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let conf = with_ports(&node, &web());
        // The kernel takes the link with the namespace; nobody tells the plugin.
        node.call("ADD", Some(&a), &conf, &[]).result();
        a.netns.remove().expect("a namespace");
        labs::wait::until("the link's end", std::time::Duration::from_secs(10), || node.links().is_empty());
        node.call("ADD", Some(&b), &conf, &[]).result();
        serve(&b.netns, 80);
        answers(&node.router, "192.0.2.1", "b to 192.0.2.254");
        // The late DEL of the first takes nothing of the second.
        node.del(&a);
        answers(&node.router, "2001:db8::1", "b to 2001:db8::fe");
        std::fs::remove_dir_all("/var/lib/underlay/cni").expect("a ledger");
        node.netns.ip(&format!("link del {}", node.links()[0]));
        let c = node.pod(sandbox, "c");
        node.call("ADD", Some(&c), &conf, &[]).result();
    });
}

#[test]
fn clients_of_udp_follow_the_port() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let conf = with_ports(&node, &web());
        let clients = NODE.map(|to| client(&node.router, to, 8053));
        // Before there is a pod, the node itself is asked and is remembered as who was asked.
        clients.iter().for_each(silent);
        node.call("ADD", Some(&a), &conf, &[]).result();
        serve(&a.netns, 80);
        let answer = |client| ask(client).unwrap_or_else(|e| e.to_string());
        // A datagram refused before the mapping was there may still wait to be told.
        let asked = |client: &UdpSocket| ask(client).or_else(|_| ask(client));
        assert_eq!(clients.each_ref().map(|c| asked(c).expect("an answer"))[0], "a to 192.0.2.254");
        assert_eq!(answer(&clients[1]), "a to 2001:db8::fe");
        node.del(&a);
        clients.iter().for_each(silent);
        node.call("ADD", Some(&b), &conf, &[]).result();
        serve(&b.netns, 80);
        assert_eq!(asked(&clients[0]).expect("an answer"), "b to 192.0.2.254");
        assert_eq!(asked(&clients[1]).expect("an answer"), "b to 2001:db8::fe");
    });
}

#[test]
fn sctp_is_mapped_too() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        let list = json!([{"hostPort": 36412, "containerPort": 36413, "protocol": "sctp"}]);
        node.call("ADD", Some(&pod), &with_ports(&node, &list), &[]).result();
        let maps = nft(&node.netns, "list ruleset");
        assert!(maps.contains("sctp . 36412") && maps.contains(": 10.244.1.2 . 36413"), "{maps}");
        assert!(maps.contains(": fd00:10:244:1::2 . 36413"), "{maps}");
    });
}

#[test]
fn check_sees_what_is_missing() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let spoil = |id: &str, words: &[&str], needle: &str| {
            let pod = node.pod(sandbox, id);
            let conf = with_ports(&node, &web());
            let result = node.call("ADD", Some(&pod), &conf, &[]).result();
            let check = || -> Answer {
                let mut conf = conf.clone();
                conf["prevResult"] = result.clone();
                node.call("CHECK", Some(&pod), &conf, &[])
            };
            check().silent();
            let link = result["interfaces"][0]["name"].as_str().expect("a name");
            for words in words {
                let words = words.replace("LINK", link);
                match words.split_once(' ') {
                    Some(("nft", rest)) => drop(nft(&node.netns, rest)),
                    Some(("ip", rest)) => drop(node.netns.ip(rest)),
                    Some((key, value)) => node.netns.sysctl(key, value),
                    None => unreachable!("no words"),
                }
            }
            check().fails(102, needle);
            node.del(&pod);
            node.is_empty();
        };
        let table = "inet underlay-cni";
        spoil("a", &[&format!("nft delete element {table} port4 {{ tcp . 8080 }}")], "element of port4");
        spoil(
            "b",
            &[&format!("nft delete element {table} itself6 {{ fd00:10:244:1::3 . fd00:10:244:1::3 }}")],
            "itself6",
        );
        spoil("c", &[&format!("nft flush chain {table} incoming")], "chain incoming");
        spoil("d", &[&format!("nft delete element {table} guarded {{ LINK }}")], "element of guarded");
        spoil("e", &["nft flush ruleset"], "chain loopback");
        spoil("f", &["net/ipv4/conf/LINK/route_localnet 0"], "RouteLocalnet");
        spoil("g", &["ip -6 route del local ::1 dev LINK table local"], "route to ::1");
        spoil(
            "h",
            &[
                &format!("nft delete element {table} port6 {{ udp . 8053 }}"),
                &format!("nft add element {table} port6 {{ udp . 8053 : fd00::9 . 80 }}"),
            ],
            "leads elsewhere",
        );
    });
}

#[test]
fn an_add_mends_what_another_flushed() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let theirs = with_ports(&node, &json!([{"hostPort": 9090, "containerPort": 80}]));
        let result = node.call("ADD", Some(&a), &theirs, &[]).result();
        for words in
            ["flush ruleset", "flush table inet underlay-cni", "add rule inet underlay-cni loopback accept"]
        {
            nft(&node.netns, words);
            node.call("ADD", Some(&b), &with_ports(&node, &web()), &[]).result();
            serve(&b.netns, 80 + u16::try_from(words.len()).expect("short"));
            let rules = nft(&node.netns, "list chain inet underlay-cni loopback");
            assert_eq!(rules.matches("drop comment").count(), 4, "{rules}");
            assert!(!rules.contains("accept\n\t}"), "{rules}");
            // What the other pod had is there again as well.
            node.check(&a, &result).silent();
            node.del(&b);
        }
    });
}

#[test]
fn what_nft_lists_it_can_read() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        let mut conf = with_ports(&node, &web());
        conf["ipMasq"] = true.into();
        let result = node.call("ADD", Some(&pod), &conf, &[]).result();
        let before = nft(&node.netns, "list ruleset");
        nft_file(&node.netns, &format!("flush ruleset\n{before}"));
        assert_eq!(nft(&node.netns, "list ruleset"), before);
        node.check(&pod, &result).silent();
    });
}

#[test]
fn garbage_collection_takes_ports_too() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let pods = ["a", "b", "c"].map(|id| node.pod(sandbox, id));
        let ports = |n: usize| json!([{"hostPort": 8000 + n, "containerPort": 80}]);
        for (n, pod) in pods.iter().enumerate().take(2) {
            node.call("ADD", Some(pod), &with_ports(&node, &ports(n)), &[]).result();
        }
        // Another network's are not ours to take.
        let of_net = node.conf.clone();
        node.conf["name"] = "other".into();
        node.conf["subnets"] = json!(["10.244.2.0/24"]);
        node.call("ADD", Some(&pods[2]), &with_ports(&node, &ports(2)), &[]).result();
        node.conf = of_net;
        std::fs::remove_dir_all("/var/lib/underlay/cni/net").expect("a ledger");
        let valid = json!([{"containerID": "b", "ifname": "eth0"}]);
        node.call("GC", None, &node.with("cni.dev/valid-attachments", valid), &[]).silent();
        let maps = nft(&node.netns, "list map inet underlay-cni port4");
        let held: Vec<bool> =
            [8000, 8001, 8002].iter().map(|port| maps.contains(&format!("tcp . {port}"))).collect();
        assert_eq!(held, [false, true, true], "{maps}");
    });
}

#[test]
fn a_hundred_pods_at_once() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pods: Vec<Pod> = (0..100).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        let conf =
            |n: usize| with_ports(&node, &json!([{"hostPort": 10_000 + n, "containerPort": 80}])).to_string();
        for verb in ["ADD", "DEL"] {
            let calls: Vec<_> =
                pods.iter().enumerate().map(|(n, pod)| node.spawn(verb, Some(pod), &conf(n), &[])).collect();
            for call in calls {
                let answer = crate::node::wait(call);
                assert!(answer.success, "{}", answer.stdout);
            }
            let maps = nft(&node.netns, "list ruleset");
            assert_eq!(maps.matches("tcp . 10").count(), if verb == "ADD" { 200 } else { 0 });
        }
        node.is_empty();
    });
}
