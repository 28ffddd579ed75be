//! What most groups are: sent one path of a prefix, and without a limit. Entry by entry
//! it does what `group` does for all kinds, with less to look at.

use crate::prefix::Prefix;
use crate::rib::adj_out::group::{Group, advertised, awaits_kernel};
use crate::rib::adj_out::slot::{Judged, Sent};
use crate::rib::{Advertise, EntryId, Rib, SourceId};
use crate::wire::nlri::Route;

impl Group {
    /// Whether one path of a prefix is sent, and as many prefixes as there are.
    pub(super) const fn is_single(&self) -> bool {
        self.key.several.is_none() && self.key.limit.is_none()
    }

    /// Compares what the entry asks for with what was sent.
    pub(super) fn compare(&mut self, rib: &mut Rib, id: EntryId, last: &mut Judged) {
        let Some(entry) = rib.entry(id) else { return };
        let (prefix, advertise) = (entry.prefix, advertised(rib, &entry, &self.key.export));
        let awaits = awaits_kernel(&entry, advertise);
        let before = self.slots.hold(id, awaits);
        let wanted = match advertise {
            Advertise::Nothing => None,
            Advertise::Hold => before.and_then(|sent| self.meets(rib, prefix, sent, last)),
            Advertise::Path { attrs: attributes, source } => {
                self.meets(rib, prefix, Sent { attributes, source }, last)
            }
        };
        if wanted.map(|(sent, _)| sent) != before {
            self.change(rib, id, prefix, before, wanted);
        }
    }

    /// Withdraws what was sent of the entry.
    pub(super) fn drop_sent(&mut self, rib: &mut Rib, id: EntryId, prefix: Prefix) {
        if let before @ Some(_) = self.slots.first(id) {
            self.change(rib, id, prefix, before, None);
        }
    }

    /// The path with the place of the export rule that it meets, if it may be sent.
    /// Without rules the prefix has no part in the verdict.
    fn meets(
        &self,
        rib: &mut Rib,
        prefix: Prefix,
        sent: Sent,
        last: &mut Judged,
    ) -> Option<(Sent, Option<usize>)> {
        if let Some((judged, verdict)) = last
            && *judged == sent
        {
            return verdict.map(|rule| (sent, rule));
        }
        // It is asked for once more where the path is encoded.
        rib.attributes_mut().warm(sent.attributes);
        let judged = self.judged(rib, prefix, sent);
        if self.key.export.rules.is_empty() {
            *last = Some((sent, judged.map(|(_, rule)| rule)));
        }
        judged
    }

    /// Changes the slot, and notes what the members are to be told.
    fn change(
        &mut self,
        rib: &mut Rib,
        id: EntryId,
        prefix: Prefix,
        before: Option<Sent>,
        wanted: Option<(Sent, Option<usize>)>,
    ) {
        if let Some((sent, rule)) = wanted {
            rib.retain(sent.attributes, sent.source);
            self.changes.announce(id, sent, rule);
        }
        let after = wanted.map(|(sent, _)| sent);
        self.slots.put(id, before, after, rib.sources());
        let Some(gone) = before else { return };
        let owner = |sent: Sent| -> SourceId { rib.sources().owner(sent.source) };
        let route = Route { id: None, prefix };
        match after.map(owner) {
            None => self.changes.withdraw(route, owner(gone)),
            Some(next) if next != owner(gone) => self.changes.take_back(route, next),
            Some(_) => {}
        }
        rib.release(gone.attributes, gone.source);
    }
}
