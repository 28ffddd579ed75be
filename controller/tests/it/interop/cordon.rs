//! A Node that is cordoned and annotated takes its agent out of service, and a drain loses no packet that has another way.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labs::bird::Bird;
use labs::{Netns, Sandbox, wait};

use super::bird::{self, POD_V4, POD_V6, manifest, rack, until_bird};
use super::drain::{OWN, SHUNNED, sessions, told, until_shown};
use super::node::{LIMIT, Node};
use super::restart::{Stop, receive, send};

fn node_that(cordoned: bool, annotation: &str) -> String {
    let cordon = format!("spec: {{unschedulable: {cordoned}, podCIDRs");
    let text = manifest("10.0.1.1", &format!("advertise: {{prefixes: [{{prefix: {OWN}}}]}}"));
    let named = "metadata: {name: node}";
    assert!(text.contains(named));
    text.replace(named, &format!("metadata: {{name: node, annotations: {{{annotation}}}}}"))
        .replace("spec: {podCIDRs", &cordon)
}

#[test]
fn a_cordoned_node_is_drained_as_it_says_until_it_is_uncordoned() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        // Neither of the two alone does it.
        let mut node = Node::start(sandbox, netns, "node", &node_that(false, "underlay.dev/drain: pods"));
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
        node.apply(&node_that(true, ""));
        node.apply(&node_that(true, "underlay.dev/drain: 'true'"));
        for prefix in [POD_V4, POD_V6, OWN] {
            until_bird(&node, &bird, prefix, Some(SHUNNED));
        }
        until_shown(&node, "status", "drained: its Node is cordoned and annotated");
        node.apply(&node_that(true, "underlay.dev/drain: pods"));
        until_bird(&node, &bird, POD_V4, None);
        until_bird(&node, &bird, POD_V6, None);
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        // An operator does not undo what the Node says.
        let said = told(&node, "undrain");
        assert_eq!(
            said,
            "node stays drained of its pods: its Node is cordoned and annotated\n  kubectl uncordon node puts it back \
             into service\n"
        );
        // A word that means nothing is told of, and loses nothing.
        node.apply(&node_that(true, "underlay.dev/drain: pod"));
        until_bird(&node, &bird, POD_V4, Some(SHUNNED));
        until_shown(
            &node,
            "status",
            "impaired: cordon: annotation `underlay.dev/drain` of Node \"node\": `pod` is neither",
        );
        assert_eq!(sessions(&bird), 1, "one session throughout: {}", bird.log());

        node.apply(&node_that(true, "underlay.dev/drain: pods"));
        until_bird(&node, &bird, POD_V4, None);
        node.kill_and_restart(sandbox, "node");
        until_shown(&node, "status", "drained of its pods");
        until_shown(&node, "peers", "Established");
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        until_bird(&node, &bird, POD_V4, None);
        node.apply(&node_that(false, "underlay.dev/drain: pods"));
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
        node.until("no community at BIRD", || !bird.birdc("show route all").contains(SHUNNED));
    });
}

#[test]
fn since_when_a_node_is_cordoned_is_kept_or_named() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (netns, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let kept = sandbox.folder().join("node").join("cordon.json");
        // Not to be read, and not to be replaced.
        fs::create_dir_all(kept.join("full")).unwrap();
        let text = node_that(true, "underlay.dev/drain: 'true'");
        let mut node = Node::start(sandbox, netns, "node", &text);
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        until_shown(&node, "status", &format!("impaired: cordon-file: {}: ", kept.display()));
        until_shown(&node, "status", "; a restart begins the wait for peers anew");
        assert_eq!(node.run("status --check").status.code(), Some(3));
        // Written once it can be, though nothing has changed.
        fs::remove_dir_all(&kept).unwrap();
        node.until("status without it", || !node.ask("status").contains("cordon-file"));
        assert!(fs::read_to_string(&kept).unwrap().contains("its Node is cordoned and annotated"));
        until_shown(&node, "events", "recovered");

        // Damaged, and the Node is in service: named, and gone.
        node.agent.kill();
        fs::write(&kept, "{").unwrap();
        node.apply(&node_that(false, ""));
        node.restart(sandbox, "node");
        until_shown(&node, "events", &format!("cordon-file: {}: is damaged", kept.display()));
        node.until("no file", || !kept.exists());
        node.until("status without it", || !node.ask("status").contains("cordon-file"));
    });
}

/// A service's address on two nodes, each behind a link of its own to the router.
const SERVICE: &str = "10.244.200.1";

fn server(sandbox: &Sandbox, router: &Netns, at: u8) -> Netns {
    let netns = sandbox.router(&format!("n{at}"));
    sandbox.link(&netns, "eth0", router, &format!("eth{at}"));
    netns.ip(&format!("addr add 10.0.{at}.2/24 dev eth0"));
    router.ip(&format!("addr add 10.0.{at}.1/24 dev eth{at}"));
    netns.ip(&format!("addr add {SERVICE}/32 dev lo"));
    netns.ip(&format!("route add 10.0.9.0/24 via 10.0.{at}.1"));
    netns
}

fn start(sandbox: &Sandbox, netns: &Netns, at: u8) -> Node {
    let text = manifest(&format!("10.0.{at}.1"), &format!("advertise: {{prefixes: [{{prefix: {OWN}}}]}}"))
        .replace("metadata: {name: node}", &format!("metadata: {{name: n{at}}}"))
        .replace("10.0.1.2", &format!("10.0.{at}.2"))
        .replace("10.244.1.0/24", &format!("10.244.{at}.0/24"))
        .replace("244:1::", &format!("244:{at}::"))
        .replace("  - {type: InternalIP, address: \"fd00:1::2\"}\n", "");
    Node::start(sandbox, netns.clone(), &format!("n{at}"), &text)
}

fn router_config() -> String {
    let session = |at: u8| {
        format!(
            "protocol bgp n{at} {{ local 10.0.{at}.1 as 65100; neighbor 10.0.{at}.2 as 65001; hold time 3; \
             connect retry time 1; connect delay time 1; error wait time 1, 2;\n  ipv4 {{ import filter {{ \
             if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }}; export none; }}; }}\n"
        )
    };
    format!(
        "log stderr all;\nrouter id 10.0.1.1;\nprotocol device {{ }}\n\
         protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}\n{}{}",
        session(1),
        session(2)
    )
}

#[test]
fn a_drain_and_what_follows_lose_no_packet_that_has_another_way() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (router, host) = (sandbox.router("router"), sandbox.netns("host"));
        sandbox.link(&host, "eth0", &router, "eth9");
        host.ip("addr add 10.0.9.2/24 dev eth0");
        router.ip("addr add 10.0.9.1/24 dev eth9");
        host.ip("route add default via 10.0.9.1");
        let servers = [1, 2].map(|at| server(sandbox, &router, at));
        let bird = Bird::start(sandbox, &router, "bird", &router_config());
        let mut nodes = [1, 2].map(|at| start(sandbox, &servers[usize::from(at) - 1], at));
        wait::until("both ways", LIMIT, || {
            let shown = bird.birdc(&format!("show route where net = {OWN}"));
            if shown.matches("[n").count() == 2 { Ok(()) } else { Err(shown) }
        });
        let way = || router.ip(&format!("route get {SERVICE}"));
        let used = usize::from(!way().contains("via 10.0.1.2"));
        let other = format!("via 10.0.{}.2", 2 - used);
        // BIRD deletes a route and adds another: what comes between the two goes where it went before.
        router.ip(&format!("route add 10.244.200.0/24 via 10.0.{}.2", used + 1));

        let target = format!("{SERVICE}:7000");
        let sockets = servers.each_ref().map(|netns| netns.enter(|| UdpSocket::bind(&target).unwrap()));
        let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let numbers: BTreeSet<u64> = std::thread::scope(|scope| {
            let streaming = Stop(&stop);
            let receivers = sockets.each_ref().map(|socket| scope.spawn(|| receive(socket, &stop)));
            scope.spawn(|| host.enter(|| send("10.0.9.2:0", &target, &sent, &stop)));
            let reach = |more: u64| {
                let goal = sent.load(Ordering::Relaxed) + more;
                wait::until("more datagrams", LIMIT, || sent.load(Ordering::Relaxed) >= goal);
            };
            reach(50);
            told(&nodes[used], "drain");
            wait::until("the other way", LIMIT, || if way().contains(&other) { Ok(()) } else { Err(way()) });
            reach(50);
            told(&nodes[used], "drain --pods");
            let status = nodes[used].agent.terminate();
            assert!(status.success(), "{status}: {}", nodes[used].agent.log());
            wait::until("one way", LIMIT, || {
                let shown = bird.birdc(&format!("show route where net = {OWN}"));
                if shown.matches("[n").count() == 1 { Ok(()) } else { Err(shown) }
            });
            reach(50);
            drop(streaming);
            receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect()
        });
        let sent = sent.load(Ordering::Relaxed);
        let lost: Vec<u64> = (0..sent).filter(|number| !numbers.contains(number)).collect();
        eprintln!("sent {sent}, lost {}", lost.len());
        assert!(lost.is_empty(), "{lost:?} of {sent}");
        assert_eq!(nodes[used].routes(), "", "who leaves for good leaves nothing");
    });
}
