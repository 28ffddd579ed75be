//! How a connection ends: what the peer is told, and what the operator reads.

use crate::io::{ConnectFailure, Downfall, State};
use crate::reason::Reason;
use crate::time::Duration;
use crate::wire::frame::Kind;
use crate::wire::notification::{Cease, Notification, Unexpected};

/// The code of Cease.
const CEASE: u8 = 6;

/// Its subcode for too many prefixes (RFC 4486 §3).
const MAXIMUM_PREFIXES: u8 = Cease::MaximumPrefixes as u8;

/// The end of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// The NOTIFICATION to send before closing.
    pub(super) farewell: Option<Notification>,
    /// The NOTIFICATION that was received.
    pub(super) received: Option<Notification>,
    /// Why, for people.
    pub(super) cause: Downfall,
    /// Whether it counts as a failure of the peer to get a session up.
    pub(super) failure: bool,
    /// Whether there was no way to the peer, so that nobody was asked.
    pub(super) astray: bool,
    /// Whether the peer refused our OPEN for having capabilities (RFC 5492 §3).
    pub(super) capabilities_refused: bool,
    /// Whether the session is to be over for good, so that nobody keeps routes of it (RFC 8538 §5.1).
    pub(super) hard: bool,
}

impl Ending {
    fn silent(reason: Reason, text: String) -> Self {
        let cause = Downfall { reason, text };
        Self {
            farewell: None,
            cause,
            failure: true,
            astray: false,
            capabilities_refused: false,
            received: None,
            hard: false,
        }
    }

    /// A check of ours failed; `text` has its particulars.
    pub(super) fn refused(farewell: Notification, reason: Reason, text: String) -> Self {
        Self { farewell: Some(farewell), ..Self::silent(reason, text) }
    }

    /// The peer broke the protocol in a way that the NOTIFICATION tells completely.
    pub(super) fn sent(farewell: Notification) -> Self {
        let text = format!("sent {farewell}");
        let reason = match (farewell.code, farewell.subcode) {
            (2, 2) => Reason::BadPeerAs,
            (CEASE, MAXIMUM_PREFIXES) => Reason::PrefixLimit,
            _ => Reason::NotificationSent,
        };
        Self { hard: reason == Reason::PrefixLimit, ..Self::refused(farewell, reason, text) }
    }

    /// The peer sent a NOTIFICATION, which is never answered (RFC 4271 §6.4).
    pub(super) fn received(notification: Notification) -> Self {
        let ending = Self::silent(Reason::NotificationReceived, format!("peer sent {notification}"));
        let collision = (CEASE, Cease::ConnectionCollision as u8);
        let number = (notification.code, notification.subcode);
        Self {
            received: Some(notification),
            failure: number != collision,
            capabilities_refused: number == (2, 4),
            ..ending
        }
    }

    /// The TCP connection could not be made.
    pub(super) fn connect_failed(failure: ConnectFailure, error: &str) -> Self {
        let astray = failure == ConnectFailure::NoWay;
        Self { failure: false, astray, ..Self::silent(Reason::ConnectFailed, error.to_owned()) }
    }

    /// The TCP connection did not come up in time. RFC 2385 §2: a segment whose signature is wrong is dropped
    /// without an answer, so that another password looks like nobody at all.
    pub(super) fn connect_timed_out(waited: Duration, authenticated: bool) -> Self {
        let password = if authenticated { ": the peer is away, or its password is another" } else { "" };
        let text = format!("no answer to TCP within {}s{password}", waited.as_secs());
        Self::connect_failed(ConnectFailure::Answered, &text)
    }

    /// The TCP connection ended without NOTIFICATION.
    pub(super) fn lost(error: Option<&str>) -> Self {
        let text = match error {
            None => "peer closed the connection".to_owned(),
            Some(error) => format!("connection lost: {error}"),
        };
        Self::silent(Reason::ConnectionClosed, text)
    }

    /// The hold timer expired (RFC 4271 §6.5).
    pub(super) fn hold_expired(silence: Duration) -> Self {
        let text = format!("nothing heard for {}s", silence.as_secs());
        Self::refused(Notification::hold_timer_expired(), Reason::HoldTimerExpired, text)
    }

    /// The SendHoldTimer expired (RFC 9687 §4).
    pub(super) fn send_hold_expired(waited: Duration) -> Self {
        let text = format!("the peer has not read for {}s", waited.as_secs());
        Self::refused(Notification::send_hold_timer_expired(), Reason::SendHoldTimerExpired, text)
    }

    /// A message that the state does not expect (RFC 6608 §4). `state` is one of
    /// the three in which messages come.
    pub(super) fn unexpected(state: State, kind: Kind) -> Self {
        let text = format!("{} received in {}", kind.name(), state.name());
        let subcode = match state {
            State::Established => Unexpected::InEstablished,
            State::OpenConfirm => Unexpected::InOpenConfirm,
            _ => Unexpected::InOpenSent,
        };
        Self::refused(Notification::unexpected_message(subcode, kind), Reason::NotificationSent, text)
    }

    /// Another connection with the same peer is kept (RFC 4271 §6.8).
    pub(super) fn collision() -> Self {
        let farewell = Notification::cease(Cease::ConnectionCollision);
        Self::ordered(farewell, plain(Reason::Collision))
    }

    /// The peer began anew on another connection. Where it may have restarted, the one before counts as lost, and
    /// nothing is said on it (RFC 4724 §5).
    pub(super) fn renewed(restarts: bool) -> Self {
        let text = "the peer opened another connection".to_owned();
        let cause = Downfall { reason: Reason::Collision, text };
        let ending = Self::ordered(Notification::cease(Cease::ConnectionCollision), cause);
        Self { farewell: ending.farewell.filter(|_| !restarts), ..ending }
    }

    /// The configuration changed in a way that needs a new session (RFC 4486 §4).
    pub(super) fn reconfigured() -> Self {
        let farewell = Notification::cease(Cease::OtherConfigurationChange);
        Self::ordered(farewell, plain(Reason::ConfigurationChanged))
    }

    /// We want it so, and for good.
    pub(super) fn stopped(farewell: Notification, cause: Downfall) -> Self {
        Self { hard: true, ..Self::ordered(farewell, cause) }
    }

    /// We are about to restart: the connection is lost to the peer.
    pub(super) fn suspended(cause: Downfall) -> Self {
        Self { farewell: None, failure: false, ..Self::silent(cause.reason, cause.text) }
    }

    /// We want it so; the peer has done nothing wrong.
    pub(super) fn ordered(farewell: Notification, cause: Downfall) -> Self {
        Self { farewell: Some(farewell), failure: false, ..Self::silent(cause.reason, cause.text) }
    }
}

/// A reason that has no particulars.
pub(super) fn plain(reason: Reason) -> Downfall {
    Downfall { reason, text: reason.says().to_owned() }
}
