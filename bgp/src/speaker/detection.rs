//! What BFD says of the way to a peer, and what follows for its session and routes.

use crate::bfd::{Forwarding, View};
use crate::id::PeerId;
use crate::io::{Downfall, Effects};
use crate::prefix::Family;
use crate::reason::Reason;
use crate::speaker::Speaker;
use crate::speaker::peer::Peer;
use crate::time::Instant;
use crate::wire::notification::{Cease, Notification};

impl Speaker {
    /// Packets that do not pass end the session by Cease/BFD Down (RFC 9384 §3), and nothing of it is kept; it stays
    /// down until they pass, or BFD is taken down on purpose, which says nothing of packets (RFC 5882 §3.2).
    pub(super) fn detected(&mut self, id: PeerId, view: Option<View>, effects: &mut Effects, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let means = |view: Option<View>| view.map_or(Forwarding::Unknown, |view| view.forwarding);
        let before = means(core::mem::replace(&mut peer.bfd, view));
        match means(view) {
            // What was lost before a restart says nothing of the session that came after it.
            same if same == before => {}
            Forwarding::Unknown | Forwarding::Alive => {
                self.on_peer(id, effects, now, |session, out| session.reconnect(out, now));
            }
            // RFC 5882 §4.3: the peer restarts, and its BFD with it.
            Forwarding::Lost { independent: false } if is_away(peer) => {}
            Forwarding::Lost { .. } => {
                let reason = Reason::BfdDown;
                let farewell = Notification::cease(Cease::BfdDown);
                let cause = Downfall { reason, text: reason.says().to_owned() };
                self.on_peer(id, effects, now, |session, out| session.cut_off(&farewell, &cause, out, now));
                self.forget(id);
            }
        }
    }
}

/// Whether the peer's session is lost, and its routes are kept for the next one (RFC 4724 §4.2).
fn is_away(peer: &Peer) -> bool {
    peer.session.established().is_none() && Family::ALL.into_iter().any(|family| peer.absence.is_kept(family))
}
