//! Who an agent is.

use crate::status::clock::Clock;

/// Who this agent is; fixed for its life.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// Where its configuration comes from, for people.
    pub source: String,
    /// The clock that instants count by.
    pub clock: Clock,
    /// Feeds hashes and jitter.
    pub seed: u64,
}
