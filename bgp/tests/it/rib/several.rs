//! Several paths of a prefix from one peer (RFC 7911), at the door of the base.

use bgp::id::PathId;
use bgp::prefix::Family;
use bgp::rib::{Announced, MOST_PATHS, Path};

use super::*;

const P: &str = "192.0.2.0/24";
const NONE: RibConfig = RibConfig { install: false, ..CONFIG };

const fn key(source: SourceId, id: u32) -> PathKey {
    PathKey { source, id: Some(PathId(id)) }
}

/// Each path by its identifier: its next hop's last octet, and its verdict.
fn held(bench: &Bench) -> Vec<(Option<u32>, u8, Reason)> {
    let Some(id) = bench.rib.find(prefix(P)) else { return Vec::new() };
    let entry = bench.rib.entry(id).expect("found");
    let one = |path: &Path| {
        let IpAddr::V4(hop) = bench.rib.attributes().get(path.attrs()).next_hop.address() else {
            unreachable!("next hops are IPv4")
        };
        (bench.rib.path_id(id, *path).map(|id| id.0), hop.octets()[3], path.verdict())
    };
    let mut held: Vec<_> = entry.paths.iter().map(one).collect();
    held.sort();
    held
}

/// Hops 1 to 3 resolve, and a peer's paths by two of them are there.
fn two_paths() -> (Bench, SourceId) {
    let mut bench = Bench::new(NONE);
    let a = bench.add(peer(1));
    bench.announce_one(key(a, 7), P, attributes(1, &[65001]), None);
    bench.announce_one(key(a, 3), P, attributes(2, &[65001]), None);
    bench.announce(a, "203.0.113.0/24", attributes(3, &[65001]));
    bench.turn();
    (1..4).for_each(|n| bench.rib.set_next_hop(hop(n), Some(0)));
    bench.turn();
    (bench, a)
}

#[test]
fn a_path_is_replaced_and_withdrawn_by_its_identifier() {
    let (mut bench, a) = two_paths();
    assert_eq!(held(&bench), [(Some(3), 2, Reason::Best), (Some(7), 1, Reason::Multipath)]);
    bench.announce_one(key(a, 7), P, attributes(3, &[65001]), None);
    bench.turn();
    assert_eq!(held(&bench), [(Some(3), 2, Reason::Best), (Some(7), 3, Reason::Multipath)]);
    // RFC 7911 §5: one that was not seen before is ignored.
    assert!(!bench.rib.withdraw(key(a, 8), prefix(P)) && !bench.rib.withdraw(a, prefix(P)));
    assert!(bench.rib.withdraw(key(a, 3), prefix(P)));
    bench.turn();
    assert_eq!(held(&bench), [(Some(7), 3, Reason::Best)]);
    let counts = bench.rib.counts(a, Family::Ipv4).expect("present");
    assert_eq!((counts.received(), counts.accepted), (2, 2));
    assert!(bench.rib.withdraw(key(a, 7), prefix(P)));
    bench.turn();
    assert_eq!(bench.rib.find(prefix(P)), None, "freed");
}

#[test]
fn two_paths_by_one_next_hop_take_one_place() {
    let mut bench = Bench::new(RibConfig { max_paths: 2, ..NONE });
    let a = bench.add(peer(1));
    for (id, next_hop) in [(4, 1), (2, 1), (1, 2), (3, 3)] {
        bench.announce_one(key(a, id), P, attributes(next_hop, &[65001]), None);
    }
    bench.turn();
    (1..4).for_each(|n| bench.rib.set_next_hop(hop(n), Some(0)));
    bench.turn();
    let m = Reason::Multipath;
    let expected =
        [(Some(1), 2, Reason::Best), (Some(2), 1, m), (Some(3), 3, Reason::HigherPathId), (Some(4), 1, m)];
    assert_eq!(held(&bench), expected);
}

#[test]
fn identifiers_are_told_of_no_other_family_or_peer() {
    let (mut bench, a) = two_paths();
    let b = bench.add(peer(2));
    bench.announce_one(key(b, 7), P, attributes(3, &[65001]), None);
    bench.announce_one(key(a, 7), "2001:db8::/32", attributes(3, &[65001]), None);
    bench.turn();
    assert_eq!(held(&bench).len(), 3);
    assert!(bench.rib.withdraw(key(b, 7), prefix(P)));
    bench.turn();
    assert_eq!(held(&bench), [(Some(3), 2, Reason::Best), (Some(7), 1, Reason::Multipath)]);
}

/// A restart gives paths other names (RFC 7911 §5), or takes their names away.
#[test]
fn what_is_stale_goes_path_by_path() {
    let (mut bench, a) = two_paths();
    bench.rib.mark_stale(a, Family::Ipv4, true);
    bench.announce_one(key(a, 3), P, attributes(2, &[65001]), None);
    bench.turn();
    assert_eq!(held(&bench), [(Some(3), 2, Reason::Best), (Some(7), 1, Reason::Stale)]);
    assert_eq!(bench.rib.stale(a, Family::Ipv4), 2, "the path of the other prefix too");
    bench.announce_one(a.into(), P, attributes(3, &[65001]), None);
    bench.rib.sweep_stale(a, Family::Ipv4);
    bench.turn();
    assert_eq!(held(&bench), [(None, 3, Reason::Best), (Some(3), 2, Reason::Multipath)]);
}

#[test]
fn a_peer_has_so_many_paths_of_a_prefix_and_no_more() {
    let (mut bench, a) = two_paths();
    let attrs = bench.rib.attributes_mut().intern(attributes(1, &[65001]));
    let announce = |bench: &mut Bench, id| bench.rib.announce(key(a, id), prefix(P), attrs, None, NO_LIMIT);
    for id in 100..100 + MOST_PATHS as u32 - 2 {
        assert_eq!(announce(&mut bench, id), Announced::Stored);
    }
    assert_eq!(announce(&mut bench, 1), Announced::BeyondLimit);
    assert_eq!(announce(&mut bench, 7), Announced::Stored, "a known one is replaced");
    let counts = |bench: &Bench| {
        let counts = bench.rib.counts(a, Family::Ipv4).expect("present");
        (counts.stored(), counts.rejected_as(Reason::PathLimit), counts.has_path_room())
    };
    let most = MOST_PATHS as u64;
    assert_eq!(counts(&bench), (most + 1, 1, false));
    assert!(bench.rib.withdraw(key(a, 101), prefix(P)));
    assert_eq!(counts(&bench), (most, 1, true), "there is room for what had none");
    bench.rib.forget_beyond_limit(a, Family::Ipv4);
    assert_eq!(counts(&bench), (most, 0, false));
    assert_eq!(announce(&mut bench, 1), Announced::Stored);
    assert_eq!(announce(&mut bench, 2), Announced::BeyondLimit);
    assert!(!bench.rib.withdraw(key(a, 2), prefix(P)), "it was counted and not stored");
    assert_eq!(counts(&bench), (most + 1, 0, false));
    // A peer that is back calls its paths by other names: what is stale gives way.
    bench.rib.mark_stale(a, Family::Ipv4, true);
    for id in 1_000..1_000 + MOST_PATHS as u32 {
        assert_eq!(announce(&mut bench, id), Announced::Stored);
    }
    assert_eq!(announce(&mut bench, 5), Announced::BeyondLimit);
    bench.turn();
    assert!(held(&bench).iter().all(|(id, ..)| id.is_some_and(|id| id >= 1_000)));
    // Another peer has room of its own.
    let b = bench.add(peer(2));
    assert_eq!(bench.rib.announce(key(b, 5), prefix(P), attrs, None, NO_LIMIT), Announced::Stored);
    bench.rib.remove_source(a);
    bench.turn();
    assert_eq!(held(&bench), [(Some(5), 1, Reason::Best)]);
}

#[test]
fn handles_are_used_again_once_nothing_that_was_sent_names_them() {
    let (mut bench, a) = two_paths();
    let id = bench.rib.find(prefix(P)).expect("stored");
    let entry = bench.rib.entry(id).expect("found");
    let second = entry.paths.iter().find(|path| path.source() != a).copied().expect("a second path");
    assert_eq!(bench.rib.sources().owner(second.source()), a);
    bench.rib.retain(second.attrs(), second.source());
    bench.rib.remove_source(a);
    bench.turn();
    let b = bench.add(peer(2));
    assert!(b != a && b != second.source(), "what was sent still names the path");
    assert_eq!(bench.rib.sources().owner(second.source()), a);
    bench.rib.release(second.attrs(), second.source());
    let others = [bench.add(peer(3)), bench.add(peer(4))];
    assert!(others.contains(&a) && others.contains(&second.source()));
}

#[test]
fn a_change_beside_the_best_path_is_handed_out_where_it_is_wanted() {
    let (mut bench, a) = two_paths();
    let worse = || attributes(3, &[65001, 65002]);
    bench.announce_one(key(a, 9), P, worse(), None);
    bench.turn();
    assert!(bench.changed.is_empty());
    bench.rib.tell_of_all(true);
    for step in 0..3 {
        match step {
            0 => drop(bench.announce_one(key(a, 9), P, attributes(3, &[65001, 65003]), None)),
            1 => drop(bench.announce_one(key(a, 9), P, worse(), Some(Reason::AsLoop))),
            _ => assert!(bench.rib.withdraw(key(a, 7), prefix(P))),
        }
        bench.turn();
        assert_eq!(bench.changed.len(), 1, "step {step}");
        bench.rib.withdraw(key(a, 9), prefix(P));
        bench.announce_one(key(a, 9), P, worse(), None);
        bench.turn();
    }
    let id = bench.rib.find(prefix(P)).expect("stored");
    let order: Vec<_> =
        bench.rib.sendable(id).iter().map(|path| bench.rib.path_id(id, *path).map(|id| id.0)).collect();
    assert_eq!(order, [Some(3), Some(9)]);
}
