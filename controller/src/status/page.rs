//! Page tokens: where a page ended, bound to what was asked and to the run of
//! the agent, so that a token of another question is refused and not answered
//! with routes left out.

use std::time::{SystemTime, UNIX_EPOCH};

use bgp::view::{RouteCursor, RouteFilter};

/// Routes in a page if the request does not say.
const DEFAULT_SIZE: usize = 100;

/// The size of a page for the size in the request.
pub(super) fn size(requested: u32) -> usize {
    match usize::try_from(requested) {
        Ok(0) => DEFAULT_SIZE,
        Ok(size) => size.min(super::query::PAGE_LIMIT),
        Err(_) => super::query::PAGE_LIMIT,
    }
}

/// The token for a cursor; empty at the end.
pub(super) fn token(next: Option<RouteCursor>, filter: RouteFilter, started_at: SystemTime) -> String {
    next.map_or_else(String::new, |next| format!("{:x}.{:x}", next.0, seal(next, filter, started_at)))
}

/// The cursor in a token: `Ok(None)` for the empty token of the first page,
/// `Err` for a token that was not given out for this filter by this agent.
pub(super) fn cursor(
    token: &str,
    filter: RouteFilter,
    started_at: SystemTime,
) -> Result<Option<RouteCursor>, ()> {
    if token.is_empty() {
        return Ok(None);
    }
    let (next, sealed) = token.split_once('.').ok_or(())?;
    let next = RouteCursor(u64::from_str_radix(next, 16).map_err(drop)?);
    let sealed = u64::from_str_radix(sealed, 16).map_err(drop)?;
    if sealed == seal(next, filter, started_at) { Ok(Some(next)) } else { Err(()) }
}

/// FNV-1a over what the token is bound to: it keeps mistakes out, not malice,
/// since a made-up cursor does no more than start a page elsewhere.
fn seal(next: RouteCursor, filter: RouteFilter, started_at: SystemTime) -> u64 {
    let (kind, peer) = match filter {
        RouteFilter::All => (0, 0),
        RouteFilter::Received(peer) => (1, peer.0),
        RouteFilter::Rejected => (2, 0),
        RouteFilter::Sent(peer) => (3, peer.0),
        RouteFilter::Installed => (4, 0),
    };
    let run = started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let bytes = next.0.to_be_bytes().into_iter().chain([kind]).chain(peer.to_be_bytes());
    bytes
        .chain(run.to_be_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bgp::id::PeerId;

    #[test]
    fn token_is_bound_to_filter_and_run() {
        let run = UNIX_EPOCH + bgp::time::Duration::from_secs(1);
        let filter = RouteFilter::Received(PeerId(7));
        let given = token(Some(RouteCursor(42)), filter, run);
        assert_eq!(cursor(&given, filter, run), Ok(Some(RouteCursor(42))));
        assert_eq!(cursor(&given, RouteFilter::Received(PeerId(8)), run), Err(()));
        assert_eq!(cursor(&given, RouteFilter::Sent(PeerId(7)), run), Err(()));
        assert_eq!(cursor(&given, filter, UNIX_EPOCH), Err(()));
        for broken in [".", "2a", "2a.", "zz.1", "-1.2", "11111111111111111.1"] {
            assert_eq!(cursor(broken, filter, run), Err(()), "{broken}");
        }
        assert_eq!(cursor("", filter, run), Ok(None));
        assert_eq!(token(None, filter, run), "");
    }

    #[test]
    fn page_size_is_bounded() {
        assert_eq!([0, 1, 1000, 1001, u32::MAX].map(size), [100, 1, 1000, 1000, 1000]);
    }
}
