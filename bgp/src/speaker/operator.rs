//! What an operator asks of a peer's session: to end and begin anew, or to
//! exchange everything anew while it stays.

use crate::id::PeerId;
use crate::io::{Downfall, Effects};
use crate::prefix::Family;
use crate::reason::Reason;
use crate::speaker::Speaker;
use crate::time::Instant;
use crate::wire::notification::Notification;
use crate::wire::refresh::Refresh;

impl Speaker {
    /// Ends the session by Cease/Administrative Reset (RFC 4486 §4), and starts it
    /// at once, also where it rested. One that the configuration keeps down stays so.
    pub(super) fn reset(&mut self, peer: PeerId, effects: &mut Effects, now: Instant) {
        let reason = Reason::OperatorReset;
        let farewell = Notification::administrative_reset(reason.says());
        let cause = Downfall { reason, text: reason.says().to_owned() };
        self.on_peer(peer, effects, now, |session, out| {
            session.stop(&farewell, &cause, out, now);
            session.start(out, now);
        });
    }

    /// Sends the peer everything again, judges what it sent again, and asks it for
    /// everything again if it can be asked (RFC 2918). Nothing follows unless Established.
    pub(super) fn exchange_anew(&mut self, id: PeerId, effects: &mut Effects) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (Some((conn, negotiated)), Some(source)) = (peer.session.established(), peer.source) else {
            return;
        };
        let (families, asks) = (negotiated.codec.families, negotiated.refresh);
        self.rib.judge_again(Some(source));
        for family in Family::ALL.into_iter().filter(|family| families[*family]) {
            self.adj_out.refresh(&mut self.rib, id, family);
            if asks {
                let mut bytes = Vec::new();
                Refresh::request(family).encode(&mut bytes);
                self.write(conn, bytes.into(), effects);
            }
        }
    }
}
