//! What becomes of a Node: when it is given pods, and what its agent says of its peers.

use std::collections::BTreeSet;
use std::fs;

use labs::bird::Bird;
use labs::wait;

use crate::interop::bird::config;

use super::{Agent, FABRIC, LIMIT, World};

#[test]
fn a_node_is_given_pods_in_each_boot_when_it_can_carry_them() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &config("10.0.1.2", true));
        // As a kubelet registers it that was told to.
        let put = || {
            world.put_node("n1", 2);
            world.api.kubectl(&["taint", "node", "n1", "underlay.dev/agent-not-ready=:NoSchedule"]);
            world.api.kubectl(&["taint", "node", "n1", "example.org/other=:NoExecute"]);
        };
        put();
        world.api.apply(FABRIC);
        let look = |path: &str| world.api.kubectl(&["get", "node", "n1", "-o", &format!("jsonpath={path}")]);
        let admission = || {
            let condition = "{.status.conditions[?(@.type==\"NetworkUnavailable\")].status}";
            (look("{.spec.taints[*].key}"), look(condition))
        };
        let until = |keys: &[&str], condition: &str, agent: &Agent| {
            let look = || {
                let (found, said) = admission();
                // The API server's own admission of a node that has no condition Ready is left aside.
                let found = found.split_whitespace().filter(|key| !key.starts_with("node.kubernetes.io/"));
                let found: BTreeSet<&str> = found.collect();
                let same = found == keys.iter().copied().collect() && said == condition;
                if same { Ok(()) } else { Err(format!("{found:?} {said}")) }
            };
            if let Err(message) = wait::attempt(&format!("{keys:?} {condition}"), LIMIT, look) {
                panic!("{message}\n{}", agent.daemon.log());
            }
        };
        let (ours, other) = ("underlay.dev/agent-not-ready", "example.org/other");

        // Without prefixes there are no pods.
        let mut agent = world.agent("n1");
        until(&[ours, other], "True", &agent);
        world.put_cidrs("n1", 1);
        until(&[other], "False", &agent);

        // A restart takes nothing back: nobody has written the Node since.
        let before = look("{.metadata.resourceVersion}");
        agent.daemon.kill();
        let mut agent = world.agent("n1");
        world.until_report("{.status.conditions[?(@.type==\"PodNetworkReady\")].reason}", "SameBoot", &agent);
        assert_eq!(look("{.metadata.resourceVersion}"), before, "{}", agent.daemon.log());

        // A Node that is registered anew while the agent runs.
        world.api.kubectl(&["delete", "node", "n1"]);
        put();
        until(&[other], "False", &agent);

        // A new boot: what lies below /run is gone, and the router is away.
        agent.daemon.kill();
        drop(bird);
        fs::remove_file("/run/underlay/ready").unwrap();
        let agent = world.agent("n1");
        until(&[ours, other], "True", &agent);
        world.put_cidrs("n1", 1);
        let _bird = Bird::start(sandbox, &world.router, "bird-again", &config("10.0.1.2", true));
        until(&[other], "False", &agent);
    });
}

/// As [`config`], of a router that knows nothing of IPv6.
fn without_ipv6() -> String {
    let both = config("10.0.1.2", true);
    let lines = both.lines().filter(|line| !line.trim_start().starts_with("ipv6 {"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_router_without_ipv6_is_named_by_a_node_with_both() {
    labs::require!("root", "kubernetes", "bird");
    labs::sandbox!(|sandbox| {
        let world = World::new(sandbox);
        let bird = Bird::start(sandbox, &world.router, "bird", &without_ipv6());
        world.put_node("n1", 2);
        world.put_cidrs("n1", 1);
        world.api.apply(FABRIC);
        let agent = world.agent("n1");
        let converged = |part: &str| format!("{{.status.conditions[?(@.type==\"Converged\")].{part}}}");
        world.until_report(&converged("reason"), "FamilyNotNegotiated", &agent);
        assert!(world.report(&converged("message")).starts_with("tor does not carry IPv6"));
        // IPv4 is not held up by it.
        agent.until("routes --sent tor", "10.244.1.0/24");
        world.until_report("{.status.conditions[?(@.type==\"PodNetworkReady\")].status}", "True", &agent);
        bird.configure(&config("10.0.1.2", true));
        world.until_report(&converged("reason"), "AllSessionsUp", &agent);
    });
}
