//! What the speaker is asked to be: plain data that the caller computes whole;
//! [`Speaker::reconcile`](crate::speaker::Speaker::reconcile) applies the difference.

mod restart;

pub use self::restart::{LongLived, PeerRestart, Restart};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::id::{Asn, RouterId};
use crate::prefix::{PerFamily, Prefix};
use crate::reason::Reason;
use crate::rule::{RouteOrigin, Rules};
use crate::time::Duration;
use crate::wire::community::{Community, LargeCommunity};
use crate::wire::role::Role;

/// The whole desired configuration of a speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SpeakerConfig {
    /// The speaker's own AS.
    pub asn: Asn,
    /// The speaker's BGP Identifier.
    pub router_id: RouterId,
    /// Whether learned paths are sent on.
    pub transit: bool,
    /// The CLUSTER_ID of this speaker as a route reflector (RFC 4456 §7); its BGP
    /// Identifier if unset.
    pub cluster_id: Option<RouterId>,
    /// How far the speaker is taken out of service.
    pub drain: Drain,
    /// Whether selected paths are handed to the kernel, and their acknowledgement awaited.
    pub install: bool,
    /// The most next hops of an ECMP set, at least 1.
    pub max_paths: u8,
    /// Whether ECMP asks for equal AS_PATH length only, not for equal paths.
    pub relax_as_path: bool,
    /// Prefixes that this speaker originates, ordered by prefix, each once.
    pub origins: Vec<Origination>,
    /// What a learned route must never touch.
    pub protected: Protected,
    /// The peers, ordered by address, each address once.
    pub peers: Vec<PeerConfig>,
    /// Whoever else may be a peer, ordered by prefix, each prefix once; the longest counts.
    #[cfg_attr(feature = "serde", serde(default))]
    pub dynamic: Vec<DynamicPeers>,
}

impl SpeakerConfig {
    /// A speaker without peers and prefixes of its own that sends nothing on and
    /// installs what it selects, 16 next hops a route at most.
    #[must_use]
    pub fn new(asn: Asn, router_id: RouterId) -> Self {
        Self {
            asn,
            router_id,
            transit: false,
            cluster_id: None,
            drain: Drain::No,
            install: true,
            max_paths: 16,
            relax_as_path: true,
            origins: Vec::new(),
            protected: Protected::default(),
            peers: Vec::new(),
            dynamic: Vec::new(),
        }
    }

    /// The number that stands for this speaker in a CLUSTER_LIST (RFC 4456 §7).
    #[must_use]
    pub fn cluster(&self) -> RouterId {
        self.cluster_id.unwrap_or(self.router_id)
    }

    /// Whether this speaker is a route reflector: it has a CLUSTER_ID, or a client.
    #[must_use]
    pub fn is_reflector(&self) -> bool {
        self.cluster_id.is_some() || self.peers.iter().any(|peer| peer.reflector_client)
    }
}

/// Peers that are not known one by one: each is one while its session lasts, or its routes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DynamicPeers {
    /// Where they connect from.
    pub prefix: Prefix,
    /// The most at a time, over all entries whose peers have the same name.
    pub most: u32,
    /// What each of them is, but for its address. Only they connect.
    pub peer: PeerConfig,
}

/// How far a speaker is taken out of service. Sessions stay, and what was learned stays in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Drain {
    /// It is in service.
    #[default]
    No,
    /// What is sent asks peers to prefer any other path: GRACEFUL_SHUTDOWN, and
    /// LOCAL_PREF 0 inside the AS (RFC 8326 §4).
    Shunned {
        /// Whether prefixes of pods are not sent at all.
        pods: bool,
        /// Whether addresses of Services are not sent at all.
        services: bool,
    },
}

impl Drain {
    /// All is sent yet, and shunned.
    pub const SHUNNED: Self = Self::Shunned { pods: false, services: false };

    /// Whether prefixes of this origin are not sent at all.
    #[must_use]
    pub const fn withholds(self, origin: RouteOrigin) -> bool {
        match self {
            Self::No => false,
            Self::Shunned { pods, services } => match origin {
                RouteOrigin::PodCidr => pods,
                RouteOrigin::Service => services,
                RouteOrigin::Static | RouteOrigin::Learned => false,
            },
        }
    }
}

/// A prefix that the speaker originates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Origination {
    /// The prefix.
    pub prefix: Prefix,
    /// Where it comes from, as export rules tell.
    pub origin: RouteOrigin,
    /// Standard communities (RFC 1997).
    pub communities: Vec<Community>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// LOCAL_PREF towards internal peers; 100 if unset.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC; not sent if unset.
    pub med: Option<u32>,
}

impl Origination {
    /// A prefix that the configuration names, without attributes of its own.
    #[must_use]
    pub const fn new(prefix: Prefix) -> Self {
        Self {
            prefix,
            origin: RouteOrigin::Static,
            communities: Vec::new(),
            large_communities: Vec::new(),
            local_preference: None,
            med: None,
        }
    }
}

/// Prefixes and addresses that stay as they are whatever a peer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Protected {
    /// The node's own prefixes (PodCIDRs).
    pub own: Vec<Prefix>,
    /// Connected subnets.
    pub connected: Vec<Prefix>,
    /// Own addresses: never a next hop either.
    pub addresses: Vec<IpAddr>,
    /// Directly connected peers, the API server in use.
    pub hosts: Vec<IpAddr>,
}

/// Which AS a peer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PeerAs {
    /// Just this one.
    Exactly(Asn),
    /// Any but our own.
    External,
    /// Our own.
    Internal,
    /// Any.
    Any,
}

impl PeerAs {
    /// Whether a peer with AS `asn` is the expected one of a speaker with AS `own`.
    #[must_use]
    pub fn admits(self, asn: Asn, own: Asn) -> bool {
        match self {
            Self::Exactly(expected) => asn == expected,
            Self::External => asn != own,
            Self::Internal => asn == own,
            Self::Any => true,
        }
    }
}

/// How the next hop of a path that is sent is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum NextHopMode {
    /// Own address towards external peers, unchanged towards internal ones.
    #[default]
    Auto,
    /// An own address, but for what is reflected (RFC 4456 §10).
    Own,
    /// As received, wherever the family allows.
    Unchanged,
}

/// Session timers (RFC 4271 §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Timers {
    /// The proposed hold time, whole seconds: zero, or at least 3.
    pub hold: Duration,
    /// The time between KEEPALIVEs; at most a third of the negotiated hold time.
    pub keepalive: Duration,
    /// The time between attempts to connect, before jitter.
    pub connect_retry: Duration,
}

/// How many paths of a prefix are exchanged with a peer (RFC 7911).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddPath {
    /// Whether several paths of a prefix are taken.
    pub receive: bool,
    /// The most paths of a prefix that are sent, the best ones; zero: several are not offered.
    pub send: u8,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerConfig {
    /// The peer's name for people; not unique.
    pub name: String,
    /// A few words for people, the peer's own among them (RFC 9003); may be empty.
    pub description: String,
    /// The peer's address: its key. A link-local one carries its [zone](crate::zone).
    pub address: IpAddr,
    /// The peer's TCP port.
    pub port: u16,
    /// The own address to connect from.
    pub source: Option<IpAddr>,
    /// Whether only the peer connects.
    pub passive: bool,
    /// Whether the session is kept down on purpose.
    pub disabled: bool,
    /// The AS that the peer may have.
    pub asn: PeerAs,
    /// The families to offer.
    pub families: PerFamily<bool>,
    /// The session's timers.
    pub timers: Timers,
    /// What is said of restarts.
    pub restart: Restart,
    /// How many paths of a prefix are exchanged, in each family.
    pub add_path: AddPath,
    /// Whether IPv6 next hops of IPv4 prefixes are understood, and wanted where no own
    /// IPv4 address can be named (RFC 8950).
    #[cfg_attr(feature = "serde", serde(default))]
    pub extended_next_hop: bool,
    /// Whether the peer's next hops may resolve by a default route (mesh and multihop peers).
    pub via_default: bool,
    /// The own addresses to name as next hop towards this peer.
    pub own_next_hop: OwnNextHop,
    /// How next hops are chosen.
    pub next_hop: NextHopMode,
    /// The AS that the peer, which is external, knows this speaker by (RFC 7705 §3).
    pub local_as: Option<LocalAs>,
    /// Our role towards an external peer (RFC 9234 §4); none: neither roles nor OTC are looked at.
    pub role: Option<Role>,
    /// Whether a peer that does not say its role is refused (RFC 9234 §4.2, strict mode).
    pub strict_role: bool,
    /// Whether an internal peer is a client of this speaker, which reflects (RFC 4456 §5).
    pub reflector_client: bool,
    /// What is asked of its AS_PATHs, and done to those that it is sent.
    pub as_path: AsPathPolicy,
    /// Prefixes that may be learned, themselves and longer; `None` means any.
    pub accept: Option<Vec<Prefix>>,
    /// Whether a default route may be learned.
    pub accept_default: bool,
    /// What is considered of what the other rules let in, and how it is changed.
    pub import: Rules,
    /// What is sent of what may be sent at all, and how it is changed.
    pub export: Rules,
    /// How many prefixes of a family may come.
    pub receive: ReceiveLimit,
    /// The most prefixes of a family that are sent; more are refused as `send-limit`.
    pub send_limit: Option<u32>,
    /// Whether the transport authenticates the peer (RFC 2385); the key is the transport's.
    pub authenticated: bool,
    /// What is in the way of a session, which is kept down meanwhile.
    pub obstacle: Option<Obstacle>,
}

/// What is in the way of a session, in words, whatever the peer does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Obstacle {
    /// The peer's key is missing.
    MissingSecret(String),
    /// An external peer is not on a connected subnet (RFC 4271 §5.1.3), and nothing says that it may be further away.
    NotOnLink(String),
    /// This node lacks the address to connect from.
    NoSource(String),
    /// No router was heard yet on the link that the peer is on.
    NoNeighbor(String),
    /// The link that the peer is on is down.
    LinkDown(String),
}

impl Obstacle {
    /// The obstacle without its particulars.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::MissingSecret(_) => Reason::MissingSecret,
            Self::NotOnLink(_) => Reason::NotOnLink,
            Self::NoSource(_) => Reason::NoSource,
            Self::NoNeighbor(_) => Reason::NoNeighbor,
            Self::LinkDown(_) => Reason::LinkDown,
        }
    }

    /// Its particulars.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::MissingSecret(text)
            | Self::NotOnLink(text)
            | Self::NoSource(text)
            | Self::NoNeighbor(text)
            | Self::LinkDown(text) => text,
        }
    }

    /// Whether it has to do with addresses alone, which come and go with links: a session is lost then, and is no
    /// session that somebody has ended.
    #[must_use]
    pub const fn is_of_addresses(&self) -> bool {
        !matches!(self, Self::MissingSecret(_))
    }
}

impl PeerConfig {
    /// A peer of any AS at the address, with both families, a hold time of 90 s, and
    /// up to 1 000 000 prefixes of each family. Nothing is sent that needs an own
    /// next hop until [`PeerConfig::own_next_hop`] names one.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self {
            name: address.to_string(),
            description: String::new(),
            address,
            port: 179,
            source: None,
            passive: false,
            disabled: false,
            asn: PeerAs::Any,
            families: PerFamily { ipv4: true, ipv6: true },
            timers: Timers {
                hold: Duration::from_secs(90),
                keepalive: Duration::from_secs(30),
                connect_retry: Duration::from_secs(120),
            },
            restart: Restart::default(),
            add_path: AddPath::default(),
            extended_next_hop: false,
            via_default: false,
            own_next_hop: OwnNextHop::default(),
            next_hop: NextHopMode::Auto,
            local_as: None,
            role: None,
            strict_role: false,
            reflector_client: false,
            as_path: AsPathPolicy::default(),
            accept: None,
            accept_default: false,
            import: Rules::default(),
            export: Rules::default(),
            receive: ReceiveLimit { most: 1_000_000, warn_at: None, action: LimitAction::Reject },
            send_limit: None,
            authenticated: false,
            obstacle: None,
        }
    }
}

impl PeerConfig {
    /// The AS that the peer knows a speaker of AS `own` by.
    #[must_use]
    pub fn session_as(&self, own: Asn) -> Asn {
        self.local_as.map_or(own, |local| local.asn)
    }
}

/// Another AS in the place of the speaker's own, towards one peer (RFC 7705 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalAs {
    /// The AS; not the speaker's own.
    pub asn: Asn,
    /// Whether it is left out of the paths that the peer sent (§3.1, No Prepend Inbound).
    pub no_prepend: bool,
    /// Whether the speaker's own AS is left out of what the peer is sent (§3.2, Replace Old AS).
    pub replace: bool,
}

/// What is asked of the AS_PATHs of a peer, and done to those that it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AsPathPolicy {
    /// Whether the first AS of an external peer's path may be another than its
    /// own: the peer is a route server (RFC 7947 §2.2.2.1).
    pub any_first: bool,
    /// How often our own AS may be in a path that is considered.
    pub allow_own: u8,
    /// Whether an external peer's own AS is replaced by ours in what it is sent.
    pub override_peer: bool,
    /// Whether ASes for private use (RFC 6996) are left out of what an external peer is sent.
    pub remove_private: bool,
}

/// How many prefixes of one family a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ReceiveLimit {
    /// The most, those that are refused included.
    pub most: u32,
    /// From how many on there is a warning.
    pub warn_at: Option<u32>,
    /// What becomes of more.
    pub action: LimitAction,
}

impl ReceiveLimit {
    /// The most that the table takes; the rest is counted and not stored.
    #[must_use]
    pub const fn stored(&self) -> u32 {
        match self.action {
            LimitAction::Reject => self.most,
            LimitAction::Warn | LimitAction::Reset => u32::MAX,
        }
    }
}

/// What becomes of prefixes beyond a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LimitAction {
    /// They are considered, and there is a warning.
    Warn,
    /// They are counted as `prefix-limit` and not stored.
    #[default]
    Reject,
    /// The session ends by Cease 6/1 (RFC 4486 §4), and rests before it is tried again.
    Reset,
}

/// This node's addresses as next hops towards one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnNextHop {
    /// For IPv4 prefixes.
    pub ipv4: Option<Ipv4Addr>,
    /// For IPv6 prefixes.
    pub ipv6: Option<Ipv6Addr>,
}
