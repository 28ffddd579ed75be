//! What the speaker shows of itself: plain data for status, queries and
//! explanations, computed from the stored state when asked for.

use std::net::{IpAddr, SocketAddr};

use crate::config::PeerRestart;
use crate::id::{Asn, PathId, PeerId, RouterId};
use crate::io::{Downfall, NextHop, Notifications, State};
use crate::prefix::{PerFamily, Prefix};
use crate::reason::Reason;
use crate::time::{Duration, Instant};
use crate::wire::add_path::Mode;
use crate::wire::attribute::PathAttributes;

/// One peer at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// The peer.
    pub id: PeerId,
    /// Its configured name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its AS: from its OPEN, else the configured one where that is a number.
    pub asn: Option<Asn>,
    /// Its BGP Identifier, while the session is up.
    pub router_id: Option<RouterId>,
    /// Our end of the connection, while there is one.
    pub local: Option<SocketAddr>,
    /// The state of the session's most advanced connection.
    pub state: State,
    /// When the session entered Established, or left it; the start if it never did.
    pub since: Instant,
    /// Why the session is not Established.
    pub down: Option<Downfall>,
    /// When the next attempt to connect is due.
    pub retry_at: Option<Instant>,
    /// How many attempts in a row to have a session came to nothing.
    pub failures: u32,
    /// The negotiated hold time, while Established.
    pub hold: Option<Duration>,
    /// The negotiated families, while Established.
    pub families: PerFamily<bool>,
    /// The families of which the peer has sent all that it had: its End-of-RIB
    /// has come (RFC 4724 §2). A peer need not send one.
    pub end_of_rib: PerFamily<bool>,
    /// For which families prefixes have Path Identifiers, each way, while Established (RFC 7911).
    pub add_path: PerFamily<Mode>,
    /// What both sides agreed on about restarts, while Established.
    pub restart: Option<PeerRestart>,
    /// Until when the peer's routes are kept, while it restarts.
    pub kept_until: Option<Instant>,
    /// The BFD session with it, where there is one.
    pub bfd: Option<crate::bfd::View>,
    /// Until when each family of its routes is kept for long (RFC 9494); `None` where the
    /// restart time is not over, or the peer has sent all again.
    pub long_lived_until: PerFamily<Option<Instant>>,
    /// How many of the peer's paths are stale a family: to be sent again (RFC 7313),
    /// or kept while the peer restarts (RFC 4724).
    pub stale: PerFamily<u64>,
    /// Counts a family, all zero unless Established.
    pub counts: PerFamily<Counts>,
    /// How often the session was Established.
    pub established_count: u64,
    /// How many UPDATEs had malformed attributes that did not end the session (RFC 7606), and the
    /// cause of the last in words.
    pub malformed: (u64, Option<String>),
    /// The last NOTIFICATION each way.
    pub notifications: Notifications,
    /// Limits that are reached at present, in words.
    pub limits: Vec<String>,
    /// UPDATE messages received and sent.
    pub updates: (u64, u64),
}

/// How many prefixes of one family a peer sent and got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Prefixes that the peer announced and did not withdraw.
    pub received: u64,
    /// Those among them that the import rules let in.
    pub accepted: u64,
    /// The others by reason, ordered by reason.
    pub rejected: Vec<(Reason, u64)>,
    /// Prefixes that we announced and did not withdraw.
    pub sent: u64,
    /// Prefixes that were not sent as the limit was reached (`send-limit`).
    pub kept_back: u64,
}

/// Where a path comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathSource {
    /// This speaker originates it.
    Local,
    /// A peer sent it.
    Peer {
        /// The peer.
        id: PeerId,
        /// Its name.
        name: String,
        /// Its address.
        address: IpAddr,
    },
}

/// One path of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView {
    /// Where it comes from.
    pub source: PathSource,
    /// What its peer calls it; `None` where the peer sends one path a prefix (RFC 7911).
    pub path_id: Option<PathId>,
    /// Its attributes as received.
    pub attributes: PathAttributes,
    /// Its attributes in use, where an import rule changed them.
    pub changed: Option<Changed>,
    /// The import refusal or the rung of the ladder.
    pub verdict: Reason,
    /// Whether the import rules let it in.
    pub accepted: bool,
    /// Whether it is stale: [`Reason::Stale`] where its peer is to send it again,
    /// [`Reason::LongLivedStale`] where it is kept for long (RFC 9494), here or by whoever sent it.
    pub stale: Option<Reason>,
    /// The verdict with its particulars, such as `own AS 65001 in path (RFC 4271 9.1.2)`.
    pub detail: String,
}

/// What an import rule made of a path's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The attributes in use.
    pub attributes: PathAttributes,
    /// The rule, what of the path met it, and what it set; empty while the rules
    /// have changed and the path has not been judged again.
    pub detail: String,
}

/// What the kernel holds of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelView {
    /// Nothing was asked of it.
    NotRequested,
    /// A change is under way.
    Pending,
    /// The route is installed.
    Installed,
    /// The last change failed with this error number.
    Failed(u16),
}

/// How many prefixes of one family the kernel holds, by its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// The route is installed.
    pub installed: u64,
    /// A change is under way.
    pub pending: u64,
    /// The last change failed.
    pub failed: u64,
}

/// One prefix and its paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The prefix.
    pub prefix: Prefix,
    /// Its paths: the best first, then as the ladder ranks them, refused ones last.
    pub paths: Vec<PathView>,
    /// The kernel's state.
    pub kernel: KernelView,
    /// The next hops of the selected paths, ordered.
    pub next_hops: Vec<NextHop>,
}

/// Which routes a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteFilter {
    /// All prefixes.
    All,
    /// Prefixes with a path of this peer.
    Received(PeerId),
    /// Prefixes with a refused path; the refused paths alone.
    Rejected,
    /// Prefixes that are announced to this peer.
    Sent(PeerId),
    /// Prefixes that the kernel confirmed.
    Installed,
}

/// Where a page ended; given back to ask for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteCursor(pub u64);

/// One page of routes in a stable, unsorted order: a prefix that is there
/// throughout is in exactly one page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutePage {
    /// The routes.
    pub routes: Vec<RouteView>,
    /// Where to go on; `None` at the end.
    pub next: Option<RouteCursor>,
}

/// The whole story of one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The prefix that was asked for.
    pub prefix: Prefix,
    /// The prefix and its paths; `None` if nobody ever sent it.
    pub route: Option<RouteView>,
    /// The next hops of accepted paths: the tracked next hop and its metric if it resolves.
    pub next_hops: Vec<(NextHop, Option<u32>)>,
    /// Peers whose last UPDATE of the prefix was malformed and treated as a withdrawal
    /// (RFC 7606), ordered by address.
    pub withdrawn: Vec<WithdrawnView>,
    /// What is sent to each peer, ordered by address.
    pub sent: Vec<SentView>,
}

/// A peer that sent a prefix in a malformed UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithdrawnView {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// What was malformed.
    pub detail: String,
}

/// What is sent of one prefix to one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentView {
    /// The peer.
    pub id: PeerId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The paths as sent, one unless several were negotiated (RFC 7911), or why nothing is.
    pub sent: Result<Vec<SentPath>, Refusal>,
}

/// A path as a peer is sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPath {
    /// What the peer knows it by; `None` where it is sent one path a prefix.
    pub path_id: Option<PathId>,
    /// The attributes.
    pub attributes: PathAttributes,
}

/// Why a prefix is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// The reason with its particulars.
    pub detail: String,
}
