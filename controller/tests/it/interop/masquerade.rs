//! Masquerading by the agent as it runs: on by default, kept over restarts, repaired, taken away when it is off.

use labs::wait::Look;

use super::node::Node;

fn manifest(more: &str) -> String {
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec: {{asn: {{value: 65001}}, podPrefixes: [10.244.0.0/16]{more}}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}}
status: {{addresses: [{{type: InternalIP, address: 10.0.1.2}}]}}
"#
    )
}

/// Our table with its handles, which are others where something is written anew.
fn table(node: &Node) -> Option<String> {
    let output = node.netns.exec("nft", ["-a", "list", "table", "inet", "underlay"]).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[track_caller]
fn until<L: Look>(node: &Node, what: &str, look: impl Fn(Option<String>) -> L) -> L::Value {
    node.until(what, || look(table(node)))
}

#[test]
fn the_table_is_there_from_the_first_agent_to_the_end() {
    labs::require!("root", "nft");
    labs::sandbox!(|sandbox| {
        let (netns, far) = (sandbox.router("node"), sandbox.netns("far"));
        sandbox.link(&netns, "eth0", &far, "eth0");
        sandbox.link(&netns, "eth1", &far, "eth1");
        netns.ip("addr add 10.0.1.2/24 dev eth0");
        let mut node = Node::start(sandbox, netns, "node", &manifest(""));
        let whole = |table: Option<String>| {
            table.filter(|text| {
                text.contains("pods6") && text.contains("\"eth0\"") && text.contains("10.0.1.2")
            })
        };
        let before = until(&node, "the table", whole);
        // Whoever restarts finds what it wants: not one message is written.
        node.kill_and_restart(sandbox, "node");
        node.until("the condition", || node.ask("status -o json").contains("Masquerading"));
        node.agent.terminate();
        assert_eq!(table(&node).as_ref(), Some(&before));
        node.restart(sandbox, "node");
        node.until("the condition", || node.ask("status -o json").contains("Masquerading"));
        assert_eq!(table(&node), Some(before));
        // What is flushed comes back.
        assert!(node.netns.exec("nft", ["flush", "ruleset"]).status().unwrap().success());
        until(&node, "the repaired table", whole);
        // An uplink has an address from here on.
        node.netns.ip("addr add 192.0.2.7/24 dev eth1");
        until(&node, "the second uplink", |table| table.is_some_and(|text| text.contains("\"eth1\"")));
        node.apply(&manifest(", masquerade: {enabled: false}"));
        until(&node, "the end of it", |table| table.is_none());
        node.until("no condition", || !node.ask("status -o json").contains("Masquerading"));
    });
}
