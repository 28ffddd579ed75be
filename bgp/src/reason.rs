//! The closed vocabulary of reasons: why a path is refused, loses, is not sent,
//! or why a session is down. Command line, gRPC, logs, metrics and conditions
//! all print these words; nothing else produces a reason.

use core::fmt;

macro_rules! reasons {
    (@rfc) => { None };
    (@rfc $rfc:literal) => { Some($rfc) };
    ($($(#[$doc:meta])* $name:ident = $word:literal, $says:literal $(, $rfc:literal)?;)*) => {
        /// One reason; a byte, so that each path of the table can carry its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of its groups.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason in kebab-case, as it is printed everywhere.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The reason in a few words for a person.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }

            /// The RFC and its section, where there is one that says so, such as `RFC 4271 9.1.2`.
            #[must_use]
            pub const fn rfc(self) -> Option<&'static str> {
                match self { $(Self::$name => reasons!(@rfc $($rfc)?),)* }
            }
        }
    };
}

reasons! {
    // Decision: what the ladder says of a usable path (RFC 4271 §9.1.2.2).
    /// The best path.
    Best = "best", "selected as the best path";
    /// Equal to the best as far as ECMP asks: used beside it.
    Multipath = "multipath", "used beside the best path";
    /// Not yet looked at: the decision on this prefix is pending.
    Pending = "pending", "the decision has not run yet";
    /// The next hop does not resolve (RFC 4271 §9.1.2.1).
    NextHopUnreachable = "next-hop-unreachable", "the next hop does not resolve", "RFC 4271 9.1.2.1";
    /// Kept while its peer restarts (RFC 4724 §4.2), and another source has a fresh path.
    Stale = "stale", "the peer restarts, and there is a fresh path", "RFC 4724 4.2";
    /// Kept for long, here or by whoever sent it (RFC 9494 §4.4): the last resort.
    LongLivedStale = "long-lived-stale", "the path is long-lived stale, and there is another one", "RFC 9494 4.4";
    /// A path that this node originates goes first.
    LocalPreferred = "local-preferred", "this node originates the prefix itself";
    /// Lower LOCAL_PREF (RFC 4271 §9.1.1).
    LowerLocalPreference = "lower-local-preference", "another path has a higher local preference", "RFC 4271 9.1.1";
    /// RFC 4271 §9.1.2.2 a.
    LongerAsPath = "longer-as-path", "another path crosses fewer ASes", "RFC 4271 9.1.2.2 a";
    /// RFC 4271 §9.1.2.2 b.
    HigherOrigin = "higher-origin", "another path has a lower origin", "RFC 4271 9.1.2.2 b";
    /// RFC 4271 §9.1.2.2 c.
    HigherMed = "higher-med", "another path of the same neighbouring AS has a lower MED", "RFC 4271 9.1.2.2 c";
    /// RFC 4271 §9.1.2.2 d.
    ExternalPreferred = "external-preferred", "another path was learned by eBGP", "RFC 4271 9.1.2.2 d";
    /// RFC 4271 §9.1.2.2 e.
    HigherIgpMetric = "higher-igp-metric", "another path's next hop is nearer", "RFC 4271 9.1.2.2 e";
    /// RFC 4271 §9.1.2.2 f.
    HigherRouterId = "higher-router-id", "another path's speaker has a lower BGP Identifier", "RFC 4271 9.1.2.2 f";
    /// RFC 4456 §9.
    LongerClusterList = "longer-cluster-list", "another path was reflected fewer times", "RFC 4456 9";
    /// RFC 4271 §9.1.2.2 g.
    HigherPeerAddress = "higher-peer-address", "another path's peer has a lower address", "RFC 4271 9.1.2.2 g";
    /// Of several paths that a peer sends (RFC 7911).
    HigherPathId = "higher-path-id", "another path of the peer has a lower Path Identifier", "RFC 7911";

    // Import: why a received path is kept but not considered.
    /// Own AS in AS_PATH (RFC 4271 §9.1.2).
    AsLoop = "as-loop", "own AS is in the AS_PATH", "RFC 4271 9.1.2";
    /// The first AS is not the external peer's (RFC 4271 §6.3).
    FirstAs = "first-as", "the AS_PATH does not begin with the peer's AS", "RFC 4271 6.3";
    /// Own BGP Identifier in ORIGINATOR_ID (RFC 4456 §8).
    OriginatorLoop = "originator-loop", "own router id is the ORIGINATOR_ID", "RFC 4456 8";
    /// Own cluster id in CLUSTER_LIST (RFC 4456 §8).
    ClusterLoop = "cluster-loop", "own cluster id is in the CLUSTER_LIST", "RFC 4456 8";
    /// OTC from below, or another AS's from the side (RFC 9234 §5).
    RouteLeak = "route-leak", "the path is for customers only, and did not come from above", "RFC 9234 5";
    /// The next hop is own, unspecified, mapped, multicast or a martian (RFC 4271 §6.3).
    InvalidNextHop = "invalid-next-hop", "the next hop is not usable as one", "RFC 4271 6.3";
    /// A prefix that is never routed between hosts.
    Martian = "martian", "the prefix is never routed";
    /// A default route without `acceptDefaultRoute`.
    DefaultRoute = "default-route", "default routes are not accepted";
    /// Equal to or inside this node's own PodCIDR.
    OwnPrefix = "own-prefix", "the prefix lies inside a prefix of this node's own";
    /// Equal to or inside a connected subnet.
    ConnectedPrefix = "connected-prefix", "the prefix lies inside a connected subnet";
    /// A host route for an address that must stay reachable as it is.
    ProtectedAddress = "protected-address", "a host route for an own address, a peer or the API server";
    /// Outside of `accept`.
    NotAccepted = "not-accepted", "the prefix lies outside of what is accepted";
    /// An `import` rule of the peer rejects it.
    ImportRule = "import-rule", "an import rule of the peer rejects the path";
    /// More paths of the prefix than are kept of one peer (RFC 7911).
    PathLimit = "path-limit", "the peer sent more paths of the prefix than are kept", "RFC 7911";
    /// Withdrawn for a malformed attribute (RFC 7606 §2).
    TreatAsWithdraw = "treat-as-withdraw", "the UPDATE held a malformed attribute", "RFC 7606 2";
    /// Above `limits.receive`.
    PrefixLimit = "prefix-limit", "the peer sent more prefixes than its limit";

    // Export: why the selected path is not sent to a peer.
    /// There is no selected path.
    NothingSelected = "nothing-selected", "no usable path is selected";
    /// The session is not Established.
    SessionDown = "session-down", "the session is not Established";
    /// The family was not negotiated with the peer.
    FamilyNotNegotiated = "family-not-negotiated", "the session does not carry the family";
    /// The peer is the one that sent the path.
    LearnedFromPeer = "learned-from-peer", "the path was learned from this peer";
    /// A learned path, and the router is not a transit router.
    NotTransit = "not-transit", "only own prefixes are sent without transit";
    /// Learned by iBGP, and the peer is internal too (RFC 4271 §9.2).
    IbgpSplitHorizon = "ibgp-split-horizon", "learned by iBGP, not sent to an internal peer", "RFC 4271 9.2";
    /// NO_EXPORT towards an external peer (RFC 1997).
    NoExport = "no-export", "the path carries NO_EXPORT", "RFC 1997";
    /// NO_EXPORT_SUBCONFED towards an external peer (RFC 1997).
    NoExportSubconfed = "no-export-subconfed", "the path carries NO_EXPORT_SUBCONFED", "RFC 1997";
    /// NOPEER towards an external peer that may be a bilateral one (RFC 3765 §3).
    NoPeer = "no-peer", "the path carries NOPEER", "RFC 3765 3";
    /// BLACKHOLE towards an external peer (RFC 7999 §3.2).
    Blackhole = "blackhole", "the path carries BLACKHOLE", "RFC 7999 3.2";
    /// NO_ADVERTISE (RFC 1997).
    NoAdvertise = "no-advertise", "the path carries NO_ADVERTISE", "RFC 1997";
    /// OTC towards a provider, a peer or a route server (RFC 9234 §5).
    OnlyToCustomers = "only-to-customers", "the path is for customers only, and the peer is none", "RFC 9234 5";
    /// Long-lived stale, and the peer has not offered the capability (RFC 9494 §4.3).
    LongLivedNotOffered = "long-lived-not-offered", "the path is long-lived stale, and the peer takes none", "RFC 9494 4.3";
    /// An `export` rule of the peer rejects it.
    ExportRule = "export-rule", "an export rule of the peer rejects the path";
    /// Above `limits.send`.
    SendLimit = "send-limit", "the peer is sent as many prefixes as its limit";
    /// No own address of the family to name as next hop.
    NoNextHop = "no-next-hop", "this node has no address of the family for the peer";
    /// The node is drained, of its pods or of its Services.
    Drained = "drained", "the node is drained, and the prefix withdrawn";
    /// The attributes leave no room for a prefix in a message (RFC 4271 §9.2).
    TooLong = "attributes-too-long", "the attributes leave no room for a prefix in a message", "RFC 4271 9.2";
    /// The kernel has not confirmed the route yet.
    AwaitingKernel = "awaiting-kernel", "the kernel has not confirmed the route yet";
    /// The kernel rejected the route.
    KernelRejected = "kernel-rejected", "the kernel rejected the route";

    // Session: why it is not Established.
    /// Not configured to run.
    Disabled = "disabled", "the peer is disabled";
    /// The password that the peer is to have is not there: there is no session without.
    MissingSecret = "missing-secret", "the Secret with the peer's password, or its key, is missing";
    /// An external peer is further away than the configuration says (RFC 4271 §5.1.3).
    NotOnLink = "not-on-link", "the peer is not on a connected subnet, and no hops are allowed", "RFC 4271 5.1.3";
    /// The address to connect from is not one of this node's.
    NoSource = "no-source-address", "this node lacks the address to connect from";
    /// Nobody is known behind a link without addresses.
    NoNeighbor = "no-neighbor", "no router was heard on the interface of the peer";
    /// The link that the peer is on is down.
    LinkDown = "link-down", "the interface of the peer is down";
    /// The transport has not answered yet.
    Connecting = "connecting", "waiting for the TCP connection";
    /// Connected, and the OPEN exchange has not ended.
    Opening = "opening", "waiting for the OPEN exchange";
    /// The TCP connection could not be made.
    ConnectFailed = "connect-failed", "the TCP connection failed";
    /// The TCP connection ended without NOTIFICATION.
    ConnectionClosed = "connection-closed", "the peer closed the connection";
    /// The hold timer expired (RFC 4271 §6.5).
    HoldTimerExpired = "hold-timer-expired", "nothing was heard for the hold time", "RFC 4271 6.5";
    /// The peer has read nothing for the send hold time (RFC 9687 §4).
    SendHoldTimerExpired = "send-hold-timer-expired", "the peer has not read for the send hold time", "RFC 9687 4";
    /// The peer's AS is not the configured one (RFC 4271 §6.2).
    BadPeerAs = "bad-peer-as", "the peer has another AS than expected", "RFC 4271 6.2";
    /// The peer's role does not go with ours (RFC 9234 §4.2).
    RoleMismatch = "role-mismatch", "the peer's role does not go with the configured one", "RFC 9234 4.2";
    /// We sent a NOTIFICATION.
    NotificationSent = "notification-sent", "a NOTIFICATION was sent";
    /// The peer sent a NOTIFICATION.
    NotificationReceived = "notification-received", "the peer sent a NOTIFICATION";
    /// The configuration changed in a way that needs a new session.
    ConfigurationChanged = "configuration-changed", "the configuration of the peer changed";
    /// Packets between the peer and us stopped passing (RFC 9384 §3).
    BfdDown = "bfd-down", "BFD says that packets do not reach the peer", "RFC 9384 3";
    /// An operator ended the session, which comes up again at once.
    OperatorReset = "operator-reset", "an operator reset the session";
    /// Another connection of the same peer was kept (RFC 4271 §6.8).
    Collision = "collision", "another connection with the same peer was kept", "RFC 4271 6.8";
    /// The agent is going down.
    Shutdown = "shutdown", "the agent is shutting down";

    // Services: why an address that is to be advertised is not originated.
    /// The node has the label node.kubernetes.io/exclude-from-external-load-balancers.
    NodeExcluded = "node-excluded", "the node is excluded from external load balancers";
    /// Nobody would answer.
    NoReadyEndpoint = "no-ready-endpoint", "the Service has no ready endpoint";
    /// Traffic of the Service stays on a node (`externalTrafficPolicy: Local`).
    NoLocalEndpoint = "no-local-endpoint", "the Service keeps packets on a node, and has no ready endpoint on this one";
}

impl Reason {
    /// The long form: the particulars with the RFC's section behind them, unless they name one.
    #[must_use]
    pub fn cited(self, particulars: impl Into<String>) -> String {
        let particulars = particulars.into();
        match self.rfc() {
            Some(rfc) if !particulars.contains("(RFC ") => format!("{particulars} ({rfc})"),
            _ => particulars,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
