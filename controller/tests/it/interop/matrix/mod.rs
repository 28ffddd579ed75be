//! The interoperability matrix: features, families and five daemons.
//!
//! One daemon a column, with one session over IPv4 and one over IPv6, in three runs: what routes carry (`carried`),
//! what becomes of sessions that are signed (RFC 2385) and that end (`ended`), and how long routes are kept (`kept`). A
//! fourth has a session for each way to reach it and for each thing that it may be to the node (`ways`). A cell passes by what the *other side*
//! itself shows: its tables, its counters, its log. `cells.tsv` holds what is expected of each cell: `pass`, or `n/a`
//! with the reason; a cell that is otherwise fails the test. The README shows the table.

mod bird;
mod carried;
mod cells;
mod ended;
mod exabgp;
mod frr;
mod gobgp;
mod kept;
mod openbgpd;
mod ways;

use labs::{Netns, Sandbox};
use serde_json::Value;

/// The node's AS: one that takes four octets (RFC 6793).
const OWN_AS: u64 = 4_200_000_001;
const FAR_AS: u64 = 65100;
/// The node's ends of the two sessions.
const OVER: [&str; 2] = ["10.0.1.2", "fd00:1::2"];
/// What the node originates in each family, and by which next hop.
const SENT: [(&str, &str); 2] = [("10.244.200.1/32", "10.0.1.2"), ("fd00:10:244:200::1/128", "fd00:1::2")];
/// What the other side originates; the first pair carries [`COLOURS`].
const FAR: [&str; 2] = ["10.244.9.0/24", "fd00:10:244:9::/64"];
const DEFAULT: [&str; 2] = ["0.0.0.0/0", "::/0"];
/// The other side's next hops, its ends of the two sessions.
const HOPS: [&str; 2] = ["10.0.1.1", "fd00:1::1"];

/// A path as the other side shows it. Communities are numbers with colons between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    next_hop: String,
    as_path: Vec<u64>,
    med: Option<u64>,
    communities: Vec<String>,
    extended_communities: Vec<String>,
    large_communities: Vec<String>,
}

/// How the other side is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setup {
    /// Both sessions are signed with this key.
    key: Option<&'static str>,
    /// The hold time; in seconds.
    hold: u64,
    /// The most prefixes of a family that it takes.
    limit: Option<u64>,
    /// Whether it restarts in two seconds, and its routes are kept for ten minutes more (RFC 9494).
    long_lived: bool,
}

impl Setup {
    /// Its restart time in seconds.
    const fn restart_time(self) -> u64 {
        if self.long_lived { 2 } else { 30 }
    }
}

/// What the other side is asked to show of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// It is Established.
    Established,
    /// Extended messages were negotiated (RFC 8654).
    ExtendedMessages,
    /// Routes of a restarting peer are kept (RFC 4724 §4.2).
    Kept,
    /// The hold timer expired (RFC 4271 §6.5).
    HoldExpired,
    /// Cease, Administrative Shutdown came with a text (RFC 9003).
    ShutdownText,
    /// Cease, Maximum Number of Prefixes Reached came (RFC 4486).
    LimitReceived,
    /// The same was sent.
    LimitSent,
}

/// What the other side counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Announcements, or messages that hold them.
    Announcements,
    /// ROUTE-REFRESHs that came (RFC 2918).
    RefreshesReceived,
    /// The end of a refresh that was asked for (RFC 7313).
    EndsOfRefresh,
}

/// Where something is to be found.
struct Words {
    text: String,
    word: &'static str,
}

/// The other side of a column. `over` is 0 for the session over IPv4 and 1 for that over IPv6, as `family` is.
trait Far {
    /// What it holds of a prefix from that session.
    fn seen(&self, over: usize, prefix: &str) -> Option<Seen>;
    /// What it shows of that session, and the words that say what is asked for.
    fn show(&self, over: usize, what: Show) -> Words;
    /// What it counts of that session.
    fn count(&self, over: usize, what: Count) -> u64;
    /// Has it originate or withdraw the default routes or [`FAR`].
    fn originate(&self, prefixes: [&'static str; 2], there: bool);
    /// Has it ask for a family again (RFC 2918).
    fn refresh(&self, over: usize, family: usize);
    /// Kills it and starts it anew, to recover.
    fn restart(&mut self, sandbox: &Sandbox, router: &Netns);
    /// Kills it.
    fn stop(&mut self) {}
    /// Has it take sessions again at once that it lets rest after errors.
    fn again(&self) {}
}

/// The node's manifests: `fabric` are further lines of the Fabric, `peer` of both peers.
fn manifest(setup: Setup, fabric: &str, peer: &str) -> String {
    let hold = setup.hold;
    let keepalive = hold / 3;
    let secret = if setup.key.is_some() { ", passwordSecretRef: {name: tor, key: password}" } else { "" };
    let key = setup.key.unwrap_or("unused");
    let [v4, v6] = HOPS;
    format!(
        r#"apiVersion: underlay.dev/v1alpha1
kind: Fabric
metadata: {{name: rack}}
spec:
  asn: {{value: {OWN_AS}}}
  transit: true
  podPrefixes: [10.244.0.0/16, "fd00:10:244::/48"]
  timers: {{hold: {hold}s, keepalive: {keepalive}s, connectRetry: 1s}}
  {fabric}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: over4}}
spec: {{address: {v4}, asn: {FAR_AS}{secret}{peer}}}
---
apiVersion: underlay.dev/v1alpha1
kind: FabricPeer
metadata: {{name: over6}}
spec: {{address: "{v6}", asn: {FAR_AS}{secret}{peer}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: tor}}
stringData: {{password: {key}}}
---
apiVersion: v1
kind: Node
metadata: {{name: node}}
spec: {{podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"]}}
status:
  addresses:
  - {{type: InternalIP, address: 10.0.1.2}}
  - {{type: InternalIP, address: "fd00:1::2"}}
"#
    )
}

/// Lines of the Fabric that have it advertise [`SENT`], with further fields for each.
fn advertise(more: &str) -> String {
    let prefixes = SENT.map(|(prefix, _)| format!("{{prefix: \"{prefix}\"{more}}}")).join(", ");
    format!("advertise: {{prefixes: [{prefixes}]}}")
}

/// The strings of a JSON list; none where there is no list.
fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The numbers in a text.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// The family of a prefix, as an index.
fn family(prefix: &str) -> usize {
    usize::from(prefix.contains(':'))
}

/// All runs with one daemon.
macro_rules! column {
    ($daemon:ident) => {
        mod $daemon {
            #[test]
            fn what_routes_carry() {
                labs::require!("root", stringify!($daemon));
                labs::sandbox!(|sandbox| super::super::carried::run(
                    sandbox,
                    stringify!($daemon),
                    super::super::$daemon::start
                ));
            }

            #[test]
            fn how_sessions_end() {
                labs::require!("root", stringify!($daemon));
                labs::sandbox!(|sandbox| super::super::ended::run(
                    sandbox,
                    stringify!($daemon),
                    super::super::$daemon::start
                ));
            }

            #[test]
            fn how_long_routes_are_kept() {
                labs::require!("root", stringify!($daemon));
                labs::sandbox!(|sandbox| super::super::kept::run(
                    sandbox,
                    stringify!($daemon),
                    super::super::$daemon::start
                ));
            }

            #[test]
            fn how_it_is_reached() {
                labs::require!("root", stringify!($daemon));
                labs::sandbox!(|sandbox| super::super::ways::run(
                    sandbox,
                    stringify!($daemon),
                    super::super::ways::$daemon
                ));
            }
        }
    };
}

mod column {
    column!(bird);
    column!(frr);
    column!(gobgp);
    column!(openbgpd);
    column!(exabgp);
}
