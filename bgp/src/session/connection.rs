//! One TCP connection of a session: its state, its framer, its timers.

use std::net::SocketAddr;

use super::action::{Action, Sink};
use super::fsm::Input;
use super::negotiate::Negotiated;
use super::timer::{OPEN_WAIT, Timer, Timers};
use crate::id::ConnId;
use crate::io::State;
use crate::time::{Duration, Instant, Jitter};
use crate::wire::capability::Capability;
use crate::wire::frame::{self, Frame, Framer, Kind};
use crate::wire::notification::Notification;
use crate::wire::open::Open;
use crate::wire::refresh::{Refresh, Subtype};

/// A connection, from the attempt to open it, or from its acceptance, to its end.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) state: State,
    pub(super) local: Option<SocketAddr>,
    /// Whether TCP has ended, so that nothing is left to close.
    pub(super) gone: bool,
    pub(super) timers: Timers,
    /// The hold time in force; zero means none.
    pub(super) hold: Duration,
    /// The OPEN that we sent.
    pub(super) offered: Option<Open>,
    pub(super) negotiated: Option<Negotiated>,
    /// In OpenConfirm, while our KEEPALIVE is held back: whether the peer's has come.
    pub(super) settling: Option<bool>,
    /// While our OPEN waits for the end of another connection: what has come.
    pub(super) early: Option<Vec<u8>>,
    framer: Framer,
}

impl Connection {
    fn new(id: ConnId, state: State, local: Option<SocketAddr>) -> Self {
        Self {
            id,
            state,
            local,
            gone: false,
            timers: Timers::default(),
            hold: Duration::ZERO,
            offered: None,
            negotiated: None,
            settling: None,
            early: None,
            framer: Framer::new(),
        }
    }

    /// A connection that is being opened, to be up at `deadline`.
    pub(super) fn outbound(id: ConnId, deadline: Instant) -> Self {
        let mut connection = Self::new(id, State::Connect, None);
        connection.timers.set(Timer::Connect, deadline);
        connection
    }

    /// A connection that the peer opened.
    pub(super) fn inbound(id: ConnId, local: SocketAddr) -> Self {
        Self::new(id, State::Active, Some(local))
    }

    /// Reads the next message; `None` when the chunk is used up. UPDATEs and
    /// refresh requests go to the sink in Established alone.
    pub(super) fn read(&mut self, chunk: &mut &[u8], sink: &mut impl Sink) -> Option<Input> {
        let session = self.negotiated.as_ref().filter(|_| self.state == State::Established);
        let refreshes = self.offered.as_ref().is_some_and(|open| open.offers(&Capability::RouteRefresh));
        Some(match self.framer.next(chunk) {
            Ok(None) => return None,
            Ok(Some(Frame { kind, body })) => match kind {
                Kind::Open => Input::Open(Open::decode(body)),
                Kind::Keepalive => Input::Keepalive,
                Kind::Update => Input::Update(session.map_or(Ok(()), |session| sink.update(session, body))),
                Kind::RouteRefresh => {
                    Input::Refresh(session.map_or(Ok(()), |s| refresh(refreshes, s, body, sink)))
                }
                Kind::Notification => match Notification::decode(body) {
                    Ok(notification) => Input::Notification(notification),
                    Err(error) => Input::Malformed(error),
                },
            },
            Err(error) => Input::Malformed(error),
        })
    }

    /// Sends our OPEN: to OpenSent.
    pub(super) fn greet(&mut self, open: Open, out: &mut Vec<Action>, now: Instant) {
        let mut bytes = Vec::new();
        open.encode(&mut bytes);
        out.push(Action::Write { conn: self.id, bytes });
        self.offered = Some(open);
        self.state = State::OpenSent;
        self.timers.clear(Timer::Connect);
        self.hold = OPEN_WAIT;
        self.hear(now);
    }

    /// The peer's OPEN holds: to OpenConfirm.
    pub(super) fn confirm(&mut self, negotiated: Negotiated, now: Instant) {
        self.state = State::OpenConfirm;
        self.hold = negotiated.hold;
        // Deviation: our own offer alone binds us (RFC 8654 §4). A peer that has made
        // none has no reason for a long message, and a length beyond is an error of its
        // header that is told at once, not after the octets that may never come.
        if negotiated.extended {
            self.framer.extend();
        }
        self.negotiated = Some(negotiated);
        self.hear(now);
    }

    /// Something was heard: the hold timer starts anew (RFC 4271 §4.4, §8.2.2).
    pub(super) fn hear(&mut self, now: Instant) {
        if self.hold.is_zero() {
            self.timers.clear(Timer::Hold);
        } else {
            self.timers.set(Timer::Hold, now + self.hold);
        }
    }

    /// Sends a KEEPALIVE.
    pub(super) fn beat(&mut self, jitter: &mut Jitter, out: &mut Vec<Action>, now: Instant) {
        let mut bytes = Vec::new();
        frame::encode_keepalive(&mut bytes);
        out.push(Action::Write { conn: self.id, bytes });
        self.restart_keepalive(jitter, now);
    }

    /// A KEEPALIVE or an UPDATE was sent (RFC 4271 §8.2.2).
    pub(super) fn restart_keepalive(&mut self, jitter: &mut Jitter, now: Instant) {
        let interval = self.negotiated.as_ref().map_or(Duration::ZERO, |negotiated| negotiated.keepalive);
        if !interval.is_zero() {
            self.timers.set(Timer::Keepalive, now + jitter.spread(interval));
        }
    }

    /// Takes leave of the peer, if an OPEN was sent to it, and closes; what it was told.
    pub(super) fn part<'f>(
        &self,
        farewell: Option<&'f Notification>,
        out: &mut Vec<Action>,
    ) -> Option<&'f Notification> {
        let conn = self.id;
        if self.gone {
            return None;
        }
        let farewell = farewell.filter(|_| self.offered.is_some());
        if let Some(farewell) = farewell {
            let mut bytes = Vec::new();
            farewell.encode(&mut bytes);
            out.push(Action::Write { conn, bytes });
        }
        out.push(Action::Close { conn });
        farewell
    }
}

/// Passes on what concerns a negotiated family. A request for another one
/// (RFC 2918 §4) and an unknown subtype (RFC 7313 §5) are ignored, and all of it
/// where our OPEN did not say that we understand it.
fn refresh(
    offered: bool,
    session: &Negotiated,
    body: &[u8],
    sink: &mut impl Sink,
) -> Result<(), Notification> {
    if !offered {
        return Ok(());
    }
    let refresh = if session.enhanced_refresh { Refresh::decode(body) } else { Refresh::decode_plain(body) }?;
    if let Some(family) = refresh.family().filter(|family| session.families[*family])
        && !matches!(refresh.subtype, Subtype::Unknown(_))
    {
        sink.refresh(session, family, refresh.subtype);
    }
    Ok(())
}
