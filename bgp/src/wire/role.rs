//! The role of a speaker towards an external peer (RFC 9234 §4.1): what the two
//! ASes are to each other, and so which routes may pass between them.

/// A BGP Role. It is the speaker's own towards its peer, not the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Role {
    /// The peer is a customer: it may be sent every route.
    Provider = 0,
    /// The speaker is a route server, the peer its client.
    RouteServer = 1,
    /// The speaker is the client of a route server, the peer.
    RouteServerClient = 2,
    /// The peer is a provider: it is sent routes of customers and own ones.
    Customer = 3,
    /// The peer is one of equals: it is sent routes of customers and own ones.
    Peer = 4,
}

impl Role {
    /// The number in a capability (RFC 9234 §4.1, table 1).
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The only role that a peer of a speaker of this role may have (RFC 9234 §4.2, table 2).
    #[must_use]
    pub const fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Customer => Self::Provider,
            Self::Peer => Self::Peer,
        }
    }

    /// The name of a role's number, as RFC 9234 writes it.
    #[must_use]
    pub const fn name(code: u8) -> &'static str {
        match code {
            0 => "Provider",
            1 => "RS",
            2 => "RS-Client",
            3 => "Customer",
            4 => "Peer",
            _ => "unassigned",
        }
    }

    /// Whether the peer is below, so that what comes from above may go to it: a
    /// route that is Only To Customers comes from it by a leak (RFC 9234 §5, in 1).
    #[must_use]
    pub const fn is_above(self) -> bool {
        matches!(self, Self::Provider | Self::RouteServer)
    }
}
