//! Who wants the node out of service, and how long that waits for peers to go elsewhere.

use bgp::time::{Duration, Instant};

use crate::drain::Drain;

/// One who wants the node out of service.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) drain: Drain,
    /// When the addresses of Services are withdrawn; `None` for never.
    pub(super) services_due: Option<Instant>,
}

impl Wish {
    /// One who says so at `now`, and waits for so long before addresses of Services go.
    pub(super) fn new(drain: Drain, wait: Option<Duration>, now: Instant) -> Self {
        Self { drain, services_due: wait.map(|wait| now + wait) }
    }

    /// Whether the wait is over.
    pub(super) fn waited(&self, now: Instant) -> bool {
        self.services_due.is_some_and(|due| due <= now)
    }
}

/// Who wants the node out of service.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// An operator.
    pub(super) operator: Option<Wish>,
    /// The Node.
    pub(super) node: Option<Wish>,
    /// What an earlier run has kept of the Node's, until the Node is seen.
    pub(super) before: Option<Drain>,
    /// Whether the Node was seen.
    pub(super) heeded: bool,
    /// When the next wait for peers is over.
    pub(super) due: Option<Instant>,
}

impl Service {
    /// All that there are, the operator first.
    pub(super) fn wishes(&self) -> impl Iterator<Item = &Wish> {
        self.operator.iter().chain(&self.node)
    }
}
