//! What happens to those that route.

use super::tor::Kind;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The agent is killed, and another takes its place.
    Kill,
    /// The agent is asked to end, and another takes its place.
    Restart,
    /// The same, with another file.
    Upgrade,
    /// It is killed, and the next one, too, before it has heard anything.
    Twice,
    /// A peer that never answers is added.
    PeerAdded,
    /// It is removed.
    PeerRemoved,
    /// The hold time is another one.
    Timers,
    /// An import rule sets another preference.
    Policy,
    /// Both ends of the session with tor1 get a password.
    Password,
    /// The manifests are gone, and the agent is killed and started meanwhile.
    Source,
    /// The API server is gone, and the agent is killed and started meanwhile.
    ApiServer,
    /// The daemon of tor1 is killed, and another takes its place.
    Tor(Kind),
    /// The daemon of tor1 is killed, and what was kept of it is given up.
    TorGone,
    /// The agent is killed, and the next one does not know of it.
    Cold,
}

/// All of them.
pub const EVENTS: [Event; 16] = [
    Event::Kill,
    Event::Restart,
    Event::Upgrade,
    Event::Twice,
    Event::PeerAdded,
    Event::PeerRemoved,
    Event::Timers,
    Event::Policy,
    Event::Password,
    Event::Source,
    Event::ApiServer,
    Event::Tor(Kind::Bird),
    Event::Tor(Kind::Frr),
    Event::Tor(Kind::Gobgp),
    Event::TorGone,
    Event::Cold,
];

impl Event {
    /// A word to choose it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Upgrade => "upgrade",
            Self::Twice => "twice",
            Self::PeerAdded => "peer-added",
            Self::PeerRemoved => "peer-removed",
            Self::Timers => "timers",
            Self::Policy => "policy",
            Self::Password => "password",
            Self::Source => "source",
            Self::ApiServer => "api-server",
            Self::Tor(Kind::Bird) => "bird",
            Self::Tor(Kind::Frr) => "frr",
            Self::Tor(Kind::Gobgp) => "gobgp",
            Self::TorGone => "tor-gone",
            Self::Cold => "cold",
        }
    }

    /// What happens, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of the agent, and start",
            Self::Restart => "SIGTERM to the agent, and start",
            Self::Upgrade => "SIGTERM, and start of another file",
            Self::Twice => "kill -9 and start, twice at once",
            Self::PeerAdded => "a peer is added",
            Self::PeerRemoved => "a peer is removed",
            Self::Timers => "another hold time",
            Self::Policy => "an import rule",
            Self::Password => "a password at both ends",
            Self::Source => "manifests gone, kill -9 and start, manifests back",
            Self::ApiServer => "API server gone, kill -9 and start, API server back",
            Self::Tor(Kind::Bird) => "kill -9 of the ToR's BIRD, and start",
            Self::Tor(Kind::Frr) => "kill -9 of the ToR's FRR bgpd, and start",
            Self::Tor(Kind::Gobgp) => "kill -9 of the ToR's GoBGP, and start",
            Self::TorGone => "kill -9 of the ToR's BIRD, which never returns",
            Self::Cold => "kill -9, and a start without the marker",
        }
    }

    /// The daemon of tor1.
    #[must_use]
    pub const fn tor(self) -> Kind {
        if let Self::Tor(kind) = self { kind } else { Kind::Bird }
    }

    /// Whether it is to cost no packet. A cold start tells peers to forget what they have kept. FRR's zebra may take
    /// away what it has kept before bgpd, which has come back, installs the same.
    #[must_use]
    pub const fn is_free(self) -> bool {
        !matches!(self, Self::Cold | Self::Tor(Kind::Frr))
    }
}
