//! The table of metrics: the one place that names them.

use std::collections::BTreeMap;

use bgp::bfd;
use bgp::io::State;
use bgp::prefix::{Family, PerFamily};
use bgp::reason::Reason;
use bgp::view::{KernelCounts, PeerView};

use crate::status::counter::{Counters, Histogram};
use crate::status::snapshot::Snapshot;

/// What all internal peers together are called; no object can be.
pub const INTERNAL: &str = "(internal)";

/// Some series of one name.
#[derive(Clone, Copy)]
pub struct Metric {
    /// The name, without `underlay_` and without the `_total` of a counter.
    pub name: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// What it says, in words.
    pub says: &'static str,
    /// Where the values come from.
    pub values: Values,
}

/// The values of a metric, as they come from a snapshot.
#[derive(Clone, Copy)]
pub enum Values {
    /// What goes up and down, a value for each list of values of the labels.
    Gauge(fn(&Snapshot, &mut Samples)),
    /// What only goes up, in the same form.
    Counter(fn(&Snapshot, &mut Samples)),
    /// How often something took how long.
    Histogram(fn(&Counters) -> &Histogram),
}

/// The samples of one metric. The same labels again are the sum.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Samples(pub BTreeMap<Vec<String>, u64>);

impl Samples {
    fn add<const N: usize>(&mut self, labels: [&str; N], value: u64) {
        *self.0.entry(labels.map(str::to_owned).to_vec()).or_default() += value;
    }
}

/// Every metric.
pub const METRICS: [Metric; 17] = [
    Metric {
        name: "build_info",
        labels: &["version"],
        says: "1; which program this is",
        values: Values::Gauge(|snapshot, to| to.add([&snapshot.version], 1)),
    },
    Metric {
        name: "condition",
        labels: &["type", "status"],
        says: "1 for each condition of the node, with its status (True, False, Unknown)",
        values: Values::Gauge(conditions),
    },
    Metric {
        name: "impairments",
        labels: &[],
        says: "things beside routing that fail at present, as `underlay status` lists them",
        values: Values::Gauge(|snapshot, to| to.add([], snapshot.impairments.len() as u64)),
    },
    Metric {
        name: "configuration_errors",
        labels: &[],
        says: "what is wrong with the newest configuration; the last good one is in use",
        values: Values::Gauge(|snapshot, to| to.add([], snapshot.source.errors.len() as u64)),
    },
    Metric {
        name: "drained",
        labels: &["pods"],
        says: "1 while the node is out of service; `pods` is `true` where the PodCIDRs are withdrawn, too",
        values: Values::Gauge(drained),
    },
    Metric {
        name: "bgp_sessions",
        labels: &["kind", "state"],
        says: "sessions, external and internal, by state (up, down, disabled)",
        values: Values::Gauge(sessions),
    },
    Metric {
        name: "bgp_session_up",
        labels: &["peer"],
        says: "1 while the session with an external peer is Established, else 0",
        values: Values::Gauge(session_up),
    },
    Metric {
        name: "bgp_session_transitions",
        labels: &["peer", "to", "reason"],
        says: "how often a session entered a state, and why; the reason is empty on the way up",
        values: Values::Counter(transitions),
    },
    Metric {
        name: "bgp_routes",
        labels: &["peer", "family", "table"],
        says: "prefixes that a peer sent (received), those that the rules let in (accepted), and those sent to it (sent)",
        values: Values::Gauge(routes),
    },
    Metric {
        name: "bgp_rejected_routes",
        labels: &["peer", "reason"],
        says: "prefixes that the rules kept out",
        values: Values::Gauge(rejected),
    },
    Metric {
        name: "bgp_stale_routes",
        labels: &["peer"],
        says: "paths that are kept while a peer restarts, or until it has sent them again",
        values: Values::Gauge(|snapshot, to| {
            each(snapshot, |label, peer| to.add([label], peer.stale.ipv4 + peer.stale.ipv6));
        }),
    },
    Metric {
        name: "bgp_malformed_updates",
        labels: &["peer"],
        says: "UPDATEs with malformed attributes that did not end the session (RFC 7606)",
        values: Values::Counter(|snapshot, to| {
            each(snapshot, |label, peer| to.add([label], peer.malformed.0));
        }),
    },
    Metric {
        name: "bfd_session_up",
        labels: &["peer"],
        says: "1 while the BFD session with an external peer is Up, else 0",
        values: Values::Gauge(bfd_up),
    },
    Metric {
        name: "bfd_session_transitions",
        labels: &["peer", "to"],
        says: "how often a BFD session entered a state",
        values: Values::Counter(|snapshot, to| {
            for ((address, state), count) in &snapshot.counters.bfd {
                let peer = snapshot.peers.iter().find(|peer| peer.address == *address);
                peer.into_iter().for_each(|peer| to.add([label(snapshot, peer), state.name()], *count));
            }
        }),
    },
    Metric {
        name: "fib_routes",
        labels: &["family", "state"],
        says: "prefixes whose route the kernel has (installed), is being asked for (pending), or refuses (failed)",
        values: Values::Gauge(fib_routes),
    },
    Metric {
        name: "fib_operations",
        labels: &["op", "result"],
        says: "what the kernel said (ok, failed) to routes that it was to have (install) or not (remove)",
        values: Values::Counter(|snapshot, to| {
            for ((operation, done), count) in &snapshot.counters.operations {
                to.add([operation.word(), if *done { "ok" } else { "failed" }], *count);
            }
        }),
    },
    Metric {
        name: "update_to_kernel_seconds",
        labels: &[],
        says: "from the turn that took in an UPDATE to the kernel's word on what it changed; the last route of a turn",
        values: Values::Histogram(|counters| &counters.update_to_kernel),
    },
];

/// Whether a peer is in the node's own AS. One of which that is not known yet is external.
fn is_internal(snapshot: &Snapshot, peer: &PeerView) -> bool {
    peer.asn.is_some() && peer.asn == snapshot.identity.map(|own| own.asn)
}

/// The value of the label `peer`.
fn label<'a>(snapshot: &Snapshot, peer: &'a PeerView) -> &'a str {
    if is_internal(snapshot, peer) { INTERNAL } else { &peer.name }
}

fn each<'a>(snapshot: &'a Snapshot, mut look: impl FnMut(&'a str, &'a PeerView)) {
    snapshot.peers.iter().for_each(|peer| look(label(snapshot, peer), peer));
}

/// The families by the name that they have in labels.
const FAMILIES: [(Family, &str); 2] = [(Family::Ipv4, "ipv4"), (Family::Ipv6, "ipv6")];

fn conditions(snapshot: &Snapshot, to: &mut Samples) {
    for condition in &snapshot.conditions {
        let status = match condition.holds {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        to.add([condition.kind.name(), status], 1);
    }
}

fn drained(snapshot: &Snapshot, to: &mut Samples) {
    let pods = snapshot.drain.as_ref().map(|drain| drain.pods);
    to.add(["false"], u64::from(pods == Some(false)));
    to.add(["true"], u64::from(pods == Some(true)));
}

fn sessions(snapshot: &Snapshot, to: &mut Samples) {
    for kind in ["external", "internal"] {
        for state in ["up", "down", "disabled"] {
            to.add([kind, state], 0);
        }
    }
    for peer in &snapshot.peers {
        let disabled = peer.down.as_ref().is_some_and(|down| down.reason == Reason::Disabled);
        let state = match (disabled, peer.state) {
            (true, _) => "disabled",
            (false, State::Established) => "up",
            _ => "down",
        };
        to.add([if is_internal(snapshot, peer) { "internal" } else { "external" }, state], 1);
    }
}

fn session_up(snapshot: &Snapshot, to: &mut Samples) {
    for peer in snapshot.peers.iter().filter(|peer| !is_internal(snapshot, peer)) {
        to.add([&peer.name], u64::from(peer.state == State::Established));
    }
}

fn transitions(snapshot: &Snapshot, to: &mut Samples) {
    for ((address, state, reason), count) in &snapshot.counters.transitions {
        let peer = snapshot.peers.iter().find(|peer| peer.address == *address);
        let reason = reason.map_or("", Reason::word);
        peer.into_iter().for_each(|peer| to.add([label(snapshot, peer), state.name(), reason], *count));
    }
}

fn routes(snapshot: &Snapshot, to: &mut Samples) {
    each(snapshot, |label, peer| {
        for (family, name) in FAMILIES {
            let counts = &peer.counts[family];
            to.add([label, name, "received"], counts.received);
            to.add([label, name, "accepted"], counts.accepted);
            to.add([label, name, "sent"], counts.sent);
        }
    });
}

fn rejected(snapshot: &Snapshot, to: &mut Samples) {
    each(snapshot, |label, peer| {
        for (family, _) in FAMILIES {
            for (reason, count) in &peer.counts[family].rejected {
                to.add([label, reason.word()], *count);
            }
        }
    });
}

fn bfd_up(snapshot: &Snapshot, to: &mut Samples) {
    for peer in snapshot.peers.iter().filter(|peer| !is_internal(snapshot, peer)) {
        if let Some(view) = &peer.bfd {
            to.add([&peer.name], u64::from(view.state == bfd::State::Up));
        }
    }
}

fn fib_routes(snapshot: &Snapshot, to: &mut Samples) {
    let kernel: &PerFamily<KernelCounts> = &snapshot.kernel;
    for (family, name) in FAMILIES {
        let KernelCounts { installed, pending, failed } = kernel[family];
        to.add([name, "installed"], installed);
        to.add([name, "pending"], pending);
        to.add([name, "failed"], failed);
    }
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metric").field("name", &self.name).finish_non_exhaustive()
    }
}
