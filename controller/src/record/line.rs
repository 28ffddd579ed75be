//! What stands on a line of a recording.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bgp::bfd::View;
use bgp::config::SpeakerConfig;
use bgp::id::{ConnId, PeerId};
use bgp::io::{ConnectFailure, Event, NextHop, RouteAck};
use bgp::prefix::PerFamily;
use bgp::time::Instant;
use serde::{Deserialize, Serialize};

/// The format of recordings; another one is refused.
pub(super) const FORMAT: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Line<'a> {
    /// The first line.
    Start { format: u32, version: String, seed: u64, config: Box<SpeakerConfig> },
    /// A call of `resume`: the speaker restarts, the kernel kept these families, and these peers were up.
    Resume {
        forwarding: PerFamily<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<BTreeSet<IpAddr>>,
    },
    /// A call of `suspend`.
    Suspend { at: Instant },
    /// A call of `reconcile`.
    Reconcile { at: Instant, config: Box<SpeakerConfig> },
    /// A call of `handle`.
    Handle { at: Instant, event: Told<'a> },
    /// A call of `work`.
    Work { at: Instant },
    /// A call of `shutdown`.
    Shutdown { at: Instant, text: Cow<'a, str> },
    /// The end of a turn, counted from 1, with the digest of its effects.
    Turn { number: u64, digest: Cow<'a, str> },
    /// The recording was ended before the agent.
    Stopped { reason: Cow<'a, str> },
}

/// An event as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Told<'a> {
    Connected {
        conn: ConnId,
        local: SocketAddr,
    },
    ConnectFailed {
        conn: ConnId,
        #[serde(default)]
        failure: ConnectFailure,
        error: Cow<'a, str>,
    },
    Accepted {
        conn: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
    },
    Bytes {
        conn: ConnId,
        base64: String,
    },
    Written {
        conn: ConnId,
        bytes: usize,
    },
    Closed {
        conn: ConnId,
        error: Option<Cow<'a, str>>,
    },
    NextHop {
        next_hop: NextHop,
        metric: Option<u32>,
    },
    Acks(Cow<'a, [RouteAck]>),
    Bfd {
        peer: u32,
        view: Option<View>,
    },
    Reset {
        peer: u32,
    },
    Refresh {
        peer: u32,
    },
    Network,
    Timer,
}

impl<'a> From<Event<'a>> for Told<'a> {
    fn from(event: Event<'a>) -> Self {
        match event {
            Event::Connected { conn, local } => Self::Connected { conn, local },
            Event::ConnectFailed { conn, failure, error } => {
                Self::ConnectFailed { conn, failure, error: error.into() }
            }
            Event::Accepted { conn, local, remote } => Self::Accepted { conn, local, remote },
            Event::Bytes { conn, bytes } => Self::Bytes { conn, base64: STANDARD.encode(bytes) },
            Event::Written { conn, bytes } => Self::Written { conn, bytes },
            Event::Closed { conn, error } => Self::Closed { conn, error: error.map(Into::into) },
            Event::NextHop { next_hop, metric } => Self::NextHop { next_hop, metric },
            Event::Acks(acks) => Self::Acks(acks.into()),
            Event::Bfd { peer, view } => Self::Bfd { peer: peer.0, view },
            Event::Reset { peer } => Self::Reset { peer: peer.0 },
            Event::Refresh { peer } => Self::Refresh { peer: peer.0 },
            Event::Network => Self::Network,
            Event::Timer => Self::Timer,
        }
    }
}

impl Told<'_> {
    /// Hands the event to `take`; an error says what of the line is not one.
    pub(super) fn tell(&self, take: impl FnOnce(Event<'_>)) -> Result<(), String> {
        let bytes;
        take(match self {
            Self::Connected { conn, local } => Event::Connected { conn: *conn, local: *local },
            Self::ConnectFailed { conn, failure, error } => {
                Event::ConnectFailed { conn: *conn, failure: *failure, error }
            }
            Self::Accepted { conn, local, remote } => {
                Event::Accepted { conn: *conn, local: *local, remote: *remote }
            }
            Self::Bytes { conn, base64 } => {
                bytes = STANDARD.decode(base64).map_err(|error| format!("field `base64`: {error}"))?;
                Event::Bytes { conn: *conn, bytes: &bytes }
            }
            Self::Written { conn, bytes } => Event::Written { conn: *conn, bytes: *bytes },
            Self::Closed { conn, error } => Event::Closed { conn: *conn, error: error.as_deref() },
            Self::NextHop { next_hop, metric } => Event::NextHop { next_hop: *next_hop, metric: *metric },
            Self::Acks(acks) => Event::Acks(acks),
            Self::Bfd { peer, view } => Event::Bfd { peer: PeerId(*peer), view: *view },
            Self::Reset { peer } => Event::Reset { peer: PeerId(*peer) },
            Self::Refresh { peer } => Event::Refresh { peer: PeerId(*peer) },
            Self::Network => Event::Network,
            Self::Timer => Event::Timer,
        });
        Ok(())
    }
}
