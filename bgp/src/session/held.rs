//! A connection that the peer opens while another one is Established, and that
//! may be the next one: a peer that has lost its end connects again before we
//! have heard of the end of ours.
//!
//! ```text
//!  accepted ─> held ─┬─ the Established one ends, within SETTLE_WAIT ──────> OPEN
//!                    ├─ the peer's OPEN says that it restarts (RFC 4724) ──> OPEN, the other one is lost
//!                    └─ neither ───────────────────────────────────────────> Cease 6/7 (RFC 4271 §6.8)
//! ```
//!
//! Our OPEN waits meanwhile, as the DelayOpenTimer (RFC 4271 §8.1.1) has it wait: a peer
//! whose two connections have merely crossed may take one that comes on the
//! second for the news that we have restarted. A KEEPALIVE on the Established
//! connection asks TCP on the other side whether it is there yet.

use super::action::{Action, Sink};
use super::collision::Side;
use super::fsm::Input;
use super::machine::Session;
use super::negotiate::Negotiated;
use super::timer::{SETTLE_WAIT, Timer};
use crate::id::ConnId;
use crate::io::Told;
use crate::prefix::Family;
use crate::time::Instant;
use crate::wire::frame::{Frame, Framer, Kind, MAX_LEN};
use crate::wire::notification::{Cease, Notification};
use crate::wire::open::Open;
use crate::wire::refresh::Subtype;

impl Session {
    /// Holds a connection that has taken its place beside the Established one.
    pub(super) fn hold_back(&mut self, out: &mut Vec<Action>, now: Instant) {
        self.beat(Side::Outbound, out, now);
        if let Some(connection) = self.slot_mut(Side::Inbound) {
            connection.early = Some(Vec::new());
            connection.timers.set(Timer::Settle, now + SETTLE_WAIT);
        }
    }

    /// Keeps what comes on the held connection. An OPEN that says that the peer restarts decides at once.
    pub(super) fn keep_early(
        &mut self,
        conn: ConnId,
        chunk: &mut &[u8],
        out: &mut Vec<Action>,
        now: Instant,
    ) {
        let agreed = self.established().and_then(|(_, negotiated)| negotiated.restart);
        let Some((_, connection)) = self.find(conn) else { return };
        let Some(early) = &mut connection.early else { return };
        // One message comes before ours, and no extended one (RFC 8654 §4).
        let room = MAX_LEN.saturating_sub(early.len());
        early.extend_from_slice(&chunk[..chunk.len().min(room)]);
        *chunk = &[];
        // RFC 4724 §4.2: a peer that restarts has no other connection. One whose last OPEN said so too may be asked
        // for the same restart twice.
        let again = agreed.is_none_or(|agreed| agreed.restarting);
        if !again && first_open(early).is_some_and(|open| is_restarting(&open)) {
            self.admit(out, now);
        }
    }

    /// Whether there is a held connection.
    pub(super) fn is_held(&self, side: Side) -> bool {
        self.slot(side).as_ref().is_some_and(|connection| connection.early.is_some())
    }

    /// Takes the held connection: our OPEN goes out, and what has come is read.
    pub(super) fn admit(&mut self, out: &mut Vec<Action>, now: Instant) {
        let Some(connection) = self.slot_mut(Side::Inbound) else { return };
        let Some(early) = connection.early.take() else { return };
        connection.timers.clear(Timer::Settle);
        let conn = connection.id;
        self.feed(Side::Inbound, Input::Up, out, now);
        let mut rest = early.as_slice();
        while let Some((side, connection)) = self.find(conn) {
            let Some(input) = connection.read(&mut rest, &mut Nothing) else { return };
            self.feed(side, input, out, now);
        }
    }

    /// Refuses the held connection, if there is one: the Established one is kept.
    pub(super) fn dismiss(&mut self, out: &mut Vec<Action>, now: Instant) {
        if let Some(connection) = self.slot_mut(Side::Inbound).take_if(|it| it.early.is_some())
            && !connection.gone
        {
            self.refuse(connection.id, Cease::ConnectionCollision, out, now);
        }
    }

    /// Takes leave of a connection on which no OPEN was sent.
    pub(super) fn refuse(&mut self, conn: ConnId, why: Cease, out: &mut Vec<Action>, now: Instant) {
        let refusal = Notification::cease(why);
        let mut bytes = Vec::new();
        refusal.encode(&mut bytes);
        self.notifications.sent = Some(Told::new(&refusal, now));
        out.push(Action::Write { conn, bytes });
        out.push(Action::Close { conn });
    }
}

/// The OPEN that the octets begin with, if it is whole and good.
fn first_open(octets: &[u8]) -> Option<Open> {
    let (mut framer, mut rest) = (Framer::new(), octets);
    match framer.next(&mut rest) {
        Ok(Some(Frame { kind: Kind::Open, body })) => Open::decode(body).ok(),
        _ => None,
    }
}

fn is_restarting(open: &Open) -> bool {
    open.graceful_restart().is_some_and(|restart| restart.restarting)
}

/// Before Established there is nothing to take in.
struct Nothing;

impl Sink for Nothing {
    fn update(&mut self, _: &Negotiated, _: &[u8]) -> Result<(), Notification> {
        Ok(())
    }

    fn refresh(&mut self, _: &Negotiated, _: Family, _: Subtype) {}
}
