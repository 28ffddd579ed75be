//! What operators do: drain a speaker, reset a session, have it exchange everything anew.

use bgp::config::{Drain, Origination};
use bgp::io::{Event, State};
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::time::Duration;
use bgp::wire::community::Community;

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, origin, wired};

const PODS: &str = "10.244.1.0/24";
const SERVICE: &str = "198.51.100.1/32";
const ELSE: &str = "192.0.2.1/32";

/// What router 1 has from router 0: the first community and LOCAL_PREF of each prefix, if it is there.
fn heard(network: &Network, by: usize, text: &str) -> Option<(Option<Community>, Option<u32>)> {
    let attributes = network.route(by, prefix(text))?.paths.into_iter().next()?.attributes;
    Some((attributes.communities.first().copied(), attributes.local_preference))
}

/// Router 0 sends a prefix of pods, one of a Service and another one to an external and to an internal peer.
fn started(seed: u64) -> Network {
    let mut network = wired(seed, &[65001, 65002, 65001], &[(0, 1), (0, 2)], &[]);
    let pods = Origination { origin: RouteOrigin::PodCidr, ..origin(PODS) };
    let service = Origination { origin: RouteOrigin::Service, ..origin(SERVICE) };
    network.reconcile(0, |config| config.origins = vec![pods, service, origin(ELSE)]);
    network.until_up();
    network.settle();
    network
}

#[test]
fn a_drain_shuns_and_withholds_while_sessions_stay() {
    let mut network = started(41);
    let plain = [Some((None, None)), Some((None, Some(100)))];
    let shunned = Some(Community::GRACEFUL_SHUTDOWN);
    let all = |network: &Network, text: &str| [heard(network, 1, text), heard(network, 2, text)];
    let every = |network: &Network| [PODS, SERVICE, ELSE].map(|prefix| all(network, prefix));
    assert_eq!(every(&network), [plain; 3]);

    let drain = |network: &mut Network, drain: Drain| {
        network.reconcile(0, |config| config.drain = drain);
        network.settle();
        assert_quiescent(network);
    };
    let marked = [Some((shunned, None)), Some((shunned, Some(0)))];
    let refused = |network: &Network, text: &str| {
        let refused = network.explain(0, prefix(text)).sent[0].sent.clone().expect_err("withheld");
        assert_eq!(refused.reason, Reason::Drained);
        refused.detail
    };
    let none = [None, None];
    drain(&mut network, Drain::SHUNNED);
    assert_eq!(every(&network), [marked; 3]);
    drain(&mut network, Drain::Shunned { pods: false, services: true });
    assert_eq!(every(&network), [marked, none, marked]);
    let why = "the node is drained, and has waited for peers to go elsewhere";
    assert_eq!(refused(&network, SERVICE), why);
    drain(&mut network, Drain::Shunned { pods: true, services: true });
    assert_eq!(every(&network), [none, none, marked]);
    assert_eq!(refused(&network, PODS), "the node is drained of its pods");
    drain(&mut network, Drain::No);
    assert_eq!(every(&network), [plain; 3]);
    for other in [1, 2] {
        assert_eq!(network.peer(0, other).established_count, 1, "no session was reset");
    }
}

#[test]
fn a_reset_ends_the_session_with_its_word_and_starts_it_after_a_moment() {
    let mut network = started(42);
    network.cut(0, 1, true);
    network.order(0, 1, |peer| Event::Reset { peer });
    let view = network.peer(0, 1);
    assert_ne!(view.state, State::Established);
    network.cut(0, 1, false);
    network.until_up();
    assert_eq!(network.peer(0, 1).established_count, 2);
    assert_eq!(network.peer(0, 2).established_count, 1, "nobody else's is");

    network.order(0, 1, |peer| Event::Reset { peer });
    network.run(Duration::from_millis(1));
    let causes: Vec<String> =
        network.routers[1].notes.iter().filter_map(|note| Some(note.cause.as_ref()?.text.clone())).collect();
    let told = "peer sent Cease/Administrative Reset (6/4): \"an operator reset the session\"";
    assert!(causes.iter().any(|text| text == told), "{causes:?}");
    network.until_up();
    assert!(heard(&network, 1, PODS).is_some());
    assert_quiescent(&network);
}

#[test]
fn a_soft_reset_exchanges_everything_in_the_same_session() {
    let mut network = started(43);
    let before = [network.written(0), network.written(1)];
    network.reconcile(1, |config| config.origins = vec![origin("10.244.2.0/24")]);
    network.settle();
    let grown = [network.written(0), network.written(1)];
    assert_eq!(before[0], grown[0]);
    network.order(0, 1, |peer| Event::Refresh { peer });
    let after = [network.written(0), network.written(1)];
    // Router 0 sends all and asks; router 1 answers with all.
    assert!(after[0] - grown[0] > 2 * 23, "{before:?} {grown:?} {after:?}");
    assert!(after[1] - grown[1] >= grown[1] - before[1], "{before:?} {grown:?} {after:?}");
    assert_eq!(network.peer(0, 1).established_count, 1);
    assert_eq!(network.fib(0, prefix("10.244.2.0/24")), Some(vec![address(1)]));
    assert_quiescent(&network);
    // Without a session there is nothing to exchange.
    network.cut(0, 1, true);
    network.until("the session ends", |network| network.peer(0, 1).state != State::Established);
    network.order(0, 1, |peer| Event::Refresh { peer });
}
