//! An update group: peers that are sent the same (RFC 4271 §9.2), with one slot
//! a prefix for all of them.
//!
//! A group that is sent several paths of a prefix (RFC 7911) names each by the
//! handle of its source: that stays the same for as long as the path is in the
//! table, whatever comes and goes beside it.
//!
//! A member that joins, or that reads more slowly than the others, has a group
//! of its own until it has caught up; two groups of one key that have nothing
//! left to send hold equal slots, and become one.

use smallvec::SmallVec;

use crate::id::{PathId, PeerId};
use crate::policy::Export;
use crate::prefix::{Family, Prefix};
use crate::rib::adj_out::batch::{Changes, Messages};
use crate::rib::adj_out::slot::{Judged, Sent, Sents, Slots};
use crate::rib::{Advertise, EntryId, EntryView, Rib, SourceId};
use crate::view::{KernelView, RouteCursor};
use crate::wire::codec::Codec;
use crate::wire::nlri::Route;

/// What members of one group share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The family.
    pub(super) family: Family,
    /// What is sent, and how it is changed on the way.
    pub(super) export: Export,
    /// How it is written.
    pub(super) codec: Codec,
    /// The most paths, and the peer that is counted: such a group has one member.
    pub(super) limit: Option<(u32, PeerId)>,
    /// The most paths of a prefix, each with a Path Identifier (RFC 7911); `None`
    /// for the best one alone, and without.
    pub(super) several: Option<u8>,
}

/// A peer in the group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// The peer.
    pub(super) peer: PeerId,
    /// Its own paths, which it is not sent.
    pub(super) source: SourceId,
    /// Whether its End-of-RIB is still to be sent (RFC 4724 §2).
    pub(super) greeting: bool,
    /// Whether begin and end of all that is sent again are marked (RFC 7313).
    pub(super) marks: bool,
    /// How far the peer is with what is sent again.
    pub(super) again: Again,
}

/// How far all of a family, sent once more, has come to a member with marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing is sent again.
    #[default]
    No,
    /// It is wanted, and has to wait for End-of-RIB (RFC 7313 §4.1).
    Wanted,
    /// BoRR is to be sent.
    Begin,
    /// EoRR is to follow the last UPDATE.
    End,
}

/// A place in a walk over the table; `None` is its start.
type Walk = Option<RouteCursor>;

/// One update group of one family.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) key: Key,
    pub(super) members: Vec<Member>,
    pub(super) slots: Slots,
    queue: Vec<EntryId>,
    /// Where the walk over the whole table stands: for a member that joined, or for new export rules.
    walk: Option<Walk>,
    /// Whether the walk sends what the slot holds already, for attributes that changed on the way out.
    resend: bool,
    pub(super) changes: Changes,
}

impl Group {
    /// A group that has sent nothing.
    pub(super) fn new(key: Key, member: Member) -> Self {
        Self {
            key,
            members: vec![member],
            slots: Slots::default(),
            queue: Vec::new(),
            walk: Some(None),
            resend: false,
            changes: Changes::default(),
        }
    }

    /// Where the peer stands among the members.
    pub(super) fn position(&self, peer: PeerId) -> Option<usize> {
        self.members.iter().position(|member| member.peer == peer)
    }

    /// A group of one that goes on from what this one has sent.
    pub(super) fn split(&self, rib: &mut Rib, index: usize) -> Self {
        for sent in self.slots.all() {
            rib.retain(sent.attributes, sent.source);
        }
        Self {
            key: self.key.clone(),
            members: vec![self.members[index].clone()],
            slots: self.slots.clone(),
            queue: self.queue.clone(),
            walk: self.walk,
            resend: self.resend,
            changes: self.changes.clone(),
        }
    }

    /// Walks the whole table once more under another key.
    pub(super) fn rekey(&mut self, key: Key) {
        self.key = key;
        self.walk = Some(None);
        self.resend = true;
    }

    /// Walks the whole table once more, for paths that may be sent or not for
    /// another reason than before; one that is sent stays as it was.
    pub(super) fn look_again(&mut self) {
        self.walk = Some(None);
    }

    /// Gives the slots' uses of attribute sets back.
    pub(super) fn release(self, rib: &mut Rib) {
        for sent in self.slots.all() {
            rib.release(sent.attributes, sent.source);
        }
    }

    /// Whether nothing was sent yet, so that another member can join from the start.
    pub(super) fn is_fresh(&self) -> bool {
        self.walk == Some(None) && self.slots.filled() == 0 && self.changes.is_empty()
    }

    /// Whether there is nothing left to send or to wait for.
    pub(super) fn is_settled(&self) -> bool {
        let done = |member: &Member| !member.greeting && member.again == Again::No;
        self.is_idle() && self.slots.held() == 0 && self.members.iter().all(done)
    }

    /// Whether there is nothing to send at this moment.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.walk.is_none() && self.changes.is_empty()
    }

    /// Whether members wait for an End-of-RIB that is due.
    pub(super) fn is_greeting_due(&self) -> bool {
        self.is_idle() && self.slots.held() == 0 && self.members.iter().any(|member| member.greeting)
    }

    /// How many paths the member is sent.
    pub(super) fn count(&self, source: SourceId) -> usize {
        self.slots.filled() - self.slots.filled_by(source)
    }

    /// What was last sent of the entry to the member whose paths come from `source`.
    pub(super) fn sent(&self, rib: &Rib, entry: EntryId, source: SourceId) -> Sents {
        let mut sents = self.slots.sent(entry);
        sents.retain(|sent| rib.sources().owner(sent.source) != source);
        sents
    }

    /// What a path of that handle is called on the wire.
    pub(super) fn path_id(&self, source: SourceId) -> Option<PathId> {
        self.key.several.map(|_| name(source))
    }

    /// Takes note of an entry whose advertisement may have changed. A prefix
    /// that goes is noted with its name at once: its entry may be given to another.
    pub(super) fn touch(&mut self, rib: &mut Rib, id: EntryId) {
        let Some(entry) = rib.entry(id) else { return };
        let (prefix, advertise) = (entry.prefix, advertised(rib, &entry, &self.key.export));
        self.slots.hold(id, awaits_kernel(&entry, advertise));
        match advertise {
            Advertise::Nothing if self.is_single() => self.drop_sent(rib, id, prefix),
            Advertise::Nothing => {
                self.slots.limit(id, false);
                self.put(rib, id, prefix, &[], false);
            }
            Advertise::Hold => {}
            Advertise::Path { .. } => {
                if self.slots.queue(id) {
                    self.queue.push(id);
                }
            }
        }
    }

    /// Gathers and encodes at most `budget` entries' changes.
    pub(super) fn flush(&mut self, rib: &mut Rib, budget: usize) -> Messages {
        let due = self.queue.len().min(budget);
        let queued: Vec<EntryId> = self.queue.drain(..due).collect();
        let mut last = Judged::None;
        for id in queued {
            self.slots.unqueue(id);
            if self.is_single() {
                self.compare(rib, id, &mut last);
            } else {
                self.visit(rib, id, false);
            }
        }
        for _ in due..budget {
            let Some(walk) = self.walk else { break };
            match rib.next_in(self.key.family, walk) {
                Some((id, next)) => {
                    self.walk = Some(Some(next));
                    self.visit(rib, id, self.resend);
                }
                None => {
                    self.walk = None;
                    self.resend = false;
                }
            }
        }
        if self.walk.is_none() && self.has_room() {
            self.walk = Some(None);
        }
        let several = self.key.several.is_some();
        let named = |source| several.then(|| name(source));
        self.changes.encode(rib, self.key.family, &self.key.export, &self.key.codec, named)
    }

    /// Compares what the entry's paths ask for with what was sent.
    fn visit(&mut self, rib: &mut Rib, id: EntryId, resend: bool) {
        let Some(entry) = rib.entry(id) else { return };
        let (prefix, advertise) = (entry.prefix, advertised(rib, &entry, &self.key.export));
        self.slots.hold(id, awaits_kernel(&entry, advertise));
        let sent = self.slots.sent(id);
        let mut wanted: Wanted = match advertise {
            Advertise::Nothing => Wanted::new(),
            Advertise::Hold => sent.iter().filter_map(|&sent| self.judged(rib, prefix, sent)).collect(),
            Advertise::Path { attrs: attributes, source } => match self.key.several {
                None => self.judged(rib, prefix, Sent { attributes, source }).into_iter().collect(),
                Some(most) => self.best(rib, id, prefix, most),
            },
        };
        let limited = self.limit(rib, &sent, &mut wanted);
        self.slots.limit(id, limited);
        wanted.sort_unstable_by_key(|(wanted, _)| wanted.source);
        if resend || !wanted.iter().map(|(wanted, _)| *wanted).eq(sent.iter().copied()) {
            self.put(rib, id, prefix, &wanted, resend);
        }
    }

    /// The path with the place of the export rule that it meets, if it may be sent.
    pub(super) fn judged(&self, rib: &Rib, prefix: Prefix, sent: Sent) -> Option<(Sent, Option<usize>)> {
        let attributes = rib.attributes().get(sent.attributes);
        let path = rib.outgoing(prefix, &attributes, sent.source)?;
        Some((sent, self.key.export.judge(&path).ok()?))
    }

    /// The best paths that may be sent. One whose next hop would be this node is
    /// among them only if it is used here: packets would take another way than the
    /// path that was announced, and might come back.
    fn best(&self, rib: &Rib, id: EntryId, prefix: Prefix, most: u8) -> Wanted {
        let paths = rib.sendable(id).into_iter().filter(|path| {
            let keeps = || {
                let attributes = rib.attributes().get(path.attrs());
                let outgoing = rib.outgoing(prefix, &attributes, path.source());
                outgoing.is_some_and(|outgoing| self.key.export.keeps_next_hop(&outgoing))
            };
            path.is_selected() || keeps()
        });
        let sent = paths.map(|path| Sent { attributes: path.attrs(), source: path.source() });
        sent.filter_map(|sent| self.judged(rib, prefix, sent)).take(most.into()).collect()
    }

    /// Takes out the paths for which the limit leaves no room beside what is sent of
    /// other prefixes; says whether there were any.
    fn limit(&self, rib: &Rib, before: &[Sent], wanted: &mut Wanted) -> bool {
        let (Some((most, _)), Some(member)) = (self.key.limit, self.members.first()) else { return false };
        let counts = |sent: &Sent| rib.sources().owner(sent.source) != member.source;
        let others = self.count(member.source) - before.iter().filter(|sent| counts(sent)).count();
        let mut room = (most as usize).saturating_sub(others);
        let all = wanted.len();
        wanted.retain(|(sent, _)| {
            let fits = !counts(sent) || room > 0;
            room -= usize::from(fits && counts(sent));
            fits
        });
        wanted.len() < all
    }

    /// Whether prefixes that the limit kept back fit in.
    fn has_room(&self) -> bool {
        let (Some((most, _)), Some(member)) = (self.key.limit, self.members.first()) else { return false };
        self.slots.limited() > 0 && self.count(member.source) < most as usize
    }

    /// How many prefixes the limit keeps back.
    pub(super) fn limited(&self) -> usize {
        self.slots.limited()
    }

    /// Whether the limit keeps the entry's path back.
    pub(super) fn is_limited(&self, entry: EntryId) -> bool {
        self.slots.is_limited(entry)
    }

    /// Changes the slot, and notes what the members are to be told. With what is
    /// wanted, ordered by handle, comes the place of the export rule that it meets.
    fn put(
        &mut self,
        rib: &mut Rib,
        id: EntryId,
        prefix: Prefix,
        wanted: &[(Sent, Option<usize>)],
        resend: bool,
    ) {
        let sents: Sents = wanted.iter().map(|(sent, _)| *sent).collect();
        for sent in &sents {
            rib.retain(sent.attributes, sent.source);
        }
        let before = self.slots.sent(id);
        self.slots.replace(id, &before, &sents, rib.sources());
        let owner = |sent: &Sent| rib.sources().owner(sent.source);
        let several = self.key.several.is_some();
        let route = |sent: &Sent| Route { id: several.then(|| name(sent.source)), prefix };
        for (sent, rule) in wanted {
            if !resend && before.contains(sent) {
                continue;
            }
            self.changes.announce(id, *sent, *rule);
        }
        for sent in &before {
            // RFC 7911 §5: a path is replaced by the next one of its identifier.
            let next = match several {
                false => sents.first(),
                true => sents.iter().find(|next| next.source == sent.source),
            };
            match next {
                None => self.changes.withdraw(route(sent), owner(sent)),
                Some(next) if owner(next) != owner(sent) => self.changes.take_back(route(sent), owner(next)),
                Some(_) => {}
            }
        }
        for sent in &before {
            rib.release(sent.attributes, sent.source);
        }
    }
}

/// What may be advertised of the entry to peers of these export rules: where their
/// packets pass this node by, its own kernel is not waited for.
pub(super) fn advertised(rib: &Rib, entry: &EntryView<'_>, export: &Export) -> Advertise {
    let awaits = !entry.is_due && !matches!(entry.advertise, Advertise::Path { .. });
    let selected = entry.paths.first().filter(|path| awaits && path.is_best());
    if let Some(best) = selected
        && let attributes = rib.attributes().get(best.attrs())
        && let Some(path) = rib.outgoing(entry.prefix, &attributes, best.source())
        && export.reflects(&path)
    {
        return Advertise::Path { attrs: best.attrs(), source: best.source() };
    }
    entry.advertise
}

/// The Path Identifier of a handle's path: not zero, which some speakers take for none.
const fn name(source: SourceId) -> PathId {
    PathId(source.index() as u32 + 1)
}

/// What is to be sent of a prefix, each path with the place of the export rule.
type Wanted = SmallVec<[(Sent, Option<usize>); 2]>;

/// Whether what may be advertised of the entry is about to be known. A route that
/// the kernel is asked to drop leaves nothing to know, and its end is not told of.
pub(super) fn awaits_kernel(entry: &EntryView<'_>, advertise: Advertise) -> bool {
    let is_selected = entry.paths.first().is_some_and(|path| path.is_best());
    match advertise {
        Advertise::Hold => true,
        Advertise::Nothing => is_selected && entry.kernel == KernelView::Pending,
        Advertise::Path { .. } => false,
    }
}
