//! Answers to questions about peers and routes, out of the stored state.

use std::net::IpAddr;

use crate::config::PeerConfig;
use crate::id::PeerId;
use crate::prefix::{PerFamily, Prefix};
use crate::reason::Reason;
use crate::rib::decision::Comparison;
use crate::rib::{EntryView, Path};
use crate::speaker::Speaker;
use crate::view::{
    Changed, KernelCounts, KernelView, PathSource, PathView, PeerView, RouteCursor, RouteFilter, RoutePage,
    RouteView,
};
use crate::wire::attribute::PathAttributes;
use crate::wire::community::Community;

/// Entries that one call of [`Speaker::routes`] looks at, however few match: the
/// page is shorter then, and names where to go on.
const ENTRIES_PER_PAGE: usize = 65_536;

impl Speaker {
    /// The peer at an address.
    #[must_use]
    pub fn peer_at(&self, address: IpAddr) -> Option<PeerId> {
        self.by_address.get(&address).copied()
    }

    /// All peers, ordered by address.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerView> {
        let peers = self.by_address.values().filter_map(|id| self.peers.get(id));
        peers.map(|peer| peer.view(&self.rib, &self.adj_out)).collect()
    }

    /// One peer.
    #[must_use]
    pub fn peer(&self, peer: PeerId) -> Option<PeerView> {
        self.peers.get(&peer).map(|peer| peer.view(&self.rib, &self.adj_out))
    }

    /// What a peer was asked to be.
    #[must_use]
    pub fn peer_config(&self, peer: PeerId) -> Option<&PeerConfig> {
        self.peers.get(&peer).map(|peer| &peer.config)
    }

    /// The longest prefix with a selected path that covers an address.
    #[must_use]
    pub fn covering(&self, address: IpAddr) -> Option<Prefix> {
        let entry = self.rib.entry(self.rib.longest_match(address)?)?;
        Some(entry.prefix)
    }

    /// How many prefixes the kernel holds, by its state.
    #[must_use]
    pub const fn kernel_counts(&self) -> PerFamily<KernelCounts> {
        self.rib.kernel_counts()
    }

    /// Whether a peer is configured at the address.
    #[must_use]
    pub fn has_peer(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    /// A page of at most `limit` routes from `cursor` on. A page may be shorter,
    /// even empty, without being the last.
    #[must_use]
    pub fn routes(&self, filter: RouteFilter, cursor: Option<RouteCursor>, limit: usize) -> RoutePage {
        let mut page = RoutePage { routes: Vec::new(), next: cursor };
        for _ in 0..ENTRIES_PER_PAGE {
            if page.routes.len() >= limit {
                return page;
            }
            let Some((id, next)) = self.rib.next_entry(page.next) else {
                page.next = None;
                return page;
            };
            page.next = Some(next);
            if let Some(entry) = self.rib.entry(id).filter(|entry| self.matches(filter, entry)) {
                let mut route = self.view(&entry);
                if filter == RouteFilter::Rejected {
                    route.paths.retain(|path| !path.accepted);
                }
                page.routes.push(route);
            }
        }
        page
    }

    /// One prefix exactly.
    #[must_use]
    pub fn route(&self, prefix: Prefix) -> Option<RouteView> {
        let entry = self.rib.entry(self.rib.find(prefix)?)?;
        (!entry.paths.is_empty()).then(|| self.view(&entry))
    }

    fn matches(&self, filter: RouteFilter, entry: &EntryView<'_>) -> bool {
        let of = |peer: PeerId, path: &Path| {
            self.rib.sources().get(path.source()).is_some_and(|source| source.peer == Some(peer))
        };
        match filter {
            RouteFilter::All => !entry.paths.is_empty(),
            RouteFilter::Received(peer) => entry.paths.iter().any(|path| of(peer, path)),
            RouteFilter::Rejected => entry.paths.iter().any(|path| !path.is_accepted()),
            RouteFilter::Sent(peer) => !self.adj_out.sent(&self.rib, peer, entry.id).is_empty(),
            RouteFilter::Installed => entry.kernel == KernelView::Installed,
        }
    }

    /// A prefix as it is shown.
    pub(super) fn view(&self, entry: &EntryView<'_>) -> RouteView {
        let ranked = self.rib.ranked(entry.id);
        RouteView {
            prefix: entry.prefix,
            paths: ranked
                .iter()
                .filter_map(|(path, compared)| self.path_view(entry, *path, compared))
                .collect(),
            kernel: entry.kernel,
            next_hops: self.rib.next_hops(entry.id),
        }
    }

    fn path_view(&self, entry: &EntryView<'_>, path: Path, compared: &Comparison) -> Option<PathView> {
        let store = self.rib.attributes();
        let received = store.get(store.received(path.attrs())).into_owned();
        let source = self.rib.sources().get(path.source())?;
        let peer = source.peer.and_then(|id| self.peers.get(&id));
        let path_source = match (source.peer, peer) {
            (Some(id), Some(peer)) => {
                PathSource::Peer { id, name: peer.config.name.clone(), address: peer.config.address }
            }
            // Its session ended, and the path is about to go.
            (Some(_), None) => return None,
            (None, _) => PathSource::Local,
        };
        // Until a decision that is due has run, the stored verdict is the one in force.
        let verdict = if entry.is_due && path.is_accepted() { path.verdict() } else { compared.verdict };
        let import = peer.map(|peer| peer.import(&self.config, source));
        let detail = match (path.refusal(), &import) {
            (Some(reason), Some(import)) => import.detail(reason, entry.prefix, &received),
            _ if verdict == Reason::NextHopUnreachable => {
                verdict.cited(format!("next hop {} unreachable", received.next_hop.address()))
            }
            _ if verdict == compared.verdict => compared.to_string(),
            _ => verdict.cited(verdict.says()),
        };
        let long_lived =
            |attributes: &PathAttributes| attributes.communities.contains(&Community::LLGR_STALE);
        let is_kept = long_lived(&store.get(path.attrs()));
        let changed = (store.received(path.attrs()) != path.attrs()).then(|| Changed {
            attributes: store.get(path.attrs()).into_owned(),
            detail: match import.and_then(|import| import.change_detail(entry.prefix, &received)) {
                None if is_kept && !long_lived(&received) => "LLGR_STALE attached (RFC 9494 4.2)".to_owned(),
                detail => detail.unwrap_or_default(),
            },
        });
        let accepted = path.is_accepted();
        let stale = match self.rib.is_stale(entry.prefix.family(), path) {
            _ if is_kept => Some(Reason::LongLivedStale),
            stale => stale.then_some(Reason::Stale),
        };
        Some(PathView {
            source: path_source,
            path_id: self.rib.path_id(entry.id, path),
            attributes: received,
            changed,
            verdict,
            accepted,
            stale,
            detail,
        })
    }
}
