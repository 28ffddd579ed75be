//! Rates hold for TCP in both directions, with a short queue; CHECK, DEL and GC know of them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use labs::Netns;
use serde_json::{Value, json};

use crate::node::{Node, addresses};

/// How long a transfer is measured.
const PERIOD: Duration = Duration::from_secs(5);

/// Payload of one connection, bits a second as its receiver sees them.
fn throughput(from: &Netns, to: &Netns, address: &str) -> f64 {
    let any = SocketAddr::from(([0_u16; 8], 5001));
    let listener = to.enter(|| TcpListener::bind(any)).expect("a port");
    let target = SocketAddr::new(address.parse().expect("an address"), 5001);
    let mut sender = from.enter(|| TcpStream::connect(target)).expect("a way");
    let (mut receiver, _) = listener.accept().expect("a connection");
    let sending = std::thread::spawn(move || {
        let end = Instant::now() + PERIOD;
        while Instant::now() < end && sender.write_all(&[0; 1 << 14]).is_ok() {}
        let _ = sender.shutdown(Shutdown::Both);
    });
    let (start, mut bytes, mut buffer) = (Instant::now(), 0_usize, vec![0; 1 << 16]);
    loop {
        match receiver.read(&mut buffer).expect("a stream") {
            0 => break,
            length => bytes += length,
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    sending.join().expect("a sender");
    bytes as f64 * 8.0 / seconds
}

fn within_a_quarter(measured: f64, rate: f64) -> bool {
    (0.75 * rate..=1.25 * rate).contains(&measured)
}

fn rates(ingress: u64, egress: u64) -> Value {
    let burst = u32::MAX;
    json!({"bandwidth": {"ingressRate": ingress, "ingressBurst": burst, "egressRate": egress, "egressBurst": burst}})
}

#[test]
fn rates_hold_in_both_directions() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        // The burst is the one that containerd asks for: half a gigabyte.
        let conf = node.with("runtimeConfig", rates(20_000_000, 40_000_000));
        let own = addresses(&node.call("ADD", Some(&pod), &conf, &[]).result());
        let there = throughput(&node.router, &pod.netns, &own[0]);
        let back = throughput(&pod.netns, &node.router, "2001:db8::fe");
        assert!(
            within_a_quarter(there, 20e6) && within_a_quarter(back, 40e6),
            "{there} to the pod, {back} from it"
        );
    });
}

#[test]
fn a_full_queue_is_short() {
    labs::require!("root", "ping");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        let conf = node.with("runtimeConfig", rates(20_000_000, 20_000_000));
        let own = addresses(&node.call("ADD", Some(&pod), &conf, &[]).result());
        let load = {
            let (router, pod, to) = (node.router.clone(), pod.netns.clone(), own[0].clone());
            std::thread::spawn(move || throughput(&router, &pod, &to))
        };
        let output =
            node.router.exec("ping", ["-q", "-i0.02", "-c150", &own[0]]).output().expect("ping runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let average: f64 = text
            .split_once("mdev = ")
            .and_then(|(_, figures)| figures.split('/').nth(1))
            .unwrap_or_else(|| panic!("{text}"))
            .parse()
            .expect("a number");
        // The queue holds 10 ms; the rest is the machine's.
        assert!(average < 15.0, "{text}");
        load.join().expect("a transfer");
    });
}

#[test]
fn what_is_absurd_is_refused() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        let pod = node.pod(sandbox, "a");
        for (bandwidth, needle) in [
            (json!({"ingressRate": -1, "ingressBurst": 1}), "ingressRate is -1"),
            (json!({"ingressRate": 1_000_000}), "ingressBurst is missing or 0"),
            (json!({"egressBurst": 1_000_000}), "egressRate is missing or 0"),
            (json!({"egressRate": 1, "egressBurst": 1}), "egressRate is 1"),
            (json!({"egressRate": 1e30, "egressBurst": 1}), "egressRate is 1e"),
            (json!({"egressRate": "1M", "egressBurst": 1}), "egressRate is \"1M\""),
            (json!({"egressRate": 1_000, "egressBurst": u64::MAX}), "egressBurst is 18446744073709551615"),
            (json!([1]), "runtimeConfig.bandwidth"),
        ] {
            let conf = node.with("runtimeConfig", json!({"bandwidth": bandwidth}));
            node.call("ADD", Some(&pod), &conf, &[]).fails(7, needle);
        }
        node.conf["ingressRate"] = 5.into();
        node.call("ADD", Some(&pod), &node.conf, &[]).fails(7, "ingressBurst");
        node.is_empty();
    });
}

#[test]
fn check_del_and_garbage_collection_know_of_rates() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let mut node = Node::new(sandbox);
        // Of the network, not of the pod.
        for (key, value) in rates(8_000_000, 8_000_000)["bandwidth"].as_object().expect("fields") {
            node.conf[key] = value.clone();
        }
        let ifbs = |node: &Node| node.netns.ip("-br link show type ifb");
        for (id, spoil, needle) in [
            ("a", "tc qdisc del dev LINK root", "rate of LINK is not limited"),
            (
                "b",
                "tc qdisc replace dev LINK root tbf rate 9mbit burst 10kb limit 20kb",
                "rate of LINK is 1125000",
            ),
            (
                "q",
                "tc qdisc replace dev LINK root tbf rate 8mbit burst 16384 limit 40000",
                "the queue of LINK holds 40000 bytes, not 16384",
            ),
            (
                "t",
                "tc qdisc replace dev IFB root tbf rate 8mbit burst 10000 limit 16384",
                "the burst of IFB is not 16384 bytes",
            ),
            ("c", "tc qdisc del dev LINK clsact", "what comes by LINK is not led"),
            ("d", "tc qdisc del dev IFB root", "rate of IFB is not limited"),
            ("e", "ip link set IFB down", "IFB is down"),
            ("f", "ip link del IFB", "link IFB is missing"),
        ] {
            let pod = node.pod(sandbox, id);
            let result = node.add(&pod);
            node.check(&pod, &result).silent();
            let link = result["interfaces"][0]["name"].as_str().expect("a name");
            let named = |text: &str| text.replace("LINK", link).replace("IFB", &link.replacen("ul", "ub", 1));
            let words = named(spoil);
            let (program, words) = words.split_once(' ').expect("words");
            assert!(
                node.netns.exec(program, words.split(' ')).status().expect("it runs").success(),
                "{words}"
            );
            node.check(&pod, &result).fails(102, &named(needle));
            node.del(&pod);
            assert_eq!(ifbs(&node), "");
            node.is_empty();
        }
        let pods = ["g", "h"].map(|id| node.pod(sandbox, id));
        let results = pods.each_ref().map(|pod| node.add(pod));
        std::fs::remove_dir_all("/var/lib/underlay/cni").expect("a ledger");
        node.netns.ip(&format!("link del {}", results[0]["interfaces"][0]["name"].as_str().expect("a name")));
        let valid = json!([{"containerID": "h", "ifname": "eth0"}]);
        node.call("GC", None, &node.with("cni.dev/valid-attachments", valid), &[]).silent();
        assert_eq!(ifbs(&node).lines().count(), 1);
        node.call("DEL", Some(&pods[1]), &node.conf, &[]).silent();
        assert_eq!(ifbs(&node), "");
    });
}

#[test]
fn an_add_that_fails_leaves_no_shaper() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let node = Node::new(sandbox);
        let [a, b] = ["a", "b"].map(|id| node.pod(sandbox, id));
        let mut asked = rates(8_000_000, 8_000_000);
        asked["portMappings"] = json!([{"hostPort": 80, "containerPort": 80}]);
        let mut conf = node.with("runtimeConfig", asked);
        node.call("ADD", Some(&a), &conf, &[]).result();
        // Another network finds out only when it comes to the packet filter, behind the shaper.
        conf["name"] = "other".into();
        node.call("ADD", Some(&b), &conf, &[]).fails(104, "in use");
        assert_eq!((node.links().len(), node.netns.ip("-br link show type ifb").lines().count()), (1, 1));
        node.del(&a);
        node.is_empty();
    });
}
