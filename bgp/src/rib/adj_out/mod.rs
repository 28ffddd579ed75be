//! Adj-RIB-Out: what was sent to whom, and what is still to be sent. Owns the
//! update groups; never writes, but hands whole messages to its caller.
//!
//! ```text
//!  Rib::changed -> touch -> group.queue ─┐
//!  a member joins ------> group.walk  ───┴─> flush -> batch -> (peer, bytes)
//! ```

mod batch;
mod group;
mod single;
mod slot;

use bytes::Bytes;

use crate::id::{PathId, PeerId};
use crate::policy::Export;
use crate::prefix::Family;
use crate::rib::adj_out::group::{Again, Group, Key, Member};
use crate::rib::adj_out::slot::Sent;
use crate::rib::{Advertise, AttrId, EntryId, EntryView, Rib, SourceId};
use crate::wire::codec::Codec;
use crate::wire::pack;
use crate::wire::refresh::{Refresh, Subtype};

/// A peer as the one that is sent to.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// The peer.
    pub peer: PeerId,
    /// The source of its own paths.
    pub source: SourceId,
    /// How it is written to.
    pub codec: Codec,
    /// What it is sent.
    pub export: Export,
    /// The most paths of a family that it is sent.
    pub limit: Option<u32>,
    /// The most paths of a prefix, where several were negotiated (RFC 7911).
    pub several: u8,
    /// Whether begin and end of what is sent again are marked (RFC 7313).
    pub marks: bool,
}

impl Receiver {
    /// What the peer shares with others that are sent the same of a family.
    fn key(&self, family: Family) -> Key {
        Key {
            family,
            export: self.export.clone(),
            // How prefixes are read makes no difference here, and `several` says how they are written.
            codec: Codec { add_path: Codec::NO_PATH_IDS, extended_next_hop: false, zone: None, ..self.codec },
            limit: self.limit.map(|most| (most, self.peer)),
            several: self.codec.add_path[family].send.then_some(self.several),
        }
    }
}

/// A path as it was sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPath {
    /// Its Path Identifier; `None` where the peer is sent one path a prefix.
    pub id: Option<PathId>,
    /// The attribute set of the table, before export.
    pub attributes: AttrId,
    /// Where it came from.
    pub source: SourceId,
}

/// All update groups.
#[derive(Clone, Debug, Default)]
pub struct AdjOut {
    groups: Vec<Group>,
}

impl AdjOut {
    /// A session came up: the peer is sent all of the family, then End-of-RIB.
    pub fn join(&mut self, receiver: &Receiver, family: Family) {
        let Receiver { peer, source, marks, .. } = *receiver;
        let member = Member { peer, source, greeting: true, marks, again: Again::No };
        let key = receiver.key(family);
        match self.groups.iter_mut().find(|group| group.key == key && group.is_fresh()) {
            Some(group) => group.members.push(member),
            None => self.groups.push(Group::new(key, member)),
        }
    }

    /// A session ended: the peer is sent nothing more.
    pub fn leave(&mut self, rib: &mut Rib, peer: PeerId) {
        for group in &mut self.groups {
            group.members.retain(|member| member.peer != peer);
        }
        self.drop_empty(rib);
    }

    /// The peer's export rules or limits changed: what the new ones change is sent again.
    pub fn change_export(&mut self, rib: &mut Rib, receiver: &Receiver) {
        for family in Family::ALL {
            let (peer, key) = (receiver.peer, receiver.key(family));
            let outdated = |group: &Group| {
                group.key.family == family && group.key != key && group.position(peer).is_some()
            };
            if let Some(index) = self.groups.iter().position(outdated) {
                self.send_again(rib, index, peer, key);
            }
        }
    }

    /// Other peers than before are clients of this route reflector: what each
    /// peer may be sent is looked at again.
    pub fn look_again(&mut self) {
        self.groups.iter_mut().for_each(Group::look_again);
    }

    /// Whether a peer is sent several paths of a prefix.
    #[must_use]
    pub fn sends_several(&self) -> bool {
        self.groups.iter().any(|group| group.key.several.is_some())
    }

    /// Gives the peer a group of its own, which walks the whole table again.
    fn send_again(&mut self, rib: &mut Rib, index: usize, peer: PeerId, key: Key) {
        let Some(at) = self.groups[index].position(peer) else { return };
        let mut own = self.groups[index].split(rib, at);
        own.rekey(key);
        self.groups[index].members.remove(at);
        self.groups.push(own);
        self.drop_empty(rib);
    }

    /// The peer is sent all of the family again, as it asked for (RFC 2918) or as
    /// an operator did. Where it knows marks, they stand around it (RFC 7313 §4.1);
    /// a second call begins anew.
    pub fn refresh(&mut self, rib: &mut Rib, peer: PeerId, family: Family) {
        let of_peer = |group: &Group| group.key.family == family && group.position(peer).is_some();
        if let Some(index) = self.groups.iter().position(of_peer) {
            let own = self.groups[index].members.iter_mut().find(|member| member.peer == peer);
            if let Some(own) = own.filter(|member| member.marks) {
                own.again = if own.greeting { Again::Wanted } else { Again::Begin };
                if own.greeting {
                    return;
                }
            }
            let key = self.groups[index].key.clone();
            self.send_again(rib, index, peer, key);
        }
    }

    /// An entry whose advertisement may have changed.
    pub fn touch(&mut self, rib: &mut Rib, entry: EntryId) {
        for group in self.groups.iter_mut().filter(|group| group.key.family == entry.family()) {
            group.touch(rib, entry);
        }
    }

    /// Sends what is pending, at most `budget` entries a group, to members that
    /// `ready` names; returns whether more could be sent at once.
    ///
    /// A member that is not ready while others of its group are, leaves the
    /// group, so that it holds nobody up.
    pub fn flush(
        &mut self,
        rib: &mut Rib,
        budget: usize,
        ready: impl Fn(PeerId) -> bool,
        mut send: impl FnMut(PeerId, Bytes),
    ) -> bool {
        self.part_slow(rib, &ready);
        let mut more = false;
        let mut wanted = Vec::new();
        for group in &mut self.groups {
            // Nothing is asked of peers for which there is nothing.
            if group.is_settled() || !group.members.iter().all(|member| ready(member.peer)) {
                continue;
            }
            let family = group.key.family;
            for member in group.members.iter_mut().filter(|member| member.again == Again::Begin) {
                member.again = Again::End;
                send(member.peer, mark(family, Subtype::Begin));
            }
            if !group.is_idle() {
                let messages = group.flush(rib, budget);
                for member in &group.members {
                    let bytes = messages.of(member.source);
                    if !bytes.is_empty() {
                        send(member.peer, bytes);
                    }
                }
                more |= !group.is_idle();
            }
            if group.is_idle() {
                for member in group.members.iter_mut().filter(|member| member.again == Again::End) {
                    member.again = Again::No;
                    send(member.peer, mark(family, Subtype::End));
                }
            }
            // RFC 4724 §4.1: not before the selection that was put off after a restart.
            if group.is_greeting_due() && rib.is_selected(family) {
                let mut end = Vec::new();
                pack::end_of_rib(family, &mut end);
                let end = Bytes::from(end);
                for member in group.members.iter_mut().filter(|member| member.greeting) {
                    member.greeting = false;
                    send(member.peer, end.clone());
                    if member.again == Again::Wanted {
                        wanted.push((member.peer, family));
                    }
                }
            }
        }
        self.merge_settled(rib);
        more |= !wanted.is_empty();
        for (peer, family) in wanted {
            self.refresh(rib, peer, family);
        }
        more
    }

    /// What may be advertised of the entry to peers of these export rules.
    #[must_use]
    pub fn advertised(rib: &Rib, entry: &EntryView<'_>, export: &Export) -> Advertise {
        group::advertised(rib, entry, export)
    }

    /// How many paths of the family the peer is sent.
    #[must_use]
    pub fn count(&self, peer: PeerId, family: Family) -> usize {
        self.group_of(peer, family).map_or(0, |(group, member)| group.count(member.source))
    }

    /// How many prefixes of the family the peer's limit keeps back.
    #[must_use]
    pub fn limited(&self, peer: PeerId, family: Family) -> usize {
        self.group_of(peer, family).map_or(0, |(group, _)| group.limited())
    }

    /// Whether the peer's limit keeps the entry back.
    #[must_use]
    pub fn is_limited(&self, peer: PeerId, entry: EntryId) -> bool {
        self.group_of(peer, entry.family()).is_some_and(|(group, _)| group.is_limited(entry))
    }

    /// What was last sent of the entry to the peer.
    #[must_use]
    pub fn sent(&self, rib: &Rib, peer: PeerId, entry: EntryId) -> Vec<SentPath> {
        let Some((group, member)) = self.group_of(peer, entry.family()) else { return Vec::new() };
        let sents = group.sent(rib, entry, member.source).into_iter();
        let path = |sent: Sent| SentPath {
            id: group.path_id(sent.source),
            attributes: sent.attributes,
            source: sent.source,
        };
        sents.map(path).collect()
    }

    fn group_of(&self, peer: PeerId, family: Family) -> Option<(&Group, &Member)> {
        let mut groups = self.groups.iter().filter(|group| group.key.family == family);
        groups.find_map(|group| {
            group.members.iter().find(|member| member.peer == peer).map(|member| (group, member))
        })
    }

    /// Gives members that are not ready a group of their own, where others are.
    fn part_slow(&mut self, rib: &mut Rib, ready: &impl Fn(PeerId) -> bool) {
        let count = self.groups.len();
        for index in 0..count {
            let group = &self.groups[index];
            if group.is_idle() || !group.members.iter().any(|member| ready(member.peer)) {
                continue;
            }
            while let Some(at) = self.groups[index].members.iter().position(|member| !ready(member.peer)) {
                let own = self.groups[index].split(rib, at);
                self.groups[index].members.remove(at);
                self.groups.push(own);
            }
        }
    }

    /// Makes one group of groups that have one key and nothing left to send.
    fn merge_settled(&mut self, rib: &mut Rib) {
        let mut index = 0;
        while index < self.groups.len() {
            let group = &self.groups[index];
            let twin = |other: &Group| other.key == group.key && other.is_settled();
            let earlier = if group.is_settled() { self.groups[..index].iter().position(twin) } else { None };
            match earlier {
                Some(earlier) => {
                    let mut merged = self.groups.remove(index);
                    self.groups[earlier].members.append(&mut merged.members);
                    merged.release(rib);
                }
                None => index += 1,
            }
        }
    }

    fn drop_empty(&mut self, rib: &mut Rib) {
        for group in self.groups.extract_if(.., |group| group.members.is_empty()) {
            group.release(rib);
        }
    }
}

/// A mark before or after what is sent again (RFC 7313 §3.2).
fn mark(family: Family, subtype: Subtype) -> Bytes {
    let mut bytes = Vec::new();
    Refresh::mark(family, subtype).encode(&mut bytes);
    bytes.into()
}
