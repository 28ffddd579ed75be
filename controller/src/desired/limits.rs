//! Limits of prefixes as people write them, as the speaker has them.

use api::crd::peer::{LimitAction as Action, Limits};
use bgp::config::{LimitAction, ReceiveLimit};

/// The most prefixes a family of one peer: far above a full table of 2026, far
/// below what fills a node's memory.
pub(super) const RECEIVE: ReceiveLimit =
    ReceiveLimit { most: 1_000_000, warn_at: None, action: LimitAction::Reject };

/// What may come, and the most that is sent.
pub(super) fn limits(limits: Option<&Limits>) -> (ReceiveLimit, Option<u32>) {
    let receive = limits.and_then(|limits| limits.receive.as_ref()).map_or(RECEIVE, |limit| ReceiveLimit {
        most: limit.max,
        // In per cent; a share of a prefix counts as one.
        warn_at: limit.warn_at.map(|share| {
            let at = (u64::from(limit.max) * u64::from(share)).div_ceil(100);
            u32::try_from(at).unwrap_or(u32::MAX)
        }),
        action: match limit.action {
            Action::Warn => LimitAction::Warn,
            Action::Reject => LimitAction::Reject,
            Action::Reset => LimitAction::Reset,
        },
    });
    (receive, limits.and_then(|limits| limits.send.as_ref()).map(|limit| limit.max))
}
