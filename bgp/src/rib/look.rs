//! Questions to the base about one path or one entry, and what it is to expect.

use crate::id::PathId;
use crate::io::NextHop;
use crate::policy::Outgoing;
use crate::prefix::{Family, Prefix};
use crate::rib::decision::Comparison;
use crate::rib::next_hop::HopId;
use crate::rib::state::State;
use crate::rib::table::Key;
use crate::rib::{EntryId, Path, Rib, Source, SourceId, query};
use crate::wire::attribute::PathAttributes;

impl Rib {
    /// A next hop that paths are likely to name: its resolution is asked for at once.
    pub fn expect_next_hop(&mut self, next_hop: NextHop) {
        let State { attributes, tracker, .. } = &mut self.state;
        let address = attributes.retain_address(next_hop.address);
        tracker.expect(HopId::of(address, next_hop.via_default), next_hop);
    }

    /// Gives a [`Rib::expect_next_hop`] up.
    pub fn forget_next_hop(&mut self, next_hop: NextHop) {
        let State { attributes, tracker, .. } = &mut self.state;
        if let Some(address) = attributes.address_id(next_hop.address) {
            tracker.forget(HopId::of(address, next_hop.via_default));
            attributes.release_address(address);
        }
    }

    /// Several peers are sending, or not any more: while they are, a decision that a
    /// path that comes asks for waits for those of the others.
    pub const fn expect_more(&mut self, several: bool) {
        self.state.due.expect_more(several);
    }

    /// Whether decisions wait for more paths.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.state.due.is_waiting()
    }

    /// The prefix of an entry; `None` if it was freed.
    #[must_use]
    pub fn prefix(&self, id: EntryId) -> Option<Prefix> {
        match id.family() {
            Family::Ipv4 => self.ipv4.used(id.slot()).map(|entry| entry.key().prefix()),
            Family::Ipv6 => self.ipv6.used(id.slot()).map(|entry| entry.key().prefix()),
        }
    }

    /// What the path's peer calls it; `None` where it sends one path a prefix.
    #[must_use]
    pub fn path_id(&self, entry: EntryId, path: Path) -> Option<PathId> {
        self.state.path_id(entry, path)
    }

    /// The paths of an entry that may be sent where several are, the best first.
    #[must_use]
    pub fn sendable(&self, id: EntryId) -> Vec<Path> {
        self.entry(id).map_or_else(Vec::new, |entry| query::sendable(id, entry.paths, &self.state))
    }

    /// A path as export looks at it, with the attributes of its set; `None` if its source is gone.
    #[must_use]
    pub fn outgoing<'a>(
        &self,
        prefix: Prefix,
        attributes: &'a PathAttributes,
        source: SourceId,
    ) -> Option<Outgoing<'a>> {
        let Source { kind, origin, client, router_id, .. } = *self.state.sources.get(source)?;
        Some(Outgoing { prefix, kind, origin, client, router_id, attributes })
    }

    /// The paths of an entry as the ladder ranks them, refused ones last, each
    /// with what its rung compared. Empty if the entry was freed.
    #[must_use]
    pub fn ranked(&self, id: EntryId) -> Vec<(Path, Comparison)> {
        self.entry(id).map_or_else(Vec::new, |entry| query::ranked(id, entry.paths, &self.state))
    }

    /// The next hops of the selected paths of an entry, ordered.
    #[must_use]
    pub fn next_hops(&self, id: EntryId) -> Vec<NextHop> {
        self.entry(id).map_or_else(Vec::new, |entry| query::next_hops(entry.paths, &self.state))
    }

    /// The next hop of a path and the metric of what resolves it; `None` for a local path.
    #[must_use]
    pub fn resolution(&self, path: Path) -> Option<(NextHop, Option<u32>)> {
        let metric = self.state.hop(path).and_then(|hop| self.state.tracker.metric(hop));
        self.state.next_hop(path).map(|next_hop| (next_hop, metric))
    }
}
