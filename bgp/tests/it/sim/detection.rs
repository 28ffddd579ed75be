//! What BFD says of the way to a peer: the session ends, its routes go, and it comes back when packets pass.

use bgp::bfd::State as BfdState;
use bgp::bfd::{Config, Forwarding, Session, View};
use bgp::io::{Event, State};
use bgp::reason::Reason;
use bgp::time::{Duration, Instant};

use super::network::{Network, prefix};
use super::routes::{assert_quiescent, origin, wired};

const ROUTE: &str = "192.0.2.1/32";
const CONFIG: Config = Config { interval: Duration::from_millis(50), multiplier: 3 };
const LOST: Forwarding = Forwarding::Lost { independent: false };

/// Router 1 originates, and router 0 has the route.
fn started(seed: u64) -> Network {
    let mut network = wired(seed, &[65001, 65002], &[(0, 1)], &[]);
    network.reconcile(1, |config| config.origins = vec![origin(ROUTE)]);
    network.until_up();
    network.settle();
    assert!(network.route(0, prefix(ROUTE)).is_some());
    network
}

/// A BFD session of which only that is known.
fn seen(forwarding: Forwarding) -> View {
    let session = Session::new(CONFIG, 1, 1, Instant(0));
    View { forwarding, ..session.view() }
}

fn say(network: &mut Network, forwarding: Forwarding) {
    network.order(0, 1, |peer| Event::Bfd { peer, view: Some(seen(forwarding)) });
}

#[test]
fn packets_that_do_not_pass_end_the_session_until_they_do() {
    for back in [Forwarding::Alive, Forwarding::Unknown] {
        let mut network = started(61);
        say(&mut network, Forwarding::Alive);
        say(&mut network, LOST);
        let view = network.peer(0, 1);
        assert_eq!(view.state, State::Idle);
        let down = view.down.expect("a reason");
        assert_eq!((down.reason, down.text.as_str()), (Reason::BfdDown, Reason::BfdDown.says()));
        assert!(network.route(0, prefix(ROUTE)).is_none(), "nothing is kept: packets would be lost");
        network.run(Duration::from_millis(5));
        let told: Vec<String> =
            network.routers[1].notes.iter().filter_map(|n| Some(n.cause.as_ref()?.text.clone())).collect();
        assert!(told.iter().any(|text| text == "peer sent Cease/BFD Down (6/10)"), "{told:?}");
        // TCP would come up, and an order or a configuration would start it.
        network.order(0, 1, |peer| Event::Reset { peer });
        network.reconcile(0, |config| config.peers[0].description = "other".into());
        network.run(Duration::from_secs(120));
        let view = network.peer(0, 1);
        assert_eq!((view.state, view.down.expect("a reason").reason), (State::Idle, Reason::BfdDown));
        say(&mut network, back);
        network.until_up();
        network.settle();
        assert!(network.route(0, prefix(ROUTE)).is_some());
        assert_quiescent(&network);
    }
}

/// RFC 5882 §4.3: BFD that dies with a control plane which restarts says nothing of packets; one that does not says it.
#[test]
fn a_peer_that_restarts_keeps_its_routes_unless_its_bfd_lives_on() {
    for (independent, kept) in [(false, true), (true, false)] {
        let mut network = started(62);
        say(&mut network, Forwarding::Alive);
        network.kill(1);
        network.run(Duration::from_millis(50));
        assert!(network.route(0, prefix(ROUTE)).is_some(), "it restarts");
        say(&mut network, Forwarding::Lost { independent });
        assert_eq!(network.route(0, prefix(ROUTE)).is_some(), kept);
        if kept {
            // Its BFD comes back later than its BGP, and is heard to be on its way.
            network.revive(1, true);
            network.until_up();
            let on_its_way = View { state: BfdState::Init, ..seen(LOST) };
            network.order(0, 1, |peer| Event::Bfd { peer, view: Some(on_its_way) });
            network.settle();
            assert_eq!(network.peer(0, 1).established_count, 2);
            assert!(network.route(0, prefix(ROUTE)).is_some(), "the session stays");
            say(&mut network, Forwarding::Alive);
            say(&mut network, LOST);
            assert!(network.route(0, prefix(ROUTE)).is_none(), "and ends with the packets");
        }
    }
}
