//! Whom a restart waits for: the peers that were up when the run before ended.
//! One that was away then has left nothing that could be lost, and would hold up
//! the others for as long as it stays away.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bgp::io::State;
use bgp::speaker::Speaker;
use bgp::view::PeerView;

/// Whom this run waits for, and whom the next one would.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    /// The peers that an earlier run has left up; `None` if that is not known.
    expected: Option<BTreeSet<IpAddr>>,
    /// What was told last.
    told: BTreeSet<IpAddr>,
    /// Whether sessions have moved since.
    moved: bool,
    /// Whether the speaker was recovering then.
    recovering: bool,
}

impl Awaited {
    /// An earlier run has left sessions with these peers.
    pub(super) fn only(&mut self, peers: BTreeSet<IpAddr>) {
        self.expected = Some(peers);
    }

    /// Whom this run waits for, if that is known.
    pub(super) fn expected(&self) -> Option<BTreeSet<IpAddr>> {
        self.expected.clone()
    }

    /// Sessions have moved.
    pub(super) const fn moved(&mut self) {
        self.moved = true;
    }

    /// Whom the next run is to wait for, where that has changed.
    pub(super) fn news(&mut self, speaker: &Speaker) -> Option<BTreeSet<IpAddr>> {
        let recovering = speaker.is_recovering();
        if !std::mem::take(&mut self.moved) && recovering == self.recovering {
            return None;
        }
        self.recovering = recovering;
        let awaited = speaker.awaited();
        if awaited == self.told {
            return None;
        }
        self.told.clone_from(&awaited);
        Some(awaited)
    }

    /// Whether a peer may ask for routes again that an earlier run has left.
    pub(super) fn counts(&self, peer: &PeerView) -> bool {
        let expected = self.expected.as_ref().is_none_or(|expected| expected.contains(&peer.address));
        expected || peer.state == State::Established
    }
}
