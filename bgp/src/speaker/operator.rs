//! What an operator asks of a peer's session: to end and begin anew, or to
//! exchange everything anew while it stays; and to look for peers anew.

use crate::id::PeerId;
use crate::io::{Downfall, Effects};
use crate::reason::Reason;
use crate::speaker::Speaker;
use crate::speaker::again::{SoftReset, SoftResetError};
use crate::time::{Duration, Instant};
use crate::wire::notification::Notification;

/// How long a session rests that was reset: a peer that sees a new connection before it has read
/// the NOTIFICATION on the old one takes that for a restart (RFC 4724 §4.2), and keeps the routes.
const REST: Duration = Duration::from_millis(500);

impl Speaker {
    /// Ends the session by Cease/Administrative Reset (RFC 4486 §4), and starts it
    /// after a moment, also where it rested. One that the configuration keeps down stays so.
    pub(super) fn reset(&mut self, peer: PeerId, effects: &mut Effects, now: Instant) {
        let reason = Reason::OperatorReset;
        let farewell = Notification::administrative_reset(reason.says());
        let cause = Downfall { reason, text: reason.says().to_owned() };
        self.on_peer(peer, effects, now, |session, out| {
            session.stop(&farewell, &cause, out, now);
            session.rest(now + REST);
        });
    }

    /// Asks those at once again that could not be reached (RFC 4271 §8.1.1).
    pub(super) fn look_for_peers(&mut self, effects: &mut Effects, now: Instant) {
        let failed = self.peers.values().filter(|peer| peer.session.failures() > 0);
        let failed: Vec<PeerId> = failed.map(|peer| peer.id).collect();
        for peer in failed {
            self.on_peer(peer, effects, now, |session, out| session.hurry(out, now));
        }
    }

    /// Sends the peer everything again, judges what it sent again, and asks it for
    /// everything again if it can be asked. Nothing follows unless Established.
    pub(super) fn exchange_anew(&mut self, id: PeerId, effects: &mut Effects) {
        if self.soft_reset(id, SoftReset::Both, effects) == Err(SoftResetError::NoRouteRefresh) {
            if let Some(source) = self.peers.get(&id).and_then(|peer| peer.source) {
                self.rib.judge_again(Some(source));
            }
            // It is Established, or the first one had said otherwise.
            let _ = self.soft_reset(id, SoftReset::Out, effects);
        }
    }
}
