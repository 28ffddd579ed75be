//! When a FabricNode is written: on change, soon where somebody waits for it,
//! seldom where only a count moves, never where nothing changed. Pure.

use std::time::Duration;

use api::crd::FabricNodeStatus;

/// The least time between two writes: a thousand nodes of which each peer flaps are 200 writes a second, no more.
pub const SOON: Duration = Duration::from_secs(5);

/// The least time between two writes of which the second only counts anew, or words what is down anew.
pub const SELDOM: Duration = Duration::from_secs(60);

/// How long after the last write a new status is written; `None` if it says the same.
#[must_use]
pub fn spacing(last: Option<&FabricNodeStatus>, next: &FabricNodeStatus) -> Option<Duration> {
    let Some(last) = last else { return Some(Duration::ZERO) };
    if last == next {
        return None;
    }
    Some(if weighty(last) == weighty(next) { SELDOM } else { SOON })
}

/// The status without what may change all the time while nothing happens.
fn weighty(status: &FabricNodeStatus) -> FabricNodeStatus {
    let mut status = FabricNodeStatus { routes: 0, ..status.clone() };
    for peer in &mut status.peers_down {
        // A failure that takes turns with another is one failure.
        (peer.reason, peer.message) = (String::new(), String::new());
    }
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    status
}

#[cfg(test)]
mod tests {
    use api::crd::node::PeerDown;

    use super::*;

    #[test]
    fn what_somebody_waits_for_is_soon_and_what_is_the_same_is_never() {
        let status = FabricNodeStatus { peers: "1/2".into(), routes: 7, ..FabricNodeStatus::default() };
        assert_eq!(spacing(None, &status), Some(Duration::ZERO));
        assert_eq!(spacing(Some(&status), &status), None);
        let count = FabricNodeStatus { routes: 8, ..status.clone() };
        assert_eq!(spacing(Some(&status), &count), Some(SELDOM));
        let down = |message: &str| {
            let peer = PeerDown { name: "tor".into(), message: message.into(), ..PeerDown::default() };
            FabricNodeStatus { peers_down: vec![peer], ..status.clone() }
        };
        assert_eq!(spacing(Some(&down("refused")), &down("timed out")), Some(SELDOM));
        assert_eq!(spacing(Some(&status), &down("refused")), Some(SOON));
        let peers = FabricNodeStatus { peers: "2/2".into(), ..status.clone() };
        assert_eq!(spacing(Some(&status), &peers), Some(SOON));
    }
}
