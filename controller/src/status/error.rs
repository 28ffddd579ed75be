//! What StatusService answers when it cannot answer: google.rpc.Status with an
//! ErrorInfo, so that a program need not read the sentence.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "underlay.dev";

/// An ErrorInfo's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not a prefix.
    InvalidPrefix,
    /// The text is not an address.
    InvalidAddress,
    /// No pod of this name is known.
    UnknownPod,
    /// No Service of this name is known.
    UnknownService,
    /// The page token is not one of this run and this filter.
    InvalidPageToken,
    /// Explain was not told what to explain.
    MissingSubject,
    /// No peer has this name or address.
    UnknownPeer,
    /// Several peers have this name.
    AmbiguousPeer,
    /// The agent did not answer in time.
    AgentBusy,
    /// What the reader has yet to be told is not held any more.
    ReaderOvertaken,
    /// As many readers watch as may.
    TooManyReaders,
    /// A time that cannot be meant.
    InvalidDuration,
    /// A reason that is not a line for people.
    InvalidReason,
    /// The disk does not take a drain, or its end.
    DrainNotKept,
    /// The session is not in a state for what is asked.
    PeerDown,
    /// The agent is on its way out.
    AgentStopping,
}

impl Fault {
    /// The reason as it is written in ErrorInfo.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::InvalidPrefix => "INVALID_PREFIX",
            Self::InvalidAddress => "INVALID_ADDRESS",
            Self::UnknownPod => "UNKNOWN_POD",
            Self::UnknownService => "UNKNOWN_SERVICE",
            Self::InvalidPageToken => "INVALID_PAGE_TOKEN",
            Self::MissingSubject => "MISSING_SUBJECT",
            Self::UnknownPeer => "UNKNOWN_PEER",
            Self::AmbiguousPeer => "AMBIGUOUS_PEER",
            Self::AgentBusy => "AGENT_BUSY",
            Self::ReaderOvertaken => "READER_OVERTAKEN",
            Self::TooManyReaders => "TOO_MANY_READERS",
            Self::InvalidDuration => "INVALID_DURATION",
            Self::InvalidReason => "INVALID_REASON",
            Self::DrainNotKept => "DRAIN_NOT_KEPT",
            Self::PeerDown => "PEER_DOWN",
            Self::AgentStopping => "AGENT_STOPPING",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::InvalidPrefix
            | Self::InvalidAddress
            | Self::InvalidPageToken
            | Self::MissingSubject
            | Self::InvalidDuration
            | Self::InvalidReason
            | Self::AmbiguousPeer => Code::InvalidArgument,
            Self::UnknownPeer | Self::UnknownPod | Self::UnknownService => Code::NotFound,
            Self::AgentBusy => Code::DeadlineExceeded,
            Self::ReaderOvertaken => Code::Aborted,
            Self::TooManyReaders => Code::ResourceExhausted,
            Self::DrainNotKept => Code::Internal,
            Self::PeerDown => Code::FailedPrecondition,
            Self::AgentStopping => Code::Unavailable,
        }
    }

    /// The status to answer with.
    #[must_use]
    pub fn status(self, message: impl Into<String>) -> Status {
        self.status_with(message, [])
    }

    /// The same with metadata in its ErrorInfo.
    pub(super) fn status_with<const N: usize>(
        self,
        message: impl Into<String>,
        metadata: [(&str, String); N],
    ) -> Status {
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let details = ErrorDetails::with_error_info(self.word(), DOMAIN, metadata);
        Status::with_error_details(self.code(), message, details)
    }
}
