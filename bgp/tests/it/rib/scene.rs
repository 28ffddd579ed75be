//! Scenes: a few calls and what comes of them.

use std::borrow::Cow;

use bgp::id::Asn;
use bgp::io::{RouteChange, SetChange, SetId, Tracking};
use bgp::prefix::Family;
use bgp::reason::Reason;
use bgp::rib::attributes::Store;
use bgp::rib::{Advertise, Announced, RibConfig, SourceKind};
use bgp::view::KernelView;
use bgp::wire::encode;

use super::*;
use crate::wire::INTERNAL;

const P: &str = "192.0.2.0/24";

#[test]
fn a_new_route_waits_for_next_hop_and_kernel() {
    let mut bench = Bench::new(CONFIG);
    let a = bench.add(peer(1));
    let attrs = bench.announce(a, P, attributes(1, &[65001]));
    let effects = bench.turn();
    assert_eq!(effects.tracking, [Tracking::Start(hop(1))]);
    assert!(effects.routes.is_empty(), "an unresolved next hop installs nothing");
    assert_eq!(bench.verdicts(P), [(a, Reason::NextHopUnreachable)]);
    assert_eq!(bench.advertise(P), Advertise::Nothing);

    bench.rib.set_next_hop(hop(1), Some(0));
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(1)] }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: Some(SetId(0)) }]);
    assert_eq!(bench.advertise(P), Advertise::Nothing, "before the ack");
    bench.ack(&effects, 0);
    bench.turn();
    assert_eq!(bench.changed.len(), 1);
    assert_eq!(bench.advertise(P), Advertise::Path { attrs, source: a });
}

#[test]
fn an_expected_next_hop_is_asked_for_before_a_path_names_it() {
    let mut bench = Bench::new(RibConfig { install: false, ..CONFIG });
    bench.rib.expect_next_hop(hop(1));
    assert_eq!(bench.turn().tracking, [Tracking::Start(hop(1))]);
    bench.rib.set_next_hop(hop(1), Some(0));
    assert!(!bench.rib.is_working(), "no entry is looked at for it");

    let a = bench.add(peer(1));
    bench.announce(a, P, attributes(1, &[65001]));
    assert_eq!(bench.verdicts(P), [(a, Reason::Best)], "without a word of the kernel");
    assert_eq!(bench.turn().tracking, []);

    bench.rib.forget_next_hop(hop(1));
    assert_eq!(bench.turn().tracking, [], "a path names it");
    bench.rib.withdraw(a, prefix(P));
    assert_eq!(bench.turn().tracking, [Tracking::Stop(hop(1))]);
    assert!(bench.rib.attributes().is_empty());
}

/// Two resolved external peers and a route of each; the effects of the turn are acknowledged.
fn two_peers() -> (Bench, bgp::rib::SourceId, bgp::rib::SourceId) {
    let mut bench = Bench::new(CONFIG);
    let (a, b) = (bench.add(peer(1)), bench.add(peer(2)));
    bench.announce(a, P, attributes(1, &[65001]));
    bench.announce(b, P, attributes(2, &[65002]));
    bench.turn();
    bench.rib.set_next_hop(hop(1), Some(0));
    bench.rib.set_next_hop(hop(2), Some(0));
    bench.turn_acked();
    (bench, a, b)
}

#[test]
fn equal_paths_make_a_set_and_a_lost_next_hop_shrinks_it_at_once() {
    let (mut bench, a, b) = two_peers();
    assert_eq!(bench.verdicts(P), [(a, Reason::Best), (b, Reason::Multipath)]);
    bench.rib.set_next_hop(hop(1), None);
    let mut effects = Effects::default();
    bench.rib.drain(&mut effects);
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(2)] }]);
    let effects = bench.turn();
    assert!(effects.routes.is_empty(), "the set carries the route as it is");
    assert_eq!(bench.verdicts(P), [(a, Reason::NextHopUnreachable), (b, Reason::Best)]);
    assert!(matches!(bench.advertise(P), Advertise::Path { source, .. } if source == b));

    // The set does not grow: the route changes to another one.
    bench.rib.set_next_hop(hop(1), Some(0));
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(1), members: vec![hop(1), hop(2)] }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: Some(SetId(1)) }]);
    assert_eq!(bench.advertise(P), Advertise::Hold);
    bench.ack(&effects, 0);
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: Vec::new() }]);
    assert!(matches!(bench.advertise(P), Advertise::Path { source, .. } if source == a));
}

#[test]
fn a_set_that_loses_a_member_is_told_ahead_of_the_decisions_and_no_other_is() {
    let (mut bench, a, _) = two_peers();
    let mut early = Effects::default();
    bench.rib.tell_losses(&mut early);
    assert!(early.is_empty(), "nothing is lost");
    bench.rib.remove_source(a);
    bench.rib.tell_losses(&mut early);
    assert_eq!(early.sets, [SetChange { id: SetId(0), members: vec![hop(2)] }]);
    assert!(early.routes.is_empty() && early.tracking.is_empty());
    let effects = bench.turn();
    assert!(effects.sets.is_empty() && effects.routes.is_empty(), "once, and the route stays");
    bench.rib.set_next_hop(hop(2), None);
    let mut early = Effects::default();
    bench.rib.tell_losses(&mut early);
    assert_eq!(early.sets, [SetChange { id: SetId(0), members: Vec::new() }]);
    let effects = bench.turn();
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: None }]);
}

#[test]
fn a_lost_peer_shrinks_the_sets_of_next_hops_that_only_it_used() {
    let (mut bench, a, b) = two_peers();
    bench.rib.remove_source(a);
    let mut effects = Effects::default();
    bench.rib.drain(&mut effects);
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: vec![hop(2)] }]);
    assert_eq!(bench.rib.add_source(peer(3)).map(SourceId::index), Some(2), "the handle is not free yet");
    let effects = bench.turn();
    assert!(effects.routes.is_empty());
    assert_eq!(effects.tracking, [Tracking::Stop(hop(1))]);
    assert_eq!(bench.verdicts(P), [(b, Reason::Best)]);
    assert_eq!(bench.rib.add_source(peer(4)).map(SourceId::index), Some(0));

    bench.rib.remove_source(b);
    let effects = bench.turn();
    assert_eq!(effects.sets, [SetChange { id: SetId(0), members: Vec::new() }]);
    assert_eq!(effects.routes, [RouteChange { prefix: prefix(P), set: None }]);
    assert_eq!(bench.advertise(P), Advertise::Nothing);
    bench.ack(&effects, 0);
    bench.turn();
    assert_eq!(bench.rib.find(prefix(P)), None, "freed");
    assert!(bench.rib.attributes().is_empty());
}

fn kernel(bench: &Bench) -> KernelView {
    let id = bench.rib.find(prefix(P)).expect("stored");
    bench.rib.entry(id).expect("found").kernel
}

#[test]
fn a_rejected_change_withdraws_what_was_advertised() {
    let (mut bench, a, _) = two_peers();
    bench.rib.withdraw(a, prefix(P));
    let effects = bench.turn();
    assert_eq!(effects.routes.len(), 1);
    assert_eq!((kernel(&bench), bench.advertise(P)), (KernelView::Pending, Advertise::Hold));
    bench.ack(&effects, 22);
    bench.turn();
    assert_eq!(bench.changed.len(), 1);
    assert_eq!((kernel(&bench), bench.advertise(P)), (KernelView::Failed(22), Advertise::Nothing));
    // The driver tried again, and it worked.
    bench.ack(&effects, 0);
    bench.turn();
    assert_eq!(kernel(&bench), KernelView::Installed);
    assert!(matches!(bench.advertise(P), Advertise::Path { .. }));
}

#[test]
fn an_ack_of_another_set_is_void() {
    let (mut bench, a, b) = two_peers();
    bench.rib.withdraw(a, prefix(P));
    let first = bench.turn();
    bench.announce(a, P, attributes(1, &[65001]));
    bench.rib.withdraw(b, prefix(P));
    let second = bench.turn();
    assert_ne!(first.routes, second.routes);
    bench.ack(&first, 0);
    assert_eq!(kernel(&bench), KernelView::Pending);
    bench.ack(&second, 0);
    assert_eq!(kernel(&bench), KernelView::Installed);
}

#[test]
fn what_the_kernel_does_not_carry_does_not_wait() {
    let mut bench = Bench::new(RibConfig { install: false, ..CONFIG });
    let a = bench.add(peer(1));
    let attrs = bench.announce(a, P, attributes(1, &[65001]));
    bench.turn();
    bench.rib.set_next_hop(hop(1), Some(0));
    let effects = bench.turn();
    assert!(effects.routes.is_empty() && effects.sets.is_empty());
    assert_eq!(bench.advertise(P), Advertise::Path { attrs, source: a });

    let mut bench = Bench::new(CONFIG);
    let own = bench.add(Source { kind: SourceKind::Local, peer: None, address: None, ..peer(9) });
    let a = bench.add(peer(1));
    let attrs = bench.announce(own, P, attributes(9, &[]));
    bench.announce(a, P, attributes(1, &[65001]));
    let effects = bench.turn();
    assert!(effects.routes.is_empty(), "an origination is no route of ours");
    assert_eq!(effects.tracking, [Tracking::Start(hop(1))]);
    assert_eq!(bench.advertise(P), Advertise::Path { attrs, source: own });
    bench.rib.set_next_hop(hop(1), Some(0));
    bench.turn();
    assert_eq!(bench.verdicts(P), [(own, Reason::Best), (a, Reason::LocalPreferred)]);
}

#[test]
fn a_loop_is_an_implicit_withdrawal_and_stays_visible() {
    let (mut bench, a, b) = two_peers();
    bench.announce_as(a, P, attributes(1, &[65001, 65000]), Some(Reason::AsLoop));
    let effects = bench.turn_acked();
    assert_eq!(effects.routes.len(), 1);
    assert_eq!(bench.verdicts(P), [(a, Reason::AsLoop), (b, Reason::Best)]);
    let counts = bench.rib.counts(a, Family::Ipv4).expect("present");
    assert_eq!((counts.received(), counts.accepted), (1, 0));
    assert_eq!(counts.rejected, [(Reason::AsLoop, 1)]);
    let id = bench.rib.find(prefix(P)).expect("stored");
    let ranked = bench.rib.ranked(id);
    assert_eq!(ranked.iter().map(|(path, _)| path.source()).collect::<Vec<_>>(), [b, a]);
    assert_eq!(ranked[1].1.verdict, Reason::AsLoop);
}

#[test]
fn beyond_the_limit_a_new_prefix_is_counted_and_not_stored() {
    let mut bench = Bench::new(CONFIG);
    let a = bench.add(peer(1));
    let attrs = bench.rib.attributes_mut().intern(attributes(1, &[65001]));
    let others = bench.rib.attributes_mut().intern(attributes(1, &[65002]));
    let texts = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    let mut announce = |text: &str, attrs| bench.rib.announce(a, prefix(text), attrs, None, 2);
    assert_eq!(
        texts.map(|text| announce(text, attrs)),
        [Announced::Stored, Announced::Stored, Announced::BeyondLimit]
    );
    assert_eq!(announce(texts[0], others), Announced::Stored, "a known prefix is replaced");
    let counts = |bench: &Bench| {
        let counts = bench.rib.counts(a, Family::Ipv4).expect("present");
        (counts.received(), counts.accepted, counts.rejected_as(Reason::PrefixLimit))
    };
    assert_eq!(counts(&bench), (3, 2, 1));
    assert_eq!(bench.rib.size(Family::Ipv4), (2, 2));
    assert!(!bench.rib.withdraw(a, prefix(texts[2])));
    assert_eq!(counts(&bench), (2, 2, 0));
    assert!(bench.rib.withdraw(a, prefix(texts[1])));
    assert_eq!(bench.rib.announce(a, prefix(texts[2]), attrs, None, 2), Announced::Stored);
}

#[test]
fn a_pinned_entry_keeps_its_number() {
    let mut bench = Bench::new(RibConfig { install: false, ..CONFIG });
    let a = bench.add(peer(1));
    bench.announce(a, P, attributes(1, &[65001]));
    bench.turn();
    let id = bench.rib.find(prefix(P)).expect("stored");
    assert!(bench.rib.pin(id));
    bench.rib.withdraw(a, prefix(P));
    bench.turn();
    bench.turn();
    assert_eq!(bench.rib.entry(id).map(|entry| entry.prefix), Some(prefix(P)));
    bench.rib.unpin(id);
    bench.turn();
    assert!(bench.rib.entry(id).is_none() && !bench.rib.pin(id));
    assert_eq!(bench.rib.size(Family::Ipv4), (0, 0));
}

#[test]
fn the_longest_selected_prefix_answers_for_an_address() {
    let mut bench = Bench::new(RibConfig { install: false, ..CONFIG });
    let (a, b) = (bench.add(peer(1)), bench.add(peer(2)));
    for text in ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"] {
        bench.announce(a, text, attributes(1, &[65001]));
    }
    bench.announce(b, "10.1.2.3/32", attributes(2, &[65002]));
    bench.turn();
    bench.rib.set_next_hop(hop(1), Some(0));
    bench.turn();
    let matched = |text: &str| {
        let id = bench.rib.longest_match(text.parse().expect("an address"));
        id.and_then(|id| bench.rib.entry(id)).map(|entry| entry.prefix.to_string())
    };
    assert_eq!(matched("10.1.2.3").as_deref(), Some("10.1.2.0/24"), "the host route does not resolve");
    assert_eq!(matched("10.1.3.1").as_deref(), Some("10.1.0.0/16"));
    assert_eq!(matched("192.0.2.1").as_deref(), Some("0.0.0.0/0"));
    assert_eq!(matched("2001:db8::1"), None);
}

#[test]
fn attribute_bytes_are_decoded_once_and_go_with_their_set() {
    let mut bench = Bench::new(CONFIG);
    let a = bench.add(peer(1));
    let attrs = bench.announce(a, P, attributes(1, &[65001]));
    let store = bench.rib.attributes_mut();
    store.remember_raw(1, b"bytes", attrs);
    store.remember_raw(1, b"other bytes", attrs);
    assert_eq!(store.lookup_raw(1, b"bytes"), Some(attrs));
    assert_eq!(store.lookup_raw(1, b"other bytes"), Some(attrs));
    assert_eq!(store.lookup_raw(2, b"bytes"), None, "decoded in another way");
    assert_eq!(store.intern(attributes(1, &[65001])), attrs);
    assert_eq!(store.facts(attrs).neighbor, Some(Asn(65001)));
    bench.turn();
    bench.rib.withdraw(a, prefix(P));
    bench.turn();
    let store = bench.rib.attributes();
    assert_eq!((store.len(), store.raw_len(), store.lookup_raw(1, b"bytes")), (0, 0, None));
}

/// Of many sets a few are kept decoded, which nobody can tell.
#[test]
fn sets_are_the_same_whether_they_are_kept_decoded_or_as_octets() {
    let mut store = Store::new(7);
    let set = |n: u32| PathAttributes {
        local_preference: Some(n % 7),
        ..attributes(n as u8 % 200, &[65001, 1 + n])
    };
    let encoded = |n: u32| {
        let mut octets = Vec::new();
        encode::attributes(&set(n), &INTERNAL, Family::Ipv4, &mut octets);
        octets
    };
    let ids: Vec<AttrId> = (0..10_000)
        .map(|n| {
            let id = store.intern(set(n));
            // Each tenth is known by no octets.
            if n % 10 > 0 {
                store.remember_raw(INTERNAL.flavour().into(), &encoded(n), id);
            }
            id
        })
        .collect();
    let kept = |store: &Store| ids.iter().filter(|id| matches!(store.get(**id), Cow::Borrowed(_))).count();
    assert!((1_000..5_000).contains(&kept(&store)), "{} are decoded", kept(&store));
    for (n, &id) in (0..).zip(&ids) {
        assert_eq!(*store.get(id), set(n));
        assert_eq!(store.facts(id).hops, 2);
        let known = (n % 10 > 0).then_some(id);
        assert_eq!(store.lookup_raw(INTERNAL.flavour().into(), &encoded(n)), known);
        assert_eq!(store.intern(set(n)), id, "found by what the octets say");
        store.warm(id);
        assert!(matches!(store.get(id), Cow::Borrowed(_)));
        assert_eq!(*store.get(id), set(n));
    }
    assert!(kept(&store) < 5_000);
}

#[test]
fn rules_that_change_are_applied_to_what_is_stored() {
    let (mut bench, a, b) = two_peers();
    bench.rib.judge_again(Some(a));
    let refuse = &mut |_: &Source, _, _: &PathAttributes| Err(Reason::NotAccepted);
    while bench.rib.work(1, refuse) && bench.rib.is_working() {}
    assert_eq!(bench.verdicts(P), [(a, Reason::NotAccepted), (b, Reason::Best)]);
    bench.rib.judge_again(None);
    bench.turn();
    assert_eq!(bench.verdicts(P), [(a, Reason::Best), (b, Reason::Multipath)]);
}

/// A path that loses below the MED rung may have kept another one out there.
#[test]
fn a_path_that_med_kept_out_comes_back_with_the_withdrawal_of_a_loser() {
    let mut bench = Bench::new(RibConfig { install: false, max_paths: 1, ..CONFIG });
    let a = bench.add(peer(1));
    let b = bench.add(Source { kind: SourceKind::Internal, ..peer(2) });
    let c = bench.add(peer(3));
    let with_med = |n, asn, med| PathAttributes { med: Some(med), ..attributes(n, &[asn]) };
    bench.announce(a, P, with_med(1, 65001, 5));
    bench.announce(b, P, with_med(1, 65001, 0));
    bench.announce(c, P, with_med(1, 65002, 0));
    bench.turn();
    bench.rib.set_next_hop(hop(1), Some(0));
    bench.turn();
    let verdicts = [(a, Reason::HigherMed), (b, Reason::ExternalPreferred), (c, Reason::Best)];
    assert_eq!(bench.verdicts(P), verdicts);
    bench.rib.withdraw(b, prefix(P));
    bench.turn();
    assert_eq!(bench.verdicts(P), [(a, Reason::Best), (c, Reason::HigherRouterId)]);
}
