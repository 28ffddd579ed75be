//! What an agent does beside routing, and may be unable to do for a time: routes and sessions go on without it.

/// A thing that may fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impairment {
    /// The last good configuration is not kept on disk.
    Checkpoint,
    /// Packets of pods leave under their own addresses, or under others' than is wanted.
    Masquerade,
    /// Neighbours on links without addresses are not found, and do not find this node.
    Discovery,
    /// The container runtime and the plugin are not told of the network.
    PodNetwork,
    /// What the agent is told is recorded no longer.
    Recording,
    /// The status is not served.
    StatusSocket,
    /// The metrics are not served.
    Metrics,
    /// No orders are taken.
    OperatorSocket,
    /// What was kept of a drain cannot be read.
    Drain,
    /// It is not known, or not understood, what the Node says of being out of service.
    Cordon,
    /// Since when the Node is out of service is not known, or not kept for the next run.
    CordonFile,
}

impl Impairment {
    /// The thing's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Masquerade => "masquerade",
            Self::Discovery => "discovery",
            Self::PodNetwork => "pod-network",
            Self::Recording => "recording",
            Self::StatusSocket => "status-socket",
            Self::Metrics => "metrics",
            Self::OperatorSocket => "operator-socket",
            Self::Drain => "drain",
            Self::Cordon => "cordon",
            Self::CordonFile => "cordon-file",
        }
    }
}
