//! An operator takes a node out of service and back, and resets sessions: what BIRD and FRR see of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use labs::bird::Bird;
use labs::frr::Frr;
use nix::sys::signal::Signal;

use super::bird::{self, FAR_V4, FAR_V6, POD_V4, POD_V6, manifest, rack, until_bird};
use super::frr::{passive, until_frr};
use super::node::Node;

pub(super) const OWN: &str = "10.244.200.1/32";

fn advertising() -> String {
    manifest("10.0.1.1", &format!("advertise: {{prefixes: [{{prefix: {OWN}}}]}}"))
}

/// A verb that succeeds, and what it prints.
#[track_caller]
pub(super) fn told(node: &Node, words: &str) -> String {
    let output = node.run(words);
    assert!(output.status.success(), "{words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A verb that fails with an exit code, and what it says.
#[track_caller]
fn refused(node: &Node, words: &str, code: i32) -> String {
    let Output { status, stdout, stderr } = node.run(words);
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(code), &b""[..]), "{words}: {text}");
    text
}

/// Waits until a verb prints a word.
#[track_caller]
pub(super) fn until_shown(node: &Node, verb: &str, word: &str) {
    node.until(&format!("{verb} to say {word}"), || {
        let shown = node.ask(verb);
        if shown.contains(word) { Ok(()) } else { Err(shown) }
    });
}

/// How many sessions BIRD has had, as it logs. The time that it shows of one is no name for it: that is reckoned
/// anew for each look, and is a millisecond later in one of about 70.
pub(super) fn sessions(bird: &Bird) -> usize {
    bird.log().matches("node: State changed to up").count()
}

/// How many UPDATEs the node has received, as its status says; it may lag behind by a tenth of a second.
fn updates(node: &Node) -> Option<u64> {
    let peers: serde_json::Value = serde_json::from_str(&told(node, "peers -o json")).unwrap();
    peers["peers"][0]["updates_received"].as_u64()
}

/// The same once it does not grow any more.
#[track_caller]
fn settled_updates(node: &Node) -> u64 {
    let (mut last, mut equal) = (None, 0);
    node.until("no more UPDATEs", || {
        let count = updates(node).filter(|count| *count > 0);
        equal = if count.is_some() && count == last { equal + 1 } else { 0 };
        last = count;
        if equal >= 8 { count.ok_or("none") } else { Err("more may come") }
    })
}

pub(super) const SHUNNED: &str = "BGP.community: (65535,0)";

#[test]
fn bird_sees_the_community_the_withdrawal_and_no_reset() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let node = Node::start(sandbox, node, "node", &advertising());
        for prefix in [POD_V4, POD_V6, OWN] {
            until_bird(&node, &bird, prefix, Some("BGP.next_hop"));
        }
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        assert!(!bird.birdc("show route all").contains(SHUNNED));

        // Everything is shunned, and nothing else changes.
        let said = told(&node, "drain --reason kernel-upgrade");
        assert_eq!(
            said,
            "node is drained: kernel-upgrade\n  what it sends carries GRACEFUL_SHUTDOWN (65535:0), its sessions stay up\n  \
             addresses of Services are withdrawn in 30s\n"
        );
        for prefix in [POD_V4, POD_V6, OWN] {
            until_bird(&node, &bird, prefix, Some(SHUNNED));
        }
        until_shown(&node, "status", "drained: kernel-upgrade");
        let story = told(&node, &format!("explain {POD_V4}"));
        assert!(story.contains("next hop 10.0.1.2, GRACEFUL_SHUTDOWN"), "{story}");
        until_shown(&node, "events", "drained: kernel-upgrade");

        // The pods' prefixes alone are withdrawn.
        let said = told(&node, "drain --pods");
        assert!(said.starts_with("node is drained of its pods\n  its PodCIDRs are withdrawn, "), "{said}");
        until_bird(&node, &bird, POD_V4, None);
        until_bird(&node, &bird, POD_V6, None);
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        let story = told(&node, &format!("explain {POD_V4}"));
        let why = "not advertised: drained: the node is drained of its pods";
        assert!(story.contains(why), "{story}");
        assert!(node.routes().contains(FAR_V4), "what was learned stays in use");

        // A change of the configuration does not undo it.
        node.apply(&manifest("10.0.1.1", "advertise: {prefixes: [{prefix: 10.244.200.2/32}]}"));
        until_bird(&node, &bird, "10.244.200.2/32", Some(SHUNNED));
        until_bird(&node, &bird, OWN, None);
        until_bird(&node, &bird, POD_V4, None);

        let said = told(&node, "undrain");
        assert!(said.starts_with("node is in service again, after "), "{said}");
        assert!(said.ends_with("; it was drained of its pods\n"), "{said}");
        until_bird(&node, &bird, POD_V4, Some("BGP.next_hop"));
        node.until("no community at BIRD", || {
            let shown = bird.birdc("show route all");
            if shown.contains(SHUNNED) { Err(shown) } else { Ok(()) }
        });
        assert_eq!(told(&node, "undrain"), "node is in service, and was not drained\n");

        // One that ends by itself.
        told(&node, "drain --for 1s");
        until_bird(&node, &bird, POD_V4, Some(SHUNNED));
        node.until("the end of the drain", || !bird.birdc("show route all").contains(SHUNNED));
        let ends = || node.agent.log().matches("\"undrained\"").count();
        node.until("both ends in the log", || if ends() == 2 { Ok(()) } else { Err(node.agent.log()) });
        assert_eq!((sessions(&bird), node.transitions("Established")), (1, 1), "{}", node.agent.log());
    });
}

#[test]
fn frr_sees_the_community_the_withdrawal_and_no_reset() {
    labs::require!("root", "frr");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let frr = Frr::start(sandbox, &router, "frr", &passive("10.0.1.2"));
        let node = Node::start(sandbox, node, "node", &advertising());
        let community = Some("\"community\":{\"string\":\"graceful-shutdown\"");
        let there = Some("\"paths\"");
        until_frr(&node, &frr, POD_V4, there);
        told(&node, "drain");
        for prefix in [POD_V4, POD_V6, OWN] {
            until_frr(&node, &frr, prefix, community);
        }
        told(&node, "drain --pods");
        until_frr(&node, &frr, POD_V4, None);
        until_frr(&node, &frr, POD_V6, None);
        until_frr(&node, &frr, OWN, community);
        told(&node, "undrain");
        until_frr(&node, &frr, POD_V4, there);
        node.until("no community at FRR", || {
            let shown = |prefix| frr.vtysh(&format!("show bgp ipv4 unicast {prefix} json"));
            ![POD_V4, OWN].into_iter().any(|prefix| shown(prefix).contains("graceful"))
        });
        let shown = frr.vtysh("show bgp neighbors 10.0.1.2 json").split_whitespace().collect::<String>();
        assert!(shown.contains("\"connectionsEstablished\":1,"), "{shown}");
    });
}

#[test]
fn inside_the_as_the_preference_is_the_lowest() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let config = bird::config("10.0.1.2", true).replace("65100", "65001");
        let bird = Bird::start(sandbox, &router, "bird", &config);
        let node = Node::start(sandbox, node, "node", &advertising().replace("65100", "65001"));
        until_bird(&node, &bird, POD_V4, Some("BGP.local_pref: 100"));
        told(&node, "drain");
        until_bird(&node, &bird, POD_V4, Some("BGP.local_pref: 0"));
        until_bird(&node, &bird, POD_V4, Some(SHUNNED));
    });
}

#[test]
fn a_drain_outlives_the_agent_and_leaves_with_it() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let mut node = Node::start(sandbox, node, "node", &advertising());
        until_bird(&node, &bird, OWN, Some("BGP.next_hop"));
        told(&node, "drain --pods --reason new-disk");
        until_bird(&node, &bird, POD_V4, None);

        // Killed, it comes back as it was: BIRD never has the prefix of the pods.
        node.kill_and_restart(sandbox, "node");
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        node.until_route(FAR_V4, true);
        until_shown(&node, "status", "drained of its pods: new-disk");
        until_bird(&node, &bird, OWN, Some(SHUNNED));
        until_bird(&node, &bird, POD_V4, None);

        // It is asked to end: nothing of it is left, and BIRD knows why. What was seen so far may be what BIRD has
        // kept over the restart.
        until_shown(&node, "peers", "Established");
        node.agent.terminate();
        assert_eq!(node.routes(), "");
        node.until("BIRD to know why", || {
            let log = bird.log();
            let word = "Received: Administrative shutdown: \"drained of its pods: new-disk\"";
            if log.contains(word) { Ok(()) } else { Err(log) }
        });

        // Drained but for its pods it is a restart: routes stay.
        node.restart(sandbox, "node");
        node.until_route(FAR_V4, true);
        node.until_route(FAR_V6, true);
        told(&node, "drain");
        until_bird(&node, &bird, POD_V4, Some(SHUNNED));
        node.agent.terminate();
        assert!(node.routes().contains(FAR_V4) && node.routes().contains(FAR_V6), "{}", node.routes());

        // What was kept is damaged: shunned, until somebody says how it is to be.
        let kept = sandbox.folder().join("node").join("drain.json");
        fs::write(&kept, "{").unwrap();
        node.restart(sandbox, "node");
        until_bird(&node, &bird, POD_V4, Some(SHUNNED));
        until_shown(&node, "status", &format!("drain: {}: is damaged", kept.display()));
        told(&node, "undrain");
        node.until("no community at BIRD", || !bird.birdc("show route all").contains(SHUNNED));
        node.until("status to be clean", || !node.ask("status").contains("drain"));
        assert!(!kept.exists());
    });
}

#[test]
fn resets_hard_and_soft() {
    labs::require!("root", "bird");
    labs::sandbox!(|sandbox| {
        let (node, router) = rack(sandbox);
        let mut bird = Bird::start(sandbox, &router, "bird", &bird::config("10.0.1.2", true));
        let node = Node::start(sandbox, node, "node", &advertising());
        let socket = sandbox.folder().join("node").join("operator.sock");
        until_bird(&node, &bird, OWN, Some("BGP.next_hop"));
        node.until_route(FAR_V6, true);
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

        // Soft: all routes once more, in the same session.
        let before = settled_updates(&node);
        let said = told(&node, "reset tor --soft");
        assert_eq!(said, "node: all routes are exchanged anew with tor 10.0.1.1, in the same session\n");
        node.until("BIRD's routes once more", || {
            let after = updates(&node);
            if after >= Some(before + 2) { Ok(()) } else { Err(format!("{before} {after:?}")) }
        });
        until_shown(&node, "events", "refreshed");
        assert_eq!((sessions(&bird), node.transitions("Established")), (1, 1), "{}", node.agent.log());

        // Hard: BIRD is told so, and the session is up again at once.
        let said = told(&node, "reset 10.0.1.1");
        assert_eq!(said, "node: the session with tor 10.0.1.1 is reset; it was Established\n");
        node.until("another session", || (sessions(&bird), node.transitions("Established")) == (2, 2));
        until_bird(&node, &bird, OWN, Some("BGP.next_hop"));
        node.until_route(FAR_V6, true);
        let word = "Received: Administrative reset: \"an operator reset the session\"";
        let log = bird.log();
        assert!(log.contains(word), "{log}");

        // What cannot be reset is named.
        let said = refused(&node, "reset trr", 4);
        assert!(said.contains("no peer `trr` on node; nearest: tor"), "{said}");
        bird.daemon().signal(Signal::SIGKILL);
        node.until_route(FAR_V4, false);
        let said = refused(&node, "reset tor --soft", 1);
        assert!(said.contains("peer tor 10.0.1.1: the session is down: "), "{said}");
        let said = refused(&node, "drain --for 0s", 2);
        assert!(said.contains("--for"), "{said}");
    });
}
