//! Import and export rules between speakers: what they change, how they are
//! explained, and that a change of rules needs no new session.

use bgp::config::Origination;
use bgp::reason::Reason;
use bgp::rule::{AnyCommunity, Changes, Condition, PrefixRange, RouteOrigin, Rule, Rules};
use bgp::wire::community::Community;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, origin, originate, wired};

const P: &str = "10.244.3.0/24";
const RED: Community = Community(65_000 << 16 | 1);

fn inside(text: &str, least: u8) -> Condition {
    let range = PrefixRange::new(prefix(text), Some(least), None);
    Condition { prefixes: vec![range], ..Condition::default() }
}

fn reject(when: Condition) -> Rule {
    Rule { when, reject: true, set: Changes::default() }
}

fn set(when: Condition, set: Changes) -> Rule {
    Rule { when, reject: false, set }
}

/// Changes what router `own` thinks of router `other`.
fn rules(network: &mut Network, own: usize, other: usize, import: Vec<Rule>, export: Vec<Rule>) {
    let (import, export) = (Rules::new(import), Rules::new(export));
    network.reconcile(own, |config| {
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(other)) {
            (peer.import, peer.export) = (import.clone(), export.clone());
        }
    });
    network.settle();
}

/// Router 0 hears of a prefix from routers 1 and 2, which have it from 3.
fn diamond(seed: u64) -> Network {
    let links = [(0, 1), (0, 2), (1, 3), (2, 3)];
    let mut network = wired(seed, &[65001, 65002, 65003, 65004], &links, &[1, 2]);
    originate(&mut network, 3, &[P]);
    network.until_up();
    network.settle();
    network
}

#[test]
fn local_preference_from_import_chooses_and_both_sets_are_shown() {
    let mut network = diamond(31);
    assert_eq!(network.fib(0, prefix(P)), Some(vec![address(1), address(2)]));
    let preferred = Changes { local_preference: Some(200), prepend: 2, ..Changes::default() };
    rules(&mut network, 0, 2, vec![set(inside("10.244.0.0/16", 24), preferred)], vec![]);
    assert_eq!(network.fib(0, prefix(P)), Some(vec![address(2)]));
    let route = network.route(0, prefix(P)).expect("a route");
    let best = &route.paths[0];
    assert_eq!(best.verdict, Reason::Best);
    assert_eq!(best.attributes.as_path.to_string(), "65003 65004", "as received");
    assert_eq!(best.attributes.local_preference, None);
    let changed = best.changed.as_ref().expect("changed by import");
    assert_eq!(changed.attributes.as_path.to_string(), "65003 65003 65003 65004");
    assert_eq!(changed.attributes.local_preference, Some(200));
    assert_eq!(
        changed.detail,
        "import rule 1 (prefix 10.244.0.0/16 ge 24 le 32): local-preference 200, prepend 2"
    );
    assert_eq!(route.paths[1].verdict, Reason::LowerLocalPreference);
    // Without rules everything is as it was, on the same sessions.
    rules(&mut network, 0, 2, vec![], vec![]);
    assert_eq!(network.fib(0, prefix(P)), Some(vec![address(1), address(2)]));
    let route = network.route(0, prefix(P)).expect("a route");
    assert!(route.paths.iter().all(|path| path.changed.is_none()));
    for other in [1, 2] {
        assert_eq!(network.peer(0, other).established_count, 1, "no session was reset");
    }
    assert_quiescent(&network);
}

#[test]
fn an_import_rule_refuses_by_its_word_and_is_taken_back_without_a_new_session() {
    let mut network = diamond(32);
    rules(
        &mut network,
        0,
        1,
        vec![
            set(inside("192.0.2.0/24", 24), Changes::default()),
            reject(Condition {
                as_path: Some("* 65004".parse().expect("a pattern")),
                ..Condition::default()
            }),
        ],
        vec![],
    );
    assert_eq!(network.fib(0, prefix(P)), Some(vec![address(2)]));
    let route = network.route(0, prefix(P)).expect("a route");
    let refused = route.paths.iter().find(|path| !path.accepted).expect("kept, though refused");
    assert_eq!(refused.verdict, Reason::ImportRule);
    assert_eq!(refused.detail, "import rule 2: AS path \"* 65004\"");
    assert_eq!(network.peer(0, 1).counts.ipv4.rejected, [(Reason::ImportRule, 1)]);
    rules(&mut network, 0, 1, vec![], vec![]);
    assert_eq!(network.fib(0, prefix(P)), Some(vec![address(1), address(2)]));
    assert_eq!(network.peer(0, 1).established_count, 1);
}

#[test]
fn rules_judge_what_comes_after_them_as_what_came_before() {
    let mut network = diamond(33);
    let red = Changes { add: vec![AnyCommunity::Standard(RED)], ..Changes::default() };
    rules(&mut network, 0, 1, vec![set(inside("10.244.0.0/16", 24), red)], vec![]);
    originate(&mut network, 3, &[P, "10.244.4.0/24", "10.245.0.0/16"]);
    network.settle();
    for (text, communities) in [(P, &[RED][..]), ("10.244.4.0/24", &[RED]), ("10.245.0.0/16", &[])] {
        let route = network.route(0, prefix(text)).expect("a route");
        let path = route.paths.iter().find(|path| path.attributes.as_path.to_string() == "65002 65004");
        let path = path.expect("a path by router 1");
        let used = path.changed.as_ref().map_or(&path.attributes, |changed| &changed.attributes);
        assert_eq!(used.communities[..], *communities, "{text}");
    }
}

#[test]
fn no_export_put_on_at_import_is_obeyed_at_export() {
    let mut network = wired(34, &[65001, 65002, 65003], &[(0, 1), (1, 2)], &[1]);
    originate(&mut network, 0, &[P]);
    network.until_up();
    network.settle();
    assert!(network.fib(2, prefix(P)).is_some());
    let kept = Changes { add: vec![AnyCommunity::Standard(Community::NO_EXPORT)], ..Changes::default() };
    rules(&mut network, 1, 0, vec![set(Condition::default(), kept)], vec![]);
    assert!(network.route(2, prefix(P)).is_none(), "withdrawn");
    assert!(network.fib(1, prefix(P)).is_some());
    let sent = network.explain(1, prefix(P)).sent;
    assert_eq!(sent[1].sent.as_ref().expect_err("kept").reason, Reason::NoExport);
}

#[test]
fn export_rules_part_prefixes_that_share_their_attributes() {
    let mut network = wired(35, &[65001, 65002, 65003], &[(0, 1), (0, 2)], &[]);
    let pods = Origination { origin: RouteOrigin::PodCidr, ..origin("10.244.1.0/24") };
    network.reconcile(0, |config| {
        config.origins = vec![pods, origin("10.244.2.0/24"), origin("192.0.2.1/32")];
    });
    network.until_up();
    let long = Changes { prepend: 2, med: Some(7), ..Changes::default() };
    rules(
        &mut network,
        0,
        1,
        vec![],
        vec![
            reject(inside("192.0.2.0/24", 32)),
            set(Condition { origin: Some(RouteOrigin::PodCidr), ..Condition::default() }, long),
        ],
    );
    let heard = |network: &Network, router: usize, text: &str| {
        let attributes = network.route(router, prefix(text))?.paths.into_iter().next()?.attributes;
        Some((attributes.as_path.to_string(), attributes.med))
    };
    assert_eq!(heard(&network, 1, "10.244.1.0/24"), Some(("65001 65001 65001".into(), Some(7))));
    assert_eq!(heard(&network, 1, "10.244.2.0/24"), Some(("65001".into(), None)));
    assert_eq!(heard(&network, 1, "192.0.2.1/32"), None);
    for text in ["10.244.1.0/24", "10.244.2.0/24", "192.0.2.1/32"] {
        assert_eq!(heard(&network, 2, text), Some(("65001".into(), None)), "{text}: no rules for router 2");
    }
    let refused = network.explain(0, prefix("192.0.2.1/32")).sent[0].sent.clone().expect_err("refused");
    assert_eq!(
        (refused.reason, refused.detail.as_str()),
        (Reason::ExportRule, "export rule 1: prefix 192.0.2.0/24 ge 32 le 32")
    );
    let sent = network.explain(0, prefix("10.244.1.0/24")).sent[0].sent.clone().expect("sent");
    assert_eq!(sent[0].attributes.as_path.to_string(), "65001 65001 65001", "explained as it was sent");
    assert_quiescent(&network);
    // The same session carries what other rules make of it.
    rules(&mut network, 0, 1, vec![], vec![]);
    assert_eq!(heard(&network, 1, "192.0.2.1/32"), Some(("65001".into(), None)));
    assert_eq!(heard(&network, 1, "10.244.1.0/24"), Some(("65001".into(), None)));
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert_quiescent(&network);
}
