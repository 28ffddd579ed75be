//! The door for what comes and for what came of it: paths of peers in, changed entries
//! out. The prefixes of an UPDATE are looked up together.

use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::rib::state::State;
use crate::rib::table::{Flags, Key, Table};
use crate::rib::{Announced, AttrId, EntryId, PathKey, Rib, Spot, Spots, adj_in};

/// Entries that fit into the processor's nearest memory.
const FEW: usize = 256;

impl Rib {
    /// Looks prefixes up for [`Rib::announce_at`] and [`Rib::withdraw_at`]. The reads do
    /// not wait for each other, as those of one announcement do: called for the prefixes
    /// of an UPDATE first, it hides most of the memory's latency in a large table.
    pub fn look_up(&self, prefixes: impl Iterator<Item = Prefix> + Clone, spots: &mut Spots) {
        spots.clear();
        spots.extend(prefixes.clone().map(|prefix| {
            let spot = self.spot(prefix);
            core::hint::black_box(match prefix {
                Prefix::V4(_) => self.ipv4.touch(spot.hash()),
                Prefix::V6(_) => self.ipv6.touch(spot.hash()),
            });
            spot
        }));
        for (prefix, spot) in prefixes.zip(spots) {
            let slot = match prefix {
                Prefix::V4(key) => self.ipv4.find_hashed(key, spot.hash()),
                Prefix::V6(key) => self.ipv6.find_hashed(key, spot.hash()),
            };
            *spot = Spot::new(spot.hash(), slot);
        }
    }

    /// The spot of a prefix that is not looked up yet.
    fn spot(&self, prefix: Prefix) -> Spot {
        let hash = match prefix {
            Prefix::V4(key) => self.ipv4.hash(key),
            Prefix::V6(key) => self.ipv6.hash(key),
        };
        Spot::new(hash, None)
    }

    /// Takes in a path of a source, in the place of the one before of the same Path
    /// Identifier. `refusal` is the verdict of the import rules; `limit` is the most
    /// paths of the family that the source may have in the table, beyond which a
    /// new one is counted and not stored.
    pub fn announce(
        &mut self,
        key: impl Into<PathKey>,
        prefix: Prefix,
        attrs: AttrId,
        refusal: Option<Reason>,
        limit: u32,
    ) -> Announced {
        self.announce_at(self.spot(prefix), key, prefix, attrs, refusal, limit)
    }

    /// [`Rib::announce`] of a prefix that was looked up, since which others may have come and gone.
    pub fn announce_at(
        &mut self,
        spot: Spot,
        key: impl Into<PathKey>,
        prefix: Prefix,
        attrs: AttrId,
        refusal: Option<Reason>,
        limit: u32,
    ) -> Announced {
        let (state, from) = (&mut self.state, key.into());
        match prefix {
            Prefix::V4(key) => {
                adj_in::announce(&mut self.ipv4, state, from, (key, spot), attrs, refusal, limit)
            }
            Prefix::V6(key) => {
                adj_in::announce(&mut self.ipv6, state, from, (key, spot), attrs, refusal, limit)
            }
        }
    }

    /// Takes the path of a source out; false if the table held none (RFC 7911 §5:
    /// a Path Identifier that was not seen before is ignored).
    pub fn withdraw(&mut self, key: impl Into<PathKey>, prefix: Prefix) -> bool {
        self.withdraw_at(self.spot(prefix), key, prefix)
    }

    /// [`Rib::withdraw`] of a prefix that was looked up, since which others may have come and gone.
    pub fn withdraw_at(&mut self, spot: Spot, key: impl Into<PathKey>, prefix: Prefix) -> bool {
        let (state, from) = (&mut self.state, key.into());
        match prefix {
            Prefix::V4(key) => adj_in::withdraw(&mut self.ipv4, state, from, (key, spot)),
            Prefix::V6(key) => adj_in::withdraw(&mut self.ipv6, state, from, (key, spot)),
        }
    }

    /// Appends the entries whose advertisement may have changed since they were
    /// last handed out, each once.
    pub fn changed(&mut self, ids: &mut Vec<EntryId>) {
        let start = ids.len();
        ids.append(&mut self.state.changed);
        self.hand_out(&ids[start..]);
    }

    /// Has `see` look at each of those entries, once: a few at a time, while they are near.
    pub(crate) fn each_changed(&mut self, mut see: impl FnMut(&mut Self, EntryId)) {
        let mut changed = core::mem::take(&mut self.state.changed);
        for few in changed.chunks(FEW) {
            self.hand_out(few);
            for &id in few {
                see(self, id);
            }
        }
        changed.clear();
        changed.append(&mut self.state.changed);
        self.state.changed = changed;
    }

    /// The entries are about to be looked at: what comes after is another change.
    fn hand_out(&mut self, ids: &[EntryId]) {
        for &id in ids {
            match id.family() {
                Family::Ipv4 => hand_out(&mut self.ipv4, &mut self.state, id),
                Family::Ipv6 => hand_out(&mut self.ipv6, &mut self.state, id),
            }
        }
    }
}

fn hand_out<K: Key>(table: &mut Table<K>, state: &mut State, id: EntryId) {
    let entry = table.entry_mut(id.slot());
    entry.clear_flag(Flags::CHANGED);
    if entry.is_vacant() {
        state.retiring.push(id);
    }
}
