//! Whom to watch and how, and what is told of it: plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bgp::bfd::{Config, View};

/// How far away a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distance {
    /// On a link of this node (RFC 5881): a packet that was forwarded is nobody's.
    OneHop,
    /// Beyond a router, or maybe so (RFC 5883).
    Several,
}

/// One peer to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// How often, and how many packets may be missed.
    pub config: Config,
    /// How far away.
    pub distance: Distance,
    /// The own address that the peer knows; the kernel's choice if there is none.
    pub source: Option<IpAddr>,
}

/// All peers to watch.
pub type Watch = BTreeMap<IpAddr, Watched>;

/// What is told of a session.
#[derive(Clone, Debug)]
pub enum News {
    /// It changed.
    Changed {
        /// The peer.
        peer: IpAddr,
        /// The session; `None` where there is none any more.
        view: Option<View>,
    },
    /// Something is in the way of all or of one, in words.
    Trouble(String),
}
