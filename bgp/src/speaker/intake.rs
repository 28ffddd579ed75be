//! From an UPDATE's body into the table: one walk, one verdict a prefix. An
//! attribute set that was met before is not decoded again.

use smallvec::SmallVec;

use crate::config::{PeerConfig, SpeakerConfig};
use crate::policy::Import;
use crate::prefix::{Family, PerFamily};
use crate::rib::{AttrId, NEAR, PathKey, Rib, SourceCounts, SourceId, Spot, Spots};
use crate::session::{Negotiated, Sink};
use crate::speaker::again::Again;
use crate::speaker::limit::is_fatal;
use crate::speaker::withdrawn::Withdrawn;
use crate::time::Instant;
use crate::wire::decode;
use crate::wire::grade::{Grade, Problem};
use crate::wire::nlri::Route;
use crate::wire::notification::{Cease, Notification};
use crate::wire::refresh::Subtype;
use crate::wire::update::{Announced, Update};

/// Prefixes that are looked up together before they are taken in.
#[derive(Default)]
struct Near {
    routes: SmallVec<[Route; NEAR]>,
    spots: Spots,
}

impl Near {
    fn each(&self) -> impl Iterator<Item = (Route, Spot)> + '_ {
        self.routes.iter().copied().zip(self.spots.iter().copied())
    }
}

/// Where the messages of one peer's session go.
#[derive(Debug)]
pub(super) struct Intake<'a> {
    pub(super) rib: &'a mut Rib,
    pub(super) speaker: &'a SpeakerConfig,
    pub(super) peer: &'a PeerConfig,
    /// The handle of its paths; `None` where all are in use.
    pub(super) source: Option<SourceId>,
    /// Room for attribute bytes that do not lie in one piece.
    pub(super) scratch: &'a mut Vec<u8>,
    /// Families of which the peer has sent all (RFC 4724 §2).
    pub(super) end_of_rib: &'a mut PerFamily<bool>,
    /// Families that the peer asked for again (RFC 2918).
    pub(super) refresh: Vec<Family>,
    /// What the peer is sending again.
    pub(super) again: &'a mut Again,
    /// The time.
    pub(super) now: Instant,
    /// What it sent in malformed UPDATEs.
    pub(super) withdrawn: &'a mut Withdrawn,
    /// The first malformed attribute of each UPDATE that did not end the session (RFC 7606).
    pub(super) problems: Vec<Problem>,
}

impl Sink for Intake<'_> {
    fn update(&mut self, negotiated: &Negotiated, body: &[u8]) -> Result<(), Notification> {
        let update = Update::parse(body, &negotiated.codec)?;
        // Without a handle there is no place for its paths (RFC 4486 §4, Out of Resources).
        let source = self.source.ok_or_else(|| Notification::cease(Cease::OutOfResources))?;
        for nlri in update.withdrawn() {
            let (mut routes, mut near) = (nlri.routes(), Near::default());
            while self.come_near(&mut routes, &mut near) {
                for (route, spot) in near.each() {
                    self.rib.withdraw_at(spot, PathKey { source, id: route.id }, route.prefix);
                    self.withdrawn.forget(route);
                }
            }
        }
        let before = self.problems.len();
        for announced in update.announced() {
            self.announce(source, negotiated, &update, announced)?;
        }
        if let Some(family) = update.end_of_rib() {
            // RFC 4724 §4.2: what is still stale goes with the first one.
            if !core::mem::replace(&mut self.end_of_rib[family], true) {
                self.rib.sweep_stale(source, family);
            }
        }
        // What follows from the first problem, as what a cut list lacks, hides the cause;
        // one that leads to more goes before it.
        if let Some(worst) = self.problems.get(before..).and_then(|found| {
            let worst = found.iter().map(|problem| problem.grade).max()?;
            found.iter().position(|problem| problem.grade == worst)
        }) {
            self.problems.swap(before, before + worst);
        }
        self.problems.truncate(before + 1);
        Ok(())
    }

    fn refresh(&mut self, negotiated: &Negotiated, family: Family, subtype: Subtype) {
        let Some(source) = self.source else { return };
        // RFC 7313 §4.2: with graceful restart no mark counts before End-of-RIB.
        if subtype != Subtype::Request && negotiated.restart.is_some() && !self.end_of_rib[family] {
            return;
        }
        match subtype {
            Subtype::Request => self.refresh.push(family),
            Subtype::Begin => self.again.begin(self.rib, source, family, self.now),
            Subtype::End => self.again.end(self.rib, source, family),
            Subtype::Unknown(_) => {}
        }
    }
}

impl Intake<'_> {
    /// Puts the next prefixes of a field into `near`, and looks them up;
    /// false when there are no more.
    fn come_near(&self, routes: &mut impl Iterator<Item = Route>, near: &mut Near) -> bool {
        near.routes.clear();
        near.routes.extend(routes.take(NEAR));
        self.rib.look_up(near.routes.iter().map(|route| route.prefix), &mut near.spots);
        !near.routes.is_empty()
    }

    /// Takes in the prefixes that share one next hop.
    fn announce(
        &mut self,
        source: SourceId,
        negotiated: &Negotiated,
        update: &Update<'_>,
        announced: Announced<'_>,
    ) -> Result<(), Notification> {
        let Some(attributes) = self.intern(negotiated, update, &announced)? else {
            // RFC 7606 §2: the routes of the message are treated as withdrawn.
            let cause = self.problems.iter().rev().find(|problem| problem.grade == Grade::TreatAsWithdraw);
            for route in announced.nlri.routes() {
                self.rib.withdraw(PathKey { source, id: route.id }, route.prefix);
                if let Some(cause) = cause {
                    self.withdrawn.note(route, cause);
                }
            }
            return Ok(());
        };
        let Negotiated { peer_asn, external, .. } = *negotiated;
        let import = Import { speaker: self.speaker, peer: self.peer, asn: peer_asn, external };
        let family = announced.nlri.family();
        let shared = import.judge_attributes(family, &self.rib.attributes().get(attributes));
        let limit = self.peer.receive.stored();
        let altered = import.is_altered(&self.rib.attributes().get(attributes));
        // What the rules made of the set, a rule each: prefixes of one UPDATE meet few.
        let mut made = Made::new();
        let (mut routes, mut near) = (announced.nlri.routes(), Near::default());
        while self.come_near(&mut routes, &mut near) {
            for (route, spot) in near.each() {
                let prefix = route.prefix;
                let verdict = match shared {
                    Some(reason) => Err(reason),
                    None => import.judge_prefix(prefix, &self.rib.attributes().get(attributes)),
                };
                let (attributes, refusal) = match verdict {
                    Ok(None) if !altered => (attributes, None),
                    Ok(rule) => (changed(self.rib, &import, rule, attributes, &mut made), None),
                    Err(reason) => (attributes, Some(reason)),
                };
                self.withdrawn.forget(route);
                let key = PathKey { source, id: route.id };
                self.rib.announce_at(spot, key, prefix, attributes, refusal, limit);
            }
        }
        let stored = self.rib.counts(source, family).map_or(0, SourceCounts::stored);
        if is_fatal(&self.peer.receive, stored) {
            return Err(Notification::maximum_prefixes(family.afi(), 1, self.peer.receive.most));
        }
        Ok(())
    }

    /// The attribute set of the prefixes; `None` to treat them as withdrawn.
    fn intern(
        &mut self,
        negotiated: &Negotiated,
        update: &Update<'_>,
        announced: &Announced<'_>,
    ) -> Result<Option<AttrId>, Notification> {
        let codec = &negotiated.codec;
        let flavour = announced.flavour(codec);
        let identity = update.identity(announced, self.scratch);
        if let Some(known) = self.rib.attributes().lookup_raw(flavour, identity) {
            self.rib.attributes_mut().warm(known);
            return Ok(Some(known));
        }
        let graded = decode::attributes(update.key(&mut Vec::new()), announced.next_hop, codec)?;
        let flawless = graded.problems.is_empty();
        self.problems.extend(graded.problems);
        let Some(attributes) = graded.attributes else { return Ok(None) };
        let store = self.rib.attributes_mut();
        let id = store.intern(attributes);
        // A flawed set is decoded each time, so that each time it is reported.
        if flawless {
            store.remember_raw(flavour, identity, id);
        }
        Ok(Some(id))
    }
}

/// Sets by the import rule that made them, or by none.
type Made = SmallVec<[(Option<usize>, AttrId); 4]>;

/// The set that an import rule makes of another one.
fn changed(
    rib: &mut Rib,
    import: &Import<'_>,
    rule: Option<usize>,
    received: AttrId,
    made: &mut Made,
) -> AttrId {
    if let Some(&(_, known)) = made.iter().find(|(by, _)| *by == rule) {
        return known;
    }
    let store = rib.attributes_mut();
    let changed = import.changed(rule, &store.get(received));
    let id = changed.map_or(received, |changed| store.intern_changed(changed, received));
    made.push((rule, id));
    id
}
