//! What a session asks of its caller.

use std::net::{IpAddr, SocketAddr};

use super::negotiate::Negotiated;
use crate::id::ConnId;
use crate::io::{Downfall, State};
use crate::prefix::{Family, PerFamily};
use crate::wire::notification::Notification;
use crate::wire::refresh::Subtype;

/// Something to be carried out, in the order in which it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a connection; the answer is `connected` or `connect_failed`.
    Connect {
        /// The number that it has.
        conn: ConnId,
        /// Where to.
        remote: SocketAddr,
        /// Where from.
        source: Option<IpAddr>,
    },
    /// Write whole messages.
    Write {
        /// The connection.
        conn: ConnId,
        /// The messages.
        bytes: Vec<u8>,
    },
    /// Close the connection after what was written, or give the attempt to
    /// connect up. The session knows nothing of the connection from here on.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// The session is Established: UPDATEs may be sent, and may come.
    Established(Negotiated),
    /// The session is Established no more: what the peer sent is void, but for
    /// families that are kept until the peer has restarted (RFC 4724 §4.2).
    Down {
        /// Why.
        cause: Downfall,
        /// The families that are kept.
        kept: PerFamily<bool>,
    },
    /// The session's state changed; the cause is there unless it is progress.
    Moved {
        /// The state before.
        from: State,
        /// The state after.
        to: State,
        /// Why, where the change is not one of progress.
        cause: Option<Downfall>,
    },
}

/// Where the messages of the Established connection go.
pub trait Sink {
    /// An UPDATE's body, the octets after the header. An error is sent as
    /// NOTIFICATION, and the session ends.
    ///
    /// # Errors
    /// What RFC 4271 §6.3 answers with a NOTIFICATION where RFC 7606 does not
    /// ask for less.
    fn update(&mut self, negotiated: &Negotiated, body: &[u8]) -> Result<(), Notification>;

    /// The peer asks for all routes of a negotiated family again (RFC 2918), or
    /// marks the begin or the end of such an answer (RFC 7313).
    fn refresh(&mut self, negotiated: &Negotiated, family: Family, subtype: Subtype);
}
