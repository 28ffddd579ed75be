//! Who an agent is.

use crate::status::clock::Clock;

/// Who this agent is; fixed for its life.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// Where its configuration comes from, for people.
    pub source: String,
    /// Whether a Node that was deleted takes the node out of service: there is somebody who deletes Nodes.
    pub follows_node: bool,
    /// The clock that instants count by.
    pub clock: Clock,
    /// Whether an agent ran before in this boot and network namespace: this one restarts.
    pub restarts: bool,
    /// Feeds hashes and jitter.
    pub seed: u64,
}
