//! Orders: events of the agent loop that carry the way back. Each is carried out within one turn.

use bgp::id::PeerId;
use tokio::sync::oneshot;

use crate::drain::Drain;

/// What the loop is to do.
#[derive(Debug)]
pub enum Order {
    /// Drain the node in this way, or put it back into service.
    Drain {
        /// How; `None` for in service.
        drain: Option<Drain>,
        /// The way back: what holds then, by the Node's own word if not by the operator's.
        reply: oneshot::Sender<Option<Drain>>,
    },
    /// End a peer's session and start it, or exchange everything anew while it stays.
    Reset {
        /// The peer.
        peer: PeerId,
        /// Whether the session stays.
        soft: bool,
        /// The way back: whether the peer's session could be reset, and if not, why.
        reply: oneshot::Sender<Result<(), String>>,
    },
}
