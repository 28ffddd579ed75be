//! The decision process of RFC 4271 §9.1.2.2 as a ladder of eliminations.
//!
//! Each rung looks at all paths that are still in and takes out those that are
//! not the best by its measure; the rung is their verdict. There is no running
//! pairwise best: with MEDs of several neighbouring ASes that depends on the
//! order of arrival, the ladder never does. Pure over the facts of the paths.
//!
//! ```text
//!  next hop resolves      else next-hop-unreachable     RFC 4271 §9.1.2.1
//!  not long-lived stale   else long-lived-stale         RFC 9494 §4.4
//!  not stale              else stale                    RFC 4724 §4.2, see `stale`
//!  own origination        else local-preferred          first by its preference, §9.1.1
//!  highest LOCAL_PREF     else lower-local-preference   §9.1.1
//!  shortest AS_PATH       else longer-as-path           §9.1.2.2 a
//!  lowest ORIGIN          else higher-origin            §9.1.2.2 b
//!  lowest MED of its AS   else higher-med               §9.1.2.2 c
//!  external               else external-preferred       §9.1.2.2 d
//!  lowest metric          else higher-igp-metric        §9.1.2.2 e
//!    those still in are the ECMP set: multipath
//!  lowest BGP Identifier  else higher-router-id         §9.1.2.2 f
//!  shortest CLUSTER_LIST  else longer-cluster-list      RFC 4456 §9
//!  lowest peer address    else higher-peer-address      §9.1.2.2 g
//!  lowest Path Identifier else higher-path-id           of one peer's paths (RFC 7911)
//! ```

use core::cmp::{Ordering, Reverse};
use core::fmt;
use std::net::IpAddr;

use crate::id::{Asn, PathId, RouterId};
use crate::reason::Reason;
use crate::rib::source::SourceKind;
use crate::wire::attribute::Origin;

/// What the ladder knows of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The metric of what resolves the next hop; `None` if nothing does. Zero for a local path.
    pub metric: Option<u32>,
    /// Whether the path is one of last resort: kept for long, here or by others (RFC 9494 §4.4).
    pub long_lived: bool,
    /// Whether the path has to give way to fresh ones: its peer restarts (RFC 4724).
    pub stale: bool,
    /// Where the path was learned.
    pub kind: SourceKind,
    /// LOCAL_PREF, 100 where there is none.
    pub local_preference: u32,
    /// The length of AS_PATH.
    pub hops: u32,
    /// ORIGIN.
    pub origin: Origin,
    /// The neighbouring AS; `None` for a path that starts in the own AS.
    pub neighbor: Option<Asn>,
    /// MULTI_EXIT_DISC, zero where there is none.
    pub med: u32,
    /// ORIGINATOR_ID, else the peer's BGP Identifier.
    pub router_id: RouterId,
    /// The length of CLUSTER_LIST.
    pub cluster_len: u32,
    /// The peer's address; `None` for a local path.
    pub address: Option<IpAddr>,
    /// Tells apart what is equal in all else: the handle of the source.
    pub tie: u16,
    /// The Path Identifier; `None` where the peer sends one path a prefix.
    pub path_id: Option<PathId>,
    /// The next hop, as a number: paths by the same one take one place of the ECMP set.
    pub next_hop: u32,
}

/// How many paths are used together, and which may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multipath {
    /// The most next hops of an ECMP set; 1 for none but the best.
    pub max_paths: u8,
    /// Whether an equal length of AS_PATH suffices.
    pub relax_as_path: bool,
}

/// The rungs below MED: paths that got there were looked at for MED.
pub(super) const fn is_above_med(verdict: Reason) -> bool {
    matches!(
        verdict,
        Reason::NextHopUnreachable
            | Reason::LongLivedStale
            | Reason::Stale
            | Reason::LocalPreferred
            | Reason::LowerLocalPreference
            | Reason::LongerAsPath
            | Reason::HigherOrigin
    )
}

/// Compares two paths by the rungs above MED, the better as less: the first
/// difference and its rung.
fn by_preference(a: &Candidate, b: &Candidate) -> Option<(Ordering, Reason)> {
    let local = |path: &Candidate| path.kind != SourceKind::Local;
    differ(a.metric.is_none().cmp(&b.metric.is_none()), Reason::NextHopUnreachable)
        .or_else(|| differ(a.long_lived.cmp(&b.long_lived), Reason::LongLivedStale))
        .or_else(|| differ(a.stale.cmp(&b.stale), Reason::Stale))
        .or_else(|| differ(local(a).cmp(&local(b)), Reason::LocalPreferred))
        .or_else(|| differ(b.local_preference.cmp(&a.local_preference), Reason::LowerLocalPreference))
        .or_else(|| differ(a.hops.cmp(&b.hops), Reason::LongerAsPath))
        .or_else(|| differ(a.origin.cmp(&b.origin), Reason::HigherOrigin))
}

/// A difference and its rung, if it is one.
const fn differ(ordering: Ordering, rung: Reason) -> Option<(Ordering, Reason)> {
    if ordering.is_ne() { Some((ordering, rung)) } else { None }
}

fn by_distance(a: &Candidate, b: &Candidate) -> Option<(Ordering, Reason)> {
    differ(a.kind.cmp(&b.kind), Reason::ExternalPreferred)
        .or_else(|| differ(a.metric.cmp(&b.metric), Reason::HigherIgpMetric))
}

fn by_identity(a: &Candidate, b: &Candidate) -> Option<(Ordering, Reason)> {
    differ(a.router_id.cmp(&b.router_id), Reason::HigherRouterId)
        .or_else(|| differ(a.cluster_len.cmp(&b.cluster_len), Reason::LongerClusterList))
        .or_else(|| differ(a.address.cmp(&b.address), Reason::HigherPeerAddress))
        .or_else(|| differ(a.tie.cmp(&b.tie), Reason::HigherPeerAddress))
        .or_else(|| differ(a.path_id.cmp(&b.path_id), Reason::HigherPathId))
}

/// The verdict on a path of which the best path differs in what no other path
/// can change, if that is so: the shortcut beside the ladder. It says `None`
/// where the path would win or join the ECMP set, or where a MED could matter.
///
/// `med_matters`: whether any path of any prefix carries a MED.
#[must_use]
pub fn loses_to_best(
    path: &Candidate,
    best: &Candidate,
    multipath: Multipath,
    med_matters: bool,
) -> Option<Reason> {
    let lost = |(ordering, rung): (Ordering, Reason)| ordering.is_gt().then_some(rung);
    if let Some(difference) = by_preference(path, best) {
        return lost(difference);
    }
    if med_matters {
        return None;
    }
    if let Some(difference) = by_distance(path, best) {
        return lost(difference);
    }
    if multipath.max_paths > 1 {
        return None;
    }
    by_identity(path, best).and_then(lost)
}

/// The verdict on a path that is as good as the best one as far as ECMP asks,
/// where it changes no other path's: the shortcut's second half. `selected` are
/// the best path, first, and those used beside it. It says `None` where the path
/// may push another one out, where a MED could matter, and without
/// [`Multipath::relax_as_path`].
#[must_use]
pub fn joins_selected(
    path: &Candidate,
    selected: &[Candidate],
    multipath: Multipath,
    med_matters: bool,
) -> Option<Reason> {
    let best = selected.first()?;
    let room = usize::from(multipath.max_paths);
    if med_matters || !multipath.relax_as_path || room < 2 || best.kind == SourceKind::Local {
        return None;
    }
    if by_preference(path, best).is_some() || by_distance(path, best).is_some() {
        return None;
    }
    let follows = |other: &Candidate| by_identity(path, other).filter(|(ordering, _)| ordering.is_gt());
    let (_, rung) = follows(best)?;
    let known = selected.iter().any(|other| other.next_hop == path.next_hop);
    let first_of_its_hop =
        |at: &usize| selected[..*at].iter().all(|other| other.next_hop != selected[*at].next_hop);
    let has_room = (0..selected.len()).filter(first_of_its_hop).count() < room;
    if has_room {
        return Some(Reason::Multipath);
    }
    selected.iter().all(|other| follows(other).is_some()).then_some(if known {
        Reason::Multipath
    } else {
        rung
    })
}

/// Room for the ladder to work in; kept from call to call.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// The paths that are still in.
    left: Vec<u32>,
    /// The next hops of the ECMP set.
    next_hops: Vec<u32>,
}

impl Ladder {
    /// Decides: writes the verdict of each path into `verdicts`, which is as long
    /// as `paths`, and returns the best one. `same_as_path` compares two paths'
    /// AS_PATHs and is asked only without [`Multipath::relax_as_path`].
    pub fn decide(
        &mut self,
        paths: &[Candidate],
        multipath: Multipath,
        same_as_path: impl Fn(usize, usize) -> bool,
        verdicts: &mut [Reason],
    ) -> Option<usize> {
        self.left.clear();
        self.left.extend(0..paths.len() as u32);
        let path = |at: u32| &paths[at as usize];

        self.least(Reason::NextHopUnreachable, verdicts, |at| path(at).metric.is_none());
        if let Some(&first) = self.left.first()
            && path(first).metric.is_none()
        {
            for at in self.left.drain(..) {
                verdicts[at as usize] = Reason::NextHopUnreachable;
            }
        }
        self.least(Reason::LongLivedStale, verdicts, |at| path(at).long_lived);
        self.least(Reason::Stale, verdicts, |at| path(at).stale);
        self.least(Reason::LocalPreferred, verdicts, |at| path(at).kind != SourceKind::Local);
        self.least(Reason::LowerLocalPreference, verdicts, |at| Reverse(path(at).local_preference));
        self.least(Reason::LongerAsPath, verdicts, |at| path(at).hops);
        self.least(Reason::HigherOrigin, verdicts, |at| path(at).origin);
        self.lowest_med(paths, verdicts);
        self.least(Reason::ExternalPreferred, verdicts, |at| path(at).kind);
        self.least(Reason::HigherIgpMetric, verdicts, |at| path(at).metric);

        // What identifies a path orders it within the ECMP set, and names the best.
        let identity = |a: &u32, b: &u32| by_identity(path(*a), path(*b)).map_or(Ordering::Equal, |(o, _)| o);
        self.left.sort_unstable_by(identity);
        let &best = self.left.first()?;
        verdicts[best as usize] = Reason::Best;
        self.next_hops.clear();
        self.next_hops.push(path(best).next_hop);
        for &at in &self.left[1..] {
            let eligible = multipath.max_paths > 1
                && path(best).kind != SourceKind::Local
                && (multipath.relax_as_path || same_as_path(best as usize, at as usize));
            let known = self.next_hops.contains(&path(at).next_hop);
            let used = eligible && (known || self.next_hops.len() < usize::from(multipath.max_paths));
            if used && !known {
                self.next_hops.push(path(at).next_hop);
            }
            let rung = by_identity(path(at), path(best)).map_or(Reason::HigherPeerAddress, |(_, rung)| rung);
            verdicts[at as usize] = if used { Reason::Multipath } else { rung };
        }
        Some(best as usize)
    }

    /// Takes out the paths whose key is not the least.
    fn least<T: Ord>(&mut self, rung: Reason, verdicts: &mut [Reason], key: impl Fn(u32) -> T) {
        if self.left.len() < 2 {
            return;
        }
        let Some(least) = self.left.iter().map(|&at| key(at)).min() else { return };
        self.left.retain(|&at| {
            let stays = key(at) == least;
            if !stays {
                verdicts[at as usize] = rung;
            }
            stays
        });
    }

    /// RFC 4271 §9.1.2.2 c: a path goes if another one of the same neighbouring
    /// AS, in when the rung began, has a lower MED.
    fn lowest_med(&mut self, paths: &[Candidate], verdicts: &mut [Reason]) {
        if self.left.iter().all(|&at| paths[at as usize].med == 0) {
            return;
        }
        self.left.sort_unstable_by_key(|&at| (paths[at as usize].neighbor, paths[at as usize].med, at));
        let mut lowest: Option<(Option<Asn>, u32)> = None;
        self.left.retain(|&at| {
            let Candidate { neighbor, med, .. } = paths[at as usize];
            match lowest {
                Some((asn, lowest)) if asn == neighbor && med > lowest => {
                    verdicts[at as usize] = Reason::HigherMed;
                    return false;
                }
                Some((asn, _)) if asn == neighbor => {}
                _ => lowest = Some((neighbor, med)),
            }
            true
        });
    }
}

/// Orders two decided paths for a person: the best, those used beside it, then
/// the later a rung took a path out, the better it is.
#[must_use]
pub fn by_rank(a_verdict: Reason, a: &Candidate, b_verdict: Reason, b: &Candidate) -> Ordering {
    let rung = |verdict: Reason| RANKS.iter().position(|&rank| rank == verdict).unwrap_or(RANKS.len());
    let first = |difference: Option<(Ordering, Reason)>| difference.map_or(Ordering::Equal, |(o, _)| o);
    rung(a_verdict)
        .cmp(&rung(b_verdict))
        .then_with(|| first(by_preference(a, b)))
        .then_with(|| a.med.cmp(&b.med))
        .then_with(|| first(by_distance(a, b)))
        .then_with(|| first(by_identity(a, b)))
}

/// The verdicts from the best to the worst.
const RANKS: [Reason; 16] = [
    Reason::Best,
    Reason::Multipath,
    Reason::HigherPathId,
    Reason::HigherPeerAddress,
    Reason::LongerClusterList,
    Reason::HigherRouterId,
    Reason::HigherIgpMetric,
    Reason::ExternalPreferred,
    Reason::HigherMed,
    Reason::HigherOrigin,
    Reason::LongerAsPath,
    Reason::LowerLocalPreference,
    Reason::LocalPreferred,
    Reason::Stale,
    Reason::LongLivedStale,
    Reason::NextHopUnreachable,
];

/// Why a path is where it is, with what was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The rung of the ladder.
    pub verdict: Reason,
    /// The path's own value and the better one, where the rung compares values.
    pub values: Option<(Value, Value)>,
}

/// A value that a rung compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// LOCAL_PREF.
    LocalPreference(u32),
    /// The length of AS_PATH.
    Hops(u32),
    /// ORIGIN.
    Origin(Origin),
    /// MULTI_EXIT_DISC.
    Med(u32),
    /// The metric of what resolves the next hop.
    Metric(u32),
    /// The BGP Identifier.
    RouterId(RouterId),
    /// The length of CLUSTER_LIST.
    ClusterLen(u32),
    /// The peer's address.
    Address(IpAddr),
    /// The Path Identifier.
    PathId(PathId),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalPreference(value) => write!(f, "local preference {value}"),
            Self::Hops(value) => write!(f, "{value} AS hops"),
            Self::Origin(value) => write!(f, "origin {value}"),
            Self::Med(value) => write!(f, "MED {value}"),
            Self::Metric(value) => write!(f, "metric {value}"),
            Self::RouterId(value) => write!(f, "router id {value}"),
            Self::ClusterLen(value) => write!(f, "{value} clusters"),
            Self::Address(value) => write!(f, "peer {value}"),
            Self::PathId(value) => write!(f, "path id {value}"),
        }
    }
}

impl fmt::Display for Comparison {
    /// `another path crosses fewer ASes: 3 AS hops, the better one 2 AS hops (RFC 4271 9.1.2.2 a)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = self.verdict.says();
        f.write_str(&self.verdict.cited(match &self.values {
            Some((own, better)) => format!("{says}: {own}, the better one {better}"),
            None => says.to_owned(),
        }))
    }
}

/// The verdict of each path with the values that its rung compared.
#[must_use]
pub fn explain(
    paths: &[Candidate],
    multipath: Multipath,
    same_as_path: impl Fn(usize, usize) -> bool,
) -> Vec<Comparison> {
    let mut verdicts = vec![Reason::Pending; paths.len()];
    let best = Ladder::default().decide(paths, multipath, same_as_path, &mut verdicts);
    let compared = |at: usize| {
        let verdict = verdicts[at];
        let better = match verdict {
            Reason::HigherMed => med_winner(paths, &verdicts, at),
            _ => best,
        };
        let values = better.and_then(|better| values(verdict, &paths[at], &paths[better]));
        Comparison { verdict, values }
    };
    (0..paths.len()).map(compared).collect()
}

/// The path of the same neighbouring AS, in at the MED rung, with the lowest MED.
fn med_winner(paths: &[Candidate], verdicts: &[Reason], loser: usize) -> Option<usize> {
    let rivals = (0..paths.len()).filter(|&at| {
        paths[at].neighbor == paths[loser].neighbor && !is_above_med(verdicts[at]) && at != loser
    });
    rivals.min_by_key(|&at| paths[at].med)
}

fn values(verdict: Reason, own: &Candidate, better: &Candidate) -> Option<(Value, Value)> {
    let value = |path: &Candidate| {
        Some(match verdict {
            Reason::LowerLocalPreference => Value::LocalPreference(path.local_preference),
            Reason::LongerAsPath => Value::Hops(path.hops),
            Reason::HigherOrigin => Value::Origin(path.origin),
            Reason::HigherMed => Value::Med(path.med),
            Reason::HigherIgpMetric => Value::Metric(path.metric?),
            Reason::HigherRouterId => Value::RouterId(path.router_id),
            Reason::LongerClusterList => Value::ClusterLen(path.cluster_len),
            Reason::HigherPeerAddress => Value::Address(path.address?),
            Reason::HigherPathId => Value::PathId(path.path_id?),
            _ => return None,
        })
    };
    Some((value(own)?, value(better)?))
}
