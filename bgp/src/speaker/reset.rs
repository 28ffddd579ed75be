//! All of a family once more, as an operator asks for it (soft reset).
//!
//! Import rules never need it, since what was refused is stored too; it is for
//! an operator who does not trust what is stored, on either side.

use crate::id::PeerId;
use crate::io::{Effects, Transport};
use crate::prefix::Family;
use crate::speaker::Speaker;
use crate::speaker::again::{SoftReset, SoftResetError};
use crate::time::Instant;
use crate::wire::refresh::Refresh;

impl Speaker {
    /// Has all of every family sent again, without touching the session: paths
    /// stay in use until they are replaced or, at the end, have not come again.
    ///
    /// # Errors
    /// Where nothing was done: no such peer, no session, or, for
    /// [`SoftReset::In`], a peer that cannot be asked.
    pub fn soft_reset(
        &mut self,
        id: PeerId,
        what: SoftReset,
        effects: &mut Effects,
    ) -> Result<(), SoftResetError> {
        let peer = self.peers.get(&id).ok_or(SoftResetError::UnknownPeer)?;
        let (_, negotiated) = peer.session.established().ok_or(SoftResetError::NotEstablished)?;
        let (families, source) = (negotiated.families, peer.source);
        if what != SoftReset::Out {
            if !negotiated.refresh {
                return Err(SoftResetError::NoRouteRefresh);
            }
            if source.is_some() {
                self.rib.judge_again(source);
            }
            for family in Family::ALL.into_iter().filter(|family| families[*family]) {
                if let Some(source) = source {
                    self.rib.forget_beyond_limit(source, family);
                }
                self.request(id, family, effects);
            }
        }
        if what != SoftReset::In {
            for family in Family::ALL.into_iter().filter(|family| families[*family]) {
                self.adj_out.refresh(&mut self.rib, id, family);
            }
        }
        Ok(())
    }

    /// Asks the peer for all of a family (RFC 2918 §3).
    pub(super) fn request(&mut self, id: PeerId, family: Family, effects: &mut Effects) {
        let conn = self.peers.get(&id).and_then(|peer| peer.session.established()).map(|(conn, _)| conn);
        let Some((conn, open)) = conn.and_then(|conn| Some((conn, self.conns.get_mut(&conn)?))) else {
            return;
        };
        let mut bytes = Vec::new();
        Refresh::request(family).encode(&mut bytes);
        open.unwritten += bytes.len();
        effects.transport.push(Transport::Write { conn, bytes: bytes.into() });
    }

    /// Ends what a peer began to send again and has not ended in time.
    pub(super) fn end_overdue(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(source) = peer.source else { return };
        for family in Family::ALL {
            if peer.again.is_overdue(family, now) {
                peer.again.end(&mut self.rib, source, family);
            }
        }
    }
}
