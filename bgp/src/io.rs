//! The two sides of the speaker's door: events go in, effects come out. Both
//! are plain data; effects come in batches.
//!
//! ```text
//!  Event -> Speaker::handle -> Effects { transport, sets, routes, tracking, notes, notices }
//! ```

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::bfd;
use crate::id::{Asn, ConnId, PeerId};
use crate::prefix::Prefix;
use crate::reason::Reason;
use crate::time::Instant;
use crate::wire::notification::Notification;

/// The most octets that one read gives.
pub const READ: usize = 64 << 10;

/// Something that happened outside.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A connection that [`Transport::Connect`] asked for is up.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
    },
    /// A connection that [`Transport::Connect`] asked for could not be made.
    ConnectFailed {
        /// The connection.
        conn: ConnId,
        /// Where it failed.
        failure: ConnectFailure,
        /// The operating system's words.
        error: &'a str,
    },
    /// Our listener accepted a connection.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Bytes as they were read, at most [`READ`].
    Bytes {
        /// The connection.
        conn: ConnId,
        /// The bytes, in any pieces.
        bytes: &'a [u8],
    },
    /// This many bytes of [`Transport::Write`] went to the operating system.
    Written {
        /// The connection.
        conn: ConnId,
        /// How many since the last such event.
        bytes: usize,
    },
    /// The connection ended. Not reported for one that [`Transport::Close`] ended.
    Closed {
        /// The connection.
        conn: ConnId,
        /// The operating system's words; `None` when the peer closed it in order.
        error: Option<&'a str>,
    },
    /// The kernel's view of a tracked next hop, at first and on each change.
    NextHop {
        /// The next hop.
        next_hop: NextHop,
        /// The metric of the route that resolves it; `None` if nothing does.
        metric: Option<u32>,
    },
    /// What became of a batch of [`RouteChange`]s.
    Acks(&'a [RouteAck]),
    /// What became of the BFD session with a peer (RFC 5882).
    Bfd {
        /// The peer.
        peer: PeerId,
        /// The session; `None` where there is none any more.
        view: Option<bfd::View>,
    },
    /// An operator wants a peer's session ended, and up again at once.
    Reset {
        /// The peer.
        peer: PeerId,
    },
    /// An operator wants all routes of a peer's session exchanged and judged anew, without a reset.
    Refresh {
        /// The peer.
        peer: PeerId,
    },
    /// Links or addresses of this machine changed: a peer that could not be reached may
    /// be there again.
    Network,
    /// A deadline that [`Speaker::deadline`](crate::speaker::Speaker::deadline) named has come.
    Timer,
}

/// Where an attempt to connect failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum ConnectFailure {
    /// The far side answered, or had its time to.
    #[default]
    Answered,
    /// Nobody was asked: this machine has no address or no way to the peer, which may be coming up.
    NoWay,
}

/// A BGP next hop, and how it may be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NextHop {
    /// The address.
    pub address: IpAddr,
    /// Whether a default route may resolve it.
    pub via_default: bool,
}

/// An ECMP set of next hops, numbered by the speaker; the number is used again
/// only after the set was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SetId(pub u32);

/// What the speaker wants done, in the order of its fields.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the transport.
    pub transport: Vec<Transport>,
    /// For the kernel: next hops whose resolution is wanted, or not any more.
    pub tracking: Vec<Tracking>,
    /// For the kernel: new and changed next-hop sets, before the routes that name them.
    pub sets: Vec<SetChange>,
    /// For the kernel: routes.
    pub routes: Vec<RouteChange>,
    /// For people: what happened to sessions.
    pub notes: Vec<Note>,
    /// For people: limits that were reached.
    pub notices: Vec<Notice>,
}

impl Effects {
    /// Whether nothing is wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transport.is_empty()
            && self.tracking.is_empty()
            && self.sets.is_empty()
            && self.routes.is_empty()
            && self.notes.is_empty()
            && self.notices.is_empty()
    }
}

/// An effect on TCP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Open a connection; answered by `Connected` or `ConnectFailed`.
    Connect {
        /// The number that the connection shall have.
        conn: ConnId,
        /// Where to.
        remote: SocketAddr,
        /// Where from.
        source: Option<IpAddr>,
    },
    /// Write bytes; answered by `Written`, in one or more parts.
    Write {
        /// The connection.
        conn: ConnId,
        /// Whole messages.
        bytes: Bytes,
    },
    /// Close the connection after what was written; not answered. A `Connect`
    /// that is under way is given up.
    Close {
        /// The connection.
        conn: ConnId,
    },
}

/// Whether a next hop's resolution is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Report it by [`Event::NextHop`], at once and on change.
    Start(NextHop),
    /// Stop.
    Stop(NextHop),
}

/// A next-hop set is made, changes its members, or goes. A change of members
/// applies to every route that names the set: without members, those are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// The set.
    pub id: SetId,
    /// Its members, ordered; empty when none of them resolves any more, which a
    /// [`RouteChange`] for each route follows, or when no route names the set.
    pub members: Vec<NextHop>,
}

/// A route is wanted, with the set of next hops, or not wanted (`None`).
/// The newest change of a prefix counts; acknowledged by [`RouteAck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// The destination.
    pub prefix: Prefix,
    /// The next hops.
    pub set: Option<SetId>,
}

/// What the kernel says to a [`RouteChange`]. Where several changes of one
/// prefix were merged, the newest alone is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RouteAck {
    /// The destination.
    pub prefix: Prefix,
    /// The set that the change named.
    pub set: Option<SetId>,
    /// Zero, or the kernel's positive error number.
    pub errno: u16,
}

/// The states of RFC 4271 §8.2.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Refuses all connections.
    #[default]
    Idle,
    /// Waits for the connection that it opens.
    Connect,
    /// Waits for the peer, or for the time to connect again.
    Active,
    /// Has sent its OPEN.
    OpenSent,
    /// Has accepted the peer's OPEN.
    OpenConfirm,
    /// Exchanges routes.
    Established,
}

impl State {
    /// The state's name as the RFC writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        }
    }
}

/// Why a session is not, or no longer, Established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downfall {
    /// The reason.
    pub reason: Reason,
    /// The same with its particulars, such as `peer AS is 65010, expected 65000`.
    pub text: String,
}

/// A limit of an Established session that was reached, one each time it is; or
/// a NOTIFICATION that went or came, one until another one does or the session is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The peer's name.
    pub name: String,
    /// The peer's address.
    pub address: IpAddr,
    /// The reason.
    pub reason: Reason,
    /// The same with its particulars, such as `IPv4: 800 prefixes received, the limit is 1000`.
    pub text: String,
}

/// Something that an operator wants to know of; one a state change, none a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The peer that it is about.
    pub peer: PeerId,
    /// The peer's name.
    pub name: String,
    /// The peer's address.
    pub address: IpAddr,
    /// The peer's AS where it is known.
    pub asn: Option<Asn>,
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why, where the change is not one of progress.
    pub cause: Option<Downfall>,
}

/// Octets of a NOTIFICATION's data that are kept: a longer one repeats a whole
/// attribute of an UPDATE, whose beginning tells which.
const KEPT: usize = 256;

/// A NOTIFICATION, and when it went or came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// Its first 256 octets of data, and all of the rest.
    pub notification: Notification,
    /// How many octets of data it had.
    pub data_len: usize,
}

impl Told {
    /// Keeps what is shown of a NOTIFICATION.
    #[must_use]
    pub fn new(notification: &Notification, at: Instant) -> Self {
        let Notification { code, subcode, ref data } = *notification;
        let kept = data.get(..KEPT).unwrap_or(data).to_vec();
        Self { at, notification: Notification { code, subcode, data: kept }, data_len: data.len() }
    }

    /// Code, subcode and the data that was kept, such as `06 02 02 68 69`.
    #[must_use]
    pub fn hex(&self) -> String {
        let Notification { code, subcode, data } = &self.notification;
        let octets = [*code, *subcode].into_iter().chain(data.iter().copied());
        octets.map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(" ")
    }
}

/// The last one each way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notifications {
    /// What we sent.
    pub sent: Option<Told>,
    /// What the peer sent.
    pub received: Option<Told>,
}
