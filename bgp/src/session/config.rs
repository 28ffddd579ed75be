//! What one session is asked to be, cut out of the speaker's configuration.

use std::net::{IpAddr, SocketAddr};

use super::ending;
use crate::config::{AddPath, Obstacle, PeerAs, PeerConfig, Restart, SpeakerConfig, Timers};
use crate::id::{Asn, RouterId};
use crate::io::Downfall;
use crate::prefix::PerFamily;
use crate::reason::Reason;
use crate::wire::notification::Notification;
use crate::wire::role::Role;
use crate::zone;

/// The configuration of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The AS that we say is ours: the speaker's own, or another one towards this peer (RFC 7705 §3).
    pub local_asn: Asn,
    /// The speaker's BGP Identifier.
    pub router_id: RouterId,
    /// The AS that the peer may have.
    pub peer_as: PeerAs,
    /// Our role, where the peer is not of our own AS by configuration, and whether the peer has to say its own.
    pub role: Option<(Role, bool)>,
    /// The families to offer.
    pub families: PerFamily<bool>,
    /// The session's timers.
    pub timers: Timers,
    /// What is said of restarts.
    pub restart: Restart,
    /// How many paths of a prefix are exchanged.
    pub add_path: AddPath,
    /// Whether IPv6 next hops of IPv4 prefixes are understood (RFC 8950).
    pub extended_next_hop: bool,
    /// Whether only the peer connects.
    pub passive: bool,
    /// Whether the session is kept down on purpose.
    pub disabled: bool,
    /// Whether the transport authenticates the peer (RFC 2385).
    pub authenticated: bool,
    /// What is in the way of the session, which is kept down meanwhile.
    pub obstacle: Option<Obstacle>,
    /// What the peer's operator is told where the session is ended on purpose (RFC 9003), beside the reason.
    pub description: String,
    /// The peer's address and port, with the zone of a link-local one as its scope.
    pub remote: SocketAddr,
    /// The own address to connect from.
    pub source: Option<IpAddr>,
}

impl SessionConfig {
    /// The session's part of a speaker's and a peer's configuration.
    #[must_use]
    pub fn of(speaker: &SpeakerConfig, peer: &PeerConfig) -> Self {
        let internal =
            matches!(peer.asn, PeerAs::Internal) || peer.asn == PeerAs::Exactly(peer.session_as(speaker.asn));
        Self {
            local_asn: peer.session_as(speaker.asn),
            router_id: speaker.router_id,
            // With another AS than its own the speaker is outside of every AS (RFC 7705 §3).
            peer_as: match peer.asn {
                PeerAs::Any if peer.local_as.is_some() => PeerAs::External,
                asn => asn,
            },
            // RFC 9234 §4: roles are for external sessions.
            role: peer.role.filter(|_| !internal).map(|role| (role, peer.strict_role)),
            families: peer.families,
            timers: peer.timers,
            restart: peer.restart,
            add_path: peer.add_path,
            extended_next_hop: peer.extended_next_hop,
            passive: peer.passive,
            disabled: peer.disabled,
            authenticated: peer.authenticated,
            obstacle: peer.obstacle.clone(),
            description: peer.description.clone(),
            remote: zone::socket(peer.address, peer.port),
            source: peer.source,
        }
    }

    /// The Cease for an end that is wanted: 6/2 with the reason and the peer's
    /// description for the operator on the other side (RFC 9003 §2).
    #[must_use]
    pub fn farewell(&self, cause: &Downfall) -> Notification {
        let reason = cause.reason.says();
        match self.description.as_str() {
            "" => Notification::administrative_shutdown(reason),
            description => Notification::administrative_shutdown(&format!("{reason}: {description}")),
        }
    }

    /// Why the configuration keeps the session down.
    pub(super) fn held(&self) -> Option<Downfall> {
        let hindered =
            |obstacle: &Obstacle| Downfall { reason: obstacle.reason(), text: obstacle.text().to_owned() };
        let disabled = self.disabled.then(|| ending::plain(Reason::Disabled));
        disabled.or_else(|| self.obstacle.as_ref().map(hindered))
    }

    /// Whether what keeps the session down may pass by itself, so that routes outlast it.
    pub(super) fn may_return(&self) -> bool {
        !self.disabled && self.obstacle.as_ref().is_some_and(Obstacle::is_of_addresses)
    }

    /// Whether a connection made under this configuration cannot go on under
    /// `next`: our OPEN would say something else, or TCP would run between other
    /// addresses. Timers hold from the next session on.
    pub(super) fn demands_reset(&self, next: &Self) -> bool {
        self.local_asn != next.local_asn
            || self.router_id != next.router_id
            || self.role != next.role
            || self.families != next.families
            || self.add_path.receive != next.add_path.receive
            || (self.add_path.send > 0) != (next.add_path.send > 0)
            || self.authenticated != next.authenticated
            || self.extended_next_hop != next.extended_next_hop
            || zone::of_socket(self.remote) != zone::of_socket(next.remote)
    }
}
