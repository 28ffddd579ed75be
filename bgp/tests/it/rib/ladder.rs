//! The ladder against RFC 4271's own words, its shortcut against the ladder,
//! and both against the order of arrival.

use bgp::id::{Asn, PathId, RouterId};
use bgp::reason::Reason;
use bgp::rib::decision::{Candidate, Ladder, Multipath, explain, joins_selected, loses_to_best};
use bgp::rib::{RibConfig, Source, SourceKind};
use bgp::wire::attribute::{Origin, PathAttributes};
use bgp::wire::community::Community;
use proptest::prelude::*;

use super::*;

const PREFIX: &str = "198.51.100.0/24";

fn candidate(n: u8) -> Candidate {
    Candidate {
        long_lived: false,
        stale: false,
        metric: Some(0),
        kind: SourceKind::External,
        local_preference: 100,
        hops: 2,
        origin: Origin::Igp,
        neighbor: Some(Asn(65001)),
        med: 0,
        router_id: RouterId(1),
        cluster_len: 0,
        address: Some(address(1)),
        tie: n.into(),
        path_id: None,
        next_hop: n.into(),
    }
}

const ONE: Multipath = Multipath { max_paths: 1, relax_as_path: true };

fn decide(paths: &[Candidate], multipath: Multipath) -> Vec<Reason> {
    explain(paths, multipath, |_, _| true).iter().map(|compared| compared.verdict).collect()
}

#[test]
fn each_rung_takes_out_the_worse_path_and_names_both_values() {
    let best = Candidate { path_id: Some(PathId(3)), ..candidate(1) };
    let other = Candidate { neighbor: Some(Asn(65002)), ..candidate(2) };
    let rungs: [(Candidate, Reason, &str); 16] = [
        (Candidate { metric: None, local_preference: 900, ..other }, Reason::NextHopUnreachable, ""),
        (Candidate { long_lived: true, hops: 0, ..other }, Reason::LongLivedStale, ""),
        (Candidate { stale: true, local_preference: 900, ..other }, Reason::Stale, ""),
        (Candidate { local_preference: 90, hops: 0, ..other }, Reason::LowerLocalPreference, "90/100"),
        (Candidate { hops: 3, origin: Origin::Igp, ..other }, Reason::LongerAsPath, "3/2"),
        (Candidate { origin: Origin::Egp, ..other }, Reason::HigherOrigin, "EGP/IGP"),
        (Candidate { med: 5, neighbor: Some(Asn(65001)), ..other }, Reason::HigherMed, "5/0"),
        (Candidate { kind: SourceKind::Internal, ..other }, Reason::ExternalPreferred, ""),
        (Candidate { metric: Some(7), router_id: RouterId(0), ..other }, Reason::HigherIgpMetric, "7/0"),
        (
            Candidate { router_id: RouterId(2), address: None, ..other },
            Reason::HigherRouterId,
            "0.0.0.2/0.0.0.1",
        ),
        (Candidate { cluster_len: 1, address: None, ..other }, Reason::LongerClusterList, "1/0"),
        (Candidate { address: Some(address(9)), ..other }, Reason::HigherPeerAddress, "10.0.0.9/10.0.0.1"),
        (Candidate { tie: 3, ..other }, Reason::HigherPeerAddress, "10.0.0.1/10.0.0.1"),
        (Candidate { tie: 1, path_id: Some(PathId(7)), ..other }, Reason::HigherPathId, "7/3"),
        // A MED of another neighbouring AS is not compared.
        (Candidate { med: 5, router_id: RouterId(2), ..other }, Reason::HigherRouterId, "0.0.0.2/0.0.0.1"),
        // Equal values of a rung above do not end the comparison.
        (Candidate { origin: Origin::Incomplete, hops: 2, ..other }, Reason::HigherOrigin, "INCOMPLETE/IGP"),
    ];
    for (worse, rung, values) in rungs {
        for paths in [[best, worse], [worse, best]] {
            let compared = explain(&paths, ONE, |_, _| true);
            let at = usize::from(paths[1] == worse);
            assert_eq!(compared[1 - at].verdict, Reason::Best, "{rung}");
            assert_eq!(compared[at].verdict, rung);
            let digits =
                |text: String| text.split(' ').find(|w| !w.is_empty() && is_value(w)).map(String::from);
            let shown = compared[at].values.map(|(own, better)| {
                let text = |value: String| digits(value).unwrap_or_default();
                format!("{}/{}", text(own.to_string()), text(better.to_string()))
            });
            assert_eq!(shown.unwrap_or_default(), values, "{rung}");
        }
    }
}

fn is_value(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) || ["IGP", "EGP", "INCOMPLETE"].contains(&word)
}

#[test]
fn a_local_path_goes_before_any_preference() {
    let local = Candidate { kind: SourceKind::Local, address: None, neighbor: None, ..candidate(1) };
    let learned = Candidate { local_preference: 900, hops: 0, ..candidate(2) };
    let multipath = Multipath { max_paths: 8, relax_as_path: true };
    assert_eq!(decide(&[learned, local], multipath), [Reason::LocalPreferred, Reason::Best]);
}

#[test]
fn the_ecmp_set_counts_next_hops_and_asks_for_equal_paths_unless_relaxed() {
    let paths: Vec<Candidate> = (1..=5)
        .map(|n| Candidate { router_id: RouterId(n.into()), next_hop: u32::from(n).min(4), ..candidate(n) })
        .collect();
    let up_to = |max_paths| decide(&paths, Multipath { max_paths, relax_as_path: true });
    let (b, m, r) = (Reason::Best, Reason::Multipath, Reason::HigherRouterId);
    assert_eq!(up_to(1), [b, r, r, r, r]);
    assert_eq!(up_to(3), [b, m, m, r, r]);
    assert_eq!(up_to(4), [b, m, m, m, m], "the fifth path shares the fourth next hop");
    let strict = Multipath { max_paths: 8, relax_as_path: false };
    let compared = explain(&paths, strict, |a, b| a % 2 == b % 2);
    let verdicts: Vec<Reason> = compared.iter().map(|compared| compared.verdict).collect();
    assert_eq!(verdicts, [b, r, m, r, m]);
}

/// RFC 4271 §9.1.2.2 word by word: at each step, "remove from consideration
/// all routes that are not …"; for MED the RFC's pair of loops.
fn by_the_book(paths: &[Candidate], multipath: Multipath) -> Vec<Reason> {
    let mut verdicts = vec![None; paths.len()];
    let mut step = |rung: Reason, beaten: &dyn Fn(&Candidate, &Candidate) -> bool| {
        let left: Vec<usize> = (0..paths.len()).filter(|&at| verdicts[at].is_none()).collect();
        for &m in &left {
            if left.iter().any(|&n| beaten(&paths[m], &paths[n])) {
                verdicts[m] = Some(rung);
            }
        }
    };
    step(Reason::NextHopUnreachable, &|m, _| m.metric.is_none());
    step(Reason::LongLivedStale, &|m, n| m.long_lived && !n.long_lived);
    step(Reason::Stale, &|m, n| m.stale && !n.stale);
    step(Reason::LocalPreferred, &|m, n| m.kind != SourceKind::Local && n.kind == SourceKind::Local);
    step(Reason::LowerLocalPreference, &|m, n| n.local_preference > m.local_preference);
    step(Reason::LongerAsPath, &|m, n| n.hops < m.hops);
    step(Reason::HigherOrigin, &|m, n| n.origin < m.origin);
    step(Reason::HigherMed, &|m, n| m.neighbor == n.neighbor && n.med < m.med);
    let internal = |path: &Candidate| path.kind == SourceKind::Internal;
    step(Reason::ExternalPreferred, &|m, n| internal(m) && !internal(n));
    step(Reason::HigherIgpMetric, &|m, n| n.metric < m.metric);
    let equal: Vec<usize> = (0..paths.len()).filter(|&at| verdicts[at].is_none()).collect();
    let mut step = |rung: Reason, beaten: &dyn Fn(&Candidate, &Candidate) -> bool| {
        let left: Vec<usize> = (0..paths.len()).filter(|&at| verdicts[at].is_none()).collect();
        for &m in &left {
            if left.iter().any(|&n| beaten(&paths[m], &paths[n])) {
                verdicts[m] = Some(rung);
            }
        }
    };
    step(Reason::HigherRouterId, &|m, n| n.router_id < m.router_id);
    step(Reason::LongerClusterList, &|m, n| n.cluster_len < m.cluster_len);
    step(Reason::HigherPeerAddress, &|m, n| n.address < m.address);
    step(Reason::HigherPeerAddress, &|m, n| n.tie < m.tie);
    step(Reason::HigherPathId, &|m, n| n.path_id < m.path_id);
    let mut order = equal;
    order.sort_by_key(|&at| {
        let Candidate { router_id, cluster_len, address, tie, path_id, .. } = paths[at];
        (router_id, cluster_len, address, tie, path_id)
    });
    let mut next_hops = Vec::new();
    for &at in &order {
        let is_local = paths[at].kind == SourceKind::Local;
        let known = next_hops.contains(&paths[at].next_hop);
        let room = next_hops.len() < usize::from(multipath.max_paths);
        let is_best = at == order[0];
        if is_best || (!is_local && multipath.max_paths > 1 && (known || room)) {
            verdicts[at] = Some(if is_best { Reason::Best } else { Reason::Multipath });
            if !known {
                next_hops.push(paths[at].next_hop);
            }
        }
    }
    verdicts.into_iter().map(|verdict| verdict.expect("one path is left")).collect()
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let kind = prop_oneof![
        6 => Just(SourceKind::External),
        3 => Just(SourceKind::Internal),
        1 => Just(SourceKind::Local)
    ];
    let metric = prop_oneof![1 => Just(None), 8 => (0..2u32).prop_map(Some)];
    let one = (
        kind,
        metric,
        100..102u32,
        1..3u32,
        0..2u8,
        0..3u32,
        0..3u32,
        (0..3u32, 0..2u32, 0..3u8, 0..4u32, 0..4u8),
    );
    let one = one.prop_map(|(kind, metric, local_preference, hops, origin, asn, med, rest)| Candidate {
        long_lived: kind != SourceKind::Local && rest.4 == 1,
        stale: kind != SourceKind::Local && rest.4 == 0,
        metric: if kind == SourceKind::Local { Some(0) } else { metric },
        kind,
        local_preference,
        hops,
        origin: if origin == 0 { Origin::Igp } else { Origin::Egp },
        neighbor: (asn > 0).then_some(Asn(asn)),
        med,
        router_id: RouterId(rest.0),
        cluster_len: rest.1,
        address: (kind != SourceKind::Local).then_some(address(rest.2)),
        tie: 0,
        path_id: None,
        next_hop: rest.3,
    });
    (prop::collection::vec(one, 1..7), any::<bool>()).prop_map(|(mut paths, with_med)| {
        for (path, tie) in paths.iter_mut().zip(0..) {
            path.tie = tie;
            path.med = if with_med { path.med } else { 0 };
        }
        paths
    })
}

/// Some of them several paths of one peer (RFC 7911), which name no order of arrival.
fn candidates_of_few() -> impl Strategy<Value = Vec<Candidate>> {
    (candidates(), prop::collection::vec(prop::option::of(any::<u32>()), 7)).prop_map(|(mut paths, ids)| {
        for at in 1..paths.len() {
            let Some(id) = ids[at].filter(|_| paths[at].kind != SourceKind::Local) else { continue };
            let Candidate { kind, router_id, address, tie, .. } = paths[at - 1];
            if kind != SourceKind::Local && paths[..at].iter().all(|other| other.path_id != Some(PathId(id)))
            {
                paths[at] =
                    Candidate { kind, router_id, address, tie, path_id: Some(PathId(id)), ..paths[at] };
            }
        }
        paths
    })
}

/// The attributes and the source that make a candidate in a base of its own.
fn path_of(candidate: &Candidate) -> (Source, PathAttributes, Option<u32>) {
    let n = candidate.tie as u8 + 100;
    let mut asns = vec![candidate.neighbor.map_or(64512, |asn| asn.0); candidate.hops as usize];
    if candidate.neighbor.is_none() {
        asns.clear();
    }
    let mut attributes = attributes(n, &asns);
    attributes.local_preference = Some(candidate.local_preference);
    attributes.origin = candidate.origin;
    attributes.med = Some(candidate.med);
    attributes.communities = candidate.long_lived.then_some(Community::LLGR_STALE).into_iter().collect();
    attributes.cluster_list = vec![1; candidate.cluster_len as usize].into_boxed_slice();
    let source = Source {
        kind: candidate.kind,
        origin: bgp::rule::RouteOrigin::Learned,
        peer: None,
        address: candidate.address,
        router_id: candidate.router_id,
        asn: Asn(1),
        via_default: false,
        client: false,
    };
    (source, attributes, candidate.metric)
}

/// A candidate as its attributes can carry it: without a neighbouring AS the path is empty.
fn as_stored(path: &Candidate) -> Candidate {
    Candidate { stale: false, hops: if path.neighbor.is_none() { 0 } else { path.hops }, ..*path }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_ladder_is_the_rfc(paths in candidates_of_few(), max_paths in 1..5u8) {
        let multipath = Multipath { max_paths, relax_as_path: true };
        prop_assert_eq!(decide(&paths, multipath), by_the_book(&paths, multipath));
    }

    #[test]
    fn the_ladder_does_not_depend_on_order(paths in candidates_of_few(), max_paths in 1..5u8, turn in 0..7usize) {
        let multipath = Multipath { max_paths, relax_as_path: true };
        let straight = decide(&paths, multipath);
        let mut turned = paths.clone();
        turned.rotate_left(turn % paths.len());
        let mut verdicts = decide(&turned, multipath);
        verdicts.rotate_right(turn % paths.len());
        prop_assert_eq!(&straight, &verdicts);
        turned = paths.iter().rev().copied().collect();
        verdicts = decide(&turned, multipath);
        verdicts.reverse();
        prop_assert_eq!(straight, verdicts);
    }

    /// Where the shortcut speaks, the ladder says the same of the new path, and
    /// the verdicts of all others stay as they were.
    #[test]
    fn the_shortcut_is_the_ladder(paths in candidates_of_few(), max_paths in 1..5u8) {
        let multipath = Multipath { max_paths, relax_as_path: true };
        let (new, others) = paths.split_last().expect("at least one");
        let mut before = vec![Reason::Pending; others.len()];
        let best = Ladder::default().decide(others, multipath, |_, _| true, &mut before);
        let med_matters = paths.iter().any(|path| path.med > 0);
        if let Some(best) = best {
            let mut selected = vec![others[best]];
            let beside = others.iter().zip(&before).filter(|(_, verdict)| **verdict == Reason::Multipath);
            selected.extend(beside.map(|(path, _)| *path));
            let lost = loses_to_best(new, &others[best], multipath, med_matters);
            let joined = joins_selected(new, &selected, multipath, med_matters);
            prop_assert!(lost.is_none() || joined.is_none() || lost == joined);
            if let Some(verdict) = lost.or(joined) {
                before.push(verdict);
                prop_assert_eq!(before, decide(&paths, multipath));
            }
        }
    }

    /// One path after the other goes; what is left is as the ladder says.
    #[test]
    fn a_withdrawal_leaves_what_the_ladder_leaves(
        paths in candidates(),
        max_paths in 1..5u8,
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let multipath = Multipath { max_paths, relax_as_path: true };
        let mut bench = Bench::new(RibConfig { max_paths, install: false, ..CONFIG });
        let sources: Vec<_> = paths.iter().map(|path| bench.add(path_of(path).0)).collect();
        for (path, &source) in paths.iter().zip(&sources) {
            let (_, attributes, metric) = path_of(path);
            let next_hop = NextHop { address: attributes.next_hop.address(), via_default: false };
            bench.announce(source, PREFIX, attributes);
            bench.rib.set_next_hop(next_hop, metric);
        }
        bench.turn();
        let mut left: Vec<(SourceId, Candidate)> = sources.into_iter().zip(paths).collect();
        for at in order {
            if left.len() < 2 {
                break;
            }
            let (gone, _) = left.remove(at % left.len());
            bench.rib.withdraw(gone, prefix(PREFIX));
            bench.turn();
            // In the base each path has a next hop, and a local one any metric.
            let candidates: Vec<Candidate> = left
                .iter()
                .map(|(source, path)| Candidate { next_hop: source.index() as u32, tie: source.index() as u16, ..as_stored(path) })
                .collect();
            let expected = left.iter().map(|(source, _)| *source).zip(by_the_book(&candidates, multipath));
            prop_assert_eq!(bench.verdicts(PREFIX), expected.collect::<Vec<_>>());
        }
    }

    /// The base, one turn a path or all in one, in any order, with a path
    /// replaced and another one withdrawn on the way, ends where the ladder
    /// over the whole set ends.
    #[test]
    fn the_order_of_arrival_never_matters(
        paths in candidates(),
        extra in candidates(),
        max_paths in 1..5u8,
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        turns in any::<bool>(),
    ) {
        let config = RibConfig { max_paths, install: false, ..CONFIG };
        let outcome = |order: &[usize], detour: bool| {
            let mut bench = Bench::new(config);
            let sources: Vec<_> = paths.iter().map(|path| bench.add(path_of(path).0)).collect();
            let other = bench.add(path_of(&extra[0]).0);
            let mut announced = Vec::new();
            for at in order.iter().copied().filter(|&at| at < paths.len()) {
                if detour {
                    let (_, mut before, _) = path_of(&extra[at % extra.len()]);
                    before.next_hop = path_of(&paths[at]).1.next_hop;
                    bench.announce(sources[at], PREFIX, before);
                    bench.announce(other, PREFIX, path_of(&extra[0]).1);
                }
                if turns {
                    bench.turn();
                }
                let (_, attributes, metric) = path_of(&paths[at]);
                let next_hop = NextHop { address: attributes.next_hop.address(), via_default: false };
                bench.announce(sources[at], PREFIX, attributes);
                bench.rib.set_next_hop(next_hop, metric);
                announced.push(at);
                if turns {
                    bench.turn();
                }
                bench.rib.withdraw(other, prefix(PREFIX));
            }
            bench.turn();
            bench.verdicts(PREFIX)
        };
        let straight = outcome(&[0, 1, 2, 3, 4, 5], false);
        prop_assert_eq!(&straight, &outcome(&order, false));
        prop_assert_eq!(&straight, &outcome(&order, true));
        prop_assert_eq!(straight.iter().filter(|(_, verdict)| *verdict == Reason::Best).count() > 0,
            paths.iter().any(|path| path.metric.is_some()));
    }
}
