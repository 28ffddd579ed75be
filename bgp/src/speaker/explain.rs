//! The whole story of a prefix, from who sent it to whom it is sent. Reasons
//! come from the stored verdicts and from the functions that judged before.

use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::rib::adj_out::AdjOut;
use crate::rib::{Advertise, EntryView};
use crate::speaker::Speaker;
use crate::speaker::peer::Peer;
use crate::view::{Explanation, KernelView, Refusal, SentPath, SentView, WithdrawnView};

impl Speaker {
    /// The whole story of one prefix.
    #[must_use]
    pub fn explain(&self, prefix: Prefix) -> Explanation {
        let entry = self.rib.find(prefix).and_then(|id| self.rib.entry(id));
        let entry = entry.filter(|entry| !entry.paths.is_empty());
        let mut next_hops = Vec::new();
        for path in entry.iter().flat_map(|entry| entry.paths).filter(|path| path.is_accepted()) {
            next_hops.extend(self.rib.resolution(*path));
        }
        next_hops.sort_unstable();
        next_hops.dedup();
        let peers = self.by_address.values().filter_map(|id| self.peers.get(id));
        Explanation {
            prefix,
            route: entry.as_ref().map(|entry| self.view(entry)),
            next_hops,
            withdrawn: peers.clone().filter_map(|peer| withdrawn_view(prefix, peer)).collect(),
            sent: peers.map(|peer| self.sent_view(prefix.family(), entry.as_ref(), peer)).collect(),
        }
    }

    fn sent_view(&self, family: Family, entry: Option<&EntryView<'_>>, peer: &Peer) -> SentView {
        SentView {
            id: peer.id,
            name: peer.config.name.clone(),
            address: peer.config.address,
            sent: self.sent_or_why(family, entry, peer),
        }
    }

    /// What was sent to the peer; else the first reason on the way why nothing was.
    fn sent_or_why(
        &self,
        family: Family,
        entry: Option<&EntryView<'_>>,
        peer: &Peer,
    ) -> Result<Vec<SentPath>, Refusal> {
        let refusal = |reason: Reason| Refusal { reason, detail: reason.cited(reason.says()) };
        let receiver = peer.receiver(&self.config).ok_or_else(|| refusal(Reason::SessionDown))?;
        if !receiver.codec.families[family] {
            return Err(refusal(Reason::FamilyNotNegotiated));
        }
        let entry = entry.ok_or_else(|| refusal(Reason::NothingSelected))?;
        let export = receiver.export;
        let sent = self.adj_out.sent(&self.rib, peer.id, entry.id);
        let exported = sent.iter().filter_map(|sent| {
            let attributes = self.rib.attributes().get(sent.attributes);
            let path = self.rib.outgoing(entry.prefix, &attributes, sent.source)?;
            Some(SentPath { path_id: sent.id, attributes: export.apply(&path).ok()? })
        });
        let exported: Vec<SentPath> = exported.collect();
        if !exported.is_empty() {
            return Ok(exported);
        }
        // What was decided before is no reason any more.
        if entry.is_due {
            return Err(refusal(Reason::Pending));
        }
        let Some(best) = entry.paths.first().filter(|path| path.is_best()) else {
            return Err(refusal(Reason::NothingSelected));
        };
        if self.rib.sources().owner(best.source()) == receiver.source {
            return Err(refusal(Reason::LearnedFromPeer));
        }
        let attributes = self.rib.attributes().get(best.attrs());
        if let Some(path) = self.rib.outgoing(entry.prefix, &attributes, best.source())
            && let Err(reason) = export.judge(&path)
        {
            return Err(export.refusal(reason, &path));
        }
        if self.adj_out.is_limited(peer.id, entry.id) {
            let most = peer.config.send_limit.unwrap_or_default();
            let detail = format!("the peer is sent {most} prefixes of {family}, its limit");
            return Err(Refusal { reason: Reason::SendLimit, detail });
        }
        Err(refusal(match (AdjOut::advertised(&self.rib, entry, &export), entry.kernel) {
            (Advertise::Nothing, KernelView::Failed(_)) => Reason::KernelRejected,
            (Advertise::Path { .. }, _) => Reason::Pending,
            (Advertise::Hold, _) | (_, KernelView::Pending) => Reason::AwaitingKernel,
            (Advertise::Nothing, _) => Reason::NothingSelected,
        }))
    }
}

/// What the peer sent of the prefix in a malformed UPDATE.
fn withdrawn_view(prefix: Prefix, peer: &Peer) -> Option<WithdrawnView> {
    let problem = peer.withdrawn.problem(prefix)?;
    let (name, address) = (peer.config.name.clone(), peer.config.address);
    Some(WithdrawnView { name, address, detail: problem.to_string() })
}
