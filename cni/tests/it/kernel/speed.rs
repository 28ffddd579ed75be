//! Beside the reference plugins, interleaved on the same machine: CPU decides.
//!
//! An ordinary run only proves that it runs, as a build for tests says nothing: build with `--profile cni`, then
//! `UNDERLAY_CNI=$PWD/target/cni/underlay-cni cargo test -p cni --test it kernel::speed -- --nocapture --test-threads 1`

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cost::{Cost, call, least, load, memory, ms, spent};
use crate::node::{Node, PLUGIN, REFERENCE, addresses, wait};
use crate::traffic::{client, flows, serve};

/// Runs of each kind; the minimum counts.
const RUNS: usize = 30;

/// Runs of a build for tests.
const FEW: usize = 2;

/// The most memory that a call may have, kilobytes.
const MEMORY: u64 = 6_000;

const V4: [&str; 1] = ["10.244.1.0/24"];
const BOTH: [&str; 2] = ["10.244.1.0/24", "fd00:10:244:1::/64"];

/// The program to measure, and whether it is a build to measure.
fn ours() -> (String, bool) {
    let built = std::env::var("UNDERLAY_CNI");
    let measured = built.is_ok();
    (built.unwrap_or_else(|_| PLUGIN.into()), measured)
}

/// A port, both rates, masquerading.
fn runtime(port: usize) -> Value {
    json!({"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}],
           "bandwidth": {"ingressRate": 50_000_000, "ingressBurst": 5_000_000,
                         "egressRate": 50_000_000, "egressBurst": 5_000_000}})
}

/// Ours with `subnets`, and all three if `port` says which.
fn own(node: &Node, subnets: &[&str], port: Option<usize>) -> Value {
    let mut conf = node.with("subnets", json!(subnets));
    if let Some(port) = port {
        conf["ipMasq"] = true.into();
        conf["runtimeConfig"] = runtime(port);
    }
    conf
}

/// The reference's chain for the same.
fn theirs(subnets: &[&str], port: Option<usize>) -> Vec<(String, Value)> {
    let ranges: Vec<Value> = subnets.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    let ipam = json!({"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]});
    let first =
        json!({"cniVersion": "1.0.0", "name": "ref", "type": "ptp", "ipMasq": port.is_some(), "ipam": ipam});
    let mut chain = vec![(format!("{REFERENCE}/ptp"), first)];
    if let Some(port) = port {
        for kind in ["portmap", "bandwidth"] {
            let conf =
                json!({"cniVersion": "1.0.0", "name": "ref", "type": kind, "runtimeConfig": runtime(port)});
            chain.push((format!("{REFERENCE}/{kind}"), conf));
        }
    }
    chain
}

#[test]
fn beside_the_reference() {
    labs::require!("root", "cni-plugins", "iptables");
    labs::sandbox!(|sandbox| {
        let (ours, measured) = ours();
        let runs = if measured { RUNS } else { FEW };
        let node = Node::new(sandbox);
        eprintln!(
            "{ours} beside {REFERENCE}, {runs} interleaved runs, minimum wall / CPU in ms, load {}",
            load()
        );
        for (name, subnets, port) in [
            ("IPv4", &V4[..], None),
            ("dual-stack", &BOTH, None),
            ("dual-stack, ports, rates and masquerade", &BOTH, Some(8_080)),
        ] {
            let conf = own(&node, subnets, port);
            let mut chain = theirs(subnets, port);
            let mut costs: [Vec<Cost>; 4] = Default::default();
            for run in 0..runs {
                let id = |kind: &str| format!("{kind}-{}-{}-{run}", subnets.len(), port.unwrap_or_default());
                let pods = ["own", "ref"].map(|kind| node.pod(sandbox, &id(kind)));
                costs[0].push(call(&node, &ours, "ADD", &pods[0], &conf).0);
                costs[2].push(call(&node, &ours, "DEL", &pods[0], &conf).0);
                let (mut add, mut del) = (Cost::default(), Cost::default());
                let mut previous = Value::Null;
                for (program, conf) in &mut chain {
                    conf["prevResult"] = previous.clone();
                    let (cost, result) = call(&node, program, "ADD", &pods[1], conf);
                    (add, previous) = {
                        add += cost;
                        (add, result)
                    };
                }
                for (program, conf) in chain.iter_mut().rev() {
                    conf["prevResult"] = previous.clone();
                    del += call(&node, program, "DEL", &pods[1], conf).0;
                }
                costs[1].push(add);
                costs[3].push(del);
                pods.iter().for_each(|pod| pod.netns.remove().expect("the name goes"));
            }
            let [own_add, ref_add, own_del, ref_del] = costs.each_ref().map(|costs| least(costs));
            eprintln!("| {name} | {own_add} | {ref_add} | {own_del} | {ref_del} |");
        }
        let pod = node.pod(sandbox, "memory");
        let kilobytes = memory(&node, &ours, &pod, &own(&node, &BOTH, Some(8_081)));
        std::fs::create_dir_all("/run/underlay").expect("made");
        std::fs::copy("/proc/sys/kernel/random/boot_id", "/run/underlay/ready").expect("copied");
        let status: Vec<Cost> = (0..runs).map(|_| call(&node, &ours, "STATUS", &pod, &node.conf).0).collect();
        eprintln!(
            "peak memory of an ADD with all three {kilobytes} kB; STATUS {}; load {}",
            least(&status),
            load()
        );
        assert!(!measured || kilobytes < MEMORY, "{kilobytes} kB");
    });
}

#[test]
fn a_hundred_at_once() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (ours, _) = ours();
        let node = Node::new(sandbox);
        let pods: Vec<_> = (0..100).map(|n| node.pod(sandbox, &format!("c{n}"))).collect();
        for verb in ["ADD", "DEL"] {
            let (start, before) = (Instant::now(), spent());
            let calls: Vec<_> = pods
                .iter()
                .enumerate()
                .map(|(n, pod)| {
                    let conf = own(&node, &BOTH, Some(10_000 + n)).to_string();
                    node.spawn_program(&ours, verb, Some(pod), &conf, &[])
                })
                .collect();
            calls.into_iter().for_each(|call| {
                let answer = wait(call);
                assert!(answer.success, "{}", answer.stdout);
            });
            let (wall, cpu) = (start.elapsed(), spent().saturating_sub(before));
            eprintln!("100 parallel {verb} with all three: {} / {} ms, load {}", ms(wall), ms(cpu), load());
        }
        node.is_empty();
    });
}

#[test]
fn ten_and_five_thousand_mappings() {
    labs::require!("root");
    labs::sandbox!(|sandbox| {
        let (ours, measured) = ours();
        let (rounds, many) = (if measured { RUNS } else { FEW }, 5_000);
        let node = Node::new(sandbox);
        let mut first = None;
        for count in [10, many] {
            let ports: Vec<Value> = (0..count)
                .map(|n| json!({"hostPort": 20_000 + n, "containerPort": 80, "protocol": "udp"}))
                .collect();
            let conf = node.with("runtimeConfig", json!({"portMappings": ports}));
            let pod = node.pod(sandbox, &format!("c{count}"));
            let (add, result) = call(&node, &ours, "ADD", &pod, &conf);
            serve(&pod.netns, 80);
            // Every packet is the first of its connection.
            let (mapped, direct) = (("192.0.2.1", 20_005), (addresses(&result).remove(0), 80));
            drop(client(&node.router, mapped.0, mapped.1));
            let times: Vec<[Duration; 2]> = (0..rounds)
                .map(|_| [flows(&node.router, mapped.0, mapped.1), flows(&node.router, &direct.0, direct.1)])
                .collect();
            let least = |at: usize| times.iter().map(|time| time[at]).min().unwrap_or_default();
            let other = node.pod(sandbox, &format!("other{count}"));
            let conf =
                node.with("runtimeConfig", json!({"portMappings": [{"hostPort": 9, "containerPort": 9}]}));
            let one: Vec<Cost> = (0..rounds)
                .map(|_| {
                    let cost = call(&node, &ours, "ADD", &other, &conf).0;
                    call(&node, &ours, "DEL", &other, &conf);
                    cost
                })
                .collect();
            let (all, single) = (crate::cost::least(&[add]), crate::cost::least(&one));
            eprintln!(
                "{count} mappings: a first packet and its answer {:.1} µs, without a mapping {:.1} µs; an ADD of all {all} ms, of one more {single} ms; load {}",
                least(0).as_secs_f64() * 1e6,
                least(1).as_secs_f64() * 1e6,
                load()
            );
            // The ratio of two minima of the same run, with room for whatever else the machine does.
            let ratio = least(0).as_secs_f64() / least(1).as_secs_f64();
            let before = *first.get_or_insert(ratio);
            assert!(!measured || ratio < 2.0 * before, "{ratio} after {before}");
            call(&node, &ours, "DEL", &pod, &node.conf);
        }
        node.is_empty();
    });
}
