//! Roles and Only To Customers (RFC 9234): routes go down, and up again no more.

use bgp::id::Asn;
use bgp::io::State;
use bgp::reason::Reason;
use bgp::view::PathView;
use bgp::wire::role::Role::{self, Customer, Peer, Provider, RouteServer, RouteServerClient};

use super::network::{Network, address, prefix};
use super::routes::{assert_quiescent, originate, wired};

const TOP: &str = "10.1.0.0/16";
const LOW: &str = "10.4.0.0/16";

/// Gives router `own` a role towards router `other`, or none.
fn role(network: &mut Network, own: usize, other: usize, role: Option<Role>) {
    network.reconcile(own, |config| {
        for peer in config.peers.iter_mut().filter(|peer| peer.address == address(other)) {
            peer.role = role;
        }
    });
}

/// Router 1 has two providers, 0 and 2, a customer, 3, and a peer, 4, which has a
/// customer, 5. All send on what they learn.
fn network(with_roles: bool) -> Network {
    let links = [(0, 1), (2, 1), (1, 3), (1, 4), (4, 5)];
    let mut network = wired(71, &[65000, 65001, 65002, 65003, 65004, 65005], &links, &[0, 1, 2, 3, 4, 5]);
    if with_roles {
        for (above, below) in [(0, 1), (2, 1), (1, 3), (4, 5)] {
            role(&mut network, above, below, Some(Provider));
            role(&mut network, below, above, Some(Customer));
        }
        role(&mut network, 1, 4, Some(Peer));
        role(&mut network, 4, 1, Some(Peer));
    }
    originate(&mut network, 0, &[TOP]);
    originate(&mut network, 3, &[LOW]);
    network.until_up();
    network.settle();
    assert_quiescent(&network);
    network
}

fn path(network: &Network, router: usize, text: &str) -> Option<PathView> {
    network.route(router, prefix(text))?.paths.into_iter().next()
}

/// The AS in OTC, as it was received.
fn mark(network: &Network, router: usize, text: &str) -> Option<u32> {
    path(network, router, text).expect("a path").attributes.only_to_customers.map(|asn| asn.0)
}

fn why_not_sent(network: &Network, own: usize, other: usize, text: &str) -> Option<Reason> {
    let sent = network.explain(own, prefix(text)).sent;
    let to = sent.into_iter().find(|view| view.address == address(other)).expect("a peer");
    to.sent.err().map(|refusal| refusal.reason)
}

#[test]
fn what_comes_from_above_goes_down_and_nowhere_else() {
    let network = network(true);
    // Each provider marks what it sends down, and who has the mark keeps it.
    assert_eq!(mark(&network, 1, TOP), Some(65000));
    assert_eq!(mark(&network, 3, TOP), Some(65000));
    for other in [2, 4] {
        assert_eq!(why_not_sent(&network, 1, other, TOP), Some(Reason::OnlyToCustomers));
        assert!(path(&network, other, TOP).is_none());
    }
    // A customer's route goes everywhere; a peer has it for its customers.
    assert_eq!(mark(&network, 1, LOW), None);
    assert_eq!(mark(&network, 0, LOW), None);
    assert_eq!(mark(&network, 4, LOW), Some(65001));
    assert_eq!(mark(&network, 5, LOW), Some(65001));
    assert!(path(&network, 5, LOW).expect("a path").accepted);
}

#[test]
fn a_leak_is_refused_by_name() {
    // Router 1 knows of no roles, and sends on what it has to everybody.
    let mut network = network(true);
    for other in [0, 2, 3, 4] {
        role(&mut network, 1, other, None);
    }
    network.until_up();
    network.settle();
    let leaked = path(&network, 2, TOP).expect("a path");
    assert_eq!((leaked.verdict, leaked.accepted), (Reason::RouteLeak, false));
    assert_eq!(leaked.detail, "OTC 65000 from a Customer (RFC 9234 5)");
    let leaked = path(&network, 4, TOP).expect("a path");
    assert_eq!(
        (leaked.verdict, leaked.detail.as_str()),
        (Reason::RouteLeak, "OTC 65000 from a Peer (RFC 9234 5)")
    );
    // Its customer's route has no mark yet: the peer puts it on as it comes in.
    let marked = path(&network, 4, LOW).expect("a path");
    assert!(marked.accepted && marked.attributes.only_to_customers.is_none());
    let changed = marked.changed.expect("a mark");
    assert_eq!(changed.attributes.only_to_customers, Some(Asn(65001)));
    assert_eq!(mark(&network, 5, LOW), Some(65001));
}

#[test]
fn without_roles_nothing_is_marked() {
    let network = network(false);
    for router in [1, 2, 3, 4, 5] {
        assert_eq!(mark(&network, router, TOP), None);
    }
}

#[test]
fn a_route_server_and_its_clients() {
    let mut network = wired(72, &[65000, 65001, 65002], &[(0, 1), (0, 2)], &[0, 1, 2]);
    for client in [1, 2] {
        role(&mut network, 0, client, Some(RouteServer));
        role(&mut network, client, 0, Some(RouteServerClient));
    }
    originate(&mut network, 1, &[TOP]);
    network.until_up();
    network.settle();
    assert_eq!(mark(&network, 0, TOP), None);
    assert_eq!(mark(&network, 2, TOP), Some(65000));
    assert_quiescent(&network);
}

#[test]
fn roles_that_do_not_go_together_keep_the_session_down() {
    let mut network = network(true);
    role(&mut network, 1, 0, Some(Provider));
    network.run(bgp::time::Duration::from_secs(3));
    let view = network.peer(1, 0);
    assert_ne!(view.state, State::Established);
    let down = view.down.expect("a reason");
    assert!([Reason::RoleMismatch, Reason::NotificationReceived].contains(&down.reason), "{down:?}");
    let told = [network.peer(1, 0), network.peer(0, 1)].map(|view| view.notifications);
    let mismatch = |told: &bgp::io::Told| (told.notification.code, told.notification.subcode) == (2, 11);
    assert!(told.iter().any(|told| told.sent.as_ref().is_some_and(mismatch)), "{told:?}");
    role(&mut network, 1, 0, Some(Customer));
    network.until_up();
}
