//! Many changes into few UPDATEs: changes of one flush are gathered, ordered by
//! attribute set, encoded once for the group, and handed to the members. The
//! bytes are cut into segments by the source of the path, so that the peer that
//! sent a path is spared its own announcement by leaving a segment out.

use core::ops::Range;

use bytes::Bytes;

use crate::id::PathId;
use crate::policy::Export;
use crate::prefix::Family;
use crate::rib::adj_out::slot::Sent;
use crate::rib::source::SourceId;
use crate::rib::{EntryId, Rib};
use crate::wire::codec::Codec;
use crate::wire::nlri::Route;
use crate::wire::{encode, pack};

/// The changes of one flush.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// With the place of the export rule: what one run shares. Entries stay where they are until these are encoded.
    announced: Vec<(Sent, Option<usize>, EntryId)>,
    /// By the source of what is withdrawn: that peer was never sent it.
    withdrawn: Vec<(SourceId, Route)>,
    /// Withdrawn from one member alone, because the new path is its own.
    taken_back: Vec<(SourceId, Route)>,
}

/// The messages of one flush.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    shared: Bytes,
    segments: Vec<(SourceId, Range<usize>)>,
    single: Vec<(SourceId, Vec<u8>)>,
}

impl Changes {
    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.announced.is_empty() && self.withdrawn.is_empty() && self.taken_back.is_empty()
    }

    /// The entry's path is announced.
    pub(super) fn announce(&mut self, entry: EntryId, sent: Sent, rule: Option<usize>) {
        self.announced.push((sent, rule, entry));
    }

    /// The path, which came from `owner`, is withdrawn.
    pub(super) fn withdraw(&mut self, route: Route, owner: SourceId) {
        self.withdrawn.push((owner, route));
    }

    /// What is announced in the path's place came from `owner`, which is not sent it.
    pub(super) fn take_back(&mut self, route: Route, owner: SourceId) {
        self.taken_back.push((owner, route));
    }

    /// The changes as messages: withdrawals first, so that a prefix that went
    /// and came back within one flush is there in the end. `name` is what a path of a handle is called.
    pub(super) fn encode(
        &mut self,
        rib: &Rib,
        family: Family,
        export: &Export,
        codec: &Codec,
        name: impl Fn(SourceId) -> Option<PathId>,
    ) -> Messages {
        let mut out = Vec::new();
        let mut segments = Vec::new();
        // Of one source, in the order in which they went.
        self.withdrawn.sort_by_key(|&(owner, _)| owner);
        for run in self.withdrawn.chunk_by(|a, b| a.0 == b.0) {
            let start = out.len();
            pack::withdraw(family, run.iter().map(|&(_, route)| route), &mut out);
            segments.push((run[0].0, start..out.len()));
        }
        // Of one run, in the order in which they were looked at.
        self.announced.sort_by_key(|&(sent, rule, _)| (sent, rule));
        let mut attribute_bytes = Vec::new();
        for run in self.announced.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (Sent { attributes, source }, _, first) = run[0];
            let id = name(source);
            let sent = rib.prefix(first).and_then(|prefix| {
                let attributes = rib.attributes().get(attributes);
                rib.outgoing(prefix, &attributes, source).and_then(|path| export.apply(&path).ok())
            });
            let start = out.len();
            let routes =
                run.iter().filter_map(|&(_, _, entry)| Some(Route { id, prefix: rib.prefix(entry)? }));
            let packed = sent.map(|sent| {
                attribute_bytes.clear();
                encode::attributes(&sent, codec, family, &mut attribute_bytes);
                let (next_hop, routes) = (sent.next_hop, routes.clone());
                pack::announce(&attribute_bytes, next_hop, family, routes, export.longest, &mut out)
            });
            // A slot holds what export let through; should the two ever differ,
            // an old announcement must not outlive the change.
            if !matches!(packed, Some(Ok(_))) {
                pack::withdraw(family, routes, &mut out);
            }
            segments.push((rib.sources().owner(source), start..out.len()));
        }
        self.taken_back.sort_unstable();
        let mut single = Vec::new();
        for run in self.taken_back.chunk_by(|a, b| a.0 == b.0) {
            let mut bytes = Vec::new();
            pack::withdraw(family, run.iter().map(|&(_, route)| route), &mut bytes);
            single.push((run[0].0, bytes));
        }
        self.announced.clear();
        self.withdrawn.clear();
        self.taken_back.clear();
        Messages { shared: out.into(), segments, single }
    }
}

impl Messages {
    /// What the member whose own paths come from `source` is sent.
    pub(super) fn of(&self, source: SourceId) -> Bytes {
        let own_segment = self.segments.iter().any(|(from, _)| *from == source);
        let own_single = self.single.iter().find(|(to, _)| *to == source);
        if !own_segment && own_single.is_none() {
            return self.shared.clone();
        }
        let mut bytes = own_single.map_or_else(Vec::new, |(_, bytes)| bytes.clone());
        for (_, range) in self.segments.iter().filter(|(from, _)| *from != source) {
            bytes.extend_from_slice(&self.shared[range.clone()]);
        }
        bytes.into()
    }
}
