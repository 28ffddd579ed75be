//! Peers that nobody has named one by one: whoever connects from a prefix is one
//! until its session is over and none of its routes is kept.
//!
//! ```text
//!  accepted ─> in the longest prefix, and there is room ─> a peer ─> session over, nothing kept ─> gone
//!                └ else: a stranger
//! ```

use std::net::IpAddr;

use crate::config::{DynamicPeers, PeerConfig};
use crate::id::PeerId;
use crate::io::{Effects, State};
use crate::speaker::Speaker;
use crate::speaker::peer::Peer;
use crate::time::Instant;

impl Speaker {
    /// Whether a connection from the address is a peer's: one that is configured, or one that may become one.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        self.has_peer(address) || self.admitted(address).is_some()
    }

    /// What a peer at the address would be that is not there yet.
    pub(super) fn admitted(&self, address: IpAddr) -> Option<PeerConfig> {
        let range = self.range(address)?;
        let (name, config) = (&range.peer.name, &range.peer);
        let own = self.config.protected.addresses.contains(&address);
        let down = config.disabled || config.obstacle.is_some();
        let there = self.peers.values().filter(|peer| peer.dynamic && peer.config.name == *name).count();
        (!own && !down && there < range.most as usize).then(|| instance(range, address))
    }

    /// What a dynamic peer that is there is to be; `None` if no prefix holds it any more.
    pub(super) fn as_dynamic(&self, peer: &Peer) -> Option<PeerConfig> {
        let address = peer.config.address;
        peer.dynamic.then(|| self.range(address).map(|range| instance(range, address))).flatten()
    }

    /// Whether a peer may come from the address, now or later.
    pub(super) fn is_in_range(&self, address: IpAddr) -> bool {
        self.range(address).is_some()
    }

    fn range(&self, address: IpAddr) -> Option<&DynamicPeers> {
        let holding = self.config.dynamic.iter().filter(|range| range.prefix.covers(address));
        holding.max_by_key(|range| range.prefix.len())
    }

    /// Lets go of a dynamic peer of which nothing is left: no connection, no routes that are kept until it is back
    /// (RFC 4724 §4.2), and no rest after too many prefixes, which another connection would cut short.
    pub(super) fn let_go(&mut self, id: PeerId, effects: &mut Effects, now: Instant) {
        let over = |peer: &Peer| {
            peer.dynamic
                && !peer.session.is_connected()
                && peer.session.retry_at().is_none()
                && peer.kept_until().is_none()
        };
        let Some(peer) = self.peers.get(&id).filter(|peer| over(peer)) else { return };
        let (state, cause) = (peer.session.state(), peer.session.down());
        if state != State::Idle {
            self.note(id, state, State::Idle, cause, effects);
        }
        self.remove_peer(id, now);
    }
}

fn instance(range: &DynamicPeers, address: IpAddr) -> PeerConfig {
    PeerConfig { address, passive: true, ..range.peer.clone() }
}
