//! The finite-state machine of RFC 4271 §8.2.2, for one connection: a pure
//! function from state and input to what is to be done. It holds nothing.
//!
//! ```text
//!               Start                     Up                     Open
//!   ┌──────┐ ────────────> ┌─────────┐ ────────> ┌──────────┐ ──────────> ┌─────────────┐
//!   │ Idle │               │ Connect │           │ OpenSent │             │ OpenConfirm │
//!   └──────┘ <─┐           └─────────┘           └──────────┘             └─────────────┘
//!      │       │ Stop,      │     ^                 ^    │                   │    │ Keepalive
//!      │Start, │ from each  │Lost │Retry          Up│    │any error          │    v
//!      │passive│ state      v     │                 │    │or end             │  ┌─────────────┐
//!      │       │           ┌─────────┐ ─────────────┘    │                   │  │ Established │
//!      └───────┴─────────> │ Active  │ <─────────────────┴───────────────────┘  └─────────────┘
//!                          └─────────┘ <──────────────────────────────────────────────┘
//! ```
//!
//! Deviation: RFC 4271 §8.2.2 goes to Idle after an error, refuses connections
//! there and leaves it by an automatic start. Here the machine goes to Active,
//! with the same wait before it connects again, because a peer that comes back
//! first shall not be turned away.

use super::ending::Ending;
use crate::io::State;
use crate::wire::frame::Kind;
use crate::wire::notification::Notification;
use crate::wire::open::Open;

/// What happens to a connection, beside in brackets the event of RFC 4271 §8.1.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// The session is wanted, and we connect [1, 3].
    Start,
    /// The session is wanted, and only the peer connects [4, 5].
    StartPassive,
    /// The session is not wanted [2, 8].
    Stop(Ending),
    /// It is time to connect [9].
    Retry,
    /// TCP is up [16, 17].
    Up,
    /// TCP could not be made, or ended [18].
    Lost(Ending),
    /// Nothing was heard for the hold time [10].
    HoldExpired(Ending),
    /// The peer has not read for the send hold time (RFC 9687 §4, [29]).
    SendHoldExpired(Ending),
    /// A KEEPALIVE is due [11].
    KeepaliveDue,
    /// OPEN [19], or what is wrong with it [22].
    Open(Result<Open, Notification>),
    /// KEEPALIVE [26].
    Keepalive,
    /// UPDATE [27], or what is wrong with it [28].
    Update(Result<(), Notification>),
    /// ROUTE-REFRESH (RFC 2918), or what is wrong with it.
    Refresh(Result<(), Notification>),
    /// NOTIFICATION [24, 25].
    Notification(Notification),
    /// A message that cannot be framed [21].
    Malformed(Notification),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// Open a TCP connection, in place of one that is not up yet: to Connect.
    Dial,
    /// Wait for the peer: to Active.
    Listen,
    /// Send OPEN, wait for the peer's: to OpenSent.
    Greet,
    /// Check the OPEN; if it holds, send KEEPALIVE: to OpenConfirm.
    Confirm(Open),
    /// To Established.
    Establish,
    /// Restart the hold timer.
    Hear,
    /// Send KEEPALIVE.
    Beat,
    /// End the connection: to Active, or to Idle if the session is not wanted.
    End(Ending),
}

/// The transition of a connection in `state`.
pub(super) fn step(state: State, input: Input) -> Step {
    use State::{Active, Connect, Established, Idle, OpenConfirm, OpenSent};
    match (state, input) {
        (Idle, Input::Start) => Step::Dial,
        (Idle, Input::StartPassive) => Step::Listen,
        (Idle, _) | (_, Input::Start | Input::StartPassive) => Step::Stay,
        (Active | Connect, Input::Retry) => Step::Dial,
        (Active | Connect, Input::Up) => Step::Greet,
        (Active, _) | (_, Input::Retry | Input::Up) => Step::Stay,
        (_, Input::Stop(ending) | Input::Lost(ending)) => Step::End(ending),
        // No message and no timer of a session comes before TCP is up.
        (Connect, _) => Step::Stay,

        (OpenSent | OpenConfirm | Established, Input::HoldExpired(ending)) => Step::End(ending),
        (OpenSent, Input::SendHoldExpired(_)) => Step::Stay,
        (OpenConfirm | Established, Input::SendHoldExpired(ending)) => Step::End(ending),
        (OpenSent | OpenConfirm | Established, Input::Malformed(error)) => Step::End(Ending::sent(error)),
        // Deviation: RFC 4271 §8.2.2 has 5/0 for a NOTIFICATION in OpenSent; §6.4 forbids to answer one.
        (OpenSent | OpenConfirm | Established, Input::Notification(notification)) => {
            Step::End(Ending::received(notification))
        }
        (OpenSent, Input::KeepaliveDue) => Step::Stay,
        (OpenConfirm | Established, Input::KeepaliveDue) => Step::Beat,

        (OpenSent, Input::Open(Ok(open))) => Step::Confirm(open),
        (OpenSent, Input::Open(Err(error))) => Step::End(Ending::sent(error)),
        (OpenConfirm, Input::Keepalive) => Step::Establish,
        (Established, Input::Keepalive | Input::Update(Ok(()))) => Step::Hear,
        (Established, Input::Update(Err(error)) | Input::Refresh(Err(error))) => {
            Step::End(Ending::sent(error))
        }
        (Established, Input::Refresh(Ok(()))) => Step::Stay,

        // RFC 6608 §4: 5/1, 5/2 and 5/3 by the state. An OPEN is judged by the
        // state before its content is (RFC 4271 §8.2.2, CollisionDetectEstablishedState off).
        (OpenConfirm | Established, Input::Open(_)) => Step::End(Ending::unexpected(state, Kind::Open)),
        (OpenSent, Input::Keepalive) => Step::End(Ending::unexpected(state, Kind::Keepalive)),
        (OpenSent | OpenConfirm, Input::Update(_)) => Step::End(Ending::unexpected(state, Kind::Update)),
        (OpenSent | OpenConfirm, Input::Refresh(_)) => {
            Step::End(Ending::unexpected(state, Kind::RouteRefresh))
        }
    }
}
