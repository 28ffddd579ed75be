//! What happened to the agent, in the words of its log.

use std::net::IpAddr;

use bgp::id::Asn;
use bgp::io::{Note, Notice, State};
use bgp::time::Instant;

/// The most letters of an event's text: what is longer stands in the log.
const TEXT: usize = 512;

/// What kind of thing happened; the words are those of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The agent started.
    Started,
    /// A session changed its state, or failed to.
    Session,
    /// A NOTIFICATION went to a peer, or came from it.
    Notification,
    /// A peer sent malformed attributes that did not end its session (RFC 7606).
    Malformed,
    /// A configuration was applied.
    Configured,
    /// The source of the configuration cannot be read.
    ConfigurationUnread,
    /// The newest configuration was refused; the last good one stays.
    ConfigurationRefused,
    /// A part of the configuration could not be applied.
    ConfigurationIncomplete,
    /// What an earlier run has kept stands in for the source, is of no use, or stands in no longer.
    Checkpoint,
    /// The kernel driver met something unexpected.
    KernelTrouble,
    /// The transport met something unexpected.
    TransportTrouble,
    /// A peer came to a limit of prefixes.
    Limit,
    /// Routes of an earlier run that nobody asked for went.
    Settled,
    /// This agent restarts, or a peer does.
    Restart,
    /// Something beside routing cannot be done for the time being.
    Impaired,
    /// It can be done again.
    Recovered,
    /// The node was taken out of service.
    Drained,
    /// The node was put back into service.
    Undrained,
    /// An operator had everything exchanged anew with a peer.
    Refreshed,
}

impl EventKind {
    /// The kind's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Session => "session",
            Self::Notification => "notification",
            Self::Malformed => "malformed",
            Self::Configured => "configured",
            Self::ConfigurationUnread => "configuration-unread",
            Self::ConfigurationRefused => "configuration-refused",
            Self::ConfigurationIncomplete => "configuration-incomplete",
            Self::Checkpoint => "checkpoint",
            Self::KernelTrouble => "kernel-trouble",
            Self::TransportTrouble => "transport-trouble",
            Self::Limit => "limit",
            Self::Settled => "settled",
            Self::Restart => "restart",
            Self::Impaired => "impaired",
            Self::Recovered => "recovered",
            Self::Drained => "drained",
            Self::Undrained => "undrained",
            Self::Refreshed => "refreshed",
        }
    }
}

/// The peer that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPeer {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS where it is known.
    pub asn: Option<Asn>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
    /// To which peer.
    pub peer: Option<EventPeer>,
    /// The session's states before and after.
    pub states: Option<(State, State)>,
    /// Why, in one word.
    pub reason: Option<&'static str>,
    /// The particulars; may be empty.
    pub text: String,
}

impl Event {
    /// An event of the agent itself.
    #[must_use]
    pub fn new(kind: EventKind, text: &str, at: Instant) -> Self {
        Self { at, kind, peer: None, states: None, reason: None, text: text.chars().take(TEXT).collect() }
    }

    /// An event of one peer.
    #[must_use]
    pub fn of_peer(kind: EventKind, peer: EventPeer, text: &str, at: Instant) -> Self {
        Self { peer: Some(peer), ..Self::new(kind, text, at) }
    }

    /// A limit that was reached.
    #[must_use]
    pub fn limit(notice: &Notice, at: Instant) -> Self {
        let peer = EventPeer { name: notice.name.clone(), address: notice.address, asn: None };
        let reason = Some(notice.reason.word());
        Self { reason, ..Self::of_peer(EventKind::Limit, peer, &notice.text, at) }
    }

    /// What happened to a session.
    #[must_use]
    pub fn session(note: &Note, at: Instant) -> Self {
        let text = note.cause.as_ref().map_or("", |cause| cause.text.as_str());
        let peer = EventPeer { name: note.name.clone(), address: note.address, asn: note.asn };
        Self {
            states: Some((note.from, note.to)),
            reason: note.cause.as_ref().map(|cause| cause.reason.word()),
            ..Self::of_peer(EventKind::Session, peer, text, at)
        }
    }

    /// What became of the routes of a peer that restarts.
    #[must_use]
    pub fn restart(notice: &Notice, at: Instant) -> Self {
        let peer = EventPeer { name: notice.name.clone(), address: notice.address, asn: None };
        let event = Self::of_peer(EventKind::Restart, peer, &notice.text, at);
        Self { reason: Some(notice.reason.word()), ..event }
    }
}
