//! What happens to the router in use.

/// A failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The link to it loses its carrier.
    LinkDown,
    /// It ends the session by a NOTIFICATION.
    Reset,
    /// Nothing comes from it or gets to it any more; BFD looks after it, 50 ms × 3.
    Bfd,
    /// The same without BFD: the hold time of 3 s has to pass.
    Hold,
    /// It has announced another address as next hop, and the link to that one loses its carrier.
    NextHop,
    /// It forwards nothing and answers no BFD, and its session lives on.
    Deaf,
}

/// All of them.
pub const EVENTS: [Event; 6] =
    [Event::LinkDown, Event::Reset, Event::Bfd, Event::Hold, Event::NextHop, Event::Deaf];

impl Event {
    /// A word to choose it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkDown => "link-down",
            Self::Reset => "reset",
            Self::Bfd => "bfd",
            Self::Hold => "hold",
            Self::NextHop => "next-hop",
            Self::Deaf => "deaf",
        }
    }

    /// What happens, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::LinkDown => "the link to it goes down",
            Self::Reset => "it ends the session",
            Self::Bfd => "it falls silent, BFD 50 ms × 3",
            Self::Hold => "it falls silent, no BFD, hold time 3 s",
            Self::NextHop => "the next hop that it announced vanishes",
            Self::Deaf => "it forwards nothing and keeps its session, BFD 50 ms × 3",
        }
    }

    /// Whether BFD looks after the sessions.
    #[must_use]
    pub const fn has_bfd(self) -> bool {
        matches!(self, Self::Bfd | Self::Deaf)
    }
}
