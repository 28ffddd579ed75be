//! Questions about one entry, answered from what is stored; nothing here
//! changes anything.

use crate::io::NextHop;
use crate::prefix::Prefix;
use crate::reason::Reason;
use crate::rib::decision::{self, Candidate, Comparison};
use crate::rib::loc::{self, Advertise};
use crate::rib::state::State;
use crate::rib::table::{EntryId, Flags, Key, Path, Table};
use crate::view::KernelView;

/// One prefix with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct EntryView<'a> {
    /// The entry.
    pub id: EntryId,
    /// The prefix.
    pub prefix: Prefix,
    /// The paths: the best first where one is selected, the others in no order.
    pub paths: &'a [Path],
    /// What may be advertised.
    pub advertise: Advertise,
    /// What the kernel holds.
    pub kernel: KernelView,
    /// Whether the decision is due: verdicts are those of the one before.
    pub is_due: bool,
}

pub(super) fn view<'a, K: Key>(table: &'a Table<K>, state: &State, slot: u32) -> Option<EntryView<'a>> {
    let entry = table.used(slot)?;
    let paths = table.paths_of(entry);
    Some(EntryView {
        id: EntryId::new(K::FAMILY, slot),
        prefix: entry.key().prefix(),
        paths,
        advertise: loc::advertise(entry, paths, state),
        kernel: loc::kernel(entry, state, slot),
        is_due: entry.has(Flags::DIRTY),
    })
}

/// The next hops of the selected paths, ordered.
pub(super) fn next_hops(paths: &[Path], state: &State) -> Vec<NextHop> {
    let selected = paths.iter().filter(|path| path.is_selected());
    let mut next_hops: Vec<NextHop> = selected.filter_map(|&path| state.next_hop(path)).collect();
    next_hops.sort_unstable();
    next_hops.dedup();
    next_hops
}

/// The paths that may be sent where several of a prefix are, the best first, as
/// the last decision ranked them: stale ones only where there is no fresh one.
pub(super) fn sendable(entry: EntryId, paths: &[Path], state: &State) -> Vec<Path> {
    let out = [Reason::Pending, Reason::NextHopUnreachable, Reason::Stale, Reason::LongLivedStale];
    let usable = paths.iter().filter(|path| path.is_accepted() && !out.contains(&path.verdict()));
    let mut ranked: Vec<(Candidate, Path)> =
        usable.filter_map(|&path| Some((state.candidate(entry, path)?, path))).collect();
    ranked.sort_by(|(a, a_path), (b, b_path)| decision::by_rank(a_path.verdict(), a, b_path.verdict(), b));
    ranked.into_iter().map(|(_, path)| path).collect()
}

/// The paths as the ladder ranks them, refused ones last, each with what its
/// rung compared. Computed from what is stored at this moment by the function
/// that decides.
pub(super) fn ranked(entry: EntryId, paths: &[Path], state: &State) -> Vec<(Path, Comparison)> {
    let mut candidates = Vec::new();
    let mut accepted = Vec::new();
    for &path in paths.iter().filter(|path| path.is_accepted()) {
        if let Some(candidate) = state.candidate(entry, path) {
            candidates.push(candidate);
            accepted.push(path);
        }
    }
    let set = |at: usize| state.attributes.get(accepted[at].attrs());
    let same_as_path = |a: usize, b: usize| set(a).as_path == set(b).as_path;
    let compared = decision::explain(&candidates, state.multipath(), same_as_path);
    let mut order: Vec<usize> = (0..accepted.len()).collect();
    order.sort_by(|&a, &b| {
        decision::by_rank(compared[a].verdict, &candidates[a], compared[b].verdict, &candidates[b])
    });
    let mut ranked: Vec<_> = order.into_iter().map(|at| (accepted[at], compared[at])).collect();
    let mut refused: Vec<Path> = paths.iter().copied().filter(|path| !path.is_accepted()).collect();
    let address = |path: &Path| state.sources.get(path.source()).map(|source| source.address);
    refused.sort_by_key(|path| (address(path), state.path_id(entry, *path), path.source()));
    let verdict =
        |path: Path| Comparison { verdict: path.refusal().unwrap_or(Reason::Pending), values: None };
    ranked.extend(refused.into_iter().map(|path| (path, verdict(path))));
    ranked
}
