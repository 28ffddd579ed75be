//! Beside the reference ptp plugin with host-local, interleaved on the same machine: CPU decides.
//!
//! An ordinary run only proves that it runs, as a build for tests says nothing: build with `--profile cni`, then
//! `UNDERLAY_CNI=target/cni/underlay-cni cargo nextest run -p cni --no-capture beside_the_reference`

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use crate::node::{Node, PLUGIN, Pod, REFERENCE, spawn};

/// Runs of each kind; the minimum counts.
const RUNS: usize = 30;

/// Runs of a build for tests.
const FEW: usize = 2;

/// Wall time and CPU of one call, with those of its children.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

fn spent() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells");
    let time = |value: nix::sys::time::TimeVal| {
        Duration::from_micros(u64::try_from(value.tv_sec() * 1_000_000 + value.tv_usec()).unwrap_or_default())
    };
    time(usage.user_time()) + time(usage.system_time())
}

/// One call. The programme is started in the node's namespace by this process itself, so that
/// nothing but the plugin is measured.
fn call(node: &Node, program: &str, verb: &str, pod: &Pod, conf: &Value) -> Cost {
    let (path, text) = (pod.netns.path(), conf.to_string());
    node.netns.enter(|| {
        let mut command = Command::new(program);
        command.env_clear().env("CNI_COMMAND", verb).env("CNI_PATH", REFERENCE).env("CNI_IFNAME", "eth0");
        command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", path).stdin(Stdio::piped());
        let (start, before) = (Instant::now(), spent());
        let output = spawn(command, &text).wait_with_output().expect("the plugin ends");
        let cost = Cost { wall: start.elapsed(), cpu: spent().saturating_sub(before) };
        assert!(output.status.success(), "{program} {verb}: {}", String::from_utf8_lossy(&output.stdout));
        cost
    })
}

fn least(costs: &[Cost]) -> String {
    let ms =
        |of: fn(&Cost) -> Duration| costs.iter().map(of).min().unwrap_or_default().as_secs_f64() * 1_000.0;
    format!("{:.1} / {:.1}", ms(|cost| cost.wall), ms(|cost| cost.cpu))
}

#[test]
fn beside_the_reference() {
    labs::require!("root", "cni-plugins");
    labs::sandbox!(|sandbox| {
        let built = std::env::var("UNDERLAY_CNI");
        let runs = if built.is_ok() { RUNS } else { FEW };
        let ours = built.unwrap_or_else(|_| PLUGIN.into());
        let theirs = format!("{REFERENCE}/ptp");
        let node = Node::new(sandbox);
        let load = std::fs::read_to_string("/proc/loadavg").expect("the kernel tells");
        eprintln!("{ours} beside {theirs}, {runs} interleaved runs, minimum wall / CPU in ms, load {load}");
        for (name, subnets) in
            [("IPv4", vec!["10.244.1.0/24"]), ("dual-stack", vec!["10.244.1.0/24", "fd00:10:244:1::/64"])]
        {
            let own = node.with("subnets", json!(subnets));
            let ranges: Vec<Value> = subnets.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
            let routes = json!([{"dst": "0.0.0.0/0"}]);
            let ipam = json!({"type": "host-local", "ranges": ranges, "routes": routes});
            let reference = json!({"cniVersion": "1.0.0", "name": "ref", "type": "ptp", "ipam": ipam});
            let mut costs: [Vec<Cost>; 4] = Default::default();
            for run in 0..runs {
                let pods =
                    ["own", "ref"].map(|kind| node.pod(sandbox, &format!("{kind}-{}-{run}", subnets.len())));
                let calls = [(ours.as_str(), &pods[0], &own), (theirs.as_str(), &pods[1], &reference)];
                for (at, (program, pod, conf)) in calls.into_iter().enumerate() {
                    costs[at].push(call(&node, program, "ADD", pod, conf));
                    costs[at + 2].push(call(&node, program, "DEL", pod, conf));
                }
                pods.iter().for_each(|pod| pod.netns.remove().expect("the name goes"));
            }
            let [own_add, ref_add, own_del, ref_del] = costs.each_ref().map(|costs| least(costs));
            eprintln!("| {name} | {own_add} | {ref_add} | {own_del} | {ref_del} |");
        }
    });
}
